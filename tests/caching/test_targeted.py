"""Targeted fields (RFC 9213): read as structured fields, chosen by a target list."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tricorn.caching import CDN, CacheControl, choose_policy, format_targeted, parse_targeted
from tricorn.headers import Headers


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("max-age=60, no-store", "no-store, max-age=60"),
        ("max-age=60;why=x", "max-age=60"),
        ("max-age=1, max-age=2", "max-age=2"),
        ('no-cache="Set-Cookie, b", private=tok', 'private, no-cache="b, set-cookie"'),
        ('max-age="60"', "max-age=0"),
        ("max-age=1.5", "max-age=0"),
        ("max-age", "max-age=0"),
        ("max-age=-5", "max-age=0"),
        ("max-age=(1 2)", "max-age=0"),
        ("s-maxage=999999999999999", "s-maxage=2147483648"),
        ("no-store=?0, public", "public"),
        ("max-stale", "max-stale"),
        ("none", "none"),
        ('x=5, y="a b", z=t', 'x=5, y="a b", z=t'),
    ],
)
def test_a_targeted_field(text: str, canonical: str) -> None:
    assert str(parse_targeted(text)) == canonical


@pytest.mark.parametrize(
    "text", ["", "Max-Age=60", "max-age =60", "max-age=60,", "max-age=60, &&&", "max-age=a b", "é"]
)
def test_a_field_that_is_ignored(text: str) -> None:
    assert parse_targeted(text) is None


@pytest.mark.parametrize(
    ("control", "text"),
    [
        (CacheControl.public(max_age=60), "public, max-age=60"),
        (CacheControl.no_cache("b", "a"), 'no-cache="a, b"'),
        (CacheControl(extensions={"a": None, "b": "5", "c": "t/x", "d": "5x"}), 'a, b=5, c=t/x, d="5x"'),
    ],
)
def test_building_one(control: CacheControl, text: str) -> None:
    assert format_targeted(control) == text
    assert parse_targeted(text) == control


@pytest.mark.parametrize("control", [CacheControl(), CacheControl(extensions={"#": None})])
def test_what_no_targeted_field_can_say(control: CacheControl) -> None:
    with pytest.raises(ValueError):
        format_targeted(control)


def headers(*pairs: tuple[str, str]) -> Headers:
    return Headers([(name.encode(), value.encode()) for name, value in pairs])


def test_the_first_valid_field_of_the_target_list_is_chosen() -> None:
    response = headers(
        ("cache-control", "no-store"),
        ("cdn-cache-control", "max-age=60"),
        ("cdn-cache-control", "public"),
        ("example-cache-control", "Max-Age=600"),
        ("empty-cache-control", ""),
    )
    targets = ("Empty-Cache-Control", "Example-Cache-Control", *CDN)
    policy = choose_policy(response, targets)
    assert (str(policy.control), policy.field, policy.is_targeted) == ("public, max-age=60", "CDN-Cache-Control", True)
    assert str(choose_policy(response).control) == "no-store"


def test_without_a_valid_target_cache_control_holds() -> None:
    policy = choose_policy(headers(("cache-control", "max-age=5"), ("cdn-cache-control", "x y")), CDN)
    assert (str(policy.control), policy.is_targeted) == ("max-age=5", False)
    assert choose_policy(headers(), CDN) == (CacheControl(), "")


@given(st.text(alphabet='max-geprivtno=,; "5?:1.\n', max_size=60) | st.text())
def test_any_text_is_read(text: str) -> None:
    control = parse_targeted(text)
    if control:
        assert parse_targeted(format_targeted(control)) == control
