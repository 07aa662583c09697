"""Cookies: reading ``Cookie`` and writing ``Set-Cookie`` (RFC 6265, SameSite and Partitioned as browsers know them).

Rules of this module: pure functions. Reading is lenient, as RFC 6265 section 5 is; writing is strict, and what a
browser would silently drop (``SameSite=None`` without ``Secure``, a broken ``__Host-`` cookie) is an error here.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Literal, TypeAlias

from tricorn_transports.http.dates import format_date
from tricorn_transports.http.fields import is_token

SameSite: TypeAlias = Literal["lax", "strict", "none"]

#: RFC 6265 section 4.1.1: cookie-octet.
_COOKIE_OCTETS = re.compile(r"[!#-+\--:<-\[\]-~]*\Z")
_OCTAL = re.compile(rb"\\([0-3][0-7][0-7]|.)", re.DOTALL)
_UNSAFE = re.compile(rb"[^ !#-+\--:<-\[\]-~]")
_ATTRIBUTE = re.compile(r"[^\x00-\x1f\x7f;]*\Z")


def parse_cookies(header: str) -> dict[str, str]:
    """The cookies of a ``Cookie`` header; of two with one name the first, which has the more exact path.

    Pairs without a name or without ``=`` are skipped.
    """
    cookies: dict[str, str] = {}
    for part in header.split(";"):
        name, equals, value = part.partition("=")
        name = name.strip()
        if equals and name and name not in cookies:
            cookies[name] = _unquote(value.strip())
    return cookies


def format_cookie(
    name: str,
    value: str = "",
    *,
    max_age: int | timedelta | None = None,
    expires: datetime | float | None = None,
    path: str | None = "/",
    domain: str | None = None,
    secure: bool = False,
    httponly: bool = False,
    samesite: SameSite | None = "lax",
    partitioned: bool = False,
) -> str:
    """The value of a ``Set-Cookie`` header.

    Args:
        value: Any text. What is not a cookie-octet goes as a quoted string of escaped UTF-8, which
            ``parse_cookies`` reads back.
        max_age: Seconds of life, or a ``timedelta``; 0 deletes the cookie. Without it and ``expires`` the cookie
            ends with the browser's session.
        expires: A moment with a time zone, or seconds since the epoch.

    Raises:
        ValueError: The name is no token, an attribute has a forbidden character, or browsers would drop the cookie.
    """
    if not is_token(name):
        raise ValueError(f"cookie name {name!r} is not a token")
    parts = [f"{name}={_quote(value)}"]
    if max_age is not None:
        parts.append(f"Max-Age={int(max_age.total_seconds() if isinstance(max_age, timedelta) else max_age)}")
    if expires is not None:
        if isinstance(expires, datetime):
            if expires.tzinfo is None:
                raise ValueError(f"cookie {name}: expires needs a time zone")
            expires = expires.timestamp()
        parts.append(f"Expires={format_date(expires)}")
    for attribute, text in (("Domain", domain), ("Path", path)):
        if text is not None:
            if _ATTRIBUTE.match(text) is None:
                raise ValueError(f"cookie {name}: {attribute.lower()} {text!r} has a forbidden character")
            parts.append(f"{attribute}={text}")
    if secure:
        parts.append("Secure")
    if httponly:
        parts.append("HttpOnly")
    if samesite is not None:
        if samesite not in ("lax", "strict", "none"):
            raise ValueError(f"cookie {name}: samesite {samesite!r} is not lax, strict or none")
        parts.append(f"SameSite={samesite.capitalize()}")
    if partitioned:
        parts.append("Partitioned")
    if not secure:
        wants = [
            label
            for label, needed in (
                ("SameSite=None", samesite == "none"),
                ("Partitioned", partitioned),
                ("a __Secure- name", name.startswith("__Secure-")),
                ("a __Host- name", name.startswith("__Host-")),
            )
            if needed
        ]
        if wants:
            raise ValueError(f"cookie {name}: browsers take {wants[0]} only with secure=True")
    if name.startswith("__Host-") and (domain is not None or path != "/"):
        raise ValueError(f"cookie {name}: a __Host- cookie has path '/' and no domain")
    return "; ".join(parts)


def _quote(value: str) -> str:
    if _COOKIE_OCTETS.match(value) is not None:
        return value
    data = _UNSAFE.sub(lambda match: b"\\%03o" % match[0][0], value.encode("utf-8", "surrogateescape"))
    return f'"{data.decode("ascii")}"'


def _unquote(value: str) -> str:
    """What ``Cookie`` carries was latin-1 on the wire; browsers send UTF-8, and escapes may be of UTF-8 too."""
    data = value.encode("latin-1", "replace")
    if len(data) >= 2 and data[:1] == b'"' and data[-1:] == b'"':
        data = _OCTAL.sub(lambda m: bytes([int(m[1], 8)]) if len(m[1]) == 3 else m[1], data[1:-1])
    return data.decode("utf-8", "replace")
