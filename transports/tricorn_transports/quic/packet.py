"""What can be read from a QUIC packet without a key, and the packets that are written without one.

Rules of this module: the version-independent part of RFC 8999 and the long headers of RFC 9000 and RFC 9369, as far
as routing needs them; no library, no state. Parsers return ``None`` for what is not a packet: nothing here raises for
what a peer can send.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

#: Versions whose long headers ``read_long_header`` understands.
VERSION_1 = 0x00000001
VERSION_2 = 0x6B3343CF

#: RFC 9000 section 14.1: a datagram with an Initial packet has at least as many bytes, and so costs its sender
#: as much as what it makes the server send.
MIN_INITIAL_DATAGRAM = 1200

#: RFC 9000 section 7.2: the connection ID that a client makes up for its first packet is at least this long.
MIN_ORIGINAL_ID = 8
#: RFC 9000 section 17.2: the longest connection ID of QUIC versions 1 and 2.
MAX_ID = 20

#: RFC 9000 section 10.3: a reset must look like a packet of the shortest size that a peer might send.
_MIN_RESET = 22
_MAX_RESET = 43
RESET_TOKEN_SIZE = 16

#: RFC 9000 section 17.2 and RFC 9369 section 3.2: the type bits of an Initial packet.
_INITIAL_BITS = {VERSION_1: 0x00, VERSION_2: 0x10}


@dataclass(slots=True)
class LongHeader:
    """The header of the first packet of a datagram, where it is a long one.

    Attributes:
        version: 0 for a version negotiation packet.
        destination, source: Connection IDs, as the sender sees the two sides.
        is_initial: It is an Initial packet of a version known here, with its fixed bit set.
        token: The Initial packet's token, ``b""`` without one.
    """

    version: int
    destination: bytes
    source: bytes
    is_initial: bool
    token: bytes


def read_long_header(data: bytes) -> LongHeader | None:
    """Reads a datagram whose first bit is set (RFC 8999 section 5.1); ``None`` when it is cut short."""
    if len(data) < 7:
        return None
    version = int.from_bytes(data[1:5], "big")
    source_at = 6 + data[5]
    if len(data) <= source_at:
        return None
    destination = data[6:source_at]
    end = source_at + 1 + data[source_at]
    if len(data) < end:
        return None
    source = data[source_at + 1 : end]
    is_initial = data[0] & 0x70 == 0x40 | _INITIAL_BITS.get(version, 0x80)
    token = b""
    if is_initial:
        found = _read_token(data, end)
        if found is None or len(destination) > MAX_ID or len(source) > MAX_ID:
            return None
        token = found
    return LongHeader(version, destination, source, is_initial, token)


def _read_token(data: bytes, at: int) -> bytes | None:
    """An Initial packet's token, behind a length as a variable-length integer (RFC 9000 section 16)."""
    if len(data) <= at:
        return None
    size = 1 << (data[at] >> 6)
    if len(data) < at + size:
        return None
    length = int.from_bytes(data[at : at + size], "big") & ((1 << (8 * size - 2)) - 1)
    if len(data) < at + size + length:
        return None
    return data[at + size : at + size + length]


def version_negotiation(header: LongHeader, versions: Sequence[int], random_byte: int) -> bytes:
    """The answer to a packet of a version that is not spoken here (RFC 9000 section 17.2.1)."""
    return b"".join(
        (
            bytes((0x80 | random_byte & 0x7F,)),
            bytes(4),
            bytes((len(header.source),)),
            header.source,
            bytes((len(header.destination),)),
            header.destination,
            *(version.to_bytes(4, "big") for version in versions),
        )
    )


def stateless_reset(trigger_size: int, token: bytes, noise: bytes) -> bytes | None:
    """Tells a peer that its connection is unknown here (RFC 9000 section 10.3).

    It is always shorter than what it answers, so that two endpoints that know nothing of each other fall silent.

    Args:
        trigger_size: Bytes of the datagram that is answered.
        token: The 16 bytes that the peer was given with the connection ID it used.
        noise: At least 27 unpredictable bytes.

    Returns:
        The packet, or ``None`` when the trigger was too small to be answered.
    """
    size = min(trigger_size - 1, _MAX_RESET)
    if size < _MIN_RESET:
        return None
    body = noise[: size - RESET_TOKEN_SIZE]
    return bytes((0x40 | body[0] & 0x3F,)) + body[1:] + token
