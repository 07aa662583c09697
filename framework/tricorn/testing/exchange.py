"""One request given to an application in this process: its task, and both ends of its ``receive`` and ``send``.

Rules of this module: nothing is buffered. The application's ``send()`` of a body part returns when the test has
taken that part, and a streamed request body is pulled as the application receives it. As on a real server the
response's head is held back until the first body message. What the application raises is kept and raised where the
test waits for the answer.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from tricorn.exceptions import ClientDisconnect
from tricorn.middleware.bodies import FILE_MESSAGES, read_file_message
from tricorn.testing.content import Body
from tricorn.testing.messages import ASGIViolation, HttpChecker, Phase, RawHeaders
from tricorn.types import ASGIApp, Message, Scope
from tricorn_transports.errors import ClientDisconnected


class IncompleteResponse(Exception):
    """The response broke off before its end, as a client sees a reset stream."""


@contextmanager
def time_limit(seconds: float | None, what: str) -> Iterator[None]:
    """Lets a wait for the application take so long and no longer.

    Raises:
        TimeoutError: It took longer; ``what`` says what was waited for.
    """
    scope = anyio.CancelScope() if seconds is None else anyio.move_on_after(seconds)
    with scope:
        yield
    if scope.cancelled_caught:
        raise TimeoutError(f"{what} within {seconds:g} s")


class Disconnect:
    """``tricorn.disconnect``: who wants to be called when the client goes away."""

    def __init__(self) -> None:
        self.happened = False
        self._callbacks: list[Callable[[], object]] = []

    def register(self, callback: Callable[[], object]) -> None:
        """Calls ``callback`` once, when the client goes away or now if it is gone."""
        if self.happened:
            callback()
        else:
            self._callbacks.append(callback)

    def fire(self) -> None:
        self.happened = True
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()


@dataclass(slots=True)
class Head:
    """What the client has been told of the response so far; the lists grow while it goes on."""

    status: int = 0
    headers: RawHeaders = field(default_factory=list)
    early_hints: list[list[bytes]] = field(default_factory=list)
    pushes: list[tuple[str, RawHeaders]] = field(default_factory=list)
    trailers: RawHeaders = field(default_factory=list)


class Exchange:
    """One HTTP request and its response.

    Args:
        scope: The whole scope; ``tricorn.disconnect`` is added to its extensions.
        body: All of the request's body, or an iterator over its parts.
        trailers: The request's trailer section, or ``None`` for none.
        raise_app_exceptions: Whether an exception of the application is the test's too.
    """

    def __init__(
        self,
        app: ASGIApp,
        scope: Scope,
        body: Body,
        *,
        trailers: RawHeaders | None = None,
        raise_app_exceptions: bool = True,
    ) -> None:
        self._app = app
        self._scope = scope
        self._body = body
        self._trailers = trailers
        self._raise = raise_app_exceptions
        self._checker = HttpChecker(scope["method"], scope["extensions"])
        self._is_head = scope["method"] == "HEAD"
        self._gone = Disconnect()
        scope["extensions"]["tricorn.disconnect"] = {"register": self._register}
        self._parts_in: MemoryObjectReceiveStream[bytes] | None = None
        self._parts_out: MemoryObjectSendStream[bytes] | None = None
        self._body_given = False
        self._send_part: MemoryObjectSendStream[bytes]
        self._take_part: MemoryObjectReceiveStream[bytes]
        self._send_part, self._take_part = anyio.create_memory_object_stream[bytes](0)
        self._answered = anyio.Event()
        self._over = anyio.Event()
        self._finished = anyio.Event()
        self._task_scope = anyio.CancelScope()
        self._error: Exception | None = None
        self._body_error: Exception | None = None
        self._violation: ASGIViolation | None = None
        self._is_told = False
        self._body_begun = False
        self._substitute: bytes | None = None
        self.head: Head = Head()

    # ------------------------------------------------------------------------------ the application's side

    async def run(self) -> None:
        """The application's task. Never raises an ``Exception``."""
        with self._task_scope:
            if isinstance(self._body, bytes):
                await self._call()
            else:
                self._parts_out, self._parts_in = anyio.create_memory_object_stream[bytes](0)
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._feed, self._body, self._parts_out)
                    await self._call()
                    tasks.cancel_scope.cancel()
        self._send_part.close()
        self._finished.set()
        self._answered.set()

    async def _call(self) -> None:
        try:
            await self._app(self._scope, self._receive, self._send)
        except Exception as error:  # noqa: BLE001 - kept, and raised where the test waits
            self._error = error

    def _register(self, callback: Callable[[], object]) -> None:
        self._gone.register(callback)  # of one object with _send, by which an application knows the server's own

    async def _feed(self, parts: AsyncIterator[bytes], give: MemoryObjectSendStream[bytes]) -> None:
        try:
            async for part in parts:
                try:
                    await give.send(part)
                except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                    return
        except Exception as error:  # noqa: BLE001 - the test's own iterator failed: its request broke off
            self._body_error = error
            self.disconnect()
        finally:
            give.close()

    async def _receive(self) -> Message:
        if not self._body_given and not self._over.is_set():
            message = await self._request_message()
            if message is not None:
                return message
        await self._over.wait()
        return {"type": "http.disconnect"}

    async def _request_message(self) -> Message | None:
        message: dict[str, Any] = {"type": "http.request", "body": b"", "more_body": False}
        if isinstance(self._body, bytes):
            message["body"] = self._body
        else:
            assert self._parts_in is not None
            try:
                message["body"] = await self._parts_in.receive()
                message["more_body"] = True
            except (anyio.EndOfStream, anyio.ClosedResourceError):
                if self._gone.happened:
                    return None
        if not message["more_body"]:
            self._body_given = True
            if self._trailers is not None:
                message["trailers"] = self._trailers
        return message

    async def _send(self, message: Message) -> None:
        try:
            await self._take(message)
        except ASGIViolation as violation:
            self._violation = self._violation or violation
            raise

    async def _take(self, message: Message) -> None:
        if self._gone.happened:
            raise ClientDisconnected("the client has gone away")
        self._checker.check(message)
        kind, head = message["type"], self.head
        if kind == "http.response.start":
            head.status = message["status"]
            head.headers = [(name, value) for name, value in message.get("headers", ())]
        elif kind == "http.response.early_hint":
            head.early_hints.append(list(message.get("links", ())))
        elif kind == "http.response.push":
            head.pushes.append((message["path"], [(name, value) for name, value in message.get("headers", ())]))
        elif kind == "http.response.trailers":
            head.trailers += [(name, value) for name, value in message.get("headers", ())]
        elif kind in FILE_MESSAGES:
            await self._send_file(message)
        else:
            await self._hand_over(message.get("body", b""))
        if self._checker.phase is Phase.DONE:
            self._send_part.close()
            self._over.set()

    async def _send_file(self, message: Message) -> None:
        """``http.response.pathsend`` and ``zerocopysend``: the content in parts, as a server sends it."""
        async with aclosing(read_file_message(message)) as parts:
            async for part in parts:
                self._checker.count(len(part), last=False)
                await self._hand_over(part)
        await self._hand_over(b"")
        self._checker.count(0, last=not message.get("more_body", False))

    async def _hand_over(self, part: bytes) -> None:
        """Lets the client have a part of the body, and waits until it took it."""
        self._body_begun = True
        self._answered.set()
        if part and not self._is_head:
            try:
                await self._send_part.send(part)
            except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                raise ClientDisconnected("the client has gone away") from None

    # ------------------------------------------------------------------------------------- the client's side

    async def wait_head(self) -> None:
        """Waits until ``head`` holds the response's status and headers.

        Raises:
            Exception: What the application raised, or what was wrong with what it sent.
        """
        await self._answered.wait()
        if not self._body_begun:
            self._check()
            text = b"Internal Server Error"  # what a server says in the application's place
            self.head.status = 500
            self.head.headers = [
                (b"content-type", b"text/plain; charset=utf-8"),
                (b"content-length", b"%d" % len(text)),
            ]
            self._substitute = text

    async def next_part(self) -> bytes | None:
        """The next part of the body, ``None`` at its end.

        Raises:
            IncompleteResponse: The application ended before it; its own exception is the cause.
        """
        if self._substitute is not None:
            text, self._substitute = self._substitute, b""
            return text or None
        try:
            return await self._take_part.receive()
        except (anyio.EndOfStream, anyio.ClosedResourceError):
            if not self._over.is_set():
                await self._finished.wait()
                self._check()
                raise IncompleteResponse("the application ended in the middle of its response") from self._error
            return None

    def _check(self) -> None:
        """Raises, once, what makes the exchange a failure for the test."""
        failure: Exception | None = self._body_error or self._violation
        if failure is None and self._error is not None:
            failure = self._error if self._raise else None
        elif failure is None and self._finished.is_set() and not self._over.is_set():
            failure = ASGIViolation("the application returned before its response was complete")
        if failure is not None and not self._is_told:
            self._is_told = True
            raise failure

    async def finish(self, timeout: float | None) -> None:
        """Lets the application end, background work and all; closes the exchange.

        If the response is not complete, the application sees a disconnect, and an exception that only says so
        (the ``OSError`` of its ``send()``) is dropped.

        Raises:
            Exception: What the application raised, or what was wrong with what it sent.
            TimeoutError: It went on for ``timeout`` seconds; it has been cancelled.
        """
        self.disconnect()
        try:
            with time_limit(timeout, "the application did not end after its response or its client's disconnect"):
                await self._finished.wait()
        except TimeoutError:
            self._task_scope.cancel()
            raise
        if not (self._gone.happened and says_disconnected(self._error)):
            self._check()

    async def ended(self) -> None:
        """Waits for the application's end; raises nothing."""
        await self._finished.wait()

    def disconnect(self) -> None:
        """The client goes away, unless the response is complete."""
        self._take_part.close()
        if not self._over.is_set():
            self._gone.fire()
            self._over.set()
            if self._parts_in is not None and self._parts_out is not None:
                self._parts_in.close()
                self._parts_out.close()


def says_disconnected(error: BaseException | None) -> bool:
    """Whether an exception is no more than an application's notice that its client has gone away."""
    if isinstance(error, BaseExceptionGroup):
        return all(says_disconnected(inner) for inner in error.exceptions)
    while error is not None:
        if isinstance(error, (ClientDisconnected, ClientDisconnect)):
            return True
        error = error.__cause__ or error.__context__
    return False
