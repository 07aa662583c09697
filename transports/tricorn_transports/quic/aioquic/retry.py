"""Retry packets and their tokens, by aioquic: implements ``endpoint.AddressValidation``."""

from __future__ import annotations

import os

from aioquic.quic.packet import encode_quic_retry
from aioquic.quic.retry import QuicRetryTokenHandler

from tricorn_transports.quic.endpoint import CONNECTION_ID_SIZE
from tricorn_transports.quic.packet import LongHeader


class RetryTokens:
    """Tokens under a key of this object's own: they are good only in the process that gave them."""

    def __init__(self) -> None:
        self._tokens = QuicRetryTokenHandler()

    def retry(self, header: LongHeader, peer: tuple[str, int], now: float) -> bytes:
        """A Retry packet (RFC 9000 section 17.2.5) whose token remembers the client's first connection ID."""
        source = os.urandom(CONNECTION_ID_SIZE)
        return encode_quic_retry(
            version=header.version,
            source_cid=source,
            destination_cid=header.source,
            original_destination_cid=header.destination,
            retry_token=self._tokens.create_token(
                address=peer,
                original_destination_connection_id=header.destination,
                retry_source_connection_id=source,
                now=now,
            ),
        )

    def original_destination(self, header: LongHeader, peer: tuple[str, int], now: float) -> bytes | None:
        """The connection ID of the packet that the Retry answered; ``None`` for a token that is not good."""
        try:
            return self._tokens.validate_token(
                address=peer, destination_cid=header.destination, token=header.token, now=now
            )
        except ValueError:
            return None
