"""JSON in and out: what is read can be written again, and what is no JSON is refused with a reason."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tricorn import URL, App, JSONResponse, RedirectResponse, Request
from tricorn.json_codec import InvalidJSON, decode_json, encode_json

pytestmark = pytest.mark.anyio

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


@given(VALUES)
def test_what_is_written_is_read_again_as_it_was(value):
    assert decode_json(encode_json(value)) == value


@dataclass
class Link:
    to: URL
    seen: date


def test_what_json_has_no_form_of_its_own_for():
    url = URL.parse("https://example.com/a?b=1")
    link = Link(url, date(1492, 10, 12))
    assert encode_json([url, link]) == (
        b'["https://example.com/a?b=1",{"to":"https://example.com/a?b=1","seen":"1492-10-12"}]'
    )
    assert RedirectResponse(url).headers["location"] == "https://example.com/a?b=1"


@given(st.binary() | st.text(alphabet='[]{}",:0123456789.eE+-\\untrfalsNIy \ud800\ufeff'))
def test_any_text_is_a_value_that_can_be_written_or_is_refused(text):
    try:
        value = decode_json(text)
    except InvalidJSON:
        return
    assert encode_json(value)


@pytest.mark.parametrize(
    "text", [b"NaN", b"[-Infinity]", b"1e999", b"9" * 5000, b"[" * 100_000, b"\xff", "{}".encode("utf-16")]
)
def test_what_cannot_be_said_in_json_is_refused(text):
    with pytest.raises(InvalidJSON):
        decode_json(text)


def test_a_byte_order_mark_is_skipped():
    assert decode_json(b"\xef\xbb\xbf[1]") == [1]


def test_a_lone_surrogate_goes_out_as_it_came():
    assert encode_json(decode_json(b'["\\ud800"]')) == b'["\\ud800"]'


@pytest.mark.parametrize("value", [math.nan, math.inf, object()])
def test_what_json_has_no_form_for_is_an_error(value):
    with pytest.raises((TypeError, ValueError)):
        encode_json({"value": value})


async def test_no_json_that_a_client_sends_makes_an_echo_fail(client_of):
    app = App()

    @app.post("/")
    async def echo(request: Request):
        return JSONResponse(await request.json())

    client = await client_of(app)
    for body, status in {b'"\\udfff"': 200, b"NaN": 400, b"1e999": 400, b"[" * 100_000: 400}.items():
        answer = await client.post("/", content=body)
        assert answer.status == status, body[:10]
        assert json.loads(answer.text) == "\udfff" if status == 200 else "not JSON" in answer.text
