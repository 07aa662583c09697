"""Where the time of a request goes, said from wherever it goes: ``with measure("db"): ...``.

Rules of this module: no request is handed around. The measures belong to the request in whose context they are taken,
in its tasks and worker threads too; where nobody asked for them (``ServerTimingMiddleware``), they cost next to
nothing. Their number is bounded, whatever a loop does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Lock
from time import perf_counter
from types import TracebackType
from typing import Final

from tricorn.caching.timing import Metric
from tricorn_transports.http.fields import is_token

#: Different measures of one request; those beyond are not kept.
MAX_MEASURES: Final = 64


class Timings:
    """The measures of one request.

    Args:
        clock: Seconds.
    """

    __slots__ = ("_clock", "_durations", "_lock", "_started")

    def __init__(self, clock: Callable[[], float] = perf_counter) -> None:
        self._clock = clock
        self._durations: dict[tuple[str, str | None], float | None] = {}
        self._lock = Lock()  # handlers run in threads, and may start others
        self._started = clock()

    def add(self, name: str, seconds: float | None = None, description: str | None = None) -> None:
        """Adds a measure; several with the same name and description are one, and their times add up."""
        key = (name, description)
        with self._lock:
            before = self._durations.get(key)
            if key in self._durations or len(self._durations) < MAX_MEASURES:
                self._durations[key] = before if seconds is None else seconds + (before or 0.0)

    def now(self) -> float:
        """The clock."""
        return self._clock()

    def elapsed(self) -> float:
        """Seconds since the request came."""
        return self._clock() - self._started

    def take(self) -> list[Metric]:
        """What has been measured since the last call, in the order in which it was measured first."""
        with self._lock:
            durations, self._durations = self._durations, {}
        return [
            Metric(name, duration=None if seconds is None else max(seconds, 0.0) * 1000, description=description)
            for (name, description), seconds in durations.items()
        ]


_timings: ContextVar[Timings | None] = ContextVar("tricorn.timings", default=None)


@contextmanager
def collecting(timings: Timings) -> Iterator[None]:
    """What is measured within goes into ``timings``, in the tasks and threads that are started there too."""
    token = _timings.set(timings)
    try:
        yield
    finally:
        _timings.reset(token)


def record(name: str, seconds: float | None = None, *, description: str | None = None) -> None:
    """Says that something took so long, or, without a time, that it was so: ``record("hit", description="memory")``.

    Raises:
        ValueError: The name is no token, or no field value can carry the description.
    """
    Metric(name, duration=seconds, description=description)  # so that it fails when nobody listens, too
    timings = _timings.get()
    if timings is not None:
        timings.add(name, seconds, description)


class measure:
    """Measures the time of its block: ``with measure("db"): rows = await query()``.

    Args:
        name: A token; the browser's tools show it if there is no description.
        description: For people.

    Raises:
        ValueError: The name is no token, or no field value can carry the description.
    """

    __slots__ = ("_description", "_name", "_start", "_timings")

    def __init__(self, name: str, *, description: str | None = None) -> None:
        if description is not None or not is_token(name):
            Metric(name, description=description)
        self._name = name
        self._description = description

    def __enter__(self) -> None:
        self._timings = _timings.get()
        if self._timings is not None:
            self._start = self._timings.now()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._timings is not None:
            self._timings.add(self._name, self._timings.now() - self._start, self._description)
