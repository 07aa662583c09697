"""HTTP/1.1 request heads as values: what the library has parsed becomes one ``RequestStarted``.

Rules of this module: pure functions over bytes, one pass over the field lines, no parser of field lines (that is the
engine's library) and no state. What a peer got wrong is raised as ``RemoteProtocolError`` with the status that answers
it. Syntax and framing of what is given here are already checked (``h1_syntax``), the values trimmed.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from tricorn_transports.config import Limits
from tricorn_transports.engines.h1_syntax import MAX_METHOD
from tricorn_transports.engines.semantics import NOTHING_EXPECTED, has_broken_path, read_expect
from tricorn_transports.errors import LimitExceeded, RemoteProtocolError
from tricorn_transports.events import RawHeaders, RequestStarted
from tricorn_transports.http.authority import is_authority, split_authority
from tricorn_transports.http.fields import is_token_bytes

_ABSOLUTE_FORM = re.compile(rb"http(s?)://([^/?]+)(.*)\Z", re.IGNORECASE)

#: The request fields that the engine acts upon; every other one is only handed on.
_REQUEST_FIELDS = frozenset((b"host", b"content-length", b"transfer-encoding", b"connection", b"expect", b"upgrade"))


class RequestHead(NamedTuple):
    """A request's head and what its connection must know beside it.

    Attributes:
        persistent: The client lets the connection live on (RFC 9112 section 9.3); one of HTTP/1.0 does where it says
            ``keep-alive``.
        chunked: The body comes in chunked transfer coding; else ``started.content_length`` frames it.
    """

    started: RequestStarted
    persistent: bool
    chunked: bool


def read_request(
    stream_id: int,
    method: bytes,
    target: bytes,
    version: bytes,
    fields: RawHeaders,
    *,
    scheme: bytes,
) -> RequestHead:
    """Checks and normalises a request's head.

    Args:
        version: ``b"1.1"``: the digits of the request line.
        fields: The field lines, names as they were sent.

    Raises:
        RemoteProtocolError: RFC 9112 section 3 is broken (400), or an ``https`` URI came in clear (421).
    """
    is_1_0 = version == b"1.0"
    headers: RawHeaders = []
    host: bytes | None = None
    content_length: int | None = None
    chunked = False
    connection = upgrade = expect = b""
    for name, value in fields:
        name = name.lower()
        headers.append((name, value))
        if name in _REQUEST_FIELDS:
            if name == b"host":
                if host is not None:
                    raise RemoteProtocolError("more than one Host field")
                host = value
            elif name == b"connection":
                connection = connection + b"," + value.lower() if connection else value.lower()
            elif name == b"content-length":
                content_length = int(value)
            elif name == b"transfer-encoding":
                chunked = True
            elif name == b"upgrade":
                upgrade = upgrade + b"," + value if upgrade else value
            else:
                expect = expect + b"," + value if expect else value
    if host is None:
        if not is_1_0:
            raise RemoteProtocolError("no Host field")
        host = b""
    elif not is_authority(host):
        raise RemoteProtocolError("the Host field is invalid")
    has_body = chunked or bool(content_length)
    if target[0] != 47 or method == b"CONNECT" or b"#" in target:
        target, host = _resolve(method, target, host, scheme)
        if method == b"CONNECT" and has_body:
            raise RemoteProtocolError("CONNECT has no content")
    if b"%" in target and has_broken_path(target):
        raise RemoteProtocolError("the request target's path has a broken percent-encoding")
    persistent = not is_1_0
    protocol: bytes | None = None
    if connection == b"keep-alive":
        persistent = True
    elif connection:
        options = [option.strip() for option in connection.split(b",")]
        persistent = b"close" not in options and (persistent or b"keep-alive" in options)
        if upgrade and b"upgrade" in options and not is_1_0 and not has_body:
            # With a body to come first, nobody could say where the other protocol begins; it is optional to switch.
            protocol = _choose_protocol(upgrade)
    # RFC 9110 section 10.1.1: HTTP/1.0 has no expectations.
    expects = read_expect(expect) if expect and not is_1_0 else NOTHING_EXPECTED
    started = RequestStarted(
        stream_id,
        method,
        target,
        scheme,
        host,
        headers,
        "1.0" if is_1_0 else "1.1",
        content_length,
        expects.continues and has_body,
        protocol,
        expects_more=expects.more,
    )
    return RequestHead(started, persistent, chunked)


def _resolve(method: bytes, target: bytes, host: bytes, scheme: bytes) -> tuple[bytes, bytes]:
    """The target and authority of what is not a plain origin-form request (RFC 9112 section 3.2)."""
    if method == b"CONNECT":
        authority_form = split_authority(target)
        if authority_form is None or not all(authority_form):
            raise RemoteProtocolError("CONNECT needs host:port as its target")
        return target, target
    if b"#" in target:
        raise RemoteProtocolError("a request target has no fragment")
    if target == b"*" and method == b"OPTIONS":
        return target, host
    absolute = _ABSOLUTE_FORM.match(target)
    if absolute is None or not is_authority(absolute[2]) or absolute[2][:1] == b":":
        raise RemoteProtocolError("the request target is invalid")
    if absolute[1] and scheme != b"https":
        # RFC 9110 section 7.4: what is asked of a secured origin must come over a connection that is secured.
        raise RemoteProtocolError("an https target over a connection in clear", status_hint=421)
    authority, path = absolute[2], absolute[3]
    if not path and method == b"OPTIONS":
        return b"*", authority  # RFC 9112 section 3.2.4
    return (path if path[:1] == b"/" else b"/" + path), authority


def _choose_protocol(upgrade: bytes) -> bytes | None:
    """Of all that the client offers, WebSocket, which the server knows itself, else what it likes best."""
    offered = [name for part in upgrade.lower().split(b",") if (name := part.strip(b" \t"))]
    return b"websocket" if b"websocket" in offered else next(iter(offered), None)


def judge_oversized(start: bytes, limits: Limits) -> RemoteProtocolError:
    """Why a head that does not end within ``max_head_bytes`` is refused: method (501), target (414) or all (431)."""
    line = start.split(b"\r\n", 1)[0].split(b" ", 2)
    if is_token_bytes(line[0]) and len(line[0]) > MAX_METHOD:
        return RemoteProtocolError("the method is longer than any", status_hint=501)
    if len(line) > 1 and is_token_bytes(line[0]) and len(line[1]) > limits.max_target_bytes:
        return LimitExceeded("the request target is too long", limit="max_target_bytes", status_hint=414)
    return LimitExceeded("the request head is too long", limit="max_head_bytes", status_hint=431)
