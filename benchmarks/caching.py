"""Measures what reading and writing the caching fields costs, beside Werkzeug where it has the same.

Rules of this module: both sides read the same text, and what they read is compared before anything is measured. They
take turns, and each figure is the median of its rounds, in microseconds a call.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from statistics import median

from report import print_table
from werkzeug.datastructures import RequestCacheControl, ResponseCacheControl
from werkzeug.http import parse_cache_control_header

from tricorn.caching import (
    CDN,
    CacheControl,
    CacheStatus,
    choose_algorithm,
    digest_field,
    freshness_of,
    parse_digests,
    parse_server_timing,
    parse_targeted,
    verify,
)
from tricorn.headers import Headers
from tricorn_transports.http.structured import parse_dictionary, parse_item, parse_list, serialize_dictionary

Call = Callable[[], object]

PLAIN = "public, max-age=600, stale-while-revalidate=30"
QUOTED = 'private="set-cookie, x-user", max-age=60'
REQUEST = "no-cache, max-stale=60"
MANY = "public, max-age=600, s-maxage=3600, must-revalidate, proxy-revalidate, no-transform, x-tier=2"
STATUS = 'OriginCache; fwd=uri-miss; stored; ttl=60, "CDN Company"; hit; ttl=30'
DIGEST = digest_field(b"x" * 1024)
TIMING = 'miss, db;dur=53, app;dur=47.2;desc="Application"'
RESPONSE = Headers(
    [
        (b"date", b"Tue, 14 Nov 2023 22:13:20 GMT"),
        (b"cache-control", PLAIN.encode()),
        (b"cdn-cache-control", b"max-age=600"),
        (b"age", b"30"),
    ]
)


def werkzeug_parse(text: str, kind: type[ResponseCacheControl] | type[RequestCacheControl]) -> Call:
    return lambda: parse_cache_control_header(text, cls=kind)


def werkzeug_build() -> str:
    control = ResponseCacheControl()
    control.public = True
    control.max_age = 600
    return control.to_header()


def werkzeug_read() -> object:
    control = parse_cache_control_header(PLAIN, cls=ResponseCacheControl)
    return control.max_age, control.no_store, control.public


def tricorn_read() -> object:
    control = CacheControl.parse(PLAIN)
    return control.max_age, control.no_store, control.public


#: What is measured: Tricorn's call and Werkzeug's, if it has one.
CALLS: dict[str, tuple[Call, Call | None]] = {
    "Cache-Control, parse: no-store": (
        lambda: CacheControl.parse("no-store"),
        werkzeug_parse("no-store", ResponseCacheControl),
    ),
    "Cache-Control, parse: three directives": (
        lambda: CacheControl.parse(PLAIN),
        werkzeug_parse(PLAIN, ResponseCacheControl),
    ),
    "Cache-Control, parse: seven directives": (
        lambda: CacheControl.parse(MANY),
        werkzeug_parse(MANY, ResponseCacheControl),
    ),
    "Cache-Control, parse: quoted field names": (
        lambda: CacheControl.parse(QUOTED),
        werkzeug_parse(QUOTED, ResponseCacheControl),
    ),
    "Cache-Control, parse: a request's": (
        lambda: CacheControl.parse(REQUEST),
        werkzeug_parse(REQUEST, RequestCacheControl),
    ),
    "Cache-Control, parse and read three": (tricorn_read, werkzeug_read),
    "Cache-Control, build and write": (lambda: str(CacheControl.public(max_age=600)), werkzeug_build),
    "freshness of a response": (lambda: freshness_of(200, RESPONSE, now=1_700_000_010.0), None),
    "CDN-Cache-Control, parse": (lambda: parse_targeted("max-age=600, stale-while-revalidate=30"), None),
    "freshness, with a target list": (lambda: freshness_of(200, RESPONSE, now=1_700_000_010.0, targets=CDN), None),
    "structured dictionary, parse": (lambda: parse_dictionary("u=1, i"), None),
    "structured dictionary, write": (lambda: serialize_dictionary({"u": 1, "i": True}), None),
    "Cache-Status, parse two": (lambda: CacheStatus.parse(STATUS), None),
    "Cache-Status, build and write": (lambda: str(CacheStatus("Tricorn", hit=True, ttl=30)), None),
    "Repr-Digest of 1 KiB, build": (lambda: digest_field(b"x" * 1024), None),
    "Repr-Digest of 1 KiB, verify": (lambda: verify(DIGEST, b"x" * 1024), None),
    "Want-Repr-Digest, choose": (lambda: choose_algorithm("sha-256=10, sha-512=3"), None),
    "Server-Timing, parse three": (lambda: parse_server_timing(TIMING), None),
}

#: What a hostile peer could send, in the size given: the worst of what each parser reads.
HOSTILE: dict[str, tuple[Callable[[str], object], str]] = {
    "Cache-Control: unknown directives": (CacheControl.parse, "x=1,"),
    "Cache-Control: quotes that never end": (CacheControl.parse, 'x="\\'),
    "Cache-Control: field names": (CacheControl.parse, 'private="a,b",'),
    "structured item: a string that never ends": (lambda text: _try(parse_item, '"' + text), "\\\\"),
    "structured list: members": (lambda text: _try(parse_list, text), "a;b=1, "),
    "structured inner list: parameters": (lambda text: _try(parse_list, "(" + text), "a;b "),
    "Repr-Digest: members": (parse_digests, "a=:AAAA:,"),
    "Server-Timing: metrics": (parse_server_timing, 'a;desc="\\",",'),
}


def _try(parse: Callable[[str], object], text: str) -> object:
    try:
        return parse(text)
    except ValueError:
        return None


def check() -> None:
    """That both sides read the same, and that what is measured is not the reading of a malformed field."""
    for text in (PLAIN, MANY):
        ours, theirs = CacheControl.parse(text), parse_cache_control_header(text, cls=ResponseCacheControl)
        assert (ours.max_age, ours.s_maxage, ours.public) == (theirs.max_age, theirs.s_maxage, theirs.public)
    assert tricorn_read() == werkzeug_read()
    assert str(CacheControl.public(max_age=600)) == "public, max-age=600"
    assert sorted(werkzeug_build().split(", ")) == ["max-age=600", "public"]
    assert len(CacheStatus.parse(STATUS)) == 2
    assert parse_targeted("max-age=600, stale-while-revalidate=30")
    assert len(parse_server_timing(TIMING)) == 3


def once(call: Call, number: int) -> float:
    """Microseconds of one call."""
    start = time.perf_counter()
    for _ in range(number):
        call()
    return (time.perf_counter() - start) / number * 1e6


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--calls", type=int, default=5000, help="calls of each in a round")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    check()
    figures: dict[str, list[tuple[float, float | None]]] = {name: [] for name in CALLS}
    for _ in range(options.rounds):
        for name, (ours, theirs) in CALLS.items():
            figures[name].append((once(ours, options.calls), theirs and once(theirs, options.calls)))
    rows = []
    for name, found in figures.items():
        ours = median(pair[0] for pair in found)
        others = [pair[1] for pair in found if pair[1] is not None]
        theirs = [f"{median(others):.2f}", f"{median(others) / ours:.2f}"] if others else ["-", "-"]
        rows.append([name, f"{ours:.2f}", *theirs])
    title = f"Microseconds a call; Python {sys.version.split()[0]}, Werkzeug {version('werkzeug')}"
    print_table(title, ["what", "Tricorn", "Werkzeug", "Werkzeug / Tricorn"], rows)

    rows = []
    for name, (parse, part) in HOSTILE.items():
        small, large = (min(once(partial(parse, text), 1) for _ in range(3)) / 1000 for text in _sizes(part))
        rows.append([name, f"{small:.2f}", f"{large:.2f}", f"{large / small:.1f}"])
    print_table("Milliseconds for a hostile field", ["what", "100 KB", "1 MB", "ratio"], rows)
    return 0


def _sizes(part: str) -> tuple[str, str]:
    return part * (100_000 // len(part)), part * (1_000_000 // len(part))


if __name__ == "__main__":
    sys.exit(main())
