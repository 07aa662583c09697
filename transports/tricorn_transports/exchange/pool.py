"""How much the WebSockets of one connection may hold together of messages that their applications have not read.

HTTP/2 and 3 let a client open a hundred WebSockets, and each may be in the middle of the largest message: what bounds
one bounds not all. So above a common bound only one of them reads on, until its message is whole and taken; the others
keep their bytes in the windows. All of them are one client's, so that only it waits for itself.

Rules of this module: arithmetic and turns; it knows nothing of frames.
"""

from __future__ import annotations

from typing import Protocol


class Holder(Protocol):
    """A WebSocket, as the pool sees it."""

    def read_on(self) -> None:
        """It may be its turn: asks ``may_read`` again."""


class Pool:
    """One connection's.

    Args:
        limit: Bytes that may be held before turns are taken.
    """

    __slots__ = ("_first", "_held", "_limit", "_total", "_waiting")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held: dict[Holder, int] = {}
        self._total = 0
        self._first: Holder | None = None
        self._waiting: dict[Holder, None] = {}

    def may_read(self, holder: Holder) -> bool:
        """Whether ``holder`` may take more in now; if not, its ``read_on`` is called when it may."""
        if self._total >= self._limit and self._first is not holder:
            if self._first is not None:
                self._waiting[holder] = None
                return False
            self._first = holder
        self._waiting.pop(holder, None)
        return True

    def holds(self, holder: Holder, size: int) -> None:
        """``holder`` has ``size`` bytes now. Nought ends its turn."""
        before = self._held.get(holder, 0)
        if size == before and (size or self._first is not holder):
            return
        if size:
            self._held[holder] = size
        else:
            self._held.pop(holder, None)
            if self._first is holder:
                self._first = None
        self._total += size - before
        if self._waiting and (self._first is None or self._total < self._limit):
            waiting, self._waiting = self._waiting, {}
            for other in waiting:
                other.read_on()

    def leave(self, holder: Holder) -> None:
        """``holder`` is over."""
        self._waiting.pop(holder, None)
        self.holds(holder, 0)
