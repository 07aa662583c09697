"""Authorities of requests (RFC 9110 section 7.2): ``uri-host [ ":" port ]``, as Host and ``:authority`` carry it.

Rules of this module: pure functions over bytes, linear in their input. Userinfo is never part of an authority here
(RFC 9110 section 4.2.4).
"""

from __future__ import annotations

import re
from ipaddress import IPv6Address

_REG_NAME = rb"(?:[A-Za-z0-9\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})"
_PORT = rb"(?:[0-5]?[0-9]{0,4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
_AUTHORITY = re.compile(rb"(" + _REG_NAME + rb"*)(?::(" + _PORT + rb"))?\Z")
_WITH_LITERAL = re.compile(
    rb"\[(?:([0-9A-Fa-f:.]+)|[vV][0-9A-Fa-f]+\.[A-Za-z0-9\-._~!$&'()*+,;=:]+)\](?::(" + _PORT + rb"))?\Z"
)


def is_authority(value: bytes) -> bool:
    """Whether ``value`` is a host, perhaps empty, with or without a port up to 65535."""
    if value[:1] == b"[":
        return _split_literal(value) is not None
    return _AUTHORITY.match(value) is not None


def split_authority(value: bytes) -> tuple[bytes, bytes] | None:
    """Host and port of ``value``, the port ``b""`` where there is none; ``None`` if it is no authority.

    An IP literal keeps its brackets.
    """
    if value[:1] == b"[":
        return _split_literal(value)
    match = _AUTHORITY.match(value)
    return None if match is None else (match[1], match[2] or b"")


def _split_literal(value: bytes) -> tuple[bytes, bytes] | None:
    match = _WITH_LITERAL.match(value)
    if match is None:
        return None
    if match[1] is not None:
        try:
            IPv6Address(match[1].decode("ascii"))
        except ValueError:
            return None
    return value[: value.index(b"]") + 1], match[2] or b""
