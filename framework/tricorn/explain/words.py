"""How the facts read in a sentence.

Rules of this module: pure; text in English without the RFC's clauses, which the caller adds.
"""

from __future__ import annotations

from typing import Final

from tricorn.caching.freshness import Freshness, Source, Storage
from tricorn.explain.facts import CacheFacts, Explanation, RangeFacts, RevalidationFacts, ValidatorFacts, VaryFacts
from tricorn_transports.http.status import status_phrase

_NAMES: Final = {"private": "Browser", "shared": "Shared cache"}
_ORIGINS: Final = {"content": "made by Tricorn of the content", "application": "the application's own"}

_UNITS: Final = (
    ("year", 31_536_000),
    ("day", 86_400),
    ("hour", 3_600),
    ("minute", 60),
    ("second", 1),
)

#: What browsers reuse without asking, and without end, where no lifetime is given.
KEPT_FOR_GOOD: Final = frozenset({300, 301, 308, 410})

#: Why a response is stored, or not.
_STORAGE: Final = {
    Storage.METHOD: "not stored: only what GET and HEAD get is",
    Storage.STATUS: "not stored: a {status} is not a whole response",
    Storage.NOT_UNDERSTOOD: "not stored: must-understand, and no RFC that every cache knows defines {status}",
    Storage.NO_STORE: "not stored: no-store",
    Storage.REQUEST_NO_STORE: "not stored: the request says no-store",
    Storage.PRIVATE: "not stored: private",
    Storage.AUTHORIZATION: "not stored: the request has Authorization, and nothing lifts that",
    Storage.PUBLIC: "stored: public",
    Storage.OWN_CACHE: "stored: private, and this cache is its user's own",
    Storage.S_MAXAGE: "stored: s-maxage",
    Storage.MAX_AGE: "stored: max-age",
    Storage.EXPIRES: "stored: Expires",
    Storage.DEFAULT: "stored: nothing forbids it, and a {status} may be stored by default",
    Storage.NOTHING: "not stored: nothing allows it, and a {status} is not stored by default",
}

#: What a lifetime was taken from, and where that is written.
_SOURCES: Final = {
    Source.S_MAXAGE: ("s-maxage", "RFC 9111, 5.2.2.10"),
    Source.MAX_AGE: ("max-age", "RFC 9111, 5.2.2.1"),
    Source.EXPIRES: ("Expires", "RFC 9111, 5.3"),
    Source.HEURISTIC: ("guessed from Last-Modified", "RFC 9111, 4.2.2"),
}


def duration(seconds: int) -> str:
    """``10 minutes``, ``1 hour 30 minutes``: the largest unit and the next one below it."""
    counts: list[tuple[int, str]] = []
    for unit, length in _UNITS:
        count, seconds = divmod(seconds, length)
        if count or counts:
            counts.append((count, f"{count} {unit}{'s' if count > 1 else ''}"))
    return " ".join(text for count, text in counts[:2] if count) or "0 seconds"


def content(size: int | None) -> str:
    """How much there is."""
    return "length unknown" if size is None else f"{size:,} byte{'' if size == 1 else 's'}"


def cache_name(facts: CacheFacts) -> str:
    """What people call such a cache."""
    return _NAMES.get(facts.cache) or facts.field.removesuffix("-Cache-Control")


def cache(facts: CacheFacts, whole: Explanation) -> tuple[str, ...]:
    """Whether a cache stores the response, and why; and for how long it is reused."""
    by = f"goes by {facts.field} alone (RFC 9213, 2.2); " if facts.cache == "targeted" else ""
    stored = f"{by}{_STORAGE[facts.because].format(status=whole.status)} ({facts.clause})"
    if facts.freshness is None:
        return (stored,)
    has_validator = whole.validators.etag is not None or whole.validators.last_modified is not None
    return stored, reuse(facts.freshness, whole.status, has_validator=has_validator, matches=not whole.varies.any)


def reuse(fresh: Freshness, status: int = 200, *, has_validator: bool, matches: bool = True) -> str:
    """What becomes of a stored response as time goes by.

    Args:
        matches: Whether there are requests that it is an answer to.
    """
    asked = "revalidated" if has_validator else "fetched anew"
    if fresh.must_validate:
        why = "no-cache: RFC 9111, 5.2.2.4" if matches else "Vary: RFC 9111, 4.1"
        return f"{asked} before every use ({why})"
    steps = [_fresh(fresh, status)]
    if fresh.stale_while_revalidate:
        steps.append(f"then served stale for {duration(fresh.stale_while_revalidate)} while it is fetched anew")
    steps.append(f"then {asked}")
    text = ", ".join(steps)
    if fresh.stale_if_error:
        text += f"; served stale for {duration(fresh.stale_if_error)} if the application fails"
    elif fresh.never_stale and not fresh.stale_while_revalidate:
        text += "; never used stale"
    return text


def _fresh(fresh: Freshness, status: int) -> str:
    if fresh.source in (Source.NONE, Source.HEURISTIC) and status in KEPT_FOR_GOOD:
        return f"no lifetime is given: browsers may keep a {status} for good, others take it as stale at once"
    if fresh.source is Source.NONE:
        return "no lifetime is given, so most caches take it as stale at once"
    source, clause = _SOURCES[fresh.source]
    if fresh.ttl > 0:
        text = f"fresh for {duration(fresh.ttl)}"
        if fresh.age:
            text += f" more, of {duration(fresh.lifetime)}"
    elif fresh.lifetime:
        text = f"stale already, {duration(fresh.age)} old with a lifetime of {duration(fresh.lifetime)}"
    else:
        text = "stale at once"
    return f"{text} ({source}: {clause})"


def reload(facts: Explanation) -> str:
    """What a browser's reload does."""
    if facts.reload == "fetches":
        return "fetches it anew"
    forced = "a forced one fetches it past all caches"
    if facts.reload == "reuses":
        return f"uses what is stored without asking, while it is fresh (immutable: RFC 8246, 2); {forced}"
    found = facts.revalidation
    got = ""
    if found is not None and found.status in (304, facts.status):
        got = ", and gets a 304" if found.status == 304 else ", and gets all of it again"
    elif found is not None:
        got = f", and gets a {found.status}"
    return f"asks whether it has changed{got}; {forced}"


def etag(facts: ValidatorFacts) -> str:
    """The tag, what it is worth, and who made it."""
    origin = "" if facts.origin is None else f", {_ORIGINS[facts.origin]}"
    return f"ETag {facts.etag}, {facts.strength}{origin}"


def revalidation(facts: RevalidationFacts, status: int) -> str:
    """What a revalidation got of a response with this status."""
    if facts.status != 304:
        got = f"{facts.status} {status_phrase(facts.status)}"
        return f"got {got}: all of it again" if facts.status == status else f"got {got}: neither a 304 nor the response"
    saved = "" if facts.saved is None else f"{content(facts.saved)} saved, "
    fields = f"but it lacks {', '.join(facts.missing)}" if facts.missing else "and it has every field that it must"
    return f"got 304 Not Modified: {saved}{fields}"


def varies(facts: VaryFacts) -> str:
    """What the response depends on, with the request's own values."""
    if facts.any:
        return "anything"
    return (
        ", ".join(
            f"{field.name} (not in this request)" if field.value is None else f"{field.name} (here: {field.value})"
            for field in facts.fields
        )
        or "nothing: one response for all requests"
    )


def ranges(facts: RangeFacts) -> str:
    """Whether parts can be had."""
    if facts.served:
        return "announced, and served" if facts.announced else "served, though Accept-Ranges does not announce it"
    if facts.served is None:
        return "announced" if facts.announced else "not announced"
    return "announced, but not served" if facts.announced else "none: the whole is always sent"
