"""The HTTP/1.1 engine over h11: the only file that imports it.

h11 parses every request head and every chunk; the rest of HTTP/1.1 is ``Http1Engine``, whatever the parser. What is
sent does not pass through h11: it would check each field once more, twice.

Rule of this module: one h11 connection per request, fed exactly that request's bytes. It costs a microsecond, and no
byte of a pipelined request is ever inside the library before its turn.
"""

from __future__ import annotations

import h11

from tricorn_transports.abc import EngineContext
from tricorn_transports.engines.h1_engine import Http1Engine
from tricorn_transports.engines.h1_reader import Body
from tricorn_transports.errors import LimitExceeded, RemoteProtocolError
from tricorn_transports.events import RawHeaders


class H11Engine(Http1Engine):
    """The reference ``StreamEngine`` of HTTP/1.1."""

    __slots__ = ()

    def __init__(self, context: EngineContext) -> None:
        super().__init__(context, H11Parser)


class H11Parser:
    """One request's ``Parser``."""

    __slots__ = ("_connection",)

    def __init__(self, max_incomplete: int) -> None:
        self._connection = h11.Connection(h11.SERVER, max_incomplete_event_size=max_incomplete)

    def parse_head(self, head: bytes) -> tuple[bytes, bytes, bytes, RawHeaders]:
        """See ``Parser``."""
        connection = self._connection
        try:
            connection.receive_data(head)
            request = connection.next_event()
        except h11.RemoteProtocolError as error:
            raise _translated(error) from error
        if not isinstance(request, h11.Request):  # pragma: no cover - a whole head is a request or an error
            raise RemoteProtocolError("the head is no request")
        return request.method, request.target, request.http_version, request.headers.raw_items()

    def decode_chunks(self, data: bytes) -> tuple[Body, bytes]:
        """See ``Parser``. The pieces are joined, so that tiny chunks do not each cost an event."""
        connection = self._connection
        pieces: list[bytes] = []
        trailers: RawHeaders | None = None
        failure: RemoteProtocolError | None = None
        ended = False
        behind = b""
        try:
            connection.receive_data(data)
            while isinstance(event := connection.next_event(), h11.Data):
                pieces.append(event.data)
            if isinstance(event, h11.EndOfMessage):
                ended = True
                trailers = list(event.headers) or None
                behind = connection.trailing_data[0]
        except h11.RemoteProtocolError as error:
            failure = _translated(error)
            failure.__cause__ = error
        body = bytes(pieces[0]) if len(pieces) == 1 else b"".join(pieces)
        return Body(body, ended, trailers, failure), behind


def _translated(error: h11.RemoteProtocolError) -> RemoteProtocolError:
    if error.error_status_hint == 431:  # h11 has one limit, and it is ours
        return LimitExceeded("a chunk's or trailer's line is too long", limit="max_head_bytes", status_hint=431)
    return RemoteProtocolError(str(error), status_hint=error.error_status_hint)
