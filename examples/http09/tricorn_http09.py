"""HTTP/0.9 for Tricorn: a line asks, bytes answer, and the connection's end is the answer's.

Rules of this module: it does no IO and holds no more than its limits. There is no status and no field to say what is
wrong, so a peer that breaks the protocol is told nothing: its connection ends.
"""

from __future__ import annotations

import re

from tricorn_transports.abc import EngineContext, Feature
from tricorn_transports.errors import LimitExceeded, LocalProtocolError, RemoteProtocolError
from tricorn_transports.events import (
    AbortReason,
    Event,
    PeerErred,
    RawHeaders,
    RequestEnded,
    RequestStarted,
    StreamWritable,
)
from tricorn_transports.registry import TransportSpec

_request = re.compile(rb"GET (/[!-~]*)\r?\n").match
_begins_request = re.compile(rb"(?:GET (?:/[!-~]*\r?)?|G|GE|GET)?\Z").match


class Http09Engine:
    """One connection, which is one request: a ``StreamEngine``."""

    http_version = "0.9"
    features = Feature.NONE

    def __init__(self, context: EngineContext) -> None:
        self._context = context
        self._line = b""
        self._asked = self._closed = self._is_full = self._drops = False
        self._out: list[bytes] = []
        self._queued = 0
        self._deadline: float | None = context.now + context.timeouts.header_timeout
        self._events: list[Event] = []

    # ------------------------------------------------------------------------------------------------ the peer's side

    def receive_data(self, data: bytes, now: float) -> list[Event]:
        if self._asked or self._closed:
            return []  # nothing may follow the line
        self._line += data
        limit = self._context.limits.max_target_bytes
        match = _request(self._line)
        if match is not None and len(match[1]) <= limit:
            self._asked, self._deadline = True, None
            request = RequestStarted(1, b"GET", match[1], self._context.scheme, b"", [], "0.9")
            return [request, RequestEnded(1)]
        if len(self._line) > limit:
            return self._refuse(LimitExceeded("the request is too long", limit="max_target_bytes"))
        return [] if is_request(self._line) is None else self._refuse(RemoteProtocolError("no HTTP/0.9 request"))

    def receive_eof(self, now: float) -> list[Event]:
        self._closed = self._closed or not self._asked
        return []

    def wants_data(self) -> bool:
        return not self._asked

    def _refuse(self, error: RemoteProtocolError) -> list[Event]:
        self._closed = True
        return [PeerErred(error)]

    # ----------------------------------------------------------------------------------------- the application's side

    def send_headers(self, stream_id: int, status: int, headers: RawHeaders, *, end: bool = False) -> None:
        self._drops = status in (204, 304)

    def send_informational(self, stream_id: int, status: int, headers: RawHeaders) -> None:
        pass

    def send_data(self, stream_id: int, data: bytes, *, end: bool = False) -> None:
        if data and not self._closed and not self._drops:
            self._out.append(data)
            self._queued += len(data)
            self._is_full = self._is_full or self.sendable(stream_id) <= 0

    def send_trailers(self, stream_id: int, trailers: RawHeaders) -> None:
        pass

    def accept_tunnel(self, stream_id: int, headers: RawHeaders) -> None:
        raise LocalProtocolError("HTTP/0.9 has no tunnels")

    def push(self, stream_id: int, path: bytes, headers: RawHeaders) -> RequestStarted | None:
        return None

    def set_priority(self, stream_id: int, urgency: int, incremental: bool) -> None:
        pass

    def sendable(self, stream_id: int) -> int:
        return 1 << 30 if self._closed else self._context.limits.stream_send_buffer - self._queued

    def consumed(self, stream_id: int, credit: int) -> None:
        pass

    def abort(self, stream_id: int, reason: AbortReason) -> None:
        self._closed = True

    def release(self, stream_id: int) -> None:
        self._closed = True

    def begin_shutdown(self) -> None:
        pass  # the one request that may come is answered

    def terminate(self, reason: AbortReason) -> None:
        self._out.clear()
        self._closed = True

    # ------------------------------------------------------------------------------------------------ output and time

    def data_to_send(self, now: float) -> list[bytes]:
        out, self._out, self._queued = self._out, [], 0
        if self._is_full:
            self._is_full = False
            self._events.append(StreamWritable(1))
        return out

    def take_events(self) -> list[Event]:
        events, self._events = self._events, []
        return events

    def deadline(self) -> float | None:
        return None if self._closed else self._deadline

    def handle_deadline(self, now: float) -> list[Event]:
        if self._deadline is None or now < self._deadline or self._closed:
            return []
        return self._refuse(LimitExceeded("the request came too slowly", limit="header_timeout"))

    def is_idle(self) -> bool:
        return not self._asked or self._closed

    def is_closed(self) -> bool:
        return self._closed


def is_request(data: bytes) -> bool | None:
    """Whether a connection that begins with ``data`` speaks HTTP/0.9; ``None`` while it cannot be known."""
    return None if _begins_request(data) else _request(data) is not None


SPEC = TransportSpec("http09", "0.9", "tcp", ("http/0.9",), {"line": Http09Engine}, "line", is_request)
