"""QUIC connections over one UDP socket.

Rules of this module: synchronous; the runtime says when the socket can be read or written. The endpoint routes, the
engines do all of QUIC and HTTP/3, and what the socket does not take is kept here in order, bounded: datagrams may be
lost, so the oldest of too many are dropped.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable
from math import inf
from typing import Any

from tricorn_transports.abc import DatagramEndpoint, DatagramEngine, Feature, Path
from tricorn_transports.connection.base import Alarm, Connection
from tricorn_transports.connection.datagrams import DatagramSocket
from tricorn_transports.errors import LimitExceeded
from tricorn_transports.events import Event
from tricorn_transports.exchange.host import Worker

_READS_PER_WAKEUP = 64
_MAX_UNSENT = 1_024
#: Seconds between two lines about connections that are refused.
_SAY_AGAIN = 10.0


class UdpConnection(Connection):
    """One QUIC connection."""

    __slots__ = ("_socket",)

    _engine: DatagramEngine

    def __init__(self, worker: Worker, udp: UdpSocket, engine: DatagramEngine) -> None:
        super().__init__(worker)
        self._socket = udp
        self._engine = engine
        self._multiplexes = Feature.MULTIPLEX in engine.features
        self.client = engine.path.peer
        self.server = engine.path.local

    @property
    def engine(self) -> DatagramEngine:
        return self._engine

    def tls_info(self) -> dict[str, Any] | None:
        return self._engine.tls_info

    def arm(self, alarm: Alarm) -> None:
        """Gives the connection its entry among the worker's deadlines."""
        self._alarm = alarm

    def received(self, data: bytes, path: Path, now: float) -> list[Event]:
        """Takes one datagram. The caller runs the ``turn``, so that a burst is answered once."""
        events = self._engine.receive_datagram(data, path, now)
        self.client = self._engine.path.peer  # it follows a migration that QUIC has accepted, not every datagram
        return events

    def fail(self) -> None:
        self._lost()
        self._socket.forget(self)
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _write(self) -> None:
        while datagrams := self._engine.datagrams_to_send(self.worker.runtime.now()):
            self._socket.send(datagrams)

    def _after_turn(self) -> None:
        if self._engine.is_closed():
            self.fail()
            return
        due = self._engine.deadline()
        if due is not None and self._alarm is not None:
            self._alarm.set(due)


class UdpSocket:
    """A UDP socket and the QUIC connections on it.

    Args:
        make_alarm: Makes a connection's entry among the worker's deadlines.
        want_write: Tells the runtime to call ``writable()`` when the socket takes datagrams again.
    """

    def __init__(
        self,
        worker: Worker,
        sock: socket.socket,
        endpoint: DatagramEndpoint,
        make_alarm: Callable[[Connection], Alarm],
        want_write: Callable[[bool], None],
    ) -> None:
        self._worker = worker
        self._sock = DatagramSocket(sock)
        self._endpoint = endpoint
        self._make_alarm = make_alarm
        self._want_write = want_write
        self._quiet_until = -inf
        self._unsent: deque[tuple[bytes, Path]] = deque(maxlen=_MAX_UNSENT)
        self.connections: dict[DatagramEngine, UdpConnection] = {}

    def readable(self) -> None:
        """Reads what is there, up to a bound, so that other sockets have their turn; then one turn for each."""
        now = self._worker.runtime.now()
        arrived: dict[UdpConnection, list[Event]] = {}
        for _ in range(_READS_PER_WAKEUP):
            try:
                data, path = self._sock.receive()
            except (BlockingIOError, InterruptedError):
                break
            except OSError:
                # A queued ICMP error (the peer's port is closed) surfaces here; it belongs to no connection
                # for certain, and a lost peer is found by its idle timeout.
                continue
            connection = self._route(data, path, now)
            if connection is not None:
                arrived.setdefault(connection, []).extend(connection.received(data, path, now))
        for connection, events in arrived.items():
            connection.turn_alone(events)

    def _route(self, data: bytes, path: Path, now: float) -> UdpConnection | None:
        engine = None
        try:
            engine = self._endpoint.accept(data, path, now)
        except LimitExceeded as error:
            if now >= self._quiet_until:  # a client asks more than once, and anybody can ask in others' names
                self._quiet_until = now + _SAY_AGAIN
                self._worker.log_peer_error(error, path.peer)
        if engine is None:
            self.send(self._endpoint.replies())
            return None
        connection = self.connections.get(engine)
        if connection is None:
            connection = UdpConnection(self._worker, self, engine)
            connection.arm(self._make_alarm(connection))
            self.connections[engine] = connection
        return connection

    def send(self, datagrams: list[tuple[bytes, Path]]) -> None:
        """Sends, or keeps what the socket does not take now."""
        if self._unsent:
            self._unsent.extend(datagrams)
            return
        for index, (data, path) in enumerate(datagrams):
            if not self._send_one(data, path):
                self._unsent.extend(datagrams[index:])
                self._want_write(True)
                return

    def writable(self) -> None:
        """The socket takes datagrams again."""
        while self._unsent:
            data, path = self._unsent[0]
            if not self._send_one(data, path):
                return
            self._unsent.popleft()
        self._want_write(False)

    @property
    def has_unsent(self) -> bool:
        """Whether ``writable()`` has something to do."""
        return bool(self._unsent)

    def _send_one(self, data: bytes, path: Path) -> bool:
        try:
            self._sock.send(data, path)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            # Unreachable, too big for the interface: to QUIC this is a lost datagram, and it recovers.
            return True
        return True

    def forget(self, connection: UdpConnection) -> None:
        """The connection is over."""
        if self.connections.pop(connection.engine, None) is not None:
            self._endpoint.forget(connection.engine)

    def begin_shutdown(self) -> None:
        """Lets connections finish; new ones are refused by the endpoint."""
        self._endpoint.begin_shutdown()
        for connection in list(self.connections.values()):
            connection.begin_shutdown()
