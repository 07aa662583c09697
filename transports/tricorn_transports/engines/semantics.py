"""What parts of a request's head mean, whatever version of HTTP carries them (RFC 9110).

Rules of this module: pure functions over bytes, linear in their input.
"""

from __future__ import annotations

from typing import NamedTuple


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
