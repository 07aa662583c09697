"""The tour under `tricorn run`, seen by curl, nghttp and libcurl's HTTP/3: the same answers on each."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.interop

RUNTIMES = ("asyncio", "uvloop", "trio")


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_three_protocols_give_the_same_answers(
    runtime: str, tricorn_run: Callable[..., Any], make_client: Callable[..., Any], tour_checks: Any
) -> None:
    server = tricorn_run("examples.tour:app", "--runtime", runtime)
    for protocol in ("h1", "h2", "h3"):
        client = make_client(protocol, server.port)
        tour_checks.check_tour(client)
        tour_checks.check_clock(client)
        assert client.get("/api/request").json()["http_version"] == {"h1": "1.1", "h2": "2", "h3": "3"}[protocol]
    assert server.stop() == 0


def test_cleartext_port_speaks_http_1_and_http_2(
    launch: Callable[..., Any], program: Callable[[str], str], tour_command: list[str]
) -> None:
    curl = program("curl")
    server = launch(tour_command)
    url = f"http://127.0.0.1:{server.port}/api/request"
    assert '"http_version":"1.1"' in run(curl, "-s", url).replace(" ", "")
    assert '"http_version":"1.0"' in run(curl, "-s", "--http1.0", url).replace(" ", "")
    assert '"http_version":"2"' in run(curl, "-s", "--http2-prior-knowledge", url).replace(" ", "")


def test_alt_svc_leads_to_http_3(tricorn_run: Callable[..., Any], program: Callable[[str], str]) -> None:
    curl = program("curl")
    server = tricorn_run("examples.tour:app")
    for flag in ("--http1.1", "--http2"):
        head = run(curl, "-sk", flag, "-D", "-", "-o", "/dev/null", f"https://127.0.0.1:{server.port}/")
        assert f'alt-svc: h3=":{server.port}"' in head.lower()


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_nghttp_is_given_the_style_sheet_by_push(
    runtime: str, tricorn_run: Callable[..., Any], program: Callable[[str], str]
) -> None:
    nghttp = program("nghttp")
    server = tricorn_run("examples.tour:app", "--runtime", runtime)
    frames = run(nghttp, "-nv", f"https://127.0.0.1:{server.port}/")
    promise = re.search(r"recv PUSH_PROMISE frame.*?promised_stream_id=(\d+)", frames, re.DOTALL)
    assert promise, frames
    assert re.search(r":path: /assets/tour\.[0-9a-f]{16}\.css", frames), frames
    promised = promise[1]
    assert re.search(rf"recv DATA frame <length=\d+, flags=0x\w+, stream_id={promised}>", frames), frames
    assert "content-type: text/css" in frames
    body = run(nghttp, f"https://127.0.0.1:{server.port}/")
    assert ":root" in body, "the pushed style sheet's body must arrive"
    assert "One application, three protocols" in body


def test_a_client_that_refuses_push_gets_a_103(tricorn_run: Callable[..., Any], program: Callable[[str], str]) -> None:
    nghttp = program("nghttp")
    server = tricorn_run("examples.tour:app")
    frames = run(nghttp, "-nv", "--no-push", "-H", "accept: text/html", f"https://127.0.0.1:{server.port}/")
    assert "PUSH_PROMISE" not in frames
    assert ":status: 103" in frames
    assert re.search(r"</assets/tour\.[0-9a-f]{16}\.css>; rel=\"?preload", frames), frames


def test_h2load_finishes_every_request(tricorn_run: Callable[..., Any], program: Callable[[str], str]) -> None:
    h2load = program("h2load")
    server = tricorn_run("examples.tour:app", "--no-access-log")
    report = run(h2load, "-n", "2000", "-c", "4", "-m", "20", f"https://127.0.0.1:{server.port}/api/request")
    assert "2000 succeeded, 0 failed, 0 errored, 0 timeout" in report
