"""asyncio and uvloop: the connection is the protocol object, with nothing in between.

From Python 3.12 on a request's task starts eagerly, so an application that never waits is answered inside
``data_received``.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Iterable
from functools import partial
from typing import Any, cast

from tricorn_transports.connection.tcp import ByteTransport, Listener, TcpConnection
from tricorn_transports.connection.udp import UdpSocket
from tricorn_transports.runtime.base import AcceptFailures, ServerRuntime, UdpFactory, ends_of
from tricorn_transports.runtime.sendfile import SocketCopier
from tricorn_transports.sockets import BACKLOG

_EAGER = sys.version_info >= (3, 12)
_HIGH_WATER = 65_536
# Bytes of one read. The loop's own 256 KiB of the smallest frames keep the other connections waiting for half a second.
_READ = 65_536


class _Waiter:
    """A future that nothing but its waiter sees."""

    __slots__ = ("_future",)

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._future: asyncio.Future[None] = loop.create_future()

    def wake(self) -> None:
        if not self._future.done():
            self._future.set_result(None)

    def wait(self) -> asyncio.Future[None]:
        return self._future


class _Connection(TcpConnection, asyncio.BufferedProtocol):
    """One connection, read into the one buffer that all connections of a loop share."""

    __slots__ = ("_buffer",)

    copies_files = hasattr(os, "sendfile")

    def __init__(self, listener: Listener, buffer: memoryview) -> None:
        super().__init__(listener)
        self._buffer = buffer

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.data_received(bytes(self._buffer[:nbytes]))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        stream = cast(asyncio.Transport, transport)  # uvloop's is one in all but name
        stream.set_write_buffer_limits(high=_HIGH_WATER)
        client, server = ends_of(stream.get_extra_info("socket"))
        self.connected(cast(ByteTransport, stream), client, server)

    def make_copier(self, transport: ByteTransport) -> SocketCopier:
        return SocketCopier(cast(asyncio.Transport, transport), _HIGH_WATER)


class AsyncioRuntime:
    """Implements ``ServerRuntime`` on the running asyncio or uvloop loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.name = "uvloop" if "uvloop" in type(loop).__module__ else "asyncio"
        self._servers: list[asyncio.Server] = []
        self._udp: list[socket.socket] = []
        self._buffer = memoryview(bytearray(_READ))
        self._refusals = AcceptFailures()
        self.now = loop.time
        self.call_at = loop.call_at
        self.call_soon = loop.call_soon
        self.sleep = asyncio.sleep

    def failed(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """The loop's handler of exceptions that nobody caught.

        Where no connection can be accepted, asyncio tells of each slot of the backlog, and tries again for each.
        """
        error, message = context.get("exception"), context["message"]
        if isinstance(error, OSError) and "accept()" in message:
            self._refusals.log(error, loop.time())
        elif self._servers or "_start_serving" not in message:  # else: it tries still, and the server is closed
            loop.default_exception_handler(context)

    def waiter(self) -> _Waiter:
        return _Waiter(self._loop)

    if _EAGER:

        def spawn(self, func: Callable[[], Coroutine[Any, Any, None]]) -> asyncio.Task[None]:
            return asyncio.Task(func(), loop=self._loop, eager_start=True)  # type: ignore[call-arg]  # 3.12

    else:

        def spawn(self, func: Callable[[], Coroutine[Any, Any, None]]) -> asyncio.Task[None]:
            return self._loop.create_task(func())

    async def run_sync(self, func: Callable[[], Any]) -> Any:
        return await self._loop.run_in_executor(None, func)

    async def listen(self, sock: socket.socket, listener: Listener) -> None:
        make = partial(_Connection, listener, self._buffer)
        if sock.family == socket.AF_UNIX:
            server = await self._loop.create_unix_server(make, sock=sock, backlog=BACKLOG)
        else:
            server = await self._loop.create_server(make, sock=sock, backlog=BACKLOG)
        self._servers.append(server)

    def read_datagrams(self, sock: socket.socket, make: UdpFactory) -> UdpSocket:
        loop = self._loop

        def want_write(wanted: bool) -> None:
            if wanted:
                loop.add_writer(sock, udp.writable)
            else:
                loop.remove_writer(sock)

        udp = make(want_write)
        loop.add_reader(sock, udp.readable)
        self._udp.append(sock)
        return udp

    def stop_listening(self) -> None:
        for server in self._servers:
            server.close()
        self._servers.clear()

    def close(self) -> None:
        self.stop_listening()
        for sock in self._udp:
            self._loop.remove_reader(sock)
            self._loop.remove_writer(sock)
        self._udp.clear()

    def on_signals(self, numbers: Iterable[int], callback: Callable[[int], None]) -> None:
        for number in numbers:
            self._loop.add_signal_handler(number, callback, number)

    def ignore_signals(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            self._loop.remove_signal_handler(number)  # else the loop's end would put the system's own in their place
            signal.signal(number, signal.SIG_IGN)


async def run_here(main: Callable[[ServerRuntime], Coroutine[Any, Any, None]]) -> None:
    """Runs ``main`` on the running loop."""
    await main(AsyncioRuntime(asyncio.get_running_loop()))


def run(main: Callable[[ServerRuntime], Coroutine[Any, Any, None]], *, uvloop: bool) -> None:
    """Runs ``main`` on a new loop.

    Args:
        uvloop: Whether the loop is uvloop's.
    """
    factory: Callable[[], asyncio.AbstractEventLoop] | None = None
    if uvloop:
        import uvloop as uvloop_library

        factory = uvloop_library.new_event_loop

    async def start() -> None:
        loop = asyncio.get_running_loop()
        runtime = AsyncioRuntime(loop)
        loop.set_exception_handler(runtime.failed)
        await main(runtime)

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(start())
