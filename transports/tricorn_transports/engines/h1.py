"""The HTTP/1.1 engine over h11: the only file that imports it.

h11 parses every request head; the rest of HTTP/1.1 is ``Http1Engine``, whatever the parser. What is sent does not pass
through h11: it would check each field once more, twice.

Rule of this module: one h11 connection per request, fed exactly that request's head. It costs a microsecond, and no
byte of a pipelined request is ever inside the library before its turn.
"""

from __future__ import annotations

import h11

from tricorn_transports.abc import EngineContext
from tricorn_transports.engines.h1_engine import Http1Engine
from tricorn_transports.errors import RemoteProtocolError
from tricorn_transports.events import RawHeaders


class H11Engine(Http1Engine):
    """The reference ``StreamEngine`` of HTTP/1.1."""

    __slots__ = ()

    def __init__(self, context: EngineContext) -> None:
        super().__init__(context, parse_head)


def parse_head(head: bytes) -> tuple[bytes, bytes, bytes, RawHeaders]:
    """See ``h1_reader.HeadParser``."""
    connection = h11.Connection(h11.SERVER)
    try:
        connection.receive_data(head)
        request = connection.next_event()
    except h11.RemoteProtocolError as error:
        raise RemoteProtocolError(str(error), status_hint=error.error_status_hint) from error
    if not isinstance(request, h11.Request):  # pragma: no cover - a whole head is a request or an error
        raise RemoteProtocolError("the head is no request")
    return request.method, request.target, request.http_version, request.headers.raw_items()
