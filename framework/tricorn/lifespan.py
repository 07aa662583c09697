"""Starting up and shutting down: both sides of ASGI's lifespan protocol (2.0).

The application's side is ``answer_lifespan``: a lifespan is an async context manager, and what it yields is the state
that every request sees. The server's side is ``run_lifespan``, for those who call an application in their own process
and are servers without a socket: the test client, the WSGI adapter, and a router with foreign applications below it.

Rules of this module: routers and applications that are mounted start after what they are mounted in and stop before
it. An application that does not speak the protocol is run without it, as the specification asks. A failure is logged
with its traceback on the application's side and told to the server in one line; the server's side raises it.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from inspect import isasyncgenfunction
from typing import Any, TypeAlias, cast

import anyio

from tricorn.types import ASGIApp, Message, Receive, Send

logger = logging.getLogger("tricorn")

LifespanState: TypeAlias = Mapping[str, Any] | None

#: Called with the application. An async generator function with one ``yield`` will do.
Lifespan: TypeAlias = (
    Callable[[Any], AbstractAsyncContextManager[LifespanState]] | Callable[[Any], AsyncIterator[LifespanState]]
)


class LifespanFailed(RuntimeError):
    """The application said that its startup or shutdown failed, or raised during one of them."""


def as_context(lifespan: Lifespan, app: object) -> AbstractAsyncContextManager[LifespanState]:
    """The lifespan's context manager.

    Raises:
        TypeError: It is none.
    """
    made = asynccontextmanager(lifespan)(app) if isasyncgenfunction(lifespan) else lifespan(app)
    if not hasattr(made, "__aenter__"):
        raise TypeError(f"lifespan {lifespan!r} gives no async context manager")
    return cast("AbstractAsyncContextManager[LifespanState]", made)


def add_state(state: dict[str, Any] | None, new: LifespanState) -> None:
    """Adds what a lifespan yielded to the state of the scope.

    Raises:
        RuntimeError: The server has no lifespan state (ASGI lifespan 2.0).
    """
    if new:
        if state is None:
            raise RuntimeError("lifespan: this server does not support lifespan state")
        state.update(new)


async def answer_lifespan(context: AbstractAsyncContextManager[object], receive: Receive, send: Send) -> None:
    """Speaks the protocol around a context manager: enters it at startup, leaves it at shutdown."""
    await receive()
    phase = "startup"
    try:
        async with context:
            await send({"type": "lifespan.startup.complete"})
            phase = "shutdown"
            await receive()
    except Exception as error:
        # That of a mounted application has been logged where it happened, or has its cause.
        told = isinstance(error, LifespanFailed)
        message = str(error) if told else f"{type(error).__name__}: {error}"
        logger.error("the application's %s failed", phase, exc_info=not told or error.__cause__ is not None)
        await send({"type": f"lifespan.{phase}.failed", "message": message})
        return
    await send({"type": "lifespan.shutdown.complete"})


class _LifespanRun:
    """One run of the protocol: the application's task on one side, two waits on the other."""

    def __init__(self, app: ASGIApp, state: dict[str, Any]) -> None:
        self._app = app
        self._scope: dict[str, Any] = {
            "type": "lifespan",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "state": state,
        }
        self._asked_startup = False
        self._answered_startup = False
        self._started = anyio.Event()
        self._stopping = anyio.Event()
        self._ended = anyio.Event()
        self._stopped = False
        self._failure: str | None = None
        self._error: Exception | None = None

    async def run(self) -> None:
        try:
            await self._app(self._scope, self._receive, self._send)
        except Exception as error:  # noqa: BLE001 - kept, and raised in startup() or shutdown()
            self._error = error
        self._ended.set()
        self._started.set()

    async def _receive(self) -> Message:
        if not self._asked_startup:
            self._asked_startup = True
            return {"type": "lifespan.startup"}
        await self._stopping.wait()
        return {"type": "lifespan.shutdown"}

    async def _send(self, message: Message) -> None:
        kind = message["type"]
        if kind in ("lifespan.startup.complete", "lifespan.startup.failed") and not self._started.is_set():
            if kind.endswith("failed"):
                self._failure = message.get("message", "") or "startup failed"
            self._answered_startup = True
            self._started.set()
        elif kind in ("lifespan.shutdown.complete", "lifespan.shutdown.failed") and self._stopping.is_set():
            if kind.endswith("failed"):
                self._failure = message.get("message", "") or "shutdown failed"
            self._stopped = True
            self._ended.set()
        else:
            raise RuntimeError(f"unexpected lifespan message {kind!r}")

    async def startup(self) -> None:
        """Waits for the application's answer; returns as well when it does not speak the protocol."""
        await self._started.wait()
        if self._failure is not None:
            raise LifespanFailed(self._failure) from self._error

    async def shutdown(self) -> None:
        """Asks for the shutdown and waits for it.

        Raises:
            LifespanFailed: The application said so, or raised since its startup was complete.
        """
        if not self._answered_startup:
            return
        self._stopping.set()
        await self._ended.wait()
        if self._failure is not None:
            raise LifespanFailed(self._failure) from self._error
        if self._error is not None:
            raise LifespanFailed(f"the application's lifespan raised {self._error!r}") from self._error


@asynccontextmanager
async def run_lifespan(app: ASGIApp) -> AsyncIterator[dict[str, Any]]:
    """Starts ``app`` up, yields its lifespan state, and shuts it down at the block's end (ASGI lifespan 2.0).

    An exception of the block is raised as it is, after the shutdown. When the block is cancelled, the
    application's lifespan task is cancelled too.

    Raises:
        LifespanFailed: The startup or the shutdown failed.
    """
    state: dict[str, Any] = {}
    lifespan = _LifespanRun(app, state)
    problem: Exception | None = None
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lifespan.run)
        try:
            await lifespan.startup()
            try:
                yield state
            finally:
                await lifespan.shutdown()
        except Exception as error:  # noqa: BLE001 - raised below, where the task group does not wrap it
            problem = error
        tasks.cancel_scope.cancel()
    if problem is not None:
        raise problem
