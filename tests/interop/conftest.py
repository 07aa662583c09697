"""Real programs against real processes: launching servers, finding clients, waiting for ports."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from curl_cffi import CurlHttpVersion, requests

ROOT = Path(__file__).parent.parent.parent
APPS = Path(__file__).parent / "apps"

#: What `.ci/run` installs: with CI set, its absence is a failure.
INSTALLED_BY_CI = ("chromium", "nghttp", "h2load", "curl", "node", "nginx", "h2spec", "varnishd")


def find_program(name: str) -> str:
    """The program's path; skips the test where it is absent (fails in CI, if CI could have installed it)."""
    path = shutil.which(name)
    if path is None:
        message = f"{name} is not installed"
        if os.environ.get("CI") and name in INSTALLED_BY_CI:
            pytest.fail(message)
        pytest.skip(message)
    return path


@pytest.fixture(scope="session")
def program() -> Callable[[str], str]:
    return find_program


def free_port() -> int:
    """A port that is free for TCP and UDP now."""
    while True:
        with (
            socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        ):
            tcp.bind(("127.0.0.1", 0))
            port: int = tcp.getsockname()[1]
            try:
                udp.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


@dataclass
class Process:
    """A server in a process of its own."""

    popen: subprocess.Popen[str]
    port: int
    log: Path

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def stop(self) -> int:
        """SIGTERM, and the exit status."""
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGTERM)
        try:
            return self.popen.wait(20)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()
            raise AssertionError(f"the server did not stop:\n{self.output()}") from None


def wait_for_port(process: Process) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if process.popen.poll() is not None:
            raise AssertionError(f"the server ended with {process.popen.returncode}:\n{process.output()}")
        try:
            socket.create_connection(("127.0.0.1", process.port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"nobody listens on {process.port}:\n{process.output()}")


@contextmanager
def launching(folder: Path) -> Iterator[Callable[..., Process]]:
    """``start(command)``: see ``launch``. What was started is stopped at the end, the last first."""
    processes: list[Process] = []

    def start(command: list[str], *, configure: Callable[[int], object] | None = None, **environment: str) -> Process:
        port = free_port()
        if configure is not None:
            configure(port)
        log = folder / f"server-{len(processes)}.log"
        path = os.pathsep.join([str(ROOT), str(APPS)])
        with log.open("w") as stream:
            popen = subprocess.Popen(
                [part.format(port=port) for part in command],
                stdout=stream,
                stderr=subprocess.STDOUT,
                text=True,
                cwd=folder,
                env={**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", **environment},
            )
        process = Process(popen, port, log)
        processes.append(process)
        wait_for_port(process)
        return process

    try:
        yield start
    finally:
        for process in reversed(processes):
            process.stop()


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Starts ``command`` (``{port}`` replaced by a free one) with the apps importable; stopped with the test.

    ``configure(port)`` is called before, for a program that reads its port in a file.
    """
    with launching(tmp_path) as start:
        yield start


@pytest.fixture(scope="module")
def launch_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Process]]:
    """``launch`` for what all tests of a module share."""
    with launching(tmp_path_factory.mktemp("launched")) as start:
        yield start


@pytest.fixture
def tricorn_run(launch: Callable[..., Process], certificate: Any) -> Callable[..., Process]:
    """``tricorn run APP`` over all three protocols with the tests' certificate."""

    def start(app: str, *flags: str) -> Process:
        return launch(
            [
                *(sys.executable, "-m", "tricorn_transports", "run", app, "--bind", "127.0.0.1:{port}"),
                *("--tls-cert", certificate.cert, "--tls-key", certificate.key, *flags),
            ]
        )

    return start


@pytest.fixture
def tour_command() -> list[str]:
    """``tricorn run`` of the tour in clear, for ``launch``."""
    return [sys.executable, "-m", "tricorn_transports", "run", "examples.tour:app", "--bind", "127.0.0.1:{port}"]


@pytest.fixture(scope="session")
def tour_checks() -> ModuleType:
    """The checks that the tour passes everywhere (tests are imported by path, so they cannot import it)."""
    spec = importlib.util.spec_from_file_location("tour_checks", Path(__file__).parent / "tour_checks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def chromium_flags(certificate: Any) -> Callable[[str, int], list[str]]:
    """What Chromium is started with, so that it speaks ``http/1.1``, ``h2`` or ``h3`` to a server on localhost."""
    leaf = x509.load_pem_x509_certificate(Path(certificate.cert).read_bytes())
    spki = leaf.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    key_hash = base64.b64encode(hashlib.sha256(spki).digest()).decode()

    def flags(protocol: str, port: int) -> list[str]:
        common = [
            "--no-sandbox",
            "--disable-gpu",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            f"--ignore-certificate-errors-spki-list={key_hash}",
            "--host-resolver-rules=MAP localhost 127.0.0.1",
        ]
        if protocol == "h3":
            # A private root is not trusted for QUIC otherwise, and the first load would not be HTTP/3.
            return [*common, "--enable-quic", f"--origin-to-force-quic-on=localhost:{port}"]
        return [*common, "--disable-quic"]

    return flags


VERSIONS = {"h1": CurlHttpVersion.V1_1, "h2": CurlHttpVersion.V2_0, "h3": CurlHttpVersion.V3ONLY}
#: What libcurl says it spoke.
SPOKEN = {"h1": (CurlHttpVersion.V1_1,), "h2": (CurlHttpVersion.V2_0,), "h3": (CurlHttpVersion.V3,)}


class Client:
    """libcurl (with ngtcp2 for HTTP/3), forced to one protocol: a client that nobody here wrote."""

    def __init__(self, protocol: str, base: str, ca: str) -> None:
        self.protocol = protocol
        self.base = base
        self.ca = ca
        self._session: Any = requests.Session(http_version=VERSIONS[protocol], verify=ca, timeout=20)

    def request(self, method: str, path: str, **options: Any) -> Any:
        response = self._session.request(method, self.base + path, **options)
        assert response.http_version in SPOKEN[self.protocol], "another protocol was spoken than was asked for"
        return response

    def get(self, path: str, **options: Any) -> Any:
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> Any:
        return self.request("POST", path, **options)

    def close(self) -> None:
        self._session.close()


@pytest.fixture
def make_client(certificate: Any) -> Iterator[Callable[..., Client]]:
    """``make_client("h3", port)``."""
    clients: list[Client] = []

    def make(protocol: str, port: int, scheme: str = "https") -> Client:
        client = Client(protocol, f"{scheme}://localhost:{port}", certificate.ca)
        clients.append(client)
        return client

    yield make
    for client in clients:
        client.close()
