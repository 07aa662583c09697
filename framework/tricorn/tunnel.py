"""A tunnel as a handler sees it: the client's CONNECT (RFC 9110 section 9.3.6), on any version of HTTP.

An application that accepts tunnels is a proxy, and one that connects to wherever it is asked to is an open one: it
reaches what only its own network reaches, in its name. So nothing is accepted unless a handler does it, nothing is
connected unless the handler connects it, and where to is the handler's decision, to be made by a list of what is
allowed. A name must be looked up once, and the address that was checked be the one that is connected to.

Rules of this module: two sides that end one by one, as in TCP; what breaks their order is the handler's error, a
``RuntimeError``. A client that breaks off is ``ClientDisconnect``, from whichever call notices it first.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

import anyio

from tricorn.connection import Connection
from tricorn.exceptions import ClientDisconnect, HTTPException
from tricorn.headers import HeadersInit, encode_headers
from tricorn.response.convert import convert
from tricorn.routing.handler import HandlerPlan, Kind
from tricorn.types import ASGIApp, Handler, Message, Receive, Scope, Send


class ByteStream(Protocol):
    """What ``Tunnel.relay`` joins the client with; anyio's byte streams are such."""

    async def receive(self) -> bytes:
        """The next bytes; ``anyio.EndOfStream`` at the end."""

    async def send(self, item: bytes) -> None: ...

    async def send_eof(self) -> None: ...


class Tunnel(Connection):
    """One client's request for a tunnel, and the tunnel once it is accepted.

    Args:
        scope: An ASGI ``http`` scope with the extension ``tricorn.tunnel``.

    Attributes:
        host, port: Where the client wants to be connected to. An IPv6 address comes without its brackets.

    Raises:
        HTTPException: 400, the request's target is no host and port.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        super().__init__(scope)
        self._receive = receive
        self._send = send
        self._accepted = False
        self._ended = False
        self._peer_ended = False
        self.host, self.port = _split(scope["path"])

    @property
    def is_accepted(self) -> bool:
        """Whether the tunnel was opened (it may have ended by now)."""
        return self._accepted

    async def accept(self, headers: HeadersInit = ()) -> None:
        """Opens the tunnel: everything from here on is its bytes.

        Args:
            headers: More fields for the response. Those that would frame a body are left out: it has none.

        Raises:
            RuntimeError: It was opened before.
            ClientDisconnect: The client is gone.
        """
        if self._accepted:
            raise RuntimeError("the tunnel is open already")
        self._accepted = True
        await self._pass({"type": "tricorn.tunnel.accept", "headers": encode_headers(headers)})

    async def receive(self) -> bytes:
        """What the client sent next, any number of bytes; ``b""`` when it has closed its side.

        The client is held back while nobody receives.

        Raises:
            RuntimeError: The tunnel is not open.
            ClientDisconnect: The client broke off.
        """
        self._require_open()
        while not self._peer_ended:
            message = await self._receive()
            if message["type"] != "tricorn.tunnel.receive":
                raise ClientDisconnect
            self._peer_ended = not message.get("more_body", False)
            if message["body"]:
                return bytes(message["body"])
        return b""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """What the client sends, until it closes its side."""
        while data := await self.receive():
            yield data

    async def send(self, data: bytes) -> None:
        """Sends bytes; waits until the client has taken enough of those before.

        Raises:
            RuntimeError: The tunnel is not open, or our side is closed.
            ClientDisconnect: The client broke off.
        """
        self._require_open()
        if self._ended:
            raise RuntimeError("our side of the tunnel is closed")
        await self._pass({"type": "tricorn.tunnel.send", "body": data, "more_body": True})

    async def end(self) -> None:
        """Closes our side; what the client sends can still be received. Again: nothing.

        Raises:
            RuntimeError: The tunnel is not open.
            ClientDisconnect: The client broke off.
        """
        self._require_open()
        if not self._ended:
            self._ended = True
            await self._pass({"type": "tricorn.tunnel.send", "body": b"", "more_body": False})

    async def relay(self, stream: ByteStream) -> None:
        """Joins the client with ``stream`` until both have closed their sides; each side's end is passed on by itself.

        ``stream`` is not closed. What fails on either side ends the other's turn, and is raised in an
        ``ExceptionGroup``.
        """
        self._require_open()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._relay_in, stream)
            while True:
                try:
                    data = await stream.receive()
                except anyio.EndOfStream:
                    break
                await self.send(data)
            await self.end()

    async def _relay_in(self, stream: ByteStream) -> None:
        async for data in self:
            await stream.send(data)
        await stream.send_eof()

    def _require_open(self) -> None:
        if not self._accepted:
            raise RuntimeError("the tunnel is not open: accept() it first")

    async def _pass(self, message: Message) -> None:
        try:
            await self._send(message)
        except OSError as error:
            raise ClientDisconnect from error


class TunnelBroken(Exception):
    """A handler failed after it had accepted: no response can tell of it, only the tunnel's break."""


class TunnelRoute:
    """Hands CONNECT requests to a handler, and everything else to ``app``.

    Args:
        handler: An ``async def`` that takes the ``Tunnel``, by the name ``tunnel`` or by an annotation. The tunnel ends
            when it returns. Before it has accepted, it may refuse: with an ``HTTPException``, or by returning a
            response; returning without either is a 403.

    Raises:
        TypeError: The handler is not a coroutine function or its signature is impossible.
    """

    def __init__(self, app: ASGIApp, handler: Handler) -> None:
        plan = HandlerPlan(handler, Tunnel, ("tunnel",))
        if plan.kind is not Kind.COROUTINE:
            raise TypeError(f"handler {plan.name}(): a tunnel's handler must be async def")
        plan.require(frozenset(), "CONNECT")
        self._app = app
        self._plan = plan

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not is_connect(scope):
            await self._app(scope, receive, send)
            return
        if "tricorn.tunnel" not in (scope.get("extensions") or ()):
            raise HTTPException(501, "this server offers no tunnels")
        tunnel = Tunnel(scope, receive, send)
        try:
            value = await self._plan.call(tunnel, {})  # type: ignore[misc]  # a coroutine, as its kind says
        except Exception as error:
            if not tunnel.is_accepted:
                raise
            if _is_disconnect(error):
                return
            raise TunnelBroken(f"the tunnel to {tunnel.host}:{tunnel.port} broke") from error
        if not tunnel.is_accepted:
            if value is None:
                raise HTTPException(403)
            await convert(value, self._plan.name)(scope, receive, send)


def is_connect(scope: Scope) -> bool:
    """Whether a client asks for a tunnel to somewhere (and not, by an extended CONNECT, for a protocol at a path)."""
    return scope["type"] == "http" and scope["method"] == "CONNECT" and not scope["path"].startswith("/")


def _is_disconnect(error: BaseException) -> bool:
    """Whether nothing went wrong but that the client left (task groups wrap what they raise)."""
    if isinstance(error, BaseExceptionGroup):
        return all(map(_is_disconnect, error.exceptions))
    return isinstance(error, ClientDisconnect)


def _split(authority: str) -> tuple[str, int]:
    host, colon, port = authority.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        host = ""
    if not host or not colon or not (port.isascii() and port.isdecimal()) or not 0 < int(port) < 65_536:
        raise HTTPException(400, "CONNECT wants a host and a port")
    return host, int(port)
