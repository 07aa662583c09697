"""A UDP socket that knows to which of the machine's addresses each datagram came, and answers from there.

Rules of this module: reads and writes only, one datagram a call; errors are the caller's. On a socket that is bound to
every address the kernel would choose an answer's sender by its routes, and a client that asked another address would
drop it. Such a socket takes and gives the local address with each datagram (IP_PKTINFO, RFC 3542 section 6); the others
need none of that. Hosts of link-local addresses carry their scope (``fe80::1%2``): without it nobody can answer.
"""

from __future__ import annotations

import socket
import struct
import sys
from functools import lru_cache
from typing import TypeAlias

from tricorn_transports.abc import Path

_MAX_DATAGRAM = 65_535
_MAX_ANCILLARY = 128

_Ancillary: TypeAlias = list[tuple[int, int, bytes]]

# Linux's number; the socket module of Python 3.11 does not have it. Elsewhere the kernel chooses.
_IP_PKTINFO = getattr(socket, "IP_PKTINFO", 8) if sys.platform == "linux" else None
_IPV6_PKTINFO = getattr(socket, "IPV6_PKTINFO", None)
_IPV6_RECVPKTINFO = getattr(socket, "IPV6_RECVPKTINFO", None)
# Interface, the address to answer from, the address in the IP header.
_INFO_4 = struct.Struct("=i4s4s")
# Address, interface.
_INFO_6 = struct.Struct("=16sI")


class DatagramSocket:
    """Wraps a bound, non-blocking UDP socket, which stays the caller's."""

    __slots__ = ("_local", "_port", "_sock", "_tells_local")

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        address = sock.getsockname()
        self._local = _end(address)
        self._port = self._local[1]
        self._tells_local = False
        if address[0] == "0.0.0.0" and _IP_PKTINFO is not None:
            sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
            self._tells_local = True
        elif address[0] == "::" and _IPV6_RECVPKTINFO is not None:
            sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVPKTINFO, 1)
            self._tells_local = True

    def receive(self) -> tuple[bytes, Path]:
        """The next datagram and its way.

        Raises:
            OSError: There is none (``BlockingIOError``), or an ICMP error waited in its place.
        """
        if not self._tells_local:
            data, peer = self._sock.recvfrom(_MAX_DATAGRAM)
            return data, Path(self._local, _end(peer))
        data, ancillary, _, peer = self._sock.recvmsg(_MAX_DATAGRAM, _MAX_ANCILLARY)
        return data, Path(self._arrived_at(ancillary), _end(peer))

    def send(self, data: bytes, path: Path) -> None:
        """Sends to ``path.peer`` from ``path.local``.

        Raises:
            OSError: The socket takes nothing now (``BlockingIOError``), or the datagram cannot go there.
        """
        peer = path.peer
        to = _with_scope(peer) if "%" in peer[0] else peer
        if not self._tells_local or path.local is self._local:
            self._sock.sendto(data, to)
        else:
            self._sock.sendmsg([data], _answer_from(path.local[0]), 0, to)

    def _arrived_at(self, ancillary: _Ancillary) -> tuple[str, int]:
        for level, kind, info in ancillary:
            if level == socket.IPPROTO_IP and kind == _IP_PKTINFO and len(info) >= _INFO_4.size:
                return socket.inet_ntop(socket.AF_INET, _INFO_4.unpack_from(info)[1]), self._port
            if level == socket.IPPROTO_IPV6 and kind == _IPV6_PKTINFO and len(info) >= _INFO_6.size:
                return socket.inet_ntop(socket.AF_INET6, _INFO_6.unpack_from(info)[0]), self._port
        return self._local


def _end(address: tuple[str, int] | tuple[str, int, int, int]) -> tuple[str, int]:
    """Host and port; IPv6 sockets give four values, of which the last is the scope of a link-local address."""
    if len(address) == 4 and address[3]:
        return f"{address[0]}%{address[3]}", address[1]
    return address[0], address[1]


def _with_scope(end: tuple[str, int]) -> tuple[str, int, int, int]:
    host, _, scope = end[0].partition("%")
    return host, end[1], 0, int(scope)


@lru_cache(maxsize=256)
def _answer_from(host: str) -> _Ancillary:
    """The ancillary data that makes the kernel send from ``host``; the peer's scope says on which interface."""
    if ":" in host:
        assert _IPV6_PKTINFO is not None
        return [(socket.IPPROTO_IPV6, _IPV6_PKTINFO, _INFO_6.pack(socket.inet_pton(socket.AF_INET6, host), 0))]
    assert _IP_PKTINFO is not None
    return [(socket.IPPROTO_IP, _IP_PKTINFO, _INFO_4.pack(0, socket.inet_pton(socket.AF_INET, host), bytes(4)))]
