"""The receiving side of HTTP/1.1 (RFC 9112): requests in turn, their deadlines, and the connection's end.

What a head means and which limits hold stands in ``h1_reader`` and ``h1_head``; here stands when the next request may
begin, and what ends the connection.

Rules of this module:

- The states of the reading side; nothing is parsed in ENDED, so requests behind the running one just wait::

      HEAD --head with a body--> BODY --its last byte--> ENDED --accept_tunnel--> TUNNEL
      HEAD --head without one--> ENDED
      ENDED --release--> HEAD      where the response is complete and the connection persists
      BODY --release--> SKIP --its last byte--> HEAD      the same, for the small rest of an unwanted body
      any --error, end of file, timeout, abort, terminate, any other release--> CLOSED

- A peer's error becomes one ``PeerErred`` in ``_fail``; nothing behind it is parsed (RFC 9112 section 11.2).
- No head is parsed while the queue of responses is full: a client that asks and asks and takes no answer waits.
- No recursion: ``_advance`` is the one loop, and the commands of ``h1_engine`` append events and call nobody.
"""

from __future__ import annotations

from enum import Enum, auto

from tricorn_transports.abc import EngineContext, Feature
from tricorn_transports.engines.h1_reader import HeadParser, RequestReader
from tricorn_transports.engines.h1_response import Phase, ResponseWriter
from tricorn_transports.errors import LimitExceeded, RemoteProtocolError
from tricorn_transports.events import (
    AbortReason,
    BodyReceived,
    Event,
    PeerErred,
    RequestEnded,
    RequestStarted,
    StreamAborted,
)


class State(Enum):
    """What the bytes that come next are."""

    HEAD = auto()
    BODY = auto()
    ENDED = auto()
    TUNNEL = auto()
    SKIP = auto()
    CLOSED = auto()


_HEAD, _BODY, _ENDED, _TUNNEL, _SKIP, _CLOSED = State

FEATURES = Feature.EARLY_HINTS | Feature.TRAILERS | Feature.TUNNEL
FEATURES_1_0 = Feature.TUNNEL
_WITH_FILES = FEATURES | Feature.FILES
_WITH_FILES_1_0 = FEATURES_1_0 | Feature.FILES


class Http1Input:
    """The half of an HTTP/1.1 engine that receives; the queue of responses is known to it only by its room.

    Args:
        parse_head: The parsing library; see ``h1_reader``.
    """

    # fmt: off
    __slots__ = (
        "_awaits_continue", "_closes", "_current", "_date", "_deadline", "_eof", "_events", "_features", "_half_closes",
        "_last_id", "_limits", "_now", "_reader", "_rearm", "_request", "_sends_files", "_shutdown", "_skippable",
        "_state", "_timeouts", "_unread", "_writer",
    )
    # fmt: on

    def __init__(self, context: EngineContext, parse_head: HeadParser) -> None:
        self._limits = context.limits
        self._timeouts = context.timeouts
        self._date = context.date
        self._reader = RequestReader(context.limits, context.scheme, parse_head)
        self._writer = ResponseWriter(context.limits.stream_send_buffer)
        self._sends_files = context.sends_files
        self._events: list[Event] = []
        self._state = _HEAD
        self._eof = False
        self._shutdown = False
        self._closes = False
        # The running exchange.
        self._request: RequestStarted | None = None
        self._current = 0  # its stream id; 0 while there is none
        self._last_id = -1
        self._features = FEATURES
        self._unread = 0
        self._awaits_continue = False
        self._skippable = 0
        self._half_closes = False
        # release() is not told the time: the deadline that it starts is set anew at the next call that is.
        self._now = context.now
        self._deadline: float | None = context.now + context.timeouts.header_timeout
        self._rearm = 0.0

    # ---------------------------------------------------------------------------------------------- the peer's side

    @property
    def http_version(self) -> str:
        """``"1.1"``, whatever a single request speaks."""
        return "1.1"

    @property
    def features(self) -> Feature:
        """What the client of the running request understands: an HTTP/1.0 one knows neither 1xx nor trailers."""
        if self._sends_files:
            return _WITH_FILES if self._features is FEATURES else _WITH_FILES_1_0
        return self._features

    def receive_data(self, data: bytes, now: float) -> list[Event]:
        """Takes bytes from the peer; what follows the running request is held until ``release``."""
        self._now = now
        events: list[Event] = []
        state = self._state
        if state is _HEAD:
            held = self._reader.held
            if not held:
                self._deadline = now + self._timeouts.header_timeout
                self._rearm = 0.0
            held += data
            self._advance(events)
        elif state is _BODY or state is _SKIP:
            try:
                self._read_body(data, events)
            except RemoteProtocolError as error:
                self._fail(error, events)
            if self._reader.held:
                self._advance(events)
        elif state is _ENDED:
            self._reader.held += data
        elif state is _TUNNEL:
            self._unread += len(data)
            events.append(BodyReceived(self._current, data, len(data)))
        return events

    def receive_eof(self, now: float) -> list[Event]:
        """The peer has closed its side. Complete requests, also pipelined ones, are still answered."""
        self._now = now
        events: list[Event] = []
        if self._eof or self._state is _CLOSED:
            return events
        self._eof = True
        if self._state is _HEAD:
            self._advance(events)
        elif self._state is _TUNNEL:
            events.append(RequestEnded(self._current))  # what it has sent may be unread: release() closes
        elif self._state is not _ENDED:
            if self._state is _BODY:
                events.append(StreamAborted(self._current, AbortReason.DISCONNECTED))
            self._close()
        return events

    def wants_data(self) -> bool:
        """False while the body that no application has read, or what is pipelined, fills its bound."""
        state = self._state
        if state is _ENDED or self._is_held_up():
            return len(self._reader.held) < self._limits.max_pipelined_bytes
        if state is _BODY or state is _TUNNEL:
            return self._unread < self._limits.stream_receive_buffer
        return state is not _CLOSED

    def _advance(self, events: list[Event]) -> None:
        """Parses what is held as far as the state allows."""
        held = self._reader.held
        try:
            while held:
                if self._state is _HEAD:
                    if self._is_held_up() or not self._read_head(events):
                        break
                elif self._state is _BODY or self._state is _SKIP:
                    data = bytes(held)
                    held.clear()
                    self._read_body(data, events)
                else:
                    break
        except RemoteProtocolError as error:
            self._fail(error, events)
        if self._eof and self._state is _HEAD and not self._is_held_up():
            self._end_input(events)

    def _is_held_up(self) -> bool:
        """The next request waits until the client has taken more of the responses before it."""
        return self._state is _HEAD and self._writer.room() <= 0

    def _read_head(self, events: list[Event]) -> bool:
        """Starts the request whose head is whole; False if more is needed."""
        stream_id = self._last_id + 2
        head = self._reader.read_head(stream_id)
        if head is None:
            return False
        started = self._request = head.started
        self._last_id = self._current = stream_id
        # Behind a CONNECT that is refused may stand the first bytes of the tunnel: no request may be read out of them.
        self._closes = not head.persistent or started.method == b"CONNECT"
        self._features = FEATURES if started.http_version == "1.1" else FEATURES_1_0
        self._deadline, self._rearm = None, 0.0
        self._writer.begin(stream_id)
        events.append(started)
        if head.chunked or started.content_length:
            self._awaits_continue = started.expects_continue or started.expects_more
            self._state = _BODY
        else:
            events.append(RequestEnded(stream_id))
            self._state = _ENDED
        return True

    def _read_body(self, data: bytes, events: list[Event]) -> None:
        length = len(data)
        data, ended, trailers, error = self._reader.read_body(data)
        if self._state is _SKIP:
            self._skippable -= length
            if error is not None:
                raise error
            if ended:
                self._next_exchange()
            elif self._skippable < 0:
                self._close()
            return
        self._awaits_continue = False
        if data:
            self._unread += len(data)
            events.append(BodyReceived(self._current, data, len(data)))
        if error is not None:
            raise error
        if ended:
            events.append(RequestEnded(self._current, trailers))
            self._state = _ENDED

    def _end_input(self, events: list[Event]) -> None:
        """End of file between or within heads."""
        if self._reader.held:
            self._fail(RemoteProtocolError("the connection ended within a request's head"), events)
        else:
            self._close()

    def _fail(self, error: RemoteProtocolError, events: list[Event]) -> None:
        """Answers the peer's error if an answer can still be sent, reports it, and ends the connection."""
        if self._state is _HEAD or (self._state is _BODY and self._writer.phase is Phase.NONE):
            self._writer.send_refusal(error.status_hint, self._date, to_head=self._reader.is_head)
        error.stream_id = self._current or None
        events.append(PeerErred(error))
        if self._current:
            reason = AbortReason.LIMIT if isinstance(error, LimitExceeded) else AbortReason.PROTOCOL_ERROR
            events.append(StreamAborted(self._current, reason))
        self._close()

    # -------------------------------------------------------------------------------------- from one to the next

    def _forget_request(self) -> None:
        self._request = None
        self._current = 0
        self._unread = 0
        self._awaits_continue = False

    def _next_exchange(self) -> None:
        self._forget_request()
        if self._shutdown or (self._eof and not self._reader.held):
            self._close()
            return
        self._state = _HEAD
        times = self._timeouts
        self._wait_anew(times.header_timeout if self._reader.held else times.keep_alive_timeout)

    def _close(self) -> None:
        self._state = _CLOSED
        self._forget_request()
        self._reader.held.clear()
        self._deadline, self._rearm = None, 0.0

    def is_idle(self) -> bool:
        """True between requests."""
        return self._current == 0 or self._state is _CLOSED

    def is_closed(self) -> bool:
        """True once nothing more is read; what is queued may still have to leave."""
        return self._state is _CLOSED

    # ---------------------------------------------------------------------------------------------------------- time

    def deadline(self) -> float | None:
        """When the peer must have sent a head; ``None`` while an exchange runs: its times are the exchange's."""
        return None if self._is_held_up() else self._deadline

    def handle_deadline(self, now: float) -> list[Event]:
        """408 where a head has begun to come, else a silent end (RFC 9110 section 15.5.9)."""
        events: list[Event] = []
        self._set_now(now)
        due = self.deadline()
        if due is not None and now >= due:
            if self._state is _HEAD and self._reader.held:
                late = LimitExceeded("the request head came too slowly", limit="header_timeout", status_hint=408)
                self._fail(late, events)
            else:
                self._close()
        return events

    def _set_now(self, now: float) -> None:
        self._now = now
        if self._rearm:
            self._deadline = now + self._rearm
            self._rearm = 0.0

    def _wait_anew(self, seconds: float) -> None:
        self._deadline = self._now + seconds
        self._rearm = seconds
