"""Which response goes next on a connection that carries several: the scheme of RFC 9218.

Rules of this module: it knows stream numbers and nothing of any protocol, so that HTTP/2 and HTTP/3 share it. A
stream is in the order only while it is *ready*: it has something to send and its window lets it. So a response that
cannot move never holds another.

The order (RFC 9218 section 10): the lowest urgency first. Within one urgency, responses that are only useful whole go
one after the other as they came; incremental ones take turns, a frame each; where there are both kinds, the first of
the former takes part in the turns, so that neither kind starves the other. A level is replaceable, because HTTP/2 has
an older scheme besides (``h2_tree``).
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterator
from typing import Protocol

from tricorn_transports.http.priority import DEFAULT_URGENCY, LEAST_URGENT

_LEVELS = LEAST_URGENT + 1


class Level(Protocol):
    """The ready streams of one urgency, and the order among them."""

    def put(self, stream_id: int, order: int, incremental: bool) -> None:
        """Takes in a stream that has become ready; ``order`` is its place by arrival."""

    def remove(self, stream_id: int, order: int, incremental: bool) -> None:
        """Takes a stream out again."""

    def next(self) -> int | None:
        """Whose frame goes next."""


class UrgencyLevel:
    """The order of RFC 9218 section 10."""

    __slots__ = ("_ring", "_sequence", "_sequence_is_due")

    def __init__(self) -> None:
        self._sequence: list[tuple[int, int]] = []  # (order of arrival, stream), sorted
        self._ring: dict[int, None] = {}  # the first key is the next in turn
        self._sequence_is_due = True

    def put(self, stream_id: int, order: int, incremental: bool) -> None:
        if incremental:
            self._ring[stream_id] = None
        else:
            insort(self._sequence, (order, stream_id))

    def remove(self, stream_id: int, order: int, incremental: bool) -> None:
        if incremental:
            del self._ring[stream_id]
        else:
            self._sequence.remove((order, stream_id))

    def next(self) -> int | None:
        if not self._ring:
            return self._sequence[0][1] if self._sequence else None
        if self._sequence:
            self._sequence_is_due = not self._sequence_is_due
            if not self._sequence_is_due:
                return self._sequence[0][1]
        stream_id = next(iter(self._ring))
        del self._ring[stream_id]
        self._ring[stream_id] = None
        return stream_id


class _Entry:
    __slots__ = ("incremental", "level", "order", "ready")

    def __init__(self, order: int, level: Level, incremental: bool) -> None:
        self.order = order
        self.level = level
        self.incremental = incremental
        self.ready = False


class Scheduler:
    """The order of sending. Calls for a stream that was not added, or was discarded, do nothing."""

    def __init__(self) -> None:
        self._levels: list[Level] = [UrgencyLevel() for _ in range(_LEVELS)]
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

    def replace_level(self, urgency: int, level: Level) -> None:
        """Has the streams of one urgency ordered by another rule from now on."""
        old = self._levels[urgency]
        self._levels[urgency] = level
        for stream_id, entry in self._entries.items():
            if entry.level is old:
                entry.level = level
                if entry.ready:
                    level.put(stream_id, entry.order, entry.incremental)

    def ready(self, stream_id: int) -> None:
        """The stream can send."""
        entry = self._entries.get(stream_id)
        if entry is None or entry.ready:
            return
        entry.ready = True
        self._ready += 1
        entry.level.put(stream_id, entry.order, entry.incremental)

    def idle(self, stream_id: int) -> None:
        """The stream has nothing to send, or may not."""
        entry = self._entries.get(stream_id)
        if entry is None or not entry.ready:
            return
        entry.ready = False
        self._ready -= 1
        entry.level.remove(stream_id, entry.order, entry.incremental)

    def next(self) -> int | None:
        """The stream whose frame goes next, or ``None`` when none is ready. An incremental one has had its turn."""
        if not self._ready:
            return None
        for level in self._levels:
            stream_id = level.next()
            if stream_id is not None:
                return stream_id
        return None  # pragma: no cover - _ready counts what the levels hold
