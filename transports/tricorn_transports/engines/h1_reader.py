"""HTTP/1.1 requests out of bytes: where a head ends, which bytes are body, and the limits of both.

Rules of this module: what the peer got wrong is raised as ``RemoteProtocolError``. Nothing behind a message is given to
the parser: it sits in ``held`` until it is asked for. The verdict on a message does not depend on how its bytes were
divided. What comes before the parser (``h1_syntax``) is stricter than any of them, so that another parser is another
twenty lines and cannot see another message.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeAlias

from tricorn_transports.config import Limits
from tricorn_transports.engines.h1_chunks import Body, ChunkDecoder
from tricorn_transports.engines.h1_head import RequestHead, judge_oversized, read_request
from tricorn_transports.engines.h1_syntax import check_head, check_request_line
from tricorn_transports.errors import LimitExceeded, RemoteProtocolError
from tricorn_transports.events import RawHeaders

#: A line feed without its carriage return: two parsers could see two different messages (RFC 9112 section 2.2).
_BARE_LF = re.compile(rb"(?<!\r)\n")

#: Method, target, version (``b"1.1"``) and field lines of one whole head, which ``h1_syntax`` has passed. It raises
#: ``RemoteProtocolError`` for what it does not take.
HeadParser: TypeAlias = Callable[[bytes], tuple[bytes, bytes, bytes, RawHeaders]]


class RequestReader:
    """Cuts one connection's input into heads and bodies, one request at a time.

    Args:
        scheme: What the connection below makes of every request: ``b"http"`` or ``b"https"``.
        parse_head: The parsing library.

    Attributes:
        held: What has not been taken yet: a part of a head, or everything behind the running request.
        is_head: The method of the request last looked at is HEAD.
        chunked: The running request's body is chunked; else ``left`` counts it down.
        left: Bytes of the body still to come, by its content-length.
    """

    # fmt: off
    __slots__ = (
        "_chunks", "_limits", "_line_end", "_parse_head", "_scanned", "_scheme", "_skipped_line",
        "chunked", "held", "is_head", "left",
    )
    # fmt: on

    def __init__(self, limits: Limits, scheme: bytes, parse_head: HeadParser) -> None:
        self._limits = limits
        self._parse_head = parse_head
        self._scheme = scheme
        self._chunks: ChunkDecoder | None = None
        self._scanned = 0
        self._line_end = -1  # of the request line; -1 until it is whole and right
        self._skipped_line = False
        self.held = bytearray()
        self.is_head = False
        self.chunked = False
        self.left = 0

    def read_head(self, stream_id: int) -> RequestHead | None:
        """The next request's head out of ``held``, or ``None`` while it is not whole.

        Raises:
            RemoteProtocolError: It will never be a request; ``status_hint`` says how to answer.
        """
        held = self.held
        if held[0] < 0x21 and not self._skip_empty_line():
            return None
        limits = self._limits
        if self._line_end < 0:
            self._check_request_line()
        end = held.find(b"\r\n\r\n", self._scanned) + 4
        if end == 3 or end > limits.max_head_bytes:
            self._check_unfinished(end > 3)
            self._scanned = max(0, len(held) - 3)
            return None
        head = bytes(held[:end])
        del held[:end]
        check_head(head, self._line_end)
        if head.count(b"\n") - 2 > limits.max_fields:
            raise LimitExceeded("too many field lines", limit="max_fields", status_hint=431)
        method, target, version, fields = self._parse_head(head)
        request = read_request(stream_id, method, target, version, fields, scheme=self._scheme)
        self._scanned = 0
        self._line_end = -1
        self._skipped_line = False
        self.chunked = request.chunked
        self._chunks = ChunkDecoder(limits) if request.chunked else None
        self.left = request.started.content_length or 0
        return request

    def _check_request_line(self) -> None:
        """Judges it as soon as it is there: what is not HTTP/1.1 may never send the end of a head."""
        held = self.held
        end = held.find(b"\r\n", max(0, self._scanned - 1), self._limits.max_head_bytes)
        if end >= 0:
            self.is_head = held.startswith(b"HEAD ")
            check_request_line(bytes(held[:end]), self._limits)
            self._line_end = end

    def _skip_empty_line(self) -> bool:
        """RFC 9112 section 2.2: one empty line before a request is forgiven; True if there is more behind it."""
        held = self.held
        self.is_head = False
        if self._skipped_line or not b"\r\n".startswith(held[:2]):
            raise RemoteProtocolError("the request line is invalid")
        if len(held) == 1:
            return False
        del held[:2]
        self._skipped_line = True
        if held and held[0] < 0x21:
            raise RemoteProtocolError("the request line is invalid")
        return bool(held)

    def _check_unfinished(self, too_long: bool) -> None:
        """Refuses a head that is too long, or whose end will never be found."""
        limits = self._limits
        start = self.held[: limits.max_head_bytes]
        self.is_head = start.startswith(b"HEAD ")
        if _BARE_LF.search(start, self._scanned):
            raise RemoteProtocolError("a line of the head ends without a carriage return")
        if too_long or len(self.held) > limits.max_head_bytes:
            raise judge_oversized(bytes(start), limits)

    def read_body(self, data: bytes) -> Body:
        """Takes the next bytes of the running request; what is behind its end goes to ``held``."""
        if self._chunks is not None:
            body, behind = self._chunks.decode(data)
            self.held += behind
            return body
        if len(data) > self.left:
            self.held += data[self.left :]
            data = data[: self.left]
        self.left -= len(data)
        return Body(data, not self.left)
