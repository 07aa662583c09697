"""Responses, and what handlers' values become. Each kind lives in a module of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tricorn.lazy import lazy_names
from tricorn.response.convert import convert

if TYPE_CHECKING:
    from tricorn.json_codec import encode_json
    from tricorn.response.base import Background, HTMLResponse, PlainTextResponse, Response
    from tricorn.response.file import FileResponse, content_disposition
    from tricorn.response.json import JSONResponse
    from tricorn.response.redirect import RedirectResponse
    from tricorn.response.seekable import Seekable, SeekableResponse
    from tricorn.response.sse import EventSourceResponse, ServerSentEvent
    from tricorn.response.stream import StreamingResponse

__all__ = [
    "Background",
    "EventSourceResponse",
    "FileResponse",
    "HTMLResponse",
    "JSONResponse",
    "PlainTextResponse",
    "RedirectResponse",
    "Response",
    "Seekable",
    "SeekableResponse",
    "ServerSentEvent",
    "StreamingResponse",
    "content_disposition",
    "convert",
    "encode_json",
]

_MODULES = {
    "tricorn.json_codec": "encode_json",
    "tricorn.response.base": "Background HTMLResponse PlainTextResponse Response",
    "tricorn.response.file": "FileResponse content_disposition",
    "tricorn.response.json": "JSONResponse",
    "tricorn.response.redirect": "RedirectResponse",
    "tricorn.response.seekable": "Seekable SeekableResponse",
    "tricorn.response.sse": "EventSourceResponse ServerSentEvent",
    "tricorn.response.stream": "StreamingResponse",
}

__getattr__, __dir__ = lazy_names(__name__, _MODULES)
