"""One engine and one client with nothing but memory between them, and a clock that is moved by hand.

Rules of this module: no protocol. A ``Link`` does what a connection does (bytes in, events out, output while the other
side takes it), so that a rule only says what must hold.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from tricorn_transports.abc import (
    DatagramEndpointFactory,
    DatagramEngine,
    EngineContext,
    Feature,
    FileRegion,
    HttpEngine,
    Path,
    StreamEngine,
    StreamEngineFactory,
)
from tricorn_transports.config import Limits, Timeouts
from tricorn_transports.events import BodyReceived, Event, RequestEnded, RequestStarted, StreamAborted
from tricorn_transports.testing.peers import DatagramPeer, Fields, Peer, Response, StreamPeer

E = TypeVar("E")

#: Small bounds, so that a rule that fills them is quick.
LIMITS = Limits(
    max_head_bytes=16_384,
    max_target_bytes=2_048,
    max_fields=64,
    stream_receive_buffer=65_536,
    connection_receive_buffer=131_072,
    stream_send_buffer=32_768,
)


@dataclass(frozen=True, slots=True)
class Kit(ABC):
    """What is tested.

    Attributes:
        name: For the test's name, as ``h2=h2``.
    """

    name: str

    @abstractmethod
    def connect(self) -> Link:
        """A new connection, on which the client has said nothing yet but what its protocol begins with."""


@dataclass(frozen=True, slots=True)
class StreamKit(Kit):
    """An engine over a byte stream, and a client that speaks its protocol."""

    create: StreamEngineFactory
    peer: Callable[[], StreamPeer]
    limits: Limits = LIMITS
    timeouts: Timeouts = field(default_factory=Timeouts)

    def connect(self) -> StreamLink:
        return StreamLink(self)


@dataclass(frozen=True, slots=True)
class DatagramKit(Kit):
    """An endpoint that makes engines over datagrams, and a client that speaks their protocol.

    Attributes:
        cert, key: Paths of PEM files for a host named ``test``; the client does not verify them.
    """

    create: DatagramEndpointFactory
    peer: Callable[[], DatagramPeer]
    cert: str
    key: str
    limits: Limits = LIMITS
    timeouts: Timeouts = field(default_factory=Timeouts)

    def connect(self) -> DatagramLink:
        return DatagramLink(self)


class Link(ABC):
    """One connection.

    Attributes:
        scheme: What a request on it must say.
        now: The time, in seconds.
        events: All that the engine has told, in order.
        largest: The most bytes that the engine has given for output at once.
    """

    scheme: bytes
    engine: HttpEngine
    peer: Peer

    def __init__(self, name: str, limits: Limits, timeouts: Timeouts) -> None:
        self.name = name
        self.limits = limits
        self.timeouts = timeouts
        self.now = 1000.0
        self.events: list[Event] = []
        self.largest = 0

    # --------------------------------------------------------------------------------------------------- the wire

    @abstractmethod
    def to_engine(self) -> bool:
        """Hands over what the client has to say, while the engine wants it; whether there was anything."""

    @abstractmethod
    def to_peer(self) -> bool:
        """Hands over what the engine has to say; whether there was anything."""

    def pump(self) -> None:
        """Lets both sides speak until neither has anything to say."""
        for _ in range(100_000):
            moved_in = self.to_engine()
            moved_out = self.to_peer()
            if not moved_in and not moved_out:
                return
        raise AssertionError("the two sides never come to rest")

    def pass_time(self, seconds: float) -> None:
        """Moves the clock, with ``handle_deadline`` at every deadline on the way."""
        end = self.now + seconds
        while (due := self.engine.deadline()) is not None and due <= end and not self.engine.is_closed():
            self.now = max(self.now, due)
            self.events += self.engine.handle_deadline(self.now)
            self.pump()
            after = self.engine.deadline()
            assert after is None or after > due, "a deadline that was handled is still due"
        self.now = max(self.now, end)

    # ------------------------------------------------------------------------------------------------- the exchange

    def ask(
        self, method: bytes = b"GET", target: bytes = b"/", headers: Fields = ()
    ) -> tuple[RequestStarted, Response]:
        """A request without a body: what the engine told of it, and the response's record."""
        number = self.peer.request(method, target, headers)
        self.pump()
        return self.all(RequestStarted)[-1], self.peer.responses[number]

    def answer(self, stream_id: int, body: bytes = b"hello", status: int = 200) -> None:
        """A whole response, and the exchange's end."""
        engine = self.engine
        engine.send_headers(stream_id, status, [(b"content-length", b"%d" % len(body))])
        engine.send_data(stream_id, body, end=True)
        engine.release(stream_id)
        self.pump()

    def has(self, feature: Feature) -> bool:
        return feature in self.engine.features

    def all(self, kind: type[E]) -> list[E]:
        """The events of one kind so far."""
        return [event for event in self.events if isinstance(event, kind)]

    def body(self, stream_id: int) -> bytes:
        """The request's body so far."""
        return b"".join(event.data for event in self.all(BodyReceived) if event.stream_id == stream_id)

    def is_over(self, stream_id: int) -> bool:
        """Whether nothing more can come of the stream."""
        ends = (RequestEnded, StreamAborted)
        return any(isinstance(event, ends) and event.stream_id == stream_id for event in self.events)


class StreamLink(Link):
    """A connection of bytes in order.

    Attributes:
        chunk: How many bytes the engine is given at a time.
    """

    scheme = b"http"
    engine: StreamEngine
    peer: StreamPeer

    def __init__(self, kit: StreamKit) -> None:
        super().__init__(kit.name, kit.limits, kit.timeouts)
        self.engine = kit.create(EngineContext(kit.limits, kit.timeouts, self.scheme, self.now))
        self.peer = kit.peer()
        self.chunk = 16_384
        self._held = bytearray()
        self._eof_is_seen = False

    def to_engine(self) -> bool:
        engine, held = self.engine, self._held
        held += self.peer.take()
        has_moved = False
        while held and engine.wants_data() and not engine.is_closed():
            has_moved = True
            self.feed(bytes(held[: self.chunk]))
            del held[: self.chunk]
        self.events += engine.take_events()
        return has_moved

    def feed(self, data: bytes) -> None:
        """Gives the engine bytes, as a socket would."""
        if not self.engine.is_closed():
            self.events += self.engine.receive_data(data, self.now)

    def to_peer(self) -> bool:
        parts = [part if isinstance(part, bytes) else _read(part) for part in self.engine.data_to_send(self.now)]
        assert b"" not in parts, "data_to_send gave an empty part"
        self.largest = max(self.largest, sum(map(len, parts)))
        self.peer.receive(b"".join(parts))
        self.events += self.engine.take_events()
        if self.engine.is_closed() and not parts and not self._eof_is_seen:
            self._eof_is_seen = True
            self.peer.receive_eof()
        return bool(parts)


class DatagramLink(Link):
    """A connection of datagrams, none of which is lost. The handshake is done when it is made."""

    scheme = b"https"
    engine: DatagramEngine
    peer: DatagramPeer

    _PATH = Path(local=("192.0.2.1", 443), peer=("192.0.2.9", 5000))
    #: The time that a datagram takes; acknowledgements that are put off by as much come at once.
    _STEP = 0.001
    _QUIET_STEPS = 40

    def __init__(self, kit: DatagramKit) -> None:
        super().__init__(kit.name, kit.limits, kit.timeouts)
        context = EngineContext(kit.limits, kit.timeouts, self.scheme, self.now)
        self._endpoint = kit.create(context, cert=kit.cert, key=kit.key)
        self.peer = kit.peer()
        self._is_open = False
        for datagram in self.peer.take_datagrams(self.now):
            engine = self._endpoint.accept(datagram, self._PATH, self.now)
            assert engine is not None, "the endpoint opened no connection"
            self.engine = engine
            self._is_open = True
            self.events += engine.receive_datagram(datagram, self._PATH, self.now)
        self.pump()

    def pump(self) -> None:
        quiet = 0
        while quiet < self._QUIET_STEPS:
            moved_in = self.to_engine()
            moved_out = self.to_peer()
            quiet = 0 if moved_in or moved_out else quiet + 1
            self.now += self._STEP
            self._handle_due()

    def pass_time(self, seconds: float) -> None:
        super().pass_time(seconds)
        self.pump()  # the client has timers too

    def _handle_due(self) -> None:
        due = self.engine.deadline()
        if due is not None and due <= self.now and not self.engine.is_closed():
            self.events += self.engine.handle_deadline(self.now)
        self.peer.handle_timer(self.now)

    def to_engine(self) -> bool:
        datagrams = self.peer.take_datagrams(self.now)
        for datagram in datagrams:
            engine = self._endpoint.accept(datagram, self._PATH, self.now)
            if engine is not None:
                self.events += engine.receive_datagram(datagram, self._PATH, self.now)
        self.events += self.engine.take_events()
        return bool(datagrams)

    def to_peer(self) -> bool:
        datagrams = [*self.engine.datagrams_to_send(self.now), *self._endpoint.replies()]
        self.largest = max(self.largest, sum(len(data) for data, _ in datagrams))
        for data, _ in datagrams:
            self.peer.receive_datagram(data, self.now)
        self.events += self.engine.take_events()
        if self._is_open and self.engine.is_closed():
            self._is_open = False
            self._endpoint.forget(self.engine)
        return bool(datagrams)


def _read(region: FileRegion) -> bytes:
    data = os.pread(region.fd, region.left, region.offset)
    region.left = 0
    return data
