"""aioquic's HTTP/3 layer with GOAWAY, bounded frames, and heads that are checked by whoever reads them.

Rules of this module: it is the only one that touches private members of ``H3Connection``. What is changed, and why:

- A request's fields are handed on unchecked, because the library answers a malformed one by closing the connection,
  where RFC 9114 section 4.1.2 has a stream error; ``tricorn_transports.engines.h3`` checks them.
- A HEADERS frame over the limit is refused when its length is read, not when it is all in memory; so are control
  frames.
- QPACK's dynamic table is off both ways. In requests each byte of a head could otherwise stand for 4 KiB of fields,
  and no limit could be kept. In responses it costs more than it saves here: the client acknowledges every head on a
  stream of its own, 7 to 11 of some 55 to 180 µs a request.
- GOAWAY is sent here; the library never does.
- PRIORITY_UPDATE (RFC 9218 section 7.2) is read here. Of control frames the library keeps only SETTINGS and MAX_PUSH_ID
  until they are whole, so this one goes by the latter's name until it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import pylsqpack
from aioquic.buffer import encode_uint_var
from aioquic.h3.connection import (
    ErrorCode,
    FrameType,
    FrameUnexpected,
    H3Connection,
    H3Stream,
    HeadersState,
    IdError,
    ProtocolError,
    Setting,
    encode_frame,
)
from aioquic.h3.events import DataReceived, H3Event, HeadersReceived
from aioquic.quic.events import StopSendingReceived, StreamDataReceived, StreamReset

from tricorn_transports.http.priority import DEFAULT, Priority, parse_priority
from tricorn_transports.quic.aioquic.connection import Connection

# The library's events, for those who may not import it themselves.
__all__ = [
    "MAX_REQUEST_STREAM",
    "Code",
    "DataReceived",
    "H3Event",
    "HeadTooLarge",
    "HeadersReceived",
    "Http3",
    "PriorityUpdated",
    "StopSendingReceived",
    "StreamDataReceived",
    "StreamReset",
]

#: RFC 9218 section 7.2: the frame types for request streams and for pushes.
PRIORITY_UPDATE = 0xF0700
PRIORITY_UPDATE_PUSH = 0xF0701
#: RFC 9114 section 5.2: a GOAWAY that refuses nothing yet.
MAX_REQUEST_STREAM = 2**62 - 4
#: Bytes of a control frame; a generous SETTINGS has a dozen settings of 16 bytes.
_MAX_CONTROL_FRAME = 4096


class Code(IntEnum):
    """The codes of RFC 9114 section 8.1 that the engine sends or reads."""

    NO_ERROR = ErrorCode.H3_NO_ERROR
    GENERAL_PROTOCOL_ERROR = ErrorCode.H3_GENERAL_PROTOCOL_ERROR
    INTERNAL_ERROR = ErrorCode.H3_INTERNAL_ERROR
    EXCESSIVE_LOAD = ErrorCode.H3_EXCESSIVE_LOAD
    REQUEST_REJECTED = ErrorCode.H3_REQUEST_REJECTED
    REQUEST_CANCELLED = ErrorCode.H3_REQUEST_CANCELLED
    REQUEST_INCOMPLETE = ErrorCode.H3_REQUEST_INCOMPLETE
    MESSAGE_ERROR = ErrorCode.H3_MESSAGE_ERROR


@dataclass(slots=True)
class HeadTooLarge(H3Event):
    """A HEADERS frame announced more bytes than a head may have; the stream is not read any further."""

    stream_id: int


@dataclass(slots=True)
class PriorityUpdated(H3Event):
    """The client has said how urgent a request is, which may be there already or still to come."""

    stream_id: int
    priority: Priority


class _ExcessiveLoad(ProtocolError):
    error_code = ErrorCode.H3_EXCESSIVE_LOAD


class _FrameError(ProtocolError):
    error_code = ErrorCode.H3_FRAME_ERROR


class _PriorityUpdate(int):
    """A frame type that the library takes for MAX_PUSH_ID."""


class _TooLarge(Exception):
    """Leaves the library's frame parser."""


class Http3(H3Connection):
    """The server's side of HTTP/3 on one connection.

    Attributes:
        idle_frames: Frames so far that brought no request forward: empty ones, and such as nobody here knows. Whoever
            bounds them sets it back.
    """

    def __init__(self, quic: Connection, *, max_head_bytes: int) -> None:
        self._max_head_bytes = max_head_bytes
        self._connection = quic
        super().__init__(quic)
        self._decoder = pylsqpack.Decoder(0, 0)
        self._updates: list[H3Event] = []
        self.idle_frames = 0

    def end(self, stream_id: int) -> None:
        """Ends a response without a DATA frame."""
        stream = self._stream.get(stream_id)
        if stream is not None:
            stream.sending_ended = True
            if stream.is_ended():
                del self._stream[stream_id]
        self._quic.send_stream_data(stream_id, b"", True)

    def forget(self, stream_id: int) -> None:
        """Neither half of the stream is of interest any more; nothing of it must be fed in after this."""
        self._stream.pop(stream_id, None)

    def send_goaway(self, first_refused: int) -> None:
        """Tells the client which request stream is the first that will not be served (RFC 9114 section 5.2)."""
        assert self._local_control_stream_id is not None
        self._quic.send_stream_data(
            self._local_control_stream_id, encode_frame(FrameType.GOAWAY, encode_uint_var(first_refused))
        )

    @property
    def goaway_is_known(self) -> bool:
        """Whether the client has confirmed all that was said on the control stream."""
        assert self._local_control_stream_id is not None
        return self._connection.is_acknowledged(self._local_control_stream_id)

    def _handle_control_frame(self, frame_type: int, frame_data: bytes) -> None:
        if isinstance(frame_type, _PriorityUpdate):
            self._updates.append(self._read_priority_update(frame_data))
            return
        super()._handle_control_frame(frame_type, frame_data)
        if frame_type == FrameType.SETTINGS:
            self._encoder = pylsqpack.Encoder()  # one that has not been told of the client's table

    def _get_local_settings(self) -> dict[int, int]:
        settings = super()._get_local_settings()
        settings[Setting.QPACK_MAX_TABLE_CAPACITY] = settings[Setting.QPACK_BLOCKED_STREAMS] = 0
        settings[Setting.MAX_FIELD_SECTION_SIZE] = self._max_head_bytes
        return settings

    def _check_control_frame_type(self, frame_type: int) -> None:
        super()._check_control_frame_type(frame_type)
        if frame_type != PRIORITY_UPDATE:  # which its event tells of
            self.idle_frames += 1
        assert self._peer_control_stream_id is not None
        size = self._stream[self._peer_control_stream_id].frame_size
        if frame_type == PRIORITY_UPDATE_PUSH:
            raise IdError("PRIORITY_UPDATE for a push that was not promised")
        if frame_type == PRIORITY_UPDATE:
            frame_type = self._stream[self._peer_control_stream_id].frame_type = _PriorityUpdate(FrameType.MAX_PUSH_ID)
        if frame_type in (FrameType.SETTINGS, FrameType.MAX_PUSH_ID) and size is not None and size > _MAX_CONTROL_FRAME:
            raise _ExcessiveLoad(f"control frame of {size} bytes")

    def _read_priority_update(self, payload: bytes) -> PriorityUpdated:
        end = 1 << (payload[0] >> 6) if payload else 1  # a variable-length integer (RFC 9000 section 16)
        if len(payload) < end:
            raise _FrameError("PRIORITY_UPDATE without a stream")
        stream_id = int.from_bytes(payload[:end], "big") & ((1 << (8 * end - 2)) - 1)
        if stream_id & 3 or stream_id >> 2 >= self._connection.max_requests:
            raise IdError("PRIORITY_UPDATE for what is no request stream, or not open to the client")
        return PriorityUpdated(stream_id, parse_priority(payload[end:]) or DEFAULT)

    def _receive_stream_data_uni(self, stream: H3Stream, data: bytes, stream_ended: bool) -> list[H3Event]:
        events = super()._receive_stream_data_uni(stream, data, stream_ended)
        if self._updates:
            events, self._updates = [*events, *self._updates], []
        return events

    def _check_request_or_push_frame_type(self, frame_type: int, stream: H3Stream) -> None:
        super()._check_request_or_push_frame_type(frame_type, stream)
        if not stream.frame_size or frame_type not in (FrameType.DATA, FrameType.HEADERS):
            self.idle_frames += 1
        if frame_type == FrameType.HEADERS:
            if stream.frame_size is not None and stream.frame_size > self._max_head_bytes:
                raise _TooLarge
        elif frame_type in (PRIORITY_UPDATE, PRIORITY_UPDATE_PUSH):
            raise FrameUnexpected("PRIORITY_UPDATE on a request stream")
        elif frame_type == FrameType.WEBTRANSPORT_STREAM:
            raise FrameUnexpected("WebTransport was not offered")

    def _receive_request_or_push_data(self, stream: H3Stream, data: bytes, stream_ended: bool) -> list[H3Event]:
        try:
            return super()._receive_request_or_push_data(stream, data, stream_ended)
        except _TooLarge:
            stream.buffer = b""
            stream.receiving_ended = True
            return [HeadTooLarge(stream.stream_id)]

    def _handle_request_or_push_frame(
        self, frame_type: int, frame_data: bytes | None, stream: H3Stream, stream_ended: bool
    ) -> list[H3Event]:
        if frame_type != FrameType.HEADERS:
            return super()._handle_request_or_push_frame(frame_type, frame_data, stream, stream_ended)
        if stream.headers_recv_state is HeadersState.AFTER_TRAILERS:
            raise FrameUnexpected("HEADERS frame after the trailer section")
        headers = self._decode_headers(stream.stream_id, frame_data)
        stream.headers_recv_state = (
            HeadersState.AFTER_HEADERS
            if stream.headers_recv_state is HeadersState.INITIAL
            else HeadersState.AFTER_TRAILERS
        )
        return [HeadersReceived(headers=headers, stream_id=stream.stream_id, stream_ended=stream_ended)]
