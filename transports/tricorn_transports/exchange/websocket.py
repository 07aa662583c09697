"""One WebSocket bound to one call of the application, over any engine's byte tunnel.

Rules of this module: as in ``http``, and: inbound credit goes back whenever no whole message waits for the
application, so that a client is held back by an application that does not read, and a message larger than the window
still arrives (bounded by ``max_websocket_message_bytes``). Frames are read only while the messages that wait are few
(``stream_receive_buffer``) and the connection's ``Pool`` allows it: what is not read is compressed still.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from enum import Enum, auto
from math import inf

from tricorn_transports.abc import Message
from tricorn_transports.errors import ClientDisconnected, ConfigError, LocalProtocolError
from tricorn_transports.events import AbortReason, RawHeaders, RequestStarted
from tricorn_transports.exchange.base import APPLICATION_ERRORS, StreamExchange, wake
from tricorn_transports.exchange.head import body_bytes, current_date, response_head, switching_fields
from tricorn_transports.exchange.host import Host, log
from tricorn_transports.exchange.scope import websocket_scope
from tricorn_transports.websocket.frames import (
    CloseReceived,
    FrameError,
    Frames,
    MessageReceived,
)
from tricorn_transports.websocket.handshake import Handshake, HandshakeError

_GOING_AWAY = 1001
_NO_STATUS = 1005
_ABNORMAL = 1006
_INTERNAL_ERROR = 1011


class State(Enum):
    CONNECTING = auto()
    """The application has neither accepted nor refused."""
    DENYING = auto()
    """The application answers with an HTTP response instead."""
    OPEN = auto()
    CLOSING = auto()
    """Our close frame is out, the client's is awaited."""
    CLOSED = auto()


#: Where frames are read.
_SPEAKING = (State.OPEN, State.CLOSING)
#: What a message takes beside its own bytes: empty ones cost too.
_MESSAGE_OVERHEAD = 64

ALLOWED = {
    State.CONNECTING: ("websocket.accept", "websocket.close", "websocket.http.response.start"),
    State.DENYING: ("websocket.http.response.body",),
    State.OPEN: ("websocket.send", "websocket.close"),
}


class WebSocketExchange(StreamExchange):
    """Implements ``Exchange`` for WebSockets."""

    __slots__ = (
        "_disconnect",
        "_early",
        "_ended_early",
        "_frames",
        "_handshake",
        "_head",
        "_heard",
        "_inbox",
        "_inbox_size",
        "_is_reading",
        "_pinged",
        "_quiet_until",
        "_room",
        "_stalls_at",
        "_state",
        "_was_connected",
    )

    def __init__(self, host: Host, request: RequestStarted) -> None:
        super().__init__(host, request)
        self._state = State.CONNECTING
        self._handshake: Handshake | None = None
        self._frames: Frames | None = None
        # What came before the application's answer: HTTP/2 and 3 let a client send at once.
        self._early: list[bytes] = []
        self._ended_early = False
        self._inbox: deque[str | bytes] = deque()
        self._inbox_size = 0
        self._is_reading = False
        self._was_connected = False
        self._disconnect: Message | None = None
        self._heard = False
        self._pinged = False
        self._quiet_until = inf  # when silence is looked into, or the closing handshake given up
        self._stalls_at = inf  # when a send() that waits is given up
        self._room = 0
        self._head: tuple[int, RawHeaders] | None = None

    # ----------------------------------------------------------------------------------- what the connection calls

    def body_received(self, data: bytes, credit: int) -> None:
        self._credit += credit
        self._heard = True
        if self._frames is not None and self._state in _SPEAKING:
            self._frames.feed(data)
            self.read_on()
        elif self._state is State.CONNECTING:
            self._early.append(data)
        else:
            self._return_credit()

    def read_on(self) -> None:
        """Reads frames as far as there is room for what they bring."""
        frames, pool = self._frames, self._host.pool
        if frames is None or self._is_reading:
            return
        self._is_reading = True
        limit = self._host.worker.limits.stream_receive_buffer
        events = frames.events()
        is_drained = False
        while (
            self._state is State.CLOSING or (self._state is State.OPEN and self._inbox_size < limit)
        ) and pool.may_read(self):
            try:
                event = next(events)
            except StopIteration:
                is_drained = True
                break
            if isinstance(event, MessageReceived):
                if self._state is State.OPEN:
                    self._inbox.append(event.data)
                    self._inbox_size += len(event.data) + _MESSAGE_OVERHEAD
            elif isinstance(event, CloseReceived):
                self._peer_closed(event.code, event.reason)
            elif isinstance(event, FrameError):
                self._peer_erred(event)
            self._hold()
        self._is_reading = False
        if is_drained:
            self._hold()  # it may have had its turn for nothing
        if self._engine.sendable(self.stream_id) > 0:  # else the pong waits: nobody takes anything
            self._send_frames()
        if is_drained and (not self._inbox or self._state is State.CLOSING):
            self._return_credit()
        if is_drained and self._ended_early:
            self._end(_ABNORMAL, "")
        wake(self._receivers)

    def _hold(self) -> None:
        """Tells the pool how much is held here."""
        if self._frames is not None and self._state in _SPEAKING:
            self._host.pool.holds(self, self._inbox_size + self._frames.held)

    def request_ended(self, trailers: RawHeaders | None) -> None:
        """The client closed its side of the tunnel: without a close frame, that is abnormal (RFC 6455 7.1.5)."""
        if self._frames is not None or not self._request.http_version.startswith("1"):
            # (An Upgrade's request ends before its tunnel begins.) What was not read yet comes first.
            self._ended_early = True
            self.read_on()

    def aborted(self) -> None:
        self._end(_ABNORMAL, "", gone=True)

    def peer_left(self) -> None:
        """A WebSocket's client that closed its sending side cannot close the WebSocket properly any more."""
        self._end(_ABNORMAL, "")

    def writable(self) -> None:
        if self._state is State.OPEN:
            self._send_frames()
        wake(self._senders)

    def begin_shutdown(self) -> None:
        """The server drains: clients are told to go and come back (RFC 6455 section 7.4.1)."""
        if self._state is State.OPEN:
            self._close(_GOING_AWAY, "")

    def handle_deadline(self, now: float) -> None:
        if now < self.deadline:
            return
        self.deadline = inf
        if now >= self._stalls_at:
            self._look_at_stall(now)
        if now >= self._quiet_until:
            self._quiet_until = inf
            self._look_at_silence(now)
        if self._state is not State.CLOSED:
            self._wait_until(min(self._quiet_until, self._stalls_at))

    def _look_at_stall(self, now: float) -> None:
        room = self._engine.sendable(self.stream_id)
        if room > self._room or self._host.is_held_up():  # slow, but it moves, or is not this one's affair
            self._room = room
            self._stalls_at = now + self._host.worker.timeouts.write_timeout
        else:
            self._breach("the WebSocket's client takes nothing", "write_timeout", 408)
            self._give_up()

    def _look_at_silence(self, now: float) -> None:
        timeouts = self._host.worker.timeouts
        if self._state is State.CLOSING:
            self._end(_ABNORMAL, "")
        elif self._state is State.OPEN and self._frames is not None:
            if self._heard or self._credit:  # a client that is held back could not answer
                self._heard = self._pinged = False
                self._quiet_until = now + timeouts.websocket_ping_interval
            elif self._pinged:
                self._breach("the WebSocket's client answers no ping", "websocket_ping_timeout", 408)
                self._give_up()
            else:
                self._pinged = True
                self._frames.ping()
                self._send_frames()
                self._quiet_until = now + timeouts.websocket_ping_timeout

    def _give_up(self) -> None:
        self._engine.abort(self.stream_id, AbortReason.TIMEOUT)
        self._end(_ABNORMAL, "", gone=True)

    def _watch(self, when: float) -> None:
        """Looks into silence at ``when``."""
        self._quiet_until = when
        self._wait_until(min(when, self._stalls_at))

    # ------------------------------------------------------------------------------------------------- the ASGI call

    async def run(self) -> None:
        worker = self._host.worker
        worker.running.add(self)
        try:
            try:
                self._handshake = handshake = Handshake.read(self._request)
                Frames.require()
            except HandshakeError as error:
                self._refuse(error.status, error.headers, f"{error}\n".encode())
                return
            except ConfigError as error:
                log.error("%s: %s", self._describe(), error)
                self._refuse(501, [], b"501 Not Implemented\n")
                return
            extensions = self._host.extensions()
            extensions = {"websocket.http.response": {}} | {k: v for k, v in extensions.items() if k == "tls"}
            scope = websocket_scope(self._host, self._request, handshake.subprotocols, extensions)
            await worker.app(scope, self.receive, self.send)
            self._application_returned()
        except BaseException as error:
            self._application_failed(error)
            if not isinstance(error, APPLICATION_ERRORS):
                raise
        finally:
            worker.running.discard(self)
            self._host.running -= 1

    async def receive(self) -> Message:
        if not self._was_connected:
            self._was_connected = True
            return {"type": "websocket.connect"}
        while True:
            if self._inbox:
                data = self._inbox.popleft()
                self._inbox_size -= len(data) + _MESSAGE_OVERHEAD
                self._hold()
                self.read_on()
                return {"type": "websocket.receive", "text" if isinstance(data, str) else "bytes": data}
            if self._disconnect is not None:
                return self._disconnect
            await self._wait(self._receivers)

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if self._disconnect is not None:
            raise ClientDisconnected("the WebSocket is closed")
        if kind not in ALLOWED.get(self._state, ()):
            wanted = " or ".join(ALLOWED.get(self._state, ("nothing more",)))
            raise LocalProtocolError(f"{kind!r} was sent where {wanted} was expected")
        if kind == "websocket.send":
            await self._send_message(message)
        elif kind == "websocket.accept":
            self._accept(message.get("subprotocol"), message.get("headers", ()))
        elif kind == "websocket.close":
            if self._state is State.CONNECTING:
                self._refuse(403, [], b"403 Forbidden\n")
            else:
                code = message.get("code")
                self._close(1000 if code is None else code, message.get("reason") or "")
        elif kind == "websocket.http.response.start":
            head = response_head(message["status"], message.get("headers", ()), self._host.alt_svc)
            self._head = (head.status, head.headers)
            self._state = State.DENYING
        else:
            await self._deny(body_bytes(message), last=not message.get("more_body", False))

    # ------------------------------------------------------------------------------------------------------ handshake

    def _accept(self, subprotocol: str | None, fields: Iterable[Iterable[bytes]]) -> None:
        assert self._handshake is not None
        timeouts, limits = self._host.worker.timeouts, self._host.worker.limits
        accepted = self._handshake.accept(subprotocol)
        headers = switching_fields(fields)
        for name, _ in headers:
            if name.startswith(b"sec-websocket-"):
                raise LocalProtocolError(f"websocket.accept: the server says {name.decode()}; choose by subprotocol")
        headers += accepted.headers
        self._frames = Frames(accepted.deflate, max_message_bytes=limits.max_websocket_message_bytes)
        self._engine.accept_tunnel(self.stream_id, headers)
        self._status = 101 if self._request.http_version.startswith("1") else 200
        self._state = State.OPEN
        if timeouts.websocket_ping_interval:
            self._watch(self._host.worker.runtime.now() + timeouts.websocket_ping_interval)
        self._frames.feed(b"".join(self._early))
        self._early.clear()
        self.read_on()
        self._host.flush()

    def _refuse(self, status: int, fields: RawHeaders, body: bytes) -> None:
        headers = [
            *fields,
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", b"%d" % len(body)),
            (b"date", current_date()),
        ]
        self._status = status
        self._engine.send_headers(self.stream_id, status, headers)
        self._engine.send_data(self.stream_id, body, end=True)
        self._sent += len(body)
        self._finish(_ABNORMAL, "")

    async def _deny(self, data: bytes, *, last: bool) -> None:
        if self._head is not None:
            (self._status, headers), self._head = self._head, None
            if last and all(name != b"content-length" for name, _ in headers):
                headers.append((b"content-length", b"%d" % len(data)))
            self._engine.send_headers(self.stream_id, self._status, headers)
        self._engine.send_data(self.stream_id, data, end=last)
        self._sent += len(data)
        if last:
            self._finish(_ABNORMAL, "")
        else:
            self._host.flush()
            await self._wait_for_room()

    # --------------------------------------------------------------------------------------------------------- frames

    async def _send_message(self, message: Message) -> None:
        assert self._frames is not None
        text, data = message.get("text"), message.get("bytes")
        if (text is None) == (data is None):
            raise LocalProtocolError("websocket.send wants either text or bytes")
        if isinstance(text, str):
            self._frames.send(text)
        elif isinstance(data, bytes | bytearray | memoryview):
            self._frames.send(bytes(data))
        else:
            raise LocalProtocolError("websocket.send wants str as text and bytes as bytes")
        self._send_frames()
        await self._wait_for_room()

    def _send_frames(self) -> None:
        assert self._frames is not None
        output = self._frames.data_to_send()
        if output:
            self._sent += len(output)
            self._engine.send_data(self.stream_id, output)
            self._host.flush()

    def _close(self, code: int, reason: str) -> None:
        assert self._frames is not None
        self._frames.close(code, reason)  # first, as it may refuse the code
        self._state = State.CLOSING
        self._send_frames()
        self._disconnected(code, reason)
        self._watch(self._host.worker.runtime.now() + self._host.worker.timeouts.close_timeout)
        self.read_on()  # what waited behind unread messages may be the client's own close

    def _peer_closed(self, code: int | None, reason: str) -> None:
        """The client's close frame; ours, if it was not first, is queued by the frame layer."""
        self._send_frames()
        self._end(_NO_STATUS if code is None else code, reason)

    def _peer_erred(self, error: FrameError) -> None:
        if error.code == 1009:
            self._breach("the WebSocket message is too large", "max_websocket_message_bytes", 413)
        else:
            log.info("%s: %s", self._describe(), error.message)
        self._send_frames()
        self._end(error.code, error.message)

    # -------------------------------------------------------------------------------------------------------- endings

    def _end(self, code: int, reason: str, *, gone: bool = False) -> None:
        """The WebSocket is over; our side of the tunnel is closed unless it is gone already."""
        if self._state is State.CLOSED:
            return
        if gone:
            self._status = self._status or 499
        elif self._frames is not None:
            self._engine.send_data(self.stream_id, b"", end=True)
        else:
            self._engine.abort(self.stream_id, AbortReason.CANCELLED)
        self._finish(code, reason)

    def _finish(self, code: int, reason: str) -> None:
        self._state = State.CLOSED
        self.deadline = self._quiet_until = self._stalls_at = inf
        self._host.pool.leave(self)
        self._return_credit()
        self._engine.release(self.stream_id)
        self._disconnected(code, reason)
        self._host.exchange_over(self)
        self._log_access("WEBSOCKET", self._status)

    def _disconnected(self, code: int, reason: str) -> None:
        if self._disconnect is None:
            self._disconnect = {"type": "websocket.disconnect", "code": code, "reason": reason}
            wake(self._receivers)
            wake(self._senders)

    def _application_returned(self) -> None:
        if self._state in (State.CONNECTING, State.DENYING):
            log.error("%s: the application returned without accepting or refusing", self._describe())
            self._fail()
        elif self._state is State.OPEN:
            self._close(1000, "")

    def _application_failed(self, error: BaseException) -> None:
        self._log_failure(error)
        self._fail()

    def _fail(self) -> None:
        if self._state is State.CONNECTING or (self._state is State.DENYING and self._head is not None):
            self._refuse(500, [], b"500 Internal Server Error\n")
        elif self._state is State.DENYING:
            self._end(_ABNORMAL, "")
        elif self._state is State.OPEN:
            self._close(_INTERNAL_ERROR, "")

    # -------------------------------------------------------------------------------------------------------- helpers

    async def _wait_for_room(self) -> None:
        while (room := self._engine.sendable(self.stream_id)) <= 0 and self._disconnect is None:
            self._room = room
            self._stalls_at = self._host.worker.runtime.now() + self._host.worker.timeouts.write_timeout
            self._wait_until(min(self._quiet_until, self._stalls_at))
            try:
                await self._wait(self._senders)
            finally:
                if not self._senders:
                    self._stalls_at = inf

    def _describe(self) -> str:
        return f"WebSocket {self._request.target.decode('latin-1')}"
