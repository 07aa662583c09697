"""One request under WSGI: the ASGI task in the loop's thread, and the iterable that the server draws from.

Rules of this module: the WSGI server's own thread does all that may block on its socket, reading ``wsgi.input`` when
the application asks and yielding parts when they are there; no body is held whole in either direction; what cannot
be raised to the server any more is logged to ``tricorn.error``.
"""

from __future__ import annotations

import errno
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from wsgiref.util import is_hop_by_hop

import anyio

from tricorn.exceptions import ClientDisconnect
from tricorn.types import ASGIApp, Message
from tricorn.wsgi.loop import EventLoop
from tricorn.wsgi.scope import scope_of
from tricorn_transports.abc import StartResponse, WSGIEnvironment
from tricorn_transports.errors import ClientDisconnected, LocalProtocolError
from tricorn_transports.http.fields import is_safe_value, is_token_bytes
from tricorn_transports.http.status import status_phrase

logger = logging.getLogger("tricorn.error")

#: Bytes that are read from ``wsgi.input`` at most at a time.
_READ_SIZE = 65_536


class Exchange(Iterator[bytes]):
    """One request: an ASGI task in the loop's thread, and the iterable that the WSGI server's thread draws from.

    All fields below the lock are shared by both threads and touched only with the lock held; nothing waits for the
    loop's thread while it holds the lock.
    """

    def __init__(
        self, app: ASGIApp, environ: WSGIEnvironment, start_response: StartResponse, loop: EventLoop, buffer: int
    ) -> None:
        self._app = app
        self._start_response = start_response
        self._loop = loop
        self._buffer = buffer
        self._scope = scope_of(environ)
        self._scope["state"] = dict(loop.state)
        self._scope["extensions"]["tricorn.disconnect"] = {"register": self._register}
        self._input = environ["wsgi.input"]
        length = environ.get("CONTENT_LENGTH")
        self._unread = int(length) if length else None if environ.get("wsgi.input_terminated") else 0
        self._no_body = environ["REQUEST_METHOD"] == "HEAD"
        self._callbacks: list[Callable[[], object]] = []
        self._error: Exception | None = None
        self._begun = False

        self._lock = threading.Condition()
        self._wake: anyio.Event | None = None  # what a suspended receive() or send() of the application waits for
        self._head: tuple[int, list[tuple[str, str]]] | None = None
        self._parts: deque[bytes] = deque()
        self._queued = 0
        self._read: deque[tuple[bytes, bool]] = deque([(b"", False)] if self._unread == 0 else [])
        self._body_given = False
        self._wants_body = False
        self._answered = False
        self._complete = False
        self._gone = False
        self._finished = False

    # ------------------------------------------------------------------------------ the event loop's thread

    async def _run(self) -> None:
        try:
            await self._app(self._scope, self._receive, self._send)
        except Exception as error:  # raised in the server's thread, or logged
            if self._complete:
                logger.exception("the application failed after its response to %s", self._scope["path"])
            elif not (self._gone and isinstance(error, (ClientDisconnected, ClientDisconnect))):
                self._error = error
        finally:
            with self._lock:
                self._finished = True
                self._lock.notify()

    async def _receive(self) -> Message:
        while True:
            with self._lock:
                if self._gone or self._complete:
                    return {"type": "http.disconnect"}
                if self._read:
                    body, more = self._read.popleft()
                    self._body_given = not more
                    return {"type": "http.request", "body": body, "more_body": more}
                if not self._body_given:
                    self._wants_body = True
                    self._lock.notify()
                wake = self._sleep()
            await wake.wait()

    def _sleep(self) -> anyio.Event:
        """What ``_rouse`` will set; one for all that wait at once."""
        if self._wake is None or self._wake.is_set():
            self._wake = anyio.Event()
        return self._wake

    def _rouse(self) -> None:
        """Lets suspended calls of the application look at the state again. In the loop's thread."""
        with self._lock:
            wake = self._wake
        if wake is not None:
            wake.set()

    async def _send(self, message: Message) -> None:
        kind = message["type"]
        with self._lock:
            if self._gone:
                raise ClientDisconnected("the client has gone away")
            if kind == "http.response.start" and self._head is None:
                self._head = message["status"], _wsgi_headers(message.get("headers", ()))
                self._no_body = self._no_body or message["status"] in (204, 304)
                return
            if kind != "http.response.body" or self._head is None or self._complete:
                raise LocalProtocolError(f"unexpected ASGI message {kind!r}")
            body = message.get("body", b"")
            if body and not self._no_body:
                self._parts.append(body)
                self._queued += len(body)
            self._answered = True
            self._complete = not message.get("more_body", False)
            self._lock.notify()
        if self._complete:
            self._rouse()
            return
        while True:
            with self._lock:
                if self._gone:
                    raise ClientDisconnected("the client has gone away")
                if self._queued < self._buffer:
                    return
                wake = self._sleep()
            await wake.wait()

    def _register(self, callback: Callable[[], object]) -> None:
        """``tricorn.disconnect``."""
        with self._lock:
            if not self._gone:
                self._callbacks.append(callback)
                return
        callback()

    def _on_disconnect(self) -> None:
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()
        self._rouse()

    # -------------------------------------------------------------------------------- the server's thread

    def begin(self) -> None:
        """Starts the application and waits for the head and first part of its response.

        Raises:
            Exception: What the application raised before.
        """
        self._loop.start(self._run)
        self._serve(lambda: self._answered)
        if not self._answered:
            raise self._failure()
        assert self._head is not None
        status, headers = self._head
        has_type = any(name.lower() == "content-type" for name, _ in headers)
        # PEP 3333's checker wants the field with all statuses but these two, and never with them.
        if status in (204, 304) and has_type:
            headers = [(name, value) for name, value in headers if name.lower() != "content-type"]
        elif status not in (204, 304) and not has_type:
            with self._lock:
                is_empty = self._complete and not self._parts
            headers.append(("Content-Type", "text/plain" if is_empty else "application/octet-stream"))
        self._start_response(f"{status} {status_phrase(status)}", headers)

    def __next__(self) -> bytes:
        self._serve(lambda: bool(self._parts) or self._complete)
        with self._lock:
            part = self._parts.popleft() if self._parts else None
            was_full = self._queued >= self._buffer
            self._queued -= len(part or b"")
            is_room = was_full and self._queued < self._buffer
        if part is not None:
            if is_room:
                self._loop.call_soon(self._rouse)
            self._begun = True
            return part
        if self._complete:
            raise StopIteration
        return self._fail(self._failure())

    def _failure(self) -> Exception:
        return self._error or LocalProtocolError("the application returned before its response was complete")

    def _fail(self, error: Exception) -> bytes:
        """PEP 3333, "Error Handling": a page in place of the response, if nothing of that was sent yet."""
        if self._begun:
            raise error
        headers = [("Content-Type", "text/plain; charset=utf-8")]
        self._start_response("500 Internal Server Error", headers, (type(error), error, error.__traceback__))
        logger.error("the application failed in its response to %s", self._scope["path"], exc_info=error)
        self._complete = self._begun = True
        return b"Internal Server Error"

    def close(self) -> None:
        """Called by the server when it is done, however it ended: without the whole response, a disconnect."""
        with self._lock:
            if self._finished or self._gone or (self._complete and not self._parts):
                return
            self._gone = True
        self._loop.call_soon(self._on_disconnect)

    def _serve(self, is_ready: Callable[[], bool]) -> None:
        """Waits until ``is_ready()`` or the application's end, and reads the request's body when it is asked to."""
        while True:
            with self._lock:
                while not (is_ready() or self._finished or self._wants_body):
                    self._lock.wait()
                if is_ready() or self._finished:
                    return
                self._wants_body = False
            try:
                part = self._read_input()
            except BaseException:
                self.close()
                raise
            with self._lock:
                self._read.append(part)
            self._loop.call_soon(self._rouse)

    def _read_input(self) -> tuple[bytes, bool]:
        """The next part of the request's body, and whether more may come.

        Raises:
            OSError: The client went away in the middle of it.
        """
        # What is there already, where the server can say so (read1), else what PEP 3333 gives: a full read.
        read = getattr(self._input, "read1", None) or self._input.read
        data = bytes(read(_READ_SIZE if self._unread is None else min(_READ_SIZE, self._unread)))
        if self._unread is None:
            return data, bool(data)
        if not data:
            raise ConnectionResetError(errno.ECONNRESET, "the request's body ended before its Content-Length")
        self._unread -= len(data)
        return data, self._unread > 0


def _wsgi_headers(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    """As WSGI has them; the connection's own fields are the server's business (PEP 3333, "Other HTTP Features")."""
    converted = []
    for raw_name, value in headers:
        if not is_token_bytes(raw_name) or not is_safe_value(value):
            raise LocalProtocolError(f"the header {raw_name!r}: {value!r} cannot be sent")
        name = raw_name.decode("ascii")
        if not is_hop_by_hop(name):
            converted.append((name, value.decode("latin-1")))
    return converted
