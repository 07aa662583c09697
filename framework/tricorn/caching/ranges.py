"""Ranges of a representation's bytes (RFC 9110 section 14).

Rules of this module: values and pure functions; every parser is linear in its input and bounded. Positions inside
this program are half-open (``start`` to ``stop``); the inclusive ones of the wire appear in field values only. A
Range that is malformed, or asks for too many parts, is no error: it is ignored, and the whole is sent (section 14.2).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from tricorn.caching.etag import ETag
from tricorn_transports.http.dates import format_date, parse_date
from tricorn_transports.http.fields import is_token

#: Parts that a response may be asked for in one request.
MAX_RANGES: Final = 64

#: Digits of a position that is looked at; a larger one lies behind the end of everything.
_MAX_DIGITS = 18
_FAR: Final = 10**_MAX_DIGITS
_SPEC = re.compile(r"([0-9]*)-([0-9]*)\Z")
_CONTENT_RANGE = re.compile(r"(?:([0-9]{1,18})-([0-9]{1,18})|\*)/(?:([0-9]{1,18})|\*)\Z")


@dataclass(frozen=True, slots=True)
class Slice:
    """The bytes from ``start`` to before ``stop``."""

    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True, slots=True)
class Range:
    """A ``Range`` field (section 14.2).

    Attributes:
        specs: First and last position, both inclusive: ``(0, 499)``, ``(500, None)`` to the end, ``(None, 500)`` for
            the last 500 bytes.
        unit: In lower case; other units than ``bytes`` are for the application to know.
    """

    specs: tuple[tuple[int | None, int | None], ...]
    unit: str = "bytes"

    @classmethod
    def parse(cls, text: str, *, max_ranges: int = MAX_RANGES) -> Range | None:
        """Reads a field value; ``None`` for one that is to be ignored.

        That is one that is malformed, of another unit than ``bytes``, or with more than ``max_ranges`` members.
        """
        unit, equals, rest = text.partition("=")
        if not equals or unit.strip(" \t").lower() != "bytes" or rest.count(",") > 4 * max_ranges:
            return None
        specs: list[tuple[int | None, int | None]] = []
        for member in rest.split(","):
            member = member.strip(" \t")
            if not member:  # an empty member of a list is none (section 5.6.1)
                continue
            match = _SPEC.match(member)
            if match is None or match[0] == "-" or len(specs) == max_ranges:
                return None
            first, last = _position(match[1]), _position(match[2])
            if first is not None and last is not None and last < first:
                return None
            specs.append((first, last))
        return cls(tuple(specs)) if specs else None

    def __str__(self) -> str:
        """The field value."""
        return f"{self.unit}=" + ",".join(
            f"{'' if first is None else first}-{'' if last is None else last}" for first, last in self.specs
        )


def _position(digits: str) -> int | None:
    if not digits:
        return None
    digits = digits.lstrip("0")
    return _FAR if len(digits) > _MAX_DIGITS else int(digits or "0")


@dataclass(frozen=True, slots=True)
class ContentRange:
    """A ``Content-Range`` field (section 14.4).

    Attributes:
        part: What the message encloses; ``None`` in a 416 (``bytes */1234``).
        length: Of the whole; ``None`` if it is not known.

    Raises:
        ValueError: The part is empty or does not lie in the whole, or both part and length are unknown.
    """

    part: Slice | None
    length: int | None
    unit: str = "bytes"

    def __post_init__(self) -> None:
        if self.part is None and self.length is None:
            raise ValueError("Content-Range: neither part nor length")
        if self.part is None:
            return
        length = self.part.stop if self.length is None else self.length
        if not 0 <= self.part.start < self.part.stop <= length:
            raise ValueError(f"Content-Range: {self.part} is no part of {length} bytes")

    @classmethod
    def parse(cls, text: str) -> ContentRange | None:
        """Reads a field value; ``None`` for one that is malformed."""
        unit, _, rest = text.strip(" \t").partition(" ")
        match = _CONTENT_RANGE.match(rest.strip(" \t"))
        if match is None or not is_token(unit):
            return None
        part = Slice(int(match[1]), int(match[2]) + 1) if match[1] is not None else None
        length = int(match[3]) if match[3] is not None else None
        try:
            return cls(part, length, unit.lower())
        except ValueError:
            return None

    def __str__(self) -> str:
        """The field value."""
        part = "*" if self.part is None else f"{self.part.start}-{self.part.stop - 1}"
        return f"{self.unit} {part}/{'*' if self.length is None else self.length}"


@dataclass(frozen=True, slots=True)
class IfRange:
    """An ``If-Range`` field (section 13.1.5): a tag, or a date in seconds since the epoch."""

    validator: ETag | float

    @classmethod
    def parse(cls, text: str) -> IfRange | None:
        """Reads a field value; ``None`` for one that is neither, whose condition is false."""
        validator = ETag.parse(text)
        if validator is not None:
            return cls(validator)
        date = parse_date(text)
        return None if date is None else cls(date)

    def __str__(self) -> str:
        """The field value."""
        return str(self.validator) if isinstance(self.validator, ETag) else format_date(self.validator)


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a request for ranges gets.

    Attributes:
        status: 200 (the whole, without regard to Range), 206 or 416.
        parts: Of a 206, none empty, none overlapping or adjacent to another; in the order in which they were asked for.
    """

    status: Literal[200, 206, 416]
    parts: tuple[Slice, ...] = ()


_WHOLE = Resolved(200)


def resolve(range_: Range | str | None, length: int, *, max_ranges: int = MAX_RANGES) -> Resolved:
    """Decides between 200, 206 and 416 for a representation of ``length`` bytes (sections 14.2, 15.3.7 and 15.5.17).

    Parts that overlap or touch become one, in n log n steps. A suffix of an empty representation is satisfiable but
    has no Content-Range that could describe it: it gets the whole, which is as empty.
    """
    if isinstance(range_, str):
        range_ = Range.parse(range_, max_ranges=max_ranges)
    if range_ is None or range_.unit != "bytes" or len(range_.specs) > max_ranges:
        return _WHOLE
    found: list[tuple[int, int, int]] = []  # start, stop, and its place in the field
    for place, (first, last) in enumerate(range_.specs):
        if first is None:
            if not last:  # no bytes at all: unsatisfiable (section 14.1.2)
                continue
            if length == 0:
                return _WHOLE
            found.append((max(0, length - last), length, place))
        elif first < length:
            found.append((first, length if last is None else min(last + 1, length), place))
    if not found:
        return Resolved(416)
    found.sort()
    merged = [found[0]]
    for start, stop, place in found[1:]:
        before = merged[-1]
        if start <= before[1]:
            merged[-1] = (before[0], max(before[1], stop), min(before[2], place))
        else:
            merged.append((start, stop, place))
    merged.sort(key=lambda part: part[2])
    return Resolved(206, tuple(Slice(start, stop) for start, stop, _ in merged))


@dataclass(frozen=True, slots=True)
class ByteRanges:
    """The body of a response with several parts: ``multipart/byteranges`` (section 14.6).

    Attributes:
        boundary: Stands nowhere in the content; random, since the content is not looked at.
        heads: What stands before each part, in order.
        tail: What stands after the last one.
        length: Of the whole body in bytes.
    """

    boundary: str
    heads: tuple[bytes, ...]
    tail: bytes
    length: int

    @classmethod
    def of(cls, parts: Sequence[Slice], length: int, media_type: bytes | None, boundary: str) -> ByteRanges:
        """The body around ``parts`` of a representation of ``length`` bytes.

        Args:
            media_type: The whole's ``Content-Type``, which each part repeats.
            boundary: Of 1 to 70 characters (RFC 2046 section 5.1.1).
        """
        delimiter = b"--" + boundary.encode("ascii")
        kind = b"" if media_type is None else b"Content-Type: " + media_type + b"\r\n"
        heads = tuple(
            (b"\r\n" if index else b"")
            + delimiter + b"\r\n" + kind
            + f"Content-Range: {ContentRange(part, length)}\r\n\r\n".encode("ascii")
            for index, part in enumerate(parts)
        )  # fmt: skip
        tail = b"\r\n" + delimiter + b"--\r\n"
        return cls(boundary, heads, tail, sum(map(len, heads)) + sum(map(len, parts)) + len(tail))
