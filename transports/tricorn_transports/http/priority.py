"""The Priority field (RFC 9218): how urgent a response is, and whether a part of it is of use.

Rules of this module: pure functions. What cannot be understood counts as not said, as section 4 asks: a field that is
no dictionary as a whole, a parameter out of its range or of another type alone.
"""

from __future__ import annotations

from collections.abc import Container
from functools import lru_cache
from typing import Final, NamedTuple, TypeVar

from tricorn_transports.http.structured import Item, Member, StructuredFieldError, parse_dictionary

T = TypeVar("T")

DEFAULT_URGENCY: Final = 3
LEAST_URGENT: Final = 7
#: Longer ones are parsed too, but not remembered.
_MAX_REMEMBERED_BYTES: Final = 32


class Priority(NamedTuple):
    """A response's priority.

    Attributes:
        urgency: 0 (first) to 7 (last). What a user waits for is below 3, what is only for later above.
        incremental: A part of the response is of use already, so that it may share the connection with others of its
            urgency; otherwise they go one after the other.
    """

    urgency: int = DEFAULT_URGENCY
    incremental: bool = False

    def __str__(self) -> str:
        """The field's value."""
        return f"u={self.urgency}{', i' if self.incremental else ''}"


DEFAULT: Final = Priority()


def parse_priority(value: bytes) -> Priority | None:
    """A request's Priority, what is not said filled up with the defaults; ``None`` when nothing is said.

    Args:
        value: All Priority lines of the message, joined by commas.
    """
    urgency, incremental = _parse(value) if len(value) <= _MAX_REMEMBERED_BYTES else _read(value)
    if urgency is None and incremental is None:
        return None
    return Priority(DEFAULT_URGENCY if urgency is None else urgency, bool(incremental))


def merge_priority(base: Priority, value: bytes) -> Priority:
    """What a response's Priority makes of the request's: what it does not say stays as it was (section 8)."""
    urgency, incremental = _parse(value) if len(value) <= _MAX_REMEMBERED_BYTES else _read(value)
    return Priority(
        base.urgency if urgency is None else urgency, base.incremental if incremental is None else incremental
    )


def _read(value: bytes) -> tuple[int | None, bool | None]:
    try:
        members = parse_dictionary(value.decode("ascii"))
    except (StructuredFieldError, UnicodeDecodeError):
        return None, None
    return _value(members.get("u"), int, range(LEAST_URGENT + 1)), _value(members.get("i"), bool, (False, True))


def _value(member: Member | None, kind: type[T], allowed: Container[T]) -> T | None:
    value = member.value if isinstance(member, Item) else None
    # Not isinstance: a bool is an int, and a Date is one too.
    return value if type(value) is kind and value in allowed else None


_parse = lru_cache(256)(_read)
