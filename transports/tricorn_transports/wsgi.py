"""The one bridge from WSGI (PEP 3333) to ASGI 3: any WSGI application becomes an ASGI one.

Rules of this module: the application runs in one thread of a bounded number and never on the event loop. The thread
is what waits: reading ``wsgi.input`` blocks it until the client has sent more, and each part of the response is taken
from the application only after ``await send()`` has returned for the one before. So neither body is ever held whole,
and a slow client holds its own thread and nothing else.

WSGI's strings are bytes in disguise (latin-1); they are made from the bytes of the wire, never from text that somebody
has decoded on the way, where those bytes are known.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Coroutine, Iterator, MutableMapping
from typing import Any, Protocol, TypeVar
from urllib.parse import quote, unquote_to_bytes

import anyio
from anyio import from_thread, to_thread
from anyio.lowlevel import RunVar

from tricorn_transports.abc import ExcInfo, Message, Receive, Scope, Send, WSGIApp, WSGIEnvironment
from tricorn_transports.errors import ClientDisconnected, LocalProtocolError

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


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


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
        # One limiter for each event loop: an application may be served by one loop after another (in tests, say).
        self._limiter: RunVar[anyio.CapacityLimiter] = RunVar("wsgi_threads")

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
        try:
            if _tells_of_disconnect(scope):
                await to_thread.run_sync(run, limiter=limiter)
            else:
                await _run_watched(run, limiter)
        except OSError:
            if not run.disconnected:
                raise
        finally:
            # A cancellation may leave the thread running; it must not use a request that is over.
            run.disconnected = True


def _tells_of_disconnect(scope: Scope) -> bool:
    """Whether ``send()`` raises once the client is gone, as ASGI's HTTP specification asks since 2.4."""
    version = scope.get("asgi", {}).get("spec_version", "2.0")
    return tuple(int(part) for part in version.split(".")) >= (2, 4)


async def _run_watched(run: _Run, limiter: anyio.CapacityLimiter) -> None:
    """On an older server: once a response streams, something has to wait for the disconnect."""
    error: BaseException | None = None
    async with anyio.create_task_group() as group:

        def start_watch() -> None:
            group.start_soon(run.watch)

        run.start_watch = start_watch
        try:
            await to_thread.run_sync(run, limiter=limiter)
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
        self._app = app
        self._receive = receive
        self._asgi_send = send
        self._is_head = scope["method"] == "HEAD"
        self._start: Message | None = None
        self._is_started = False
        self._is_ended = False
        self._left: int | None = None
        self.environ = build_environ(scope)
        self.input = Input(self.receive, length=_body_length(scope, self.environ))
        self.environ["wsgi.input"] = self.input

    def __call__(self) -> None:
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
        return from_thread.run(func, *args)

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


class Input:
    """``wsgi.input``: the request's body as a file that blocks until the client has sent what is asked for.

    Args:
        receive: Gives the next ASGI message, blocking.
        length: Bytes of the body, where it is known; no message is waited for after that many.
    """

    def __init__(self, receive: Callable[[], Message], *, length: int | None) -> None:
        self._receive = receive
        self._left = length
        self._chunk = b""
        self._at = 0
        self.is_ended = length == 0

    def read(self, size: int | None = -1, /) -> bytes:
        """``size`` bytes, fewer only at the end of the body; all of it without a size.

        Raises:
            ClientDisconnected: The client went away before the end.
        """
        if size is None or size < 0:
            size = sys.maxsize
        parts: list[bytes] = []
        while size > 0 and self._fill():
            part = self._chunk[self._at : self._at + size] if self._at or size < len(self._chunk) else self._chunk
            self._at += len(part)
            size -= len(part)
            parts.append(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def readline(self, size: int | None = -1, /) -> bytes:
        """The next line with its end, or its first ``size`` bytes."""
        if size is None or size < 0:
            size = sys.maxsize
        parts: list[bytes] = []
        while size > 0 and self._fill():
            newline = self._chunk.find(b"\n", self._at, self._at + size)
            stop = newline + 1 if newline >= 0 else min(len(self._chunk), self._at + size)
            parts.append(self._chunk[self._at : stop])
            size -= stop - self._at
            self._at = stop
            if newline >= 0:
                break
        return b"".join(parts)

    def readlines(self, hint: int | None = -1, /) -> list[bytes]:
        """Lines until the end, or until they have ``hint`` bytes."""
        lines: list[bytes] = []
        total = 0
        for line in self:
            lines.append(line)
            total += len(line)
            if hint is not None and 0 < hint <= total:
                break
        return lines

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.readline, b"")

    def _fill(self) -> bool:
        """Makes sure that there is a byte to read; ``False`` at the end."""
        while self._at >= len(self._chunk):
            if self.is_ended:
                self._chunk, self._at = b"", 0
                return False
            message = self._receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnected("the client went away before the end of the request's body")
            self._chunk, self._at = message.get("body", b""), 0
            if self._left is not None:
                self._left -= len(self._chunk)
            self.is_ended = not message.get("more_body", False) or (self._left is not None and self._left <= 0)
        return True


class FileWrapper:
    """``wsgi.file_wrapper``: a file as an iterable of blocks."""

    def __init__(self, file: _Readable, block_size: int = 65_536) -> None:
        self._file = file
        self._block_size = block_size

    def __iter__(self) -> Iterator[bytes]:
        return iter(lambda: self._file.read(self._block_size), b"")

    def close(self) -> None:
        """Closes the file, if it can be closed."""
        close = getattr(self._file, "close", None)
        if close is not None:
            close()


def _body_length(scope: Scope, environ: WSGIEnvironment) -> int | None:
    length = environ.get("CONTENT_LENGTH", "")
    if length.isdecimal():
        return int(length)
    # HTTP/1 frames every body (RFC 9112 section 6.3): with neither field there is none.
    if scope["http_version"] in ("1.0", "1.1") and "HTTP_TRANSFER_ENCODING" not in environ:
        return 0
    return None


def build_environ(scope: Scope) -> WSGIEnvironment:
    """The environment of PEP 3333 for an ASGI HTTP scope, without ``wsgi.input``.

    Field names that hold an underscore are left out: they would be taken for the same name with a hyphen, which a
    proxy in front may have checked. So is ``Proxy``, which CGI-style code would take for the variable HTTP_PROXY.
    """
    script, path, target = _split_path(scope)
    query = scope.get("query_string", b"").decode("latin-1")
    scheme = scope.get("scheme", "http")
    environ: WSGIEnvironment = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": script,
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "RAW_URI": f"{target}?{query}" if query else target,
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scheme,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        "wsgi.file_wrapper": FileWrapper,
        "wsgi.input_terminated": True,
    }
    for raw_name, raw_value in scope["headers"]:
        if b"_" in raw_name or raw_name == b"proxy":
            continue
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        key = _CGI_NAMES.get(name) or f"HTTP_{name.upper().replace('-', '_')}"
        if key in environ:
            separator = "; " if key == "HTTP_COOKIE" else ","
            value = f"{environ[key]}{separator}{value}"
        environ[key] = value
    _add_addresses(environ, scope, "443" if scheme == "https" else "80")
    return environ


_CGI_NAMES = {"content-type": "CONTENT_TYPE", "content-length": "CONTENT_LENGTH"}


def _split_path(scope: Scope) -> tuple[str, str, str]:
    """SCRIPT_NAME, PATH_INFO and the path as it was sent."""
    path: str = scope["path"]
    raw: bytes | None = scope.get("raw_path")
    decoded = path.encode("utf-8", "surrogateescape")
    if raw and "\ufffd" in path:
        # Bytes that are not UTF-8 were replaced; the raw path still has them.
        decoded = unquote_to_bytes(raw)
    root = scope.get("root_path", "").rstrip("/").encode("utf-8", "surrogateescape")
    if root and (decoded == root or decoded.startswith(root + b"/")):
        decoded = decoded[len(root) :]
    target = raw.decode("latin-1") if raw else quote(path, safe="/!$&'()*+,;=:@~")
    return root.decode("latin-1"), decoded.decode("latin-1"), target


def _add_addresses(environ: MutableMapping[str, Any], scope: Scope, default_port: str) -> None:
    server, client = scope.get("server"), scope.get("client")
    if server and server[1] is not None:
        environ["SERVER_NAME"], environ["SERVER_PORT"] = server[0], str(server[1])
    else:
        # A Unix socket has neither; the Host field is the best there is.
        host, _, port = environ.get("HTTP_HOST", "").rpartition(":")
        if not port.isdecimal():
            host, port = environ.get("HTTP_HOST", ""), default_port
        environ["SERVER_NAME"], environ["SERVER_PORT"] = host or "localhost", port
    environ["REMOTE_ADDR"] = client[0] if client else ""
    if client:
        environ["REMOTE_PORT"] = str(client[1])
