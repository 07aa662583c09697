"""A WebSocket between a test and an application in this process.

Rules of this module: messages to the application queue up, messages from it are handed over one by one, so that its
``send()`` returns when the test has received. The order and shape of what it sends are checked.
"""

from __future__ import annotations

import json as json_module
from collections import deque
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio
from anyio.from_thread import BlockingPortal
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from tricorn.headers import Headers
from tricorn.testing.exchange import Head, says_disconnected, time_limit
from tricorn.testing.messages import ASGIViolation, Phase, WebSocketChecker
from tricorn.testing.response import Response
from tricorn.types import ASGIApp, Message, Scope
from tricorn_transports.errors import ClientDisconnected


class WebSocketDenied(Exception):
    """The application refused the handshake.

    Attributes:
        response: Its HTTP response; 403 without content when it only closed.
    """

    def __init__(self, response: Response) -> None:
        super().__init__(f"the WebSocket was refused with status {response.status}")
        self.response = response


class WebSocketClosed(Exception):
    """The application has closed the WebSocket.

    Attributes:
        code: The close code; 1006 when the application ended without closing.
        reason: What it gave as the reason.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"closed with {code}" + (f": {reason}" if reason else ""))
        self.code = code
        self.reason = reason


class AsyncWebSocket:
    """The test's end of a WebSocket.

    Attributes:
        subprotocol: What the application chose, or ``None``.
        headers: The fields that it accepted with.
        close_code: Set once one of both sides has closed.
    """

    def __init__(
        self, app: ASGIApp, scope: Scope, *, url: str, timeout: float | None, raise_app_exceptions: bool
    ) -> None:
        self._app = app
        self._scope = scope
        self._url = url
        self._timeout = timeout
        self._raise = raise_app_exceptions
        self._checker = WebSocketChecker(scope["subprotocols"], scope["extensions"])
        self._is_gone = False
        self._to_app: deque[Message] = deque([{"type": "websocket.connect"}])
        self._wake_app = anyio.Event()
        self._give: MemoryObjectSendStream[Message]
        self._take: MemoryObjectReceiveStream[Message]
        self._give, self._take = anyio.create_memory_object_stream[Message](0)
        self._answered = anyio.Event()
        self._finished = anyio.Event()
        self._task_scope = anyio.CancelScope()
        self._error: Exception | None = None
        self._violation: ASGIViolation | None = None
        self._denial = Head()
        self._denial_body = b""
        self._is_told = False
        self._accepted = False
        self._closed_by_app = False
        self.subprotocol: str | None = None
        self.headers: Headers = Headers()
        self.close_code: int | None = None
        self.close_reason = ""

    # ------------------------------------------------------------------------------ the application's side

    async def run(self) -> None:
        """The application's task. Never raises an ``Exception``."""
        with self._task_scope:
            try:
                await self._app(self._scope, self._receive, self._send)
            except Exception as error:  # noqa: BLE001 - kept, and raised where the test waits
                self._error = error
        self._give.close()
        self._finished.set()
        self._answered.set()

    async def _receive(self) -> Message:
        while not self._to_app:
            if self._wake_app.is_set():
                self._wake_app = anyio.Event()
            await self._wake_app.wait()
        message = self._to_app[0]
        if message["type"] != "websocket.disconnect":  # which every further receive() returns again
            self._to_app.popleft()
        return message

    def _tell_app(self, message: Message) -> None:
        self._to_app.append(message)
        self._wake_app.set()

    async def _send(self, message: Message) -> None:
        if self._is_gone:
            raise ClientDisconnected("the client has gone away")
        try:
            self._checker.check(message)
        except ASGIViolation as violation:
            self._violation = self._violation or violation
            raise
        kind = message["type"]
        if kind == "websocket.accept":
            self._accepted = True
            self.subprotocol = message.get("subprotocol")
            self.headers = Headers([(name, value) for name, value in message.get("headers", ())])
            self._answered.set()
        elif kind == "websocket.send":
            try:
                await self._give.send(message)
            except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                raise ClientDisconnected("the client has gone away") from None
        elif kind == "websocket.close":
            self.close_code, self.close_reason = message.get("code", 1000), message.get("reason") or ""
            self._closed_by_app = True
            if not self._accepted:
                self._denial.status = 403
                self._answered.set()
            self._give.close()
            self._tell_app({"type": "websocket.disconnect", "code": self.close_code, "reason": self.close_reason})
        elif kind == "websocket.http.response.start":
            self._denial.status = message["status"]
            self._denial.headers = [(name, value) for name, value in message.get("headers", ())]
        else:
            self._denial_body += message.get("body", b"")
            if self._checker.phase is Phase.DONE:
                self._closed_by_app = True
                self._answered.set()
                self._tell_app({"type": "websocket.disconnect", "code": 1006})

    # --------------------------------------------------------------------------------------- the test's side

    async def connect(self) -> None:
        """Waits for the application's answer to the handshake.

        Raises:
            WebSocketDenied: It refused.
            Exception: What the application raised instead.
        """
        with time_limit(self._timeout, "the application did not answer the WebSocket handshake"):
            await self._answered.wait()
        if self._accepted:
            return
        if self._checker.phase is not Phase.DONE:
            self._check()
            self._denial = Head(status=500)  # what a server says in the application's place
        await self.finish()
        http_version = self._scope["http_version"]
        raise WebSocketDenied(Response(self._denial, self._url, http_version, [], self._denial_body))

    def _check(self) -> None:
        """Raises, once, what makes the connection a failure for the test."""
        failure: Exception | None = self._violation
        if failure is None and self._error is not None:
            failure = self._error if self._raise else None
        elif failure is None and self._checker.phase in (Phase.CONNECTING, Phase.DENYING) and not self._is_gone:
            failure = ASGIViolation("the application returned without answering the WebSocket handshake")
        if failure is not None and not self._is_told:
            self._is_told = True
            raise failure

    async def receive(self) -> str | bytes:
        """The next message, text or binary.

        Raises:
            WebSocketClosed: The application has closed, or ended.
            TimeoutError: None came in time.
        """
        try:
            with time_limit(self._timeout, "no WebSocket message came"):
                message = await self._take.receive()
        except (anyio.EndOfStream, anyio.ClosedResourceError):
            if self.close_code is None:
                await self._finished.wait()
                self._check()
                self.close_code = 1006
            raise WebSocketClosed(self.close_code, self.close_reason) from self._error
        text: str | None = message.get("text")
        return text if text is not None else bytes(message["bytes"])

    async def receive_text(self) -> str:
        """The next message, which must be text (``AssertionError`` otherwise)."""
        message = await self.receive()
        assert isinstance(message, str), f"a binary message came, not text: {message!r}"
        return message

    async def receive_bytes(self) -> bytes:
        """The next message, which must be binary (``AssertionError`` otherwise)."""
        message = await self.receive()
        assert isinstance(message, bytes), f"a text message came, not a binary one: {message!r}"
        return message

    async def receive_json(self) -> Any:
        """The next message, text or binary, as JSON; ``Any``, because a test knows what it expects."""
        return json_module.loads(await self.receive())

    async def __aiter__(self) -> AsyncIterator[str | bytes]:
        """The messages until the application closes with 1000 or 1001; another code is raised."""
        while True:
            try:
                message = await self.receive()
            except WebSocketClosed as closed:
                if closed.code in (1000, 1001):
                    return
                raise
            yield message

    def send(self, message: str | bytes) -> None:
        """Sends a text or a binary message. It queues up until the application receives it.

        Raises:
            WebSocketClosed: One of both sides has closed.
        """
        if self.close_code is not None:
            raise WebSocketClosed(self.close_code, self.close_reason)
        binary = isinstance(message, bytes)
        self._tell_app({"type": "websocket.receive", "bytes" if binary else "text": message})

    def send_json(self, value: object) -> None:
        """Sends JSON as a text message."""
        self.send(json_module.dumps(value, ensure_ascii=False, separators=(",", ":")))

    def close(self, code: int = 1000, reason: str = "") -> None:
        """The test closes: the application gets ``websocket.disconnect``, and its ``send()`` an ``OSError``."""
        if self.close_code is None:
            self.close_code, self.close_reason = code, reason
            self._tell_app({"type": "websocket.disconnect", "code": code, "reason": reason})
        if not self._closed_by_app:
            self._is_gone = True
        self._take.close()

    async def finish(self) -> None:
        """Closes with 1000 and lets the application end.

        Raises:
            Exception: What the application raised.
            TimeoutError: It went on for too long; it has been cancelled.
        """
        self.close()
        try:
            with time_limit(self._timeout, "the application did not end after its WebSocket was closed"):
                await self._finished.wait()
        except TimeoutError:
            self._task_scope.cancel()
            raise
        if not says_disconnected(self._error):
            self._check()


class WebSocket:
    """``AsyncWebSocket`` for a test without an event loop."""

    def __init__(self, inner: AsyncWebSocket, portal: BlockingPortal) -> None:
        self._inner = inner
        self._portal = portal
        self.subprotocol: str | None = inner.subprotocol
        self.headers: Headers = inner.headers

    @property
    def close_code(self) -> int | None:
        """Set once one of both sides has closed."""
        return self._inner.close_code

    def receive(self) -> str | bytes:
        """See ``AsyncWebSocket.receive``."""
        return self._portal.call(self._inner.receive)

    def receive_text(self) -> str:
        """See ``AsyncWebSocket.receive_text``."""
        return self._portal.call(self._inner.receive_text)

    def receive_bytes(self) -> bytes:
        """See ``AsyncWebSocket.receive_bytes``."""
        return self._portal.call(self._inner.receive_bytes)

    def receive_json(self) -> Any:
        """See ``AsyncWebSocket.receive_json``."""
        return self._portal.call(self._inner.receive_json)

    def __iter__(self) -> Iterator[str | bytes]:
        """See ``AsyncWebSocket.__aiter__``."""
        messages = self._inner.__aiter__()
        while (message := self._portal.call(_next_message, messages)) is not None:
            yield message

    def send(self, message: str | bytes) -> None:
        """See ``AsyncWebSocket.send``."""
        self._portal.call(self._inner.send, message)

    def send_json(self, value: object) -> None:
        """See ``AsyncWebSocket.send_json``."""
        self._portal.call(self._inner.send_json, value)

    def close(self, code: int = 1000, reason: str = "") -> None:
        """See ``AsyncWebSocket.close``."""
        self._portal.call(self._inner.close, code, reason)


async def _next_message(messages: AsyncIterator[str | bytes]) -> str | bytes | None:
    return await anext(messages, None)
