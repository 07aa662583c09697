"""HTTP/1.1 (RFC 9112) without its parser: what an application may command, on top of what ``h1_input`` receives.

Rules of this module: a command for a request that is over does nothing. What is sent stands in ``h1_response``; here
stands whether the connection lives on with it, and how it becomes a tunnel. ``h1_input`` has the states.
"""

from __future__ import annotations

from tricorn_transports.abc import FileRegion
from tricorn_transports.engines.h1_input import FEATURES_1_0, Http1Input, State
from tricorn_transports.engines.h1_response import Phase
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
    StreamWritable,
)

#: How much of an unwanted body is read and dropped for the sake of keeping the connection.
_MAX_SKIPPED = 65_536
#: Room in a stream that is gone: nobody shall wait for it.
_GONE = 1 << 30


class Http1Engine(Http1Input):
    """One HTTP/1.1 connection, server side: a ``StreamEngine``.

    A request that is accepted as a tunnel was complete before (it has no body), so its ``RequestEnded`` comes right
    behind its head; a second one tells that the peer closed its side of the tunnel.

    Args:
        parse_head: The parsing library; see ``h1_reader``.
    """

    __slots__ = ()

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
            or self._will_leave_body(headers, end)
        )
        to_head, is_1_0 = self._reader.is_head, self._features is FEATURES_1_0
        try:
            self._closes = self._writer.send_head(
                status, headers, to_head=to_head, http_1_0=is_1_0, closes=closes, end=end
            )
        except LocalProtocolError:
            self._end_if_truncated(end)
            raise

    def _will_leave_body(self, headers: RawHeaders, end: bool) -> bool:
        """A whole answer while more of the body is to come than ``release`` will skip (RFC 9112 section 9.6)."""
        return (
            self._state is State.BODY
            and self._reader.left > _MAX_SKIPPED
            and (end or any(name == b"content-length" for name, _ in headers))
        )

    def send_informational(self, stream_id: int, status: int, headers: RawHeaders) -> None:
        """Sends 100 (only while the client waits for it) or another interim response; nothing to HTTP/1.0 clients.

        Raises:
            LocalProtocolError: The final response has begun, or the status is 101 or no interim one.
        """
        if stream_id != self._current or self._features is FEATURES_1_0:
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
        if self._state is State.TUNNEL:
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
        self._state = State.TUNNEL
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
            self._break_off()

    def _break_off(self) -> None:
        if self._current and self._state is not State.TUNNEL and self._writer.ends_with_connection():
            self._events.append(ResponseBroken(self._current))
        self._close()

    def release(self, stream_id: int) -> None:
        """The exchange is over: the next request may begin, or the connection ends.

        It ends where the response is not complete (the client must see that), where either side said so, and where
        more than 64 KiB of an unwanted body would have to be read.
        """
        if stream_id != self._current or not stream_id:
            return
        if self._writer.phase is not Phase.DONE or self._closes or self._shutdown or self._state is State.TUNNEL:
            self._break_off()
        elif self._state is State.ENDED:
            self._next_exchange()
            self._advance(self._events)
        elif self._reader.left > _MAX_SKIPPED:
            self._close()
        else:
            self._forget_request()
            self._state = State.SKIP
            self._skippable = _MAX_SKIPPED
            self._wait_anew(self._timeouts.keep_alive_timeout)

    def begin_shutdown(self) -> None:
        """A kept-alive connection that is idle ends now, any other with the response to its request.

        One that has asked nothing yet was opened to ask something: its first request is still answered.
        """
        self._shutdown = True
        if self._state is State.SKIP or (self._state is State.HEAD and self._last_id > 0 and not self._reader.held):
            self._close()

    def terminate(self, reason: AbortReason) -> None:
        """Ends the connection now; what was queued is dropped. HTTP/1.1 has no last word."""
        self._writer.clear()
        self._events = []
        self._break_off()

    def data_to_send(self, now: float) -> list[bytes | FileRegion]:
        """The next output, at most some 256 KiB of bytes, or up to a file."""
        self._set_now(now)
        writer = self._writer
        out = writer.drain()
        if self._half_closes and not writer.queued:
            self._half_closes = False
            if self._state is State.TUNNEL:
                self._events.append(SendingEnded(self._current))
        if writer.has_room_again():
            if self._current:
                self._events.append(StreamWritable(self._current))
            elif self._reader.held:
                self._deadline = now + self._timeouts.header_timeout
                self._advance(self._events)
        return out
