"""Responses, and what handlers' values become. Each kind lives in a module of its own."""

from tricorn.json_codec import encode_json
from tricorn.response.base import Background, HTMLResponse, PlainTextResponse, Response
from tricorn.response.convert import convert
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
