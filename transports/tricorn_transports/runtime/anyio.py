"""Any loop that anyio knows, trio first."""

from __future__ import annotations

import signal
import socket
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextlib import suppress
from functools import partial
from typing import Any

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup

from tricorn_transports.connection.tcp import Listener, TcpConnection
from tricorn_transports.connection.udp import UdpSocket
from tricorn_transports.errors import TransportError
from tricorn_transports.exchange.host import log
from tricorn_transports.runtime.base import AcceptFailures, ServerRuntime, UdpFactory
from tricorn_transports.runtime.pump import SocketTransport

_ACCEPT_PAUSE = 0.1


class _Waiter:
    __slots__ = ("_event",)

    def __init__(self) -> None:
        self._event = anyio.Event()

    def wake(self) -> None:
        self._event.set()

    def wait(self) -> Awaitable[None]:
        return self._event.wait()


class AnyioRuntime:
    """Implements ``ServerRuntime`` on the running loop.

    Args:
        tasks: Everything that the runtime starts runs in this group.
    """

    def __init__(self, tasks: TaskGroup, name: str) -> None:
        self._tasks = tasks
        self.name = name
        self._listeners: list[anyio.CancelScope] = []
        self._readers: list[anyio.CancelScope] = []
        self._soon: list[Callable[[], object]] = []
        self._refusals = AcceptFailures()
        self.now = anyio.current_time
        self.waiter = _Waiter
        self.sleep = anyio.sleep

    def spawn(self, func: Callable[[], Coroutine[Any, Any, None]]) -> anyio.CancelScope:
        scope = anyio.CancelScope()
        self._tasks.start_soon(self._run, func, scope)
        return scope

    async def _run(self, func: Callable[[], Coroutine[Any, Any, None]], scope: anyio.CancelScope) -> None:
        with scope:
            await func()

    def call_soon(self, callback: Callable[[], object]) -> None:
        if not self._soon:
            self._tasks.start_soon(self._call_all)
        self._soon.append(callback)

    async def _call_all(self) -> None:
        callbacks, self._soon = self._soon, []
        for callback in callbacks:
            _call(callback)

    def call_at(self, when: float, callback: Callable[[], object]) -> anyio.CancelScope:
        async def wait() -> None:
            await anyio.sleep_until(when)
            _call(callback)

        return self.spawn(wait)

    async def run_sync(self, func: Callable[[], Any]) -> Any:
        return await anyio.to_thread.run_sync(func)

    async def listen(self, sock: socket.socket, listener: Listener) -> None:
        self._listeners.append(self.spawn(partial(self._accept, sock, listener)))

    async def _accept(self, sock: socket.socket, listener: Listener) -> None:
        with sock:  # a socket that nobody accepts on must refuse, not let clients wait in its backlog
            while True:
                await anyio.wait_readable(sock)
                try:
                    accepted, _ = sock.accept()
                except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                    continue
                except OSError as error:  # out of descriptors, most often: connections that end free some
                    self._refusals.log(error, self.now())
                    await anyio.sleep(_ACCEPT_PAUSE)
                    continue
                accepted.setblocking(False)
                if accepted.family != socket.AF_UNIX:
                    accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                transport = SocketTransport(accepted, TcpConnection(listener), self._tasks)
                self._tasks.start_soon(transport.run)

    def read_datagrams(self, sock: socket.socket, make: UdpFactory) -> UdpSocket:
        def want_write(wanted: bool) -> None:
            if wanted:
                self.spawn(write)

        async def write() -> None:
            while udp.has_unsent:
                await anyio.wait_writable(sock)
                _call(udp.writable)

        async def read() -> None:
            while True:
                await anyio.wait_readable(sock)
                _call(udp.readable)

        udp = make(want_write)
        self._readers.append(self.spawn(read))
        return udp

    def stop_listening(self) -> None:
        for scope in self._listeners:
            scope.cancel()
        self._listeners.clear()

    def close(self) -> None:
        self.stop_listening()
        for scope in self._readers:
            scope.cancel()
        self._readers.clear()

    def on_signals(self, numbers: Iterable[int], callback: Callable[[int], None]) -> None:
        reader, writer = socket.socketpair()
        reader.setblocking(False)
        writer.setblocking(False)

        async def watch() -> None:
            with reader, writer:
                while True:
                    await anyio.wait_readable(reader)
                    for number in reader.recv(64):
                        _call(partial(callback, number))

        def hear(number: int, _: object) -> None:
            with suppress(OSError):  # the watcher has ended, or has enough to read
                writer.send(bytes([number]))

        # Not open_signal_receiver(): its end would put the system's own handlers in their place.
        for number in numbers:
            signal.signal(number, hear)
        self._readers.append(self.spawn(watch))

    def ignore_signals(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)


def _call(callback: Callable[[], object]) -> None:
    """Calls as asyncio's loops do: a fault of ours is logged and costs no other connection anything."""
    try:
        callback()
    except Exception:  # noqa: BLE001 - whatever it is, it must not end the task group, which is the server
        log.exception("a fault of the server's own")


async def run_here(main: Callable[[ServerRuntime], Coroutine[Any, Any, None]], backend: str) -> None:
    """Runs ``main`` on the running loop, which is one of ``backend`` (``trio`` or ``asyncio``)."""
    failure: TransportError | None = None
    async with anyio.create_task_group() as tasks:
        try:
            await main(AnyioRuntime(tasks, backend))
        except TransportError as error:  # kept out of the group, which would wrap it
            failure = error
        tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure


def run(main: Callable[[ServerRuntime], Coroutine[Any, Any, None]], backend: str) -> None:
    """Runs ``main`` on a new loop of ``backend``."""
    anyio.run(run_here, main, backend, backend=backend)
