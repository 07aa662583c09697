"""The chunked transfer coding, decoded to the letter (RFC 9112 section 7.1).

Rules of this module: bytes in, parts of a body out, no other state than where in the coding we are. A line is judged
where its line feed comes or where it has become too long, so that the verdict never depends on how the bytes were
divided. It is not the library's, because h11 takes a bare CR, control characters and white space where RFC 9112 has
none, and costs several times as much.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import NamedTuple

from tricorn_transports.config import Limits
from tricorn_transports.engines.h1_syntax import TOKEN, parse_field_line
from tricorn_transports.errors import LimitExceeded, RemoteProtocolError
from tricorn_transports.events import RawHeaders

_QUOTED = rb'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*"'
_EXTENSION = rb"[ \t]*;[ \t]*" + TOKEN + rb"(?:[ \t]*=[ \t]*(?:" + TOKEN + rb"|" + _QUOTED + rb"))?"
_chunk_line = re.compile(rb"([0-9A-Fa-f]{1,16})(?:" + _EXTENSION + rb")*\Z").match
_MAX_CHUNK = (1 << 63) - 1
#: Bytes that chunk sizes, extensions and line ends may take per byte of body, beyond a head's worth: one-byte chunks
#: take five. Without it a peer could make us parse without end and never fill a window.
_MAX_OVERHEAD = 8
#: What RFC 9110 section 6.5.1 keeps out of trailers, and a recipient that merges them would be led astray by.
_NEVER_TRAILERS = frozenset((b"content-length", b"transfer-encoding", b"host"))


class Body(NamedTuple):
    """A part of a request's body.

    Attributes:
        ended: The request is complete.
        error: What is wrong behind ``data``, which itself is right: it counts the same however it was divided.
    """

    data: bytes
    ended: bool
    trailers: RawHeaders | None = None
    error: RemoteProtocolError | None = None


class _At(Enum):
    SIZE = auto()
    DATA = auto()
    DATA_END = auto()
    TRAILERS = auto()


_SIZE, _DATA, _DATA_END, _TRAILERS = _At


class ChunkDecoder:
    """One chunked body.

    Args:
        limits: ``max_head_bytes`` bounds a line, and the trailer section; ``max_fields`` counts the latter.
    """

    __slots__ = ("_at", "_held", "_left", "_max_fields", "_max_line", "_overhead", "_trailers", "_trailers_size")

    def __init__(self, limits: Limits) -> None:
        self._max_line = limits.max_head_bytes
        self._max_fields = limits.max_fields
        self._at = _SIZE
        self._held = bytearray()  # of a line that is not whole
        self._left = 0  # of the running chunk
        self._overhead = -limits.max_head_bytes  # bytes of framing beyond what is granted
        self._trailers: RawHeaders = []
        self._trailers_size = 0

    def decode(self, data: bytes) -> tuple[Body, bytes]:
        """Takes bytes of the coding; gives their part of the body, and what is behind the coding's end."""
        held = self._held
        if held:
            held += data
            if self._at is not _DATA_END and b"\n" not in data and len(held) <= self._max_line + 1:
                return Body(b"", False), b""  # else a line that comes byte by byte is copied for each of them
            data = bytes(held)
            held.clear()
        parts: list[bytes] = []
        start = 0
        try:
            while True:
                if self._at is _DATA:
                    part = data[start : start + self._left]
                    start += len(part)
                    if part:
                        parts.append(part)
                        self._left -= len(part)
                        self._overhead -= _MAX_OVERHEAD * len(part)
                    if self._left:
                        return Body(_join(parts), False), b""
                    self._at = _DATA_END
                line = self._take_line(data, start)
                if line is None:
                    held += data[start:]
                    return Body(_join(parts), False), b""
                start += len(line) + 2
                if self._at is _TRAILERS:
                    if not line:
                        return Body(_join(parts), True, self._trailers or None), data[start:]
                    self._add_trailer(line)
                elif self._at is _DATA_END:
                    if line:
                        raise RemoteProtocolError("a chunk is longer than its size")
                    self._at = _SIZE
                else:
                    self._begin_chunk(line)
        except RemoteProtocolError as error:
            return Body(_join(parts), False, None, error), b""

    def _take_line(self, data: bytes, start: int) -> bytes | None:
        """The line at ``start`` without its end, or ``None`` while it is not whole."""
        if self._at is _DATA_END and data[start : start + 2] not in (b"", b"\r", b"\r\n"):
            raise RemoteProtocolError("a chunk is longer than its size")
        feed = data.find(b"\n", start, start + self._max_line + 2)
        if feed < 0:
            if len(data) - start > self._max_line + 1:
                raise LimitExceeded("a line of the body is too long", limit="max_head_bytes", status_hint=431)
            return None
        if feed == start or data[feed - 1] != 0x0D:
            raise RemoteProtocolError("a line of the body ends without a carriage return")
        return data[start : feed - 1]

    def _begin_chunk(self, line: bytes) -> None:
        match = _chunk_line(line)
        if match is None:
            raise RemoteProtocolError("a chunk's size or extension is invalid")
        self._overhead += len(line) + 4  # with its own line end and the chunk's
        if self._overhead > 0:
            raise LimitExceeded("more chunk framing than body", limit="max_head_bytes", status_hint=431)
        self._left = int(match[1], 16)
        if self._left > _MAX_CHUNK:
            raise RemoteProtocolError("a chunk's size is out of all range")
        self._at = _DATA if self._left else _TRAILERS

    def _add_trailer(self, line: bytes) -> None:
        name, value = parse_field_line(line)
        self._trailers_size += len(line) + 2
        if len(self._trailers) == self._max_fields:
            raise LimitExceeded("too many trailer fields", limit="max_fields", status_hint=431)
        if self._trailers_size > self._max_line:
            raise LimitExceeded("the trailer section is too long", limit="max_head_bytes", status_hint=431)
        if name in _NEVER_TRAILERS:
            raise RemoteProtocolError(f"{name.decode('ascii')} in a trailer section")
        self._trailers.append((name, value))


def _join(parts: list[bytes]) -> bytes:
    return parts[0] if len(parts) == 1 else b"".join(parts)
