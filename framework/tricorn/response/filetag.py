"""The strong entity tag of a file.

Rules of this module: two contents never share a strong tag. The times that a file system keeps cannot promise that:
they are set by archives and deployments (the same for every version, often enough), and tick too slowly to tell two
writes from each other. So a file of ordinary size is tagged by its content, which is hashed once for each state of the
file and gives the same tag on every machine. A large one is tagged by all that ``fstat`` says, its change time above
all, which nobody can set, and only weakly while that time is too fresh to rule out another write in the same tick.
"""

from __future__ import annotations

import os
from hashlib import sha256
from threading import Lock
from time import sleep, time_ns
from typing import Final, NamedTuple

from tricorn.caching.etag import ETag

#: Characters of a digest that make a tag: 128 bits.
_TAG_LENGTH: Final = 32
#: Bytes of a file that is hashed. In a worker thread; it takes some 5 ms, once.
MAX_HASHED_BYTES: Final = 8 * 1024 * 1024

_CHUNK = 256 * 1024
_MAX_KNOWN = 8192
#: Kernels stamp files with the time of their last tick, 1 to 10 ms apart; old file systems keep whole seconds or two.
_TICK_NS = 20_000_000
_COARSE_NS = 2_000_000_000

_State = tuple[int, int, int, int, int]
_known: dict[_State, str] = {}
_lock = Lock()


class Tagged(NamedTuple):
    """A file's tag.

    Attributes:
        tag: Strong, but for a large file that has changed just now.
        info: What ``fstat`` said of the state that it is the tag of.
        sha256: Of the content in this state, in hexadecimal, where it was read.
    """

    tag: ETag
    info: os.stat_result
    sha256: str | None


def file_etag(fd: int) -> Tagged:
    """The tag of an open file. Blocks; the file's position stays where it is."""
    info = os.fstat(fd)
    if info.st_size <= MAX_HASHED_BYTES:
        return _by_content(content_digest(fd, info), info)
    if 0 <= time_ns() - info.st_ctime_ns < _TICK_NS:
        sleep(_TICK_NS / 1e9)  # a write that comes now gets another time than the one before
        info = os.fstat(fd)
    coarse = info.st_ctime_ns % 1_000_000_000 == 0
    fresh = time_ns() - info.st_ctime_ns < (_COARSE_NS if coarse else _TICK_NS)
    return Tagged(ETag.of(*_state(info), weak=fresh), info, known_digest(info))


def known_etag(info: os.stat_result) -> Tagged | None:
    """The tag of a file in this state, if it can be told without reading it and without waiting."""
    digest = known_digest(info)
    if info.st_size <= MAX_HASHED_BYTES:
        return None if digest is None else _by_content(digest, info)
    if 0 <= time_ns() - info.st_ctime_ns < _COARSE_NS:
        return None
    return Tagged(ETag.of(*_state(info)), info, digest)


def _by_content(digest: str, info: os.stat_result) -> Tagged:
    return Tagged(ETag(digest[:_TAG_LENGTH]), info, digest)


def known_digest(info: os.stat_result) -> str | None:
    """``content_digest`` of a file in this state, if it was asked for before."""
    return _known.get(_state(info))


def _state(info: os.stat_result) -> _State:
    return (info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns)


def content_digest(fd: int, info: os.stat_result) -> str:
    """The SHA-256 of an open file's content, of whatever size, in hexadecimal: the same on every machine.

    Blocks; it is computed once for each state of the file.

    Args:
        info: What ``fstat`` says of it now.
    """
    state = _state(info)
    known = _known.get(state)
    if known is not None:
        return known
    digest = sha256()
    offset = 0
    while data := os.pread(fd, min(_CHUNK, info.st_size - offset), offset):  # what has grown on is not sent either
        digest.update(data)
        offset += len(data)
    text = digest.hexdigest()
    if time_ns() - info.st_ctime_ns > _COARSE_NS:  # else another write may leave the same state behind
        with _lock:
            if len(_known) >= _MAX_KNOWN:
                _known.clear()
            _known[state] = text
    return text
