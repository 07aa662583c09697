"""Server push, from an application's wish to a request that runs (RFC 9113 section 8.4).

Rules of this module: whatever a connection has promised once it never promises again, so that its memory is bounded
and never forgets; when it is full there are no more pushes. A push is a guess: it comes after the response that it is
for, unless the application says otherwise, and every doubt ends in ``refused``, which costs a client nothing.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

from tricorn_transports.events import RawHeaders, RequestStarted
from tricorn_transports.exchange.host import Host
from tricorn_transports.http.priority import DEFAULT, LEAST_URGENT, Priority, parse_priority
from tricorn_transports.http.promise import promised_fields

#: What became of a push: under way; promised before on this connection; not to be had (any more).
Outcome: TypeAlias = Literal["promised", "known", "refused"]

#: Different targets that one connection can be pushed. A hash is kept of each, some 100 KiB in all.
MAX_REMEMBERED: Final = 1024


def promise(host: Host, parent: RequestStarted, target: bytes, given: RawHeaders) -> Outcome:
    """Promises the response to a GET of ``target`` and starts the request.

    Args:
        target: Path and query, in origin-form.
        given: The application's fields for the promised request; a ``priority`` among them is its priority (RFC 9218
            section 5), which else is one step less urgent than the parent's.
    """
    known, key = host.pushed, hash(target)
    if key in known:
        return "known"
    if len(known) >= MAX_REMEMBERED:
        return "refused"
    request = host.engine.push(parent.stream_id, target, promised_fields(parent.headers, given))
    if request is None:
        return "refused"
    known.add(key)
    priority = parse_priority(b",".join(value for name, value in given if name == b"priority"))
    if priority is None:
        urgency, _ = parent.priority or DEFAULT
        priority = Priority(min(urgency + 1, LEAST_URGENT), False)
    request.priority = priority
    host.engine.set_priority(request.stream_id, *priority)
    host.start_pushed(request)
    return "promised"
