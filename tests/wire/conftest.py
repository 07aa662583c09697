"""The matrix of protocols and runtimes, and what tests of the wire need on both of its ends."""

from __future__ import annotations

import socket
import ssl
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for wire_clients: tests are no package

from wire_clients.base import PATIENCE, Client, Wire
from wire_clients.h1 import H1Client
from wire_clients.h2 import H2Client
from wire_clients.h3 import H3Client
from wire_clients.websocket import WebSocket

PROTOCOLS = ("h1", "h1-tls", "h2", "h2-tls", "h3")
RUNTIMES = ("asyncio", "uvloop", "trio")
ALPN = {"h1-tls": "http/1.1", "h2-tls": "h2"}


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "over(*protocols): the protocols of tests/wire that a rule applies to")
    config.addinivalue_line("markers", "on(*runtimes): the runtimes that a rule of tests/wire is worth running on")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "net" in metafunc.fixturenames:
        over = metafunc.definition.get_closest_marker("over")
        on = metafunc.definition.get_closest_marker("on")
        combinations = [(p, r) for p in (over.args if over else PROTOCOLS) for r in (on.args if on else RUNTIMES)]
        metafunc.parametrize("net", combinations, ids=["-".join(pair) for pair in combinations], indirect=True)


class Stage:
    """The application of a server that many tests share: whatever the running test has put on it."""

    app: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            raise RuntimeError("nothing to start")
        await self.app(scope, receive, send)


class Net:
    """One protocol on one runtime."""

    def __init__(self, protocol: str, runtime: str, certificate: Any, serve: Any, stages: Any) -> None:
        self.protocol = protocol
        self.version = protocol[1]
        self.runtime = runtime
        self.tls = protocol.endswith("-tls") or protocol == "h3"
        self.certificate = certificate
        self._serve = serve
        self._stages = stages
        self._opened: list[Any] = []
        self.server: Any = None

    def serve(self, app: Any, **settings: Any) -> Any:
        """Starts a server of the test's own; ``connect`` goes to the last one."""
        self.server = self._serve(app, runtime=self.runtime, tls=self.tls, **settings)
        return self.server

    def client(self, app: Any, **options: Any) -> Any:
        """A client of ``app`` on the shared server."""
        stage, self.server = self._stages(self.runtime, self.tls)
        stage.app = app
        return self.connect(**options)

    def wire(self, *, receive_buffer: int | None = None, tls: bool | None = None, alpn: str | None = None) -> Wire:
        """A bare connection to the server's TCP port, with its TLS handshake done where there is one."""
        sock = socket.socket()
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.settimeout(PATIENCE)
        sock.connect(("127.0.0.1", self.server.port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._opened.append(sock)
        context = None
        if self.tls if tls is None else tls:
            context = ssl.create_default_context(cafile=self.certificate.ca)
            if alpn or self.protocol in ALPN:
                context.set_alpn_protocols([alpn or ALPN[self.protocol]])
        return Wire(sock, context)

    def connect(self, *, receive_buffer: int | None = None, **options: Any) -> Any:
        """One more client of the last server."""
        host = b"localhost:%d" % self.server.port
        client: Client
        if self.version == "3":
            client = H3Client(("127.0.0.1", self.server.port), self.certificate.ca, host, **options)
        else:
            wire = self.wire(receive_buffer=receive_buffer)
            client = (H1Client if self.version == "1" else H2Client)(wire, host, tls=self.tls, **options)
        self._opened.append(client)
        return client

    def close(self) -> None:
        for opened in reversed(self._opened):
            opened.close()


@pytest.fixture(scope="session")
def stages(serve_for_session: Any) -> Callable[[str, bool], tuple[Stage, Any]]:
    running: dict[tuple[str, bool], tuple[Stage, Any]] = {}

    def get(runtime: str, tls: bool) -> tuple[Stage, Any]:
        if (runtime, tls) not in running:
            stage = Stage()
            running[runtime, tls] = stage, serve_for_session(stage, runtime=runtime, tls=tls)
        return running[runtime, tls]

    return get


@pytest.fixture
def net(request: pytest.FixtureRequest, certificate: Any, serve: Any, stages: Any) -> Iterator[Net]:
    protocol, runtime = request.param
    net = Net(protocol, runtime, certificate, serve, stages)
    yield net
    net.close()


@pytest.fixture
def make_net(certificate: Any, serve: Any, stages: Any) -> Iterator[Callable[[str], Net]]:
    """``make_net("h2-tls")``: for tests that bring a server of another kind."""
    made: list[Net] = []

    def make(protocol: str) -> Net:
        made.append(Net(protocol, "asyncio", certificate, serve, stages))
        return made[-1]

    yield make
    for net in made:
        net.close()


@pytest.fixture
def make_wire_client() -> Callable[[str, socket.socket], Client]:
    """A clear-text client over a socket of the test's own: ``make_wire_client("1", sock)``."""
    return lambda version, sock: (H1Client if version == "1" else H2Client)(Wire(sock))


@pytest.fixture
def websocket() -> type[WebSocket]:
    """A WebSocket over a client: ``websocket(client, path, headers)``."""
    return WebSocket


@pytest.fixture
def eventually() -> Callable[..., None]:
    """Waits for something that the server's thread brings about."""

    def wait(condition: Callable[[], object], timeout: float = PATIENCE) -> None:
        end = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < end, "it did not happen"
            time.sleep(0.005)

    return wait


@pytest.fixture
def settled() -> Callable[..., int]:
    """The value of a count once it has not grown for a while: ``settled(count, act)``, where ``act`` moves things."""

    def wait(
        count: Callable[[], int], act: Callable[[], object] = lambda: time.sleep(0.01), quiet: float = 0.25
    ) -> int:
        last, since = count(), time.monotonic()
        while time.monotonic() < since + quiet:
            act()
            if count() != last:
                last, since = count(), time.monotonic()
        return last

    return wait


@pytest.fixture
def until() -> Callable[..., Any]:
    """For applications: ``await until(lambda: condition)``, on any loop."""

    async def wait(condition: Callable[[], object]) -> None:
        with anyio.fail_after(PATIENCE):
            while not condition():
                await anyio.sleep(0.005)

    return wait


@pytest.fixture
def read_body() -> Callable[..., Any]:
    """For applications: the whole request body and the last message."""

    async def read(receive: Any) -> tuple[bytes, Any]:
        body = b""
        while True:
            message = await receive()
            assert message["type"] == "http.request", message
            body += message["body"]
            if not message["more_body"]:
                return body, message

    return read


@pytest.fixture
def answer() -> Callable[..., Any]:
    """For applications: ``await answer(send, body, status=200, headers=[])`` in one body message."""

    async def respond(send: Any, body: bytes = b"ok", status: int = 200, headers: Iterable[Any] = ()) -> None:
        await send({"type": "http.response.start", "status": status, "headers": list(headers)})
        await send({"type": "http.response.body", "body": body})

    return respond
