"""HTTP's caching as values and pure functions: Cache-Control, freshness, validators, preconditions, ranges, digests.

Nothing here does IO or knows a request object; each function names the clause of the RFC that it follows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tricorn.lazy import lazy_names

if TYPE_CHECKING:
    from tricorn.caching.conditional import Outcome, Preconditions, Validators, evaluate
    from tricorn.caching.control import CacheControl
    from tricorn.caching.digest import (
        Algorithm,
        Digester,
        Verdict,
        choose_algorithm,
        digest_field,
        parse_digests,
        verify,
    )
    from tricorn.caching.etag import ETag, ETagList
    from tricorn.caching.freshness import Freshness, Reuse, Source, Storage, freshness_of, is_storable, storage_of
    from tricorn.caching.ranges import ContentRange, Range
    from tricorn.caching.status import CacheStatus, Forwarded, format_cache_status
    from tricorn.caching.targeted import CDN, Policy, choose_policy, format_targeted, parse_targeted
    from tricorn.caching.timing import Metric, format_server_timing, parse_server_timing
    from tricorn.caching.vary import Vary

__all__ = [
    "CDN",
    "Algorithm",
    "CacheControl",
    "CacheStatus",
    "ContentRange",
    "Digester",
    "ETag",
    "ETagList",
    "Forwarded",
    "Freshness",
    "Metric",
    "Outcome",
    "Policy",
    "Preconditions",
    "Range",
    "Reuse",
    "Source",
    "Storage",
    "Validators",
    "Vary",
    "Verdict",
    "choose_algorithm",
    "choose_policy",
    "digest_field",
    "evaluate",
    "format_cache_status",
    "format_server_timing",
    "format_targeted",
    "freshness_of",
    "is_storable",
    "parse_digests",
    "parse_server_timing",
    "parse_targeted",
    "storage_of",
    "verify",
]

_MODULES = {
    "tricorn.caching.conditional": "Outcome Preconditions Validators evaluate",
    "tricorn.caching.control": "CacheControl",
    "tricorn.caching.digest": "Algorithm Digester Verdict choose_algorithm digest_field parse_digests verify",
    "tricorn.caching.etag": "ETag ETagList",
    "tricorn.caching.freshness": "Freshness Reuse Source Storage freshness_of is_storable storage_of",
    "tricorn.caching.ranges": "ContentRange Range",
    "tricorn.caching.status": "CacheStatus Forwarded format_cache_status",
    "tricorn.caching.targeted": "CDN Policy choose_policy format_targeted parse_targeted",
    "tricorn.caching.timing": "Metric format_server_timing parse_server_timing",
    "tricorn.caching.vary": "Vary",
}

__getattr__, __dir__ = lazy_names(__name__, _MODULES)
