"""Ranges: syntax, and the decision between 200, 206 and 416 (RFC 9110 section 14)."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tricorn.caching.etag import ETag
from tricorn.caching.ranges import MAX_RANGES, ByteRanges, ContentRange, IfRange, Range, Slice, resolve


@pytest.mark.parametrize(
    ("text", "specs"),
    [
        ("bytes=0-499", ((0, 499),)),
        ("bytes=500-", ((500, None),)),
        ("bytes=-500", ((None, 500),)),
        ("BYTES=0-0,-1", ((0, 0), (None, 1))),
        ("bytes= 0-1 ,, 4-5\t", ((0, 1), (4, 5))),
        ("bytes=000-0009", ((0, 9),)),
        ("bytes=9-" + "9" * 5000, ((9, 10**18),)),
    ],
)
def test_what_is_read(text, specs):
    assert Range.parse(text).specs == specs


@pytest.mark.parametrize(
    "text",
    [
        "",
        "bytes",
        "bytes=",
        "bytes=,",
        "bytes=-",
        "bytes=1-0",
        "bytes=a-b",
        "bytes=0-1;2-3",
        "items=0-1",
        "bytes=+1-2",
        "bytes=0 - 1",
        "bytes=1-2-3",
        "bytes=٣-٤",
        "0-1",
        "bytes 0-1",
        "bytes=0-1,x",
        "bytes=" + "0-0," * (MAX_RANGES + 1),
    ],
)
def test_what_is_ignored(text):
    assert Range.parse(text) is None
    assert resolve(text, 100).status == 200


@pytest.mark.parametrize(
    ("text", "length", "status", "parts"),
    [
        ("bytes=0-9", 100, 206, [(0, 10)]),
        ("bytes=90-", 100, 206, [(90, 100)]),
        ("bytes=-10", 100, 206, [(90, 100)]),
        ("bytes=-1000", 100, 206, [(0, 100)]),
        ("bytes=0-" + "9" * 5000, 100, 206, [(0, 100)]),
        ("bytes=99-99", 100, 206, [(99, 100)]),
        ("bytes=100-", 100, 416, []),
        ("bytes=-0", 100, 416, []),
        ("bytes=-0,200-", 100, 416, []),
        ("bytes=200-,5-5", 100, 206, [(5, 6)]),
        ("bytes=0-", 0, 416, []),
        ("bytes=-5", 0, 200, []),  # satisfiable, but no Content-Range can say so
        ("bytes=0-9,20-29", 100, 206, [(0, 10), (20, 30)]),
        ("bytes=20-29,0-9", 100, 206, [(20, 30), (0, 10)]),  # in the order asked for (section 15.3.7.2)
        ("bytes=0-9,10-19", 100, 206, [(0, 20)]),  # adjacent
        ("bytes=5-14,0-9", 100, 206, [(0, 15)]),  # overlapping
        ("bytes=50-59,0-9,55-64", 100, 206, [(50, 65), (0, 10)]),
        ("bytes=0-0,-1", 100, 206, [(0, 1), (99, 100)]),
        ("bytes=0-99,5-6,7-8", 100, 206, [(0, 100)]),
    ],
)
def test_decisions(text, length, status, parts):
    resolved = resolve(text, length)
    assert resolved.status == status
    assert [(part.start, part.stop) for part in resolved.parts] == parts


def test_too_many_are_ignored():
    spread = [f"{n * 2}-{n * 2}" for n in range(MAX_RANGES + 1)]
    assert resolve("bytes=" + ",".join(spread), 10_000).status == 200
    assert len(resolve("bytes=" + ",".join(spread[:-1]), 10_000).parts) == MAX_RANGES
    assert resolve("bytes=0-0,2-2,4-4", 10, max_ranges=2).status == 200


SPECS = st.one_of(
    st.tuples(st.integers(0, 60), st.integers(0, 60)).map(lambda pair: (min(pair), max(pair))),
    st.tuples(st.integers(0, 60), st.none()),
    st.tuples(st.none(), st.integers(0, 60)),
)


@given(st.lists(SPECS, min_size=1, max_size=12), st.integers(0, 50))
@example([(None, 3)], 0)
def test_parts_are_what_was_asked_for(specs, length):
    """The oracle: the set of all positions, one by one."""
    range_ = Range(tuple(specs))
    assert Range.parse(str(range_)) == range_
    wanted: set[int] = set()
    for first, last in specs:
        start = max(0, length - last) if first is None else first
        stop = length if first is None or last is None else last + 1
        wanted |= set(range(start, min(stop, length)))
    resolved = resolve(range_, length)
    covered = [position for part in resolved.parts for position in range(part.start, part.stop)]
    assert len(covered) == len(set(covered))
    assert set(covered) == wanted
    ordered = sorted(resolved.parts, key=lambda part: part.start)
    assert all(one.stop < other.start for one, other in itertools.pairwise(ordered))
    assert (resolved.status == 206) == bool(wanted)


@given(st.text(st.sampled_from("bytes=0123456789-, x"), max_size=60), st.integers(0, 1000))
def test_any_text_is_read(text, length):
    for value in (text, f"bytes={text}"):
        resolved = resolve(value, length)
        assert all(0 <= part.start < part.stop <= length for part in resolved.parts)


@pytest.mark.parametrize("member", ["0-0,", ",", "0", "-", " ", "9-1,"])
def test_long_values_take_linear_time(member, steps):
    def cost(size):
        value = "bytes=" + member * size
        return steps(lambda: resolve(value, 10**9, max_ranges=10**9))

    assert cost(32_000) < 64 * cost(2_000) + 0.05  # 16 times as much; 256 times if it were quadratic


@pytest.mark.parametrize(
    ("text", "part", "length"),
    [
        ("bytes 0-499/1234", Slice(0, 500), 1234),
        ("bytes 0-499/*", Slice(0, 500), None),
        ("bytes */1234", None, 1234),
        ("bytes */0", None, 0),
    ],
)
def test_content_range(text, part, length):
    value = ContentRange.parse(text)
    assert (value.part, value.length) == (part, length)
    assert str(value) == text


@pytest.mark.parametrize(
    "text", ["", "bytes", "bytes */*", "bytes 5-4/10", "bytes 0-10/10", "bytes 0-0/0", "bytes=0-1/2"]
)
def test_what_is_no_content_range(text):
    assert ContentRange.parse(text) is None


@given(st.text(st.sampled_from("bytes 0123456789-/*"), max_size=30))
def test_any_content_range_is_read(text):
    for value in (ContentRange.parse(text), ContentRange.parse(f"bytes {text}")):
        assert value is None or ContentRange.parse(str(value)) == value


def test_if_range():
    assert IfRange.parse('"a"') == IfRange(ETag("a"))
    assert IfRange.parse('W/"a"') == IfRange(ETag("a", True))
    date = "Sun, 06 Nov 1994 08:49:37 GMT"
    assert IfRange.parse(date) == IfRange(784111777.0)
    assert str(IfRange.parse(date)) == date
    assert str(IfRange.parse('"a"')) == '"a"'
    assert IfRange.parse("yesterday") is None
    assert IfRange.parse('"a", "b"') is None


def test_multipart():
    content = bytes(range(50))
    parts = (Slice(20, 30), Slice(0, 5))
    multipart = ByteRanges.of(parts, len(content), b"text/plain", "xyz")
    body = b"".join(head + content[part.start : part.stop] for head, part in zip(multipart.heads, parts, strict=True))
    body += multipart.tail
    assert len(body) == multipart.length
    assert body == (
        b"--xyz\r\nContent-Type: text/plain\r\nContent-Range: bytes 20-29/50\r\n\r\n" + content[20:30]
        + b"\r\n--xyz\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-4/50\r\n\r\n" + content[:5]
        + b"\r\n--xyz--\r\n"
    )  # fmt: skip
