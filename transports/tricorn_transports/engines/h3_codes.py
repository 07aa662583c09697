"""Why a stream or a connection ends, as HTTP/3's codes (RFC 9114 section 8.1), both ways. Tables only."""

from __future__ import annotations

from typing import Final

from tricorn_transports.events import AbortReason
from tricorn_transports.quic.aioquic.http3 import Code

STREAM_CODES: Final = {
    AbortReason.NO_ERROR: Code.NO_ERROR,
    AbortReason.CANCELLED: Code.REQUEST_CANCELLED,
    AbortReason.REFUSED: Code.REQUEST_REJECTED,
    AbortReason.INTERNAL_ERROR: Code.INTERNAL_ERROR,
    AbortReason.PROTOCOL_ERROR: Code.MESSAGE_ERROR,
    AbortReason.LIMIT: Code.EXCESSIVE_LOAD,
    AbortReason.TIMEOUT: Code.REQUEST_CANCELLED,
    AbortReason.DISCONNECTED: Code.REQUEST_CANCELLED,
}

#: For the connection, where one message's error is not the matter.
CLOSE_CODES: Final = {
    **STREAM_CODES,
    AbortReason.CANCELLED: Code.NO_ERROR,
    AbortReason.REFUSED: Code.EXCESSIVE_LOAD,
    AbortReason.PROTOCOL_ERROR: Code.GENERAL_PROTOCOL_ERROR,
    AbortReason.TIMEOUT: Code.NO_ERROR,
    AbortReason.DISCONNECTED: Code.NO_ERROR,
}

_REASONS: Final = {
    int(Code.INTERNAL_ERROR): AbortReason.INTERNAL_ERROR,
    int(Code.EXCESSIVE_LOAD): AbortReason.LIMIT,
    int(Code.MESSAGE_ERROR): AbortReason.PROTOCOL_ERROR,
    int(Code.GENERAL_PROTOCOL_ERROR): AbortReason.PROTOCOL_ERROR,
}


def reason_of(code: int) -> AbortReason:
    """What a client means that resets or stops a stream; any code that says no more is a cancellation."""
    return _REASONS.get(code, AbortReason.CANCELLED)
