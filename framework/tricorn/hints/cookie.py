"""The cookie in which a client carries what it was pushed, so that it is not pushed again.

Rules of this module: a ``Set-Cookie`` must never come to another client than the one that it is for, so that it is
left out of every response that a shared cache may store, whatever else that costs. The cookie is the client's own
word: at worst it is pushed too little or too much.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from tricorn.caching.casper import HeldSet
from tricorn.caching.control import CacheControl
from tricorn.caching.freshness import is_storable
from tricorn.caching.targeted import parse_targeted
from tricorn.cookies import format_cookie, parse_cookies
from tricorn.headers import Headers, RawHeaders

#: Fields of the kind of RFC 9213 that are older than it; all others have names that end in ``-Cache-Control``.
_TARGETED: Final = frozenset({"surrogate-control", "edge-control"})


@dataclass(frozen=True, slots=True, kw_only=True)
class PushCookie:
    """How the cookie looks.

    It is set on responses that pushed something new and are ``private`` or ``no-store``, with ``Path=/``, ``HttpOnly``,
    ``SameSite=Lax`` and, over TLS, ``Secure`` and the name's prefix ``__Host-``.

    Args:
        name: Its name, without the prefix.
        capacity: How many resources it can hold before it begins anew.
        error_bits: P: at most one in 2^P resources is taken for held that is not, and has to be asked for.
        max_age: Seconds after which the client forgets it. It should be no longer than the resources stay fresh.

    Raises:
        ValueError: It would be no cookie, or too long.
    """

    name: str = "pushed"
    capacity: int = 128
    error_bits: int = 8
    max_age: int = 7 * 86_400

    def __post_init__(self) -> None:
        format_cookie(self.name)
        HeldSet(capacity=self.capacity, error_bits=self.error_bits)
        if self.max_age < 1:
            raise ValueError(f"push cookie: max_age {self.max_age} is not 1 or more")

    def read(self, headers: Iterable[tuple[bytes, bytes]], *, secure: bool) -> HeldSet:
        """What the client says that it holds; nothing, if the cookie is malformed or absent."""
        text = "; ".join(value.decode("latin-1") for name, value in headers if name == b"cookie")
        value = parse_cookies(text).get(self._full_name(secure), "")
        return HeldSet.decode(value, capacity=self.capacity, error_bits=self.error_bits)

    def format(self, held: HeldSet, *, secure: bool) -> tuple[bytes, bytes]:
        """The ``Set-Cookie`` field that makes the client remember ``held``."""
        cookie = format_cookie(
            self._full_name(secure), held.encode(), max_age=self.max_age, secure=secure, httponly=True, samesite="lax"
        )
        return b"set-cookie", cookie.encode("ascii")

    def _full_name(self, secure: bool) -> str:
        return f"__Host-{self.name}" if secure else self.name


def is_for_one_client(status: int, raw: RawHeaders) -> bool:
    """Whether no shared cache may store a response, by any field that a cache may go by (RFC 9111 section 3).

    A 304 and a 206 become part of what is stored already, with their fields (RFC 9111 sections 3.2 and 3.4).
    """
    headers = Headers(raw)
    if status in (206, 304) or is_storable("GET", status, headers, shared=True):
        return False
    for name in headers:
        if name in _TARGETED or name.endswith("-cache-control"):
            known = parse_targeted(", ".join(headers.getlist(name)))
            if known is None or is_storable("GET", status, headers, shared=True, targets=(name,)):
                return False
    control = CacheControl.parse(", ".join(headers.getlist("cache-control")))
    return control.private is True or control.no_store is True
