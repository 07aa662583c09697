"""Tricorn: a web framework for HTTP/1.1, HTTP/2 and HTTP/3.

The public names. They are imported when they are first used, so that ``import tricorn`` itself costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tricorn.lazy import lazy_names

if TYPE_CHECKING:
    from tricorn.app import App
    from tricorn.exceptions import ClientDisconnect, HTTPException, NoRoute, NotModified, WebSocketDisconnect
    from tricorn.forms import FormData, UploadFile
    from tricorn.headers import Headers, MutableHeaders
    from tricorn.hints import Hint, Hinting, PushCookie
    from tricorn.priority import Priority
    from tricorn.request import Request
    from tricorn.response import (
        EventSourceResponse,
        FileResponse,
        HTMLResponse,
        JSONResponse,
        PlainTextResponse,
        RedirectResponse,
        Response,
        SeekableResponse,
        ServerSentEvent,
        StreamingResponse,
    )
    from tricorn.routing import Converter, Host, Mount, Route, Router, WebSocketRoute, register_converter
    from tricorn.static import StaticFiles
    from tricorn.tunnel import Tunnel
    from tricorn.types import Middleware
    from tricorn.url import URL, QueryParams
    from tricorn.websocket import WebSocket

__version__ = "0.1.0"

__all__ = [
    "URL",
    "App",
    "ClientDisconnect",
    "Converter",
    "EventSourceResponse",
    "FileResponse",
    "FormData",
    "HTMLResponse",
    "HTTPException",
    "Headers",
    "Hint",
    "Hinting",
    "Host",
    "JSONResponse",
    "Middleware",
    "Mount",
    "MutableHeaders",
    "NoRoute",
    "NotModified",
    "PlainTextResponse",
    "Priority",
    "PushCookie",
    "QueryParams",
    "RedirectResponse",
    "Request",
    "Response",
    "Route",
    "Router",
    "SeekableResponse",
    "ServerSentEvent",
    "StaticFiles",
    "StreamingResponse",
    "Tunnel",
    "UploadFile",
    "WebSocket",
    "WebSocketDisconnect",
    "WebSocketRoute",
    "register_converter",
]

_MODULES = {
    "tricorn.app": "App",
    "tricorn.exceptions": "ClientDisconnect HTTPException NoRoute NotModified WebSocketDisconnect",
    "tricorn.forms": "FormData UploadFile",
    "tricorn.headers": "Headers MutableHeaders",
    "tricorn.hints": "Hint Hinting PushCookie",
    "tricorn.priority": "Priority",
    "tricorn.request": "Request",
    "tricorn.response": "EventSourceResponse FileResponse HTMLResponse JSONResponse PlainTextResponse RedirectResponse "
    "Response SeekableResponse ServerSentEvent StreamingResponse",
    "tricorn.routing": "Converter Host Mount Route Router WebSocketRoute register_converter",
    "tricorn.static": "StaticFiles",
    "tricorn.tunnel": "Tunnel",
    "tricorn.types": "Middleware",
    "tricorn.url": "URL QueryParams",
    "tricorn.websocket": "WebSocket",
}

__getattr__, __dir__ = lazy_names(__name__, _MODULES)
