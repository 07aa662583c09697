"""The event loop that the requests of all the WSGI server's threads share, in a thread of its own.

Rules of this module: the application is started up before the first request and shut down when the loop is closed;
what another thread wants done here is handed over, never called.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Any

import anyio
from anyio.from_thread import BlockingPortal

from tricorn.lifespan import run_lifespan
from tricorn.types import ASGIApp

logger = logging.getLogger("tricorn.error")


class EventLoop:
    """The event loop's thread with the started application."""

    def __init__(self, app: ASGIApp, backend: str) -> None:
        self._running: set[Future[None]] = set()
        self._started: Future[tuple[BlockingPortal, dict[str, Any]]] = Future()
        self._ended: Future[None] = Future()
        self._thread = threading.Thread(target=self._main, args=(app, backend), name="tricorn-wsgi", daemon=True)
        self._thread.start()
        self.portal, self.state = self._started.result()

    # Not anyio's start_blocking_portal(): in a forked child its generator would be collected, and wait for a thread
    # that only the parent has.
    def _main(self, app: ASGIApp, backend: str) -> None:
        try:
            anyio.run(self._serve, app, backend=backend)
        except BaseException as error:  # noqa: BLE001 - raised where the loop is started or closed
            (self._ended if self._started.done() else self._started).set_exception(error)
        else:
            self._ended.set_result(None)

    async def _serve(self, app: ASGIApp) -> None:
        async with run_lifespan(app) as state, BlockingPortal() as portal:
            self._started.set_result((portal, state))
            await portal.sleep_until_stopped()

    def start(self, func: Callable[[], Any]) -> None:
        """Runs ``func``, a coroutine function that raises nothing, as a task."""
        future: Future[None] = self.portal.start_task_soon(func)
        self._running.add(future)
        future.add_done_callback(self._running.discard)

    def call_soon(self, func: Callable[[], object]) -> None:
        """Calls ``func`` in the loop's thread, if it still runs."""
        try:
            self.portal.start_task_soon(func)
        except RuntimeError:  # the adapter has been closed: there is no task left to be told
            logger.debug("the event loop of a WSGI request is gone", exc_info=True)

    def close(self, timeout: float) -> None:
        for future in wait(list(self._running), timeout).not_done:
            future.cancel()
        self.portal.call(self.portal.stop)
        self._thread.join()
        self._ended.result()
