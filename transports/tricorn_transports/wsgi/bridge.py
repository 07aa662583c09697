"""Runs a WSGI application under ASGI, a worker thread for each request.

Rules of this module: the thread waits, never the event loop. What the thread wants of the loop is one hop
(``_on_loop``), and the host, the coroutine that the ASGI server called, may leave first: a cancellation does not wait
for a thread, which nothing can interrupt. The thread that is left behind finds every further hop refused, and gives
its place in the limiter back only when it ends, so that cancelled requests make no more threads than are allowed.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import math
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import anyio
from anyio import from_thread, to_thread
from anyio.lowlevel import RunVar

from tricorn_transports.abc import ExcInfo, Message, Receive, Scope, Send, WSGIApp
from tricorn_transports.errors import ClientDisconnected, LocalProtocolError
from tricorn_transports.wsgi.environ import Input, body_length, build_environ

_log = logging.getLogger("tricorn.error")

_T = TypeVar("_T")

DEFAULT_THREADS = 40

#: Fields of one connection, which an application may not set (PEP 3333, "Other HTTP Features"; RFC 9110 section 7.6.1).
_HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)


class WSGIToASGI:
    """An ASGI application that runs a WSGI one.

    HTTP requests go to the application; the lifespan is answered on its behalf and WebSockets are refused (403).

    Args:
        app: Any PEP 3333 application.
        threads: How many requests run at once; others wait for a thread.

    An exception of the application is raised to the server, which answers 500 or aborts the response. When the client
    is gone, ``wsgi.input`` and ``write()`` raise ``ClientDisconnected``, an ``OSError``; an iterable gets no more
    calls but ``close()``, which is always called.
    """

    def __init__(self, app: WSGIApp, *, threads: int = DEFAULT_THREADS) -> None:
        if threads < 1:
            raise ValueError(f"threads: {threads} is not 1 or more")
        self.app = app
        self.threads = threads
        # One for each event loop: an application may be served by one loop after another (in tests, say).
        self._limiter: RunVar[anyio.CapacityLimiter] = RunVar(f"wsgi_threads_{id(self)}")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind == "http":
            await self._http(scope, receive, send)
        elif kind == "lifespan":
            await _answer_lifespan(receive, send)
        elif kind == "websocket":
            await receive()
            await send({"type": "websocket.close"})
        else:
            raise LocalProtocolError(f"a WSGI application cannot answer a scope of type {kind!r}")

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            limiter = self._limiter.get()
        except LookupError:
            limiter = anyio.CapacityLimiter(self.threads)
            self._limiter.set(limiter)
        run = _Run(self.app, scope, receive, send)
        await limiter.acquire_on_behalf_of(run)
        try:
            if _tells_of_disconnect(scope):
                await _run_in_thread(run)
            else:
                await _run_watched(run)
        except OSError:
            if not run.disconnected:
                raise
        finally:
            run.leave(lambda: limiter.release_on_behalf_of(run))


async def _run_in_thread(run: _Run) -> None:
    """Returns when the thread ends, or at once when cancelled. The bridge's limiter has admitted the run already."""
    try:
        unlimited = _unlimited.get()
    except LookupError:
        unlimited = anyio.CapacityLimiter(math.inf)
        _unlimited.set(unlimited)
    await to_thread.run_sync(run, limiter=unlimited, abandon_on_cancel=True)


_unlimited: RunVar[anyio.CapacityLimiter] = RunVar("wsgi_unlimited")


def _tells_of_disconnect(scope: Scope) -> bool:
    """Whether ``send()`` raises once the client is gone, as ASGI's HTTP specification asks since 2.4."""
    version = scope.get("asgi", {}).get("spec_version", "2.0")
    return tuple(int(part) for part in version.split(".")) >= (2, 4)


async def _run_watched(run: _Run) -> None:
    """On an older server: once a response streams, something has to wait for the disconnect."""
    error: BaseException | None = None
    async with anyio.create_task_group() as group:

        def start_watch() -> None:
            group.start_soon(run.watch)

        run.start_watch = start_watch
        try:
            await _run_in_thread(run)
        except Exception as raised:  # noqa: BLE001  # raised again below, outside the group that would wrap it
            error = raised
        group.cancel_scope.cancel()
    if error is not None:
        raise error


async def _answer_lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


class _Run:
    """One request. Called in a worker thread; its coroutines run on the event loop."""

    def __init__(self, app: WSGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        self.disconnected = False
        self.start_watch: Callable[[], None] | None = None
        self._hop: anyio.CancelScope | None = None
        self._lock = threading.Lock()
        self._is_running = False
        self._when_over: Callable[[], None] | None = None
        self._app = app
        self._receive = receive
        self._asgi_send = send
        self._is_head = scope["method"] == "HEAD"
        self._start: Message | None = None
        self._is_started = False
        self._is_ended = False
        self._left: int | None = None
        self.environ = build_environ(scope)
        self.input = Input(self.receive, length=body_length(scope, self.environ))
        self.environ["wsgi.input"] = self.input

    def __call__(self) -> None:
        with self._lock:
            if self.disconnected:  # left before the thread had begun
                return
            self._is_running = True
        try:
            self._answer()
        finally:
            with self._lock:
                self._is_running = False
            if self._when_over is not None:
                self._give_back(self._when_over)

    def leave(self, when_over: Callable[[], None]) -> None:
        """The host goes. ``when_over`` is called on the event loop, now or when the thread ends, if that is later."""
        with self._lock:
            self.disconnected = True
            if self._is_running:
                self._when_over = when_over
        if self._hop is not None:
            self._hop.cancel()
        if self._when_over is None:
            when_over()

    @staticmethod
    def _give_back(when_over: Callable[[], None]) -> None:
        try:
            from_thread.run_sync(when_over)
        except RuntimeError:
            # The event loop has ended before this thread, and with it the limiter.
            return

    def _answer(self) -> None:
        body = self._app(self.environ, self.start_response)
        try:
            # The only length that PEP 3333 gives a meaning to: this part is the whole body.
            is_single = isinstance(body, (list, tuple)) and len(body) == 1
            for part in body:
                if not part:
                    continue
                self._send_body(part, end=is_single)
                if self._is_ended or self._is_head:
                    break
            if not self._is_ended:
                self._send_body(b"", end=True)
        finally:
            close = getattr(body, "close", None)
            if close is not None:
                close()

    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None, /
    ) -> Callable[[bytes], None]:
        """PEP 3333's callable: keeps the head until the first part of the body.

        Raises:
            LocalProtocolError: Called twice without ``exc_info``, or with what is no status or no field.
        """
        if exc_info is not None:
            try:
                if self._is_started:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None  # breaks the cycle through the traceback's frames
        elif self._start is not None:
            raise LocalProtocolError("start_response() was called twice")
        if not status[:3].isdecimal() or status[3:4] not in ("", " "):
            raise LocalProtocolError(f"{status!r} is not a status")
        raw = []
        self._left = None
        for name, value in headers:
            lower = name.lower()
            if lower in _HOP_BY_HOP:
                continue
            if lower == "content-length" and value.isdecimal():
                self._left = int(value)
            raw.append((lower.encode("latin-1"), value.encode("latin-1")))
        self._start = {"type": "http.response.start", "status": int(status[:3]), "headers": raw}
        return self.write

    def write(self, data: bytes) -> None:
        """PEP 3333's old interface: sends at once."""
        if data and not (self._is_ended or (self._is_head and self._is_started)):
            self._send_body(data, end=False)

    def _send_body(self, data: bytes, *, end: bool) -> None:
        if not isinstance(data, bytes):
            raise LocalProtocolError(f"a WSGI body is made of bytes, not {type(data).__name__}")
        if self._left is not None and not self._is_head:
            if len(data) > self._left:
                _log.error("the response is longer than its Content-Length; the rest is dropped")
                data = data[: self._left]
            self._left -= len(data)
            # The last message now and not later spares the thread a trip to the event loop.
            end = end or (self._left == 0 and bool(data))
        messages: list[Message] = []
        if not self._is_started:
            if self._start is None:
                raise LocalProtocolError("the application gave a body before it called start_response()")
            messages.append(self._start)
        messages.append({"type": "http.response.body", "body": data, "more_body": not end})
        is_streaming = self._is_started and not end
        self._is_started = True
        self._is_ended = end
        self._on_loop(self._send, messages, is_streaming)

    def receive(self) -> Message:
        """Waits in the thread for the next ASGI message."""
        return self._on_loop(self._receive_next)

    def _on_loop(self, func: Callable[..., Coroutine[Any, Any, _T]], *args: object) -> _T:
        if self.disconnected:
            raise ClientDisconnected("the client is gone")
        try:
            return from_thread.run(self._run_hop, func, args)
        except (asyncio.CancelledError, concurrent.futures.CancelledError) as error:
            # The loop's end cancels every task of it.
            raise ClientDisconnected("the request was cancelled") from error

    async def _run_hop(self, func: Callable[..., Coroutine[Any, Any, _T]], args: tuple[object, ...]) -> _T:
        # Shielded, so that only leave() cancels it, and the thread gets an error that an application knows.
        with anyio.CancelScope(shield=True) as scope:
            self._hop = scope
            try:
                if not self.disconnected:
                    return await func(*args)
            finally:
                self._hop = None
        raise ClientDisconnected("the request was cancelled")

    async def _receive_next(self) -> Message:
        return await self._receive()

    async def _send(self, messages: list[Message], is_streaming: bool) -> None:
        try:
            for message in messages:
                await self._asgi_send(message)
        except OSError:
            self.disconnected = True
            raise
        if is_streaming and self.start_watch is not None and self.input.is_ended:
            self.start_watch()
            self.start_watch = None

    async def watch(self) -> None:
        """Notes the disconnect, for servers whose ``send()`` does not tell. The request's body must be read."""
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.disconnected = True
