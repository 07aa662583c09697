"""What RFC 9114 section 4 forbids in a message's field lines.

Rules of this module: pure, and no library: aioquic's own checks end the whole connection over one bad request, and go
through every name and value byte by byte. Limits are not checked here; ``head`` does that for HTTP/2 as well.
"""

from __future__ import annotations

import re

from tricorn_transports.engines.head import CONNECTION_FIELDS
from tricorn_transports.errors import RemoteProtocolError
from tricorn_transports.events import RawHeaders

_PSEUDO = frozenset((b":method", b":scheme", b":authority", b":path", b":protocol"))
#: Fields that need a look beyond the syntax of their names.
_SUSPECTS = CONNECTION_FIELDS | {b"te", b"content-length", b"host"}

# RFC 9114 section 4.2: names are tokens in lower case.
_is_name = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+\Z").match
# RFC 9110 section 5.5: no CR, LF or NUL; HTTP/3 carries values without white space around them.
_bad_value = re.compile(rb"[\x00\r\n]|\A[ \t]|[ \t]\Z").search


def check_request(fields: RawHeaders, stream_id: int) -> None:
    """Checks a request's head (RFC 9114 sections 4.2 and 4.3).

    Raises:
        RemoteProtocolError: The request is malformed.
    """
    pseudo: dict[bytes, bytes] = {}
    seen: dict[bytes, bytes] = {}
    for index, (name, value) in enumerate(fields):
        if _bad_value(value) is not None:
            raise _malformed(f"the value of {name[:40]!r} has forbidden characters", stream_id)
        if name[:1] == b":":
            if name not in _PSEUDO or name in pseudo or index != len(pseudo):
                raise _malformed(f"the pseudo-header field {name[:40]!r} is unknown, late or there twice", stream_id)
            pseudo[name] = value
        elif _is_name(name) is None:
            raise _malformed(f"{name[:40]!r} is no field name", stream_id)
        elif name in _SUSPECTS:
            _check_suspect(name, value, seen, stream_id)
            seen[name] = value
    _check_pseudo(pseudo, seen.get(b"host"), stream_id)


def check_trailers(fields: RawHeaders, stream_id: int) -> None:
    """Checks a trailer section: no pseudo-header fields, and the syntax of names and values.

    Raises:
        RemoteProtocolError: The request is malformed.
    """
    for name, value in fields:
        if _is_name(name) is None or name in CONNECTION_FIELDS or _bad_value(value) is not None:
            raise _malformed(f"the trailer field {name[:40]!r} is malformed", stream_id)


def _check_suspect(name: bytes, value: bytes, seen: dict[bytes, bytes], stream_id: int) -> None:
    if name in CONNECTION_FIELDS or (name == b"te" and value.lower() != b"trailers"):
        raise _malformed(f"{name!r} belongs to one connection of HTTP/1", stream_id)
    if name != b"te" and seen.get(name, value) != value:
        # Two lengths or two hosts: whoever believes the other one sees another request.
        raise _malformed(f"{name!r} is there twice", stream_id)


def _check_pseudo(pseudo: dict[bytes, bytes], host: bytes | None, stream_id: int) -> None:
    """RFC 9114 sections 4.3.1 and 4.4, RFC 9220 section 3."""
    method = pseudo.get(b":method")
    authority = pseudo.get(b":authority", host)
    if not method:
        raise _malformed("the request has no method", stream_id)
    if not authority or b"@" in authority:
        raise _malformed("the request has no authority, or one with user information", stream_id)
    if host is not None and host.lower() != authority.lower():
        raise _malformed("host and :authority differ", stream_id)
    if method == b"CONNECT" and b":protocol" not in pseudo:
        if b":scheme" in pseudo or b":path" in pseudo or b":authority" not in pseudo:
            raise _malformed("CONNECT takes :authority, and neither :scheme nor :path", stream_id)
    elif not pseudo.get(b":path") or pseudo.get(b":scheme") not in (b"https", b"http"):
        raise _malformed("the request has no path, or a scheme that is not served here", stream_id)
    elif method != b"CONNECT" and b":protocol" in pseudo:
        raise _malformed(":protocol goes with CONNECT only", stream_id)


def _malformed(message: str, stream_id: int) -> RemoteProtocolError:
    return RemoteProtocolError(message, stream_id=stream_id)
