"""HTTP/1.1 request heads as values: what the library has parsed becomes one ``RequestStarted``.

Rules of this module: pure functions over bytes, one pass over the field lines, no parser of field lines (that is the
engine's library) and no state. What a peer got wrong is raised as ``RemoteProtocolError`` with the status that answers
it. The field lines given here are already checked for syntax, their names in any case, their values trimmed.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from tricorn_transports.config import Limits
from tricorn_transports.errors import LimitExceeded, RemoteProtocolError
from tricorn_transports.events import RawHeaders, RequestStarted
from tricorn_transports.http.fields import is_token_bytes

_REG_NAME = rb"(?:[A-Za-z0-9\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})"
_IP_LITERAL = rb"\[(?:[0-9A-Fa-f:.]+|[vV][0-9A-Fa-f]+\.[A-Za-z0-9\-._~!$&'()*+,;=:]+)\]"
#: ``uri-host [ ":" port ]`` (RFC 9110 section 7.2), without userinfo.
_HOST = re.compile(rb"(?:" + _IP_LITERAL + rb"|" + _REG_NAME + rb"*)(?::[0-9]{0,5})?\Z")
#: authority-form (RFC 9112 section 3.2.3): CONNECT needs the port.
_AUTHORITY_FORM = re.compile(rb"(?:" + _IP_LITERAL + rb"|" + _REG_NAME + rb"+):[0-9]{1,5}\Z")
_ABSOLUTE_FORM = re.compile(rb"https?://([^/?]+)(.*)\Z", re.IGNORECASE)

#: The request fields that the engine acts upon; every other one is only handed on.
_REQUEST_FIELDS = frozenset((b"host", b"content-length", b"transfer-encoding", b"connection", b"expect", b"upgrade"))


class RequestHead(NamedTuple):
    """A request's head and what its connection must know beside it.

    Attributes:
        persistent: The client lets the connection live on (RFC 9112 section 9.3). HTTP/1.0 clients never do: their
            keep-alive was never specified.
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
    limits: Limits,
) -> RequestHead:
    """Checks and normalises a request's head.

    Args:
        version: ``b"1.1"``: the digits of the request line.
        fields: The field lines, names as they were sent.

    Raises:
        LimitExceeded: The target is too long (414).
        RemoteProtocolError: The version is not ours (505), or RFC 9112 section 3 or 6 is broken (400).
    """
    if version != b"1.1" and version[:1] != b"1":
        raise RemoteProtocolError(f"HTTP/{version.decode()} is not served here", status_hint=505)
    if len(target) > limits.max_target_bytes:
        raise LimitExceeded("the request target is too long", limit="max_target_bytes", status_hint=414)
    is_1_0 = version == b"1.0"
    headers: RawHeaders = []
    host: bytes | None = None
    content_length: int | None = None
    chunked = expects_continue = False
    connection = upgrade = b""
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
                upgrade = upgrade or value
            elif value.lower() == b"100-continue":
                expects_continue = not is_1_0
    if chunked and (content_length is not None or is_1_0):
        # RFC 9112 section 6.1: how request smuggling begins.
        raise RemoteProtocolError("Transfer-Encoding in HTTP/1.0 or together with Content-Length")
    if host is None:
        if not is_1_0:
            raise RemoteProtocolError("no Host field")
        host = b""
    elif _HOST.match(host) is None:
        raise RemoteProtocolError("the Host field is invalid")
    has_body = chunked or bool(content_length)
    if target[0] != 47 or method == b"CONNECT" or b"#" in target:
        target, host = _resolve(method, target, host)
        if method == b"CONNECT" and has_body:
            raise RemoteProtocolError("CONNECT has no content")
    persistent = not is_1_0
    protocol: bytes | None = None
    if connection and connection != b"keep-alive":
        options = [option.strip() for option in connection.split(b",")]
        if b"close" in options:
            persistent = False
        if upgrade and b"upgrade" in options and not is_1_0 and not has_body:
            # With a body to come first, nobody could say where the other protocol begins; it is optional to switch.
            protocol = upgrade.split(b",", 1)[0].strip().lower() or None
    started = RequestStarted(
        stream_id,
        method,
        target,
        scheme,
        host,
        headers,
        "1.0" if is_1_0 else "1.1",
        content_length,
        expects_continue and has_body,
        protocol,
    )
    return RequestHead(started, persistent, chunked)


def _resolve(method: bytes, target: bytes, host: bytes) -> tuple[bytes, bytes]:
    """The target and authority of what is not a plain origin-form request (RFC 9112 section 3.2)."""
    if method == b"CONNECT":
        if _AUTHORITY_FORM.match(target) is None:
            raise RemoteProtocolError("CONNECT needs host:port as its target")
        return target, target
    if b"#" in target:
        raise RemoteProtocolError("a request target has no fragment")
    if target == b"*" and method == b"OPTIONS":
        return target, host
    absolute = _ABSOLUTE_FORM.match(target)
    if absolute is None or _HOST.match(absolute[1]) is None:
        raise RemoteProtocolError("the request target is invalid")
    authority, path = absolute[1], absolute[2]
    if not path and method == b"OPTIONS":
        return b"*", authority  # RFC 9112 section 3.2.4
    return (path if path[:1] == b"/" else b"/" + path), authority


def judge_oversized(start: bytes, limits: Limits) -> LimitExceeded:
    """Why a head that does not end within ``max_head_bytes`` is refused: its target (414) or all of it (431)."""
    line = start.split(b"\r\n", 1)[0].split(b" ", 2)
    if len(line) > 1 and is_token_bytes(line[0]) and len(line[1]) > limits.max_target_bytes:
        return LimitExceeded("the request target is too long", limit="max_target_bytes", status_hint=414)
    return LimitExceeded("the request head is too long", limit="max_head_bytes", status_hint=431)
