"""Checks and completes a response's head, once for all protocols.

Rules of this module: an application's head comes in as ASGI has it and leaves as an engine wants it: lower-case names,
values that cannot split a message, a Date, one parsed length. What is wrong is the application's error
(``LocalProtocolError``), told before a byte is sent.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote

from tricorn_transports.abc import Message
from tricorn_transports.errors import LocalProtocolError
from tricorn_transports.events import RawHeaders
from tricorn_transports.http.dates import format_date
from tricorn_transports.http.fields import is_safe_value, is_token_bytes

# Names seen to be tokens: applications send the same few again and again. Bounded, because a name may come from
# data that a client chose.
_known_names: dict[bytes, bytes] = {}
_KNOWN_NAMES_MAX = 512

# Framing is the engine's, whatever the application says (RFC 9112 section 6, RFC 9113 section 8.2.2).
_FRAMING = frozenset((b"transfer-encoding", b"keep-alive", b"proxy-connection"))

# What frames or routes a message, belongs to a connection, or says how to read the content has no place behind it
# (RFC 9110 section 6.5.1).
_NEVER_TRAILERS = _FRAMING | {
    *(b"content-length", b"host", b"connection", b"upgrade", b"te", b"trailer", b"set-cookie"),
    *(b"content-encoding", b"content-type", b"content-range"),
}

_date_second = -1
_date = b""


def current_date() -> bytes:
    """The value of a Date field now, made once a second."""
    global _date_second, _date
    second = int(time.time())
    if second != _date_second:
        _date_second = second
        _date = format_date(second).encode("ascii")
    return _date


@dataclass(slots=True)
class ResponseHead:
    """A final response's head.

    Attributes:
        length: What ``content-length`` says, in bytes; ``None`` where there is none.
        priority: All ``priority`` lines, joined by commas; ``b""`` where there is none.
    """

    status: int
    headers: RawHeaders
    length: int | None
    priority: bytes = b""


def clean_fields(fields: Iterable[Iterable[bytes]]) -> RawHeaders:
    """Field lines with lower-case names, all checked.

    Raises:
        LocalProtocolError: A name is no token, a value holds CR, LF or NUL, or either is not ``bytes``.
    """
    cleaned: RawHeaders = []
    for line in fields:
        name, value = line
        if type(name) is not bytes or type(value) is not bytes:
            raise LocalProtocolError(f"header {name!r}: {value!r} must be a pair of bytes")
        lower = _known_names.get(name)
        if lower is None:
            lower = _check_name(name)
        if not is_safe_value(value):
            raise LocalProtocolError(f"header {name!r} has a value with CR, LF or NUL: {value!r}")
        cleaned.append((lower, value.strip(b" \t")))
    return cleaned


def trailer_fields(fields: Iterable[Iterable[bytes]]) -> RawHeaders:
    """Field lines of a trailer section, with lower-case names, all checked.

    Raises:
        LocalProtocolError: As ``clean_fields``, or one of them may not stand behind the content.
    """
    cleaned = clean_fields(fields)
    for name, _ in cleaned:
        if name in _NEVER_TRAILERS:
            raise LocalProtocolError(f"{name.decode()} must not stand in a trailer section")
    return cleaned


def response_head(status: object, fields: Iterable[Iterable[bytes]], alt_svc: bytes | None) -> ResponseHead:
    """The head of an ``http.response.start`` message, with ``date`` and ``alt-svc`` added where they are missing.

    Raises:
        LocalProtocolError: The status is not one of a final response, or a field is wrong.
    """
    if not isinstance(status, int) or not 200 <= status <= 999:
        raise LocalProtocolError(f"status {status!r} is not an int from 200 to 999")
    length: int | None = None
    has_date = has_alt_svc = has_framing = False
    priority = b""
    headers = clean_fields(fields)
    for name, value in headers:
        if name == b"content-length":
            if not value.isdigit():
                raise LocalProtocolError(f"content-length {value!r} is not a number")
            if length is not None:
                raise LocalProtocolError("more than one content-length field")
            length = int(value)
        elif name == b"date":
            has_date = True
        elif name == b"alt-svc":
            has_alt_svc = True
        elif name in _FRAMING:
            has_framing = True
        elif name == b"priority":
            priority = priority + b"," + value if priority else value
    if has_framing:
        headers = [line for line in headers if line[0] not in _FRAMING]
    if not has_date:
        headers.append((b"date", current_date()))
    if alt_svc is not None and not has_alt_svc:
        headers.append((b"alt-svc", alt_svc))
    if status in (204, 205):  # RFC 9110 sections 8.6 and 15.3.6: no length with 204, and no content with 205
        headers = [line for line in headers if line[0] != b"content-length"]
        length = None
        if status == 205:
            headers.append((b"content-length", b"0"))
            length = 0
    return ResponseHead(status, headers, length, priority)


def switching_fields(fields: Iterable[Iterable[bytes]]) -> RawHeaders:
    """The fields of an answer that opens a tunnel: checked, without framing (RFC 9110 section 9.3.6), with a date.

    Raises:
        LocalProtocolError: As ``clean_fields``.
    """
    headers = [line for line in clean_fields(fields) if line[0] not in _FRAMING and line[0] != b"content-length"]
    if all(name != b"date" for name, _ in headers):
        headers.append((b"date", current_date()))
    return headers


def body_bytes(message: Message) -> bytes:
    """The ``body`` of a message, ``b""`` if it has none.

    Raises:
        LocalProtocolError: It is not bytes. Found here it is the application's error; found by an engine, long after
            ``send()`` has returned, it would be the connection's.
    """
    data = message.get("body", b"")
    if type(data) is bytes:
        return data
    if isinstance(data, bytes | bytearray | memoryview):
        return bytes(data)
    raise LocalProtocolError(f"{message['type']}: the body is {type(data).__name__} and must be bytes")


def push_target(path: object) -> bytes:
    """The path of an ``http.response.push`` message as a request target: what no URI may hold is percent-encoded.

    Raises:
        LocalProtocolError: It is not a string that begins with a slash.
    """
    if not isinstance(path, str) or not path.startswith("/"):
        raise LocalProtocolError(f"http.response.push: the path {path!r} must be a string that begins with /")
    return quote(path, safe="!$%&'()*+,/:;=?@[]~").encode("ascii")


def _check_name(name: bytes) -> bytes:
    lower = name.lower()
    if not is_token_bytes(lower):
        raise LocalProtocolError(f"header name {name!r} is not a token")
    if len(_known_names) < _KNOWN_NAMES_MAX:
        _known_names[name] = lower
    return lower
