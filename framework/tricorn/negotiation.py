"""Which content coding a client gets (RFC 9110 section 12.5.3): one answer for codings made on the fly and for files
that were compressed before.

Rules of this module: pure; reading never raises, is linear in its input, and looks at ``MAX_CODINGS`` members at most.
What is malformed is taken as if it were not there, so that no client gets a coding that it may not understand.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final

#: Members of Accept-Encoding that are read. Browsers send four.
MAX_CODINGS: Final = 64

#: The longest field value whose answer is remembered, in characters; nobody can fill the memory with others.
_MAX_REMEMBERED: Final = 128

#: Names of old that mean the same (section 8.4.1).
_ALIASES: Final = {"x-gzip": "gzip", "x-compress": "compress"}

_MEMBER = re.compile(
    r"[ \t]*+([!#$%&'*+\-.^_`|~0-9A-Za-z]++)[ \t]*+"
    r"(?:;[ \t]*+[qQ]=(0(?:\.[0-9]*+)?|1(?:\.0*+)?)[ \t]*+)?\Z"
)


def choose_coding(accept_encoding: Iterable[str], available: Sequence[str]) -> str | None:
    """The content coding to answer with, or ``None`` for the representation as it is (``identity``).

    The coding with the highest weight is taken, and of several with the same the first in ``available``. ``*`` stands
    for all that are not named. ``identity`` is acceptable unless it is refused (``identity;q=0``, or ``*;q=0`` without
    it), but it wins only where it has a weight, by its name or by ``*``, that is higher than that of every coding.

    A client that refuses ``identity`` and everything in ``available`` gets ``None`` all the same: section 12.5.3 lets a
    server disregard the field, which helps a person more than a 406 does. ``accepts_identity`` tells.

    Args:
        accept_encoding: The values of the request's field, one for each line. None at all means that the client did
            not say what it understands; it gets ``None``, since not all that do not say understand every coding.
        available: The codings that there are, in lower case, those that the server prefers first.
    """
    return _choose(_joined(accept_encoding), tuple(available))


def accepts_identity(accept_encoding: Iterable[str]) -> bool:
    """Whether the client accepts a representation without a coding; only one that says so does not."""
    return _has_identity(coding_weights(accept_encoding))


def coding_weights(accept_encoding: Iterable[str]) -> dict[str, int]:
    """What a client named, in thousandths of a weight, by lower-case name; the first of several equal names counts.

    A weight that is malformed or above 1 takes its member out; digits behind the third are dropped.
    """
    return _parse(_joined(accept_encoding))


def _joined(values: Iterable[str]) -> str:
    return ",".join(values)


def _parse(text: str) -> dict[str, int]:
    weights: dict[str, int] = {}
    for member in text.split(",", MAX_CODINGS)[:MAX_CODINGS]:
        match = _MEMBER.match(member)
        if match is not None:
            name, weight = match[1].lower(), match[2]
            weights.setdefault(_ALIASES.get(name, name), 1000 if weight is None else _thousandths(weight))
    return weights


def _thousandths(weight: str) -> int:
    return 1000 if weight[0] == "1" else int(weight[2:5].ljust(3, "0"))


def _has_identity(weights: dict[str, int]) -> bool:
    return weights.get("identity", weights.get("*", 1)) > 0


def _choose(text: str, available: tuple[str, ...]) -> str | None:
    return (_remembered if len(text) <= _MAX_REMEMBERED else _chosen)(text, available)


def _chosen(text: str, available: tuple[str, ...]) -> str | None:
    weights = _parse(text)
    others = weights.get("*", 0)
    best, best_weight = None, 0
    for coding in available:
        weight = weights.get(coding, others)
        if weight > best_weight:
            best, best_weight = coding, weight
    return None if weights.get("identity", others) > best_weight else best


_remembered = lru_cache(maxsize=256)(_chosen)
