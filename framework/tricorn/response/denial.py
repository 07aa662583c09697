"""Refusing a connection with a response, whether it is a request or a WebSocket's handshake.

Rules of this module: a WebSocket that is not accepted yet is refused with the same response where the server can
carry it (ASGI's extension ``websocket.http.response``), and closed, which is a 403, where it cannot.
"""

from __future__ import annotations

from tricorn.response.base import Response
from tricorn.types import Message, Receive, Scope, Send


async def refuse(response: Response, scope: Scope, receive: Receive, send: Send) -> None:
    """Sends ``response`` as the answer to an ``http`` scope or to a ``websocket`` scope's handshake."""
    if scope["type"] == "http":
        await response(scope, receive, send)
    elif "websocket.http.response" in (scope.get("extensions") or {}):

        async def send_denial(message: Message) -> None:
            await send({**message, "type": f"websocket.{message['type']}"})

        await response(scope, receive, send_denial)
    else:
        await send({"type": "websocket.close", "code": 1008, "reason": ""})
