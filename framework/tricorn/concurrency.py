"""Threads for what blocks, and the end of work that nobody waits for any more.

Rules of this module: a disconnect arrives in one of two ways. On a server with ``tricorn.disconnect`` it is a
callback, which costs nothing. On any other server only ``receive()`` tells, so a listener task must wait there; it
may do so only where no part of the request's body can get lost or be asked for too early, which is what
``ForeignReceive`` looks after. Sync code always runs in anyio's worker threads, with the caller's context variables.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextvars import Context, copy_context
from functools import partial
from inspect import isawaitable
from typing import ParamSpec, TypeVar, cast

import anyio
import anyio.lowlevel
import anyio.to_thread

from tricorn.types import Message, Receive, Scope

P = ParamSpec("P")
T = TypeVar("T")

Register = Callable[[Callable[[], object]], object]

_END = object()
_POLL_TURNS = 4
_MOST_KEPT = 2


async def run_in_thread(func: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Runs a blocking function in a worker thread, with a copy of the caller's context variables.

    A cancellation waits for the thread to come back.
    """
    return await anyio.to_thread.run_sync(partial(func, *args, **kwargs))


async def call(func: Callable[..., object], *args: object) -> object:
    """Calls ``func``, in a thread unless it is a coroutine function, and awaits what is awaitable."""
    if is_coroutine_callable(func):
        return await cast("Awaitable[object]", func(*args))
    return await call_in_thread(func, *args)


async def call_in_thread(func: Callable[..., object], *args: object) -> object:
    """Calls ``func`` in a thread, and awaits here what it gives, if that is awaitable.

    So a plain function around an ``async def`` does what the ``async def`` itself would do.
    """
    (result,) = await run_in_thread(lambda: (func(*args),))  # a coroutine itself would be refused by trio
    return await result if isawaitable(result) else result


def is_coroutine_callable(func: object) -> bool:
    """Whether calling ``func`` gives a coroutine: ``async def``, a partial of one, an object whose ``__call__`` is."""
    from inspect import iscoroutinefunction

    while isinstance(func, partial):
        func = func.func
    return iscoroutinefunction(func) or (
        not isinstance(func, type) and iscoroutinefunction(getattr(func, "__call__", None))  # noqa: B004 its function
    )


async def iterate_in_thread(items: Iterable[T]) -> AsyncIterator[T]:
    """The items of a blocking iterable, each fetched in a thread when it is asked for.

    All steps share one copy of the caller's context variables, so that a generator finds those that it has set. The
    iterator is closed, in a thread too, however the loop ends.
    """
    iterator = iter(items)
    context: Context | None = None

    def in_context(func: Callable[..., object], *args: object) -> object:
        nonlocal context
        if context is None:  # made in a thread, where nothing in it says that an event loop is running
            context = copy_context()
        return context.run(func, *args)

    try:
        while (item := await anyio.to_thread.run_sync(in_context, next, iterator, _END)) is not _END:
            yield cast("T", item)
    finally:
        close = getattr(iterator, "close", None)
        if close is not None:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(in_context, close)


def disconnect_register(scope: Scope) -> Register | None:
    """How to be called back on a disconnect, if the server offers it (our extension ``tricorn.disconnect``)."""
    extensions = scope.get("extensions")
    if extensions is not None:
        offer = extensions.get("tricorn.disconnect")
        if offer is not None:
            return cast("Register", offer["register"])
    return None


class ForeignReceive:
    """``receive`` of a server that tells of a disconnect only through it.

    Passes everything on, and remembers when the request's body has been read. From then on (for GET and HEAD without
    a body from the start) ``listen()`` may wait for the disconnect; messages that it gets instead are kept, at most
    two at a time, for whoever reads the body.
    """

    __slots__ = ("_kept", "_listening", "_receive", "_woken", "body_read", "disconnected", "guarded")

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._receive = receive
        self._kept: deque[Message] = deque()
        self._listening = False
        self._woken: anyio.Event | None = None
        self.body_read: bool = has_no_body(scope)
        self.disconnected = False
        self.guarded = False
        """Somebody listens already and cancels everything that runs below."""

    async def __call__(self) -> Message:
        while self._listening and not self._kept and not self.disconnected:
            await self._wait()
        if self._kept:
            message = self._kept.popleft()
            self._wake()
            return message
        if self.disconnected:
            return {"type": "http.disconnect"}
        message = await self._receive()
        self._note(message)
        return message

    async def listen(self) -> None:
        """Returns when the client has gone."""
        while not self.body_read:
            await self._wait()
        self._listening = True
        try:
            while not self.disconnected:
                message = await self._receive()
                self._note(message)
                if not self.disconnected:
                    self._kept.append(message)
                    self._wake()
                    while len(self._kept) >= _MOST_KEPT:
                        await self._wait()
        finally:
            self._listening = False
            self._wake()

    async def poll(self) -> bool:
        """Whether the client has gone, as far as can be known in a few turns of the event loop."""
        # One kept message is the empty body of a GET that nobody has read; after it only the disconnect can come.
        if self.body_read and not self._listening and not self.disconnected and len(self._kept) < _MOST_KEPT:

            async def look() -> None:
                message = await self._receive()
                self._note(message)
                if not self.disconnected:
                    self._kept.append(message)

            async def lose_patience() -> None:
                for _ in range(_POLL_TURNS):  # a scope cancelled from the start would stop a receive() that has its
                    await anyio.lowlevel.checkpoint()  # answer ready but passes a checkpoint first

            await run_beside(lose_patience, look)
        return self.disconnected

    def _note(self, message: Message) -> None:
        if message["type"] == "http.disconnect":
            self.disconnected = self.body_read = True
        elif not message.get("more_body", False):
            self.body_read = True
        self._wake()

    async def _wait(self) -> None:
        if self._woken is None:
            self._woken = anyio.Event()
        await self._woken.wait()

    def _wake(self) -> None:
        if self._woken is not None:
            self._woken.set()
            self._woken = None


def has_no_body(scope: Scope) -> bool:
    """Whether a GET or HEAD announces no body: no ``Transfer-Encoding``, and no ``Content-Length`` above 0."""
    if scope.get("method") not in ("GET", "HEAD"):
        return False
    return not any(
        name == b"transfer-encoding" or (name == b"content-length" and value != b"0")
        for name, value in scope["headers"]
    )


async def until_disconnect(scope: Scope, receive: Receive, func: Callable[[], Awaitable[None]]) -> bool:
    """Runs ``func`` and cancels it when the client goes away.

    Args:
        receive: The server's, or the ``ForeignReceive`` that the request reads through.

    Returns:
        False if ``func`` was cancelled. Its exceptions come out as they are, in no group.
    """
    register = disconnect_register(scope)
    if register is not None:
        with anyio.CancelScope() as cancel:
            register(cancel.cancel)
            await func()
        return not cancel.cancelled_caught
    foreign = receive if isinstance(receive, ForeignReceive) else ForeignReceive(scope, receive)
    if foreign.guarded:
        await func()
        return True
    return await _until_heard(foreign, func)


async def _until_heard(foreign: ForeignReceive, func: Callable[[], Awaitable[None]]) -> bool:
    foreign.guarded = True
    try:
        return await run_beside(foreign.listen, func)
    finally:
        foreign.guarded = False


async def run_beside(companion: Callable[[], Awaitable[None]], func: Callable[[], Awaitable[None]]) -> bool:
    """Runs ``func`` in this task and ``companion`` in one beside it; whichever ends first cancels the other.

    Returns:
        Whether ``func`` came to its end. An exception of either comes out as it is, in no group.
    """
    failure: Exception | None = None
    finished = False
    async with anyio.create_task_group() as tasks:

        async def accompany() -> None:
            nonlocal failure
            try:
                await companion()
            except Exception as error:  # noqa: BLE001  raised again below, outside of the group that would wrap it
                failure = error
            tasks.cancel_scope.cancel()

        tasks.start_soon(accompany)
        try:
            await func()
            finished = True
        except Exception as error:  # noqa: BLE001  as above
            failure = error
        tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure
    return finished


async def nothing() -> None:
    """For a function that has to return an awaitable, and has nothing to wait for."""


async def close_iterator(iterator: AsyncIterator[object]) -> None:
    """Closes an async iterator that can be closed; ``async for`` does not do it when it is left early."""
    close = getattr(iterator, "aclose", None)
    if close is not None:
        await close()
