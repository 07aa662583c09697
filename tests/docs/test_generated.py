"""What is generated is fresh, and what is written by hand names everything that there is."""

from __future__ import annotations

import argparse
import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

import tricorn
import tricorn.middleware
import tricorn.response
from tricorn.caching.control import Directives
from tricorn_transports import cli
from tricorn_transports.registry import transports
from tricorn_transports.settings import SETTINGS

DOCS = Path(__file__).parent.parent.parent / "docs"
REFERENCE = "\n".join(page.read_text() for page in (DOCS / "reference").glob("*.md"))


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_of_settings_is_fresh(generate: ModuleType) -> None:
    assert generate.PAGE.read_text() == generate.page(), "run: python docs/generate.py"


def test_every_setting_has_a_row(generate: ModuleType) -> None:
    for setting in SETTINGS:
        assert f"`{setting.variable}`" in generate.page()


@pytest.mark.parametrize("module", [tricorn, tricorn.response, tricorn.middleware], ids=lambda module: module.__name__)
def test_every_public_name_stands_in_the_reference(module: ModuleType) -> None:
    missing = [name for name in module.__all__ if re.search(rf"`{name}\b", REFERENCE) is None]
    assert missing == []


def test_every_directive_stands_in_its_table() -> None:
    table = (
        (DOCS / "reference" / "cache-control.md").read_text().partition("\n## The directives")[2].partition("\n## ")[0]
    )
    rows = re.findall(r"^\| `([a-z-]+)` \|", table, re.MULTILINE)
    assert sorted(rows) == sorted(name.replace("_", "-") for name in Directives.__annotations__ if name != "extensions")


def test_every_command_stands_in_the_reference() -> None:
    page = (DOCS / "reference" / "cli.md").read_text()
    parser = cli._parser(cli._commands([]))
    (commands,) = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    for name in commands.choices:
        assert f"## tricorn {name}\n" in page


def test_flags_that_pages_name_exist() -> None:
    parser = cli._parser(cli._commands([]))
    (commands,) = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    flags = {flag for command in commands.choices.values() for flag in command._option_string_actions} | {"--version"}
    serving = {flag for name in ("run", "dev") for flag in commands.choices[name]._option_string_actions}
    text = "\n".join(page.read_text() for page in [DOCS.parent / "README.md", *DOCS.rglob("*.md")])
    for line in re.findall(r"^(?:\$ )?(?:\.venv/bin/)?tricorn (?:run|dev) .*(?:\\\n.*)*", text, re.MULTILINE):
        assert set(re.findall(r"(?<=\s)--[a-z0-9-]+", line)) <= serving, line
    # Quoted alone, as in `--drain-timeout`: ours, unless a sentence is about another program.
    assert set(re.findall(r"`(--[a-z0-9-]+)`", text)) <= flags | FOREIGN_FLAGS


#: Chromium's, the stem of our own negative ones, and other servers'.
FOREIGN_FLAGS = {
    *("--origin-to-force-quic-on", "--no-"),
    *cli._ELSEWHERE,
    *("--quic-bind", "--timeout", "--worker-connections"),
}


def test_transports_are_those_of_the_table() -> None:
    """README's columns are the transports that exist."""
    header = next(
        line for line in (DOCS.parent / "README.md").read_text().splitlines() if line.startswith("| | HTTP/1.1")
    )
    assert [cell.strip() for cell in header.strip("|").split("|") if cell.strip()] == [
        f"HTTP/{spec.version}" for spec in transports().values()
    ]
