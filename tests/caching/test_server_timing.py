"""Server-Timing: built, read, and read of anything."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tricorn.caching import Metric, format_server_timing, parse_server_timing
from tricorn.caching.timing import MAX_METRICS


@pytest.mark.parametrize(
    ("metric", "text"),
    [
        (Metric("miss"), "miss"),
        (Metric("db", duration=53), "db;dur=53"),
        (Metric("db", duration=0.1234567), "db;dur=0.123"),
        (Metric("db", duration=100), "db;dur=100"),
        (Metric("db", duration=1e6), "db;dur=1000000"),
        (Metric("cache", duration=23.2, description="Cache Read"), 'cache;dur=23.2;desc="Cache Read"'),
        (Metric("x", description='a"b'), 'x;desc="a\\"b"'),
        (Metric("x", description="hit"), "x;desc=hit"),
    ],
)
def test_a_metric(metric: Metric, text: str) -> None:
    assert str(metric) == text
    (read,) = parse_server_timing(text)
    assert (read.name, read.description) == (metric.name, metric.description)
    assert read.duration == pytest.approx(metric.duration, abs=0.001)


def test_several() -> None:
    assert format_server_timing([Metric("a", duration=1), Metric("b")]) == "a;dur=1, b"
    assert [metric.name for metric in parse_server_timing('a ; DUR = 5, b;desc="x, y";z, c d, ,e')] == ["a", "b", "e"]


@pytest.mark.parametrize("text", ["a;dur", "a;dur=", "a;dur=x", "a;dur=-1", "a;dur=nan", "a;dur=inf", "a;dur=1e999"])
def test_a_malformed_duration_is_none(text: str) -> None:
    assert parse_server_timing(text) == (Metric("a"),)


def test_the_first_of_equal_parameters_counts() -> None:
    assert parse_server_timing("a;dur=1;dur=2;desc=x;desc=y") == (Metric("a", duration=1, description="x"),)


def test_the_number_of_metrics_is_bounded() -> None:
    assert len(parse_server_timing("a," * 100_000)) == MAX_METRICS


@pytest.mark.parametrize(
    "arguments",
    [
        {"name": "a b"},
        {"name": "a", "duration": math.inf},
        {"name": "a", "duration": -1},
        {"name": "a", "description": "\n"},
    ],
)
def test_what_cannot_be_said(arguments: Any) -> None:
    with pytest.raises(ValueError):
        Metric(**arguments)


@given(st.text(alphabet='ab;=, "\\dures1.5\n\tc', max_size=60) | st.text())
def test_any_text_is_read_and_what_is_written_reads_the_same(text: str) -> None:
    metrics = parse_server_timing(text)
    again = parse_server_timing(format_server_timing(metrics))
    assert [(one.name, one.description) for one in again] == [(one.name, one.description) for one in metrics]
