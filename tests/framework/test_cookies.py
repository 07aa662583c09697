"""Cookies: what is read, what is written, what is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tricorn.cookies import format_cookie, parse_cookies


def test_reading_is_lenient():
    assert parse_cookies('a=1; b = "x y" ;c; =d; a=2; e=f=g') == {"a": "1", "b": "x y", "e": "f=g"}


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_comes_back(value):
    pair = format_cookie("n", value).partition("; ")[0]
    assert pair.isascii()
    assert pair.isprintable()
    assert parse_cookies(pair) == {"n": value}


def test_attributes():
    cookie = format_cookie(
        "__Host-id",
        "v",
        max_age=timedelta(minutes=1),
        expires=datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC),
        secure=True,
        httponly=True,
        samesite="none",
        partitioned=True,
    )
    assert cookie == (
        "__Host-id=v; Max-Age=60; Expires=Wed, 02 Jan 2030 03:04:05 GMT; Path=/; Secure; HttpOnly; SameSite=None; "
        "Partitioned"
    )


@pytest.mark.parametrize(
    ("name", "attributes", "complaint"),
    [
        ("a b", {}, "not a token"),
        ("a", {"path": "/;x"}, "path"),
        ("a", {"domain": "x\r\n"}, "domain"),
        ("a", {"samesite": "none"}, "SameSite=None only with secure"),
        ("__Secure-a", {}, "__Secure- name only with secure"),
        ("__Host-a", {"secure": True, "domain": "example.com"}, "no domain"),
        ("a", {"samesite": "often"}, "samesite"),
        ("a", {"expires": datetime(2030, 1, 1)}, "time zone"),
    ],
)
def test_what_browsers_would_drop_is_refused(name, attributes, complaint):
    with pytest.raises(ValueError, match=complaint):
        format_cookie(name, "v", **attributes)
