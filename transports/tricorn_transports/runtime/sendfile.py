"""Files from the page cache to a socket of asyncio or uvloop, without passing through this process.

``loop.sendfile`` is no help: uvloop has none, and asyncio's waits in a task of its own. ``os.sendfile`` on the
transport's socket is all it takes, between three rules: nothing that the transport still buffers may be overtaken; the
loop watches no descriptor that belongs to a transport, so that the wait is on a duplicate of it; and what is not in the
kernel's memory is brought there by a thread before, because ``sendfile`` would wait for the disk, and all connections
with it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from errno import EINVAL, ENOSYS, ENOTSUP, EOPNOTSUPP

from tricorn_transports.abc import FileRegion
from tricorn_transports.exchange.files import is_in_memory

#: Bytes of one call, and of all calls in one round of the loop: the other connections wait that long.
_CALL = 1_048_576
_ROUND = 4 * _CALL
_READ = 131_072
#: What a file system says whose files cannot be sent this way.
_UNSUPPORTED = (EINVAL, ENOSYS, ENOTSUP, EOPNOTSUPP)


class SocketCopier:
    """Implements ``connection.tcp.Copier`` for the length of one file.

    Args:
        transport: Told to say at once when it buffers anything, and when it no longer does, until ``close()``.

    Raises:
        OSError: The socket is closed already.
    """

    __slots__ = ("_high_water", "_loaded", "_loop", "_missing", "_socket", "_transport", "_waits")

    def __init__(self, transport: asyncio.Transport, high_water: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._socket = os.dup(transport.get_extra_info("socket").fileno())
        self._transport = transport
        self._high_water = high_water
        self._waits = False
        self._missing: tuple[int, int, int] | None = None  # what the next wait is for, if not for the socket
        self._loaded = 0  # the file's bytes before it were in memory a moment ago
        transport.set_write_buffer_limits(0)

    def copy(self, region: FileRegion) -> None:
        """Sends what the socket takes now, within bounds, and moves the region on.

        Raises:
            OSError: The file is shorter than the region or cannot be read, or the peer is gone (``ConnectionError``).
        """
        left = region.left - _ROUND
        try:
            while region.left > 0 and region.left > left:
                if region.offset >= self._loaded:
                    count = min(region.left, _CALL)
                    self._loaded = region.offset + count
                    if is_in_memory(region.fd, region.offset, count) is False:
                        self._missing = (os.dup(region.fd), count, region.offset)
                        return
                sent = _copy(self._socket, region.fd, region.offset, self._loaded - region.offset)
                if sent == 0:
                    raise OSError(f"it has become shorter, {region.left} bytes are missing")
                region.offset += sent
                region.left -= sent
        except (BlockingIOError, InterruptedError):
            return

    def wait(self, callback: Callable[[], object]) -> None:
        """Calls ``callback`` when it may go on, and again whenever the socket has room, until ``close()``."""
        if self._missing is not None:
            missing, self._missing = self._missing, None
            self._stop_waiting()
            self._loop.run_in_executor(None, _load, *missing).add_done_callback(lambda _: self._loaded_now(callback))
        elif not self._waits:
            self._waits = True
            self._loop.add_writer(self._socket, callback)

    def _loaded_now(self, callback: Callable[[], object]) -> None:
        if self._socket >= 0:
            callback()

    def _stop_waiting(self) -> None:
        if self._waits:
            self._waits = False
            self._loop.remove_writer(self._socket)

    def close(self) -> None:
        """Leaves the socket to its transport."""
        if self._socket >= 0:
            self._stop_waiting()
            os.close(self._socket)
            self._socket = -1
            if self._missing is not None:
                os.close(self._missing[0])
                self._missing = None
            self._transport.set_write_buffer_limits(self._high_water)


def _copy(target: int, source: int, offset: int, count: int) -> int:
    try:
        return os.sendfile(target, source, offset, count)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
    return os.write(target, os.pread(source, min(count, _READ), offset))


def _load(fd: int, count: int, offset: int) -> None:
    """Reads a part of a file for the sake of having it read. The descriptor is its own."""
    try:
        os.pread(fd, count, offset)
    except OSError:
        pass  # the copy that comes next meets the same, and tells of it
    finally:
        os.close(fd)
