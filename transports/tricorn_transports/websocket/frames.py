"""WebSocket frames (RFC 6455) and permessage-deflate (RFC 7692) over wsproto: the only file that imports it.

wsproto parses and writes frames and puts the rules of fragments and close codes. Here messages are put together,
pings answered, and everything bounded: wsproto's own deflate inflates whatever it is given, so that 64 KiB on the wire
would become 64 MiB in memory; ours stops at what is left of the message's limit.

Rules of this module: sans-IO, server side. wsproto is an extra; this module can be imported without it, and ``Frames``
says what to install. After a close frame was received or an error made, nothing more is read.
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from tricorn_transports.errors import ConfigError, LocalProtocolError
from tricorn_transports.websocket.handshake import Deflate

if TYPE_CHECKING:
    from zlib import _Compress, _Decompress

_missing: ImportError | None = None
try:
    from wsproto.extensions import Extension
    from wsproto.frame_protocol import CloseReason, FrameDecoder, FrameProtocol, Opcode, ParseFailed, RsvBits
except ImportError as error:
    _missing = error
    Extension = object  # type: ignore[assignment,misc]  # a base for the class below, which is then never made

#: RFC 7692 section 7.2.2: the end of a flushed block, which is left out on the wire.
_TAIL = b"\x00\x00\xff\xff"
#: Shorter messages are sent as they are: they would hardly shrink.
_MIN_COMPRESSED = 64
#: zlib's memory for the compressor: 16 KiB beside the window instead of 128 KiB.
_MEMORY_LEVEL = 5
_MAX_PIECES = 1024
#: Pongs that may wait to be sent, of 127 bytes each: an honest client has a few pings under way, a flood gets no more.
_MAX_PONGS = 64
_NO_STATUS = 1005
#: Registered since RFC 6455 and unknown to wsproto: a gateway's upstream has failed.
_BAD_GATEWAY = 1014


@dataclass(slots=True)
class MessageReceived:
    """A whole message: ``str`` for text, ``bytes`` for binary."""

    data: str | bytes


@dataclass(slots=True)
class PongReceived:
    """The client answered a ping, or just says that it lives."""

    data: bytes


@dataclass(slots=True)
class CloseReceived:
    """The client closes; our own close frame is queued if it was not sent before. ``code`` is ``None`` if not given."""

    code: int | None
    reason: str


@dataclass(slots=True)
class FrameError:
    """The client broke a rule or the limit; a close frame with ``code`` (1002, 1007, 1009) is queued."""

    code: int
    message: str


FrameEvent: TypeAlias = MessageReceived | PongReceived | CloseReceived | FrameError


class Frames:
    """The server's end of one WebSocket, from the first byte behind the handshake.

    Args:
        deflate: The terms of permessage-deflate, as ``Handshake.accept`` agreed to them.
        max_message_bytes: The most bytes of one message, after decompression; more is closed with 1009.

    Raises:
        ConfigError: wsproto is not installed.
    """

    __slots__ = ("_blocks", "_close_sent", "_extension", "_out", "_over", "_pieces", "_pongs", "_protocol")

    def __init__(self, deflate: Deflate | None = None, *, max_message_bytes: int) -> None:
        self.require()
        self._extension = _Bounded(deflate, max_message_bytes)
        self._protocol = FrameProtocol(client=False, extensions=[self._extension])
        # Of one message, so all str or all bytes: some joined blocks, then pieces as they came.
        self._pieces: list[Any] = []
        self._blocks = 0
        self._out: list[bytes] = []
        self._pongs: deque[bytes] = deque(maxlen=_MAX_PONGS)
        self._close_sent = False
        self._over = False

    @staticmethod
    def require() -> None:
        """Checks that WebSockets can be spoken.

        Raises:
            ConfigError: wsproto is not installed.
        """
        if _missing is not None:
            raise ConfigError('websockets: wsproto is not installed: pip install "tricorn[websockets]"') from _missing

    @property
    def held(self) -> int:
        """Bytes of the message that is not whole yet, decompressed."""
        return self._extension.held

    def feed(self, data: bytes) -> None:
        """Takes bytes of the tunnel; ``events`` reads them."""
        if not self._over:
            self._protocol.receive_bytes(data)

    def events(self) -> Iterator[FrameEvent | None]:
        """Reads what was fed, one step at a time: the caller may stop after any, and go on later with a new iterator.

        ``None`` is a step that told nothing, as a part of a message. A step takes at most what is left of the message's
        limit into memory. Pongs and the answer to a close go to ``data_to_send``.
        """
        events: list[FrameEvent] = []
        try:
            for frame in () if self._over else self._protocol.received_frames():
                opcode, payload = frame.opcode, frame.payload
                if opcode is Opcode.TEXT or opcode is Opcode.BINARY:
                    self._collect(payload, opcode is Opcode.TEXT, frame.message_finished, events)
                elif opcode is Opcode.PING:
                    assert isinstance(payload, bytes)
                    if not self._close_sent:
                        # Of a flood only the last ones are answered, as RFC 6455 section 5.5.3 allows.
                        self._pongs.append(payload)
                elif opcode is Opcode.PONG:
                    assert isinstance(payload, bytes)
                    events.append(PongReceived(payload))
                elif opcode is Opcode.CLOSE:
                    assert isinstance(payload, tuple)
                    self._receive_close(int(payload[0]), payload[1], events)
                yield events.pop() if events else None
        except ParseFailed as error:
            self._fail(int(error.code), str(error), events)
            yield events.pop()

    def receive(self, data: bytes) -> list[FrameEvent]:
        """``feed``, and all that ``events`` tells."""
        self.feed(data)
        return [event for event in self.events() if event is not None]

    def send(self, data: str | bytes) -> None:
        """Queues a message.

        Raises:
            LocalProtocolError: The WebSocket is closed, or the text is not encodable.
        """
        if self._close_sent:
            raise LocalProtocolError("the WebSocket is closed")
        try:
            self._extension.compresses = len(data) >= _MIN_COMPRESSED
            self._out.append(bytes(self._protocol.send_data(data)))
        except UnicodeEncodeError as error:
            raise LocalProtocolError(f"the text is not encodable: {error}") from error

    def ping(self, data: bytes = b"") -> None:
        """Queues a ping of at most 125 bytes; nothing once the WebSocket is closed.

        Raises:
            LocalProtocolError: ``data`` is too long.
        """
        if len(data) > 125:
            raise LocalProtocolError("a ping carries 125 bytes at most")
        if not self._close_sent:
            self._out.append(bytes(self._protocol.ping(data)))

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Queues our close frame; nothing if it was sent before. The reason is cut to what a frame holds.

        Raises:
            LocalProtocolError: ``code`` may not stand in a close frame (RFC 6455 section 7.4), or the reason cannot be
                encoded.
        """
        if not (1000 <= code <= 1003 or code == _NO_STATUS or 1007 <= code <= 1014 or 3000 <= code <= 4999):
            raise LocalProtocolError(f"{code} is no close code that may be sent")
        if self._close_sent:
            return
        try:
            frame = self._protocol.close() if code == _NO_STATUS else self._protocol.close(code, reason)
        except UnicodeEncodeError as error:
            raise LocalProtocolError(f"the reason is not encodable: {error}") from error
        self._close_sent = True
        self._out.append(bytes(frame))

    def data_to_send(self) -> bytes:
        """Everything queued, in order; ``b""`` if nothing is."""
        out, self._out = self._out, []
        if self._pongs:  # before a close frame that may wait here too; nothing may come after one
            out[:0] = [bytes(self._protocol.pong(payload)) for payload in self._pongs]
            self._pongs.clear()
        return out[0] if len(out) == 1 else b"".join(out)

    def _collect(
        self, payload: str | bytes | tuple[int, str], is_text: bool, finished: bool, events: list[FrameEvent]
    ) -> None:
        """Joins a message's pieces once, at its end; only thousands of tiny ones are joined in blocks before.

        A piece of one byte takes fifty in memory: without blocks a slow sender could make us hold that much.
        """
        pieces = self._pieces
        if payload:
            pieces.append(payload)
        empty: Any = "" if is_text else b""
        if finished:
            events.append(MessageReceived(pieces[0] if len(pieces) == 1 else empty.join(pieces)))
            self._pieces = []
            self._blocks = 0
        elif len(pieces) - self._blocks >= _MAX_PIECES:
            pieces[self._blocks :] = [empty.join(pieces[self._blocks :])]
            self._blocks += 1

    def _receive_close(self, code: int, reason: str, events: list[FrameEvent]) -> None:
        self._end()
        if self._extension.is_bad_gateway:
            code = _BAD_GATEWAY
        if not self._close_sent:
            self._close_sent = True
            answer = self._protocol.close() if code == _NO_STATUS else self._protocol.close(code)
            self._out.append(bytes(answer))
        events.append(CloseReceived(None if code == _NO_STATUS else code, reason))

    def _fail(self, code: int, message: str, events: list[FrameEvent]) -> None:
        self._end()
        reason = self._extension.failure or message
        if not self._close_sent:
            self._close_sent = True
            self._out.append(bytes(self._protocol.close(code, self._extension.failure or "")))
        events.append(FrameError(code, reason))

    def _end(self) -> None:
        self._over = True
        self._pieces = []


class _Bounded(Extension):
    """Counts every message against its limit, and inflates and deflates where that was agreed.

    Attributes:
        compresses: Whether the next message is sent compressed, if that was agreed at all.
        failure: Why a message was refused, for the close frame.
        is_bad_gateway: The close frame's code was 1014, which wsproto was shown as 1000.
    """

    name = "permessage-deflate"

    def __init__(self, terms: Deflate | None, limit: int) -> None:
        self._terms = terms
        self._limit = limit
        self._room = limit
        self._in_message = False
        self._is_control = False
        self._compressed = False
        self._inflater: _Decompress | None = None
        self._deflater: _Compress | None = None
        self.compresses = False
        self.failure = ""
        self._is_close = False
        self.is_bad_gateway = False

    @property
    def held(self) -> int:
        """Bytes of the message under way."""
        return self._limit - self._room

    def enabled(self) -> bool:
        return True

    def offer(self) -> bool:
        return False  # a server accepts; it never offers

    def frame_inbound_header(
        self, proto: FrameDecoder | FrameProtocol, opcode: Opcode, rsv: RsvBits, payload_length: int
    ) -> CloseReason | RsvBits:
        """Refuses a frame that is too long before its payload comes. RSV1 may begin a compressed message only.

        wsproto calls this again while the masking key is not whole, so it changes nothing that the second call reads.
        """
        self._is_control = opcode.iscontrol()
        self._is_close = opcode is Opcode.CLOSE
        if self._is_control:
            return RsvBits(False, False, False)
        may_compress = self._terms is not None and not self._in_message and opcode is not Opcode.CONTINUATION
        if not self._in_message:
            self._compressed = may_compress and rsv.rsv1
        if not self._compressed and payload_length > self._room:
            return self._too_big()
        return RsvBits(may_compress, False, False)

    def frame_inbound_payload_data(self, proto: FrameDecoder | FrameProtocol, data: bytes) -> bytes | CloseReason:
        """A part of the payload, inflated. A control frame's comes whole."""
        if self._is_control:
            if self._is_close and data[:2] == _BAD_GATEWAY.to_bytes(2, "big"):
                self.is_bad_gateway = True
                return b"\x03\xe8" + data[2:]
            return data
        self._in_message = True
        if not self._compressed:
            self._room -= len(data)
            return data
        return self._inflate(data)

    def frame_inbound_complete(self, proto: FrameDecoder | FrameProtocol, fin: bool) -> bytes | CloseReason | None:
        """What the message's end lets out of the inflater."""
        if self._is_control or not fin:
            return None
        last: bytes | CloseReason | None = None
        if self._compressed:
            last = self._inflate(_TAIL)
            inflater, terms = self._inflater, self._terms
            if inflater is not None and terms is not None and (inflater.eof or not terms.client_takeover):
                self._inflater = None
        self._room = self._limit
        self._in_message = self._compressed = False
        return last

    def _inflate(self, data: bytes) -> bytes | CloseReason:
        assert self._terms is not None
        if self._inflater is None:
            self._inflater = zlib.decompressobj(-self._terms.client_bits)
        inflater = self._inflater
        try:
            inflated = inflater.decompress(data, self._room + 1)
        except zlib.error as error:
            self.failure = f"the message cannot be decompressed: {error}"
            return CloseReason.INVALID_FRAME_PAYLOAD_DATA
        if len(inflated) > self._room:
            return self._too_big()
        # A final block (RFC 7692 section 7.2.3.4) ends zlib's stream, and with it the window. What may stand behind
        # it is the start of one empty block and our tail.
        if inflater.eof and len(inflater.unused_data) > 1 + len(_TAIL):
            self.failure = "a compressed message goes on behind its final block"
            return CloseReason.INVALID_FRAME_PAYLOAD_DATA
        self._room -= len(inflated)
        return inflated

    def _too_big(self) -> CloseReason:
        self.failure = f"a message is longer than {self._limit} bytes"
        return CloseReason.MESSAGE_TOO_BIG

    def frame_outbound(
        self, proto: FrameDecoder | FrameProtocol, opcode: Opcode, rsv: RsvBits, data: bytes, fin: bool
    ) -> tuple[RsvBits, bytes]:
        """Compresses a message; ``Frames`` sends each in one frame."""
        terms = self._terms
        if terms is None or opcode.iscontrol() or not self.compresses:
            return rsv, data
        if self._deflater is None:
            self._deflater = zlib.compressobj(wbits=-terms.server_bits, memLevel=_MEMORY_LEVEL)
        deflated = self._deflater.compress(data) + self._deflater.flush(zlib.Z_SYNC_FLUSH)
        if not terms.server_takeover:
            self._deflater = None
        return RsvBits(True, rsv.rsv2, rsv.rsv3), deflated[: -len(_TAIL)]
