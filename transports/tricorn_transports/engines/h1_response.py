"""HTTP/1.1 responses as bytes: heads, body framing and the queue in which they wait for the socket.

Rules of this module: field names and values come checked (the exchange does that), so each is written once and
validated never again. A response goes NONE > BEGUN > DONE; only ``DONE`` has put a valid end on the wire, and only an
application that kept its own content-length gets there (RFC 9112 section 8).
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto

from tricorn_transports.abc import FileRegion
from tricorn_transports.errors import LocalProtocolError
from tricorn_transports.events import RawHeaders
from tricorn_transports.http.status import PHRASES

#: The most that one ``drain()`` gives away, and the longest single piece that is queued.
_BURST = 262_144
#: Up to here a chunk is joined with its size and line end: one piece of output instead of three.
_SMALL_CHUNK = 8_192
#: The fields that framing decides (RFC 9112 sections 6 and 9).
_FRAMING_FIELDS = frozenset((b"content-length", b"transfer-encoding", b"connection"))
_STATUS_LINES = {status: b"HTTP/1.1 %d %b\r\n" % (status, phrase.encode()) for status, phrase in PHRASES.items()}


class Phase(Enum):
    """How far the running exchange's response is."""

    NONE = auto()
    BEGUN = auto()
    DONE = auto()


_NONE, _BEGUN, _DONE = Phase


class ResponseWriter:
    """The sending half of a connection: one response after the other, over one queue.

    Args:
        send_buffer: Bytes that may be queued before ``room()`` says stop.

    Attributes:
        phase: Of the running exchange's response.
        queued: Bytes in the queue, of this response and of those before it: they must leave first.
    """

    __slots__ = (
        "_chunked",
        "_drops_body",
        "_files",
        "_is_full",
        "_left",
        "_out",
        "_send_buffer",
        "_stream_id",
        "phase",
        "queued",
    )

    def __init__(self, send_buffer: int) -> None:
        self.phase = _NONE
        self.queued = 0
        self._send_buffer = send_buffer
        self._stream_id = 0
        self._out: list[bytes | FileRegion] = []
        self._files = 0  # how many of them are files
        self._is_full = False
        self._left: int | None = None
        self._chunked = False
        self._drops_body = False

    def begin(self, stream_id: int) -> None:
        """A new exchange runs, unanswered yet."""
        self._stream_id = stream_id
        self.phase = _NONE

    def send_head(
        self,
        status: int,
        fields: RawHeaders,
        *,
        to_head: bool,
        http_1_0: bool,
        closes: bool,
        end: bool,
    ) -> bool:
        """Queues the final response's head with the framing that the client understands.

        ``transfer-encoding`` is never the application's: it is chunked where no length is known and the client
        speaks 1.1. A 204 loses its ``content-length`` (RFC 9110 section 8.6); HEAD and 304 keep theirs.

        Args:
            to_head: The request's method is HEAD.
            closes: The connection ends with this response, whatever the application's ``connection`` field says.
            end: There is no body.

        Returns:
            Whether the connection ends with this response.

        Raises:
            LocalProtocolError: A response has begun, the status is not a final one, or the content-length is wrong.
        """
        if self.phase is not _NONE:
            raise self._error("the response has begun already")
        if not 200 <= status <= 999:
            raise self._error(f"{status} is no final status")
        lines = [_STATUS_LINES.get(status) or status_line(status)]
        length: int | None = None
        options = b""
        for name, value in fields:
            if name in _FRAMING_FIELDS:
                if name == b"connection":
                    options = options + b"," + value if options else value
                    continue
                if name == b"transfer-encoding":
                    continue
                if not value.isdigit() or (length is not None and length != int(value)):
                    raise self._error(f"content-length {value!r} is no number or a second one")
                if length is not None or status == 204:
                    continue
                length = int(value)
            lines.append(b"%b: %b\r\n" % (name, value))
        self._chunked = False
        self._drops_body = to_head or status == 204 or status == 304
        if length is None and not self._drops_body:
            if end:
                length = 0
                lines.append(b"content-length: 0\r\n")
            elif http_1_0:
                closes = True
            else:
                self._chunked = True
                lines.append(b"transfer-encoding: chunked\r\n")
        if options or closes or http_1_0:
            closes = _add_connection(lines, options, closes=closes, http_1_0=http_1_0)
        lines.append(b"\r\n")
        self._left = length
        self.queue(b"".join(lines))
        self.phase = _BEGUN
        if end:
            self._end(b"")
        return closes

    def send_body(self, data: bytes, end: bool) -> None:
        """Queues a part of the body.

        Raises:
            LocalProtocolError: No response is under way, or the body does not have its content-length.
        """
        if self.phase is not _BEGUN:
            raise self._error("no response is under way")
        if data and not self._drops_body:
            if self._chunked:
                if len(data) <= _SMALL_CHUNK:
                    self.queue(b"%x\r\n%b\r\n" % (len(data), data))
                else:
                    self.queue(b"%x\r\n" % len(data))
                    self.queue(data)
                    self.queue(b"\r\n")
            else:
                if self._left is not None:
                    if len(data) > self._left:
                        raise self._error("the body is longer than its content-length")
                    self._left -= len(data)
                self.queue(data)
        if end:
            self._end(b"")

    def send_file(self, region: FileRegion) -> None:
        """Queues a part of the body from a file, of one byte or more: a single chunk, where the body has no length.

        Raises:
            LocalProtocolError: No response is under way, or the body does not have its content-length.
        """
        if self.phase is not _BEGUN or self._drops_body:
            raise self._error("no response with a body is under way")
        if self._chunked:
            self.queue(b"%x\r\n" % region.left)
        elif self._left is not None:
            if region.left > self._left:
                raise self._error("the body is longer than its content-length")
            self._left -= region.left
        self._out.append(region)
        self._files += 1
        self._queued(region.left)
        if self._chunked:
            self.queue(b"\r\n")

    def send_trailers(self, fields: RawHeaders) -> None:
        """Ends a chunked response with a trailer section; any other just ends.

        Raises:
            LocalProtocolError: No response is under way, or the body is shorter than its content-length.
        """
        if self.phase is not _BEGUN:
            raise self._error("no response is under way")
        self._end(b"".join([b"%b: %b\r\n" % field for field in fields]))

    def send_interim(self, status: int, fields: RawHeaders) -> None:
        """Queues a 1xx response.

        Raises:
            LocalProtocolError: The final response has begun, or the status is 101 or not an interim one.
        """
        if self.phase is not _NONE:
            raise self._error("an interim response comes before the final one")
        if status == 101 or not 100 <= status < 200:
            raise self._error(f"{status} is no interim status")
        self.queue(_unframed_head(status, fields))

    def send_switch(self, status: int, fields: RawHeaders) -> None:
        """Queues the head (101, or 200 to CONNECT) behind which ``queue()`` carries another protocol.

        Raises:
            LocalProtocolError: A response has begun.
        """
        if self.phase is not _NONE:
            raise self._error("the response has begun already")
        self.queue(_unframed_head(status, fields))
        self.phase = _BEGUN

    def ends_with_connection(self) -> bool:
        """Whether the response under way is one whose end is the connection's alone (RFC 9112 section 6.3)."""
        return self.phase is _BEGUN and self._left is None and not self._chunked and not self._drops_body

    def send_refusal(self, status: int, date: Callable[[], bytes] | None, *, to_head: bool) -> None:
        """Queues a whole small response after which the connection ends; ``date`` is ``EngineContext.date``."""
        self.queue(refusal(status, None if date is None else date(), to_head=to_head))
        self.phase = _DONE

    def finish_switch(self) -> None:
        """Nothing more goes through ``queue()``."""
        self.phase = _DONE

    def _end(self, trailers: bytes) -> None:
        if self._chunked:
            self.queue(b"0\r\n%b\r\n" % trailers)
        elif self._left and not self._drops_body:
            raise self._error(f"the body is {self._left} bytes shorter than its content-length")
        self.phase = _DONE

    def _error(self, message: str) -> LocalProtocolError:
        return LocalProtocolError(message, stream_id=self._stream_id)

    # --------------------------------------------------------------------------------------------------- the queue

    def queue(self, data: bytes) -> None:
        """Appends bytes as they are."""
        if len(data) > _BURST:
            self._out += [data[start : start + _BURST] for start in range(0, len(data), _BURST)]
        else:
            self._out.append(data)
        self._queued(len(data))

    def _queued(self, size: int) -> None:
        self.queued += size
        if self.queued >= self._send_buffer:
            self._is_full = True

    def room(self) -> int:
        """Bytes that may still be queued; 0 or less means wait."""
        return self._send_buffer - self.queued

    def drain(self) -> list[bytes | FileRegion]:
        """Takes the next output out of the queue: all of it, or up to some 256 KiB, or to the end of a file."""
        out = self._out
        if self.queued <= _BURST and not self._files:
            if out:
                self._out = []
                self.queued = 0
            return out if out else []
        count = size = 0
        for piece in out:
            is_file = type(piece) is FileRegion
            if count and size + len(piece) > _BURST and not is_file:
                break
            count += 1
            size += len(piece)
            if is_file:
                self._files -= 1
                break
        self._out = out[count:]
        self.queued -= size
        return out[:count]

    def has_room_again(self) -> bool:
        """True once after the queue was full, when it is not any more."""
        if self._is_full and self.queued < self._send_buffer:
            self._is_full = False
            return True
        return False

    def clear(self) -> None:
        """Drops what is queued."""
        self._out = []
        self.queued = self._files = 0


def status_line(status: int) -> bytes:
    """``HTTP/1.1 200 OK`` with its line's end; a status without a registered phrase gets none."""
    return _STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status


def refusal(status: int, date: bytes | None, text: bytes = b"", *, to_head: bool = False) -> bytes:
    """A whole response after which the connection ends.

    Args:
        date: The Date field's value.
        text: The content; the status and its phrase, where there is none.
        to_head: The request's method is HEAD.
    """
    line = status_line(status)
    text = text or line[9:-2] + b"\n"
    lines = [line, b"content-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\n" % len(text)]
    if date is not None:
        lines.append(b"date: %b\r\n" % date)
    lines += (b"connection: close\r\n\r\n", b"" if to_head else text)
    return b"".join(lines)


def _add_connection(lines: list[bytes], options: bytes, *, closes: bool, http_1_0: bool) -> bool:
    """Writes the ``connection`` field; whether the connection lives on is ours to say, or either side's to deny."""
    tokens = [token for part in options.split(b",") if (token := part.strip())]
    closes = closes or any(token.lower() == b"close" for token in tokens)
    tokens = [token for token in tokens if token.lower() not in (b"close", b"keep-alive")]
    if closes:
        tokens.append(b"close")
    elif http_1_0:
        tokens.append(b"keep-alive")  # without it such a client takes the end of the body for the connection's
    if tokens:
        lines.append(b"connection: %b\r\n" % b", ".join(tokens))
    return closes


def _unframed_head(status: int, fields: RawHeaders) -> bytes:
    """A head that no content follows (RFC 9110 sections 15.2 and 9.3.6: it carries no framing field)."""
    lines = [status_line(status)]
    lines += [b"%b: %b\r\n" % field for field in fields if field[0] not in (b"content-length", b"transfer-encoding")]
    lines.append(b"\r\n")
    return b"".join(lines)
