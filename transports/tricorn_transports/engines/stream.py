"""What an engine that multiplexes remembers of a stream: a few flags, and the bytes that wait for the peer's window.

Rules of this module: no protocol and no library. A record lives from the request's head until the exchange has let
go of it and its last byte is out; nothing else of a stream stays in the engine.
"""

from __future__ import annotations

from collections import deque

from tricorn_transports.events import RawHeaders


class Stream:
    """One exchange, from the engine's side.

    Attributes:
        content_length: What the request declared, if it did.
        received: Bytes of the body so far.
        unread: Flow-control credit that the application still holds.
        queued: Bytes of the response that wait.
        ended: The request is complete.
        answered: The final response's head was sent.
        bodyless: HEAD, 204 or 304: bytes of a body are dropped.
        ending: The application has ended the response; nothing more may be queued.
        end_sent: END_STREAM is out.
        released: The exchange is over.
        waiting: ``sendable()`` said no, and a ``StreamWritable`` is owed.
        is_prioritized: The application has said how urgent it is; what the client says later counts no more.
    """

    __slots__ = (
        "_chunks", "_offset", "answered", "authority", "bodyless", "content_length", "end_sent", "ended", "ending",
        "is_prioritized", "queued", "received", "released", "stream_id", "trailers_received", "trailers_to_send",
        "unread", "waiting",
    )  # fmt: skip

    def __init__(self, stream_id: int, authority: bytes, content_length: int | None, bodyless: bool) -> None:
        self.stream_id = stream_id
        self.authority = authority
        self.content_length = content_length
        self.bodyless = bodyless
        self.received = 0
        self.unread = 0
        self.queued = 0
        self.ended = False
        self.answered = False
        self.ending = False
        self.end_sent = False
        self.released = False
        self.waiting = False
        self.is_prioritized = False
        self.trailers_received: RawHeaders | None = None
        self.trailers_to_send: RawHeaders | None = None
        self._chunks: deque[bytes] = deque()
        self._offset = 0

    def put(self, data: bytes) -> None:
        """Queues bytes of the response."""
        self._chunks.append(data)
        self.queued += len(data)

    def take(self, size: int) -> bytes:
        """Takes the next bytes out of the queue, at most ``size`` (1 or more)."""
        chunks, offset = self._chunks, self._offset
        parts: list[bytes] = []
        while size and chunks:
            first = chunks[0]
            left = len(first) - offset
            if left > size:
                parts.append(first[offset : offset + size])
                offset += size
                break
            parts.append(first[offset:] if offset else first)
            chunks.popleft()
            size -= left
            offset = 0
        self._offset = offset
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        self.queued -= len(data)
        return data
