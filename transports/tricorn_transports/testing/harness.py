"""One engine and one client with nothing but memory between them, and a clock that is moved by hand.

Rules of this module: no protocol. It does what a connection does (bytes in, events out, output while the other side
takes it), so that a rule only says what must hold.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from tricorn_transports.abc import EngineContext, Feature, StreamEngine, StreamEngineFactory
from tricorn_transports.config import Limits, Timeouts
from tricorn_transports.events import BodyReceived, Event, RequestEnded, RequestStarted, StreamAborted
from tricorn_transports.testing.peers import Fields, Peer, Response

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
class Kit:
    """What is tested: a way to make the engine, and a client that speaks its protocol.

    Attributes:
        name: For the test's name, as ``h2=h2``.
    """

    name: str
    create: StreamEngineFactory
    peer: Callable[[], Peer]
    limits: Limits = LIMITS
    timeouts: Timeouts = field(default_factory=Timeouts)

    def connect(self) -> Link:
        """A new connection, on which the client has said nothing yet but what its protocol begins with."""
        return Link(self)


class Link:
    """One connection.

    Attributes:
        events: All that the engine has told, in order.
        chunk: How many bytes the engine is given at a time.
        largest: The most bytes that one ``data_to_send`` has given.
    """

    def __init__(self, kit: Kit) -> None:
        self.kit = kit
        self.now = 1000.0
        context = EngineContext(kit.limits, kit.timeouts, b"http", self.now)
        self.engine: StreamEngine = kit.create(context)
        self.peer = kit.peer()
        self.events: list[Event] = []
        self.chunk = 65_536
        self.largest = 0
        self.eof_seen = False

    # --------------------------------------------------------------------------------------------------- the wire

    def to_engine(self) -> bool:
        """Hands over what the client has to say, while the engine wants it; whether there was anything."""
        engine = self.engine
        data = self.peer.take()
        for start in range(0, len(data), self.chunk):
            self.feed(data[start : start + self.chunk])
        self.events += engine.take_events()
        return bool(data)

    def feed(self, data: bytes) -> None:
        """Gives the engine bytes, as a socket would."""
        if not self.engine.is_closed():
            self.events += self.engine.receive_data(data, self.now)

    def to_peer(self) -> bool:
        """Hands over what the engine has to say; whether there was anything."""
        parts = self.engine.data_to_send(self.now)
        assert b"" not in parts, "data_to_send gave an empty part"
        self.largest = max(self.largest, sum(map(len, parts)))
        self.peer.receive(b"".join(parts))
        self.events += self.engine.take_events()
        if self.engine.is_closed() and not parts and not self.eof_seen:
            self.eof_seen = True
            self.peer.receive_eof()
        return bool(parts)

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
            assert after is None or after > self.now, "a deadline that was handled is still due"
        self.now = end

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
