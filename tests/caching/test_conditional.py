"""The precedence of preconditions, row by row: RFC 9110 section 13.2.2, and what the fields' own sections add."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tricorn.caching.conditional import (
    Outcome,
    Preconditions,
    Validators,
    evaluate,
    has_conditions,
    is_revalidation,
)
from tricorn.caching.etag import ETag
from tricorn.headers import Headers
from tricorn_transports.http.dates import format_date

NOW = 1_000_000_000.0
BEFORE, SAME, AFTER = (format_date(NOW + delta) for delta in (-10, 0, 10))
STRONG = Validators(ETag("a"), NOW)
WEAK = Validators(ETag("a", weak=True), NOW)
UNDATED = Validators(ETag("a"), None)
UNTAGGED = Validators(None, NOW)
NONE = Validators()

GO, RANGE, SAVED, FAILED = Outcome
READS = ("GET", "HEAD")
CHANGES = ("PUT", "POST", "PATCH", "DELETE")
ALL = READS + CHANGES
R = {"range": "bytes=0-1"}

#: step, methods, fields, validators (``None``: there is no representation), outcome.
MATRIX = [
    # No preconditions: step 6.
    ("6", ALL, {}, STRONG, GO),
    ("6", ALL, {}, None, GO),
    # Step 1: If-Match, strong comparison (13.1.1).
    ("1", ALL, {"if-match": '"a"'}, STRONG, GO),
    ("1", ALL, {"if-match": '"x", "a"'}, STRONG, GO),
    ("1", ALL, {"if-match": '"x"'}, STRONG, FAILED),
    ("1", ALL, {"if-match": 'W/"a"'}, STRONG, FAILED),
    ("1", ALL, {"if-match": '"a"'}, WEAK, FAILED),
    ("1", ALL, {"if-match": 'W/"a"'}, WEAK, FAILED),
    ("1", ALL, {"if-match": '"a"'}, UNTAGGED, FAILED),
    ("1", ALL, {"if-match": "*"}, STRONG, GO),
    ("1", ALL, {"if-match": "*"}, NONE, GO),
    ("1", ALL, {"if-match": "*"}, None, FAILED),
    ("1", ALL, {"if-match": '"a"'}, None, FAILED),
    ("1", ALL, {"if-match": ""}, STRONG, FAILED),
    ("1", ALL, {"if-match": "a"}, STRONG, GO),  # read leniently
    # Step 2: If-Unmodified-Since (13.1.4), only without If-Match.
    ("2", ALL, {"if-unmodified-since": SAME}, STRONG, GO),
    ("2", ALL, {"if-unmodified-since": AFTER}, STRONG, GO),
    ("2", ALL, {"if-unmodified-since": BEFORE}, STRONG, FAILED),
    ("13.1.4 no date", ALL, {"if-unmodified-since": BEFORE}, UNDATED, GO),
    ("13.1.4 nothing there", ALL, {"if-unmodified-since": BEFORE}, None, GO),
    ("13.1.4 no HTTP-date", ALL, {"if-unmodified-since": "yesterday"}, STRONG, GO),
    ("13.1.4 a list", ALL, {"if-unmodified-since": f"{BEFORE}, {BEFORE}"}, STRONG, GO),
    ("1 before 2", ALL, {"if-match": '"a"', "if-unmodified-since": BEFORE}, STRONG, GO),
    ("1 before 2", ALL, {"if-match": '"x"', "if-unmodified-since": AFTER}, STRONG, FAILED),
    # Step 3: If-None-Match, weak comparison (13.1.2).
    ("3", READS, {"if-none-match": '"a"'}, STRONG, SAVED),
    ("3", CHANGES, {"if-none-match": '"a"'}, STRONG, FAILED),
    ("3", READS, {"if-none-match": 'W/"a"'}, STRONG, SAVED),
    ("3", READS, {"if-none-match": '"a"'}, WEAK, SAVED),
    ("3", CHANGES, {"if-none-match": 'W/"a"'}, STRONG, FAILED),
    ("3", READS, {"if-none-match": '"x", W/"y", "a"'}, STRONG, SAVED),
    ("3", ALL, {"if-none-match": '"x"'}, STRONG, GO),
    ("3", READS, {"if-none-match": "*"}, STRONG, SAVED),
    ("3", READS, {"if-none-match": "*"}, NONE, SAVED),
    ("3", CHANGES, {"if-none-match": "*"}, STRONG, FAILED),
    ("3", ALL, {"if-none-match": "*"}, None, GO),
    ("3", ALL, {"if-none-match": '"a"'}, None, GO),
    ("3", ALL, {"if-none-match": '"a"'}, UNTAGGED, GO),
    ("3 malformed", READS, {"if-none-match": '"x'}, STRONG, GO),
    ("3 malformed guards", CHANGES, {"if-none-match": '"x'}, STRONG, FAILED),
    ("1 then 3", READS, {"if-match": '"a"', "if-none-match": '"a"'}, STRONG, SAVED),
    ("1 then 3", CHANGES, {"if-match": '"a"', "if-none-match": '"a"'}, STRONG, FAILED),
    ("1 before 3", READS, {"if-match": '"x"', "if-none-match": '"a"'}, STRONG, FAILED),
    ("2 then 3", READS, {"if-unmodified-since": SAME, "if-none-match": '"a"'}, STRONG, SAVED),
    ("2 before 3", READS, {"if-unmodified-since": BEFORE, "if-none-match": '"a"'}, STRONG, FAILED),
    # Step 4: If-Modified-Since (13.1.3), GET and HEAD, only without If-None-Match.
    ("4", READS, {"if-modified-since": SAME}, STRONG, SAVED),
    ("4", READS, {"if-modified-since": AFTER}, STRONG, SAVED),
    ("4", READS, {"if-modified-since": BEFORE}, STRONG, GO),
    ("4", READS, {"if-modified-since": SAME}, UNDATED, GO),
    ("4", READS, {"if-modified-since": SAME}, None, GO),
    ("13.1.3 other methods", CHANGES, {"if-modified-since": SAME}, STRONG, GO),
    ("13.1.3 no HTTP-date", READS, {"if-modified-since": "0"}, STRONG, GO),
    ("13.1.3 a list", READS, {"if-modified-since": f"{SAME}, {SAME}"}, STRONG, GO),
    ("3 before 4", READS, {"if-none-match": '"x"', "if-modified-since": AFTER}, STRONG, GO),
    ("3 before 4", READS, {"if-none-match": '"a"', "if-modified-since": BEFORE}, STRONG, SAVED),
    ("1 then 4", READS, {"if-match": '"a"', "if-modified-since": SAME}, STRONG, SAVED),
    ("2 then 4", READS, {"if-unmodified-since": SAME, "if-modified-since": SAME}, STRONG, SAVED),
    ("2 before 4", READS, {"if-unmodified-since": BEFORE, "if-modified-since": SAME}, STRONG, FAILED),
    # Step 5: Range (14.2: GET only) and If-Range (13.1.5: strong comparison, exact date).
    ("5", ("GET",), R, STRONG, RANGE),
    ("14.2 other methods", ("HEAD", *CHANGES), R, STRONG, GO),
    ("5", ("GET",), R | {"if-range": '"a"'}, STRONG, RANGE),
    ("5", ("GET",), R | {"if-range": '"x"'}, STRONG, GO),
    ("5", ("GET",), R | {"if-range": 'W/"a"'}, WEAK, GO),
    ("5", ("GET",), R | {"if-range": '"a"'}, WEAK, GO),
    ("5", ("GET",), R | {"if-range": '"a"'}, UNTAGGED, GO),
    ("5", ("GET",), R | {"if-range": SAME}, STRONG, RANGE),
    ("5", ("GET",), R | {"if-range": AFTER}, STRONG, GO),
    ("5", ("GET",), R | {"if-range": BEFORE}, STRONG, GO),
    ("5", ("GET",), R | {"if-range": SAME}, UNDATED, GO),
    ("5", ("GET",), R | {"if-range": "nonsense"}, STRONG, GO),
    ("5", ("GET",), R | {"if-range": '"a", "b"'}, STRONG, GO),
    ("13.1.5 without Range", ALL, {"if-range": '"x"'}, STRONG, GO),
    ("1 then 5", ("GET",), R | {"if-match": '"a"'}, STRONG, RANGE),
    ("1 before 5", ("GET",), R | {"if-match": '"x"', "if-range": '"a"'}, STRONG, FAILED),
    ("3 before 5", ("GET",), R | {"if-none-match": '"a"', "if-range": '"a"'}, STRONG, SAVED),
    ("3 then 5", ("GET",), R | {"if-none-match": '"x"', "if-range": '"a"'}, STRONG, RANGE),
    ("4 before 5", ("GET",), R | {"if-modified-since": SAME}, STRONG, SAVED),
    ("4 then 5", ("GET",), R | {"if-modified-since": BEFORE}, STRONG, RANGE),
    # 13.2.1: methods that neither select nor change a representation.
    ("13.2.1", ("OPTIONS", "TRACE", "CONNECT"), {"if-match": '"x"', "if-none-match": "*"}, STRONG, GO),
    # Methods are case-sensitive: this is none of the known ones.
    ("9.1", ("get",), {"if-none-match": '"a"'}, STRONG, FAILED),
]
ROWS = [(step, method, *row) for step, methods, *row in MATRIX for method in methods]


@pytest.mark.parametrize(("step", "method", "fields", "validators", "outcome"), ROWS)
def test_precedence(step, method, fields, validators, outcome):
    raw = [(name.encode(), value.encode()) for name, value in fields.items()]
    for headers in (fields, {name.title(): value for name, value in fields.items()}, Headers(raw)):
        assert evaluate(method, headers, validators or NONE, validators is not None) is outcome, step


def test_lines_of_a_field_are_joined():
    raw = [(b"if-none-match", b'"x"'), (b"host", b"h"), (b"if-none-match", b'"a"')]
    assert evaluate("GET", Headers(raw), STRONG) is SAVED
    dates = [(b"if-modified-since", SAME.encode()), (b"if-modified-since", SAME.encode())]
    assert evaluate("GET", Headers(dates), STRONG) is GO
    assert Preconditions.from_raw([(b"host", b"h")]) is None


def test_milliseconds_are_dropped_where_the_wire_has_none():
    precise = Validators.of(last_modified=datetime.fromtimestamp(NOW + 0.75, UTC))
    assert precise.fields(NOW + 1) == [(b"last-modified", SAME.encode())]
    assert evaluate("GET", {"if-modified-since": SAME}, precise) is SAVED
    assert evaluate("PUT", {"if-unmodified-since": SAME}, precise) is GO
    assert evaluate("GET", R | {"if-range": SAME}, precise) is RANGE


def test_no_response_says_that_it_was_modified_after_it_was_made():
    """Section 8.8.2.1. The resource itself is judged by the date that it has."""
    ahead = Validators.of("a", NOW + 10)
    assert ahead.fields(NOW + 0.5) == [(b"etag", b'"a"'), (b"last-modified", SAME.encode())]
    assert ahead.fields(NOW + 20) == [(b"etag", b'"a"'), (b"last-modified", AFTER.encode())]
    assert evaluate("GET", {"if-modified-since": SAME}, ahead) is GO
    assert evaluate("PUT", {"if-unmodified-since": SAME}, ahead) is FAILED


@pytest.mark.parametrize(
    ("moment", "error", "match"),
    [
        (datetime(2024, 1, 1), ValueError, "time zone"),
        (date(2024, 1, 1), TypeError, "a datetime or seconds"),
        ("Sun, 06 Nov 1994 08:49:37 GMT", TypeError, "a datetime or seconds"),
        (1_700_000_000_000, ValueError, "in seconds since"),  # milliseconds
        (float("nan"), ValueError, "in seconds since"),
        (float("-inf"), ValueError, "in seconds since"),
    ],
)
def test_what_is_no_moment(moment, error, match):
    with pytest.raises(error, match=match):
        Validators.of(last_modified=moment)


@pytest.mark.parametrize(("moment", "said"), [(datetime.min, "Mon, 01 Jan 0001 00:00:00 GMT"), (datetime.max, SAME)])
def test_every_moment_that_can_be_said_is_taken(moment, said):
    validators = Validators.of(last_modified=moment.replace(tzinfo=UTC))
    assert validators.fields(NOW) == [(b"last-modified", said.encode())]
    assert Validators.of(last_modified=Decimal("1.5")).last_modified == 1.5


def test_the_date_of_a_second_that_is_not_over_is_weak():
    """Section 8.8.2.2: the resource may change once more within it."""
    for now, outcome in ((NOW, GO), (NOW + 0.9, GO), (NOW + 1, RANGE)):
        assert evaluate("GET", R | {"if-range": SAME}, STRONG, now=now) is outcome
    assert evaluate("GET", R | {"if-range": '"a"'}, STRONG, now=NOW) is RANGE


@pytest.mark.parametrize(
    ("fields", "validators", "guards"),
    [
        ({"if-match": '"a"'}, NONE, True),
        ({"if-none-match": "*"}, NONE, True),
        ({"if-unmodified-since": SAME}, None, True),
        ({"if-unmodified-since": SAME}, STRONG, True),
        ({"if-unmodified-since": SAME}, UNDATED, False),
        ({"if-unmodified-since": "soon"}, None, False),
        ({"if-modified-since": SAME}, None, False),
        ({"if-none-match": ""}, None, False),
        ({"if-none-match": " ,\t,", "if-match": ""}, STRONG, False),
        ({"range": "bytes=0-1", "if-range": '"a"'}, None, False),
    ],
)
def test_what_guards_a_change(fields, validators, guards):
    assert Preconditions.from_headers(fields).guards("PUT", validators) is guards
    assert not Preconditions.from_headers(fields).guards("OPTIONS", validators)


VALUES = {
    "if-match": ['"a"', '"x"', 'W/"a"', "*", '"'],
    "if-unmodified-since": [BEFORE, SAME, "x"],
    "if-none-match": ['"a"', '"x"', 'W/"a"', "*", '"'],
    "if-modified-since": [BEFORE, SAME, "x"],
    "if-range": ['"a"', '"x"', SAME, "x"],
    "range": ["bytes=0-1", "x"],
}


@given(
    st.sampled_from([*ALL, "OPTIONS"]),
    st.fixed_dictionaries({}, optional={name: st.sampled_from(values) for name, values in VALUES.items()}),
    st.sampled_from([STRONG, WEAK, UNDATED, UNTAGGED, NONE]),
    st.booleans(),
)
def test_invariants(method, fields, validators, exists):
    outcome = evaluate(method, fields, validators, exists)
    if outcome is SAVED:
        assert method in READS
        assert exists
    if outcome is RANGE:
        assert method == "GET"
        assert "range" in fields
    if method in CHANGES:  # what is for reading decides nothing about a change
        rest = {name: value for name, value in fields.items() if name not in ("if-modified-since", "if-range", "range")}
        assert evaluate(method, rest, validators, exists) is outcome


@given(
    st.fixed_dictionaries({}, optional={name: st.sampled_from(values) for name, values in VALUES.items()}),
    st.sampled_from(['"a"', 'W/"a"', '"x"', '"', "*", "x", ""]),
    st.sampled_from([NOW, None]),
)
def test_the_short_way_says_what_the_long_one_says(fields, tag, modified):
    raw = [(name.encode(), value.encode("latin-1")) for name, value in fields.items()]
    assert has_conditions(raw) == bool(fields)
    if is_revalidation(raw, tag.encode()):
        for method in READS:
            assert evaluate(method, Preconditions.from_raw(raw), Validators(ETag.parse(tag), modified)) is SAVED


@given(st.dictionaries(st.sampled_from(list(VALUES)), st.text(st.characters(max_codepoint=255), max_size=40)))
def test_any_values_are_judged(fields):
    for method, validators in product(ALL, (STRONG, NONE)):
        assert isinstance(evaluate(method, fields, validators), Outcome)
