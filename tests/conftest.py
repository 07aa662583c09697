"""What every folder of tests shares: a certificate, and a real server in a thread on each runtime."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import trustme
from hypothesis import settings

from tricorn_transports.config import Bind, Config
from tricorn_transports.runtime.base import ServerRuntime
from tricorn_transports.server import Server
from tricorn_transports.sockets import BoundSocket

RUNTIMES = ("asyncio", "uvloop", "trio")

settings.register_profile("patient", settings.default, deadline=None)  # no test asserts a wall-clock time
settings.load_profile("patient")


@dataclass(frozen=True)
class Certificate:
    """PEM files of a leaf for localhost and 127.0.0.1, and of the CA that signed it."""

    cert: str
    key: str
    ca: str


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    folder = tmp_path_factory.mktemp("certificate")
    ca = trustme.CA()
    leaf = ca.issue_cert("localhost", "127.0.0.1", "::1", "a")  # "a": the Host of requests written by hand
    cert, key, root = folder / "cert.pem", folder / "key.pem", folder / "ca.pem"
    cert.write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
    leaf.private_key_pem.write_to_path(key)
    ca.cert_pem.write_to_path(root)
    return Certificate(str(cert), str(key), str(root))


@dataclass
class RunningServer:
    """A server in a thread of this process.

    Attributes:
        port: The TCP port, which is the UDP port too where HTTP/3 is served.
        sockets: What it listens on.
        error: What ``serve`` raised, once it has ended.
    """

    app: Any
    config: Config
    runtime: str
    port: int = 0
    error: BaseException | None = None
    server: Server | None = None
    sockets: list[BoundSocket] = field(default_factory=list)
    _ready: threading.Event = field(default_factory=threading.Event)
    _stop: threading.Event = field(default_factory=threading.Event)
    _at_once: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> RunningServer:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(30), "the server did not start"
        if self.error is not None:
            raise self.error
        return self

    def stop(self, timeout: float = 30, *, at_once: bool = False) -> None:
        """Drains the server, or with ``at_once`` ends what runs, and waits for its end."""
        self._stop.set()
        if at_once:
            self._at_once.set()
        assert self._thread is not None
        self._thread.join(timeout)
        assert not self._thread.is_alive(), "the server did not stop"

    def begin_stop(self) -> None:
        self._stop.set()

    def _run(self) -> None:
        try:
            if self.runtime == "trio":
                from tricorn_transports.runtime.anyio import run as run_anyio

                run_anyio(self._main, "trio")
            else:
                from tricorn_transports.runtime.asyncio import run as run_asyncio

                run_asyncio(self._main, uvloop=self.runtime == "uvloop")
        except BaseException as error:
            self.error = error
        finally:
            self._ready.set()

    async def _main(self, runtime: ServerRuntime) -> None:
        self.server = server = Server(self.app, self.config, runtime)

        async def watch() -> None:
            # In the loop's own thread, because a server is no more thread-safe than its loop.
            for asked in (self._stop, self._at_once):
                while not asked.is_set():
                    await runtime.sleep(0.01)
                server.stop()

        task = runtime.spawn(watch)
        try:
            await server.serve(self._on_ready)
        finally:
            task.cancel()

    def _on_ready(self, sockets: Any) -> None:
        self.sockets = list(sockets)
        self.port = next((s.sock.getsockname()[1] for s in sockets if s.bind.kind == "ip"), 0)
        self._ready.set()


@contextmanager
def _serving(certificate: Certificate) -> Iterator[Callable[..., RunningServer]]:
    running: list[RunningServer] = []

    def start(app: Any, *, runtime: str = "asyncio", tls: bool = False, **settings: Any) -> RunningServer:
        config = Config(bind=(Bind.parse("127.0.0.1:0"),), access_log=False)
        if tls:
            config = replace(config, tls_cert=certificate.cert, tls_key=certificate.key)
        server = RunningServer(app, replace(config, **settings), runtime)
        running.append(server)
        return server.start()

    yield start
    for server in running:
        server.stop(at_once=True)


@pytest.fixture
def serve(certificate: Certificate) -> Iterator[Callable[..., RunningServer]]:
    """Starts servers that end with the test: ``serve(app, runtime="trio", tls=True, limits=...)``."""
    with _serving(certificate) as start:
        yield start


@pytest.fixture(scope="session")
def serve_for_session(certificate: Certificate) -> Iterator[Callable[..., RunningServer]]:
    """Like ``serve``, for servers that many tests share."""
    with _serving(certificate) as start:
        yield start
