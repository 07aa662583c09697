"""A request's head as HTTP/2 and HTTP/3 carry it: field lines with pseudo-header fields, made into ``RequestStarted``.

Rules of this module: pure. The protocol library has checked what RFC 9113 section 8.2 and RFC 9114 section 4.2 forbid
of names and values; here stand the limits, and what makes a head usable by the layers above.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from tricorn_transports.config import Limits
from tricorn_transports.engines.semantics import NOTHING_EXPECTED, has_broken_path, read_expect
from tricorn_transports.errors import LimitExceeded, RemoteProtocolError
from tricorn_transports.events import RawHeaders, RequestStarted
from tricorn_transports.http.authority import is_authority
from tricorn_transports.http.fields import is_token_bytes
from tricorn_transports.http.priority import parse_priority

#: What RFC 9113 section 6.5.2 and RFC 9114 section 4.2.2 add to each field line's length.
FIELD_OVERHEAD = 32

#: Fields that belong to one connection of HTTP/1 and have no place here (RFC 9113 section 8.2.2).
CONNECTION_FIELDS = frozenset((b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"))

_COLON = 58
_KNOWN_METHODS = frozenset((b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"CONNECT"))
_is_target = re.compile(rb"[!-~]+\Z").match
_MAX_LENGTH_DIGITS = 18
_SPECIAL = frozenset((b"cookie", b"host", b"content-length", b"expect", b"priority"))


def refusal_fields(date: Callable[[], bytes] | None) -> RawHeaders:
    """What an answer that comes from no application has, beside its status; ``date`` is ``EngineContext.date``."""
    fields = [(b"content-length", b"0")]
    if date is not None:
        fields.append((b"date", date()))
    return fields


def parse_head(
    stream_id: int,
    fields: Iterable[tuple[bytes, bytes]],
    *,
    limits: Limits,
    scheme: bytes,
    http_version: str,
) -> RequestStarted:
    """Takes the pseudo-header fields out, joins the cookie crumbs and checks the limits.

    Args:
        fields: All field lines of the head, in order.
        scheme: The connection's; a client's ``:scheme`` is its claim and is not believed.

    Raises:
        LimitExceeded: ``status_hint`` 431 or 414 (``max_head_bytes``, ``max_fields``, ``max_target_bytes``).
        RemoteProtocolError: The head makes no request; ``status_hint`` is 400.
    """
    pseudo: dict[bytes, bytes] = {}
    headers: RawHeaders = []
    cookies: list[bytes] = []
    host = b""
    length: bytes | None = None
    expect: bytes | None = None
    priority: bytes | None = None
    size = count = 0
    for name, value in fields:
        count += 1
        size += len(name) + len(value)
        if name[0] == _COLON:
            pseudo[name] = value
            continue
        if name in _SPECIAL:
            if name == b"cookie":
                cookies.append(value)
                continue
            if name == b"host":
                host = value
            elif name == b"content-length":
                length = value
            elif name == b"expect":
                expect = value if expect is None else expect + b"," + value
            elif name == b"priority":
                priority = value if priority is None else priority + b"," + value
        headers.append((name, value))
    if cookies:
        # RFC 9113 section 8.2.3: crumbs are one field to everyone who is not HTTP/2 or 3.
        headers.append((b"cookie", cookies[0] if len(cookies) == 1 else b"; ".join(cookies)))
    if size + FIELD_OVERHEAD * count > limits.max_head_bytes:
        raise LimitExceeded("the head is too large", limit="max_head_bytes", status_hint=431, stream_id=stream_id)
    if count - len(pseudo) > limits.max_fields:
        raise LimitExceeded("the head has too many fields", limit="max_fields", status_hint=431, stream_id=stream_id)

    method = pseudo.get(b":method", b"")
    protocol = pseudo.get(b":protocol")
    authority = pseudo.get(b":authority", host)
    target = pseudo.get(b":path", b"")
    if method == b"CONNECT" and protocol is None:
        target = authority
    elif target[:1] != b"/" and not (target == b"*" and method == b"OPTIONS"):
        raise RemoteProtocolError(f"the path {target[:40]!r} is not in origin-form", stream_id=stream_id)
    if not is_authority(authority):
        raise RemoteProtocolError("the authority is invalid", stream_id=stream_id)
    if len(target) > limits.max_target_bytes:
        raise LimitExceeded("the target is too long", limit="max_target_bytes", status_hint=414, stream_id=stream_id)
    if not _is_target(target):
        raise RemoteProtocolError("the target has characters that no URI has", stream_id=stream_id)
    if b"%" in target and has_broken_path(target):
        raise RemoteProtocolError("the path has a broken percent-encoding", stream_id=stream_id)
    if method not in _KNOWN_METHODS and not is_token_bytes(method):
        raise RemoteProtocolError("the method is not a token", stream_id=stream_id)
    if length is not None and not (length.isdigit() and len(length) <= _MAX_LENGTH_DIGITS):
        raise RemoteProtocolError("content-length is not a length", stream_id=stream_id)
    expects = NOTHING_EXPECTED if expect is None else read_expect(expect)
    return RequestStarted(
        stream_id,
        method,
        target,
        scheme,
        authority,
        headers,
        http_version,
        None if length is None else int(length),
        expects.continues,
        protocol,
        None if priority is None else parse_priority(priority),
        expects_more=expects.more,
    )
