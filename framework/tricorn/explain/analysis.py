"""From what was seen of a response to what caches will make of it.

Rules of this module: pure, and the arithmetic of caching is that of ``tricorn.caching``, which is asked here once for
each kind of cache. What a response lacks is said by its absence; what is wrong with it is for the checks to say.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final, Literal

from tricorn.caching.conditional import SAFE_METHODS
from tricorn.caching.control import CacheControl
from tricorn.caching.etag import ETag, content_tag
from tricorn.caching.freshness import Storage, freshness_of, storage_of
from tricorn.caching.ranges import ContentRange
from tricorn.caching.targeted import choose_policy
from tricorn.caching.vary import Vary
from tricorn.explain.facts import (
    Answer,
    CacheFacts,
    Explanation,
    Observed,
    RangeFacts,
    Reload,
    RevalidationFacts,
    ValidatorFacts,
    VariedField,
    VaryFacts,
)
from tricorn.explain.message_checks import CHECKS as MESSAGE_CHECKS
from tricorn.explain.policy_checks import CHECKS as POLICY_CHECKS
from tricorn.headers import Headers
from tricorn_transports.http.fields import split_list

#: Where it is written what decides whether a response is stored.
_CLAUSES: Final = {
    Storage.METHOD: "RFC 9111, 3",
    Storage.STATUS: "RFC 9111, 3",
    Storage.NOT_UNDERSTOOD: "RFC 9111, 5.2.2.3",
    Storage.NO_STORE: "RFC 9111, 5.2.2.5",
    Storage.REQUEST_NO_STORE: "RFC 9111, 5.2.1.5",
    Storage.PRIVATE: "RFC 9111, 5.2.2.7",
    Storage.AUTHORIZATION: "RFC 9111, 3.5",
    Storage.PUBLIC: "RFC 9111, 5.2.2.9",
    Storage.OWN_CACHE: "RFC 9111, 5.2.2.7",
    Storage.S_MAXAGE: "RFC 9111, 5.2.2.10",
    Storage.MAX_AGE: "RFC 9111, 5.2.2.1",
    Storage.EXPIRES: "RFC 9111, 5.3",
    Storage.DEFAULT: "RFC 9110, 15.1",
    Storage.NOTHING: "RFC 9111, 3",
}

#: What a 304 must have if the 200 would have had it. ``Date`` is put on both by the server.
_IN_304: Final = ("Content-Location", "ETag", "Vary", "Cache-Control", "Expires")


def explain(seen: Observed) -> Explanation:
    """What browsers and shared caches will make of a response, and what is wrong with it."""
    asked, answer = seen.asked, seen.answer
    size = _size(answer, asked.method)
    caches = tuple(_caches(seen))
    facts = Explanation(
        method=asked.method,
        target=asked.target,
        status=answer.status,
        media_type=answer.headers.get("content-type"),
        size=size,
        cache_control=str(CacheControl.parse(answer.field("cache-control") or "")) or None,
        validators=_validators(seen),
        caches=caches,
        varies=_varies(answer, asked.headers),
        revalidation=_revalidation(seen, size),
        ranges=_ranges(seen),
        reload=_reload(caches[0], answer),
        invalidates=asked.method not in SAFE_METHODS and 200 <= answer.status < 400,
    )
    checks = (*POLICY_CHECKS, *MESSAGE_CHECKS)
    return replace(facts, warnings=tuple(found for check in checks for found in check(seen, facts)))


def _size(answer: Answer, method: str) -> int | None:
    if answer.complete and method != "HEAD":
        return len(answer.body)
    length = answer.headers.get("content-length", "")
    return int(length) if length.isascii() and length.isdigit() and len(length) <= 18 else None


def _validators(seen: Observed) -> ValidatorFacts:
    text = seen.answer.headers.get("etag")
    last_modified = seen.answer.headers.get("last-modified")
    if text is None:
        return ValidatorFacts(None, None, None, None, last_modified)
    tag = ETag.parse(text)
    return ValidatorFacts(
        etag=text,
        strength="malformed" if tag is None else "weak" if tag.weak else "strong",
        origin=_origin(seen, tag),
        repeated=None if seen.again is None else seen.again.headers.get("etag") == text,
        last_modified=last_modified,
    )


def _origin(seen: Observed, tag: ETag | None) -> Literal["application", "content"] | None:
    if seen.asked.method == "HEAD" or not seen.answer.complete:
        return None
    coding = seen.answer.headers.get("content-encoding")
    by_content = content_tag(seen.answer.body)
    if tag is not None and tag.value in (by_content, f"{by_content}-{coding}"):  # the latter is a static file's
        return "content"
    return "application" if coding is None else None  # a tag that was made before the content was coded


def _caches(seen: Observed) -> Iterator[CacheFacts]:
    """The private cache first."""
    yield _cache(seen, "private")
    yield _cache(seen, "shared")
    for name in seen.answer.targeted_fields():
        if choose_policy(seen.answer.headers, (name,)).is_targeted:
            yield _cache(seen, "targeted", name)


def _cache(seen: Observed, cache: Literal["private", "shared", "targeted"], *targets: str) -> CacheFacts:
    asked, answer = seen.asked, seen.answer
    shared = cache != "private"
    because = storage_of(
        asked.method,
        answer.status,
        answer.headers,
        shared=shared,
        authorized="authorization" in asked.headers,
        request=CacheControl.parse(", ".join(asked.headers.getlist("cache-control"))),
        targets=targets,
    )
    freshness = freshness_of(answer.status, answer.headers, now=seen.now, shared=shared, targets=targets)
    if _vary(answer).any:  # no request matches what is stored (RFC 9111 section 4.1)
        freshness = replace(freshness, must_validate=True)
    return CacheFacts(
        cache=cache,
        field=choose_policy(answer.headers, targets).field,
        stored=because.allowed,
        because=because,
        clause=_CLAUSES[because],
        freshness=freshness if because.allowed else None,
    )


def _varies(answer: Answer, request: Headers) -> VaryFacts:
    vary = _vary(answer)
    values = dict(vary.key(request) or ())
    return VaryFacts(vary.any, tuple(VariedField(name, values[name.lower()]) for name in vary.names))


def _vary(answer: Answer) -> Vary:
    return Vary.parse(answer.field("vary") or "")


def _revalidation(seen: Observed, size: int | None) -> RevalidationFacts | None:
    answer, second = seen.answer, seen.revalidated
    if second is None:
        return None
    unmodified = second.status == 304
    return RevalidationFacts(
        if_none_match=answer.headers.get("etag"),
        if_modified_since=answer.headers.get("last-modified"),
        status=second.status,
        saved=size if unmodified else 0,
        missing=tuple(name for name in _IN_304 if unmodified and name in answer.headers and name not in second.headers),
    )


def _ranges(seen: Observed) -> RangeFacts:
    part = seen.ranged
    served = None
    if part is not None:
        served = part.status == 206 and ContentRange.parse(part.headers.get("content-range", "")) is not None
    units = split_list((seen.answer.field("accept-ranges") or "").lower())
    return RangeFacts(announced="bytes" in units, served=served)


def _reload(browser: CacheFacts, answer: Answer) -> Reload:
    freshness = browser.freshness
    if freshness is None:
        return "fetches"
    if freshness.immutable and freshness.is_fresh and not freshness.must_validate:
        return "reuses"
    return "validates" if "etag" in answer.headers or "last-modified" in answer.headers else "fetches"
