"""examples/http09: a third party's transport, installed by pip, listed and served without Tricorn knowing of it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tricorn_transports.abc import EngineContext
from tricorn_transports.config import Limits, Timeouts
from tricorn_transports.events import StreamWritable

EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "http09"


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder into which pip has installed the example."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index"]
    command += ["--no-build-isolation", "--no-deps", "--no-compile", "--target", str(folder), str(EXAMPLE)]
    subprocess.run(command, check=True, timeout=120, cwd=folder)
    return folder


@pytest.fixture
def path_of(installed):
    """``PYTHONPATH`` with the package, and the repository for the tour."""
    return os.pathsep.join([str(installed), str(EXAMPLE.parent.parent)])


@pytest.fixture
def ask():
    """``ask(port, data)``: everything that comes back until the connection ends."""

    def exchange(port, data):
        with socket.create_connection(("127.0.0.1", port), 10) as sock:
            sock.sendall(data)
            answer = b""
            while part := sock.recv(65_536):
                answer += part
            return answer

    return exchange


def run_command(path_of, **environment):
    command = [sys.executable, "-m", "tricorn_transports", "run", "examples.tour:app", "--bind", "127.0.0.1:{port}"]
    return command, {"PYTHONPATH": path_of, **environment}


def test_it_is_listed(path_of):
    command = [sys.executable, "-m", "tricorn_transports", "transports"]
    seen = subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=60, env={**os.environ, "PYTHONPATH": path_of}
    ).stdout
    (line,) = [line.split() for line in seen.splitlines() if line.startswith("http09")]
    assert line[:5] == ["http09", "0.9", "tcp", "http/0.9", "line*"]


def test_it_is_served(path_of, launch, ask):
    command, environment = run_command(path_of)
    server = launch([*command, "--http", "0.9"], **environment)
    answer = ask(server.port, b"GET /\r\n")
    assert answer.lstrip().lower().startswith(b"<!doctype html")
    assert answer.rstrip().endswith(b"</html>")
    assert ask(server.port, b"GET /\n") == answer
    assert ask(server.port, b"POST /\r\n") == b""
    assert ask(server.port, b"GET / HTTP/1.1\r\nhost: a\r\n\r\n") == b""
    assert ask(server.port, b"GET /" + b"x" * 20_000) == b""


def test_one_port_speaks_both(path_of, launch, ask):
    command, environment = run_command(path_of)
    server = launch([*command, "--http", "0.9,1.1"], **environment)
    assert ask(server.port, b"GET /\r\n").lstrip().lower().startswith(b"<!doctype html")
    modern = ask(server.port, b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
    assert modern.startswith(b"HTTP/1.1 200 OK\r\n")


def test_without_it_http_0_9_is_refused(launch, tour_command, ask):
    server = launch(tour_command)
    assert ask(server.port, b"GET /\r\n").startswith(b"HTTP/1.1 400 Bad Request\r\n")


def test_a_slow_client_holds_the_application(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLE))
    from tricorn_http09 import Http09Engine

    engine = Http09Engine(EngineContext(Limits(stream_send_buffer=10), Timeouts(), b"http", 0.0))
    assert [event.stream_id for event in engine.receive_data(b"GET /\r\nmore", 0.0)] == [1, 1]
    engine.send_headers(1, 200, [])
    engine.send_data(1, b"x" * 9)
    assert engine.sendable(1) == 1
    engine.send_data(1, b"yy")
    assert engine.sendable(1) < 0
    assert engine.data_to_send(0.0) == [b"x" * 9, b"yy"]
    assert engine.take_events() == [StreamWritable(1)]
    assert engine.sendable(1) == 10


def test_it_is_short():
    assert len((EXAMPLE / "tricorn_http09.py").read_text().splitlines()) < 150
