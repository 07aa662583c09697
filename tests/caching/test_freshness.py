"""Freshness: lifetime, age, stale allowances and what a cache does with a request (RFC 9111 sections 3, 4 and 5)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tricorn.caching import (
    CDN,
    CacheControl,
    Freshness,
    Reuse,
    Storage,
    choose_policy,
    freshness_of,
    is_storable,
    storage_of,
)
from tricorn.caching.directives import MAX_SECONDS
from tricorn.caching.freshness import Source, current_age, parse_age, parse_expires
from tricorn.headers import Headers
from tricorn_transports.http.dates import format_date

NOW = 1_700_000_000.0


def headers(**fields: str) -> Headers:
    return Headers([(name.replace("_", "-").encode(), value.encode()) for name, value in fields.items()])


def fresh(status: int = 200, *, shared: bool = True, targets: Any = (), **fields: str) -> Freshness:
    return freshness_of(status, headers(**fields), now=NOW, shared=shared, targets=targets)


@pytest.mark.parametrize(
    ("fields", "shared", "source", "lifetime"),
    [
        ({"cache_control": "max-age=60, s-maxage=600"}, True, Source.S_MAXAGE, 600),
        ({"cache_control": "max-age=60, s-maxage=600"}, False, Source.MAX_AGE, 60),
        ({"cache_control": "max-age=60", "expires": format_date(NOW + 900)}, True, Source.MAX_AGE, 60),
        ({"cache_control": "max-age=x", "expires": format_date(NOW + 900)}, True, Source.MAX_AGE, 0),
        ({"expires": format_date(NOW + 900), "date": format_date(NOW - 100)}, True, Source.EXPIRES, 1000),
        ({"expires": format_date(NOW + 900)}, True, Source.EXPIRES, 900),
        ({"expires": "0"}, True, Source.EXPIRES, 0),
        ({"expires": format_date(NOW - 900)}, True, Source.EXPIRES, 0),
        ({"date": format_date(NOW), "last_modified": format_date(NOW - 1000)}, True, Source.HEURISTIC, 100),
        ({"last_modified": format_date(NOW + 1000)}, True, Source.NONE, 0),
        ({}, True, Source.NONE, 0),
    ],
)
def test_where_a_lifetime_comes_from(fields: Any, shared: bool, source: Source, lifetime: int) -> None:
    found = fresh(shared=shared, **fields)
    assert (found.source, found.lifetime) == (source, lifetime)


def test_fields_are_taken_as_any_client_has_them() -> None:
    mapping = {"Cache-Control": "max-age=60", "CDN-Cache-Control": "max-age=600", "Age": "5"}
    for fields in (mapping, list(mapping.items()), Headers.of(mapping)):
        found = freshness_of(200, fields, now=NOW)
        assert (found.lifetime, found.age) == (60, 5)
        assert freshness_of(200, fields, now=NOW, targets=CDN).lifetime == 600
        assert storage_of("GET", 200, fields) is Storage.MAX_AGE
        assert choose_policy(fields, CDN).field == "CDN-Cache-Control"


def test_a_heuristic_needs_a_status_that_allows_it_or_public() -> None:
    changed = format_date(NOW - 1000)
    assert fresh(302, last_modified=changed).source is Source.NONE
    assert fresh(302, last_modified=changed, cache_control="public").lifetime == 100
    assert freshness_of(200, headers(last_modified=changed), now=NOW, heuristic_fraction=0).source is Source.NONE


def test_a_targeted_field_puts_expires_out_of_force() -> None:
    fields = {"cdn_cache_control": "max-age=600", "cache_control": "no-store", "expires": format_date(NOW + 9)}
    assert fresh(targets=CDN, **fields).lifetime == 600
    assert fresh(targets=CDN, **(fields | {"cdn_cache_control": "public"})).source is Source.NONE
    assert fresh(targets=CDN, **(fields | {"cdn_cache_control": "&"})).source is Source.EXPIRES


@pytest.mark.parametrize(
    ("age", "date", "sent", "received", "now", "expected"),
    [
        (0, 100, 100, 100, 100, 0),
        (0, None, 100, 100, 107, 7),
        (0, 90, 100, 100, 100, 10),  # apparent age
        (30, 90, 100, 100, 100, 30),  # Age is larger
        (30, 90, 96, 100, 110, 44),  # and the delay of the response is added to it
        (0, 200, 100, 100, 105, 5),  # a Date ahead of the clock
        (0, 100, 100, 100, 100.2, 1),  # rounded so that less is reused
        (0, 100, 120, 100, 90, 0),  # clocks that run backwards
        (MAX_SECONDS, 100, 100, 100, 200, MAX_SECONDS),
    ],
)
def test_age(age: int, date: float | None, sent: float, received: float, now: float, expected: int) -> None:
    assert current_age(age, date, now=now, request_time=sent, response_time=received) == expected


def test_age_and_ttl_of_a_response() -> None:
    fields = headers(cache_control="max-age=100", age="30", date=format_date(NOW - 20))
    found = freshness_of(200, fields, now=NOW + 10, request_time=NOW - 5, response_time=NOW)
    assert (found.age, found.ttl, found.is_fresh) == (45, 55, True)
    assert not freshness_of(200, fields, now=NOW + 70, response_time=NOW).is_fresh  # at its lifetime exactly


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("60", 60),
        (" 60 ", 60),
        ("60, 70", 60),
        ("x, 70", None),
        ("-1", None),
        ("1.5", None),
        ("", None),
        ("9" * 99, 2**31),
    ],
)
def test_age_field(text: str, seconds: int | None) -> None:
    assert parse_age(text) == seconds


def test_expires_field() -> None:
    assert parse_expires("Sun, 06 Nov 1994 08:49:37 GMT") == 784111777
    assert parse_expires("0") == parse_expires("tomorrow") == 0


@pytest.mark.parametrize(
    ("control", "shared", "allowances"),
    [
        ("max-age=1, stale-while-revalidate=5, stale-if-error=9", True, (5, 9)),
        ("s-maxage=1, stale-while-revalidate=5, stale-if-error=9", True, (5, 9)),
        ("max-age=1, must-revalidate, stale-while-revalidate=5, stale-if-error=9", False, (0, 0)),
        ("max-age=1, proxy-revalidate, stale-while-revalidate=5", True, (0, 0)),
        ("max-age=1, proxy-revalidate, stale-while-revalidate=5", False, (5, 0)),
        ("no-cache, stale-if-error=9", True, (0, 0)),
        ('no-cache="a", stale-if-error=9', True, (0, 9)),
        ("max-age=1, stale-while-revalidate=x", True, (0, 0)),
    ],
)
def test_stale_allowances(control: str, shared: bool, allowances: tuple[int, int]) -> None:
    found = fresh(shared=shared, cache_control=control)
    assert (found.stale_while_revalidate, found.stale_if_error) == allowances


@pytest.mark.parametrize(
    ("response", "age", "request_", "error", "expected"),
    [
        ("max-age=60", 59, "", False, Reuse.FRESH),
        ("max-age=60", 60, "", False, Reuse.VALIDATE),
        ("max-age=60, no-cache", 5, "", False, Reuse.VALIDATE),
        ("max-age=60", 5, "no-cache", False, Reuse.VALIDATE),
        ("max-age=60", 5, "max-age=5", False, Reuse.FRESH),
        ("max-age=60", 5, "max-age=4", False, Reuse.VALIDATE),
        ("max-age=60", 50, "min-fresh=9", False, Reuse.FRESH),
        ("max-age=60", 50, "min-fresh=10", False, Reuse.FRESH),  # no less than its age plus that (section 5.2.1.3)
        ("max-age=60", 50, "min-fresh=11", False, Reuse.VALIDATE),
        ("max-age=60", 60, "min-fresh=0", False, Reuse.VALIDATE),
        ("max-age=60", 70, "max-stale=10", False, Reuse.STALE),
        ("max-age=60", 71, "max-stale=10", False, Reuse.VALIDATE),
        ("max-age=60", 9999, "max-stale", False, Reuse.STALE),
        ("max-age=60, must-revalidate", 70, "max-stale", False, Reuse.VALIDATE),
        ("s-maxage=60", 70, "max-stale", False, Reuse.VALIDATE),
        ("max-age=60, stale-while-revalidate=10", 70, "", False, Reuse.STALE_WHILE_REVALIDATE),
        ("s-maxage=60, stale-while-revalidate=10", 70, "", False, Reuse.STALE_WHILE_REVALIDATE),
        ("max-age=60, stale-while-revalidate=10", 71, "", False, Reuse.VALIDATE),
        ("max-age=60, stale-while-revalidate=10", 70, "max-age=99", False, Reuse.VALIDATE),
        ("max-age=60, stale-while-revalidate=0", 60, "", False, Reuse.VALIDATE),
        ("max-age=60, stale-if-error=10", 70, "", False, Reuse.VALIDATE),
        ("max-age=60, stale-if-error=10", 70, "", True, Reuse.STALE_IF_ERROR),
        ("max-age=60, stale-if-error=10", 71, "", True, Reuse.VALIDATE),
        ("max-age=60", 71, "stale-if-error=20", True, Reuse.STALE_IF_ERROR),
        ("max-age=60, must-revalidate", 71, "stale-if-error=20", True, Reuse.VALIDATE),
        ("max-age=60", 61, "only-if-cached", False, Reuse.GATEWAY_TIMEOUT),
        ("max-age=60", 59, "only-if-cached", False, Reuse.FRESH),
    ],
)
def test_what_a_request_gets(response: str, age: int, request_: str, error: bool, expected: Reuse) -> None:
    found = fresh(cache_control=response, age=str(age))
    assert found.reuse(CacheControl.parse(request_), error=error) is expected


@pytest.mark.parametrize(
    ("control", "arguments", "expected"),
    [
        ("max-age=60", {}, True),
        ("no-store, max-age=60", {}, False),
        ("must-understand, no-store, max-age=60", {}, True),
        ("must-understand, max-age=60", {"status": 299}, False),
        ("private", {}, False),
        ("private", {"shared": False}, True),
        ('private="a", max-age=60', {}, True),
        ("max-age=60", {"authorized": True}, False),
        ("max-age=60", {"authorized": True, "shared": False}, True),
        ("public, max-age=60", {"authorized": True}, True),
        ("s-maxage=60", {"authorized": True}, True),
        ("", {}, True),
        ("", {"status": 302}, False),
        ("public", {"status": 302}, True),
        ("private", {"status": 302, "shared": False}, True),
        ("max-age=60", {"status": 302}, True),
        ("s-maxage=60", {"status": 302, "shared": False}, False),
        ("max-age=60", {"method": "POST"}, False),
        ("max-age=60", {"status": 206}, False),
        ("max-age=60", {"request": CacheControl.no_store()}, False),
    ],
)
def test_what_may_be_stored(control: str, arguments: Any, expected: bool) -> None:
    options = {"method": "GET", "status": 200} | arguments
    fields = headers(cache_control=control) if control else headers()
    assert is_storable(options.pop("method"), options.pop("status"), fields, **options) is expected


@pytest.mark.parametrize(
    ("control", "arguments", "expected"),
    [
        ("public, max-age=60", {}, Storage.PUBLIC),
        ("private, max-age=60", {"shared": False}, Storage.OWN_CACHE),
        ("s-maxage=60, max-age=60", {}, Storage.S_MAXAGE),
        ("s-maxage=60, max-age=60", {"shared": False}, Storage.MAX_AGE),
        ("", {}, Storage.DEFAULT),
        ("", {"status": 302}, Storage.NOTHING),
        ("no-store, private", {"method": "POST"}, Storage.METHOD),
        ("no-store, private", {"status": 304}, Storage.STATUS),
        ("no-store, private", {}, Storage.NO_STORE),
        ("must-understand, no-store", {"status": 299}, Storage.NOT_UNDERSTOOD),
        ("private", {"request": CacheControl.no_store()}, Storage.REQUEST_NO_STORE),
        ("private", {"authorized": True}, Storage.PRIVATE),
        ("max-age=60", {"authorized": True}, Storage.AUTHORIZATION),
    ],
)
def test_what_decides_whether_it_is_stored(control: str, arguments: Any, expected: Storage) -> None:
    options = {"method": "GET", "status": 200} | arguments
    fields = headers(cache_control=control) if control else headers()
    assert storage_of(options.pop("method"), options.pop("status"), fields, **options) is expected


def test_expires_allows_storing_where_no_targeted_field_is_in_force() -> None:
    fields = headers(expires="0", cdn_cache_control="stale-if-error=60")
    assert storage_of("GET", 302, fields) is Storage.EXPIRES
    assert storage_of("GET", 302, fields, targets=CDN) is Storage.NOTHING


@given(
    st.lists(
        st.sampled_from(["max-age", "expires", "age", "date", "=", "5", ",", "-", "Sun, 06 Nov 1994 08:49:37 GMT"])
    )
)
def test_any_fields_give_times_within_bounds(parts: list[str]) -> None:
    text = "".join(parts)
    found = fresh(cache_control=text, age=text, expires=text, date=text, last_modified=text)
    assert 0 <= found.lifetime <= MAX_SECONDS
    assert 0 <= found.age <= MAX_SECONDS
