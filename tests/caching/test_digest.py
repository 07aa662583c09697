"""Digest fields (RFC 9530): computed, read, checked and chosen."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tricorn.caching import Algorithm, Digester, Verdict, choose_algorithm, digest_field, parse_digests, verify
from tricorn.caching.digest import format_want, parse_want

CONTENT = b'{"hello": "world"}\n'
#: Of this content, from the RFC's own example (section 2).
EXAMPLE = "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:"


def test_the_example_of_the_rfc() -> None:
    assert digest_field(CONTENT) == EXAMPLE
    assert verify(EXAMPLE, CONTENT) is Verdict.MATCH
    assert verify(EXAMPLE, CONTENT + b" ") is Verdict.MISMATCH


def test_pieces_give_the_digest_of_the_whole() -> None:
    digester = Digester(["sha-512", Algorithm.SHA_256])
    digester.update(CONTENT[:5])
    digester.update(memoryview(CONTENT)[5:])
    sha512 = base64.b64encode(hashlib.sha512(CONTENT).digest()).decode()
    assert digester.to_header() == f"sha-512=:{sha512}:, {EXAMPLE}"
    assert verify(digester.to_header(), CONTENT) is Verdict.MATCH


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        (f"md5=:AAAA:, {EXAMPLE}", Verdict.MATCH),
        (f"{EXAMPLE}, sha-512=:AAAA:", Verdict.MISMATCH),
        ("sha-256=::", Verdict.MISMATCH),
        ("md5=:AAAA:", Verdict.UNCHECKED),
        ('sha-256="RK"', Verdict.UNCHECKED),
        (EXAMPLE + ",", Verdict.UNCHECKED),
        ("", Verdict.UNCHECKED),
    ],
)
def test_verdicts(text: str, verdict: Verdict) -> None:
    assert verify(text, CONTENT) is verdict


@pytest.mark.parametrize("algorithms", [[], ["md5"], ["SHA-256"]])
def test_algorithms_that_are_not_computed(algorithms: list[str]) -> None:
    with pytest.raises(ValueError):
        Digester(algorithms)


@pytest.mark.parametrize(
    ("want", "chosen"),
    [
        ("sha-256=1, sha-512=3", Algorithm.SHA_512),
        ("sha-256=5, sha-512=5", Algorithm.SHA_256),
        ("sha-256=0, sha-512=1", Algorithm.SHA_512),
        ("sha-256=0", None),
        ("md5=10, sha-256=1", Algorithm.SHA_256),
        ("sha-512=11, sha-256=1", Algorithm.SHA_256),
        ("sha-512", None),
        ("", None),
        ("&", None),
    ],
)
def test_the_algorithm_that_is_wanted_most(want: str, chosen: Algorithm | None) -> None:
    assert choose_algorithm(want) is chosen


def test_only_available_algorithms_are_chosen() -> None:
    assert choose_algorithm("sha-256=1, sha-512=9", ["sha-256"]) is Algorithm.SHA_256
    assert choose_algorithm("sha-256=1", []) is None


def test_asking_for_a_digest() -> None:
    assert format_want({Algorithm.SHA_512: 3, "sha-256": 10, "unixsum": 0}) == "sha-512=3, sha-256=10, unixsum=0"
    assert parse_want("sha-512=3, sha-256=10, unixsum=0, x=1.5") == {"sha-512": 3, "sha-256": 10, "unixsum": 0}
    for preference in (-1, 11):
        with pytest.raises(ValueError, match="from 0 to 10"):
            format_want({"sha-256": preference})


@given(st.text(alphabet="sha-256=:RK1, ?\n", max_size=60) | st.text(), st.binary())
def test_any_text_is_read(text: str, content: bytes) -> None:
    digests: dict[str, Any] = parse_digests(text)
    assert all(isinstance(digest, bytes) for digest in digests.values())
    assert verify(text, content) is not Verdict.MATCH or digests
    parse_want(text)
    choose_algorithm(text)


@given(st.binary())
def test_a_digest_matches_its_content_and_no_other(content: bytes) -> None:
    field = digest_field(content, Algorithm)
    assert verify(field, content) is Verdict.MATCH
    assert verify(field, content + b"x") is Verdict.MISMATCH
