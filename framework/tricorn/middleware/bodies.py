"""What middleware that reads or changes bodies has in common: work for threads, files, and trailers.

Rules of this module: a processor that computes is not lent to more threads than there are processors, and never for
longer than ``SLICE_BYTES`` take; a file is read in threads, and no more of it is in memory than one part.
"""

from __future__ import annotations

import os
import stat
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Final, ParamSpec, TypeVar

import anyio.to_thread
from anyio import CapacityLimiter
from anyio.lowlevel import RunVar

from tricorn.concurrency import run_in_thread
from tricorn.headers import RawHeaders
from tricorn.response.offer import OFFER
from tricorn.types import Message, Scope

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


async def read_file_message(message: Message) -> AsyncIterator[bytes]:
    """The bytes that a server would send for one of ``FILE_MESSAGES``, in parts.

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


async def _read(fd: int, offset: int | None, count: int | None) -> AsyncIterator[bytes]:
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


# --- trailers ---------------------------------------------------------------------------------------------------------


def can_have_trailers(scope: Scope, start: Message) -> bool:
    """Whether trailer fields can follow a response that begins so.

    The server has to offer ``http.response.trailers``, the response to have content, and the framing to have room:
    HTTP/1.1 has it in chunked content only (RFC 9112 section 7.1.2), which is what a body without a length becomes.
    """
    status = start["status"]
    if scope["method"] == "HEAD" or status < 200 or status in (204, 205, 304):
        return False
    if "http.response.trailers" not in (scope.get("extensions") or ()):
        return False
    return not scope["http_version"].startswith("1") or not any(
        name == b"content-length" for name, _ in start.get("headers", ())
    )


def with_trailers(start: Message, *names: str) -> Message:
    """The start of a response that is followed by trailer fields of these names (RFC 9110 section 6.6.2)."""
    raw: RawHeaders = list(start.get("headers", ()))
    known = [value for name, value in raw if name == b"trailer"]
    raw = [pair for pair in raw if pair[0] != b"trailer"]
    raw.append((b"trailer", b", ".join([*known, *(name.encode("ascii") for name in names)])))
    return {**start, "headers": raw, "trailers": True}


def was_replaced(start: Message) -> bool:
    """Whether the conditional middleware answered something else in the place of a response of ours.

    Known once the start message has been sent: what follows it then belongs to a message without trailers.
    """
    offer = start.get(OFFER)
    return offer is not None and offer.parts is not None
