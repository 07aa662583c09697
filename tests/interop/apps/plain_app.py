"""The least application: it reads the request to its end, and answers with some text."""

from __future__ import annotations

from typing import Any

BODY = b"hello from behind the protocol\n" * 4


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        raise RuntimeError("requests only")
    more = True
    while more:
        message = await receive()
        more = message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": BODY})
