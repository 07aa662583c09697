"""Reads the documentation's pages: their fenced blocks, and what docs/README.md says the words after the fence mean."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent

_FENCE = re.compile(r"^```(?P<info>\S[^\n]*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """One fenced block.

    Attributes:
        kind: The first word after the fence: ``python``, ``output``, ``console`` ...
        file: The name under which it is saved before it is run, from ``file=NAME``.
        line: Where its text begins on the page, from 1.
    """

    kind: str
    file: str | None
    text: str
    line: int


def read_blocks(page: Path) -> list[Block]:
    """The blocks of a page, in order. Blocks without a word after the fence, and indented ones, are prose."""
    source = page.read_text(encoding="utf-8")
    blocks = []
    for match in _FENCE.finditer(source):
        kind, *words = match["info"].split()
        options = dict(word.split("=", 1) for word in words)
        line = source.count("\n", 0, match.start("text")) + 1
        blocks.append(Block(kind, options.pop("file", None), match["text"], line))
        assert not options, f"{page.name}:{line}: unknown words after the fence: {options}"
    return blocks


@pytest.fixture
def blocks_of():
    """``blocks_of(page)``: see ``read_blocks`` (tests are imported by path and cannot import each other)."""
    return read_blocks


@pytest.fixture
def root() -> Path:
    return ROOT
