"""HTTP/1.1 requests out of bytes: where a head ends, which bytes are body, and the limits of both.

Rules of this module: what the peer got wrong is raised as ``RemoteProtocolError``. Nothing behind a message is given to
the parser: it sits in ``held`` until it is asked for. The verdict on a message does not depend on how its bytes were
divided. The parser is a library's (``Parser``), so another one needs another twenty lines and not another engine.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple, Protocol

from tricorn_transports.config import Limits
from tricorn_transports.engines.h1_head import RequestHead, judge_oversized, read_request
from tricorn_transports.errors import LimitExceeded, RemoteProtocolError
from tricorn_transports.events import RawHeaders

#: A line feed without its carriage return: two parsers could see two different messages (RFC 9112 section 2.2).
_BARE_LF = re.compile(rb"(?<!\r)\n")
#: Bytes that chunk sizes, extensions and line ends may take per byte of body, beyond a head's worth: one-byte chunks
#: take five. Without it a peer could make us parse without end and never fill a window.
_MAX_CHUNK_OVERHEAD = 8


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


class Parser(Protocol):
    """What the reader needs of a parsing library, for one request."""

    def parse_head(self, head: bytes) -> tuple[bytes, bytes, bytes, RawHeaders]:
        """Method, target, version (``b"1.1"``) and field lines of one whole head.

        Raises:
            RemoteProtocolError: The head breaks the syntax.
        """

    def decode_chunks(self, data: bytes) -> tuple[Body, bytes]:
        """Takes bytes of a chunked body; gives its part of the body, and what is behind its end."""


class RequestReader:
    """Cuts one connection's input into heads and bodies, one request at a time.

    Args:
        scheme: What the connection below makes of every request: ``b"http"`` or ``b"https"``.
        new_parser: Makes the parser of one request; it is told the most bytes of an unfinished line it may hold.

    Attributes:
        held: What has not been taken yet: a part of a head, or everything behind the running request.
        is_head: The method of the request last looked at is HEAD.
        chunked: The running request's body is chunked; else ``left`` counts it down.
        left: Bytes of the body still to come, by its content-length.
    """

    # fmt: off
    __slots__ = (
        "_limits", "_new_parser", "_overhead", "_parser", "_received", "_scanned", "_scheme", "_skipped_line",
        "chunked", "held", "is_head", "left",
    )
    # fmt: on

    def __init__(self, limits: Limits, scheme: bytes, new_parser: Callable[[int], Parser]) -> None:
        self._limits = limits
        self._new_parser = new_parser
        self._scheme = scheme
        self._parser: Parser | None = None
        self._scanned = 0
        self._skipped_line = False
        self._received = 0
        self._overhead = 0
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
        end = held.find(b"\r\n\r\n", self._scanned) + 4
        limits = self._limits
        if end == 3 or end > limits.max_head_bytes:
            self._check_unfinished(end > 3)
            self._scanned = max(0, len(held) - 3)
            return None
        head = bytes(held[:end])
        del held[:end]
        self.is_head = head.startswith(b"HEAD ")
        lines = head.count(b"\r\n")
        if head.count(b"\n") != lines:
            raise RemoteProtocolError("a line of the head ends without a carriage return")
        if lines - 2 > limits.max_fields:
            raise LimitExceeded("too many field lines", limit="max_fields", status_hint=431)
        parser = self._new_parser(limits.max_head_bytes)
        method, target, version, fields = parser.parse_head(head)
        request = read_request(stream_id, method, target, version, fields, scheme=self._scheme, limits=limits)
        self._parser = parser
        self._scanned = self._received = self._overhead = 0
        self._skipped_line = False
        self.chunked = request.chunked
        self.left = request.started.content_length or 0
        return request

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
        if self.chunked:
            return self._read_chunks(data)
        if len(data) > self.left:
            self.held += data[self.left :]
            data = data[: self.left]
        self.left -= len(data)
        return Body(data, not self.left)

    def _read_chunks(self, data: bytes) -> Body:
        assert self._parser is not None
        body, behind = self._parser.decode_chunks(data)
        self.held += behind
        self._received += len(body.data)
        self._overhead += len(data) - len(behind) - len(body.data)
        if body.error is not None:
            return body
        if body.trailers is not None and len(body.trailers) > self._limits.max_fields:
            error = LimitExceeded("too many trailer fields", limit="max_fields", status_hint=431)
        elif self._overhead > self._limits.max_head_bytes + _MAX_CHUNK_OVERHEAD * self._received:
            error = LimitExceeded("more chunk framing than body", limit="max_head_bytes", status_hint=431)
        else:
            return body
        return Body(body.data, False, None, error)
