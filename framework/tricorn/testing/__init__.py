"""The test client: an application called in this process, as each version of HTTP would call it.

``Client`` is for tests without an event loop, ``AsyncClient`` for those with one.
"""

from __future__ import annotations

from tricorn.lifespan import LifespanFailed
from tricorn.testing.client import AsyncClient
from tricorn.testing.exchange import IncompleteResponse
from tricorn.testing.messages import ASGIViolation
from tricorn.testing.response import AsyncStreamedResponse, Push, Response, StreamedResponse
from tricorn.testing.sync import Client
from tricorn.testing.websocket import AsyncWebSocket, WebSocket, WebSocketClosed, WebSocketDenied

__all__ = [
    "ASGIViolation",
    "AsyncClient",
    "AsyncStreamedResponse",
    "AsyncWebSocket",
    "Client",
    "IncompleteResponse",
    "LifespanFailed",
    "Push",
    "Response",
    "StreamedResponse",
    "WebSocket",
    "WebSocketClosed",
    "WebSocketDenied",
]
