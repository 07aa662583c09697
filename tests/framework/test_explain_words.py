"""How an explanation reads."""

from __future__ import annotations

import pytest

from tricorn.caching import freshness_of
from tricorn.explain import Answer, Asked, Observed, explain
from tricorn.explain.report import lines
from tricorn.explain.words import duration, reuse
from tricorn.headers import Headers
from tricorn_transports.http.dates import format_date

NOW = 1_700_000_000.0


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 seconds"),
        (1, "1 second"),
        (90, "1 minute 30 seconds"),
        (600, "10 minutes"),
        (3605, "1 hour"),
        (5400, "1 hour 30 minutes"),
        (86_400, "1 day"),
        (31_536_000, "1 year"),
        (2**31, "68 years 35 days"),
    ],
)
def test_durations(seconds: int, text: str) -> None:
    assert duration(seconds) == text


def in_words(*, shared: bool = False, has_validator: bool = True, **fields: str) -> str:
    headers = Headers([(name.replace("_", "-").encode(), value.encode()) for name, value in fields.items()])
    return reuse(freshness_of(200, headers, now=NOW, shared=shared), has_validator=has_validator)


@pytest.mark.parametrize(
    ("control", "text"),
    [
        ("max-age=600", "fresh for 10 minutes (max-age: RFC 9111, 5.2.2.1), then revalidated"),
        (
            "max-age=600, stale-while-revalidate=60",
            "fresh for 10 minutes (max-age: RFC 9111, 5.2.2.1), then served stale for 1 minute while it is fetched "
            "anew, then revalidated",
        ),
        (
            "max-age=600, stale-if-error=86400",
            "fresh for 10 minutes (max-age: RFC 9111, 5.2.2.1), then revalidated; served stale for 1 day if the "
            "application fails",
        ),
        (
            "max-age=600, must-revalidate",
            "fresh for 10 minutes (max-age: RFC 9111, 5.2.2.1), then revalidated; never used stale",
        ),
        ("max-age=0", "stale at once (max-age: RFC 9111, 5.2.2.1), then revalidated"),
        ("no-cache", "revalidated before every use (no-cache: RFC 9111, 5.2.2.4)"),
        ("public", "no lifetime is given, so most caches take it as stale at once, then revalidated"),
    ],
)
def test_what_becomes_of_a_stored_response(control: str, text: str) -> None:
    assert in_words(cache_control=control) == text


@pytest.mark.parametrize("status", [300, 301, 308, 410])
@pytest.mark.parametrize("fields", [{}, {"last-modified": format_date(NOW - 86_400)}])
def test_what_browsers_keep_for_good_is_told_so(status: int, fields: dict[str, str]) -> None:
    text = " ".join("\n".join(report(fields, status=status)).split())
    assert f"no lifetime is given: browsers may keep a {status} for good, others take it as stale at once" in text
    assert f"without a lifetime: browsers may keep this {status} for good" in text


def test_what_varies_on_anything_is_never_fresh() -> None:
    text = "\n".join(report({"cache-control": "public, max-age=60", "vary": "*", "etag": '"v1"'}))
    assert "revalidated before every use (Vary: RFC 9111, 4.1)" in text
    assert "fresh" not in text
    assert "  Vary: *: what is stored" in "\n".join(report({"cache-control": "max-age=60", "vary": "Cookie, *"}))


def test_what_has_no_validator_is_fetched() -> None:
    assert in_words(cache_control="max-age=60", has_validator=False).endswith(", then fetched anew")


def test_a_shared_cache_goes_by_s_maxage() -> None:
    text = in_words(cache_control="max-age=60, s-maxage=3600", shared=True)
    assert text.startswith("fresh for 1 hour (s-maxage: RFC 9111, 5.2.2.10)")


def test_age_counts() -> None:
    assert in_words(cache_control="max-age=600", age="60").startswith("fresh for 9 minutes more, of 10 minutes (")
    old = in_words(cache_control="max-age=600", date=format_date(NOW - 3600))
    assert old.startswith("stale already, 1 hour old with a lifetime of 10 minutes (")


def report(fields: dict[str, str], width: int = 80, *, status: int = 200, **others: Answer) -> list[str]:
    headers = Headers([(name.encode(), value.encode()) for name, value in fields.items()])
    seen = Observed(Asked("GET", "/a", Headers()), Answer(status, headers, b"hello"), NOW, **others)
    return [str(line) for line in lines(explain(seen), width)]


def test_the_report_of_a_good_response() -> None:
    fields = {"cache-control": "public, max-age=60", "etag": '"v1"', "content-type": "text/plain"}
    unmodified = Answer(304, Headers([(b"etag", b'"v1"'), (b"cache-control", b"public, max-age=60")]))
    assert report(fields, revalidated=unmodified) == [
        "GET /a",
        "200 OK, text/plain, 5 bytes",
        "",
        "Cache-Control   public, max-age=60",
        "Any cache       stored: public (RFC 9111, 5.2.2.9)",
        "                fresh for 1 minute (max-age: RFC 9111, 5.2.2.1), then",
        "                revalidated",
        'Validators      ETag "v1", strong, the application\'s own',
        "Revalidation    got 304 Not Modified: 5 bytes saved, and it has every field that",
        "                it must",
        "Varies on       nothing: one response for all requests",
        "Ranges          not announced",
        "Reload          asks whether it has changed, and gets a 304; a forced one",
        "                fetches it past all caches",
        "",
        "No warnings",
    ]


def test_nothing_that_an_application_sends_reaches_the_terminal_as_a_command() -> None:
    evil = {"etag": '"\x1b[2J"', "content-type": "text/\x07plain", "vary": "\x1b[31m", "cache-control": "x=\x1b[0m"}
    text = "\n".join(report(evil))
    assert text.replace("\n", "").isprintable()
    assert r'ETag "\x1b[2J"' in text


def test_a_revalidation_that_fails_is_no_second_response() -> None:
    text = " ".join("\n".join(report({"etag": '"v1"'}, revalidated=Answer(500, Headers()))).split())
    assert "Revalidation got 500 Internal Server Error: neither a 304 nor the response" in text
    assert "Reload asks whether it has changed, and gets a 500;" in text


def test_caches_that_differ_are_told_apart() -> None:
    text = "\n".join(report({"cache-control": "private, max-age=60", "cdn-cache-control": "max-age=600"}))
    assert "\nBrowser         stored: private, and this cache is its user's own" in text
    assert "\nShared cache    not stored: private (RFC 9111, 5.2.2.7)" in text
    assert "\nCDN             goes by CDN-Cache-Control alone (RFC 9213, 2.2); stored: max-age" in text
    assert "Any cache" not in text


def test_warnings_come_last_with_code_and_clause() -> None:
    found = report({"cache-control": "public, max-age=60", "vary": "*"})
    assert found[found.index("2 warnings") :] == [
        "2 warnings",
        "  vary-star (RFC 9111, 4.1)",
        "    Vary: *: what is stored is never reused without asking",
        "  no-validator (RFC 9110, 8.8)",
        "    neither ETag nor Last-Modified: once stale, all of it is sent again",
    ]


@pytest.mark.parametrize("width", [60, 80, 100])
def test_no_line_is_wider_than_asked(width: int) -> None:
    fields = {
        "cache-control": "private, no-cache, max-age=10, s-maxage=60, immutable, stale-while-revalidate=60",
        "cdn-cache-control": "max-age=600, stale-while-revalidate=60, stale-if-error=86400",
        "vary": "Accept-Encoding, Accept-Language, Cookie, User-Agent, Accept",
        "etag": 'W/"v1"',
    }
    assert max(map(len, report(fields, width))) <= width
