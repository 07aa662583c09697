"""HTTP/1.1 (RFC 9112) without its parser: requests in turn, responses, tunnels, and the connection's end.

What a head means and which limits hold stands in ``h1_reader`` and ``h1_head``, what is sent in ``h1_response``; here
stands when the next request may begin and whether the connection lives on.

Rules of this module:

- The states of the reading side; nothing is parsed in ENDED, so requests behind the running one just wait::

      HEAD --head with a body--> BODY --its last byte--> ENDED --accept_tunnel--> TUNNEL
      HEAD --head without one--> ENDED
      ENDED --release--> HEAD      where the response is complete and the connection persists
      BODY --release--> SKIP --its last byte--> HEAD      the same, for the small rest of an unwanted body
      any --error, end of file, timeout, abort, terminate, any other release--> CLOSED

- A peer's error becomes one ``PeerErred`` in ``_fail``; nothing behind it is parsed (RFC 9112 section 11.2).
- No head is parsed while the queue of responses is full: a client that asks and asks and takes no answer waits.
- No recursion: ``release`` appends events and calls nobody; ``_advance`` is the one loop.
"""

from __future__ import annotations

from enum import Enum, auto

from tricorn_transports.abc import EngineContext, Feature, FileRegion
from tricorn_transports.engines.h1_reader import HeadParser, RequestReader
from tricorn_transports.engines.h1_response import Phase, ResponseWriter
from tricorn_transports.errors import LimitExceeded, LocalProtocolError, RemoteProtocolError
from tricorn_transports.events import (
    AbortReason,
    BodyReceived,
    Event,
    PeerErred,
    RawHeaders,
    RequestEnded,
    RequestStarted,
    SendingEnded,
    StreamAborted,
    StreamWritable,
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

_FEATURES = Feature.EARLY_HINTS | Feature.TRAILERS | Feature.TUNNEL
_FEATURES_1_0 = Feature.TUNNEL
_WITH_FILES = _FEATURES | Feature.FILES
_WITH_FILES_1_0 = _FEATURES_1_0 | Feature.FILES
#: How much of an unwanted body is read and dropped for the sake of keeping the connection.
_MAX_SKIPPED = 65_536
#: Room in a stream that is gone: nobody shall wait for it.
_GONE = 1 << 30


class Http1Engine:
    """One HTTP/1.1 connection, server side: a ``StreamEngine``.

    A request that is accepted as a tunnel was complete before (it has no body), so its ``RequestEnded`` comes right
    behind its head; a second one tells that the peer closed its side of the tunnel.

    Args:
        parse_head: The parsing library; see ``h1_reader``.
    """

    # fmt: off
    __slots__ = (
        "_awaits_continue", "_closes", "_current", "_deadline", "_eof", "_events", "_features", "_half_closes", "_last_id",
        "_limits", "_now", "_reader", "_rearm", "_request", "_sends_files", "_shutdown", "_skippable", "_state", "_timeouts",
        "_unread", "_writer",
    )
    # fmt: on

    def __init__(self, context: EngineContext, parse_head: HeadParser) -> None:
        self._limits = context.limits
        self._timeouts = context.timeouts
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
        self._features = _FEATURES
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
            return _WITH_FILES if self._features is _FEATURES else _WITH_FILES_1_0
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
        self._features = _FEATURES if started.http_version == "1.1" else _FEATURES_1_0
        self._deadline, self._rearm = None, 0.0
        self._writer.begin(stream_id)
        events.append(started)
        if head.chunked or started.content_length:
            self._awaits_continue = started.expects_continue
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
            self._writer.send_refusal(error.status_hint, to_head=self._reader.is_head)
        error.stream_id = self._current or None
        events.append(PeerErred(error))
        if self._current:
            reason = AbortReason.LIMIT if isinstance(error, LimitExceeded) else AbortReason.PROTOCOL_ERROR
            events.append(StreamAborted(self._current, reason))
        self._close()

    # ------------------------------------------------------------------------------------------ the application's side

    def take_events(self) -> list[Event]:
        """``StreamWritable``, the next pipelined request, or a tunnel's first bytes."""
        events, self._events = self._events, []
        return events

    def send_headers(self, stream_id: int, status: int, headers: RawHeaders, *, end: bool = False) -> None:
        """Sends the final response's head; ``connection: close`` is added where the connection ends with it.

        Raises:
            LocalProtocolError: A response has begun already, the status or the content-length is invalid, or a 2xx
                answers CONNECT, which only ``accept_tunnel`` may send.
        """
        request = self._request
        if stream_id != self._current or request is None:
            return
        if request.method == b"CONNECT" and 200 <= status < 300:
            raise LocalProtocolError("a 2xx to CONNECT opens a tunnel: accept it", stream_id=stream_id)
        closes = (
            self._closes
            or self._shutdown
            # The body may or may not come now: nobody could tell it from a request (RFC 9110 section 10.1.1).
            or self._awaits_continue
            or (self._eof and not self._reader.held)
        )
        to_head, is_1_0 = self._reader.is_head, self._features is _FEATURES_1_0
        try:
            self._closes = self._writer.send_head(
                status, headers, to_head=to_head, http_1_0=is_1_0, closes=closes, end=end
            )
        except LocalProtocolError:
            self._end_if_truncated(end)
            raise

    def send_informational(self, stream_id: int, status: int, headers: RawHeaders) -> None:
        """Sends 100 (only while the client waits for it) or another interim response; nothing to HTTP/1.0 clients.

        Raises:
            LocalProtocolError: The final response has begun, or the status is 101 or no interim one.
        """
        if stream_id != self._current or self._features is _FEATURES_1_0:
            return
        if status == 100:
            if not self._awaits_continue:
                return
            self._awaits_continue = False
        self._writer.send_interim(status, headers)

    def send_data(self, stream_id: int, data: bytes, *, end: bool = False) -> None:
        """Queues a part of the body; bytes of a tunnel go as they are.

        Raises:
            LocalProtocolError: No response is under way, or the body does not have its content-length. One that
                ends too short ends its connection too, so that the client can see it.
        """
        if stream_id != self._current:
            return
        if self._state is _TUNNEL:
            self._send_raw(data, end)
            return
        try:
            self._writer.send_body(data, end)
        except LocalProtocolError:
            self._end_if_truncated(end)
            raise

    def send_file(self, stream_id: int, region: FileRegion) -> None:
        """Queues a part of the body that the connection takes from a file.

        Raises:
            LocalProtocolError: No response is under way, or the body does not have its content-length.
        """
        if stream_id == self._current:
            self._writer.send_file(region)

    def send_trailers(self, stream_id: int, trailers: RawHeaders) -> None:
        """Ends a chunked response with ``trailers``; any other response just ends.

        Raises:
            LocalProtocolError: No response is under way, or its body is too short: that ends the connection.
        """
        if stream_id != self._current:
            return
        try:
            self._writer.send_trailers(trailers)
        except LocalProtocolError:
            self._end_if_truncated(True)
            raise

    def _end_if_truncated(self, ended: bool) -> None:
        if ended and self._writer.phase is Phase.BEGUN:
            self._close()

    def accept_tunnel(self, stream_id: int, headers: RawHeaders) -> None:
        """Answers 101 with the protocol of the request's Upgrade field, or 200 to CONNECT.

        Raises:
            LocalProtocolError: The request asks for no tunnel, or a response has begun.
        """
        request = self._request
        if stream_id != self._current or request is None:
            return
        if request.method == b"CONNECT":
            self._writer.send_switch(200, headers)
        elif request.protocol is not None:
            own = [field for field in headers if field[0] not in (b"upgrade", b"connection")]
            self._writer.send_switch(101, [(b"upgrade", request.protocol), (b"connection", b"upgrade"), *own])
        else:
            raise LocalProtocolError("the request asks for no tunnel", stream_id=stream_id)
        self._state = _TUNNEL
        if held := bytes(self._reader.held):
            self._reader.held.clear()
            self._unread += len(held)
            self._events.append(BodyReceived(stream_id, held, len(held)))
        if self._eof:
            self._events.append(RequestEnded(stream_id))

    def _send_raw(self, data: bytes, end: bool) -> None:
        if self._writer.phase is not Phase.BEGUN:
            raise LocalProtocolError("our side of the tunnel is closed", stream_id=self._current)
        if data:
            self._writer.queue(data)
        if end:
            self._writer.finish_switch()
            self._half_closes = True

    def push(self, stream_id: int, path: bytes, headers: RawHeaders) -> RequestStarted | None:
        """HTTP/1.1 has no push."""
        return None

    def set_priority(self, stream_id: int, urgency: int, incremental: bool) -> None:
        """Does nothing: responses leave in the order of their requests."""

    def sendable(self, stream_id: int) -> int:
        """Room in the one queue; what earlier responses left in it counts, because it must leave first."""
        return self._writer.room() if stream_id == self._current else _GONE

    def consumed(self, stream_id: int, credit: int) -> None:
        """The application has read ``credit`` bytes of the body."""
        if stream_id == self._current:
            self._unread -= credit

    def abort(self, stream_id: int, reason: AbortReason) -> None:
        """Ends the connection; a response that is not complete stays without its end on the wire."""
        if stream_id == self._current:
            self._close()

    def release(self, stream_id: int) -> None:
        """The exchange is over: the next request may begin, or the connection ends.

        It ends where the response is not complete (the client must see that), where either side said so, and where
        more than 64 KiB of an unwanted body would have to be read.
        """
        if stream_id != self._current or not stream_id:
            return
        if self._writer.phase is not Phase.DONE or self._closes or self._shutdown or self._state is _TUNNEL:
            self._close()
        elif self._state is _ENDED:
            self._next_exchange()
            self._advance(self._events)
        elif self._reader.left > _MAX_SKIPPED:
            self._close()
        else:
            self._forget_request()
            self._state = _SKIP
            self._skippable = _MAX_SKIPPED
            self._wait_anew(self._timeouts.keep_alive_timeout)

    def begin_shutdown(self) -> None:
        """A kept-alive connection that is idle ends now, any other with the response to its request.

        One that has asked nothing yet was opened to ask something: its first request is still answered.
        """
        self._shutdown = True
        if self._state is _SKIP or (self._state is _HEAD and self._last_id > 0 and not self._reader.held):
            self._close()

    def terminate(self, reason: AbortReason) -> None:
        """Ends the connection now; what was queued is dropped. HTTP/1.1 has no last word."""
        self._writer.clear()
        self._events = []
        self._close()

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

    # ----------------------------------------------------------------------------------------------- output and time

    def data_to_send(self, now: float) -> list[bytes | FileRegion]:
        """The next output, at most some 256 KiB of bytes, or up to a file."""
        self._set_now(now)
        writer = self._writer
        out = writer.drain()
        if self._half_closes and not writer.queued:
            self._half_closes = False
            if self._state is _TUNNEL:
                self._events.append(SendingEnded(self._current))
        if writer.has_room_again():
            if self._current:
                self._events.append(StreamWritable(self._current))
            elif self._reader.held:
                self._deadline = now + self._timeouts.header_timeout
                self._advance(self._events)
        return out

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
