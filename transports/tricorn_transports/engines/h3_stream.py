"""What the HTTP/3 engine remembers of one stream beyond what HTTP/2's does: how its bytes get away.

QUIC's windows and losses are the library's, so the engine can only watch whether a response moves.
"""

from __future__ import annotations

from tricorn_transports.engines import stream


class Stream(stream.Stream):
    """One exchange, from the engine's side.

    Attributes:
        sent: Bytes of the QUIC stream that had left when it was last looked at.
        moved_at: When that number last grew, in seconds.
    """

    __slots__ = ("moved_at", "sent")

    def __init__(self, stream_id: int, authority: bytes, content_length: int | None, bodyless: bool) -> None:
        super().__init__(stream_id, authority, content_length, bodyless)
        self.sent = 0
        self.moved_at = 0.0
