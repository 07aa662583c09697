"""Preconditions (RFC 9110 section 13): what a request may be done with, given what the resource is now.

Rules of this module: pure, and in the RFC's own order. The answer is an ``Outcome`` and never a bool, because a
request with conditions and ranges can come out in four ways and not in two. What is malformed is ignored where the
RFC says so; a change is never let through by a condition that was not understood.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from operator import itemgetter
from typing import Final, SupportsFloat

from tricorn.caching.etag import ETag, ETagList, is_tag
from tricorn.caching.ranges import IfRange
from tricorn.headers import Headers, RawHeaders
from tricorn_transports.http.dates import format_date, parse_date

#: Methods that neither select nor change a representation: they have no preconditions (section 13.2.1).
_UNCONDITIONAL: Final = frozenset({"CONNECT", "OPTIONS", "TRACE"})

#: Methods that change nothing (section 9.2.1, and the safe ones of the method registry).
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PROPFIND", "QUERY", "REPORT", "SEARCH", "PRI"})


class Outcome(Enum):
    """What the preconditions say."""

    PROCEED = auto()
    """Do what the method asks for; ignore Range."""
    PROCEED_WITH_RANGE = auto()
    """A GET whose Range is to be honoured, if it can be."""
    NOT_MODIFIED = auto()
    """304: the client has it already."""
    PRECONDITION_FAILED = auto()
    """412: the resource is not in the state that the client wants to change or read."""


@dataclass(frozen=True, slots=True)
class Validators:
    """What tells one state of a resource from another (section 8.8).

    Attributes:
        etag: The entity tag.
        last_modified: Seconds since the epoch. A fraction is allowed, and dropped where the second is compared with
            what can only carry seconds.
    """

    etag: ETag | None = None
    last_modified: float | None = None

    @classmethod
    def of(cls, etag: ETag | str | None = None, last_modified: datetime | float | None = None) -> Validators:
        """Validators as an author writes them; see ``ETag.coerce``.

        Raises:
            ValueError: The tag cannot be one, or the moment has no time zone or lies in no year of an HTTP date.
            TypeError: One of them is neither.
        """
        return cls(
            None if etag is None else ETag.coerce(etag), None if last_modified is None else seconds_of(last_modified)
        )

    def fields(self, now: float) -> list[tuple[bytes, bytes]]:
        """``ETag`` and ``Last-Modified``, as far as there are values for them.

        Args:
            now: Seconds since the epoch. No response was modified after it was made: a later date is this one
                (section 8.8.2.1).
        """
        fields: list[tuple[bytes, bytes]] = []
        if self.etag is not None:
            fields.append((b"etag", str(self.etag).encode("latin-1")))
        if self.last_modified is not None:
            fields.append((b"last-modified", format_date(min(self.last_modified, now)).encode("ascii")))
        return fields

    def __bool__(self) -> bool:
        return self.etag is not None or self.last_modified is not None


def seconds_of(moment: datetime | float) -> float:
    """Seconds since the epoch.

    Raises:
        ValueError: A ``datetime`` has no time zone, and so means no moment; or no HTTP date can carry it.
        TypeError: It is neither.
    """
    if isinstance(moment, datetime):
        if moment.tzinfo is None:
            raise ValueError("last_modified needs a time zone: datetime.now(UTC), not datetime.now()")
        return moment.timestamp()
    if not isinstance(moment, SupportsFloat):
        raise TypeError(f"last_modified is a datetime or seconds since the epoch, not {moment!r}")
    seconds = float(moment)
    if not _FIRST <= seconds < _END:
        raise ValueError(f"last_modified is in seconds since the epoch: {moment!r} is in no year from 1 to 9999")
    return seconds


#: What an HTTP date can carry (section 5.6.7): from the year 1 to before the year 10000.
_FIRST: Final = -62_135_596_800
_END: Final = 253_402_300_800

_FIELDS: Final = {
    b"if-match": "if_match",
    b"if-none-match": "if_none_match",
    b"if-modified-since": "if_modified_since",
    b"if-unmodified-since": "if_unmodified_since",
    b"if-range": "if_range",
    b"range": "range",
}
_NAMES: Final = frozenset(_FIELDS)
_NAME_OF: Final = itemgetter(0)
#: What comes before If-None-Match (section 13.2.2).
_GUARDS: Final = frozenset({b"if-match", b"if-unmodified-since"})


def has_conditions(raw: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether a request's raw fields have any that ``Preconditions`` reads. Most have none."""
    return not _NAMES.isdisjoint(map(_NAME_OF, raw))


def is_revalidation(raw: RawHeaders, tag: bytes | None) -> bool:
    """Whether a GET or HEAD with these fields is a 304 for no other reason than that it names this very tag.

    That is what nearly every revalidation is. ``evaluate`` says the same of it, and takes longer.
    """
    return tag is not None and (b"if-none-match", tag) in raw and _GUARDS.isdisjoint(map(_NAME_OF, raw)) and is_tag(tag)


@dataclass(slots=True)
class Preconditions:
    """The conditional fields of a request and ``Range``, as they came, lines joined; ``None`` where absent."""

    if_match: str | None = None
    if_none_match: str | None = None
    if_modified_since: str | None = None
    if_unmodified_since: str | None = None
    if_range: str | None = None
    range: str | None = None

    @classmethod
    def from_raw(cls, raw: Iterable[tuple[bytes, bytes]]) -> Preconditions | None:
        """Those among a request's raw fields (names in lower case), or ``None`` if there are none."""
        found: Preconditions | None = None
        for name, value in raw:
            if name in _FIELDS:
                if found is None:
                    found = cls()
                attribute = _FIELDS[name]
                text = value.decode("latin-1")
                before = getattr(found, attribute)
                setattr(found, attribute, text if before is None else f"{before}, {text}")
        return found

    @classmethod
    def from_headers(cls, headers: Mapping[str, str]) -> Preconditions | None:
        """Those among ``Headers``, or among any mapping of names, in whatever case, to values."""
        if isinstance(headers, Headers):
            return cls.from_raw(headers.raw)
        return cls.from_raw(
            (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()
        )

    def guards(self, method: str, validators: Validators | None = None) -> bool:
        """Whether a request of this method has a condition that can keep it from changing something unseen.

        ``If-Modified-Since`` is none (it is for GET and HEAD), nor is a field that names nothing, a date that is
        malformed, or one where the resource's ``validators``, if they are given, have no date to compare it with.
        """
        if method in _UNCONDITIONAL:
            return False
        if any(text is not None and text.strip(" \t,") for text in (self.if_match, self.if_none_match)):
            return True
        if self.if_unmodified_since is None or (validators is not None and validators.last_modified is None):
            return False
        return parse_date(self.if_unmodified_since) is not None


def evaluate(
    method: str,
    headers: Preconditions | Mapping[str, str] | None,
    validators: Validators,
    exists: bool = True,
    *,
    now: float | None = None,
) -> Outcome:
    """Evaluates a request's preconditions in the order of section 13.2.2.

    To be called only when the request would be answered with a 2xx without them (section 13.2.1).

    Args:
        method: As sent.
        headers: The request's fields, or what ``Preconditions`` made of them.
        validators: Of the representation that would be selected now.
        exists: Whether there is one.
        now: Seconds since the epoch: with it a date in If-Range is held for strong only if it lies in a second that is
            over, since within a second a resource may change twice (section 8.8.2.2).
    """
    conditions = (
        headers if isinstance(headers, Preconditions) or headers is None else Preconditions.from_headers(headers)
    )
    if conditions is None or method in _UNCONDITIONAL:
        return Outcome.PROCEED
    reads = method in ("GET", "HEAD")
    if conditions.if_match is not None:  # step 1
        if not _matches(conditions.if_match, validators.etag, exists):
            return Outcome.PRECONDITION_FAILED
    elif conditions.if_unmodified_since is not None:  # step 2
        date = parse_date(conditions.if_unmodified_since)
        if date is not None and exists and _later(validators.last_modified, date):
            return Outcome.PRECONDITION_FAILED
    if conditions.if_none_match is not None:  # step 3
        if not _matches_none(conditions.if_none_match, validators.etag, exists, reads):
            return Outcome.NOT_MODIFIED if reads else Outcome.PRECONDITION_FAILED
    elif reads and conditions.if_modified_since is not None:  # step 4
        date = parse_date(conditions.if_modified_since)
        modified = validators.last_modified
        if date is not None and exists and modified is not None and not _later(modified, date):
            return Outcome.NOT_MODIFIED
    if (  # step 5; Range means nothing to other methods (section 14.2)
        method == "GET"
        and conditions.range is not None
        and (conditions.if_range is None or _is_unchanged(conditions.if_range, validators, now))
    ):
        return Outcome.PROCEED_WITH_RANGE
    return Outcome.PROCEED  # step 6


def _later(modified: float | None, date: float) -> bool:
    """Whether a resource was modified after ``date``, in whole seconds; one of unknown age was not."""
    return modified is not None and modified // 1 > date


def _matches(text: str, etag: ETag | None, exists: bool) -> bool:
    """If-Match (section 13.1.1): strong comparison."""
    listed = ETagList.parse(text)
    return exists and (listed.any or (etag is not None and listed.has_strongly(etag)))


def _matches_none(text: str, etag: ETag | None, exists: bool, reads: bool) -> bool:
    """If-None-Match (section 13.1.2): weak comparison.

    A list that was not understood whole may name the current tag. A read is then answered in full, and a change is
    refused.
    """
    if not exists:
        return True
    if etag is not None and text == str(etag):  # what it is nearly always, where it is there and matches
        return False
    listed = ETagList.parse(text)
    if listed.any or (etag is not None and listed.has_weakly(etag)):
        return False
    return reads or listed.complete


def _is_unchanged(text: str, validators: Validators, now: float | None) -> bool:
    """If-Range (section 13.1.5): strong comparison, or exactly the same, strong date."""
    condition = IfRange.parse(text)
    if condition is None:
        return False
    if isinstance(condition.validator, ETag):
        return validators.etag is not None and condition.validator.matches_strongly(validators.etag)
    modified = validators.last_modified
    if modified is None or modified // 1 != condition.validator:
        return False
    return now is None or now >= modified // 1 + 1
