"""Files for ``pathsend`` and ``zerocopysend``: what they hold, and how they are read where they cannot be copied.

Rules of this module: whatever may wait for a disk runs in a thread, a bounded part at a time.
"""

from __future__ import annotations

import os
import stat
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO

from tricorn_transports.abc import Runtime

CHUNK = 131_072


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


async def read_region(runtime: Runtime, region: Region) -> AsyncIterator[bytes]:
    """Yields the region's bytes, at most ``CHUNK`` at a time; fewer in all if the file is shorter."""
    offset, left = region.offset, region.length
    while left is None or left > 0:
        count = CHUNK if left is None else min(left, CHUNK)
        data = await runtime.run_sync(partial(os.pread, region.fd, count, offset))
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
