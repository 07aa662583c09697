"""The one packet that refuses a connection before there is one, by aioquic: ``endpoint.Endpoint.refusal``."""

from __future__ import annotations

import os

from aioquic.quic.crypto import CryptoPair
from aioquic.quic.packet import QuicErrorCode, QuicFrameType, QuicPacketType
from aioquic.quic.packet_builder import QuicPacketBuilder

from tricorn_transports.quic.endpoint import CONNECTION_ID_SIZE
from tricorn_transports.quic.packet import LongHeader

_DATAGRAM_SIZE = 128
#: Type, error code, frame type and reason's length: each fits a byte.
_CLOSE_SIZE = 4


def refusal(header: LongHeader) -> bytes:
    """An Initial packet with CONNECTION_REFUSED (RFC 9000 sections 5.2.2 and 10.2.3), some 50 bytes."""
    keys = CryptoPair()
    keys.setup_initial(cid=header.destination, is_client=False, version=header.version)
    builder = QuicPacketBuilder(
        host_cid=os.urandom(CONNECTION_ID_SIZE),
        peer_cid=header.source,
        version=header.version,
        is_client=False,
        max_datagram_size=_DATAGRAM_SIZE,
    )
    builder.start_packet(QuicPacketType.INITIAL, keys)
    frame = builder.start_frame(QuicFrameType.TRANSPORT_CLOSE, capacity=_CLOSE_SIZE)
    frame.push_uint_var(QuicErrorCode.CONNECTION_REFUSED)
    frame.push_uint_var(QuicFrameType.PADDING)  # no frame is to blame
    frame.push_uint_var(0)
    (datagram,), _ = builder.flush()
    return datagram
