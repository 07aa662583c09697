"""The guide shows the example as it is."""

from __future__ import annotations


def test_the_guide_shows_the_examples_code(root, blocks_of):
    page = root / "docs" / "guides" / "write-your-own-transport.md"
    (shown,) = [block.text for block in blocks_of(page) if block.file == "tricorn_http09.py"]
    assert shown == (root / "examples" / "http09" / "tricorn_http09.py").read_text(encoding="utf-8")
