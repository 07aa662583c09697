"""A WebSocket client: wsproto's frames over the tunnel of any of the clients."""

from __future__ import annotations

from base64 import b64encode
from collections import deque

from wire_clients.base import Client, Headers, Response
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, Message, Ping, Pong, TextMessage


class WebSocket:
    """One WebSocket.

    Attributes:
        response: The handshake's answer: 101 (200 on HTTP/2 and 3), or the refusal.
    """

    def __init__(self, client: Client, path: str = "/", headers: Headers | None = None) -> None:
        self.client = client
        fields = [(b"sec-websocket-version", b"13"), *(headers or [])]
        if client.version == "1":
            key = b64encode(b"0123456789abcdef")
            fields += [(b"upgrade", b"websocket"), (b"connection", b"Upgrade"), (b"sec-websocket-key", key)]
            self.stream = client.open("GET", path, fields)
        else:
            self.stream = client.open("CONNECT", path, fields, end=False, protocol=b"websocket")
        self.response: Response = client.responses[self.stream]
        self.frames = Connection(ConnectionType.CLIENT)
        self._events: deque[Event] = deque()
        client.wait(lambda: self.response.status or self.response.over, "the handshake's answer")

    @property
    def accepted(self) -> bool:
        return self.response.status == (101 if self.client.version == "1" else 200)

    def send(self, event: Event) -> None:
        self.send_bytes(self.frames.send(event))

    def send_bytes(self, data: bytes) -> None:
        self.client.send_raw(self.stream, data)

    def event(self) -> Event:
        """The next event; fragments come as they are. The tunnel's end without a close frame is ``None``'s error."""
        self.client.wait(self._pump, "a frame")
        return self._events.popleft()

    def _pump(self) -> bool:
        body = self.response.body
        if body:
            self.frames.receive_data(bytes(body))
            body.clear()
            self._events.extend(self.frames.events())
        assert self._events or not self.response.over, "the tunnel ended"
        return bool(self._events)

    def message(self) -> str | bytes:
        """The next whole message."""
        whole: str | bytes | None = None
        while True:
            event = self.event()
            assert isinstance(event, Message), event
            whole = event.data if whole is None else whole + event.data
            if event.message_finished:
                return whole

    def closed(self) -> tuple[int, str | None]:
        """Waits for the server's close frame and answers it."""
        event = self.event()
        assert isinstance(event, CloseConnection), event
        if self.frames.state.name == "REMOTE_CLOSING" and not self.response.over:
            self.send(event.response())
        return int(event.code), event.reason

    def text(self, data: str) -> None:
        self.send(TextMessage(data))

    def binary(self, data: bytes) -> None:
        self.send(BytesMessage(data))

    def ping(self, payload: bytes) -> None:
        self.send(Ping(payload))

    def pong(self) -> bytes:
        event = self.event()
        assert isinstance(event, Pong), event
        return bytes(event.payload)

    def close(self, code: int = 1000, reason: str | None = None) -> None:
        self.send(CloseConnection(code, reason))
