"""Pushes and 103s as clients that nobody here wrote see them: nghttp, Node, curl, libcurl over HTTP/3, Chromium."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from curl_cffi import Curl, CurlHttpVersion, CurlInfo, CurlOpt
from playwright.sync_api import sync_playwright

pytestmark = pytest.mark.interop

APP = "hints_app:app"
RUNTIMES = ("asyncio", "uvloop", "trio")
PAGES = ("/", "/declared", "/linked")
HTML = "accept: text/html"
STYLE = "p { color: rgb(1, 2, 3) }"


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


# ---------------------------------------------------------------------------------------------------------- nghttp


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("page", PAGES)
def test_nghttp_shows_the_promise_and_the_body(
    runtime: str, page: str, tricorn_run: Callable[..., Any], program: Callable[[str], str]
) -> None:
    nghttp = program("nghttp")
    server = tricorn_run(APP, "--runtime", runtime)
    url = f"https://127.0.0.1:{server.port}{page}"
    frames = run(nghttp, "-nv", url)
    promise = re.search(r"recv PUSH_PROMISE frame.*?promised_stream_id=(\d+)", frames, re.DOTALL)
    assert promise, frames
    stream = promise[1]
    assert re.search(rf"recv DATA frame <length={len(STYLE)}, flags=0x\w+, stream_id={stream}>", frames), frames
    parent = re.search(r"recv \(stream_id=13\) :status: 200", frames)
    assert parent, frames
    assert promise.start() < parent.start(), "the promise comes before the page that refers to it"
    assert frames.count("recv PUSH_PROMISE") == 1, "nopush is respected"
    assert "103" not in re.findall(r":status: (\d+)", frames)
    assert STYLE in run(nghttp, url)


@pytest.mark.parametrize("page", ["/", "/declared"])
def test_nghttp_without_push_gets_the_103(
    page: str, tricorn_run: Callable[..., Any], program: Callable[[str], str]
) -> None:
    nghttp = program("nghttp")
    server = tricorn_run(APP)
    url = f"https://127.0.0.1:{server.port}{page}"
    frames = run(nghttp, "-nv", "--no-push", "-H", HTML, url)
    assert "PUSH_PROMISE" not in frames
    assert re.findall(r":status: (\d+)", frames) == ["103", "200"]
    assert frames.count("</app.css>; rel=preload; as=style") == 1
    frames = run(nghttp, "-nv", "--no-push", url)
    assert re.findall(r":status: (\d+)", frames) == ["200"], "no browser's request for a page"
    assert frames.count("</app.css>; rel=preload; as=style") == 1


# ------------------------------------------------------------------------------------------------------------ Node


@pytest.fixture
def node(program: Callable[[str], str], tricorn_run: Callable[..., Any], certificate: Any) -> Callable[..., Any]:
    """What Node's client sees of a page: ``node("/", "push", runtime="trio")``."""
    executable = program("node")
    script = Path(__file__).parent / "apps" / "push_client.mjs"

    def ask(path: str, *options: str, runtime: str = "asyncio") -> Any:
        server = tricorn_run(APP, "--runtime", runtime)
        return json.loads(
            run(executable, str(script), f"https://localhost:{server.port}", certificate.ca, path, *options)
        )

    return ask


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("page", PAGES)
def test_node_receives_the_push(runtime: str, page: str, node: Callable[..., Any]) -> None:
    seen = node(page, "push", runtime=runtime)
    (push,) = seen["pushes"]
    assert (push["status"], push["body"]) == (200, STYLE)
    assert push["request"][":path"] == "/app.css"
    assert push["request"]["accept-language"] == "sv"
    assert "cookie" not in push["request"]
    assert (seen["status"], seen["informational"]) == (200, [])
    assert (seen.get("link") or "").count("app.css") == 0


def test_node_without_push_gets_the_103(node: Callable[..., Any]) -> None:
    seen = node("/", "no")
    assert seen["pushes"] == []
    assert seen["informational"] == [{"status": 103, "link": "</app.css>; rel=preload; as=style"}]
    assert (seen["status"], seen.get("link")) == (200, None)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_node_cancels_a_push_and_its_handler_ends(runtime: str, node: Callable[..., Any]) -> None:
    seen = node("/endless", "push", "reset", runtime=runtime)
    assert (seen["status"], seen["cancelled"]) == (200, '["endless.css"]')


# ------------------------------------------------------------------------------------------------------------ curl


def test_curl_which_takes_no_push_gets_the_103(tricorn_run: Callable[..., Any], program: Callable[[str], str]) -> None:
    curl = program("curl")
    server = tricorn_run(APP)
    url = f"https://127.0.0.1:{server.port}/"
    heads = run(curl, "-sk", "--http2", "-H", HTML, "-D", "-", "-o", "/dev/null", url).lower()
    assert re.findall(r"^http/2 (\d+)", heads, re.MULTILINE) == ["103", "200"]
    assert heads.count("link: </app.css>; rel=preload; as=style") == 1
    heads = run(curl, "-sk", "--http1.1", "-H", HTML, "-D", "-", "-o", "/dev/null", url).lower()
    assert re.findall(r"^http/1.1 (\d+)", heads, re.MULTILINE) == ["200"]
    assert heads.count("link: </app.css>; rel=preload; as=style") == 1


def test_libcurl_sees_the_103_over_http_3(tricorn_run: Callable[..., Any], certificate: Any) -> None:
    server = tricorn_run(APP)
    lines, body = io.BytesIO(), io.BytesIO()
    curl = Curl()
    try:
        curl.setopt(CurlOpt.URL, f"https://localhost:{server.port}/".encode())
        curl.setopt(CurlOpt.HTTP_VERSION, CurlHttpVersion.V3ONLY)
        curl.setopt(CurlOpt.CAINFO, certificate.ca.encode())
        curl.setopt(CurlOpt.HTTPHEADER, [HTML.encode()])
        curl.setopt(CurlOpt.HEADERFUNCTION, lines.write)
        curl.setopt(CurlOpt.WRITEFUNCTION, body.write)
        curl.perform()
        assert curl.getinfo(CurlInfo.HTTP_VERSION) == CurlHttpVersion.V3
    finally:
        curl.close()
    heads = lines.getvalue().decode().lower()
    assert re.findall(r"^http/3 (\d+)", heads, re.MULTILINE) == ["103", "200"]
    assert heads.index("link: </app.css>; rel=preload; as=style") < heads.index("http/3 200")
    assert heads.count("link:") == 1
    assert b"stylesheet" in body.getvalue()


# -------------------------------------------------------------------------------------------------------- Chromium


@pytest.mark.parametrize("protocol", ["h2", "h3"])
def test_chromium_fetches_what_the_103_names_before_the_page_is_there(
    protocol: str,
    tricorn_run: Callable[..., Any],
    program: Callable[[str], str],
    chromium_flags: Callable[[str, int], list[str]],
) -> None:
    """The page is answered only when its style sheet has been asked for: nothing but the 103 can bring that about."""
    executable = program("chromium")
    server = tricorn_run(APP)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=chromium_flags(protocol, server.port))
        page = browser.new_page()
        page.goto(f"https://localhost:{server.port}/early/{protocol}/")
        assert page.inner_text("#text") == "asked for early"
        entry = page.evaluate(
            """() => {
                const [page] = performance.getEntriesByType("navigation");
                const [style] = performance.getEntriesByType("resource");
                return { initiator: style.initiatorType, protocol: page.nextHopProtocol, name: style.name,
                         interim: page.firstInterimResponseStart, final: page.finalResponseHeadersStart,
                         color: getComputedStyle(document.getElementById("text")).color };
            }"""
        )
        browser.close()
    assert entry["protocol"] == protocol
    assert entry["name"].endswith(f"/early/{protocol}/style.css")
    assert entry["initiator"] == "early-hints"
    assert 0 < entry["interim"] <= entry["final"]
    assert entry["color"] == "rgb(1, 2, 3)"


# ------------------------------------------------------------------------------------------------ foreign servers


def test_under_hypercorn_its_own_extensions_are_used(
    launch: Callable[..., Any], program: Callable[[str], str], certificate: Any
) -> None:
    """It offers pushes to every client of HTTP/2, also to those that refuse them; so a browser is given the 103."""
    nghttp = program("nghttp")
    server = launch(
        [
            *(sys.executable, "-m", "hypercorn", APP, "--bind", "127.0.0.1:{port}"),
            *("--certfile", certificate.cert, "--keyfile", certificate.key),
        ]
    )
    url = f"https://127.0.0.1:{server.port}/"
    frames = run(nghttp, "-nv", "-H", HTML, url)
    assert frames.count("recv PUSH_PROMISE") == 1
    assert re.findall(r"stream_id=13\) :status: (\d+)", frames) == ["200"]
    browser = ("--no-push", "-H", HTML, "-H", "sec-fetch-mode: navigate")
    frames = run(nghttp, "-nv", *browser, url)
    assert re.findall(r":status: (\d+)", frames) == ["103", "200"]
    assert frames.count("</app.css>; rel=preload; as=style") == 1


def test_under_uvicorn_it_is_a_link(launch: Callable[..., Any], program: Callable[[str], str]) -> None:
    curl = program("curl")
    server = launch([sys.executable, "-m", "uvicorn", APP, "--port", "{port}"])
    for page in ("/", "/declared", "/linked"):
        heads = run(curl, "-s", "-H", HTML, "-D", "-", "-o", "/dev/null", f"http://127.0.0.1:{server.port}{page}")
        assert re.findall(r"^HTTP/1.1 (\d+)", heads, re.MULTILINE) == ["200"]
        assert heads.count("</app.css>; rel=preload; as=style") == 1
