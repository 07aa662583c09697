"""Cache-Status (RFC 9211): built, read, and read of anything."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tricorn.caching import CacheStatus, Forwarded, format_cache_status


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (CacheStatus("OriginCache", hit=True, ttl=1100), "OriginCache; hit; ttl=1100"),
        (CacheStatus("CDN Company Here", hit=True, ttl=-5), '"CDN Company Here"; hit; ttl=-5'),
        (
            CacheStatus("a", forwarded=Forwarded.STALE, forwarded_status=304, collapsed=True, stored=False),
            "a; fwd=stale; fwd-status=304; stored=?0; collapsed",
        ),
        (CacheStatus("a", key="k", detail="d x", extensions={"x": 1}), 'a; key="k"; detail="d x"; x=1'),
    ],
)
def test_a_status_is_built_and_read(status: CacheStatus, text: str) -> None:
    assert str(status) == text.replace("; ", ";")
    assert CacheStatus.parse(text) == (status,)


def test_several_caches() -> None:
    text = "Origin; fwd=uri-miss; stored, Edge; hit"
    origin, edge = CacheStatus.parse(text)
    assert (origin.forwarded, origin.stored, edge.hit) == (Forwarded.URI_MISS, True, True)
    assert format_cache_status([origin, edge]) == "Origin;fwd=uri-miss;stored, Edge;hit"


def test_parameters_of_the_wrong_type_are_ignored() -> None:
    text = (
        'a; hit="yes"; fwd="stale"; ttl=1.5; stored=1; key=tok; detail=tok, (b c), 5, d; hit; fwd=own, e; stored, %"é"'
    )
    assert CacheStatus.parse(text.replace("é", "%c3%a9")) == (
        CacheStatus("a", detail="tok"),
        CacheStatus("d", forwarded="own"),
        CacheStatus("e"),
    )
    assert CacheStatus.parse("a; hit,") == ()


@pytest.mark.parametrize(
    "arguments",
    [
        {"hit": True, "forwarded": Forwarded.MISS},
        {"forwarded_status": 200},
        {"collapsed": True},
        {"stored": True},
        {"forwarded": "no token"},
        {"key": "é"},
        {"extensions": {"X": 1}},
        {"extensions": {"fwd": "miss"}},
    ],
)
def test_what_cannot_be_said(arguments: Any) -> None:
    with pytest.raises(ValueError):
        CacheStatus("a", **arguments)


@given(
    st.lists(st.sampled_from(["a", ";", "fwd", "=", "hit", "miss", ", ", '"b"', "ttl", "5", "?0", "@1", ":YQ==:"])).map(
        "".join
    )
    | st.text()
)
def test_any_text_is_read_and_reads_the_same_again(text: str) -> None:
    statuses = CacheStatus.parse(text)
    assert CacheStatus.parse(format_cache_status(statuses)) == statuses
