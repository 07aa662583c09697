"""What is declared of caching and hints for a route, a mount or the application.

Rules of this module: the innermost declaration of a thing decides; ``Vary`` and hints add up. Fields are put on a
response where it comes from, inside of all middleware, so that a compressing one can still weaken the ETag. Declared
validators are computed before the handler runs: a GET that the client need not repeat, and a change that it must not
make, never reach it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from time import time
from typing import TYPE_CHECKING, Final, Literal, Self, TypeAlias, TypedDict, cast

from tricorn.caching.conditional import (
    SAFE_METHODS,
    Outcome,
    Preconditions,
    Validators,
    evaluate,
    has_conditions,
    is_revalidation,
)
from tricorn.caching.etag import ETag
from tricorn.concurrency import call
from tricorn.exceptions import HTTPException
from tricorn.foreign import lower_cased
from tricorn.headers import MutableHeaders, RawHeaders, encode_value
from tricorn.hints.link import Hint
from tricorn.hints.settings import is_part_of_page
from tricorn.response.base import CONDITIONAL
from tricorn.types import ASGIApp, Message, Receive, Scope, Send
from tricorn_transports.http.fields import is_token

if TYPE_CHECKING:
    from tricorn.caching.control import CacheControl
    from tricorn.request import Request

#: In the scope: what was declared around a route.
POLICY: Final = "tricorn.policy"

#: In the scope: a change without a precondition is to be refused.
REQUIRED: Final = "tricorn.require_preconditions"

#: What a 412 says.
PRECONDITION_FAILED: Final = "the resource is not in the state that the request's preconditions name"
_TOO_LATE = (
    "check_preconditions() comes too late: the response has begun. In a generator check before the first yield; a "
    "generator that a handler returns runs later still: check in the handler, or declare etag= at the route"
)
_NAME_THE_STATE = "name the state that is to be changed: If-Match with its ETag, or If-None-Match: * to create it"

#: What a function of the request may give, at once or awaited; ``None``: there is no such representation now.
_TagOrNone: TypeAlias = "ETag | str | None"
_MomentOrNone: TypeAlias = "datetime | float | None"
#: A tag, or a function that makes one of the request.
DeclaredETag: TypeAlias = "ETag | str | Callable[[Request], _TagOrNone | Awaitable[_TagOrNone]] | Literal[False]"
#: A moment with a time zone or in seconds since the epoch, or a function that makes one of the request.
DeclaredMoment: TypeAlias = "datetime | float | Callable[[Request], _MomentOrNone | Awaitable[_MomentOrNone]]"


class CachingOptions(TypedDict, total=False):
    """What routes, mounts and applications take.

    Args:
        cache: ``Cache-Control`` of 2xx and 304 responses that have none of their own. An empty one is none, whatever
            is declared around.
        etag: The entity tag of the resource, as a value or as a function of the request (``async def``, or ``def``,
            which runs in a thread). A function may return ``None`` where there is no such resource. ``False``: none,
            not even one by content.
        last_modified: When the resource was last modified, likewise.
        vary: Request fields that the response depends on; added to those declared around it.
        require_preconditions: Whether a request that changes something is refused with 428 unless it names the state
            that it changes (RFC 6585 section 3).
        hints: What a client that gets the response will need: URLs, or ``tricorn.hints.Hint`` objects. It is told
            before the handler runs, unless its request is for a part of a page; see ``Request.hint``.
    """

    cache: CacheControl | str | None
    etag: DeclaredETag | None
    last_modified: DeclaredMoment | None
    vary: str | Sequence[str]
    require_preconditions: bool | None
    hints: str | Hint | Sequence[Hint | str]


_KNOWN = frozenset(CachingOptions.__annotations__)


@dataclass(frozen=True, slots=True, eq=False)
class CachePolicy:
    """Declarations, checked."""

    cache: bytes | None = None
    etag: DeclaredETag | None = None
    last_modified: DeclaredMoment | None = None
    vary: tuple[str, ...] = ()
    require_preconditions: bool | None = None
    hints: tuple[Hint, ...] = ()
    #: The validators, where no function has to be asked for them.
    fixed: Validators | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        if not callable(self.etag) and not callable(self.last_modified):
            validators = Validators(cast("ETag | None", self.etag or None), cast("float | None", self.last_modified))
            object.__setattr__(self, "fixed", validators if validators else None)

    @classmethod
    def declare(cls, where: str, options: CachingOptions) -> Self | None:
        """The policy of ``options``, or ``None`` if nothing is declared.

        Args:
            where: Whose declarations they are, for messages.

        Raises:
            TypeError: There is no such option.
            ValueError: A policy contradicts itself, or a value cannot be sent.
        """
        if not options:
            return None
        if unknown := options.keys() - _KNOWN:
            raise TypeError(f"{where}: there is no option {sorted(unknown)[0]!r}")
        cache = options.get("cache")
        etag, moment = options.get("etag"), options.get("last_modified")
        vary = options.get("vary", ())
        names = (vary,) if isinstance(vary, str) else tuple(vary)
        for name in names:
            if not is_token(name):
                raise ValueError(f"{where}: vary names {name!r}, which is no field name")
        hints = options.get("hints", ())
        return cls(
            None if cache is None else cache_field(cache),
            etag if etag is None or etag is False or callable(etag) else ETag.coerce(etag),
            moment if moment is None or callable(moment) else Validators.of(None, moment).last_modified,
            names,
            options.get("require_preconditions"),
            tuple(Hint.of(hint) for hint in ((hints,) if isinstance(hints, (str, Hint)) else hints)),
        )

    def apply(self, status: int, raw: RawHeaders, validators: Validators | None) -> None:
        """Adds what is declared to a response's fields, unless they are there."""
        if self.vary:
            MutableHeaders(raw).add_vary(*self.vary)
        if 200 <= status < 300 or status == 304:
            fields = [] if validators is None else validators.fields(time())
            if self.cache:  # an empty one says nothing, in the place of what is declared around it
                fields.append((b"cache-control", self.cache))
            add_missing(raw, fields)

    async def validators(self, request: Request) -> Validators | None:
        """The declared validators of the request's resource; ``None`` if none are declared."""
        etag, moment = self.etag, self.last_modified
        if not callable(etag) and not callable(moment):
            return self.fixed
        if callable(etag):
            etag = cast("ETag | str | None", await call(etag, request))
        if callable(moment):
            moment = cast("datetime | float | None", await call(moment, request))
        return Validators.of(None if etag is False else etag, moment)

    async def hint(self, request: Request) -> None:
        """Tells the client of what is declared that it will need."""
        if self.hints and request.method in ("GET", "HEAD") and not is_part_of_page(request.scope["headers"]):
            await request.hint_all(*self.hints)

    async def begin(self, request: Request) -> RawHeaders | None:
        """Hints and judges before a handler runs; a client that may have all of it already is judged first.

        Returns, and raises: See ``enforce``.
        """
        if not self.hints:
            return await self.enforce(request)
        is_conditional = "if-none-match" in request.headers
        if not is_conditional:
            await self.hint(request)
        unmodified = await self.enforce(request)
        if is_conditional and unmodified is None:
            await self.hint(request)
        return unmodified

    async def enforce(self, request: Request) -> RawHeaders | None:
        """Judges a request before its handler runs.

        Returns:
            If the client has the representation already: the fields of a 304.

        Raises:
            HTTPException: 412, the resource is in another state; 428, none was named.
        """
        scope = request.scope
        changes = scope["method"] not in SAFE_METHODS
        if self.etag is False:
            _leave_untagged(scope)
        if changes and self.require_preconditions:
            scope[REQUIRED] = True
            conditions = Preconditions.from_raw(scope["headers"])
            if conditions is None or not conditions.guards(scope["method"]):
                raise HTTPException(428, _NAME_THE_STATE)
        if changes and not has_conditions(scope["headers"]):
            return None  # the validators would be asked for in vain
        validators = self.fixed or await self.validators(request)
        if validators is None or not (validators or changes):
            return None
        return judge(request, validators, bool(validators))


def judge(request: Request, validators: Validators, exists: bool) -> RawHeaders | None:
    """Judges a request by the validators of its resource; see ``Request.check_preconditions``.

    Returns:
        If the answer is a 304, its field: the first of the validators. It is not raised here, as that takes longer
        than all the rest.

    Raises:
        HTTPException: 412, or 428.
        RuntimeError: The response has begun.
    """
    scope = request.scope
    judging = scope.get(CONDITIONAL)
    if judging is not None and judging.has_begun():
        raise RuntimeError(_TOO_LATE)
    method = scope["method"]
    reads = method == "GET" or method == "HEAD"
    conditions: Preconditions | None = None
    # What cannot be read is a 404, whatever the conditions are (section 13.2.1).
    if (exists or not reads) and has_conditions(scope["headers"]):
        if reads and validators.etag is not None:
            fields = validators.fields(time())[:1]
            if is_revalidation(scope["headers"], fields[0][1]):
                return fields
        conditions = Preconditions.from_raw(scope["headers"])
        outcome = evaluate(method, conditions, validators, exists)
        if outcome is Outcome.NOT_MODIFIED:
            return validators.fields(time())[:1]
        if outcome is Outcome.PRECONDITION_FAILED:
            raise HTTPException(412, PRECONDITION_FAILED)
    if reads:
        request.validators = validators
        if validators.etag is None and validators.last_modified is not None:
            _leave_untagged(scope)  # or clients would name that tag, and the handler would have to run to make it
    elif (  # a date guards nothing where the resource has none (section 13.1.4)
        method not in SAFE_METHODS
        and scope.get(REQUIRED)
        and (conditions is None or not conditions.guards(method, validators))
    ):
        raise HTTPException(428, _NAME_THE_STATE)
    return None


def _leave_untagged(scope: Scope) -> None:
    """Keeps the response from being tagged by its content."""
    judging = scope.get(CONDITIONAL)
    if judging is not None:
        judging.max_hashed = -1


def vary_error(scope: Scope, *policies: CachePolicy | None) -> None:
    """Has the answer to what a route raises vary as its response would have: caches keep a 404, too."""
    judging = scope.get(CONDITIONAL)
    if judging is not None:
        judging.vary = tuple(name for policy in policies if policy is not None for name in policy.vary)


@lru_cache(1024)
def merged(inner: CachePolicy, outer: CachePolicy) -> CachePolicy:
    """Both policies as one; both stay as they are."""
    return CachePolicy(
        inner.cache if inner.cache is not None else outer.cache,
        inner.etag if inner.etag is not None else outer.etag,
        inner.last_modified if inner.last_modified is not None else outer.last_modified,
        tuple(dict.fromkeys(outer.vary + inner.vary)),
        inner.require_preconditions if inner.require_preconditions is not None else outer.require_preconditions,
        tuple(dict.fromkeys(outer.hints + inner.hints)),
    )


def cache_field(cache: CacheControl | str) -> bytes:
    """The value of ``Cache-Control`` as it is sent: text stays as it was written.

    Raises:
        ValueError: It contradicts itself, says what no cache would read as it is meant, or cannot be sent.
        TypeError: It is no policy.
    """
    raw = encode_value("cache-control", str(cache))
    if isinstance(cache, str):
        _check_text(cache)
    else:
        from tricorn.caching.control import CacheControl

        if not isinstance(cache, CacheControl):
            raise TypeError(f"cache is a CacheControl or its text, not {cache!r}")
    return raw


@lru_cache(256)
def _check_text(cache: str) -> None:
    from tricorn.caching.directives import contradictions, misreadings, parse_directives

    for fault in (*misreadings(cache), *contradictions(parse_directives(cache)[0])):
        raise ValueError(f"Cache-Control: {fault}")


def policy_for(inner: CachePolicy | None, scope: Scope) -> CachePolicy | None:
    """What holds for a request: ``inner``, inside of what was declared around it."""
    outer: CachePolicy | None = scope.get(POLICY)
    if inner is None or outer is None:
        return inner or outer
    return merged(inner, outer)


def add_missing(raw: RawHeaders, fields: RawHeaders) -> None:
    """Adds those fields whose names are not there yet."""
    names = {name for name, _ in raw}
    raw += [pair for pair in fields if pair[0] not in names]


class Declared:
    """Middleware around a foreign application, for what is declared around it. Its field names become lower-case.

    Whether that application has the resource at all is not known, so that a GET always reaches it, and its answer is
    judged; what changes something is judged before.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        policy: CachePolicy | None = scope.get(POLICY)
        if policy is None:
            await self._app(scope, receive, lower_cased(send))
            return
        from tricorn.request import Request

        request = Request(scope, receive, send)
        validators: Validators | None = None
        if request.method in ("GET", "HEAD"):
            if policy.etag is False:
                _leave_untagged(scope)
            await policy.hint(request)
            validators = await policy.validators(request)
        else:
            await policy.enforce(request)

        def send_declared(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                raw = list(message.get("headers", ()))
                policy.apply(message["status"], raw, validators)
                message = {**message, "headers": raw}
            return send(message)

        await self._app(scope, receive, lower_cased(send_declared))
