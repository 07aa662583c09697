"""What parts of a request's head mean, whatever version of HTTP carries them (RFC 9110).

Rules of this module: pure functions over bytes, linear in their input.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_has_broken_escape = re.compile(rb"[^?]*%(?![0-9A-Fa-f]{2})").match


class Expectations(NamedTuple):
    """What a client expects.

    Attributes:
        continues: A 100 before it sends the body.
        more: Something that nobody here knows.
    """

    continues: bool
    more: bool


NOTHING_EXPECTED = Expectations(False, False)


def read_expect(value: bytes) -> Expectations:
    """What all Expect fields ask for, joined by commas (RFC 9110 section 10.1.1)."""
    members = {member for part in value.lower().split(b",") if (member := part.strip(b" \t"))}
    return Expectations(b"100-continue" in members, bool(members - {b"100-continue"}))


def has_broken_path(target: bytes) -> bool:
    """Whether a percent sign in the path of ``target`` begins no percent-encoded byte (RFC 3986 section 2.1).

    What is decoded for the application must not stand for two targets, ``/%zz`` and ``/%25zz``. The query is handed on
    as it is, and browsers send percent signs in it.
    """
    return _has_broken_escape(target) is not None
