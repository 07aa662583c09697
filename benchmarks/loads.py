"""The load programs: wrk for HTTP/1.1, h2load for HTTP/2, our h3load for HTTP/3.

Rules of this module: none of them is ours but the last, which wraps a QUIC library of another language. What a program
prints is turned into one ``Load``; an error response or a broken connection is counted as an error, never as a request.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from processes import Missing, Protocol, pinned

#: Requests that are under way at once: over h1 as many connections, over h2 and h3 connections times streams.
CONNECTIONS, STREAMS = 8, 8

_H3LOAD = Path(__file__).parent / "h3load"
_CACHE = _H3LOAD / ".build"


@dataclass(frozen=True)
class Load:
    """What a load program saw.

    Attributes:
        requests: Those answered well.
    """

    requests: int
    seconds: float
    errors: int


def program(name: str) -> str:
    """The path of a load program.

    Raises:
        Missing: It is not installed.
    """
    found = shutil.which(name)
    if found is None:
        package = {"wrk": "wrk", "h2load": "nghttp2-client"}[name]
        raise Missing(f"{name} is not installed (Debian's package is {package})")
    return found


def h3load() -> str:
    """The path of h3load, built when its sources have changed.

    Raises:
        Missing: There is no Go to build it, or the build failed.
    """
    binary = _CACHE / "h3load"
    sources = [_H3LOAD / name for name in ("main.go", "go.mod", "go.sum")]
    if binary.exists() and all(source.stat().st_mtime < binary.stat().st_mtime for source in sources):
        return str(binary)
    go = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    if go is None:
        raise Missing("h3load has to be built, and Go is not installed")
    _CACHE.mkdir(exist_ok=True)
    built = subprocess.run([go, "build", "-o", str(binary), "."], cwd=_H3LOAD, capture_output=True, text=True)
    if built.returncode:
        raise Missing(f"h3load cannot be built: {built.stderr.strip().splitlines()[-1]}")
    return str(binary)


def run_load(
    protocol: Protocol,
    port: int,
    seconds: int,
    cores: set[int],
    *,
    path: str = "/",
    fields: Iterable[tuple[bytes, bytes]] = (),
) -> Load:
    """Asks a server for ``seconds``, from ``cores``.

    Args:
        fields: Of each request; over HTTP/1.1 only.

    Raises:
        Missing: The program is missing, or nothing was answered.
    """
    url = protocol.url(port).removesuffix("/") + path
    if protocol.version == "h1":
        load = _wrk(url, seconds, cores, fields)
    else:
        load = {"h2": _h2load, "h3": _h3}[protocol.version](url, seconds, cores)
    if not load.requests:
        raise Missing(f"no request was answered, {load.errors} failed")
    return load


def _output(command: list[str], cores: set[int]) -> str:
    environment = os.environ | {"GOMAXPROCS": str(len(cores))}
    with pinned(cores):
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise Missing(f"{Path(command[0]).name}: {lines[-1] if lines else done.returncode}")
    return done.stdout


def _number(pattern: str, text: str) -> float:
    found = re.search(pattern, text)
    return float(found.group(1)) if found else 0


def _wrk(url: str, seconds: int, cores: set[int], fields: Iterable[tuple[bytes, bytes]] = ()) -> Load:
    lines = [part for name, value in fields for part in ("-H", f"{name.decode()}: {value.decode()}")]
    command = [program("wrk"), "-t1", f"-c{CONNECTIONS * STREAMS}", f"-d{seconds}s", *lines, url]
    text = _output(command, cores)
    answered = int(_number(r"(\d+) requests in", text))
    refused = int(_number(r"Non-2xx or 3xx responses: (\d+)", text))
    broken = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    errors = refused + sum(map(int, broken.groups())) if broken else refused
    # wrk rounds the time that it prints; its own rate does not.
    rate = _number(r"Requests/sec:\s+([\d.]+)", text)
    return Load(answered - refused, answered / rate if rate else seconds, errors)


def _h2load(url: str, seconds: int, cores: set[int]) -> Load:
    command = [program("h2load"), "-t1", f"-c{CONNECTIONS}", f"-m{STREAMS}", f"-D{seconds}", url]
    text = _output(command, cores)
    # What is under way at the end of a timed run is neither done nor failed.
    succeeded = int(_number(r"(\d+) 2xx", text))
    errors = int(_number(r"(\d+) errored", text)) + int(_number(r"(\d+) 4xx", text)) + int(_number(r"(\d+) 5xx", text))
    return Load(succeeded, float(seconds), errors)


def _h3(url: str, seconds: int, cores: set[int]) -> Load:
    text = _output([h3load(), "-c", str(CONNECTIONS), "-m", str(STREAMS), "-d", str(seconds), url], cores)
    measured = json.loads(text)
    return Load(measured["requests"], measured["seconds"], measured["errors"])
