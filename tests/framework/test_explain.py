"""What is made of a response that was seen: facts, and one case at least for every warning."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tricorn.caching.etag import content_tag
from tricorn.caching.freshness import Source, Storage
from tricorn.explain import Answer, Asked, Explanation, Observed, explain
from tricorn.explain.findings import CODES, finding
from tricorn.headers import Headers
from tricorn_transports.http.dates import format_date

NOW = 1_700_000_000.0
HOUR_AGO, TOMORROW = format_date(NOW - 3600), format_date(NOW + 86_400)

#: A response that nothing is wrong with, and what a revalidation of it gets.
GOOD = {"cache-control": "public, max-age=600", "etag": '"v1"', "content-type": "text/plain"}
UNMODIFIED = {"cache-control": "public, max-age=600", "etag": '"v1"'}


def headers(fields: dict[str, str]) -> Headers:
    return Headers([(name.encode(), value.encode()) for name, value in fields.items()])


def seen(
    fields: dict[str, str] | None = None,
    *,
    method: str = "GET",
    asked: dict[str, str] | None = None,
    status: int = 200,
    body: bytes = b"hello",
    complete: bool = True,
    **others: Answer,
) -> Observed:
    answer = Answer(status, headers(GOOD if fields is None else fields), body, complete)
    return Observed(Asked(method, "/", headers(asked or {})), answer, NOW, **others)


def answer(status: int, fields: dict[str, str], body: bytes = b"hello") -> Answer:
    return Answer(status, headers(fields), body)


def codes(observed: Observed) -> list[str]:
    return [found.code for found in explain(observed).warnings]


def test_nothing_is_wrong_with_a_good_response() -> None:
    observed = seen(again=answer(200, GOOD), revalidated=answer(304, UNMODIFIED), ranged=answer(206, GOOD, b"h"))
    assert codes(observed) == []


def policy(text: str, **more: str) -> dict[str, Any]:
    return {
        "fields": {**GOOD, "cache-control": text, **{name.replace("_", "-"): value for name, value in more.items()}}
    }


def without(*names: str, **more: str) -> dict[str, Any]:
    return {"fields": {name: value for name, value in {**GOOD, **more}.items() if name not in names}}


def also(**more: str) -> dict[str, Any]:
    return {"fields": {**GOOD, **{name.replace("_", "-"): value for name, value in more.items()}}}


WRONG: list[tuple[str, dict[str, Any]]] = [
    ("heuristic-freshness", without("cache-control")),
    ("heuristic-freshness", policy("private", last_modified=HOUR_AGO)),
    ("heuristic-freshness", {**without("cache-control"), "status": 301}),
    ("heuristic-freshness", {**policy("public"), "status": 299}),
    ("cacheable-error", {**without("cache-control"), "status": 404}),
    ("error-lifetime", {"status": 503}),
    ("set-cookie-shared", also(set_cookie="a=b")),
    ("set-cookie-shared", policy("no-cache", set_cookie="a=b")),
    ("authorization-shared", {"asked": {"authorization": "Basic eA=="}}),
    ("authorization-unshared", {**policy("max-age=60"), "asked": {"authorization": "Basic eA=="}}),
    ("unsafe-method", {"method": "POST"}),
    ("vary-star", also(vary="*")),
    ("vary-star", also(vary="no name")),
    ("vary-user-agent", also(vary="accept-encoding, user-agent")),
    ("vary-cookie", also(vary="Cookie")),
    ("encoding-without-vary", also(content_encoding="gzip", vary="Accept")),
    ("contradiction", policy("public, private, max-age=60")),
    ("contradiction", policy("no-store, max-age=60")),
    ("contradiction", policy("private, s-maxage=60")),
    ("contradiction", policy("max-age=60, must-revalidate, stale-while-revalidate=60")),
    ("contradiction", also(cdn_cache_control="no-store, max-age=60")),
    ("duplicate-directive", policy("max-age=60, max-age=61")),
    ("malformed-directive", policy("public, max-age=ten")),
    ("malformed-directive", policy("public, max-age")),
    ("malformed-directive", policy("max-age=60; public")),
    ("malformed-directive", policy("public; max-age=60")),
    ("unknown-directive", policy("public, max_age=60, max-age=60")),
    ("unknown-directive", policy("max-age=60, s-max-age=60")),
    ("request-directive", policy("max-age=60, max-stale=10")),
    ("immutable-short", policy("max-age=3600, immutable")),
    ("immutable-short", policy("public, immutable")),
    ("must-understand-alone", policy("must-understand, max-age=60")),
    ("no-transform-uncompressed", {**policy("max-age=60, no-transform"), "body": b"x" * 2000}),
    ("targeted-malformed", also(cdn_cache_control="Max-Age=60")),
    ("pragma-only", without("cache-control", pragma="no-cache")),
    ("expires-invalid", also(expires="tomorrow")),
    ("no-validator", without("etag")),
    ("no-validator", {**without("etag", **{"content-length": "20000000"}), "complete": False}),
    ("etag-malformed", also(etag="v1")),
    ("etag-unstable", {"again": answer(200, {**GOOD, "etag": '"v2"'})}),
    ("etag-unstable", {"again": answer(200, {**GOOD, "etag": '"v2"'}, b"other")}),
    ("etag-reused", {"again": answer(200, GOOD, b"other")}),
    ("last-modified-invalid", also(last_modified="yesterday")),
    ("last-modified-future", also(last_modified=TOMORROW)),
    ("date-odd", also(date="now")),
    ("date-odd", also(date=HOUR_AGO)),
    ("age-from-origin", also(age="5")),
    ("revalidation-ignored", {"revalidated": answer(200, GOOD)}),
    ("revalidation-failed", {"revalidated": answer(500, {}, b"")}),
    ("not-modified-incomplete", {"revalidated": answer(304, {"etag": '"v1"'}, b"")}),
    ("ranges-ignored", {**also(accept_ranges="bytes"), "ranged": answer(200, GOOD)}),
    ("weak-etag-ranges", also(etag='W/"v1"', accept_ranges="bytes")),
    ("weak-etag-ranges", {**also(etag='W/"v1"'), "ranged": answer(206, {"content-range": "bytes 0-0/5"}, b"h")}),
]


@pytest.mark.parametrize(("code", "case"), WRONG, ids=[f"{number}-{code}" for number, (code, _) in enumerate(WRONG)])
def test_what_is_wrong_is_warned_of(code: str, case: dict[str, Any]) -> None:
    assert code in codes(seen(**case))


def test_every_code_has_a_case_that_gives_it() -> None:
    assert {code for code, _ in WRONG} == set(CODES)


RIGHT: list[tuple[str, dict[str, Any]]] = [
    ("heuristic-freshness", policy("no-cache")),
    ("heuristic-freshness", {**without("cache-control"), "status": 302}),
    ("heuristic-freshness", policy("no-store")),
    ("cacheable-error", {"status": 404}),
    ("error-lifetime", {**policy("no-store"), "status": 503}),
    ("set-cookie-shared", policy("private, max-age=60", set_cookie="a=b")),
    ("set-cookie-shared", policy('no-cache="set-cookie", max-age=60', set_cookie="a=b")),
    ("authorization-shared", {**also(vary="Authorization"), "asked": {"authorization": "Basic eA=="}}),
    ("authorization-unshared", {**policy("private"), "asked": {"authorization": "Basic eA=="}}),
    ("unsafe-method", {**without("cache-control"), "method": "POST"}),
    ("vary-cookie", policy("private, max-age=60", vary="Cookie")),
    ("encoding-without-vary", also(content_encoding="gzip", vary="Accept-Encoding")),
    ("contradiction", policy("no-store, max-age=0")),
    ("unknown-directive", policy("max-age=60, community=x")),
    ("duplicate-directive", policy("max-age=60, max-age=60")),
    ("malformed-directive", policy('max-age="60"')),
    ("immutable-short", policy("max-age=31536000, immutable")),
    ("must-understand-alone", policy("must-understand, no-store, max-age=60")),
    ("pragma-only", also(pragma="no-cache")),
    ("expires-invalid", also(expires="0")),
    ("no-validator", without("etag", **{"last-modified": HOUR_AGO})),
    ("no-validator", {**without("etag"), "complete": False}),
    ("date-odd", also(date=format_date(NOW))),
    ("date-odd", also(date=HOUR_AGO, age="3600")),
    ("etag-unstable", {"again": answer(500, {})}),
    ("revalidation-failed", {"revalidated": answer(200, GOOD)}),
    ("etag-reused", {**also(etag='W/"v1"'), "again": answer(200, GOOD, b"other")}),
    (
        "revalidation-ignored",
        {"again": answer(200, {**GOOD, "etag": '"v2"'}), "revalidated": answer(200, {**GOOD, "etag": '"v3"'})},
    ),
]


@pytest.mark.parametrize(("code", "case"), RIGHT, ids=[f"{number}-{code}" for number, (code, _) in enumerate(RIGHT)])
def test_what_only_looks_like_it_is_not(code: str, case: dict[str, Any]) -> None:
    assert code not in codes(seen(**case))


def test_a_warning_is_one_line_that_fits_a_log() -> None:
    for _, case in WRONG:
        for found in explain(seen(**case)).warnings:
            assert "\n" not in found.text
            assert len(found.text) < 120
            assert found.clause.startswith("RFC ")


def test_a_contradiction_cites_the_directive_that_wins() -> None:
    (found,) = explain(seen(**policy("private, max-age=60, s-maxage=60"))).warnings
    assert found == finding("contradiction", found.text, "RFC 9111, 5.2.2.7")
    assert "private contradicts s-maxage" in found.text


# --- facts ------------------------------------------------------------------------------------------------------------


def test_each_kind_of_cache_has_its_own_lifetime() -> None:
    facts = explain(seen(**policy("max-age=60, s-maxage=600", cdn_cache_control="max-age=6000", expires=TOMORROW)))
    found = [(cache.cache, cache.field, cache.freshness and cache.freshness.lifetime) for cache in facts.caches]
    assert found == [
        ("private", "Cache-Control", 60),
        ("shared", "Cache-Control", 600),
        ("targeted", "CDN-Cache-Control", 6000),
    ]
    assert [cache.because for cache in facts.caches] == [Storage.MAX_AGE, Storage.S_MAXAGE, Storage.MAX_AGE]


def test_a_lifetime_of_expires_counts_from_the_date() -> None:
    facts = explain(seen(**without("cache-control", expires=TOMORROW)))
    for cache in facts.caches:
        assert cache.freshness is not None
        assert (cache.freshness.source, cache.freshness.lifetime) == (Source.EXPIRES, 86_400)
        assert (cache.because, cache.field) == (Storage.EXPIRES, "")


def test_what_may_not_be_stored_has_no_lifetime() -> None:
    private, shared = explain(seen(**policy("private, max-age=60"))).caches
    assert private.stored
    assert private.because is Storage.OWN_CACHE
    assert (shared.stored, shared.because, shared.clause) == (False, Storage.PRIVATE, "RFC 9111, 5.2.2.7")
    assert shared.freshness is None


@pytest.mark.parametrize(
    ("tag", "strength", "origin"),
    [
        ('"v1"', "strong", "application"),
        ('W/"v1"', "weak", "application"),
        ("v1", "malformed", "application"),
        (f'"{content_tag(b"hello")}"', "strong", "content"),
    ],
)
def test_a_tag_is_strong_or_weak_and_somebodys(tag: str, strength: str, origin: str) -> None:
    found = explain(seen(**also(etag=tag))).validators
    assert (found.etag, found.strength, found.origin) == (tag, strength, origin)
    assert explain(seen(**also(etag=tag), method="HEAD")).validators.origin is None


@pytest.mark.parametrize(
    ("tag", "origin"),
    [(f'"{content_tag(b"hello")}-gzip"', "content"), (f'W/"{content_tag(b"before it was coded")}"', None)],
)
def test_a_tag_of_what_is_coded_may_be_of_what_was_before(tag: str, origin: str | None) -> None:
    found = explain(seen(**also(etag=tag, content_encoding="gzip"))).validators
    assert (found.etag, found.origin) == (tag, origin)


def test_a_304_saves_the_content() -> None:
    found = explain(seen(revalidated=answer(304, UNMODIFIED, b""))).revalidation
    assert found is not None
    assert (found.status, found.saved, found.missing, found.if_none_match) == (304, 5, (), '"v1"')
    found = explain(seen(revalidated=answer(304, {"etag": '"v1"'}, b""))).revalidation
    assert found is not None
    assert found.missing == ("Cache-Control",)


def test_what_varies_is_shown_with_the_requests_values() -> None:
    facts = explain(seen(**also(vary="Accept-Encoding, Accept-Language"), asked={"accept-encoding": "br,  gzip"}))
    assert [(field.name, field.value) for field in facts.varies.fields] == [
        ("Accept-Encoding", "br,gzip"),
        ("Accept-Language", None),
    ]


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (policy("max-age=31536000, immutable"), "reuses"),
        (policy("no-cache, immutable"), "validates"),
        ({}, "validates"),
        (policy("no-store"), "fetches"),
        (without("etag"), "fetches"),
    ],
)
def test_what_a_reload_does(case: dict[str, Any], expected: str) -> None:
    assert explain(seen(**case)).reload == expected


@pytest.mark.parametrize(
    ("method", "status", "expected"), [("PUT", 204, True), ("PUT", 404, False), ("GET", 200, False)]
)
def test_what_invalidates_the_stored_response(method: str, status: int, expected: bool) -> None:
    assert explain(seen(method=method, status=status)).invalidates is expected


def test_the_size_of_what_was_not_read_is_what_was_announced() -> None:
    assert explain(seen(**also(content_length="1000"), complete=False)).size == 1000
    assert explain(seen(**also(content_length="1000"), method="HEAD", body=b"")).size == 1000
    assert explain(seen(complete=False)).size is None


def test_json_has_the_facts_in_plain_values() -> None:
    facts: Explanation = explain(seen(**also(vary="Accept")))
    document = facts.to_json()
    assert document["version"] == 1
    assert document["status"] == 200
    caches = document["caches"]
    assert isinstance(caches, list)
    assert isinstance(caches[0], dict)
    assert caches[0]["because"] == "public"
    assert caches[0]["freshness"] == {
        "lifetime": 600,
        "age": 0,
        "source": "max-age",
        "stale_while_revalidate": 0,
        "stale_if_error": 0,
        "must_validate": False,
        "never_stale": False,
        "immutable": False,
    }
    assert document["varies"] == {"any": False, "fields": [{"name": "Accept", "value": None}]}
    assert replace(facts, warnings=()).to_json()["warnings"] == []
