"""Reason phrases are RFC 9110's, in either half and on every version of Python."""

from __future__ import annotations

import pytest

from tricorn.exceptions import HTTPException
from tricorn_transports.engines.h1_response import status_line
from tricorn_transports.http.status import status_phrase


@pytest.mark.parametrize(
    ("status", "phrase"),
    [
        (200, "OK"),
        (413, "Content Too Large"),
        (414, "URI Too Long"),
        (416, "Range Not Satisfiable"),
        (422, "Unprocessable Content"),
        (431, "Request Header Fields Too Large"),
        (599, ""),
    ],
)
def test_phrases(status, phrase):
    assert status_phrase(status) == phrase
    assert status_line(status) == f"HTTP/1.1 {status} {phrase}\r\n".encode()


def test_an_exception_names_its_status():
    assert str(HTTPException(413)).startswith("413 Content Too Large")
