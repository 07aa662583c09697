"""Files for ``pathsend`` and ``zerocopysend``: what they hold, and how they are read where they cannot be copied.

Rules of this module: whatever may wait for a disk runs in a thread, a bounded part at a time. What is in the kernel's
memory does not wait: it is read in place, for less than the hop to a thread costs.
"""

from __future__ import annotations

import os
import stat
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from io import IOBase
from typing import Any, BinaryIO

from tricorn_transports.abc import Runtime

CHUNK = 131_072

_NOWAIT: int = getattr(os, "RWF_NOWAIT", 0)  # Linux
_probe = [bytearray(1)]


@dataclass(slots=True)
class Region:
    """A part of an open file: ``length`` bytes from ``offset``, or to the end where it is ``None``."""

    fd: int
    offset: int
    length: int | None

    def count(self) -> int | None:
        """Bytes that there are of it now; ``None`` for what is no regular file, or does not know its size (``/proc``).

        ``fstat`` of an open file: no disk is asked.
        """
        info = os.fstat(self.fd)
        if not stat.S_ISREG(info.st_mode) or not info.st_size:
            return None
        there = max(info.st_size - self.offset, 0)
        return there if self.length is None else min(self.length, there)


class Opened:
    """What ``zerocopysend`` calls a file: a descriptor, or an object that has one.

    A file object's own position counts, not the descriptor's: they differ where it reads ahead.
    """

    __slots__ = ("_file", "fd")

    def __init__(self, file: Any) -> None:
        self._file = file
        self.fd: int = file if isinstance(file, int) else file.fileno()

    def where(self) -> int:
        """Where the file stands."""
        return self._file.tell() if isinstance(self._file, IOBase) else os.lseek(self.fd, 0, os.SEEK_CUR)

    def move(self, position: int) -> None:
        """What comes next is from there on."""
        if isinstance(self._file, IOBase):
            self._file.seek(position)
        else:
            os.lseek(self.fd, position, os.SEEK_SET)


def is_in_memory(fd: int, offset: int, count: int) -> bool | None:
    """Whether a part of a file can be read without waiting for a disk, as far as its ends tell.

    Returns:
        ``None`` where neither the system nor the file's file system can tell.
    """
    if not _NOWAIT:
        return None
    try:
        os.preadv(fd, _probe, offset, _NOWAIT)
        os.preadv(fd, _probe, offset + count - 1, _NOWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


async def read_region(runtime: Runtime, region: Region) -> AsyncIterator[bytes]:
    """Yields the region's bytes, at most ``CHUNK`` at a time; fewer in all if the file is shorter."""
    offset, left = region.offset, region.length
    while left is None or left > 0:
        count = CHUNK if left is None else min(left, CHUNK)
        read = partial(os.pread, region.fd, count, offset)
        data: bytes = read() if is_in_memory(region.fd, offset, count) else await runtime.run_sync(read)
        if not data:
            return
        yield data
        offset += len(data)
        if left is not None:
            left -= len(data)


async def open_file(runtime: Runtime, path: str) -> tuple[BinaryIO, bytes, int]:
    """Opens a file, and reads a small one in the same thread call: the file, what was read of it, and its size.

    Raises:
        OSError: It cannot be opened or read.
    """

    def job() -> tuple[BinaryIO, bytes, int]:
        file = open(path, "rb", buffering=0)  # noqa: SIM115 - the caller closes it
        try:
            size = os.fstat(file.fileno()).st_size
            return file, os.pread(file.fileno(), size, 0) if size <= CHUNK else b"", size
        except OSError:
            file.close()
            raise

    opened: tuple[BinaryIO, bytes, int] = await runtime.run_sync(job)
    return opened
