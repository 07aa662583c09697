"""Every Python block of the documentation runs, prints what the page says, and answers curl as the page shows.

The conventions stand in docs/README.md. A page is one module: its blocks run in order and share their names.
"""

from __future__ import annotations

import contextlib
import copy
import doctest
import io
import linecache
import logging
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent
PAGES = sorted(page for page in (ROOT / "docs").rglob("*.md") if "\n```" in page.read_text(encoding="utf-8"))

PLAIN, TLS = "http://127.0.0.1:8000", "https://localhost:8443"
AUTHORITY = ".tricorn/authority.pem"


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """An empty module, in an empty current directory from which the page's files can be imported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    module = ModuleType("page")
    monkeypatch.setitem(sys.modules, "page", module)
    access = logging.getLogger("tricorn.access")  # which a page may set up as a reader would
    for attribute in ("handlers", "level", "propagate"):
        monkeypatch.setattr(access, attribute, copy.copy(getattr(access, attribute)))
    yield module
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.fixture
def run_page(
    blocks_of: Callable[..., Any], module: ModuleType, serve: Callable[..., Any], certificate: Any
) -> Callable[[Path], None]:
    """``run_page(page)``: runs its blocks, and fails where the page says something else than what happens."""

    def run(page: Path) -> None:
        printed: str | None = None
        for block in blocks_of(page):
            where = f"{page.name}:{block.line}"
            if block.file is not None:
                Path(block.file).parent.mkdir(parents=True, exist_ok=True)
                Path(block.file).write_text(block.text, encoding="utf-8")
            if block.kind == "python":
                printed = run_python(block.text, module, where)
            elif block.kind == "output":
                assert printed is not None, f"{where}: no Python block stands before this output"
                check_output(block.text, printed, where)
            elif block.kind == "console":
                for command, expected in read_session(block.text, where):
                    check_output(expected, run_command(command, module, serve, certificate), f"{where}: {command}")

    return run


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT / "docs")))
def test_page(page: Path, run_page: Callable[[Path], None]) -> None:
    run_page(page)


@pytest.mark.parametrize(
    "text",
    [
        "```python\nprint(1)\n```\n\n```output\n2\n```\n",
        "```python\nfrom tricorn import App\napp = App()\n```\n\n```console\n$ curl -s http://127.0.0.1:8000/\nhi\n```\n",
        "```console\n$ tricorn transports\nTRANSPORT HTTP\n```\n",
    ],
    ids=["output", "curl", "tricorn"],
)
def test_a_page_that_is_wrong_is_found(text: str, run_page: Callable[[Path], None], tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(text)
    with pytest.raises(pytest.fail.Exception, match="the page says"):
        run_page(page)


def run_python(text: str, module: ModuleType, where: str) -> str:
    """Runs a block in the page's module; what it printed. Tracebacks and ``inspect`` see its source."""
    linecache.cache[where] = (len(text), None, text.splitlines(keepends=True), where)
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(compile(text, where, "exec"), module.__dict__)
    return output.getvalue()


def read_session(text: str, where: str) -> list[tuple[str, str]]:
    """Commands (lines that begin with ``$``, and those that they go on with after a backslash) and their output."""
    session: list[tuple[str, str]] = []
    for line in text.splitlines(keepends=True):
        if line.startswith("$ "):
            session.append((line[2:].strip(), ""))
        else:
            assert session, f"{where}: a console block begins with a command"
            command, output = session[-1]
            if command.endswith("\\"):
                session[-1] = (f"{command[:-1]}{line.strip()}", "")
            else:
                session[-1] = (command, output + line)
    return session


def run_command(command: str, module: ModuleType, serve: Callable[..., Any], certificate: Any) -> str:
    """What a command prints: ``curl`` asks a real server with the page's ``app``, ``tricorn`` is ours."""
    arguments = shlex.split(command)
    if arguments[0] == "tricorn":
        arguments[:1] = [sys.executable, "-m", "tricorn_transports"]
    else:
        assert arguments[0] == "curl", f"neither curl nor tricorn: {command}"
        if shutil.which("curl") is None:
            (pytest.fail if os.environ.get("CI") else pytest.skip)("curl is not installed")
        server = serve(module.__dict__["app"], tls=TLS in command)
        replaced = {PLAIN: f"http://127.0.0.1:{server.port}", TLS: f"https://localhost:{server.port}"}
        replaced[AUTHORITY] = certificate.ca
        for shown, real in replaced.items():
            arguments = [argument.replace(shown, real) for argument in arguments]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL)
    if arguments[0] != "curl":
        return done.stdout + done.stderr
    assert done.returncode == 0, f"{command}: {done.stderr or done.returncode}"
    return done.stdout.replace("\r\n", "\n").replace(f":{server.port}", TLS[-5:] if TLS in command else PLAIN[-5:])


def check_output(expected: str, found: str, where: str) -> None:
    """Compares by lines, without white space at their ends; ``...`` stands for anything."""
    wanted, got = ("\n".join(map(str.rstrip, text.strip().splitlines())) + "\n" for text in (expected, found))
    if not doctest.OutputChecker().check_output(wanted, got, doctest.ELLIPSIS):
        pytest.fail(f"{where}: the page says\n{wanted}but it is\n{got}", pytrace=False)
