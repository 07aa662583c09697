"""What Chromium asks for when it comes a second time: what the policy of each response says, and nothing else."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Response, sync_playwright

from tricorn.caching import CacheControl, freshness_of
from tricorn.caching.freshness import Source
from tricorn.headers import Headers

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


#: What the page shows, in contrast to what its scripts fetch to show that it is new.
SHOWN = ("document", "stylesheet", "script", "image", "font")


def expected_statuses(answer: Response) -> list[int] | None:
    """What is answered to a second visit, by the first answer's own fields; ``None`` where it says nothing."""
    headers = Headers([(name.encode(), value.encode()) for name, value in answer.headers.items()])
    control = CacheControl.parse(headers.get("cache-control", ""))
    if control.no_store:
        return [200]
    freshness = freshness_of(answer.status, headers, now=time.time(), shared=False)
    if freshness.source is Source.HEURISTIC:
        return None
    if freshness.is_fresh and not freshness.must_validate:
        return []
    return [304] if "etag" in headers or "last-modified" in headers else [200]


@pytest.mark.parametrize("protocol", HTTP)
def test_the_tour_is_asked_for_as_its_policies_say(
    protocol: str, tricorn_run: Callable[..., Any], browse: Callable[..., Any]
) -> None:
    server = tricorn_run("examples.tour:app", "--http", HTTP[protocol])
    url = f"https://localhost:{server.port}"
    answers: list[Response] = []
    with browse(protocol, server.port) as context:
        context.on("response", lambda answer: answers.append(answer))  # a built-in function cannot be watched with
        visit(context, url + "/", "html[data-ready]")
        expected = {
            answer.url.removeprefix(url): statuses
            for answer in answers
            if answer.request.resource_type in SHOWN and (statuses := expected_statuses(answer)) is not None
        }
        visited = len(server.output())
        visit(context, url + "/", "html[data-ready]")
    server.stop()  # so that its log is whole

    seen: dict[str, list[int]] = {path: [] for path in expected}
    for path, status in re.findall(r'"GET (\S+) HTTP/[0-9.]+" ([0-9]{3})', server.output()[visited:]):
        if path in seen:
            seen[path].append(int(status))
    assert len(expected) > 24
    assert [304] in expected.values()
    assert seen == expected
