"""Responses that are for one client alone, and what keeps shared caches from giving them to others.

Rules of this module: pure. In doubt a response is taken for one that a shared cache may store:
what is at stake is that a stranger gets another's cookie (RFC 9111 section 7.3).
"""

from __future__ import annotations

from typing import Final

from tricorn.caching.control import CacheControl
from tricorn.caching.freshness import is_storable
from tricorn.caching.targeted import parse_targeted
from tricorn.headers import Headers, MutableHeaders, RawHeaders

#: Fields of the kind of RFC 9213 that are older than it; all others have names that end in ``-Cache-Control``.
_TARGETED: Final = frozenset({"surrogate-control", "edge-control"})


def is_for_one_client(status: int, raw: RawHeaders) -> bool:
    """Whether no shared cache may store a response, by any field that a cache may go by (RFC 9111 section 3).

    A 304 and a 206 become part of what is stored already, with their fields (RFC 9111 sections 3.2 and 3.4).
    """
    headers = Headers(raw)
    if status in (206, 304) or is_storable("GET", status, headers, shared=True):
        return False
    for name in _targeted(headers):
        known = parse_targeted(", ".join(headers.getlist(name)))
        if known is None or is_storable("GET", status, headers, shared=True, targets=(name,)):
            return False
    return _is_private(headers)


def make_private(raw: RawHeaders) -> None:
    """Keeps shared caches from storing a response (RFC 9111 section 5.2.2.7).

    What else ``Cache-Control`` says stays, as far as it goes with ``private``; targeted fields go (RFC 9213): those
    whom they are for go by ``Cache-Control`` then.
    """
    headers = MutableHeaders(raw)
    for name in _targeted(headers):
        headers.delete(name)
    if not _is_private(headers):
        control = _control(headers)
        if control.contradictions:  # which nobody can add to; what is meant is anybody's guess
            control = CacheControl()
        headers.set("cache-control", str(control.merge(CacheControl.private())))


def _targeted(headers: Headers) -> list[str]:
    return [name for name in headers if name in _TARGETED or name.endswith("-cache-control")]


def _is_private(headers: Headers) -> bool:
    control = _control(headers)
    return control.private is True or control.no_store is True


def _control(headers: Headers) -> CacheControl:
    return CacheControl.parse(", ".join(headers.getlist("cache-control")))
