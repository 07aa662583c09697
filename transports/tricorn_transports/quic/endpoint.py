"""One UDP socket's side of QUIC: which datagram belongs to which connection, and what is answered without one.

Rules of this module:
- No library is known here; ``ConnectionFactory`` and ``AddressValidation`` are what one must offer.
- ``accept`` is called for every datagram: one that belongs to a known connection costs one dictionary look-up.
- What an unknown sender can make the endpoint keep is bounded: half-open connections, remembered endings, replies.
- No reply is more than three times as large as what it answers, so nobody gains by a false sender address.

A connection's life here: ``accept`` makes it with its ``Routes``, which the engine keeps up to date as connection IDs
are issued and retired; ``forget`` ends it. For a while its last CONNECTION_CLOSE still answers a peer that missed it
(RFC 9000 section 10.2.1); after that a stateless reset does.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from tricorn_transports.abc import DatagramEngine, EngineContext, Path
from tricorn_transports.errors import LimitExceeded
from tricorn_transports.quic.packet import (
    MIN_INITIAL_DATAGRAM,
    MIN_ORIGINAL_ID,
    RESET_TOKEN_SIZE,
    LongHeader,
    read_long_header,
    stateless_reset,
    version_negotiation,
)

#: Bytes of every connection ID that is issued here: enough that nobody guesses one, short enough to cost little.
CONNECTION_ID_SIZE = 8

#: Half-open connections from which on a client must first show that it receives at its address (a Retry).
_RETRY_FROM = 64
#: Half-open connections from which on new ones are dropped; clients try again.
_MAX_HALF_OPEN = 1024
#: Endings that are remembered so that a peer who missed one hears it again.
_MAX_ENDINGS = 1024
#: Replies that wait for the socket.
_MAX_REPLIES = 256


class Routes:
    """The connection IDs that lead to one connection, kept in its endpoint's table."""

    __slots__ = ("_endpoint", "_engine", "_half_open", "_ids")

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._ids: set[bytes] = set()
        self._half_open = True
        self._engine: QuicEngine | None = None

    def issued(self, connection_id: bytes) -> None:
        """The peer may address the connection by this ID from now on."""
        self._ids.add(connection_id)
        if self._engine is not None:
            self._endpoint._table[connection_id] = self._engine

    def retired(self, connection_id: bytes) -> None:
        """The peer will not use this ID again."""
        if connection_id in self._ids:
            self._ids.discard(connection_id)
            self._endpoint._table.pop(connection_id, None)

    def established(self) -> None:
        """The handshake is complete."""
        if self._half_open:
            self._half_open = False
            self._endpoint._half_open -= 1

    def reset_token(self, connection_id: bytes) -> bytes:
        """The stateless reset token to give out with an ID (RFC 9000 section 10.3.2)."""
        return self._endpoint._reset_token(connection_id)


class QuicEngine(DatagramEngine, Protocol):
    """What the endpoint asks of an engine beyond ``DatagramEngine``."""

    def closing_datagram(self) -> bytes | None:
        """The datagram with which this side closed, or ``None`` when the peer did or nobody said anything."""


@dataclass(slots=True)
class Opening:
    """What a new connection is made from.

    Attributes:
        original_destination: The connection ID of the client's very first packet.
        retry_source: The connection ID that a Retry gave the client, if there was one.
        routes: Tells the endpoint of the connection's IDs.
    """

    original_destination: bytes
    retry_source: bytes | None
    routes: Routes


class ConnectionFactory(Protocol):
    """Makes the engine of a new connection; it need not look at the first datagram, which comes right after."""

    def __call__(self, opening: Opening, path: Path, now: float) -> QuicEngine: ...


class AddressValidation(Protocol):
    """Retry packets and the tokens in them (RFC 9000 section 8.1.2)."""

    def retry(self, header: LongHeader, peer: tuple[str, int], now: float) -> bytes:
        """A Retry packet that answers an Initial without a token."""

    def original_destination(self, header: LongHeader, peer: tuple[str, int], now: float) -> bytes | None:
        """The connection ID of the packet that the Retry answered; ``None`` for a token that is not good."""


@dataclass(slots=True)
class _Ending:
    """How a forgotten connection answers its peer: with ``datagram``, or not at all."""

    datagram: bytes | None
    until: float
    asked: int = 0


@dataclass(slots=True, eq=False)
class Endpoint:
    """Implements ``abc.DatagramEndpoint``.

    Args:
        context: ``limits.max_connections`` bounds the connections, ``timeouts.close_timeout`` (seconds) how long
            an ended one still answers.
        versions: The QUIC versions that ``connect`` can speak, best first.
        connect: Makes the engines.
        validation: Without it nobody is asked to show its address.
        refusal: Makes the packet that answers an Initial with CONNECTION_REFUSED, where there are too many connections
            or the endpoint shuts down; without it such Initials are dropped, and clients wait.
        reset_key: The secret from which stateless reset tokens are made. Processes that share it can reset each
            other's connections; by default it is this endpoint's own.
        retry_from: Half-open connections from which on addresses are validated first; 0 is always.
    """

    context: EngineContext
    versions: Sequence[int]
    connect: ConnectionFactory
    validation: AddressValidation | None = None
    refusal: Callable[[LongHeader], bytes] | None = None
    reset_key: bytes = field(default_factory=lambda: os.urandom(32))
    retry_from: int = _RETRY_FROM
    _table: dict[bytes, QuicEngine] = field(default_factory=dict, init=False)
    _routes: dict[int, Routes] = field(default_factory=dict, init=False)
    _endings: dict[bytes, _Ending] = field(default_factory=dict, init=False)
    _replies: list[tuple[bytes, Path]] = field(default_factory=list, init=False)
    _half_open: int = field(default=0, init=False)
    _now: float = field(default=0.0, init=False)
    _closing: bool = field(default=False, init=False)

    def accept(self, data: bytes, path: Path, now: float) -> QuicEngine | None:
        """The connection that ``data`` belongs to, known or new; ``None`` for one that is dropped or replied to.

        Raises:
            LimitExceeded: There are ``max_connections`` already; ``replies`` has the refusal.
        """
        self._now = now
        if not data:
            return None
        if data[0] < 0x80:
            connection_id = data[1 : 1 + CONNECTION_ID_SIZE]
            engine = self._table.get(connection_id)
            if engine is None and len(connection_id) == CONNECTION_ID_SIZE:
                self._answer_stranger(data, connection_id, path)
            return engine
        header = read_long_header(data)
        if header is None:
            return None
        engine = self._table.get(header.destination)
        if engine is not None:
            return engine
        if header.destination in self._endings:
            self._answer_stranger(data, header.destination, path)
            return None
        if len(data) < MIN_INITIAL_DATAGRAM or header.version == 0:
            return None  # RFC 9000 section 6.1: a version negotiation packet is never answered by another
        if header.version not in self.versions:
            self._reply(version_negotiation(header, self.versions, os.urandom(1)[0]), path)
            return None
        if not header.is_initial or len(header.destination) < MIN_ORIGINAL_ID:
            return None
        return self._open(header, path, now)

    def replies(self) -> list[tuple[bytes, Path]]:
        """Datagrams that belong to no connection: version negotiation, Retry, a refusal, a close once more, a
        stateless reset."""
        if not self._replies:
            return []
        replies, self._replies = self._replies, []
        return replies

    def forget(self, engine: DatagramEngine) -> None:
        """The connection is over; its connection IDs are no longer routed."""
        routes = self._routes.pop(id(engine), None)
        if routes is None:
            return
        routes.established()
        known = routes._engine
        ending = _Ending(
            known.closing_datagram() if known is not None else None, self._now + self.context.timeouts.close_timeout
        )
        for connection_id in routes._ids:
            self._table.pop(connection_id, None)
            self._endings[connection_id] = ending
        while len(self._endings) > _MAX_ENDINGS:
            del self._endings[next(iter(self._endings))]
        routes._ids.clear()

    def begin_shutdown(self) -> None:
        """Takes no new connections; ``accept`` routes to the known ones only."""
        self._closing = True

    def connections(self) -> int:
        """How many connections are routed now."""
        return len(self._routes)

    def _open(self, header: LongHeader, path: Path, now: float) -> QuicEngine | None:
        if self._half_open >= _MAX_HALF_OPEN:
            return None
        is_full = len(self._routes) >= self.context.limits.max_connections
        if is_full or self._closing:
            if self.refusal is not None and len(self._replies) < _MAX_REPLIES:
                self._reply(self.refusal(header), path)
            if is_full and not self._closing:
                count = len(self._routes)
                raise LimitExceeded(f"refused, there are {count} connections already", limit="max_connections")
            return None
        original, retry_source = header.destination, None
        if self.validation is not None and (header.token or self._half_open >= self.retry_from):
            validated = self.validation.original_destination(header, path.peer, now) if header.token else None
            if validated is not None:
                original, retry_source = validated, header.destination
            elif self._half_open >= self.retry_from:
                # A token that is not ours (another server's NEW_TOKEN, say) is as good as none: RFC 9000 section 8.1.3.
                self._reply(self.validation.retry(header, path.peer, now), path)
                return None
        routes = Routes(self)
        self._half_open += 1
        engine = self.connect(Opening(original, retry_source, routes), path, now)
        routes._engine = engine
        self._routes[id(engine)] = routes
        for connection_id in (header.destination, *routes._ids):
            routes.issued(connection_id)
        return engine

    def _answer_stranger(self, data: bytes, connection_id: bytes, path: Path) -> None:
        ending = self._endings.get(connection_id)
        if ending is not None and ending.until <= self._now:
            del self._endings[connection_id]
            ending = None
        if ending is not None:
            ending.asked += 1
            # RFC 9000 section 10.2.1: answer ever fewer of them (powers of two), and never with more bytes than
            # an address that is not validated may be sent (section 8.1).
            datagram = ending.datagram
            if datagram is not None and ending.asked & (ending.asked - 1) == 0 and len(datagram) <= 3 * len(data):
                self._reply(datagram, path)
        elif data[0] < 0x80:
            reset = stateless_reset(len(data), self._reset_token(connection_id), os.urandom(32))
            if reset is not None:
                self._reply(reset, path)

    def _reset_token(self, connection_id: bytes) -> bytes:
        return hmac.digest(self.reset_key, connection_id, "sha256")[:RESET_TOKEN_SIZE]

    def _reply(self, datagram: bytes, path: Path) -> None:
        if len(self._replies) < _MAX_REPLIES:
            self._replies.append((datagram, path))
