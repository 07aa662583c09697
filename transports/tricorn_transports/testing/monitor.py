"""A connection and an application around one engine, that hold it to the rules of ``abc`` and ``events`` at every step.

The rules of the kit each tell one story. Here whoever drives decides what happens next, at random or by what covers
more, and the monitor fails when the engine raises anything but ``LocalProtocolError``, tells events out of order, or
holds or gives more than it may.

Rules of this module: no protocol and no test framework. What the peer sends is the driver's affair.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tricorn_transports.abc import Feature, FileRegion, HttpEngine, StreamEngine
from tricorn_transports.config import Limits
from tricorn_transports.errors import LocalProtocolError
from tricorn_transports.events import (
    AbortReason,
    BodyReceived,
    Event,
    RawHeaders,
    RequestEnded,
    RequestStarted,
    ResponseBroken,
    SendingEnded,
    StreamAborted,
    StreamWritable,
)

#: ``data_to_send`` gives some 256 KiB at most; a piece that began below may end above.
_MAX_OUTPUT = 2 * 262_144
_FIELDS: tuple[RawHeaders, ...] = (
    [],
    [(b"content-length", b"5")],
    [(b"content-length", b"0"), (b"x", b"y")],
    [(b"connection", b"close")],
    [(b"transfer-encoding", b"chunked"), (b"link", b"</a>; rel=preload")],
)
_STATUSES = (200, 204, 304, 404, 500, 999)


class Seen:
    """What the monitor knows of one stream."""

    __slots__ = ("credit", "ended", "is_released", "is_tunnel", "over", "request")

    def __init__(self, request: RequestStarted) -> None:
        self.request = request
        self.credit = 0
        self.ended = request.pushed_from is not None
        self.over = False
        self.is_released = False
        self.is_tunnel = False


class Monitor:
    """One connection.

    Args:
        now: The time, in seconds.

    Attributes:
        streams: Of all requests so far, by stream.
    """

    def __init__(self, engine: HttpEngine, limits: Limits, now: float) -> None:
        self.engine = engine
        self.now = now
        self.streams: dict[int, Seen] = {}
        self.was_closed = False
        self._limits = limits
        self._multiplexes = Feature.MULTIPLEX in engine.features

    # ------------------------------------------------------------------------------------------ what the engine tells

    def heard(self, events: Iterable[Event]) -> None:
        """Takes events in their order."""
        for event in events:
            if isinstance(event, RequestStarted):
                self._started(event)
            elif isinstance(
                event, BodyReceived | RequestEnded | StreamAborted | StreamWritable | SendingEnded | ResponseBroken
            ):
                seen = self.streams.get(event.stream_id)
                assert seen is not None, f"{event} of a stream that never began"
                assert not seen.over, f"{event} of a stream that was aborted"
                self._told(seen, event)
        self.check()

    def _started(self, request: RequestStarted) -> None:
        assert request.stream_id not in self.streams, f"stream {request.stream_id} began twice"
        if not self._multiplexes:
            assert all(seen.is_released or seen.over for seen in self.streams.values()), "two requests at once"
        assert request.method, "a request without a method"
        assert request.target, "a request without a target"
        for name, value in request.headers:
            assert name == name.lower(), f"the name {name!r} is not in lower case"
            assert not set(value) & {0, 10, 13}, f"the value {value!r} could split a message"
        self.streams[request.stream_id] = Seen(request)

    def _told(self, seen: Seen, event: Event) -> None:
        if isinstance(event, BodyReceived):
            assert not seen.ended, "bytes behind the end"
            assert event.credit >= len(event.data), "less credit than bytes"
            seen.credit += event.credit
        elif isinstance(event, RequestEnded):
            assert not seen.ended, "a request ended twice"
            seen.ended = True
        elif isinstance(event, StreamAborted):
            seen.over = True
            seen.credit = 0

    def check(self) -> None:
        """What always holds."""
        is_closed = self.engine.is_closed()
        assert is_closed or not self.was_closed, "a closed engine came back to life"
        self.was_closed = is_closed
        held = sum(seen.credit for seen in self.streams.values() if not seen.is_released)
        bound = self._limits.connection_receive_buffer if self._multiplexes else self._limits.stream_receive_buffer
        # One read more than fits: HTTP/1 is asked before each, and the others' first window is their protocol's own.
        assert held <= max(bound, 65_535) + 65_536, f"{held} bytes are held"

    # ------------------------------------------------------------------------------------------------- the connection

    def flush(self) -> bytes:
        """Takes all output of a stream engine, and the events behind it."""
        engine, sent = self.engine, b""
        for _ in range(1000):
            parts = engine.data_to_send(self.now)  # type: ignore[attr-defined]  # only stream engines are flushed so
            size = 0
            for part in parts:
                if isinstance(part, FileRegion):
                    continue
                assert part, "an empty part of output"
                size += len(part)
                sent += part
            assert size <= _MAX_OUTPUT, f"{size} bytes at once"
            events = engine.take_events()
            self.heard(events)
            if not parts and not events:
                return sent
        raise AssertionError("the output never ends")

    def feed(self, engine: StreamEngine, data: bytes) -> bool:
        """What a socket would do with bytes: gives them while the engine wants them. Whether it took them."""
        if self.was_closed or not engine.wants_data():
            return False
        self.heard(engine.receive_data(data, self.now))
        self.heard(engine.take_events())
        return True

    def wait(self, seconds: float, flush: Callable[[], object]) -> None:
        """Lets time pass, and the engine's deadlines with it; ``flush`` lets out what each brings."""
        end = self.now + seconds
        for _ in range(1000):
            due = self.engine.deadline()
            if due is None or due > end or self.engine.is_closed():
                break
            self.now = max(self.now, due)
            self.heard(self.engine.handle_deadline(self.now))
            self.heard(self.engine.take_events())
            flush()
            after = self.engine.deadline()
            assert after is None or after > due or self.engine.is_closed(), "a deadline that was handled is still due"
        else:
            raise AssertionError("deadlines without end")
        self.now = end

    # ------------------------------------------------------------------------------------------------ the application

    def act(self, what: int, which: int, how: int) -> None:
        """Gives one command, of any kind, for any stream that there was; the numbers are taken modulo what there is."""
        engine = self.engine
        if what % 16 == 15:
            engine.begin_shutdown()
        elif what % 64 == 14:
            engine.terminate(list(AbortReason)[how % len(AbortReason)])
        elif self.streams:
            stream_id = list(self.streams)[which % len(self.streams)]
            seen = self.streams[stream_id]
            if not seen.is_released:
                self._command(what % 16, stream_id, seen, how)
        self.heard(engine.take_events())

    def _command(self, what: int, stream_id: int, seen: Seen, how: int) -> None:
        engine = self.engine
        fields, end = list(_FIELDS[how % len(_FIELDS)]), bool(how & 64)
        data = bytes(how % 7) if how < 128 else bytes(1000 * how)
        commands: tuple[Callable[[], object], ...] = (
            lambda: engine.send_headers(stream_id, _STATUSES[how % len(_STATUSES)], fields, end=end),
            lambda: engine.send_headers(stream_id, 200, [], end=False),
            lambda: self._send(stream_id, data, end),
            lambda: self._send(stream_id, b"hello", True),
            lambda: engine.send_informational(stream_id, 100 if how & 1 else 103, fields[2:]),
            lambda: engine.send_trailers(stream_id, [(b"x-checksum", b"%d" % how)]),
            lambda: self._accept(stream_id, seen),
            lambda: self._push(stream_id, seen),
            lambda: engine.set_priority(stream_id, how % 8, end),
            lambda: self._consume(stream_id, seen, how),
            lambda: self._consume(stream_id, seen, 255),
            lambda: self._abort(stream_id, seen, list(AbortReason)[how % len(AbortReason)]),
            lambda: self._release(stream_id, seen),
            lambda: self._answer(stream_id, seen),
        )
        try:
            commands[what % len(commands)]()
        except LocalProtocolError:
            return

    def _send(self, stream_id: int, data: bytes, end: bool) -> None:
        if self.engine.sendable(stream_id) > 0:
            self.engine.send_data(stream_id, data, end=end)

    def _accept(self, stream_id: int, seen: Seen) -> None:
        self.engine.accept_tunnel(stream_id, [(b"x", b"y")])
        if not self._multiplexes and not seen.over and not seen.is_tunnel:
            seen.ended = False  # the request is over; the tunnel's first side begins
        seen.is_tunnel = True

    def _push(self, stream_id: int, seen: Seen) -> None:
        request = self.engine.push(stream_id, b"/pushed", [])
        if request is not None:
            assert not seen.over, "a push on a stream that is gone"
            self._started(request)

    def _consume(self, stream_id: int, seen: Seen, how: int) -> None:
        credit = seen.credit if how == 255 else min(seen.credit, how * 100)
        seen.credit -= credit
        self.engine.consumed(stream_id, credit)

    def _abort(self, stream_id: int, seen: Seen, reason: AbortReason) -> None:
        self.engine.abort(stream_id, reason)
        self._release(stream_id, seen)

    def _release(self, stream_id: int, seen: Seen) -> None:
        self.engine.consumed(stream_id, seen.credit)
        seen.credit = 0
        seen.is_released = True
        self.engine.release(stream_id)

    def _answer(self, stream_id: int, seen: Seen) -> None:
        try:
            self.engine.send_headers(stream_id, 200, [(b"content-length", b"2")])
            self.engine.send_data(stream_id, b"ok", end=True)
        finally:
            self._release(stream_id, seen)
