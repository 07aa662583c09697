"""README.md keeps its promises: its commands are what CI and make run, its app answers, every link leads somewhere."""

from __future__ import annotations

import json
import re
import ssl
import tomllib
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def commands(blocks: list[Any]) -> list[str]:
    return [line for block in blocks if block.kind == "sh" for line in block.text.splitlines() if line]


def test_the_test_command_is_the_one_that_ci_runs(blocks_of: Callable[..., Any]) -> None:
    last = (ROOT / ".ci" / "run").read_text().strip().splitlines()[-1]
    assert last in commands(blocks_of(ROOT / "README.md"))


def test_the_demo_command_makes_its_environment_and_installs_an_extra_that_exists(
    blocks_of: Callable[..., Any],
) -> None:
    (demo,) = [line for line in commands(blocks_of(ROOT / "README.md")) if "examples.tour:app" in line]
    match = re.fullmatch(
        r'python3 -m venv \.venv && \.venv/bin/pip install -q -e "\.\[(\w+)\]"'
        r" && \.venv/bin/tricorn dev examples\.tour:app",
        demo,
    )
    assert match is not None
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert match[1] in project["optional-dependencies"]


def test_every_make_target_that_is_named_exists() -> None:
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    named = re.findall(r"`make (\w+)`", (ROOT / "README.md").read_text())
    assert {"demo", "test", "long", "bench", "fuzz"} == set(named) == set(targets)


@pytest.mark.parametrize("tls", [False, True], ids=["clear", "tls"])
def test_the_app_is_ten_lines_at_most_and_answers(
    tls: bool, blocks_of: Callable[..., Any], serve: Callable[..., Any], certificate: Any
) -> None:
    (app,) = [block for block in blocks_of(ROOT / "README.md") if block.kind == "python"]
    assert len(app.text.splitlines()) <= 10
    namespace: dict[str, Any] = {"__name__": "hello"}
    exec(compile(app.text, "README.md", "exec"), namespace)
    server = serve(namespace["app"], tls=tls)

    context = ssl.create_default_context(cafile=certificate.ca) if tls else None
    url = f"http{'s' if tls else ''}://127.0.0.1:{server.port}/hello/you"
    with urllib.request.urlopen(url, timeout=20, context=context) as response:
        assert json.load(response) == {"hello": "you", "over": "HTTP/1.1"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files_and_headings(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), f"{page.name} links to {target}"
        if anchor:
            assert anchor in headings(found), f"{page.name} links to {target}"


def headings(page: Path) -> set[str]:
    """The anchors that the headings of a page make."""
    lines = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", line.lower()).strip().replace(" ", "-") for line in lines}
