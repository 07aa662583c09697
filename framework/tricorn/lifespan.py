"""Starting up and shutting down: the application's side of ASGI's lifespan protocol.

Rules of this module: a lifespan is an async context manager; what it yields is the state that every request sees.
Routers and applications that are mounted start after what they are mounted in and stop before it. A failure is
logged with its traceback here and told to the server in one line.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from inspect import isasyncgenfunction
from typing import Any, TypeAlias, cast

from tricorn.lifespan_client import LifespanFailed
from tricorn.types import Receive, Send

logger = logging.getLogger("tricorn")

LifespanState: TypeAlias = Mapping[str, Any] | None

#: Called with the application. An async generator function with one ``yield`` will do.
Lifespan: TypeAlias = (
    Callable[[Any], AbstractAsyncContextManager[LifespanState]] | Callable[[Any], AsyncIterator[LifespanState]]
)


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
