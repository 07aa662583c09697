"""What every connection does, whatever carries it: turns events into exchanges and commands into output.

Rules of this module:
- Everything here is synchronous. One *turn* handles what arrived, starts the applications, and then writes once, so
  that many multiplexed responses leave together.
- A turn that starts applications of a protocol which multiplexes leaves the writing to the end of the loop's round:
  what they answer at once leaves with what the turn itself has to say.
- A command given outside a turn (by an application that was waiting) asks for one with ``flush()``.
- When an application whose stream was full can go on, nothing more is written until it has had its chance to: what it
  sends may be more urgent than what waits. Otherwise every stream would get as much as the most urgent one.
- New requests that a turn brings up (pipelining) are handled in its loop, never by recursion.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import inf
from typing import Any, Protocol

from tricorn_transports.abc import Feature, HttpEngine
from tricorn_transports.events import (
    AbortReason,
    BodyReceived,
    Event,
    PeerErred,
    PriorityChanged,
    RequestEnded,
    RequestStarted,
    ResponseBroken,
    SendingEnded,
    StreamAborted,
    StreamWritable,
)
from tricorn_transports.exchange.admission import refusal
from tricorn_transports.exchange.host import Exchange, Worker, log
from tricorn_transports.exchange.http import HttpExchange
from tricorn_transports.exchange.pool import Pool
from tricorn_transports.exchange.scope import http_extensions
from tricorn_transports.exchange.tunnel import TunnelExchange


class Alarm(Protocol):
    """One connection's entry among the worker's deadlines."""

    def set(self, when: float) -> None:
        """Calls the connection's ``handle_deadline`` at ``when`` or before; an earlier call that is set stands."""

    def cancel(self) -> None: ...


class Connection:
    """Implements ``exchange.host.Host``; ``tcp`` and ``udp`` say how bytes get in and out."""

    __slots__ = (
        "__weakref__",
        "_alarm",
        "_engine",
        "_exchanges",
        "_extensions",
        "_extensions_features",
        "_flush_asked",
        "_gives_way",
        "_in_turn",
        "_multiplexes",
        "_peer_left_at",
        "_started",
        "alt_svc",
        "client",
        "pool",
        "pushed",
        "running",
        "server",
        "worker",
    )

    _engine: HttpEngine | None

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.client: tuple[str, int] | None = None
        self.server: tuple[str, int | None] | None = None
        self.alt_svc: bytes | None = None
        self.pushed: set[int] = set()
        self.running = 0
        self.pool = Pool(worker.limits.max_websocket_message_bytes)
        self._alarm: Alarm | None = None
        self._engine = None
        self._exchanges: dict[int, Exchange] = {}
        self._started: list[Exchange] = []
        self._in_turn = False
        self._flush_asked = False
        self._gives_way = False
        self._multiplexes = False
        self._extensions: dict[str, Any] = {}
        self._extensions_features: Feature | None = None
        self._peer_left_at = inf

    # ------------------------------------------------------------------------------------- what a carrier must say

    @property
    def engine(self) -> HttpEngine:
        assert self._engine is not None
        return self._engine

    def tls_info(self) -> dict[str, Any] | None:
        """The ``tls`` extension's value, or ``None`` in clear."""
        raise AssertionError("a carrier says this")

    def _write(self) -> None:
        """Moves the engine's output to the socket, as far as it takes it."""
        raise AssertionError("a carrier says this")

    def fail(self) -> None:
        """Ends the connection without a word, and not in order: something on it cannot be completed."""
        raise AssertionError("a carrier says this")

    def _half_close(self) -> None:
        """Nothing more will be sent, and what comes is still read. Only a carrier of one stream is asked."""
        raise AssertionError("a carrier says this")

    def _after_turn(self) -> None:
        """Reading goes on or pauses; deadlines move; a closed engine closes its carrier."""
        raise AssertionError("a carrier says this")

    # ------------------------------------------------------------------------------------------- what exchanges ask

    def extensions(self) -> dict[str, Any]:
        features = self.engine.features
        if features != self._extensions_features:
            self._extensions_features = features
            self._extensions = http_extensions(features, self.tls_info())
        return self._extensions.copy()

    def flush(self) -> None:
        if self._in_turn or self._flush_asked:
            return
        if self._multiplexes:
            self._flush_soon()
        else:
            self.turn(())

    def consumed(self, stream_id: int, credit: int) -> None:
        self.engine.consumed(stream_id, credit)
        self.flush()

    def start_pushed(self, request: RequestStarted) -> None:
        exchange = HttpExchange(self, request)
        self._exchanges[request.stream_id] = exchange
        exchange.request_ended(None)
        self._started.append(exchange)
        self.flush()

    def exchange_over(self, exchange: Exchange) -> None:
        self._exchanges.pop(exchange.stream_id, None)
        self.flush()

    def is_held_up(self) -> bool:
        return False

    def want_deadline(self, when: float) -> None:
        if self._alarm is not None:
            self._alarm.set(when)

    # ------------------------------------------------------------------------------------------------------- turns

    def turn(self, events: Iterable[Event]) -> None:
        """Handles events, starts what they begin, and writes what came of it."""
        engine = self.engine
        self._in_turn = True
        try:
            while True:
                for event in events:
                    self._dispatch(event)
                if self._started:
                    started, self._started = self._started, []
                    for exchange in started:
                        if exchange.stream_id in self._exchanges:  # else its client took it back in the same breath
                            self.running += 1
                            exchange.task = self.worker.runtime.spawn(exchange.run)
                    if self._multiplexes and self._exchanges and not engine.is_closed():
                        self._flush_soon()
                        return
                if self._gives_way and not engine.is_closed():
                    break
                self._write()
                events = engine.take_events()
                if not events:
                    break
                if self._multiplexes and any(type(event) is StreamWritable for event in events):
                    for event in events:
                        self._dispatch(event)
                    self._gives_way = True
                    self.worker.runtime.call_soon(self._go_on)
                    break
        finally:
            self._in_turn = False
        self._after_turn()

    def _flush_soon(self) -> None:
        if not self._flush_asked:
            self._flush_asked = True
            self.worker.runtime.call_soon(self._flush_now)

    def _flush_now(self) -> None:
        self._flush_asked = False
        if self._engine is not None:
            self.turn_alone(())

    def _go_on(self) -> None:
        self._gives_way = False
        if self._engine is not None:
            self.turn_alone(())

    def turn_alone(self, events: Iterable[Event]) -> None:
        """A turn in whose caller's hands other connections are: a fault of ours ends this one only."""
        try:
            self.turn(events)
        except Exception:  # noqa: BLE001 - whatever it is, the others must go on
            log.exception("a fault of the server's own")
            self.fail()

    def _dispatch(self, event: Event) -> None:
        kind = type(event)
        if kind is RequestStarted:
            self._start(event)  # type: ignore[arg-type]  # `type() is` does not narrow, and isinstance costs more here
            return
        if kind is PeerErred:
            self.worker.log_peer_error(event.error, self.client)  # type: ignore[union-attr]  # as above
            return
        if kind is ResponseBroken:  # its exchange is over
            self.fail()
            return
        stream_id: int | None = getattr(event, "stream_id", None)
        exchange = self._exchanges.get(stream_id) if stream_id is not None else None
        if exchange is None:
            if isinstance(event, BodyReceived):  # the exchange is over: nobody will read this
                self.engine.consumed(event.stream_id, event.credit)
        elif isinstance(event, BodyReceived):
            exchange.body_received(event.data, event.credit)
        elif isinstance(event, RequestEnded):
            exchange.request_ended(event.trailers)
        elif isinstance(event, StreamAborted):
            exchange.aborted()
        elif isinstance(event, StreamWritable):
            exchange.writable()
        elif isinstance(event, PriorityChanged):
            exchange.priority_changed(event.urgency, event.incremental)
        elif isinstance(event, SendingEnded):
            self._half_close()

    def _start(self, request: RequestStarted) -> None:
        if self._multiplexes and self.running + len(self._started) >= 2 * self.worker.limits.max_concurrent_streams:
            # Streams that were taken back leave their applications running for a while; only so many may do that.
            self.engine.abort(request.stream_id, AbortReason.REFUSED)
            return
        exchange: Exchange
        if (
            request.protocol == b"websocket"
            and Feature.TUNNEL in self.engine.features
            and refusal(self.worker, request) is None  # else it is answered like any other
        ):
            from tricorn_transports.exchange.websocket import WebSocketExchange  # and its library, if one ever comes

            exchange = WebSocketExchange(self, request)
        elif Feature.TUNNEL in self.engine.features and (request.protocol is not None or request.method == b"CONNECT"):
            exchange = TunnelExchange(self, request)
        else:
            exchange = HttpExchange(self, request)
        self._exchanges[request.stream_id] = exchange
        self._started.append(exchange)

    # ------------------------------------------------------------------------------------------------------ endings

    def handle_deadline(self, now: float) -> None:
        """Something may be due: an exchange's wait, the engine's, or the carrier's own."""
        engine = self._engine
        if engine is not None:
            has_left = now >= self._peer_left_at
            if has_left:
                self._peer_left_at = inf
                for exchange in list(self._exchanges.values()):
                    exchange.peer_left()
            overdue = [exchange for exchange in self._exchanges.values() if exchange.deadline <= now]
            for exchange in overdue:
                exchange.handle_deadline(now)
            due = engine.deadline()
            is_due = due is not None and due <= now
            if is_due or overdue or has_left:  # else the alarm was of a deadline that has moved
                self.turn(engine.handle_deadline(now) if is_due else ())
        self.want_deadline(self._next_deadline())

    def _next_deadline(self) -> float:
        due = self._engine.deadline() if self._engine is not None else None
        when = min(self._peer_left_at, inf if due is None else due)
        for exchange in self._exchanges.values():
            when = min(when, exchange.deadline)
        return when

    def is_idle(self) -> bool:
        """Nothing runs here, and nothing that was said still has to leave."""
        return not self._exchanges and (self._engine is None or self._engine.is_idle())

    def begin_shutdown(self) -> None:
        """Finishes what runs, takes nothing new, then closes."""
        if self._engine is not None:
            for exchange in list(self._exchanges.values()):
                exchange.begin_shutdown()
            self._engine.begin_shutdown()
            self.turn(())

    def terminate(self, reason: AbortReason) -> None:
        """Ends everything now."""
        if self._engine is not None:
            self._lost()
            self._engine.terminate(reason)
            self.turn(())

    def _lost(self) -> None:
        """No byte will come or go any more: every exchange hears of it."""
        for exchange in list(self._exchanges.values()):
            exchange.aborted()
        self._exchanges.clear()
