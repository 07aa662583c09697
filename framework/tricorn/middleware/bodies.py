"""What middleware that reads or changes bodies has in common: work for threads, and files.

Rules of this module: a processor that computes is not lent to more threads than there are processors, and never for
longer than ``SLICE_BYTES`` take; a file is read in threads, and no more of it is in memory than one part.
"""

from __future__ import annotations

import os
import stat
from collections.abc import AsyncGenerator, Callable
from functools import partial
from typing import Final, ParamSpec, TypeVar

import anyio.to_thread
from anyio import CapacityLimiter
from anyio.lowlevel import RunVar

from tricorn.concurrency import run_in_thread
from tricorn.types import Message

P = ParamSpec("P")
T = TypeVar("T")

#: Messages in whose place the server sends a file.
FILE_MESSAGES: Final = frozenset({"http.response.pathsend", "http.response.zerocopysend"})
#: Messages that carry a response's body.
BODY_MESSAGES: Final = FILE_MESSAGES | {"http.response.body"}

#: Bytes that are worked on in one go: some 4 ms of compression.
SLICE_BYTES: Final = 256 * 1024

_limiter: RunVar[CapacityLimiter] = RunVar("tricorn.middleware.compute")


async def compute(func: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Runs what keeps a processor busy in a thread; it should let go of the interpreter's lock.

    These threads are counted apart from those that wait for files and databases, so that neither holds up the other.
    """
    try:
        limiter = _limiter.get()
    except LookupError:
        limiter = CapacityLimiter(os.cpu_count() or 1)
        _limiter.set(limiter)
    return await anyio.to_thread.run_sync(partial(func, *args, **kwargs), limiter=limiter)


async def read_file_message(message: Message) -> AsyncGenerator[bytes, None]:
    """The bytes that a server would send for one of ``FILE_MESSAGES``, in parts; to be closed.

    Raises:
        FileNotFoundError, PermissionError: The path cannot be opened.
        RuntimeError: The file became shorter than was asked for.
    """
    if message["type"] == "http.response.pathsend":
        fd = await run_in_thread(os.open, message["path"], os.O_RDONLY)
        try:
            async for part in _read(fd, 0, await run_in_thread(_size, fd)):
                yield part
        finally:
            os.close(fd)
        return
    file = message["file"]
    fd = file if isinstance(file, int) else file.fileno()
    async for part in _read(fd, message.get("offset"), message.get("count")):
        yield part


def _size(fd: int) -> int:
    info = os.fstat(fd)
    if not stat.S_ISREG(info.st_mode):
        raise IsADirectoryError("what is to be sent is not a regular file")
    return info.st_size


async def _read(fd: int, offset: int | None, count: int | None) -> AsyncGenerator[bytes, None]:
    """``count`` bytes (all there are) from ``offset`` (the file's own position) on."""
    while count is None or count > 0:
        size = SLICE_BYTES if count is None else min(SLICE_BYTES, count)
        if offset is None:
            part = await run_in_thread(os.read, fd, size)
        else:
            part = await run_in_thread(os.pread, fd, size, offset)
            offset += len(part)
        if count is not None:
            count -= len(part)
        if part:
            yield part
        elif count is None:
            return
        else:
            raise RuntimeError(f"a file became shorter by {count} bytes while it was sent")
