"""A request's priority (RFC 9218), as the handler sees and changes it.

Rules of this module: a server with ``tricorn.priority`` orders the responses of one connection by it. On any other (and
over HTTP/1.1, where there is one at a time) what the client wished for is read from its field, and a change is only
remembered.
"""

from __future__ import annotations

from typing import Final

from tricorn.types import Scope
from tricorn_transports.http.priority import DEFAULT, LEAST_URGENT, Priority, parse_priority

__all__ = ["Priority", "get_priority", "set_priority"]

EXTENSION: Final = "tricorn.priority"
_CHOSEN: Final = "tricorn.priority"


def get_priority(scope: Scope) -> Priority:
    """What holds now."""
    offer = (scope.get("extensions") or {}).get(EXTENSION)
    if offer:
        return Priority(*offer["get"]())
    chosen = scope.get(_CHOSEN)
    if isinstance(chosen, Priority):
        return chosen
    lines = [value for name, value in scope["headers"] if name == b"priority"]
    return parse_priority(b",".join(lines)) or DEFAULT


def set_priority(scope: Scope, priority: Priority) -> None:
    """Has the response sent with this priority from now on, whatever the client says.

    Raises:
        ValueError: The urgency is not 0 to 7.
    """
    urgency, incremental = priority
    if urgency not in range(LEAST_URGENT + 1):
        raise ValueError(f"the urgency {urgency!r} is not 0 to {LEAST_URGENT}")
    offer = (scope.get("extensions") or {}).get(EXTENSION)
    if offer:
        offer["set"](urgency, incremental)
    else:
        scope[_CHOSEN] = Priority(urgency, incremental)
