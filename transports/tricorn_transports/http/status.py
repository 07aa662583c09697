"""Status codes' reason phrases, as RFC 9110 section 15 names them.

Rule of this module: one table for both halves. ``http.HTTPStatus`` is older than RFC 9110 before Python 3.13.
"""

from __future__ import annotations

from http import HTTPStatus

_RENAMED = {
    413: "Content Too Large",
    414: "URI Too Long",
    416: "Range Not Satisfiable",
    422: "Unprocessable Content",
}
#: The reason phrase of every registered status code.
PHRASES = {status.value: _RENAMED.get(status.value, status.phrase) for status in HTTPStatus}


def status_phrase(status: int) -> str:
    """The reason phrase of a status code, or ``""`` for one that is not registered."""
    return PHRASES.get(status, "")
