"""How a response of ours lets the conditional middleware choose what of its body is sent.

Rules of this module: the response puts an ``Offer`` into its start message, under a key that no server knows, and asks
it afterwards what to send. In between, every middleware on the way has had its turn, so that the decision is made on
the fields that the client will see. A middleware that holds the start back, or that changed what the body is (its
length, its coding), makes the offer void; then the whole is sent, as if there had been none.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeAlias

from tricorn.caching.ranges import Slice
from tricorn.response.base import CONDITIONAL as CONDITIONAL
from tricorn.response.base import transmit
from tricorn.types import Message, Scope, Send

#: In a start message.
OFFER: Final = "tricorn.offer"

#: What is to be sent in place of the whole body: slices of it, and bytes around them.
Parts: TypeAlias = Sequence[bytes | Slice]


class Offer:
    """A body that can be left out, and sent in parts if its length is known.

    Args:
        length: In bytes; ``None`` for a body that cannot seek.
        coding: The response's ``Content-Encoding``.
        sha256: Of the body, in hexadecimal, if it is known.

    Attributes:
        open: It can be taken: the start message is on its way. Later it is too late to choose.
        seen: The conditional middleware got it in time, so that nothing in between holds messages or makes them anew.
        parts: What to send: ``None`` for the whole; nothing at all (not even an empty body message) for no parts.
    """

    __slots__ = ("coding", "length", "open", "parts", "seen", "sha256")

    def __init__(self, length: int | None, coding: bytes | None, sha256: str | None = None) -> None:
        self.length = length
        self.coding = coding
        self.sha256 = sha256
        self.open = True
        self.seen = False
        self.parts: Parts | None = None

    def is_as_made(self, status: int, field: Callable[[bytes], bytes | None]) -> bool:
        """Whether a response is still of the body that was offered, of which the length is known.

        Args:
            field: Gives the response's fields by their names.
        """
        return (
            self.length is not None
            and status == 200
            and field(b"content-length") == b"%d" % self.length
            and field(b"content-encoding") == self.coding
        )


async def start(scope: Scope, send: Send, message: Message, length: int | None, sha256: str | None = None) -> Offer:
    """Sends a start message with an offer, where somebody may take it.

    Raises:
        ClientDisconnect: The client has gone.
    """
    coding = None if length is None else dict(message["headers"]).get(b"content-encoding")
    offer = Offer(length, coding, sha256)
    if CONDITIONAL in scope and scope.get("method") in ("GET", "HEAD") and 200 <= message["status"] < 300:
        message[OFFER] = offer
    await transmit(send, message)
    offer.open = False
    return offer


async def send_parts(parts: Parts, send: Send, send_slice: Callable[[Slice, bool], Awaitable[None]]) -> None:
    """Sends parts as a body.

    Args:
        send_slice: Sends a slice; its second argument says whether more of the body follows.
    """
    last = len(parts) - 1
    for index, part in enumerate(parts):
        more = index < last
        if isinstance(part, Slice):
            await send_slice(part, more)
        else:
            await transmit(send, {"type": "http.response.body", "body": part, "more_body": more})
