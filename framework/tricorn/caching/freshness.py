"""How long a response may be reused: lifetime, age, and what is allowed after it (RFC 9111 section 4.2).

One function, ``freshness_of``, does all of the RFC's arithmetic, so that ``tricorn explain``, tests and caches built
on Tricorn cannot differ in it.

Rules of this module: pure; every clock is an argument, in seconds since the epoch. What is malformed makes a response
stale, and never fresh. Durations are whole seconds, rounded so that less is reused.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from math import ceil
from typing import Final

from tricorn.caching.control import CacheControl
from tricorn.caching.directives import MAX_SECONDS, parse_seconds
from tricorn.caching.targeted import choose_policy
from tricorn.headers import Headers, HeadersInit
from tricorn_transports.http.dates import parse_date

#: The part of the time since its last change for which a response without a lifetime is taken as fresh (4.2.2).
HEURISTIC_FRACTION: Final = 0.1

#: Final status codes whose responses may be given a heuristic lifetime (RFC 9110 section 15.1).
HEURISTIC_STATUSES: Final = frozenset({200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 501})

#: Status codes that Tricorn's reading of must-understand takes as understood: those that RFC 9110 defines as final.
UNDERSTOOD_STATUSES: Final = frozenset(
    {*range(200, 207), *range(300, 306), 307, 308, *range(400, 418), 421, 422, 426, *range(500, 506)}
)


class Source(Enum):
    """What a lifetime was taken from, in the order in which they are asked (section 4.2.1)."""

    S_MAXAGE = "s-maxage"
    MAX_AGE = "max-age"
    EXPIRES = "Expires"
    HEURISTIC = "a heuristic"
    NONE = "nothing"


class Reuse(Enum):
    """What a cache may do with a stored response when a request comes (section 4)."""

    FRESH = "reuse"
    STALE_WHILE_REVALIDATE = "reuse, and validate in the background"
    STALE = "reuse, because the request accepts a stale one"
    STALE_IF_ERROR = "reuse, because the origin fails"
    VALIDATE = "validate first"
    GATEWAY_TIMEOUT = "answer 504: it would have to be validated, and the request forbids that"


@dataclass(frozen=True, slots=True)
class Freshness:
    """How fresh a stored response is, at one moment, for one kind of cache. All times are seconds.

    Attributes:
        lifetime: How long it is fresh, counted from when the origin made it.
        age: How long ago that was (section 4.2.3).
        source: What the lifetime was taken from.
        stale_while_revalidate: How long after its lifetime it may be served while it is validated (RFC 5861 section
            3). 0 where no use of a stale response is allowed.
        stale_if_error: How long after its lifetime it may be served when the origin fails (RFC 5861 section 4). 0 where
            no use of a stale response is allowed.
        must_validate: It is to be validated before every use, fresh or not (``no-cache``).
        never_stale: No request can ask for it once it is stale (section 4.2.4); the two allowances above hold still.
        immutable: A reload need not validate it while it is fresh (RFC 8246).
    """

    lifetime: int
    age: int
    source: Source
    stale_while_revalidate: int = 0
    stale_if_error: int = 0
    must_validate: bool = False
    never_stale: bool = False
    immutable: bool = False

    @property
    def is_fresh(self) -> bool:
        """Whether its age is below its lifetime (section 4.2)."""
        return self.lifetime > self.age

    @property
    def ttl(self) -> int:
        """Seconds that it stays fresh; how long it has been stale, if negative (the ``ttl`` of RFC 9211)."""
        return self.lifetime - self.age

    def reuse(self, request: CacheControl | None = None, *, error: bool = False) -> Reuse:
        """What a cache may do with the response for this request.

        Args:
            request: The request's directives (section 5.2.1).
            error: The origin was asked and failed: it cannot be reached, or answered 500, 502, 503 or 504.
        """
        request = request or _NO_DIRECTIVES
        found = self._wanted(request)
        if found is not Reuse.VALIDATE:
            return found
        if error and not self.must_validate:
            asked = 0 if self.never_stale else request.stale_if_error or 0
            allowed = max(self.stale_if_error, asked)
            if allowed and -self.ttl <= allowed:
                return Reuse.STALE_IF_ERROR
        return Reuse.GATEWAY_TIMEOUT if request.only_if_cached else Reuse.VALIDATE

    def _wanted(self, request: CacheControl) -> Reuse:
        if self.must_validate or request.no_cache:
            return Reuse.VALIDATE
        if request.max_age is not None and self.age > request.max_age:
            return Reuse.VALIDATE
        if self.is_fresh and self.ttl >= (request.min_fresh or 0):
            return Reuse.FRESH
        if request.min_fresh:
            return Reuse.VALIDATE
        stale_for = -self.ttl
        if request.max_stale is not None and stale_for <= request.max_stale and not self.never_stale:
            return Reuse.STALE
        # A request with a max-age does not want a stale response, unless it says so (section 5.2.1.1).
        if self.stale_while_revalidate and stale_for <= self.stale_while_revalidate and request.max_age is None:
            return Reuse.STALE_WHILE_REVALIDATE
        return Reuse.VALIDATE


_NO_DIRECTIVES: Final = CacheControl()


def freshness_of(
    status: int,
    headers: HeadersInit,
    *,
    now: float,
    request_time: float | None = None,
    response_time: float | None = None,
    shared: bool = True,
    targets: Iterable[str] = (),
    heuristic_fraction: float = HEURISTIC_FRACTION,
) -> Freshness:
    """How fresh a response is.

    Explicit lifetimes come first: ``s-maxage`` in a shared cache, then ``max-age``, then ``Expires`` (section 4.2.1).
    Without any, a response whose status allows it, or that is ``public``, is fresh for a part of the time since it was
    last changed (section 4.2.2). A targeted field puts Cache-Control and ``Expires`` out of force (RFC 9213).

    ``stale-while-revalidate`` and ``stale-if-error`` beside ``s-maxage`` are allowances of their own, as every shared
    cache in use takes them; it is ``max-stale`` of a request that an ``s-maxage`` forbids (section 5.2.2.10).

    Args:
        status: The response's status code.
        headers: Its fields.
        now: When it is to be reused.
        request_time: When the request that it answers was sent; ``response_time`` if not given.
        response_time: When it was received; ``now`` if not given.
        shared: Whether the cache serves more than one user.
        targets: The cache's target list; see ``targeted.choose_policy``.
        heuristic_fraction: What of the time since the last change makes a heuristic lifetime; 0 for none.
    """
    headers = Headers.of(headers)
    policy = choose_policy(headers, targets)
    control = policy.control
    received = now if response_time is None else response_time
    sent = received if request_time is None else request_time
    date = parse_date(headers.get("date", ""))
    made = received if date is None else date

    source, lifetime = Source.NONE, 0.0
    if shared and control.s_maxage is not None:
        source, lifetime = Source.S_MAXAGE, control.s_maxage
    elif control.max_age is not None:
        source, lifetime = Source.MAX_AGE, control.max_age
    elif "expires" in headers and not policy.is_targeted:
        source, lifetime = Source.EXPIRES, parse_expires(headers["expires"]) - made
    elif heuristic_fraction and (status in HEURISTIC_STATUSES or control.public):
        changed = parse_date(headers.get("last-modified", ""))
        if changed is not None and changed < made:
            source, lifetime = Source.HEURISTIC, (made - changed) * heuristic_fraction

    must_validate = control.no_cache is True
    forbids_stale = must_validate or control.must_revalidate or (shared and control.proxy_revalidate)
    return Freshness(
        lifetime=min(max(int(lifetime), 0), MAX_SECONDS),
        age=current_age(
            parse_age(headers.get("age", "")) or 0, date, now=now, request_time=sent, response_time=received
        ),
        source=source,
        stale_while_revalidate=(control.stale_while_revalidate or 0) if not forbids_stale else 0,
        stale_if_error=(control.stale_if_error or 0) if not forbids_stale else 0,
        must_validate=must_validate,
        never_stale=forbids_stale or (shared and control.s_maxage is not None),
        immutable=control.immutable,
    )


def current_age(age: int, date: float | None, *, now: float, request_time: float, response_time: float) -> int:
    """A stored response's age in seconds, rounded up (section 4.2.3).

    Args:
        age: The value of its Age field, 0 without one.
        date: The value of its Date field; without one it was made when it came.
        now: The moment for which the age is asked.
        request_time: When the request was sent.
        response_time: When the response was received.
    """
    apparent = 0.0 if date is None else max(0.0, response_time - date)
    corrected = age + max(0.0, response_time - request_time)
    resident = max(0.0, now - response_time)
    return min(ceil(max(apparent, corrected) + resident), MAX_SECONDS)


def parse_age(text: str) -> int | None:
    """The seconds of an Age field, of its first member if there are several; ``None`` if malformed (section 5.1)."""
    return parse_seconds(text.partition(",")[0].strip(" \t"))


def parse_expires(text: str) -> float:
    """The moment of an Expires field, in seconds since the epoch; the epoch itself for a malformed one (5.3)."""
    moment = parse_date(text)
    return 0.0 if moment is None else moment


class Storage(Enum):
    """What decides whether a cache may store a response (section 3), in the order in which it is asked."""

    METHOD = "method"
    STATUS = "status"
    NOT_UNDERSTOOD = "not-understood"
    NO_STORE = "no-store"
    REQUEST_NO_STORE = "request-no-store"
    PRIVATE = "private"
    AUTHORIZATION = "authorization"
    PUBLIC = "public"
    OWN_CACHE = "own-cache"
    """The response is ``private``, and the cache its user's own."""
    S_MAXAGE = "s-maxage"
    MAX_AGE = "max-age"
    EXPIRES = "expires"
    DEFAULT = "default"
    """Nothing forbids it, and the status is one that may be stored without being told so."""
    NOTHING = "nothing"
    """Nothing forbids it, and nothing allows it."""

    @property
    def allowed(self) -> bool:
        """Whether the response may be stored."""
        return self in _ALLOWING


_ALLOWING: Final = frozenset(
    {Storage.PUBLIC, Storage.OWN_CACHE, Storage.S_MAXAGE, Storage.MAX_AGE, Storage.EXPIRES, Storage.DEFAULT}
)


def storage_of(
    method: str,
    status: int,
    headers: HeadersInit,
    *,
    shared: bool = True,
    authorized: bool = False,
    request: CacheControl | None = None,
    targets: Iterable[str] = (),
) -> Storage:
    """What decides whether a cache may store a response to GET or HEAD; other methods are never stored here.

    Args:
        method: The request's method.
        status: The response's status code; 206 and 304 need a cache that can combine, and are not stored by this rule.
        headers: The response's fields.
        shared: Whether the cache serves more than one user.
        authorized: Whether the request had an Authorization field (section 3.5).
        request: The request's directives.
        targets: The cache's target list; see ``targeted.choose_policy``.
    """
    if method not in ("GET", "HEAD"):
        return Storage.METHOD
    if status < 200 or status in (206, 304):
        return Storage.STATUS
    headers = Headers.of(headers)
    policy = choose_policy(headers, targets)
    control = policy.control
    if control.must_understand:
        if status not in UNDERSTOOD_STATUSES:
            return Storage.NOT_UNDERSTOOD
    elif control.no_store:
        return Storage.NO_STORE
    if request is not None and request.no_store:
        return Storage.REQUEST_NO_STORE
    if shared and control.private is True:
        return Storage.PRIVATE
    if shared and authorized and not (control.public or control.must_revalidate or control.s_maxage is not None):
        return Storage.AUTHORIZATION
    if control.public:
        return Storage.PUBLIC
    if control.private and not shared:
        return Storage.OWN_CACHE
    if shared and control.s_maxage is not None:
        return Storage.S_MAXAGE
    if control.max_age is not None:
        return Storage.MAX_AGE
    if "expires" in headers and not policy.is_targeted:
        return Storage.EXPIRES
    return Storage.DEFAULT if status in HEURISTIC_STATUSES else Storage.NOTHING


def is_storable(
    method: str,
    status: int,
    headers: HeadersInit,
    *,
    shared: bool = True,
    authorized: bool = False,
    request: CacheControl | None = None,
    targets: Iterable[str] = (),
) -> bool:
    """Whether a cache may store a response; see ``storage_of``, which says why."""
    return storage_of(
        method, status, headers, shared=shared, authorized=authorized, request=request, targets=targets
    ).allowed
