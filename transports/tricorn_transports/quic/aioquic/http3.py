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
    ProtocolError,
    Setting,
    encode_frame,
)
from aioquic.h3.events import DataReceived, H3Event, HeadersReceived
from aioquic.quic.events import StopSendingReceived, StreamDataReceived, StreamReset

from tricorn_transports.quic.aioquic.connection import Connection

# The library's events, for those who may not import it themselves.
__all__ = [
    "Code",
    "DataReceived",
    "H3Event",
    "HeadTooLarge",
    "HeadersReceived",
    "Http3",
    "StopSendingReceived",
    "StreamDataReceived",
    "StreamReset",
]

#: Bytes of a SETTINGS or MAX_PUSH_ID frame; a generous one has a dozen settings of 16 bytes.
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


class _ExcessiveLoad(ProtocolError):
    error_code = ErrorCode.H3_EXCESSIVE_LOAD


class _TooLarge(Exception):
    """Leaves the library's frame parser."""


class Http3(H3Connection):
    """The server's side of HTTP/3 on one connection."""

    def __init__(self, quic: Connection, *, max_head_bytes: int) -> None:
        self._max_head_bytes = max_head_bytes
        super().__init__(quic)
        self._decoder = pylsqpack.Decoder(0, 0)

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

    def _handle_control_frame(self, frame_type: int, frame_data: bytes) -> None:
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
        assert self._peer_control_stream_id is not None
        size = self._stream[self._peer_control_stream_id].frame_size
        if frame_type in (FrameType.SETTINGS, FrameType.MAX_PUSH_ID) and size is not None and size > _MAX_CONTROL_FRAME:
            raise _ExcessiveLoad(f"control frame of {size} bytes")

    def _check_request_or_push_frame_type(self, frame_type: int, stream: H3Stream) -> None:
        super()._check_request_or_push_frame_type(frame_type, stream)
        if frame_type == FrameType.HEADERS:
            if stream.frame_size is not None and stream.frame_size > self._max_head_bytes:
                raise _TooLarge
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
