"""What a server asks of a runtime, beyond what a connection asks (``abc.Runtime``)."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterable
from math import inf
from typing import Protocol, TypeAlias

from tricorn_transports.abc import Runtime
from tricorn_transports.connection.tcp import Listener
from tricorn_transports.connection.udp import UdpSocket
from tricorn_transports.exchange.host import log

Address: TypeAlias = tuple[str, int]

#: Makes the driver of a UDP socket, given the switch that asks for ``writable()`` calls.
UdpFactory: TypeAlias = Callable[[Callable[[bool], None]], UdpSocket]


#: Seconds between two lines about connections that cannot be accepted.
_SAY_AGAIN = 10.0


class AcceptFailures:
    """Tells the log that connections cannot be accepted, for lack of descriptors most often, but not all the time."""

    def __init__(self) -> None:
        self._quiet_until = -inf

    def log(self, error: OSError, now: float) -> None:
        if now >= self._quiet_until:
            self._quiet_until = now + _SAY_AGAIN
            log.error("cannot accept connections: %s", error.strerror)


class ServerRuntime(Runtime, Protocol):
    """A runtime that can listen."""

    name: str

    async def listen(self, sock: socket.socket, listener: Listener) -> None:
        """Accepts connections on a listening socket until ``stop_listening``."""

    def read_datagrams(self, sock: socket.socket, make: UdpFactory) -> UdpSocket:
        """Reads a UDP socket until ``close``."""

    def stop_listening(self) -> None:
        """Accepts nothing more; what was accepted goes on."""

    def close(self) -> None:
        """Reads no datagram any more."""

    async def sleep(self, seconds: float) -> None: ...

    def on_signals(self, numbers: Iterable[int], callback: Callable[[int], None]) -> None:
        """Calls ``callback`` with the number of each signal that arrives. Main thread only."""

    def ignore_signals(self, numbers: Iterable[int]) -> None:
        """Hears these no more: they do nothing from now on, also when the loop is closed."""


def is_asyncio() -> bool:
    """Whether the loop that runs here is asyncio's, or one in its place."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def ends_of(sock: socket.socket) -> tuple[Address | None, tuple[str, int | None] | None]:
    """The scope's ``client`` and ``server`` of a connected socket; a Unix socket has a path and no client."""
    local = sock.getsockname()
    if sock.family == socket.AF_UNIX:
        return None, (local if isinstance(local, str) else "", None)
    try:
        peer = sock.getpeername()
    except OSError:  # gone already
        return None, (local[0], local[1])
    return (peer[0], peer[1]), (local[0], local[1])
