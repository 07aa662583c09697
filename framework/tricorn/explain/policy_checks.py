"""What can be wrong with a caching policy: Cache-Control, targeted fields, Expires, Pragma and Vary.

Rules of this module: pure; one function for one kind of fault. A policy is read as leniently as a cache reads it, and
what that takes for granted is what is warned of. A fault that no cache can act on (all of them are forbidden to store
the response) is none.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tricorn.caching.conditional import SAFE_METHODS
from tricorn.caching.control import CacheControl
from tricorn.caching.directives import BY_NAME, misreadings
from tricorn.caching.freshness import HEURISTIC_STATUSES, Freshness, Source, Storage
from tricorn.caching.targeted import parse_targeted
from tricorn.explain.facts import CacheFacts, Explanation, Finding, Observed
from tricorn.explain.findings import Check, finding
from tricorn.explain.words import KEPT_FOR_GOOD, duration
from tricorn_transports.http.dates import parse_date
from tricorn_transports.http.fields import split_list

#: What a response has to be fresh for before a reload that skips its validation is worth a directive: a day.
_LONG: Final = 86_400
#: A smaller text gains nothing from being compressed.
_WORTH_COMPRESSING: Final = 1024
_TEXT: Final = ("text/", "application/json", "application/javascript", "application/xml", "image/svg+xml")


def _storing(facts: Explanation) -> list[CacheFacts]:
    return [cache for cache in facts.caches if cache.stored]


def _storing_shared(facts: Explanation) -> list[CacheFacts]:
    return [cache for cache in facts.caches if cache.stored and cache.cache != "private"]


def _control(seen: Observed) -> CacheControl:
    return CacheControl.parse(seen.answer.field("cache-control") or "")


def _policies(seen: Observed) -> Iterator[tuple[str, CacheControl]]:
    """Every field with directives, and what it says; malformed ones say nothing."""
    if (text := seen.answer.field("cache-control")) is not None:
        yield "Cache-Control", CacheControl.parse(text)
    for name in seen.answer.targeted_fields():
        control = parse_targeted(seen.answer.field(name) or "")
        if control is not None:
            yield name, control


# --- what may be stored and reused ------------------------------------------------------------------------------------


def _lifetime(seen: Observed, facts: Explanation) -> Iterator[Finding]:
    """No lifetime, so that caches guess one; or one on an error."""
    status = facts.status
    for cache in _storing(facts):
        fresh = cache.freshness
        assert fresh is not None
        if fresh.source in (Source.HEURISTIC, Source.NONE):
            if not fresh.must_validate and (status in HEURISTIC_STATUSES or _control(seen).public):
                yield _guessed(status, fresh)
                return
        elif status >= 500 and fresh.lifetime > 0:
            yield finding("error-lifetime", f"an error of status {status} is reused for {duration(fresh.lifetime)}")
            return


def _guessed(status: int, fresh: Freshness) -> Finding:
    guess = f"for about {duration(fresh.lifetime)}" if fresh.lifetime else "for as long as they like"
    code, what = ("cacheable-error", f"this {status}") if status >= 400 else ("heuristic-freshness", "it")
    if status in KEPT_FOR_GOOD:
        return finding(code, f"without a lifetime: browsers may keep this {status} for good")
    return finding(code, f"without a lifetime: caches may reuse {what} {guess}")


def _set_cookie(seen: Observed, facts: Explanation) -> Iterator[Finding]:
    if "set-cookie" not in seen.answer.headers:
        return
    control = _control(seen)
    kept = [names for names in (control.private, control.no_cache) if isinstance(names, frozenset)]
    if _storing_shared(facts) and not any("set-cookie" in names for names in kept):
        yield finding("set-cookie-shared", "a shared cache may give one user's Set-Cookie to the others")


def _authorization(seen: Observed, facts: Explanation) -> Iterator[Finding]:
    if "authorization" not in seen.asked.headers:
        return
    shared = facts.caches[1]
    if shared.because is Storage.AUTHORIZATION:
        yield finding(
            "authorization-unshared",
            "the request has Authorization: no shared cache keeps it without public, s-maxage or must-revalidate",
        )
    varied = facts.varies.any or any(field.name.lower() == "authorization" for field in facts.varies.fields)
    if shared.freshness is not None and not shared.freshness.must_validate and not varied:
        yield finding("authorization-shared", "shared caches give it to everybody, whatever their Authorization")


def _method(seen: Observed, facts: Explanation) -> Iterator[Finding]:
    control = _control(seen)
    if facts.method not in SAFE_METHODS and (control.max_age or control.s_maxage):
        yield finding("unsafe-method", f"the lifetime has no effect: caches do not store what {facts.method} gets")


def _vary(seen: Observed, facts: Explanation) -> Iterator[Finding]:
    if not _storing(facts):
        return
    if facts.varies.any:
        names = split_list(seen.answer.field("vary") or "")
        read = "Vary: *" if "*" in names else "Vary cannot be read and counts as *"
        yield finding("vary-star", f"{read}: what is stored is never reused without asking")
    if not _storing_shared(facts):
        return
    fields = {field.name.lower() for field in facts.varies.fields}
    if "user-agent" in fields:
        yield finding("vary-user-agent", "there are thousands of User-Agents: shared caches will hardly ever hit")
    if "cookie" in fields:
        yield finding("vary-cookie", "nearly every user has a Cookie of their own: private would say what is meant")


def _encoding(seen: Observed, facts: Explanation) -> Iterator[Finding]:
    coding = seen.answer.headers.get("content-encoding", "identity")
    names = {field.name.lower() for field in facts.varies.fields}
    if _storing(facts) and coding.lower() != "identity" and not facts.varies.any and "accept-encoding" not in names:
        yield finding("encoding-without-vary", f"{coding} may reach clients that cannot read it: no Vary says so")


# --- Cache-Control and its kind ---------------------------------------------------------------------------------------


def _contradictions(seen: Observed, facts: Explanation) -> Iterator[Finding]:
    for field, control in _policies(seen):
        where = "" if field == "Cache-Control" else f"{field}: "
        for found in control.contradictions:
            if found.second:
                yield finding("contradiction", f"{where}{found}", BY_NAME[found.first].response or None)
        if control.immutable:
            lifetime = max(control.max_age or 0, control.s_maxage or 0)
            if lifetime < _LONG:
                short = f"for {duration(lifetime)} only" if lifetime else "for no time at all"
                yield finding("immutable-short", f"{where}immutable holds while it is fresh, which is {short}")
        if control.must_understand and not control.no_store:
            yield finding("must-understand-alone", f"{where}must-understand wants no-store for caches without it")
        for name in control.directives:
            if not BY_NAME[name].response:
                yield finding("request-directive", f"{where}{name} means nothing in a response")


def _spelling(seen: Observed, facts: Explanation) -> Iterator[Finding]:
    for found in misreadings(seen.answer.field("cache-control") or ""):
        yield finding(f"{found.kind}-directive", found.text)


def _targeted(seen: Observed, facts: Explanation) -> Iterator[Finding]:
    for name in seen.answer.targeted_fields():
        if parse_targeted(seen.answer.field(name) or "") is None:
            yield finding("targeted-malformed", f"{name} is no structured field, and ignored as a whole")


def _older(seen: Observed, facts: Explanation) -> Iterator[Finding]:
    """Expires and Pragma."""
    headers = seen.answer.headers
    expires = headers.get("expires")
    # 0 and -1 are not dates either, but the RFC names the one, and both are taken as what they are meant for.
    if expires is not None and parse_date(expires) is None and expires.strip() not in ("0", "-1"):
        yield finding("expires-invalid", f"Expires: {expires} is no date, and counts as past")
    pragma = (seen.answer.field("pragma") or "").lower()
    if "no-cache" in pragma and "cache-control" not in headers and expires is None:
        yield finding("pragma-only", "Pragma means nothing in a response: say Cache-Control: no-cache")


def _transform(seen: Observed, facts: Explanation) -> Iterator[Finding]:
    is_text = (facts.media_type or "").lower().startswith(_TEXT)
    size = facts.size or 0
    plain = "content-encoding" not in seen.answer.headers
    if _control(seen).no_transform and is_text and plain and size >= _WORTH_COMPRESSING:
        yield finding("no-transform-uncompressed", f"no-transform keeps everybody from compressing {size:,} bytes")


CHECKS: Final[tuple[Check, ...]] = (
    _set_cookie,
    _authorization,
    _lifetime,
    _method,
    _vary,
    _encoding,
    _contradictions,
    _spelling,
    _targeted,
    _older,
    _transform,
)
