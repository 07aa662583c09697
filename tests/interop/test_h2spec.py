"""h2spec: every case of RFC 9113's and RFC 7541's conformance test, strict ones too, in clear and over TLS."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

pytestmark = pytest.mark.interop

#: With fewer, something was left out: 147 cases of the pinned version, strict ones included.
CASES = 147


def failures(report: Path) -> tuple[int, list[str]]:
    """The number of cases in a JUnit report, and those that did not pass, each as section, title and reason."""
    cases = ElementTree.parse(report).getroot().findall(".//testcase")
    wrong = []
    for case in cases:
        for fault in [*case.findall("failure"), *case.findall("error"), *case.findall("skipped")]:
            wrong.append(f"{case.get('package')}: {case.get('classname')}: {fault.tag} {fault.text or ''}".strip())
    return len(cases), wrong


@pytest.mark.parametrize("runtime", ["asyncio", "uvloop", "trio"])
@pytest.mark.parametrize("tls", [False, True], ids=["clear", "tls"])
def test_h2spec_passes_whole(
    tls: bool,
    runtime: str,
    launch: Callable[..., Any],
    certificate: Any,
    program: Callable[[str], str],
    tmp_path: Path,
) -> None:
    h2spec = program("h2spec")
    secret = ("--tls-cert", certificate.cert, "--tls-key", certificate.key) if tls else ()
    server = launch(
        [
            sys.executable,
            "-m",
            "tricorn_transports",
            "run",
            "plain_app:app",
            "--http",
            "2",
            "--runtime",
            runtime,
            "--bind",
            "127.0.0.1:{port}",
            *secret,
        ]
    )
    report = tmp_path / "h2spec.xml"
    done = subprocess.run(
        [h2spec, "--strict", "-p", str(server.port), "-j", str(report), "-o", "5", *(("-t", "-k") if tls else ())],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert report.exists(), done.stdout + done.stderr
    count, wrong = failures(report)
    assert not wrong
    assert done.returncode == 0, done.stdout[-2000:]
    assert count >= CASES
    assert "Traceback" not in server.output()
    assert server.stop() == 0


def test_a_report_names_what_failed(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    report.write_text(
        "<testsuites><testsuite><testcase package='http2/5.1' classname='Sends a frame'/>"
        "<testcase package='http2/6.9' classname='Sends two'><failure>GOAWAY expected</failure></testcase>"
        "<testcase package='hpack/2' classname='Sends none'><skipped/></testcase></testsuite></testsuites>"
    )
    assert failures(report) == (
        3,
        ["http2/6.9: Sends two: failure GOAWAY expected", "hpack/2: Sends none: skipped"],
    )
