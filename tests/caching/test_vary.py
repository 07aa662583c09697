"""Vary: what is merged, and which stored response answers which request (RFC 9111 section 4.1)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tricorn.caching.vary import MAX_NAMES, Vary
from tricorn.headers import Headers


def test_build_and_parse():
    assert str(Vary.of("Accept", "accept-language", "ACCEPT")) == "Accept, accept-language"
    assert Vary.parse(" Accept ,, Cookie").names == ("Accept", "Cookie")
    assert str(Vary.of("Accept", "*")) == "*"
    assert not Vary.parse("")
    with pytest.raises(ValueError, match="field name"):
        Vary.of("a b")


@pytest.mark.parametrize(
    "text", ["*", "Accept, *", "a b", 'Accept, "x"', ", ".join(f"x{n}" for n in range(MAX_NAMES + 1))]
)
def test_what_no_request_can_match(text):
    vary = Vary.parse(text)
    assert vary.any
    assert vary.key([]) is None
    assert not vary.matches([], [])


def test_merge():
    assert str(Vary.of("Accept").merge("Cookie, accept", Vary.of("Origin"))) == "Accept, Cookie, Origin"
    assert Vary.of("Accept").merge("*").any
    assert Vary(any=True).merge("Accept").any


@pytest.mark.parametrize(
    ("stored", "presented", "matches"),
    [
        ([("Accept", "text/html")], [("accept", "text/html")], True),
        ([("Accept", "a, b")], [("Accept", "a,b")], True),
        ([("Accept", "a"), ("Accept", "b")], [("Accept", "a , b")], True),
        ([("Accept", "a, b")], [("Accept", "b, a")], False),
        ([], [], True),
        ([], [("Accept", "")], False),
        ([("Accept", "a"), ("Cookie", "x")], [("Accept", "a"), ("Cookie", "y")], True),
    ],
)
def test_matching(stored, presented, matches):
    vary = Vary.of("Accept")
    assert vary.matches(stored, presented) is matches
    raw = [(name.lower().encode(), value.encode()) for name, value in presented]
    assert vary.matches(stored, Headers(raw)) is matches
    if len(dict(presented)) == len(presented):
        assert vary.matches(dict(presented), stored) is matches


NAMES = st.lists(st.sampled_from(["Accept", "Cookie", "Origin", "accept", "*"]), max_size=4)


@given(NAMES, NAMES)
def test_merging_only_ever_adds(first, second):
    merged = Vary.of(*first).merge(Vary.of(*second))
    assert Vary.parse(str(merged)) == merged
    assert {n.lower() for n in first} <= {n.lower() for n in merged} or merged.any


@given(st.text(max_size=40))
def test_any_text_is_read(text):
    vary = Vary.parse(text)
    assert vary.any or Vary.parse(str(vary)) == vary
