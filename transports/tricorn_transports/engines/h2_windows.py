"""How many bytes of requests an HTTP/2 peer may send: windows that follow what applications read, and the round trip.

A window of 64 KiB is 64 KiB for each round trip, however fast the network is. But what is announced may come, and must
be held for an application that does not read. So a stream begins with ``stream_receive_buffer``, and one whose
application keeps up gets more.

Rules of this module:
- Credit goes back only for what was read (or thrown away), and in steps: of a quarter of what is not held by those who
  do not read. A part of the whole window would never be reached where others hold the rest of the connection's.
- A stream's window doubles when the peer has sent a whole one within two round trips, which it can do only if the
  application reads as fast; up to half of ``connection_receive_buffer``, so that no stream takes the others' place.
- Whatever the streams have, together they never hold more than ``connection_receive_buffer``.
- The round trip is how long our first SETTINGS took to be acknowledged. A peer that makes it look long gets a larger
  window, within the same bounds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from tricorn_transports.config import Limits
from tricorn_transports.engines import h2_wire as wire
from tricorn_transports.engines.stream import Stream

#: WINDOW_UPDATEs in a window: with fewer the peer stands still for longer, with more there are more frames.
_STEPS = 4

#: Sends a WINDOW_UPDATE: bytes, and the stream or ``None`` for the connection.
Announce: TypeAlias = Callable[[int, int | None], None]


class Window:
    """One stream's, made when the first bytes come.

    Attributes:
        size: Bytes that the peer may have sent and the application not read.
        owed: Bytes that were read and not announced again.
        arrived: Bytes since ``since``, in seconds.
    """

    __slots__ = ("arrived", "owed", "since", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self.owed = 0
        self.arrived = 0
        self.since = 0.0


class ReceiveWindows:
    """One connection's windows.

    Attributes:
        initial: What each stream begins with, in bytes.
        ceiling: What a stream can get.
        connection: What all streams have together.
        streams: The windows of streams on which something came.
    """

    __slots__ = (
        "_announce", "_asked_at", "_owed", "_round_trip", "_unread",
        "ceiling", "connection", "initial", "streams",
    )  # fmt: skip

    def __init__(self, limits: Limits, announce: Announce) -> None:
        self._announce = announce
        self.streams: dict[int, Window] = {}
        self._owed = 0
        self._unread = 0
        self._asked_at: float | None = None
        self._round_trip = 0.0
        self.initial = limits.stream_receive_buffer
        self.connection = max(limits.connection_receive_buffer, wire.INITIAL_WINDOW)
        self.ceiling = max(self.initial, limits.connection_receive_buffer // 2)

    def asked(self, now: float) -> None:
        """Our SETTINGS leave."""
        self._asked_at = now

    def answered(self, now: float) -> None:
        """The peer has acknowledged them."""
        if self._asked_at is not None:
            self._round_trip = now - self._asked_at
            self._asked_at = None

    def arrived(self, stream: Stream, credit: int, now: float) -> None:
        """Bytes have come that the application has not read yet."""
        stream.unread += credit
        self._unread += credit
        self._open_connection()  # what others leave unread may have made a small step the only one
        window = self.streams.get(stream.stream_id) or self._begin(stream)
        if not window.arrived:
            window.since = now
        window.arrived += credit
        if window.arrived >= window.size:
            if now - window.since < 2 * self._round_trip and window.size < self.ceiling:
                grown = min(2 * window.size, self.ceiling)
                window.owed += grown - window.size
                window.size = grown
            window.arrived = 0

    def _begin(self, stream: Stream) -> Window:
        window = self.streams[stream.stream_id] = Window(self.initial)
        return window

    def read(self, stream: Stream, credit: int) -> None:
        """The application has taken bytes that had come."""
        stream.unread -= credit
        self._unread -= credit
        self.dropped(stream, credit)

    def closed(self, stream: Stream) -> None:
        """Nobody will read what is left of a stream, and nothing more will come."""
        self.streams.pop(stream.stream_id, None)
        credit, stream.unread = stream.unread, 0
        self._unread -= credit
        self.dropped(None, credit)

    def dropped(self, stream: Stream | None, credit: int) -> None:
        """Bytes are not held (any more). Of a stream that is over only the connection's window opens."""
        self._owed += credit
        self._open_connection()
        if stream is not None and not stream.ended:
            window = self.streams.get(stream.stream_id) or self._begin(stream)
            window.owed += credit
            if window.owed and _STEPS * window.owed >= window.size - stream.unread:
                owed, window.owed = window.owed, 0
                self._announce(owed, stream.stream_id)

    def _open_connection(self) -> None:
        if self._owed and _STEPS * self._owed >= self.connection - self._unread:
            owed, self._owed = self._owed, 0
            self._announce(owed, None)
