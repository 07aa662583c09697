"""The cookie in which a client carries what it was pushed, so that it is not pushed again.

Rules of this module: a ``Set-Cookie`` must never come to another client than the one that it is for, so that it is
left out of every response that a shared cache may store, whatever else that costs. The cookie is the client's own
word: at worst it is pushed too little or too much.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tricorn.caching.casper import HeldSet
from tricorn.cookies import format_cookie, parse_cookies


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
