"""A request that its application may turn into a two-way stream of bytes: CONNECT, or an upgrade to another protocol.

Rules of this module:
- Until the application accepts, it is a request like any other, and any answer but a tunnel is sent as one. Nothing is
  accepted for it, and nothing is connected anywhere: where the bytes go is the application's affair.
- Once it is open, each side ends by itself. The client's end is the last ``tricorn.tunnel.receive``; ours is the last
  ``tricorn.tunnel.send``, or the application's return, which ends the whole.
- An open tunnel may be silent for as long as it likes; only a client that takes nothing of what is sent has a deadline.
  No bound on a body's size holds in it: what is not read stays in the windows.
"""

from __future__ import annotations

from math import inf
from typing import Any

from tricorn_transports.abc import Message
from tricorn_transports.errors import ClientDisconnected, LocalProtocolError
from tricorn_transports.events import RequestStarted
from tricorn_transports.exchange.head import body_bytes, switching_fields
from tricorn_transports.exchange.host import Host
from tricorn_transports.exchange.http import HttpExchange
from tricorn_transports.exchange.states import SendState


class TunnelExchange(HttpExchange):
    """Implements ``Exchange`` for CONNECT (RFC 9110 section 9.3.6), extended CONNECT (RFC 8441, 9220) and Upgrade."""

    __slots__ = ("_is_open", "_is_upgrade", "_sent_end")

    def __init__(self, host: Host, request: RequestStarted) -> None:
        super().__init__(host, request)
        self._is_open = False
        self._is_upgrade = request.http_version.startswith("1")
        self._sent_end = False

    def _offer(self, extensions: dict[str, Any]) -> None:
        protocol = self._request.protocol
        extensions["tricorn.tunnel"] = {"protocol": None if protocol is None else protocol.decode("latin-1")}

    # ----------------------------------------------------------------------------------- what the connection calls

    def body_received(self, data: bytes, credit: int) -> None:
        if self._is_open:
            self._body_size = 0
        super().body_received(data, credit)

    def peer_left(self) -> None:
        """A client that has closed its side of an open tunnel is no more gone than the tunnel."""
        if not self._is_open:
            super().peer_left()

    def handle_deadline(self, now: float) -> None:
        if self._is_open and not self._senders:
            self.deadline = inf
        else:
            super().handle_deadline(now)

    # ------------------------------------------------------------------------------------------------- the ASGI call

    async def receive(self) -> Message:
        message = await super().receive()
        if self._is_open and message["type"] == "http.request":
            message["type"] = "tricorn.tunnel.receive"
        return message

    def _ask_for_body(self) -> None:
        if not self._is_open:
            super()._ask_for_body()

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if kind == "tricorn.tunnel.accept" and self._state is SendState.START:
            self._accept(message)
        elif not self._is_open:
            await super().send(message)
        elif self._state is SendState.ABORTED:
            raise ClientDisconnected("the client has disconnected")
        elif kind != "tricorn.tunnel.send" or self._sent_end:
            wanted = "nothing more" if self._sent_end else "tricorn.tunnel.send"
            raise LocalProtocolError(f"{kind!r} was sent where {wanted} was expected")
        else:
            await self._send_part(body_bytes(message), last=not message.get("more_body", False))

    def _start(self, message: Message) -> None:
        if self._request.method == b"CONNECT" and 200 <= message["status"] < 300:
            raise LocalProtocolError("a 2xx to CONNECT opens a tunnel, which tricorn.tunnel.accept does")
        super()._start(message)

    def _accept(self, message: Message) -> None:
        headers = switching_fields(message.get("headers", ()))
        if self._is_upgrade:  # the request ended with its head; now the client's side of the tunnel begins
            self._ended = self._delivered = False
        self._engine.accept_tunnel(self.stream_id, headers)
        self._status = 101 if self._is_upgrade and self._request.protocol is not None else 200
        self._is_open = True
        self._state = SendState.BODY
        self.deadline = inf
        self._host.flush()

    async def _send_part(self, data: bytes, *, last: bool) -> None:
        self._sent += len(data)
        self._sent_end = last
        self._engine.send_data(self.stream_id, data, end=last)
        self._host.flush()
        await self._wait_for_room(len(data))

    # ------------------------------------------------------------------------------------------------------- endings

    def _application_returned(self) -> None:
        if not self._is_open:
            super()._application_returned()
        elif self._state is not SendState.ABORTED:
            if not self._sent_end:
                self._engine.send_data(self.stream_id, b"", end=True)
            self._finish()
