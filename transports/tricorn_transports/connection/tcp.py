"""A connection over an ordered byte stream: TCP or a Unix socket, in clear or under TLS.

Rules of this module: the object has asyncio.Protocol's method names and is used as one directly on asyncio and uvloop;
elsewhere a pump calls the same methods. TLS is a layer inside (``tls.TlsLayer``), so that every runtime gets the same
TLS, with half-close. Which engine runs is settled by ALPN or by the first bytes (``select``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any, Protocol, cast

from tricorn_transports.abc import EngineContext, Feature, FileRegion, StreamEngine, StreamEngineFactory
from tricorn_transports.connection.base import Alarm, Connection
from tricorn_transports.connection.select import by_alpn, by_preface
from tricorn_transports.connection.upgrade import switch, wanted_settings
from tricorn_transports.engines.h1_response import refusal
from tricorn_transports.events import AbortReason, Event, RequestStarted, StreamWritable
from tricorn_transports.exchange.head import current_date
from tricorn_transports.exchange.host import Worker, log
from tricorn_transports.registry import TransportSpec
from tricorn_transports.sockets import hold_unsent, reset_on_close, unacknowledged
from tricorn_transports.tls import TlsContext, TlsError, TlsLayer


class ByteTransport(Protocol):
    """What the connection asks of what carries its bytes; asyncio.Transport has it all."""

    def write(self, data: bytes) -> None: ...
    def writelines(self, list_of_data: list[bytes]) -> None: ...
    def write_eof(self) -> None: ...
    def can_write_eof(self) -> bool: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def get_write_buffer_size(self) -> int: ...
    def get_extra_info(self, name: str) -> Any: ...
    def close(self) -> None: ...
    def abort(self) -> None: ...


class Copier(Protocol):
    """Copies one file to a connection's socket."""

    def copy(self, region: FileRegion) -> None:
        """Sends what the socket takes now; raises an ``OSError`` if it can never be completed."""

    def wait(self, callback: Callable[[], object]) -> None:
        """Calls back whenever the socket has room, until ``close()``."""

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Listener:
    """What all connections of one listening socket share.

    Attributes:
        factories: An engine factory for each transport of ``specs``, by its name.
        make_alarm: Makes a connection's entry among the worker's deadlines.
        h2c_upgrade: HTTP/1.1 clients in clear may switch to HTTP/2.
        alt_svc: The Alt-Svc value that its connections send, if HTTP/3 is served at the same address.
    """

    worker: Worker
    specs: tuple[TransportSpec, ...]
    factories: dict[str, StreamEngineFactory]
    tls: TlsContext | None
    connections: set[TcpConnection]
    make_alarm: Callable[[Connection], Alarm]
    alt_svc: bytes | None = None
    h2c_upgrade: bool = False


class TcpConnection(Connection):
    """One client's byte stream."""

    __slots__ = (
        "_closing",
        "_copier",
        "_due",
        "_early",
        "_eof",
        "_listener",
        "_paused",
        "_reading",
        "_region",
        "_tls",
        "_transport",
        "_unsent_since",
    )

    _engine: StreamEngine | None

    #: Whether the runtime's connections have a ``make_copier()``.
    copies_files = False

    def __init__(self, listener: Listener) -> None:
        super().__init__(listener.worker)
        self._listener = listener
        self.alt_svc = listener.alt_svc
        self._transport: ByteTransport | None = None
        self._tls: TlsLayer | None = None
        self._early = b""  # first bytes, until they say which transport this is
        self._paused = False  # the socket takes no more for now
        self._reading = True
        self._eof = False
        self._closing = False
        self._due = inf  # the carrier's own deadline: handshake, stalled write, lingering close
        self._unsent_since = (0, 0.0)  # bytes, and when they were counted; see `_takes`
        self._region: FileRegion | None = None  # under way: nothing else is written meanwhile
        self._copier: Copier | None = None

    # -------------------------------------------------------------------------- asyncio.Protocol's names, in order

    def connected(
        self,
        transport: ByteTransport,
        client: tuple[str, int] | None,
        server: tuple[str, int | None] | None,
    ) -> None:
        """The socket is there. Over ``max_connections`` it is refused at once."""
        listener, worker = self._listener, self.worker
        self._transport = transport
        self.client, self.server = client, server
        if len(listener.connections) >= worker.limits.max_connections:
            self._refuse()
            return
        listener.connections.add(self)
        self._alarm = listener.make_alarm(self)
        now = worker.runtime.now()
        if listener.tls is not None:
            self._tls = TlsLayer(listener.tls)
            self._set_due(now + worker.timeouts.handshake_timeout)
        elif len(listener.specs) == 1:
            self._use(listener.specs[0], now)
        else:
            self._set_due(now + worker.timeouts.header_timeout)

    def data_received(self, data: bytes) -> None:
        if self._transport is None or self._closing:
            return
        if self._tls is not None:
            self._tls_received(data)
        else:
            self._received(data)

    def eof_received(self) -> bool:
        """The peer closed its sending side; what it asked for is still answered."""
        self._end_of_input()
        return self._transport is not None

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._end_copy()
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        self._listener.connections.discard(self)
        self._closing = True
        self._lost()

    def pause_writing(self) -> None:
        self._paused = True
        if self._transport is not None:
            self._wait_for_client()

    def resume_writing(self) -> None:
        self._paused = False
        if self._region is not None and not self._closing:
            self._copy_file()
        if not self._paused and not self._closing:
            self._due = inf
            if self._engine is not None and not self._in_turn:
                self.turn(())

    # ------------------------------------------------------------------------------------------------------- inbound

    def _received(self, data: bytes) -> None:
        engine = self._engine
        now = self.worker.runtime.now()
        if engine is None:
            self._early += data
            spec = by_preface(self._listener.specs, self._early)
            if spec is None:
                return
            data, self._early = self._early, b""
            engine = self._use(spec, now)
        events = engine.receive_data(data, now)
        if self._listener.h2c_upgrade and (wanted := wanted_settings(events)) is not None:
            events = self._upgrade(*wanted, now) or events
        self.turn(events)

    def _upgrade(self, request: RequestStarted, settings: bytes, now: float) -> list[Event] | None:
        """Goes on in HTTP/2, if it is served here and takes the request."""
        spec = next((spec for spec in self._listener.specs if "h2" in spec.alpn), None)
        old = self._engine
        if spec is None or self._tls is not None or old is None:
            return None
        handed_over = switch(old, self._use(spec, now), request, settings, now)
        if handed_over is None:
            self._engine, self._multiplexes = old, False
            return None
        output, events = handed_over
        self._transport_write(output)
        return events

    def _tls_received(self, data: bytes) -> None:
        tls = self._tls
        assert tls is not None
        was_connected = tls.is_connected
        try:
            parts = tls.receive(data)
        except TlsError as error:
            self._tls_failed(error)
            return
        if tls.is_connected and not was_connected:
            self._due = inf
            now = self.worker.runtime.now()
            spec = by_alpn(self._listener.specs, tls.alpn)
            if spec is not None:
                self._use(spec, now)
            elif len(self._listener.specs) == 1:
                self._use(self._listener.specs[0], now)
            else:
                self._set_due(now + self.worker.timeouts.header_timeout)
        self._write_ciphertext()
        for part in parts:
            if self._closing:
                return
            self._received(part)
        if tls.is_eof:
            self._end_of_input()

    def _tls_failed(self, error: TlsError) -> None:
        assert self._tls is not None
        if self._engine is None:
            log.info("%s: %s", self.client[0] if self.client else "client", error)
        self._write_ciphertext()  # the alert
        if error.is_plain_http:
            self._transport_write([refusal(400, current_date(), b"This port speaks HTTPS only\n")])
        self._close()
        self._lost()  # after it, because nothing can be encrypted any more

    def _end_of_input(self) -> None:
        if self._eof or self._transport is None:
            return
        self._eof = True
        if self._closing or self._engine is None:
            self._transport.close()
            return
        now = self.worker.runtime.now()
        events = self._engine.receive_eof(now)
        if self._exchanges:
            self._peer_left_at = now + self.worker.timeouts.half_close_grace
            self.want_deadline(self._peer_left_at)
        self.turn(events)

    def _use(self, spec: TransportSpec, now: float) -> StreamEngine:
        self._due = inf
        scheme = b"https" if self._tls is not None else b"http"
        sends_files = self.copies_files and self._tls is None
        context = EngineContext(self.worker.limits, self.worker.timeouts, scheme, now, sends_files, current_date)
        self._engine = engine = self._listener.factories[spec.name](context)
        self._multiplexes = Feature.MULTIPLEX in engine.features
        if self._multiplexes and self._transport is not None:
            hold_unsent(self._transport.get_extra_info("socket"))
        self.want_deadline(self._next_deadline())
        if self.worker.draining:
            engine.begin_shutdown()
        return engine

    # ------------------------------------------------------------------------------------------------------ outbound

    @property
    def engine(self) -> StreamEngine:
        assert self._engine is not None
        return self._engine

    def tls_info(self) -> dict[str, Any] | None:
        return self._tls.info() if self._tls is not None else None

    def _write(self) -> None:
        engine = self.engine
        while not self._paused and self._transport is not None and not self._closing:
            output = engine.data_to_send(self.worker.runtime.now())
            if not output:
                return
            if type(output[-1]) is FileRegion:
                self._begin_copy(cast("Sequence[bytes]", output[:-1]), output[-1])
                continue
            parts = cast("list[bytes]", output)  # a region comes last
            if self._tls is not None:
                self._tls.send(parts)
                self._write_ciphertext()
            else:
                self._transport_write(parts)

    def make_copier(self, transport: ByteTransport) -> Copier:
        """What copies a file to the socket of ``transport``."""
        raise AssertionError("a runtime that copies files says this")

    def _begin_copy(self, before: Sequence[bytes], region: FileRegion) -> None:
        assert self._transport is not None
        self._region = region
        try:
            self._copier = self.make_copier(self._transport)
        except OSError:
            self.fail()
            return
        if before:
            self._transport_write(before)
        self._copy_file()

    def _copy_file(self) -> None:
        """Goes on with the file, until the socket takes no more or the file is out."""
        region, copier, transport = self._region, self._copier, self._transport
        assert region is not None
        assert transport is not None
        if transport.get_write_buffer_size():  # must not be overtaken
            self._paused = True
            return
        if region.fd < 0 or copier is None:
            self.fail()
            return
        try:
            copier.copy(region)
        except ConnectionError:
            self.fail()
            return
        except OSError as error:
            region.error, region.fd = error, -1
        if region.error is not None:
            # Its exchange ends the response, so that the application hears why; nothing is written before that.
            self._paused = True
            copier.close()
            self._copier = None
            self._dispatch(StreamWritable(region.stream_id))
        elif region.left:
            self._paused = True
            if self._due == inf:
                self._wait_for_client()
            copier.wait(self.resume_writing)
        else:
            self._end_copy()
            self._dispatch(StreamWritable(region.stream_id))

    def _end_copy(self) -> None:
        self._region = None
        if self._copier is not None:
            self._copier.close()
            self._copier = None

    def _write_ciphertext(self) -> None:
        assert self._tls is not None
        output = self._tls.data_to_send()
        if output:
            self._transport_write([output])

    def _transport_write(self, output: Sequence[bytes]) -> None:
        if self._transport is None:
            return
        if len(output) == 1:
            self._transport.write(output[0])
        else:
            self._transport.write(b"".join(output))

    def _half_close(self) -> None:
        transport = self._transport
        if transport is None or self._closing:
            return
        if self._tls is not None:
            self._tls.close()
            self._write_ciphertext()
        if transport.can_write_eof():
            _write_eof(transport)

    def _after_turn(self) -> None:
        engine, transport = self.engine, self._transport
        if transport is None or self._closing:
            return
        if engine.is_closed():
            if not self._paused:
                self._close()
            elif self._region is not None and self._region.fd < 0:  # withdrawn
                self.fail()
            return
        if engine.wants_data() is not self._reading and not self._eof:
            self._reading = not self._reading
            if self._reading:
                transport.resume_reading()
            else:
                transport.pause_reading()
        due = engine.deadline()
        if due is not None and self._alarm is not None:
            self._alarm.set(due)

    # -------------------------------------------------------------------------------------------------------- endings

    def handle_deadline(self, now: float) -> None:
        if now >= self._due and not self._overdue(now):
            return
        super().handle_deadline(now)

    def _next_deadline(self) -> float:
        return min(super()._next_deadline(), self._due)

    def _overdue(self, now: float) -> bool:
        """The carrier's own deadline has come. Returns whether the connection lives on."""
        transport = self._transport
        if transport is None:
            return False
        is_unsent = transport.get_write_buffer_size() > 0 or self._region is not None
        if is_unsent and self._takes(transport, now):
            self._wait_for_client()
            return True
        if self._paused:
            who = self.client[0] if self.client else "client"
            log.warning("%s: the client takes too little (write_timeout, min_response_rate)", who)
        elif self._tls is not None and not self._tls.is_connected and not self._closing:
            log.info("%s: no TLS handshake (handshake_timeout)", self.client[0] if self.client else "client")
        self._due = inf
        if is_unsent:
            self.fail()  # and the kernel forgets at once what it still held for the client
        else:
            self._lost()
            transport.abort()
        return False

    def is_held_up(self) -> bool:
        return self._paused and not self._multiplexes  # else each stream has a window of its own to be judged by

    def _wait_for_client(self) -> None:
        """Begins a ``write_timeout`` in which the client must take some of what waits for it."""
        now = self.worker.runtime.now()
        if self._transport is not None:
            self._unsent_since = self._count_unsent(self._transport), now
        self._set_due(now + self.worker.timeouts.write_timeout)

    def _takes(self, transport: ByteTransport, now: float) -> bool:
        """Whether the client has taken enough since this was last begun."""
        before, since = self._unsent_since
        least = self.worker.limits.min_response_rate * (now - since)
        return before - self._count_unsent(transport) >= max(1.0, least)

    def _count_unsent(self, transport: ByteTransport) -> int:
        """Bytes that the client has not taken.

        The kernel's count, because it holds megabytes for a slow client and tells only of a good deal of room in them.
        """
        region = self._region
        waiting = transport.get_write_buffer_size() + (0 if region is None else region.left)
        return waiting + unacknowledged(transport.get_extra_info("socket"))

    def _set_due(self, when: float) -> None:
        self._due = when
        self.want_deadline(when)

    def _close(self) -> None:
        """Closes our side, and waits for the peer's end so that it reads our last words (RFC 9112 section 9.6)."""
        transport = self._transport
        if transport is None or self._closing:
            return
        self._closing = True
        if self._tls is not None:
            self._tls.close()
            self._write_ciphertext()
        if self._eof or not transport.can_write_eof():
            transport.close()
        else:
            _write_eof(transport)
            if not self._reading:
                self._reading = True
                transport.resume_reading()
        # Also for what close() has still to deliver: the peer may take none of it, and hold the connection for ever.
        self._wait_for_client()
        self._set_due(self.worker.runtime.now() + self.worker.timeouts.close_timeout)

    def fail(self) -> None:
        self._closing = True
        self._lost()
        if self._transport is not None:
            reset_on_close(self._transport.get_extra_info("socket"))
            self._transport.abort()

    def _refuse(self) -> None:
        assert self._transport is not None
        log.warning(
            "%s: refused, there are %d connections already (max_connections)",
            self.client[0] if self.client else "client",
            len(self._listener.connections),
        )
        self._closing = True
        if self._listener.tls is None:
            self._transport.write(refusal(503, current_date()))
        self._transport.close()

    def is_idle(self) -> bool:
        return super().is_idle() and (self._transport is None or not self._transport.get_write_buffer_size())

    def terminate(self, reason: AbortReason) -> None:
        super().terminate(reason)
        if self._transport is not None:
            self._transport.abort()


def _write_eof(transport: ByteTransport) -> None:
    try:
        transport.write_eof()
    except OSError:  # asyncio's: the peer has gone meanwhile, and the loop does not know yet
        transport.abort()
