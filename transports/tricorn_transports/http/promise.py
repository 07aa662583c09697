"""The request of a server push: which fields it has (RFC 9113 section 8.4).

Both halves need it: the server for every ASGI application, the framework for servers that are not ours.

Rules of this module: pure. The client would have sent its negotiation fields with the request that is spared it, so
they are taken from the parent. Credentials are not: a cookie has a path that the parent's need not share, and what
depends on who asks is not to be pushed unasked. Conditions and ranges are not either: they name another resource's
state. What the application gives itself always wins, so that it may give all of these.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

#: Fields of the parent that the promised request repeats, unless the application gives its own.
REPEATED: Final = frozenset(
    (b"accept", b"accept-charset", b"accept-encoding", b"accept-language", b"save-data", b"user-agent")
)

# What belongs to a connection or to a body, neither of which a promised request has; and the authority, which is the
# parent's: a server may only push what it is authoritative for.
_IMPOSSIBLE: Final = frozenset(
    (
        b"connection",
        b"content-length",
        b"expect",
        b"host",
        b"http2-settings",
        b"keep-alive",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    )
)


def promised_fields(
    parent: Iterable[tuple[bytes, bytes]], given: Iterable[tuple[bytes, bytes]]
) -> list[tuple[bytes, bytes]]:
    """The field lines of a promised request.

    Args:
        parent: Those of the request that the promise is made on, names in lower case.
        given: Those of the application, names in lower case. Lines that no promised request can have are left out.
    """
    fields = [(name, value) for name, value in given if name not in _IMPOSSIBLE]
    names = {name for name, _ in fields}
    return [(name, value) for name, value in parent if name in REPEATED and name not in names] + fields
