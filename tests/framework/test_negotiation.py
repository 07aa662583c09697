"""The choice of a content coding (RFC 9110 section 12.5.3)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tricorn.negotiation import MAX_CODINGS, accepts_identity, choose_coding, coding_weights

ALL = ("zstd", "br", "gzip")


@pytest.mark.parametrize(
    ("field", "chosen"),
    [
        # The examples of section 12.5.3.
        ("compress, gzip", "gzip"),
        ("", None),
        ("*", "zstd"),
        ("compress;q=0.5, gzip;q=1.0", "gzip"),
        ("gzip;q=1.0, identity; q=0.5, *;q=0", "gzip"),
        # What browsers and tools send.
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip, deflate, br", "br"),
        ("gzip, deflate", "gzip"),
        ("identity", None),
        # Weights decide, then the server.
        ("gzip;q=0.9, br;q=0.8, zstd;q=0.7", "gzip"),
        ("gzip;q=0.8, br;q=0.8, zstd;q=0.7", "br"),
        ("gzip;q=0.001", "gzip"),
        ("gzip;q=0", None),
        ("gzip;q=0.000", None),
        ("gzip;q=1.000", "gzip"),
        ("zstd;q=0, *", "br"),
        ("*;q=0.5, gzip", "gzip"),
        ("*;q=0", None),
        ("gzip, *;q=0", "gzip"),
        ("identity;q=0", None),
        ("identity;q=0, *;q=0.1", "zstd"),
        ("identity;q=1, gzip;q=0.5", None),
        ("identity;q=0.5, gzip;q=0.5", "gzip"),
        ("gzip;q=0.3, br;q=0, zstd;q=0, *;q=0.5", None),
        # Names are compared without regard to case, and have aliases (section 8.4.1.3).
        ("GZip", "gzip"),
        ("x-gzip", "gzip"),
        ("gzip;Q=0.5", "gzip"),
        # White space and empty members.
        (",, \tgzip\t;\tq=0.5 ,,", "gzip"),
        # The malformed is not there.
        ("gzip;q=2", None),
        ("gzip;q=-1", None),
        ("gzip;q=1.5", None),
        ("gzip;q=", None),
        ("gzip;level=9", None),
        ("gz ip, br", "br"),
        ('"gzip"', None),
        ("gzip;q=0, gzip", None),
    ],
)
def test_the_choice(field: str, chosen: str | None) -> None:
    assert choose_coding([field], ALL) == chosen


def test_without_the_field_nothing_is_coded() -> None:
    assert choose_coding([], ALL) is None


def test_lines_of_the_field_are_one_list() -> None:
    assert choose_coding(["zstd;q=0.5", "br;q=0.7", "gzip;q=0.6"], ALL) == "br"


def test_what_is_not_available_is_not_chosen() -> None:
    assert choose_coding(["zstd, br, gzip;q=0.1"], ("gzip",)) == "gzip"
    assert choose_coding(["*"], ()) is None


@pytest.mark.parametrize(
    ("field", "accepted"),
    [
        ("gzip", True),
        ("", True),
        ("*", True),
        ("identity;q=0", False),
        ("*;q=0", False),
        ("identity;q=0.1, *;q=0", True),
    ],
)
def test_identity(field: str, accepted: bool) -> None:
    assert accepts_identity([field]) is accepted


def test_only_so_many_members_are_read() -> None:
    field = ",".join([*(f"c{number}" for number in range(MAX_CODINGS)), "gzip"])
    assert len(coding_weights([field])) == MAX_CODINGS
    assert choose_coding([field], ALL) is None


@given(st.text(st.characters(max_codepoint=255), max_size=300))
def test_any_text_is_read(field: str) -> None:
    chosen = choose_coding([field], ALL)
    assert chosen is None or coding_weights([field]).get(chosen, coding_weights([field]).get("*", 0)) > 0


_NAMES = st.sampled_from(["zstd", "br", "gzip", "identity", "*", "deflate"])


@given(st.dictionaries(_NAMES, st.integers(0, 1000), max_size=6))
def test_the_choice_is_the_best_there_is(weights: dict[str, int]) -> None:
    field = ", ".join(f"{name};q={weight // 1000}.{weight % 1000:03d}" for name, weight in weights.items())
    assert coding_weights([field]) == weights
    chosen = choose_coding([field], ALL)
    others = weights.get("*", 0)
    best = max(weights.get(coding, others) for coding in ALL)
    if chosen is None:
        assert best == 0 or weights.get("identity", others) > best
    else:
        assert weights.get(chosen, others) == best >= weights.get("identity", others)
        assert all(weights.get(coding, others) < best for coding in ALL[: ALL.index(chosen)])


@pytest.mark.parametrize("unit", ["gzip;q=0", " ", "\t;", "a" * 7, ",", "gzip ;", "q=0.", "*;q=1.0000"])
def test_length_costs_no_more_than_length(unit: str) -> None:
    """A quadratic reader would take hours over this."""
    choose_coding([unit * 1_000_000], ALL)
