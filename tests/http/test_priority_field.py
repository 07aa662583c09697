"""The Priority field (RFC 9218): read leniently member by member, and not at all where it is no dictionary."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tricorn_transports.http.priority import Priority, merge_priority, parse_priority


@pytest.mark.parametrize(
    ("value", "priority"),
    [
        (b"u=5, i", (5, True)),
        (b"u=0", (0, False)),
        (b"i", (3, True)),
        (b"i=?0,u=7", (7, False)),
        (b"i=?1;x=1 , u=2;y", (2, True)),
        (b"u=8", None),
        (b"u=-1, i=1", None),
        (b"u=3.0", None),
        (b"", None),
        (b"weird, =, u", None),
        (b"other=1, u=1", (1, False)),
        (b"u=1, u=6", (6, False)),
        (b"u=1, other=%", None),
        (b"u=?1, i", (3, True)),
        (b"u=@1, i=1", None),
        (b"u=(1 2)", None),
        (b"u=1, " + b"x=1, " * 20 + b"i", (1, True)),
        (b"u=\xff", None),
    ],
)
def test_priority_field(value: bytes, priority: tuple[int, bool] | None) -> None:
    assert parse_priority(value) == priority


@given(st.binary(max_size=40))
def test_no_priority_field_raises(value: bytes) -> None:
    parsed = parse_priority(value)
    assert parsed is None or 0 <= parsed[0] <= 7


@pytest.mark.parametrize(
    ("value", "merged"),
    [(b"u=6", (6, True)), (b"i=?0", (1, False)), (b"u=7, i=?0", (7, False)), (b"u=9", (1, True)), (b"", (1, True))],
)
def test_a_response_changes_only_what_it_says(value: bytes, merged: tuple[int, bool]) -> None:
    assert merge_priority(Priority(1, True), value) == merged


@given(st.builds(Priority, st.integers(0, 7), st.booleans()))
def test_a_priority_is_written_as_it_is_read(priority: Priority) -> None:
    assert parse_priority(str(priority).encode()) == priority
