"""HTTP/2's numbers: error codes, and the few frames that the engine writes or reads without its library.

Rules of this module: pure, and no library. The library ends its connection when a GOAWAY is sent through it; HTTP/2
lets running streams finish after one (RFC 9113 section 6.8), so the engine writes its own.
"""

from __future__ import annotations

from tricorn_transports.events import AbortReason
from tricorn_transports.http.priority import DEFAULT, Priority, parse_priority

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
FRAME_HEADER = 9

DATA = 0x0
HEADERS = 0x1
GOAWAY = 0x7
CONTINUATION = 0x9
PRIORITY_UPDATE = 0x10

#: RFC 9218 section 2.1: the setting that says that RFC 7540's priorities mean nothing here.
NO_RFC7540_PRIORITIES = 0x9
MAX_STREAM_ID = 2**31 - 1
#: RFC 9113 section 6.9.2: the connection's window at the start, which only WINDOW_UPDATE changes.
INITIAL_WINDOW = 65_535

NO_ERROR = 0x0
PROTOCOL_ERROR = 0x1
INTERNAL_ERROR = 0x2
FRAME_SIZE_ERROR = 0x6
REFUSED_STREAM = 0x7
CANCEL = 0x8
COMPRESSION_ERROR = 0x9
ENHANCE_YOUR_CALM = 0xB

#: RFC 9113 section 7, outwards, for RST_STREAM.
STREAM_CODES = {
    AbortReason.NO_ERROR: NO_ERROR,
    AbortReason.CANCELLED: CANCEL,
    AbortReason.REFUSED: REFUSED_STREAM,
    AbortReason.INTERNAL_ERROR: INTERNAL_ERROR,
    AbortReason.PROTOCOL_ERROR: PROTOCOL_ERROR,
    AbortReason.LIMIT: ENHANCE_YOUR_CALM,
    AbortReason.TIMEOUT: CANCEL,
    AbortReason.DISCONNECTED: CANCEL,
}

#: For GOAWAY: a connection is not cancelled, it ends.
CONNECTION_CODES = {
    **STREAM_CODES,
    AbortReason.CANCELLED: NO_ERROR,
    AbortReason.REFUSED: NO_ERROR,
    AbortReason.TIMEOUT: NO_ERROR,
    AbortReason.DISCONNECTED: NO_ERROR,
}

#: Inwards, by code. A client that stops with NO_ERROR does not want the rest.
REASONS = (
    AbortReason.CANCELLED,  # NO_ERROR
    AbortReason.PROTOCOL_ERROR,  # PROTOCOL_ERROR
    AbortReason.INTERNAL_ERROR,  # INTERNAL_ERROR
    AbortReason.PROTOCOL_ERROR,  # FLOW_CONTROL_ERROR
    AbortReason.TIMEOUT,  # SETTINGS_TIMEOUT
    AbortReason.PROTOCOL_ERROR,  # STREAM_CLOSED
    AbortReason.PROTOCOL_ERROR,  # FRAME_SIZE_ERROR
    AbortReason.REFUSED,  # REFUSED_STREAM
    AbortReason.CANCELLED,  # CANCEL
    AbortReason.PROTOCOL_ERROR,  # COMPRESSION_ERROR
    AbortReason.DISCONNECTED,  # CONNECT_ERROR
    AbortReason.LIMIT,  # ENHANCE_YOUR_CALM
    AbortReason.REFUSED,  # INADEQUATE_SECURITY
    AbortReason.REFUSED,  # HTTP_1_1_REQUIRED
)


def reason_of(code: int) -> AbortReason:
    """What a peer's error code means; an unknown one is INTERNAL_ERROR (RFC 9113 section 7)."""
    return REASONS[code] if code < len(REASONS) else AbortReason.INTERNAL_ERROR


#: The frame header of a GOAWAY without debug data.
GOAWAY_HEADER = b"\x00\x00\x08\x07\x00\x00\x00\x00\x00"


def goaway(last_stream_id: int, code: int) -> bytes:
    """A GOAWAY frame (RFC 9113 section 6.8)."""
    return GOAWAY_HEADER + last_stream_id.to_bytes(4, "big") + code.to_bytes(4, "big")


#: The length of a GOAWAY frame without debug data.
GOAWAY_LENGTH = len(goaway(0, 0))


#: What a PRIORITY_UPDATE frame begins with.
STREAM_ID_LENGTH = 4


def parse_priority_update(payload: bytes) -> tuple[int, Priority]:
    """The stream and the priority of a PRIORITY_UPDATE frame (RFC 9218 section 7.1), at least 4 bytes long."""
    stream_id = int.from_bytes(payload[:STREAM_ID_LENGTH], "big") & MAX_STREAM_ID
    return stream_id, parse_priority(payload[STREAM_ID_LENGTH:]) or DEFAULT
