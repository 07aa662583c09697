"""The adapter itself: a PEP 3333 callable around an ASGI application, and the life of its event loop.

Rules of this module: the loop is started with the first request, so after a server's fork; a child that a running
adapter is forked into starts its own.
"""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from collections.abc import Iterable
from functools import partial
from typing import Literal

from tricorn.types import ASGIApp
from tricorn.wsgi.exchange import Exchange
from tricorn.wsgi.loop import EventLoop
from tricorn_transports.abc import StartResponse, WSGIEnvironment
from tricorn_transports.http.status import status_phrase


class WSGIAdapter:
    """A WSGI application that calls an ASGI one.

    Args:
        app: The ASGI application. Its lifespan is run once in a process: startup with the first request, shutdown
            at the process's exit or in ``close()``.
        backend: The event loop, ``"asyncio"`` or ``"trio"``.
        buffer: Bytes of a response that may wait for the server; with more, ``await send()`` waits.
        shutdown_timeout: Seconds that running requests and background work get at the exit.

    Raises:
        LifespanFailed: From every call, while the application's startup fails.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        backend: Literal["asyncio", "trio"] = "asyncio",
        buffer: int = 65_536,
        shutdown_timeout: float = 30.0,
    ) -> None:
        self._app = app
        self._backend = backend
        self._buffer = buffer
        self._shutdown_timeout = shutdown_timeout
        self._lock = threading.Lock()
        self._loop: EventLoop | None = None
        os.register_at_fork(after_in_child=partial(_forget, weakref.ref(self)))

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        refusal = _refuse(environ)
        if refusal is not None:
            start_response(f"{refusal} {status_phrase(refusal)}", [("Content-Type", "text/plain; charset=utf-8")])
            return [status_phrase(refusal).encode()]
        exchange = Exchange(self._app, environ, start_response, self._running(), self._buffer)
        exchange.begin()
        return exchange

    def close(self) -> None:
        """Ends what runs and shuts the application down. A later call starts it anew."""
        with self._lock:
            loop, self._loop = self._loop, None
        if loop is not None:
            atexit.unregister(self.close)
            loop.close(self._shutdown_timeout)

    def _running(self) -> EventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = EventLoop(self._app, self._backend)
                atexit.register(self.close)
            return self._loop


def _forget(reference: weakref.ref[WSGIAdapter]) -> None:
    """In a forked child the parent's thread does not exist, and its lock may be held by nobody."""
    adapter = reference()
    if adapter is not None:
        adapter._lock = threading.Lock()
        adapter._loop = None


def _refuse(environ: WSGIEnvironment) -> int | None:
    """The status for a body whose end cannot be known."""
    length = environ.get("CONTENT_LENGTH") or ""
    if length:
        return None if length.isascii() and length.isdecimal() and len(length) <= 20 else 400
    chunked = "HTTP_TRANSFER_ENCODING" in environ and not environ.get("wsgi.input_terminated")
    return 411 if chunked else None
