"""CacheControl: what is built is checked, what is received is read as RFC 9111 says."""

from __future__ import annotations

import copy
import pickle
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tricorn.caching import CacheControl
from tricorn.caching.directives import DIRECTIVES, MAX_EXTENSIONS, MAX_FIELD_NAMES, MAX_SECONDS, Kind

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "cache-control.md"


@pytest.mark.parametrize(
    ("control", "text"),
    [
        (CacheControl(), ""),
        (CacheControl.public(max_age=60), "public, max-age=60"),
        (CacheControl.private(max_age=timedelta(minutes=5)), "private, max-age=300"),
        (CacheControl.private("Set-Cookie", "X-User", max_age=5), 'private="set-cookie, x-user", max-age=5'),
        (CacheControl(private="a, B"), 'private="a, b"'),
        (CacheControl.no_store(), "no-store"),
        (CacheControl.no_cache(), "no-cache"),
        (CacheControl.no_cache("set-cookie", max_age=5), 'no-cache="set-cookie", max-age=5'),
        (CacheControl.immutable(public=True), "public, max-age=31536000, immutable"),
        (CacheControl.immutable(max_age=9), "max-age=9, immutable"),
        (
            CacheControl.public(max_age=60, s_maxage=600, stale_while_revalidate=30, stale_if_error=timedelta(days=1)),
            "public, max-age=60, s-maxage=600, stale-while-revalidate=30, stale-if-error=86400",
        ),
        (CacheControl(must_understand=True, no_store=True, max_age=60), "must-understand, no-store, max-age=60"),
        (CacheControl(max_stale=True), "max-stale"),
        (CacheControl(max_stale=5, max_age=0), "max-age=0, max-stale=5"),
        (CacheControl(only_if_cached=True), "only-if-cached"),
        (CacheControl(max_age=0, public=False, s_maxage=None), "max-age=0"),
        (CacheControl(extensions={"X-A": None, "b": "1", "c": 'q"\\'}), 'x-a, b=1, c="q\\"\\\\"'),
    ],
)
def test_what_is_built_reads_as_itself(control: CacheControl, text: str) -> None:
    assert str(control) == control.to_header() == text
    assert CacheControl.parse(text) == control
    assert hash(CacheControl.parse(text)) == hash(control)


def test_a_directive_is_an_attribute_and_never_a_method() -> None:
    control = CacheControl.public(max_age=60)
    assert control.public is True
    assert not any([control.private, control.no_store, control.no_cache, control.immutable])
    assert control.max_age == 60
    assert control.s_maxage is None
    assert CacheControl.no_cache("A").no_cache == {"a"}


@pytest.mark.parametrize(
    ("directives", "message"),
    [
        ({"public": True, "private": True}, "private contradicts public"),
        ({"s_maxage": 5, "private": True}, "private contradicts s-maxage"),
        ({"no_store": True, "max_age": 5}, "no-store contradicts max-age"),
        ({"no_store": True, "public": True}, "no-store contradicts public"),
        ({"no_store": True, "stale_if_error": 5}, "no-store contradicts stale-if-error"),
        ({"no_cache": True, "max_age": 5}, "no-cache contradicts max-age"),
        ({"no_cache": True, "stale_while_revalidate": 5}, "no-cache contradicts stale-while-revalidate"),
        ({"no_cache": True, "only_if_cached": True}, "no-cache contradicts only-if-cached"),
        ({"must_revalidate": True, "stale_if_error": 5}, "must-revalidate contradicts stale-if-error"),
        ({"immutable": True}, "immutable: it holds while"),
        ({"immutable": True, "max_age": 0}, "immutable: it holds while"),
        ({"min_fresh": 5, "max_stale": 5}, "min-fresh contradicts max-stale"),
        ({"only_if_cached": True, "public": True}, "only-if-cached contradicts public"),
    ],
)
def test_contradictions_are_refused_in_one_line(directives: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^Cache-Control: {message}") as caught:
        CacheControl(**directives)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "directives",
    [
        {"no_store": True, "no_cache": True, "must_revalidate": True, "max_age": 0},
        {"public": True, "private": ["x-user"], "max_age": 5},
        {"no_cache": ["set-cookie"], "max_age": 5},
        {"no_cache": True, "stale_if_error": 5},
        {"private": True, "no_store": True},
        {"s_maxage": 5, "immutable": True},
        {"min_fresh": 0, "max_stale": 5},
        {"stale_if_error": 5, "max_stale": 5, "max_age": 5},
    ],
)
def test_what_is_only_redundant_is_allowed(directives: Any) -> None:
    assert CacheControl(**directives).contradictions == []


@pytest.mark.parametrize(
    ("directives", "error"),
    [
        ({"max_age": -1}, ValueError),
        ({"max_age": timedelta(seconds=-1)}, ValueError),
        ({"max_age": 2**31 + 1}, ValueError),
        ({"max_age": True}, TypeError),
        ({"max_age": 1.5}, TypeError),
        ({"max_age": "60"}, TypeError),
        ({"public": "yes"}, TypeError),
        ({"private": 5}, TypeError),
        ({"private": []}, ValueError),
        ({"private": ["a b"]}, ValueError),
        ({"maxage": 5}, TypeError),
        ({"extensions": {"a b": None}}, ValueError),
        ({"extensions": {"Max-Age": "5"}}, ValueError),
        ({"extensions": {"a": "x\r\ny"}}, ValueError),
    ],
)
def test_arguments_that_cannot_be_ones(directives: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"^Cache-Control: "):
        CacheControl(**directives)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("MAX-AGE=60 ,\tPublic,, ", "public, max-age=60"),
        ('max-age="60"', "max-age=60"),
        ("max-age=10, max-age=20", "max-age=10"),
        ("max-age=x, max-age=20", "max-age=0"),
        ("max-age", "max-age=0"),
        ("max-age=", "max-age=0"),
        ("max-age=-1", "max-age=0"),
        ("max-age=+1", "max-age=0"),
        ("max-age=1.5", "max-age=0"),
        ("max-age= 5", "max-age=0"),
        ("max-age='5'", "max-age=0"),
        ("max-age=٣", "max-age=0"),
        ("max-age=5 s", "max-age=0"),
        ("max-age=" + "0" * 5000 + "7", "max-age=7"),
        ("max-age=2147483649, s-maxage=" + "9" * 5000, "max-age=2147483648, s-maxage=2147483648"),
        ("max-stale, min-fresh=x", "min-fresh=0, max-stale"),
        ("max-stale=5", "max-stale=5"),
        ("max-stale=x", "max-stale=0"),
        ("no-store=1, public=x", "public, no-store"),
        ("private=Set-Cookie", 'private="set-cookie"'),
        ('private="a", private="b,a"', 'private="a, b"'),
        ('private="a", private, private="b"', "private"),
        ('no-cache=""', "no-cache"),
        ('no-cache="a b"', "no-cache"),
        ('x="a, no-store", max-age=5', 'max-age=5, x="a, no-store"'),
        ('x="a\\", no-store", max-age=5', 'max-age=5, x="a\\", no-store"'),
        ('x="a, no-store', 'no-store, x="\\"a"'),
        ('private="a, no-store', "private, no-store"),
        ('x="a"b, max-age=5', 'max-age=5, x="\\"a\\"b"'),
        ("X=1, x=2, y", "x=1, y"),
        ("a b, =5, (, é=1, z", "z"),
        ('x="a\r\nb", y', "y"),
        ("no-store, max-age=60, public, private", "public, private, no-store, max-age=60"),
    ],
)
def test_what_is_received(text: str, canonical: str) -> None:
    assert str(CacheControl.parse(text)) == canonical


def test_what_was_received_tells_its_contradictions() -> None:
    found = CacheControl.parse("no-store, max-age=60, private, public").contradictions
    assert {(one.first, one.second) for one in found} == {
        ("no-store", "max-age"),
        ("no-store", "public"),
        ("private", "public"),
    }


def test_what_is_kept_is_bounded_and_what_counts_is_found_behind_it() -> None:
    control = CacheControl.parse(", ".join(f"x{number}" for number in range(1000)) + ", no-store")
    assert len(control.extensions) == MAX_EXTENSIONS
    assert control.no_store
    assert CacheControl.parse(f'private="{",".join(f"x{number}" for number in range(1000))}"').private is True
    assert MAX_FIELD_NAMES < 1000


@pytest.mark.parametrize("part", ['x="', 'private="a",', "a,", "no-cache=x,", '"', "=", '\\"', 'a="\\'])
def test_a_megabyte_is_read_once(part: str) -> None:
    CacheControl.parse(part * (1_000_000 // len(part)))  # anything worse than linear takes hours here


def test_replace() -> None:
    control = CacheControl.public(max_age=60, extensions={"x": "1"})
    assert str(control.replace(max_age=5, no_transform=True)) == "public, max-age=5, no-transform, x=1"
    assert str(control.replace(public=False, extensions={})) == "max-age=60"
    assert str(control) == "public, max-age=60, x=1"
    with pytest.raises(ValueError, match="no-store contradicts"):
        control.replace(no_store=True)


@pytest.mark.parametrize(
    ("base", "over", "merged"),
    [
        ("public, max-age=60", "max-age=5", "public, max-age=5"),
        ("public, max-age=60, stale-if-error=9, x=1", "no-store", "no-store, x=1"),
        ("public, s-maxage=60, max-age=5", "private", "private, max-age=5"),
        ("no-store", "public, max-age=5", "public, max-age=5"),
        ("max-age=9, immutable", "no-cache", "no-cache"),
        ("max-age=9, immutable", "max-age=0", "max-age=0"),
        ("s-maxage=9, immutable", "private", "private"),
        ("must-understand, no-store, max-age=9", "no-store", "no-store"),
        ("public, max-age=9", "", "public, max-age=9"),
    ],
)
def test_merge_lets_the_nearer_policy_win(base: str, over: str, merged: str) -> None:
    assert str(CacheControl.parse(base).merge(CacheControl.parse(over))) == merged


def test_merge_does_not_settle_what_one_side_contradicts_itself() -> None:
    with pytest.raises(ValueError, match="no-store contradicts max-age"):
        CacheControl.parse("no-store, max-age=60").merge(CacheControl(no_transform=True))


def test_it_cannot_be_changed() -> None:
    control = CacheControl.public(max_age=60, extensions={"x": None})
    with pytest.raises(AttributeError):
        control.max_age = 5  # type: ignore[misc]  # that this fails is what is tested
    with pytest.raises(TypeError):
        control.directives["max-age"] = 5  # type: ignore[index]  # as above
    assert copy.deepcopy(control) == pickle.loads(pickle.dumps(control)) == control
    assert not CacheControl()
    assert eval(repr(control), {"CacheControl": CacheControl}) == control


@given(
    st.lists(
        st.sampled_from(
            [*(directive.name for directive in DIRECTIVES), "=", '"', ",", " ", "\\", "x", "5", "-", "é", "\n"]
        ),
        max_size=30,
    ).map("".join)
    | st.text()
)
def test_any_text_is_read_and_what_is_written_reads_as_itself(text: str) -> None:
    control = CacheControl.parse(text)
    assert CacheControl.parse(str(control)) == control
    assert "\n" not in str(control)
    times = [value for name, value in control.directives.items() if type(value) is int and name != "max-stale"]
    assert all(0 <= value <= MAX_SECONDS for value in times)


def test_the_reference_page_has_every_directive() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \| (.*?) \| (.*?) \| (.*?) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    arguments = {Kind.FLAG: "none", Kind.SECONDS: "seconds", Kind.SECONDS_OR_ANY: "seconds or none"}
    arguments[Kind.FIELDS] = "none or field names"
    assert rows == [
        (
            one.name,
            arguments[one.kind] if one.name != "no-cache" else rows[2][1],
            one.request or "-",
            one.response or "-",
        )
        for one in DIRECTIVES
    ]
