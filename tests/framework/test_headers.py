"""Fields: case, several values, and what is refused."""

from __future__ import annotations

import pytest

from tricorn.headers import Headers, MutableHeaders, encode_headers


def test_names_have_no_case_and_values_stay_in_order():
    headers = Headers([(b"accept", b"a"), (b"x", b"1"), (b"accept", b"\xe9")])
    assert headers["Accept"] == headers.get("ACCEPT") == "a"
    assert headers.getlist("accept") == ["a", "é"]
    assert headers.multi_items() == [("accept", "a"), ("x", "1"), ("accept", "é")]
    assert dict(headers.items()) == {"accept": "a", "x": "1"}
    assert (len(headers), list(headers)) == (2, ["accept", "x"])
    assert "X" in headers
    assert "y" not in headers
    assert headers.get("y") is None
    with pytest.raises(KeyError):
        headers["y"]


def test_writing_changes_the_raw_list_itself():
    raw = [(b"a", b"1"), (b"b", b"2"), (b"a", b"3")]
    headers = MutableHeaders(raw)
    headers.set("A", " x ")
    headers.add("c", "4")
    headers.delete("B")
    assert headers.setdefault("c", "5") == "4"
    assert headers.setdefault("d", "6") == "6"
    assert raw == [(b"a", b"x"), (b"c", b"4"), (b"d", b"6")]
    headers.update([("c", "7"), ("c", "8")])
    assert headers.getlist("c") == ["7", "8"]


@pytest.mark.parametrize("value", ["a\r\nset-cookie: x=1", "a\nb", "a\rb", "a\0b", "snow\N{SNOWMAN}"])
def test_values_that_would_split_a_message_are_refused(value):
    headers = MutableHeaders()
    for write in (headers.set, headers.add, headers.setdefault):
        with pytest.raises(ValueError, match="header x"):
            write("x", value)
    assert headers.raw == []


def test_what_is_no_text_is_refused():
    for fields, complaint in (({"x-count": 5}, "header x-count: 5 is not a str"), ({b"x": "1"}, "header name b'x' is")):
        with pytest.raises(TypeError, match=complaint):
            encode_headers(fields)


@pytest.mark.parametrize("name", ["", "a b", "a:", "é", "a\n"])
def test_names_that_are_no_tokens_are_refused(name):
    with pytest.raises(ValueError, match="not a token"):
        MutableHeaders().add(name, "x")


def test_vary_names_each_field_once():
    headers = MutableHeaders([(b"vary", b"Accept"), (b"vary", b"origin")])
    headers.add_vary("Origin", "Cookie")
    assert headers.getlist("vary") == ["Accept, origin, Cookie"]
    headers.add_vary("*")
    headers.add_vary("Accept")
    assert headers.getlist("vary") == ["*"]
