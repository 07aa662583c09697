"""The states of sending a response, as one table.

    START --early_hint, push--> START --start--> BODY
    BODY --body more, early_hint, push--> BODY --body last--> DONE or TRAILERS
    TRAILERS --trailers more--> TRAILERS --trailers last--> DONE

Every message type that may come in a state stands in its row; anything else is the application's error. Where an edge
leads depends on the message (``more_body``, ``more_trailers``) and on whether trailers were announced; the exchange
decides that, the table decides what is allowed. ABORTED accepts nothing: there ``send()`` raises
``ClientDisconnected`` (ASGI 2.4).
"""

from __future__ import annotations

from enum import Enum, auto


class SendState(Enum):
    __hash__ = object.__hash__  # Enum's own is written in Python, and the table below is asked for every message

    START = auto()
    """No final response yet."""
    BODY = auto()
    """The head was taken; body messages come."""
    TRAILERS = auto()
    """The body is over and trailers were announced."""
    DONE = auto()
    """The response is complete."""
    ABORTED = auto()
    """The client is gone, or the response was cut off."""


ALLOWED: dict[SendState, frozenset[str]] = {
    SendState.START: frozenset(("http.response.start", "http.response.early_hint", "http.response.push")),
    SendState.BODY: frozenset(
        (
            "http.response.body",
            "http.response.zerocopysend",
            "http.response.pathsend",
            "http.response.early_hint",
            "http.response.push",
        )
    ),
    SendState.TRAILERS: frozenset(("http.response.trailers",)),
    SendState.DONE: frozenset(),
    SendState.ABORTED: frozenset(),
}


def describe(state: SendState) -> str:
    """What is wanted in ``state``, for an error message."""
    wanted = ALLOWED[state]
    return " or ".join(sorted(wanted)) if wanted else "nothing more"
