"""An HTTP/3 endpoint and aioquic clients, joined in memory, with a clock that the test turns."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path as FilePath
from typing import Any

import pytest
import trustme
from aioquic.h3 import events as h3
from aioquic.h3.connection import H3Connection
from aioquic.quic import events as quic
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection

from tricorn_transports.abc import EngineContext, Path
from tricorn_transports.config import Limits, Timeouts
from tricorn_transports.engines.h3 import H3Engine, create_endpoint
from tricorn_transports.events import BodyReceived, Event, RequestEnded, RequestStarted, StreamAborted, StreamWritable
from tricorn_transports.quic.endpoint import Endpoint

SERVER = ("192.0.2.1", 443)
GET = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"localhost"), (b":path", b"/")]


class Client:
    """A client and what it has seen.

    Attributes:
        headers, data: What came on each stream, heads in order (interim ones too, and trailers).
        ended, resets, stopped: Streams that the server ended, reset or stopped, the latter two with their codes.
        closed: The code with which the connection was terminated.
        reads: When false, the client's windows stay as they are.
    """

    def __init__(self, cafile: str, address: tuple[str, int], **settings: Any) -> None:
        settings = {"alpn_protocols": ["h3"], "server_name": "localhost", "cafile": cafile, **settings}
        self.address = address
        self.quic = QuicConnection(configuration=QuicConfiguration(is_client=True, **settings))
        self.quic.connect(SERVER, 0.0)
        self.h3 = H3Connection(self.quic)
        self.headers: dict[int, list[list[tuple[bytes, bytes]]]] = defaultdict(list)
        self.data: dict[int, bytes] = defaultdict(bytes)
        self.ended: set[int] = set()
        self.resets: dict[int, int] = {}
        self.stopped: dict[int, int] = {}
        self.closed: int | None = None

    def request(
        self, path: bytes = b"/", *fields: tuple[bytes, bytes], method: bytes = b"GET", end: bool = True
    ) -> int:
        """Sends a request's head; the stream's ID."""
        stream_id = self.quic.get_next_available_stream_id()
        head = [(b":method", method), *GET[1:3], (b":path", path), *fields]
        self.h3.send_headers(stream_id, head, end_stream=end)
        return stream_id

    def status(self, stream_id: int) -> bytes:
        """The last head's status."""
        return dict(self.headers[stream_id][-1])[b":status"]

    def collect(self) -> None:
        while (event := self.quic.next_event()) is not None:
            if isinstance(event, quic.ConnectionTerminated):
                self.closed = event.error_code
            elif isinstance(event, quic.StreamReset):
                self.resets[event.stream_id] = event.error_code
            elif isinstance(event, quic.StopSendingReceived):
                self.stopped[event.stream_id] = event.error_code
            for found in self.h3.handle_event(event):
                if isinstance(found, h3.HeadersReceived):
                    self.headers[found.stream_id].append(found.headers)
                if isinstance(found, h3.DataReceived):
                    self.data[found.stream_id] += found.data
                if getattr(found, "stream_ended", False):
                    self.ended.add(found.stream_id)


class Net:
    """The endpoint, its clients, and the wire between them.

    Attributes:
        now: The time that both sides are told.
        events: What the server's engines said, in order.
        mangle: Takes each batch of datagrams on the wire and gives those that arrive.
        auto: Answers each complete request with 200 ``ok``.
    """

    def __init__(self, cert: str, key: str, cafile: str, limits: Limits, timeouts: Timeouts) -> None:
        self._cafile = cafile
        self.now = 0.0
        self.endpoint: Endpoint = create_endpoint(EngineContext(limits, timeouts, b"https", 0.0), cert=cert, key=key)
        self.engines: list[H3Engine] = []
        self.clients: list[Client] = []
        self.events: list[Event] = []
        self.largest_flush = 0
        self.mangle: Callable[[list[Any]], list[Any]] = lambda datagrams: datagrams
        self.auto = False

    @property
    def engine(self) -> H3Engine:
        return self.engines[-1]

    def connect(self, *, run: bool = True, **settings: Any) -> Client:
        """A new client, shaken hands with."""
        client = Client(self._cafile, ("198.51.100.7", 50_000 + len(self.clients)), **settings)
        self.clients.append(client)
        if run:
            self.run()
        return client

    def run(self, steps: int = 400) -> list[Event]:
        """Carries datagrams until both sides are silent; what the engines said meanwhile."""
        seen, silent = len(self.events), 0
        while silent < 5 and steps:
            silent, steps = (0 if self.step() else silent + 1), steps - 1
        return self.events[seen:]

    def wait(self, seconds: float, step: float = 0.01) -> list[Event]:
        """Lets time pass."""
        seen = len(self.events)
        for _ in range(round(seconds / step)):
            self.step(step)
        return self.events[seen:]

    def step(self, seconds: float = 0.001) -> int:
        """One way there and back, and the timers that are due; how many datagrams went."""
        self.now += seconds
        for client in self.clients:
            timer = client.quic.get_timer()
            if timer is not None and timer <= self.now:
                client.quic.handle_timer(self.now)
                client.collect()
        for engine in self.engines:
            due = engine.deadline()
            if due is not None and due <= self.now:
                self.heard(engine, engine.handle_deadline(self.now))
        return self.to_server() + self.to_clients()

    def to_server(self) -> int:
        batch = [
            (data, Path(SERVER, client.address))
            for client in self.clients
            for data, _ in client.quic.datagrams_to_send(self.now)
        ]
        for data, path in self.mangle(batch):
            self.deliver(data, path)
        return len(batch)

    def deliver(self, data: bytes, path: Path) -> H3Engine | None:
        """One datagram at the server's socket."""
        engine: Any = self.endpoint.accept(data, path, self.now)
        if engine is not None:
            if engine not in self.engines:
                self.engines.append(engine)
            self.heard(engine, engine.receive_datagram(data, path, self.now))
        return engine

    def heard(self, engine: H3Engine, events: list[Event]) -> None:
        self.events += events
        for event in events:
            if self.auto and isinstance(event, RequestEnded):
                engine.send_headers(event.stream_id, 200, [(b"content-length", b"2")])
                engine.send_data(event.stream_id, b"ok", end=True)
                engine.release(event.stream_id)

    def to_clients(self) -> int:
        batch = list(self.endpoint.replies())
        for engine in list(self.engines):
            while sent := engine.datagrams_to_send(self.now):
                self.largest_flush = max(self.largest_flush, len(sent))
                batch += sent
            self.heard(engine, engine.take_events())
            if engine.is_closed():
                self.endpoint.forget(engine)
                self.engines.remove(engine)
        clients = {client.address: client for client in self.clients}
        for data, path in self.mangle(batch):
            client = clients.get(path.peer)
            if client is not None:
                client.quic.receive_datagram(data, SERVER, self.now)
                client.collect()
        return len(batch)

    # What the tests ask of the events.

    def started(self) -> list[RequestStarted]:
        return [event for event in self.events if isinstance(event, RequestStarted)]

    def body(self, stream_id: int) -> bytes:
        parts = [e.data for e in self.events if isinstance(e, BodyReceived) and e.stream_id == stream_id]
        return b"".join(parts)

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def aborted(self, stream_id: int) -> StreamAborted | None:
        return next((e for e in self.of(StreamAborted) if e.stream_id == stream_id), None)

    def is_writable(self, stream_id: int) -> bool:
        return any(e.stream_id == stream_id for e in self.of(StreamWritable))


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str, str]:
    """Paths of a certificate, its key, and the authority that signed it."""
    folder: FilePath = tmp_path_factory.mktemp("h3")
    authority = trustme.CA()
    leaf = authority.issue_cert("localhost")
    leaf.private_key_pem.write_to_path(str(folder / "key.pem"))
    for blob in leaf.cert_chain_pems:
        blob.write_to_path(str(folder / "cert.pem"), append=True)
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    return str(folder / "cert.pem"), str(folder / "key.pem"), str(folder / "ca.pem")


@pytest.fixture
def make_net(certificate: tuple[str, str, str]) -> Callable[..., Net]:
    """Makes a ``Net``; keywords are settings of ``Limits`` or ``Timeouts``."""

    def make(**settings: Any) -> Net:
        limits = {name: value for name, value in settings.items() if name in Limits.__dataclass_fields__}
        timeouts = {name: value for name, value in settings.items() if name in Timeouts.__dataclass_fields__}
        assert len(limits) + len(timeouts) == len(settings)
        return Net(*certificate, Limits(**limits), Timeouts(**timeouts))

    return make


@pytest.fixture
def net(make_net: Callable[..., Net]) -> Net:
    return make_net()
