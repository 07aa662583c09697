"""The codes of the warnings that ``tricorn explain`` gives, and where it is written that they are deserved.

Rules of this module: a code is a promise. It keeps its meaning, and stands in ``docs/reference/explain.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

from tricorn.explain.facts import Explanation, Finding, Observed

#: Each code with the clause behind it. For ``contradiction`` it is that of the directive that wins.
CODES: Final = {
    # what may be stored and reused
    "heuristic-freshness": "RFC 9111, 4.2.2",
    "cacheable-error": "RFC 9110, 15.1",
    "error-lifetime": "RFC 9111, 4.2.1",
    "set-cookie-shared": "RFC 9111, 7.3",
    "authorization-shared": "RFC 9111, 3.5",
    "authorization-unshared": "RFC 9111, 3.5",
    "unsafe-method": "RFC 9111, 3",
    "vary-star": "RFC 9111, 4.1",
    "vary-user-agent": "RFC 9111, 4.1",
    "vary-cookie": "RFC 9111, 4.1",
    "encoding-without-vary": "RFC 9110, 12.5.5",
    # Cache-Control and its kind
    "contradiction": "RFC 9111, 5.2.2",
    "duplicate-directive": "RFC 9111, 4.2.1",
    "malformed-directive": "RFC 9111, 4.2.1",
    "unknown-directive": "RFC 9111, 5.2.3",
    "request-directive": "RFC 9111, 5.2.1",
    "immutable-short": "RFC 8246, 2",
    "must-understand-alone": "RFC 9111, 5.2.2.3",
    "no-transform-uncompressed": "RFC 9111, 5.2.2.6",
    "targeted-malformed": "RFC 9213, 2.1",
    "pragma-only": "RFC 9111, 5.4",
    "expires-invalid": "RFC 9111, 5.3",
    # the message itself
    "no-validator": "RFC 9110, 8.8",
    "etag-malformed": "RFC 9110, 8.8.3",
    "etag-unstable": "RFC 9110, 8.8.3",
    "etag-reused": "RFC 9110, 8.8.1",
    "last-modified-invalid": "RFC 9110, 8.8.2",
    "last-modified-future": "RFC 9110, 8.8.2.1",
    "date-odd": "RFC 9110, 6.6.1",
    "age-from-origin": "RFC 9111, 5.1",
    # what further requests got
    "revalidation-ignored": "RFC 9110, 13.2.2",
    "revalidation-failed": "RFC 9110, 13.2.2",
    "not-modified-incomplete": "RFC 9110, 15.4.5",
    "ranges-ignored": "RFC 9110, 14.3",
    "weak-etag-ranges": "RFC 9110, 13.1.5",
}

#: Looks for faults of one kind: in what was seen, and in what was made of it.
Check: TypeAlias = Callable[[Observed, Explanation], Iterator[Finding]]


def finding(code: str, text: str, clause: str | None = None) -> Finding:
    """A warning with its clause.

    Raises:
        KeyError: The code is not in ``CODES``.
    """
    return Finding(code, text, clause or CODES[code])
