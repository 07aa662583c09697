"""What can be wrong with a response besides its policy: validators, dates, and what further requests got.

Rules of this module: pure; one function for one kind of fault. What was not asked for is not held against a response.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tricorn.explain.facts import Explanation, Finding, Observed
from tricorn.explain.findings import Check, finding
from tricorn_transports.http.dates import parse_date

#: Seconds by which clocks may differ.
_SKEW: Final = 60


def _validators(seen: Observed, facts: Explanation) -> Iterator[Finding]:
    validators = facts.validators
    has_none = validators.etag is None and validators.last_modified is None
    is_endless = not seen.answer.complete and facts.size is None
    has_content = facts.status in (200, 203) and facts.size != 0 and not is_endless
    if has_none and has_content and any(cache.stored for cache in facts.caches):
        yield finding("no-validator", "neither ETag nor Last-Modified: once stale, all of it is sent again")
    if validators.strength == "malformed":
        yield finding("etag-malformed", f'ETag: {validators.etag} is no entity tag; one is written "like-this"')


def _tag_again(seen: Observed, facts: Explanation) -> Iterator[Finding]:
    again = seen.again
    if facts.validators.etag is None or again is None or again.status != facts.status:
        return
    whole = seen.answer.complete and again.complete
    same = whole and again.body == seen.answer.body
    if facts.validators.repeated:
        if whole and not same and facts.validators.strength == "strong":
            yield finding("etag-reused", "two identical requests got different content under one strong ETag")
    elif same or not whole:
        yield finding("etag-unstable", "two identical requests got different ETags for the same content")
    else:
        yield finding("etag-unstable", "two identical requests got different content, and so different ETags")


def _dates(seen: Observed, facts: Explanation) -> Iterator[Finding]:
    headers = seen.answer.headers
    modified = headers.get("last-modified")
    moment = None if modified is None else parse_date(modified)
    if modified is not None and moment is None:
        yield finding("last-modified-invalid", f"Last-Modified: {modified} is no date")
    elif moment is not None and moment > seen.now + 1:
        yield finding("last-modified-future", f"Last-Modified: {modified} is still to come")
    dates = headers.getlist("date")
    if len(dates) > 1:
        yield finding("date-odd", f"Date is there {len(dates)} times")
    elif dates:
        date = parse_date(dates[0])
        if date is None:
            yield finding("date-odd", f"Date: {dates[0]} is no date")
        elif abs(date - seen.now) > _SKEW and "age" not in headers:
            yield finding("date-odd", f"Date: {dates[0]} is not now: caches count the age from there")
    if "age" in headers:
        yield finding("age-from-origin", f"Age: {headers['age']} is for caches to say, and makes it older than it is")


def _revalidation(seen: Observed, facts: Explanation) -> Iterator[Finding]:
    found = facts.revalidation
    if found is None:
        return
    # A tag that changes by itself has its own warning, and explains this one.
    if found.status == facts.status and facts.validators.repeated is not False:
        yield finding("revalidation-ignored", "a cache that asks with its validator is sent all of it again")
    if found.status not in (304, facts.status):
        yield finding("revalidation-failed", f"a cache that asks with its validator is sent a {found.status}")
    if found.missing:
        yield finding("not-modified-incomplete", f"the 304 lacks what the 200 has: {', '.join(found.missing)}")


def _ranges(seen: Observed, facts: Explanation) -> Iterator[Finding]:
    ranges = facts.ranges
    if ranges.announced and ranges.served is False:
        yield finding("ranges-ignored", "Accept-Ranges says bytes, but a request for a range got something else")
    if (ranges.announced or ranges.served) and facts.validators.strength == "weak":
        yield finding("weak-etag-ranges", "a weak ETag cannot resume a transfer: If-Range wants a strong one")


CHECKS: Final[tuple[Check, ...]] = (_validators, _tag_again, _dates, _revalidation, _ranges)
