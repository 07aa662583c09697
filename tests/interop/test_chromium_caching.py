"""What Chromium asks for when it comes a second time: what the policy of each response says, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, sync_playwright

pytestmark = pytest.mark.interop

HTTP = {"http/1.1": "1.1", "h2": "1.1,2", "h3": "1.1,2,3"}

#: Bytes that came over the network for each resource of a page, by path; nothing for what was in the cache.
TRANSFERRED = """() => Object.fromEntries(
    [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
        .map((entry) => [new URL(entry.name).pathname + new URL(entry.name).search, entry.transferSize]))"""
SPOKEN = "() => performance.getEntriesByType('navigation')[0].nextHopProtocol"


@pytest.fixture
def browse(program: Callable[[str], str], chromium_flags: Callable[[str, int], list[str]]) -> Callable[[str, int], Any]:
    """A browser's context: what its pages store they share."""
    executable = program("chromium")

    @contextmanager
    def open_context(protocol: str, port: int) -> Iterator[BrowserContext]:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=executable, args=chromium_flags(protocol, port))
            yield browser.new_context()
            browser.close()

    return open_context


def visit(context: BrowserContext, url: str, ready: str) -> tuple[dict[str, int], str]:
    """Opens a page of its own, as a link does; a second ``goto`` in one page might count as a reload."""
    page = context.new_page()
    page.goto(url)
    page.wait_for_selector(ready, timeout=30_000)
    page.wait_for_load_state("load")
    transferred, spoken = page.evaluate(TRANSFERRED), page.evaluate(SPOKEN)
    page.close()
    return transferred, spoken


@pytest.mark.parametrize("protocol", HTTP)
def test_a_second_visit_asks_for_what_the_policy_says(
    protocol: str, tricorn_run: Callable[..., Any], make_client: Callable[..., Any], browse: Callable[..., Any]
) -> None:
    server = tricorn_run("browser_origin:app", "--http", HTTP[protocol])
    record = make_client("h1", server.port)
    url = f"https://localhost:{server.port}"
    with browse(protocol, server.port) as context:
        first, spoken = visit(context, url + "/", "html[data-ready][data-fresh]")
        assert spoken == protocol
        assert all(first.values())
        second, _ = visit(context, url + "/", "html[data-ready][data-fresh]")
        visit(context, url + "/another", "html[data-ready][data-fresh]")
        visit(context, url + "/another", "html[data-ready][data-fresh]")

    validated, asked_again, unasked = [200, 304, 304, 304], [200] * 8, [200]
    requests = record.get("/record").json()
    assert {path: [status for _, status in requests[path]] for path in requests if path != "/record"} == {
        "/": [200, 304],
        "/another": [200, 200],
        "/validated.css": validated,
        "/dated.css": validated,
        "/fresh.js": unasked,
        "/app.0123456789abcdef.js": unasked,
        "/unstored.svg": asked_again,
    }
    assert {path for path, size in second.items() if not size} == {"/fresh.js", "/app.0123456789abcdef.js"}
    assert second["/validated.css"] < first["/validated.css"]
