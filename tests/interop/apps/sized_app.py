"""Answers with as many bytes as the last part of the path says, piece by piece."""

from __future__ import annotations

from typing import Any

PIECE = 40_000


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        raise RuntimeError("requests only")
    left = int(scope["path"].rpartition("/")[2] or 0)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    while left:
        size = min(left, PIECE)
        left -= size
        await send({"type": "http.response.body", "body": bytes(size), "more_body": True})
    await send({"type": "http.response.body", "body": b""})
