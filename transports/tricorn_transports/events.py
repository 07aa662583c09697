"""The one vocabulary in which every engine tells what the peer did.

Rules of this module: events are past participles and carry bytes as they stood on the wire, with field names in
lower case and pseudo-header fields taken out. An engine of any protocol emits, for one stream, in this order:
``RequestStarted``, any number of ``BodyReceived``, one ``RequestEnded``; ``StreamAborted`` may come at any point
after ``RequestStarted`` and is then the stream's last.

The classes are slotted but not frozen: a frozen dataclass costs three times as much to build, and an event is
built for every message.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TypeAlias

from tricorn_transports.errors import RemoteProtocolError

#: Field lines in the order of the wire: lower-case names, values without surrounding white space.
RawHeaders: TypeAlias = list[tuple[bytes, bytes]]


class AbortReason(Enum):
    """Why a stream or a connection ends early. Each engine maps it to its protocol's codes."""

    NO_ERROR = auto()
    """Nothing is wrong, but the rest is not needed (an early response's unread request body)."""
    CANCELLED = auto()
    """The side that asked does not want the answer any more."""
    REFUSED = auto()
    """Not begun, may be tried again elsewhere."""
    INTERNAL_ERROR = auto()
    """Our application or server failed."""
    PROTOCOL_ERROR = auto()
    """The peer broke the protocol."""
    LIMIT = auto()
    """The peer went over a limit."""
    TIMEOUT = auto()
    """The peer was too slow."""
    DISCONNECTED = auto()
    """The connection below is gone."""


@dataclass(slots=True)
class RequestStarted:
    """A request's head is there, whole and valid.

    Attributes:
        stream_id: Unique within the connection. HTTP/1 engines count 1, 3, 5, ...
        method: As sent; methods are case-sensitive (RFC 9110 section 9.1).
        target: The path with its query in origin-form, ``b"*"``, or for CONNECT the authority.
        scheme: ``b"http"`` or ``b"https"``.
        authority: ``:authority``, or the host of HTTP/1's absolute-form target or Host field; ``b""`` if none.
        headers: All other field lines. ``host`` may or may not be among them; ``authority`` decides.
        http_version: ``"1.0"``, ``"1.1"``, ``"2"`` or ``"3"``.
        content_length: The declared length of the body in bytes, if one was.
        expects_continue: The client waits for a 100 before it sends the body (RFC 9110 section 10.1.1).
        protocol: The ``:protocol`` of an extended CONNECT (RFC 8441) or, in lower case, the first protocol of
            HTTP/1's Upgrade field when Connection lists it too; the request may then be answered by a tunnel.
        priority: Urgency 0 to 7 and incremental (RFC 9218), if the client said so with this request.
        early_data: It came in TLS early data and may be a replay (RFC 8470).
        pushed_from: For a pushed request, the stream it was promised on.
        expects_more: The client expects something else than a 100, which nobody here knows (RFC 9110 section 10.1.1).
    """

    stream_id: int
    method: bytes
    target: bytes
    scheme: bytes
    authority: bytes
    headers: RawHeaders
    http_version: str
    content_length: int | None = None
    expects_continue: bool = False
    protocol: bytes | None = None
    priority: tuple[int, bool] | None = None
    early_data: bool = False
    pushed_from: int | None = None
    expects_more: bool = False


@dataclass(slots=True)
class BodyReceived:
    """A part of the request's body or, after ``accept_tunnel``, of the tunnel's bytes.

    ``credit`` is what goes back through ``consumed()`` once the application has read ``data``: its length plus
    what the protocol spent on it (padding).
    """

    stream_id: int
    data: bytes
    credit: int


@dataclass(slots=True)
class RequestEnded:
    """The request is complete, or the peer closed its side of the tunnel."""

    stream_id: int
    trailers: RawHeaders | None = None


@dataclass(slots=True)
class StreamAborted:
    """The peer reset the stream, or it died with its connection. Nothing more comes or can be sent on it."""

    stream_id: int
    reason: AbortReason


@dataclass(slots=True)
class StreamWritable:
    """The stream's send buffer was full and has room again."""

    stream_id: int


@dataclass(slots=True)
class SendingEnded:
    """Our side of a tunnel that has the connection for itself is closed, and its last byte was handed over.

    The connection half-closes: a FIN, and before it close_notify under TLS. What the peer still sends is read.
    """

    stream_id: int


@dataclass(slots=True)
class ResponseBroken:
    """A response ends in the middle, and its client knows its end by the connection's alone.

    The connection must not close in order, or the response would look complete (and be kept, by a cache): it is reset.
    """

    stream_id: int


@dataclass(slots=True)
class PriorityChanged:
    """The client changed a request's priority (RFC 9218 section 7)."""

    stream_id: int
    urgency: int
    incremental: bool


@dataclass(slots=True)
class PeerClosing:
    """The peer will open no more streams (GOAWAY)."""

    last_stream_id: int
    reason: AbortReason


@dataclass(slots=True)
class PeerErred:
    """The peer broke a rule or a limit. The engine has answered it already; this is for the log, once.

    Streams that die of it each get their own ``StreamAborted``.
    """

    error: RemoteProtocolError


Event: TypeAlias = (
    RequestStarted
    | BodyReceived
    | RequestEnded
    | StreamAborted
    | StreamWritable
    | SendingEnded
    | ResponseBroken
    | PriorityChanged
    | PeerClosing
    | PeerErred
)
