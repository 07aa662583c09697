"""Clients in memory, so that an engine can be driven by bytes that nobody here wrote.

Rules of this module: no protocol library; ``h1_peer``, ``h2_peer`` and ``h3_peer`` wrap one each. A peer never waits:
what it has to say is taken, and what the server says is given to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

Fields: TypeAlias = Sequence[tuple[bytes, bytes]]


@dataclass(slots=True)
class Response:
    """What the server has said to one request so far.

    Attributes:
        status: 0 until the final response's head is there.
        ended: The response is complete.
        aborted: It was reset, or its connection ended before it.
        informational: Interim responses, in order.
        promised: Requests that were promised on this one: number, path.
    """

    status: int = 0
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytearray = field(default_factory=bytearray)
    trailers: list[tuple[bytes, bytes]] = field(default_factory=list)
    ended: bool = False
    aborted: bool = False
    informational: list[tuple[int, list[tuple[bytes, bytes]]]] = field(default_factory=list)
    promised: list[tuple[int, bytes]] = field(default_factory=list)

    def header(self, name: bytes) -> bytes | None:
        """The first value of a field."""
        return next((value for key, value in self.headers if key.lower() == name), None)


class Peer(Protocol):
    """A client's side of one connection."""

    responses: dict[int, Response]
    #: False for a library that takes the content-length of a HEAD or a 304 for the length of what follows.
    knows_bodyless: bool

    def request(
        self,
        method: bytes,
        target: bytes,
        headers: Fields = (),
        *,
        length: int | None = None,
        end: bool = True,
        protocol: bytes | None = None,
    ) -> int:
        """Begins a request; gives the number under which its response stands in ``responses``.

        Args:
            length: Declared length of the body in bytes; without one a body that follows is framed otherwise.
            end: The request has no body.
            protocol: Asks for a tunnel of that protocol: HTTP/1's Upgrade, or an extended CONNECT.
        """

    def send(self, number: int, data: bytes, *, end: bool = False, trailers: Fields = ()) -> None:
        """A part of the request's body or of the tunnel's bytes, sent as far as the server's windows let it."""

    def pause(self, number: int) -> None:
        """Reads no more of one response, so that its window stays shut.

        Raises:
            unittest.SkipTest: The client cannot.
        """

    def resume(self, number: int) -> None:
        """Reads it again."""


class StreamPeer(Peer, Protocol):
    """A client over a byte stream."""

    def take(self) -> bytes:
        """What is to be given to the server now."""

    def receive(self, data: bytes) -> None:
        """Takes what the server sent. Fails when the server broke the protocol."""

    def receive_eof(self) -> None:
        """The server closed its side."""


class DatagramPeer(Peer, Protocol):
    """A client over datagrams, which speaks first."""

    def take_datagrams(self, now: float) -> list[bytes]:
        """What is to be given to the server now."""

    def receive_datagram(self, data: bytes, now: float) -> None:
        """Takes what the server sent."""

    def handle_timer(self, now: float) -> None:
        """Does what is due."""
