"""All the deadlines of one worker: one heap, one armed timer.

A deadline that moves later costs nothing: its entry stays where it is, comes up early, and the target says when it
really wants to be called. So a request makes no timer. Entries of targets that are gone are swept once they are most
of the heap.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from math import inf
from typing import Protocol

from tricorn_transports.abc import Runtime, Timer
from tricorn_transports.exchange.host import log

_SWEEP_FROM = 256


class Target(Protocol):
    def handle_deadline(self, now: float) -> None: ...
    def fail(self) -> None:
        """``handle_deadline`` has raised: what else is due to this target is lost, so it has to end."""


class Alarm:
    """One target's entry. Implements ``connection.base.Alarm``."""

    __slots__ = ("_deadlines", "entries", "target", "when")

    def __init__(self, deadlines: Deadlines, target: Target) -> None:
        self._deadlines = deadlines
        self.target: Target | None = target
        self.when = inf
        self.entries = 0  # of this alarm in the heap: the one that counts, and those of times that were moved earlier

    def set(self, when: float) -> None:
        if when < self.when and self.target is not None:
            self.when = when
            self._deadlines.push(self)

    def cancel(self) -> None:
        if self.target is not None:
            self.target = None
            self._deadlines.dropped(self)


class Deadlines:
    """The worker's heap."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._heap: list[tuple[float, int, Alarm]] = []
        self._count = 0
        self._dead = 0
        self._timer: Timer | None = None
        self._timer_at = inf

    def alarm(self, target: Target) -> Alarm:
        """A new entry, not yet set."""
        return Alarm(self, target)

    def push(self, alarm: Alarm) -> None:
        self._count += 1
        alarm.entries += 1
        heappush(self._heap, (alarm.when, self._count, alarm))
        if alarm.when < self._timer_at:
            self._arm(alarm.when)

    def dropped(self, alarm: Alarm) -> None:
        """An alarm was cancelled; its entries are dead weight now."""
        self._dead += alarm.entries
        if self._dead > _SWEEP_FROM and self._dead * 2 > len(self._heap):
            self._heap = [entry for entry in self._heap if entry[2].target is not None]
            heapify(self._heap)
            self._dead = 0

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _arm(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = when
        self._timer = self._runtime.call_at(when, self._fire)

    def _fire(self) -> None:
        # A loop whose clock is coarser than its deadlines (uvloop: milliseconds) may call a little early. The time that
        # was asked for has come all the same: to go by the clock would be to ask again, and again.
        now = max(self._runtime.now(), self._timer_at)
        self._timer, self._timer_at = None, inf
        due: list[Alarm] = []
        while self._heap and self._heap[0][0] <= now:
            when, _, alarm = heappop(self._heap)
            alarm.entries -= 1
            if alarm.target is None:
                self._dead -= 1
            elif alarm.when == when:
                alarm.when = inf
                due.append(alarm)
        for alarm in due:
            target = alarm.target
            if target is None:  # one before it has ended it
                continue
            try:
                target.handle_deadline(now)
            except Exception:  # noqa: BLE001 - whatever it is, the others' deadlines must not be lost with it
                log.exception("a fault of the server's own")
                target.fail()
        if self._heap and self._heap[0][0] < self._timer_at:
            self._arm(self._heap[0][0])
