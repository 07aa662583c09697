"""The tour in headless Chromium: it must come over each protocol, work, and look right (screenshots are kept)."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import sync_playwright

pytestmark = pytest.mark.interop

ARTIFACTS = Path(__file__).parent.parent.parent / "artifacts"
HTTP = {"http/1.1": "1.1", "h2": "1.1,2", "h3": "1.1,2,3"}
NAMES = {"http/1.1": "HTTP/1.1", "h2": "HTTP/2", "h3": "HTTP/3"}


@pytest.mark.parametrize("protocol", HTTP)
def test_chromium_shows_the_tour(
    protocol: str,
    tricorn_run: Callable[..., Any],
    program: Callable[[str], str],
    chromium_flags: Callable[[str, int], list[str]],
    tmp_path: Path,
) -> None:
    executable = program("chromium")
    server = tricorn_run("examples.tour:app", "--http", HTTP[protocol])
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=chromium_flags(protocol, server.port))
        page = browser.new_page(viewport={"width": 1100, "height": 900})
        problems: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)

        page.goto(f"https://localhost:{server.port}/")
        page.wait_for_selector("html[data-ready]", timeout=30_000)
        spoken = page.evaluate(
            """() => [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
                .filter((entry) => !entry.name.endsWith("/clock"))
                .map((entry) => entry.nextHopProtocol)"""
        )
        assert len(spoken) > 24
        assert set(spoken) == {protocol}
        assert page.inner_text("#protocol") == NAMES[protocol]
        widths = page.evaluate("() => [...document.querySelectorAll('img')].map((image) => image.naturalWidth)")
        assert all(widths), "an image did not come"

        page.wait_for_function("document.getElementById('clock').textContent.includes(':')")
        page.click("#echo button")
        page.wait_for_function("document.getElementById('echoed').textContent === 'The server says: Ahoy'")
        upload = tmp_path / "upload.bin"
        upload.write_bytes(os.urandom(300_000))
        page.set_input_files("#upload input", str(upload))
        page.click("#upload button")
        page.wait_for_function("document.getElementById('uploaded').textContent.startsWith('300000 bytes')")
        assert hashlib.sha256(upload.read_bytes()).hexdigest() in page.inner_text("#uploaded")

        ARTIFACTS.mkdir(exist_ok=True)
        page.screenshot(path=str(ARTIFACTS / f"tour-{protocol.replace('/', '')}.png"), full_page=True)
        browser.close()
    assert problems == []
