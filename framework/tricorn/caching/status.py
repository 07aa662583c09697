"""Cache-Status (RFC 9211): what each cache on the way has done with a request.

Rules of this module: pure; reading is lenient as the RFC's parameters are optional, and never raises: a parameter of
the wrong type is ignored, a field that is no structured list has no members.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from tricorn_transports.http.structured import (
    BareItem,
    Item,
    StructuredFieldError,
    Token,
    is_structured_token,
    parse_list,
    serialize_item,
)


class Forwarded(StrEnum):
    """Why a cache sent a request on (section 2.2)."""

    BYPASS = "bypass"
    """The cache was configured not to handle it."""
    METHOD = "method"
    """Its method cannot be answered from a cache."""
    URI_MISS = "uri-miss"
    """Nothing was stored for the URI."""
    VARY_MISS = "vary-miss"
    """Something was, but nothing that this request's fields select."""
    MISS = "miss"
    """One of the two before, and the cache cannot tell which."""
    REQUEST = "request"
    """The request's own directives forbade what was stored."""
    STALE = "stale"
    """What was stored is stale."""
    PARTIAL = "partial"
    """What was stored is only a part of what is needed."""


_PARAMETERS: Final = frozenset({"hit", "fwd", "fwd-status", "ttl", "stored", "collapsed", "key", "detail"})


@dataclass(frozen=True, slots=True)
class CacheStatus:
    """What one cache did (section 2).

    Args:
        cache: The name of the cache.
        hit: It answered without asking the origin.
        forwarded: Why it asked. A reason that is no ``Forwarded`` is kept as it came.
        forwarded_status: The status code that it got then.
        ttl: Seconds for which the response stays fresh; negative once it is stale.
        stored: It stored the response that it got then; ``None`` if it does not say.
        collapsed: The request was joined with others of its kind; ``None`` if it does not say.
        key: The key under which it looked the response up.
        detail: Anything else that it has to say.
        extensions: Other parameters.

    Raises:
        ValueError: It is a hit and was forwarded, which excludes each other, or it has what the field cannot carry.
    """

    cache: str
    hit: bool = field(default=False, kw_only=True)
    forwarded: Forwarded | str | None = field(default=None, kw_only=True)
    forwarded_status: int | None = field(default=None, kw_only=True)
    ttl: int | None = field(default=None, kw_only=True)
    stored: bool | None = field(default=None, kw_only=True)
    collapsed: bool | None = field(default=None, kw_only=True)
    key: str | None = field(default=None, kw_only=True)
    detail: str | None = field(default=None, kw_only=True)
    extensions: Mapping[str, BareItem] = field(default_factory=dict, kw_only=True, hash=False)

    def __post_init__(self) -> None:
        if self.hit and self.forwarded is not None:
            raise ValueError("Cache-Status: a hit is not forwarded; give hit or forwarded")
        if self.forwarded is None and (self.forwarded_status, self.stored, self.collapsed) != (None, None, None):
            raise ValueError("Cache-Status: forwarded_status, stored and collapsed tell of a forwarded request only")
        if known := _PARAMETERS.intersection(self.extensions):
            raise ValueError(f"Cache-Status: {sorted(known)[0]} is no extension")
        self.to_header()

    def to_header(self) -> str:
        """The field value for this one cache; several caches' values are joined with ``", "``, the origin's first."""
        parameters: dict[str, BareItem] = {}
        if self.hit:
            parameters["hit"] = True
        if self.forwarded is not None:
            parameters["fwd"] = Token(self.forwarded)
        for name, value in (
            ("fwd-status", self.forwarded_status),
            ("ttl", self.ttl),
            ("stored", self.stored),
            ("collapsed", self.collapsed),
            ("key", self.key),
            ("detail", self.detail),
        ):
            if value is not None:
                parameters[name] = value
        parameters.update(self.extensions)
        return serialize_item(Item(_name(self.cache), parameters))

    __str__ = to_header

    @classmethod
    def parse(cls, text: str) -> tuple[CacheStatus, ...]:
        """What each cache says in a field value, that nearest to the origin first; nothing for a malformed field.

        Members that are neither a string nor a token are left out. Where a member is a hit and forwarded, it is the
        latter (section 2.2 lets a cache generate only one of them).
        """
        try:
            members = parse_list(text)
        except StructuredFieldError:
            return ()
        return tuple(
            cls._of(str(member.value), dict(member.parameters))
            for member in members
            if isinstance(member, Item) and type(member.value) in (str, Token)
        )

    @classmethod
    def _of(cls, cache: str, parameters: dict[str, BareItem]) -> CacheStatus:
        reason = parameters.pop("fwd", None)
        forwarded = _reason(reason) if isinstance(reason, Token) else None
        hit = parameters.pop("hit", None) is True and forwarded is None
        status, ttl = parameters.pop("fwd-status", None), parameters.pop("ttl", None)
        stored, collapsed = parameters.pop("stored", None), parameters.pop("collapsed", None)
        key, detail = parameters.pop("key", None), parameters.pop("detail", None)
        return cls(
            cache,
            hit=hit,
            forwarded=forwarded,
            forwarded_status=status if type(status) is int and forwarded is not None else None,
            ttl=ttl if type(ttl) is int else None,
            stored=stored if isinstance(stored, bool) and forwarded is not None else None,
            collapsed=collapsed if isinstance(collapsed, bool) and forwarded is not None else None,
            key=key if type(key) is str else None,
            detail=str(detail) if type(detail) in (str, Token) else None,
            extensions=parameters,
        )


def format_cache_status(statuses: Iterable[CacheStatus]) -> str:
    """The field value of several caches, that nearest to the origin first."""
    return ", ".join([status.to_header() for status in statuses])


def _name(cache: str) -> str:
    return Token(cache) if is_structured_token(cache) else cache


def _reason(text: str) -> Forwarded | str:
    try:
        return Forwarded(text)
    except ValueError:
        return str(text)
