"""Budgets for what a peer may make us do that brings no request forward.

Rules of this module: arithmetic only; time is an argument. A budget is a token bucket: it starts full, each act costs
one, and it fills again at a steady rate, so that bursts of ordinary clients (a page closed with a hundred requests
under way) pass and floods do not (CVE-2023-44487, CVE-2019-9512 and their kin).
"""

from __future__ import annotations


class Budget:
    """One kind of act.

    Args:
        burst: How many acts are free at once.
        rate: How many more each second brings.
        now: The time of creation, in seconds.
    """

    __slots__ = ("_burst", "_left", "_rate", "_then")

    def __init__(self, burst: int, rate: float, now: float) -> None:
        self._burst = float(burst)
        self._left = self._burst
        self._rate = rate
        self._then = now

    def spend(self, now: float) -> bool:
        """Takes one act out; ``False`` when the budget is used up."""
        self._left = min(self._burst, self._left + (now - self._then) * self._rate) - 1.0
        self._then = now
        return self._left >= 0.0

    def earn(self, acts: int) -> None:
        """Gives ``acts`` back, at most to where it started: the peer has brought something forward."""
        left = self._left + acts
        self._left = left if left < self._burst else self._burst  # twice as fast as min(), twice a request
