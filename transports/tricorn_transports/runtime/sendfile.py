"""Files from the page cache to a socket of asyncio or uvloop, without passing through this process.

``loop.sendfile`` is no help: uvloop has none, and asyncio's waits in a task of its own. ``os.sendfile`` on the
transport's socket is all it takes, between two rules: nothing that the transport still buffers may be overtaken, and
the loop watches no descriptor that belongs to a transport, so that the wait is on a duplicate of it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from errno import EINVAL, ENOSYS, ENOTSUP, EOPNOTSUPP

from tricorn_transports.abc import FileRegion

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

    __slots__ = ("_high_water", "_loop", "_socket", "_transport", "_waits")

    def __init__(self, transport: asyncio.Transport, high_water: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._socket = os.dup(transport.get_extra_info("socket").fileno())
        self._transport = transport
        self._high_water = high_water
        self._waits = False
        transport.set_write_buffer_limits(0)

    def copy(self, region: FileRegion) -> None:
        """Sends what the socket takes now, within bounds, and moves the region on.

        Raises:
            OSError: The file is shorter than the region or cannot be read, or the peer is gone (``ConnectionError``).
        """
        left = region.left - _ROUND
        try:
            while region.left > 0 and region.left > left:
                count = _copy(self._socket, region.fd, region.offset, min(region.left, _CALL))
                if count == 0:
                    raise OSError(f"the file has become shorter: {region.left} bytes of it are missing")
                region.offset += count
                region.left -= count
        except (BlockingIOError, InterruptedError):
            return

    def wait(self, callback: Callable[[], object]) -> None:
        """Calls ``callback`` whenever the socket has room, until ``close()``."""
        if not self._waits:
            self._waits = True
            self._loop.add_writer(self._socket, callback)

    def close(self) -> None:
        """Leaves the socket to its transport."""
        if self._socket >= 0:
            if self._waits:
                self._loop.remove_writer(self._socket)
            os.close(self._socket)
            self._socket = -1
            self._transport.set_write_buffer_limits(self._high_water)


def _copy(target: int, source: int, offset: int, count: int) -> int:
    try:
        return os.sendfile(target, source, offset, count)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
    return os.write(target, os.pread(source, min(count, _READ), offset))
