"""Which response goes next on a connection that carries several: the scheme of RFC 9218.

Rules of this module: it knows stream numbers and nothing of any protocol, so that HTTP/2 and HTTP/3 share it. A
stream is in the order only while it is *ready*: it has something to send and its window lets it. So a response that
cannot move never holds another.

The order (RFC 9218 section 10): the lowest urgency first. Within one urgency, responses that are only useful whole go
one after the other as they came; incremental ones take turns, a frame each; where there are both kinds, the first of
the former takes part in the turns, so that neither kind starves the other.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterator

DEFAULT_URGENCY = 3
_LEVELS = 8


def parse_priority(value: bytes) -> tuple[int, bool] | None:
    """Reads a Priority field value (RFC 9218 section 4): urgency 0 to 7 and incremental.

    What cannot be understood is passed over, as RFC 9218 section 4 asks; ``None`` when nothing is left.
    """
    urgency: int | None = None
    incremental: bool | None = None
    for member in value.split(b","):
        key, equals, argument = member.partition(b";")[0].strip(b" \t").partition(b"=")
        if key == b"u" and len(argument) == 1 and b"0" <= argument <= b"7":
            urgency = int(argument)
        elif key == b"i" and (not equals or argument in (b"?0", b"?1")):
            incremental = argument != b"?0"
    if urgency is None and incremental is None:
        return None
    return DEFAULT_URGENCY if urgency is None else urgency, bool(incremental)


class _Level:
    """The ready streams of one urgency."""

    __slots__ = ("ring", "sequence", "sequence_is_due")

    def __init__(self) -> None:
        self.sequence: list[tuple[int, int]] = []  # (order of arrival, stream), sorted
        self.ring: dict[int, None] = {}  # the first key is the next in turn
        self.sequence_is_due = True

    def next(self) -> int | None:
        if not self.ring:
            return self.sequence[0][1] if self.sequence else None
        if self.sequence:
            self.sequence_is_due = not self.sequence_is_due
            if not self.sequence_is_due:
                return self.sequence[0][1]
        stream_id = next(iter(self.ring))
        del self.ring[stream_id]
        self.ring[stream_id] = None
        return stream_id


class _Entry:
    __slots__ = ("incremental", "level", "order", "ready")

    def __init__(self, order: int, level: _Level, incremental: bool) -> None:
        self.order = order
        self.level = level
        self.incremental = incremental
        self.ready = False


class Scheduler:
    """The order of sending. Calls for a stream that was not added, or was discarded, do nothing."""

    def __init__(self) -> None:
        self._levels = [_Level() for _ in range(_LEVELS)]
        self._entries: dict[int, _Entry] = {}
        self._arrivals = 0
        self._ready = 0

    def __len__(self) -> int:
        """How many streams are ready."""
        return self._ready

    def __iter__(self) -> Iterator[int]:
        """All streams that were added, ready or not, as they came."""
        return iter(self._entries)

    def add(self, stream_id: int, urgency: int = DEFAULT_URGENCY, incremental: bool = False) -> None:
        """Takes a stream in, not ready yet; its place among equals is the order of these calls."""
        self._arrivals += 1
        self._entries[stream_id] = _Entry(self._arrivals, self._levels[urgency], incremental)

    def discard(self, stream_id: int) -> None:
        """Forgets a stream."""
        self.idle(stream_id)
        self._entries.pop(stream_id, None)

    def prioritize(self, stream_id: int, urgency: int, incremental: bool) -> None:
        """Changes a stream's priority; it keeps its order of arrival."""
        entry = self._entries.get(stream_id)
        if entry is None:
            return
        was_ready = entry.ready
        self.idle(stream_id)
        entry.level = self._levels[urgency]
        entry.incremental = incremental
        if was_ready:
            self.ready(stream_id)

    def ready(self, stream_id: int) -> None:
        """The stream can send."""
        entry = self._entries.get(stream_id)
        if entry is None or entry.ready:
            return
        entry.ready = True
        self._ready += 1
        if entry.incremental:
            entry.level.ring[stream_id] = None
        else:
            insort(entry.level.sequence, (entry.order, stream_id))

    def idle(self, stream_id: int) -> None:
        """The stream has nothing to send, or may not."""
        entry = self._entries.get(stream_id)
        if entry is None or not entry.ready:
            return
        entry.ready = False
        self._ready -= 1
        if entry.incremental:
            del entry.level.ring[stream_id]
        else:
            entry.level.sequence.remove((entry.order, stream_id))

    def next(self) -> int | None:
        """The stream whose frame goes next, or ``None`` when none is ready. An incremental one has had its turn."""
        if not self._ready:
            return None
        for level in self._levels:
            stream_id = level.next()
            if stream_id is not None:
                return stream_id
        return None  # pragma: no cover - _ready counts what the levels hold
