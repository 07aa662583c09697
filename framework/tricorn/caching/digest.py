"""Digest fields (RFC 9530): Content-Digest, Repr-Digest and the two Want- fields.

``Content-Digest`` is over the content of one message, ``Repr-Digest`` over the whole selected representation, of which
a 206 carries only a part; both have one syntax.

Rules of this module: pure. Only the algorithms that section 5 calls active are computed; those that it deprecates are
read and never trusted. Reading never raises.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from enum import Enum, StrEnum
from hmac import compare_digest
from typing import Final

from tricorn_transports.http.structured import (
    Item,
    StructuredFieldError,
    parse_dictionary,
    serialize_dictionary,
)


class Algorithm(StrEnum):
    """The algorithms that are fit for use (section 5), in the order in which Tricorn prefers them."""

    SHA_256 = "sha-256"
    SHA_512 = "sha-512"


class Verdict(Enum):
    """What a comparison with a digest field says."""

    MATCH = "every digest that can be checked is right"
    MISMATCH = "a digest is wrong: this is not what was sent"
    UNCHECKED = "there is no digest of an algorithm that is fit for use"


_HASHES: Final = {Algorithm.SHA_256: hashlib.sha256, Algorithm.SHA_512: hashlib.sha512}


class Digester:
    """Digests of content that comes in pieces, for a trailer field or for a check.

    Args:
        algorithms: Those to compute, at least one.

    Raises:
        ValueError: There is none, or one is unknown or deprecated.
    """

    __slots__ = ("_hashes",)

    def __init__(self, algorithms: Iterable[Algorithm | str] = (Algorithm.SHA_256,)) -> None:
        self._hashes = {algorithm: _HASHES[algorithm]() for algorithm in map(_known, algorithms)}
        if not self._hashes:
            raise ValueError("a digest field needs an algorithm")

    def update(self, data: bytes | bytearray | memoryview) -> None:
        """Adds the next piece."""
        for hash_ in self._hashes.values():
            hash_.update(data)

    def digests(self) -> dict[Algorithm, bytes]:
        """The digests of the pieces so far."""
        return {algorithm: hash_.digest() for algorithm, hash_ in self._hashes.items()}

    def to_header(self) -> str:
        """The value of Content-Digest or Repr-Digest for the pieces so far."""
        return format_digests(self.digests())


def _known(algorithm: Algorithm | str) -> Algorithm:
    try:
        return Algorithm(algorithm)
    except ValueError:
        known = ", ".join(Algorithm)
        raise ValueError(f"{algorithm!r} is no digest algorithm that is fit for use; there are {known}") from None


def digest_field(
    content: bytes | bytearray | memoryview, algorithms: Iterable[Algorithm | str] = (Algorithm.SHA_256,)
) -> str:
    """The value of Content-Digest or Repr-Digest for this content (sections 2 and 3).

    Raises:
        ValueError: There is no algorithm, or one is unknown or deprecated.
    """
    digester = Digester(algorithms)
    digester.update(content)
    return digester.to_header()


def format_digests(digests: Mapping[Algorithm, bytes]) -> str:
    """The field value of digests that were computed elsewhere, by their algorithms."""
    return serialize_dictionary({str(algorithm): digest for algorithm, digest in digests.items()})


def parse_digests(text: str) -> dict[str, bytes]:
    """The digests of a field value by the names of their algorithms, deprecated and unknown ones too.

    Nothing for a malformed field; members that are no byte sequence are left out.
    """
    try:
        members = parse_dictionary(text)
    except StructuredFieldError:
        return {}
    return {
        name: member.value
        for name, member in members.items()
        if isinstance(member, Item) and isinstance(member.value, bytes)
    }


def verify(text: str, content: bytes | bytearray | memoryview) -> Verdict:
    """Compares content with the digests of a field value.

    All of them that can be checked have to be right: a sender that computed several computed them over the same bytes.
    """
    expected = parse_digests(text)
    algorithms = [algorithm for algorithm in Algorithm if algorithm in expected]
    if not algorithms:
        return Verdict.UNCHECKED
    digester = Digester(algorithms)
    digester.update(content)
    matches = [compare_digest(digest, expected[algorithm]) for algorithm, digest in digester.digests().items()]
    return Verdict.MATCH if all(matches) else Verdict.MISMATCH


def format_want(preferences: Mapping[Algorithm | str, int]) -> str:
    """The value of Want-Content-Digest or Want-Repr-Digest (section 4).

    Args:
        preferences: From 1 (least) to 10 (most) by algorithm; 0 for one that is not acceptable.

    Raises:
        ValueError: A preference is out of its range, or an algorithm's name cannot be one.
    """
    for algorithm, preference in preferences.items():
        if not 0 <= preference <= 10:
            raise ValueError(f"the preference for {algorithm} is {preference}; it has to be from 0 to 10")
    return serialize_dictionary({str(algorithm): preference for algorithm, preference in preferences.items()})


def parse_want(text: str) -> dict[str, int]:
    """The preferences of a Want- field by algorithm; what is no integer from 0 to 10 is left out (section 4)."""
    try:
        members = parse_dictionary(text)
    except StructuredFieldError:
        return {}
    return {
        name: member.value
        for name, member in members.items()
        if isinstance(member, Item) and type(member.value) is int and 0 <= member.value <= 10
    }


def choose_algorithm(text: str, available: Iterable[Algorithm | str] = tuple(Algorithm)) -> Algorithm | None:
    """The algorithm that a Want- field likes best of those available, or ``None`` if it likes none of them.

    Of several liked equally, the first in ``available`` is taken.

    Raises:
        ValueError: One of those available is unknown or deprecated.
    """
    wanted = parse_want(text)
    best = max(map(_known, available), key=lambda algorithm: wanted.get(algorithm, 0), default=None)
    return best if best is not None and wanted.get(best, 0) else None
