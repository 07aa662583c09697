"""HTTP dates in all three formats (RFC 9110 section 5.6.7); what is none of them is ignored in preconditions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tricorn_transports.http.dates import format_date, parse_date

MOMENT = 784111777.0


@pytest.mark.parametrize(
    "text",
    [
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
        " Sun, 6 Nov 1994 08:49:37 GMT\t",
        "sun, 06 NOV 1994 08:49:37 gMT",
    ],
)
def test_formats(text):
    assert parse_date(text) == MOMENT


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "-1",
        "784111777",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 CET",
        "Sun, 31 Feb 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:49:37 GMT",
        "Sun, 06 Foo 1994 08:49:37 GMT",
        "Sun, 06 Nov 0000 08:49:37 GMT",
        "Sun, 06 Nov 1994 +8:49:37 GMT",
        "Sun, 0_6 Nov 1994 08:49:37 GMT",
        "Sun, ٠٦ Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT",
        "1994-11-06T08:49:37Z",
        "Sun, 06 Nov 1994 08:49:37 GMT" + " " * 10_000,
    ],
)
def test_what_is_no_date(text):
    assert parse_date(text) is None


def test_a_leap_second_is_the_next_minute_s_first():
    assert parse_date("Sat, 31 Dec 2016 23:59:60 GMT") == parse_date("Sun, 01 Jan 2017 00:00:00 GMT")


@pytest.mark.parametrize(("days", "years"), [(40, -50), (-40, 50)])
def test_a_year_of_two_digits_is_at_most_fifty_years_ahead(days, years):
    """To the day, and not to the year."""
    near = datetime.now(UTC) + timedelta(days)
    near = near.replace(day=min(near.day, 28), microsecond=0)
    text = f"Monday, {near:%d-%b}-{(near.year + 50) % 100:02} {near:%H:%M:%S} GMT"
    assert parse_date(text) == near.replace(year=near.year + years).timestamp()


@given(st.floats(-6e10, 2e11))
def test_dates_survive_the_wire(seconds):
    assert parse_date(format_date(seconds)) == seconds // 1


@given(st.text(max_size=40))
def test_any_text_is_read(text):
    date = parse_date(text)
    assert date is None or parse_date(format_date(date)) == date
