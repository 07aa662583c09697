"""How fast a request's body must come while its application waits for it.

Rules of this module: arithmetic only; time is an argument. Only the time counts that the application spends waiting, so
a slow application never makes its client late.
"""

from __future__ import annotations

from math import inf


class BodyPace:
    """One body's clock.

    Args:
        rate: Bytes for each second of waiting; 0 is no minimum.
        grace: Seconds of waiting before the rate counts.

    Attributes:
        due: When the wait that runs will have been too long.
    """

    __slots__ = ("_grace", "_rate", "_since", "_waited", "due")

    def __init__(self, rate: int, grace: float) -> None:
        self._rate = rate
        self._grace = grace
        self.due = inf
        self._since: float | None = None
        self._waited = 0.0

    def wait(self, now: float, received: int) -> float:
        """The application begins to wait at ``now``, after ``received`` bytes; gives ``due``."""
        if self._rate:
            self._since = now
            self.due = now + self._grace + received / self._rate - self._waited
        return self.due

    def resume(self, now: float) -> None:
        """The application waits no more."""
        if self._since is not None:
            self._waited += now - self._since
            self._since = None
