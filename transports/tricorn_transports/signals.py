"""The signals that stop a server, for the one process or the parent of several.

Rules of this module: it waits for nothing and installs no handler but the one that ignores. Who hears signals, and how,
is the runtime's (one process) or the supervisor's.
"""

from __future__ import annotations

import signal
from math import inf

# A signal within so many seconds of the last one is its echo: systemd signals a worker and its parent, which tells the
# worker once more; wrappers (timeout, uv run) pass on what their whole process group has got already.
_ECHO_TIME = 0.5

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class EchoFilter:
    """Tells signals from their echoes; ``now`` is of any monotonic clock."""

    def __init__(self) -> None:
        self._last = -inf

    def is_echo(self, now: float) -> bool:
        before, self._last = self._last, now
        return now < before + _ECHO_TIME


def ignore_stop_signals() -> None:
    """For a process that is ending: a signal that comes late must not change its exit status."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
