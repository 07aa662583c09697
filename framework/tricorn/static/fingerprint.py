"""Names with a content's hash in them: ``app.css`` as ``app.0123456789abcdef.css``.

Rules of this module: pure. A name and a hash give one fingerprinted name, and that gives both back.
"""

from __future__ import annotations

import re
from typing import Final

#: Characters of a SHA-256 in a name: 64 bits tell the versions of one file from each other.
HASH_LENGTH: Final = 16

_FINGERPRINTED = re.compile(rf"(?P<stem>.+)\.(?P<hash>[0-9a-f]{{{HASH_LENGTH}}})(?P<suffix>\.[^.]+)?\Z", re.DOTALL)


def with_hash(name: str, digest: str) -> str:
    """``name`` with the beginning of a hexadecimal digest before its last suffix."""
    stem, dot, suffix = name.rpartition(".")
    if not stem:  # no suffix, or nothing but one
        stem, dot, suffix = name, "", ""
    return f"{stem}.{digest[:HASH_LENGTH]}{dot}{suffix}"


def without_hash(name: str) -> tuple[str, str] | None:
    """The name and the hash of a fingerprinted name; ``None`` for any other."""
    match = _FINGERPRINTED.match(name)
    return None if match is None else (match["stem"] + (match["suffix"] or ""), match["hash"])
