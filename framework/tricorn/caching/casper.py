"""What a client is known to hold, as a short string: a Golomb-coded set of fingerprints.

A server that pushes wastes what the client has already. It can remember what it gave in a cookie: each resource is
hashed to a fingerprint of a few bits, and the sorted fingerprints' differences are Golomb-Rice coded, which costs a
little more than the logarithm of the false positives' rate for each: 9.5 bits for one in 256. (The idea is the
cache-aware pusher of the H2O server; the format here is Tricorn's own.)

The format, in URL-safe base64 without padding: one byte, the width of a fingerprint in bits; one byte, the width R of
a remainder; then for each fingerprint in rising order its difference to the one before it, less one: the quotient by
2^R as that many ones and a zero, and R bits of remainder. Ones fill the last byte.

Rules of this module: pure; linear in its input; what is longer than a full set can be is not even looked at. A client
can make the string up, so that it is a hint and no authority: what is malformed is an empty set.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256
from itertools import pairwise
from typing import Final, Self

#: A cookie has some 4096 bytes in all (RFC 6265 section 6.1).
MAX_ENCODED_CHARS: Final = 3800

_HASH_BITS: Final = 64
_BASE64 = re.compile(r"[A-Za-z0-9_-]*\Z")


class HeldSet:
    """A set of resources that can be written down in little space; it says yes to a few that are not in it.

    Args:
        capacity: How many resources it can tell apart: a set that is full begins anew with the next one.
        error_bits: P: at most one resource in 2^P that was never added counts as held. A full set has ``capacity`` in
            2^P times ``capacity`` fingerprints; one with less in it errs less.

    Raises:
        ValueError: The encoded set might not fit into a cookie.
    """

    __slots__ = ("_width", "capacity", "error_bits", "values")

    def __init__(self, *, capacity: int = 128, error_bits: int = 8) -> None:
        if capacity < 1 or error_bits < 1 or max_chars(capacity, error_bits) > MAX_ENCODED_CHARS:
            raise ValueError(f"a set of {capacity} with an error of 2^-{error_bits} does not fit into a cookie")
        self.capacity = capacity
        self.error_bits = error_bits
        self._width = _width(capacity, error_bits)
        #: The fingerprints.
        self.values: set[int] = set()

    def holds(self, url: str, etag: str | None = None) -> bool:
        """Whether a resource was added, or one that has its fingerprint."""
        return self._fingerprint(url, etag) in self.values

    def add(self, url: str, etag: str | None = None) -> None:
        """Adds a resource: its URL, and with an ETag this version of it only."""
        value = self._fingerprint(url, etag)
        if len(self.values) >= self.capacity and value not in self.values:
            self.values.clear()  # nothing says which is the oldest
        self.values.add(value)

    def _fingerprint(self, url: str, etag: str | None) -> int:
        key = url if etag is None else f"{url}\0{etag}"
        digest = sha256(key.encode("utf-8", "surrogateescape")).digest()
        return int.from_bytes(digest[: _HASH_BITS // 8], "big") >> (_HASH_BITS - self._width)

    def encode(self) -> str:
        """The set as text of letters, digits, ``-`` and ``_``; ``""`` if it is empty."""
        if not self.values:
            return ""
        remainder = max(self._width - len(self.values).bit_length(), 0)
        parts: list[str] = []
        for before, value in pairwise([-1, *sorted(self.values)]):
            quotient, rest = divmod(value - before - 1, 1 << remainder)
            parts.append("1" * quotient + "0" + (f"{rest:0{remainder}b}" if remainder else ""))
        bits = "".join(parts)
        bits += "1" * (-len(bits) % 8)
        data = bytes((self._width, remainder)) + int(bits, 2).to_bytes(len(bits) // 8, "big")
        return urlsafe_b64encode(data).decode("ascii").rstrip("=")

    @classmethod
    def decode(cls, text: str, *, capacity: int = 128, error_bits: int = 8) -> Self:
        """The set that ``encode`` wrote; an empty one if it did not, or with other parameters.

        Raises:
            ValueError: The parameters are impossible; never the text.
        """
        made = cls(capacity=capacity, error_bits=error_bits)
        if 4 <= len(text) <= max_chars(capacity, error_bits) and len(text) % 4 != 1 and _BASE64.match(text):
            data = urlsafe_b64decode(text + "=" * (-len(text) % 4))
            if data[0] == made._width and data[1] < made._width:
                made.values = _read(data[2:], data[1], made._width, capacity)
        return made

    def __len__(self) -> int:
        return len(self.values)

    def __repr__(self) -> str:
        return f"HeldSet({len(self.values)} of {self.capacity}, 2^-{self.error_bits})"


def max_chars(capacity: int, error_bits: int) -> int:
    """Characters that ``encode`` gives at most."""
    # Of n fingerprints each has a zero and at most error_bits + 1 bits of remainder (more only where n is so small
    # that the sum is less), and all quotients together are at most 2n.
    size = 2 + -(-capacity * (error_bits + 4) // 8)
    return -(-size * 8 // 6)


def _width(capacity: int, error_bits: int) -> int:
    return error_bits + (capacity - 1).bit_length()


def _read(data: bytes, remainder: int, width: int, capacity: int) -> set[int]:
    """The fingerprints in ``data``, or none at all where no encoder would have written it."""
    bits = f"{int.from_bytes(data, 'big'):0{8 * len(data)}b}"
    values: set[int] = set()
    value, position = -1, 0
    while (zero := bits.find("0", position)) >= 0:
        end = zero + 1 + remainder
        if end > len(bits) or len(values) == capacity:
            return set()
        rest = int(bits[zero + 1 : end], 2) if remainder else 0
        value += 1 + ((zero - position) << remainder) + rest
        if value >> width:
            return set()
        values.add(value)
        position = end
    return values if len(bits) - position < 8 else set()
