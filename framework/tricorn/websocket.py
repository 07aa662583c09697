"""The WebSocket as a handler sees it (ASGI WebSocket specification 2.5, RFC 6455).

Rules of this module: two small state machines, one for what comes in and one for what goes out; what breaks them is
the handler's error, a ``RuntimeError``. The other side's close is ``WebSocketDisconnect``, from whichever call
notices it first.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from enum import Enum, auto
from typing import Any

from tricorn.connection import Connection
from tricorn.exceptions import ClientDisconnect, WebSocketDisconnect
from tricorn.headers import HeadersInit, encode_headers
from tricorn.json_codec import InvalidJSON, decode_json, encode_json
from tricorn.response.base import PlainTextResponse, Response
from tricorn.response.denial import refuse
from tricorn.types import Message, Receive, Scope, Send


class _State(Enum):
    CONNECTING = auto()
    OPEN = auto()
    CLOSED = auto()


class WebSocket(Connection):
    """One WebSocket.

    Args:
        scope: An ASGI ``websocket`` scope.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        super().__init__(scope)
        self._receive = receive
        self._send = send
        self._state = _State.CONNECTING
        self._connected = False
        self._disconnect: WebSocketDisconnect | None = None
        self._subprotocol: str | None = None

    @property
    def subprotocols(self) -> Sequence[str]:
        """What the client offers, in its order of preference."""
        return tuple(self.scope.get("subprotocols", ()))

    @property
    def subprotocol(self) -> str | None:
        """What was accepted."""
        return self._subprotocol

    @property
    def is_accepted(self) -> bool:
        """Whether the handshake was answered (the WebSocket may be closed by now)."""
        return self._state is not _State.CONNECTING

    async def accept(self, subprotocol: str | None = None, headers: HeadersInit = ()) -> None:
        """Answers the handshake.

        Args:
            subprotocol: One of those that the client offers.
            headers: More fields for the response.

        Raises:
            RuntimeError: It was answered before.
            ValueError: The client did not offer this subprotocol (RFC 6455 section 4.1 has it fail the connection).
            WebSocketDisconnect: The client is gone already.
        """
        if self._state is not _State.CONNECTING:
            raise RuntimeError("the WebSocket's handshake has been answered already")
        if subprotocol is not None and subprotocol not in self.subprotocols:
            raise ValueError(f"the client does not offer the subprotocol {subprotocol!r}")
        fields = encode_headers(headers)
        await self._connect()
        self._state = _State.OPEN
        self._subprotocol = subprotocol
        await self._transmit({"type": "websocket.accept", "subprotocol": subprotocol, "headers": fields})

    async def receive(self) -> str | bytes:
        """The next message: ``str`` for a text message, ``bytes`` for a binary one.

        Raises:
            WebSocketDisconnect: The other side closed it, or the connection broke.
            RuntimeError: It was not accepted.
        """
        if self._disconnect is not None:
            raise self._disconnect
        if self._state is _State.CONNECTING:
            raise RuntimeError("the WebSocket was not accepted")
        message = await self._receive()
        if message["type"] == "websocket.disconnect":
            raise self._gone(message.get("code"), message.get("reason"))
        text = message.get("text")
        return text if text is not None else bytes(message["bytes"])

    async def receive_text(self) -> str:
        """The next message, as text.

        Raises:
            WebSocketDisconnect: As ``receive``; 1003 after a binary message, which closes the WebSocket.
        """
        data = await self.receive()
        if isinstance(data, bytes):
            raise await self._refuse(1003, "text is expected here")
        return data

    async def receive_bytes(self) -> bytes:
        """The next message, as bytes.

        Raises:
            WebSocketDisconnect: As ``receive``; 1003 after a text message, which closes the WebSocket.
        """
        data = await self.receive()
        if isinstance(data, str):
            raise await self._refuse(1003, "bytes are expected here")
        return data

    async def receive_json(self) -> Any:
        """The next message, text or binary, read as JSON.

        Raises:
            WebSocketDisconnect: As ``receive``; 1007 after what is not JSON, which closes the WebSocket.
        """
        data = await self.receive()
        try:
            return decode_json(data)
        except InvalidJSON:
            raise await self._refuse(1007, "JSON is expected here") from None

    async def iter_text(self) -> AsyncIterator[str]:
        """Text messages until the other side closes the WebSocket."""
        try:
            while True:
                yield await self.receive_text()
        except WebSocketDisconnect:
            return

    async def iter_bytes(self) -> AsyncIterator[bytes]:
        """Binary messages until the other side closes the WebSocket."""
        try:
            while True:
                yield await self.receive_bytes()
        except WebSocketDisconnect:
            return

    async def iter_json(self) -> AsyncIterator[Any]:
        """JSON messages until the other side closes the WebSocket."""
        try:
            while True:
                yield await self.receive_json()
        except WebSocketDisconnect:
            return

    async def send_text(self, text: str) -> None:
        """Sends a text message.

        Raises:
            WebSocketDisconnect: The other side is gone.
            RuntimeError: The WebSocket is not open.
        """
        await self._send_open({"type": "websocket.send", "text": text})

    async def send_bytes(self, data: bytes) -> None:
        """Sends a binary message. Raises as ``send_text``."""
        await self._send_open({"type": "websocket.send", "bytes": data})

    async def send_json(self, value: object) -> None:
        """Sends a value as a text message of JSON, by the application's encoder. Raises as ``send_text``."""
        encoder = getattr(self.scope.get("app"), "json_encoder", None) or encode_json
        text = encoder(value)
        await self.send_text(text.decode() if isinstance(text, bytes) else text)

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Closes the WebSocket; before ``accept`` it refuses the handshake with 403.

        Raises:
            RuntimeError: It was closed before.
        """
        if self._state is _State.CLOSED:
            raise RuntimeError("the WebSocket has been closed already")
        if self._state is _State.CONNECTING:
            await self._connect()
        self._state = _State.CLOSED
        if self._disconnect is None:
            await self._transmit({"type": "websocket.close", "code": code, "reason": reason})

    async def close_quietly(self, code: int) -> None:
        """Closes it if it is open still; the other side may be gone."""
        if self._state is not _State.CLOSED:
            try:
                await self.close(code)
            except WebSocketDisconnect:
                return

    async def deny(self, response: Response | None = None) -> None:
        """Refuses the handshake with an HTTP response; with 403 on servers that can send no other.

        Args:
            response: ``None`` is a plain 403.

        Raises:
            RuntimeError: The handshake was answered before.
        """
        if self._state is not _State.CONNECTING:
            raise RuntimeError("the WebSocket's handshake has been answered already")
        if "websocket.http.response" not in (self.scope.get("extensions") or {}):
            await self.close_quietly(1008)
            return
        await self._connect()
        self._state = _State.CLOSED
        await refuse(response or PlainTextResponse("403 Forbidden", 403), self.scope, self._receive, self._send)

    # ---------------------------------------------------------------------------------------------------------------

    async def _connect(self) -> None:
        if not self._connected:
            message = await self._receive()
            if message["type"] == "websocket.disconnect":
                self._state = _State.CLOSED
                raise self._gone(message.get("code"), message.get("reason"))
            self._connected = True

    async def _send_open(self, message: Message) -> None:
        if self._disconnect is not None:
            raise self._disconnect
        if self._state is not _State.OPEN:
            raise RuntimeError("the WebSocket is not open")
        await self._transmit(message)

    async def _transmit(self, message: Message) -> None:
        try:
            await self._send(message)
        except (OSError, ClientDisconnect) as error:  # ASGI 2.4: the other side is gone
            raise self._gone(1006, "") from error

    async def _refuse(self, code: int, reason: str) -> WebSocketDisconnect:
        self._state = _State.CLOSED
        self._disconnect = WebSocketDisconnect(code, reason)
        await self._transmit({"type": "websocket.close", "code": code, "reason": reason})
        return self._disconnect

    def _gone(self, code: int | None, reason: str | None) -> WebSocketDisconnect:
        self._disconnect = WebSocketDisconnect(1005 if code is None else code, reason or "")
        return self._disconnect
