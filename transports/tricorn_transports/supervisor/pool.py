"""Keeps a number of workers running: starts, restarts, replaces and stops them.

Rules of this module: one worker starts alone; the others follow once it answers, so that an application which cannot
start says so once. After that a worker that dies is started again, later each time, while its siblings serve. With
nobody left serving, a worker that fails to start ends it all.

Signals: SIGTERM and SIGINT drain all workers, and the second one ends them at once; SIGHUP replaces them one after
another, so that the application is loaded anew and no connection refused.
"""

from __future__ import annotations

import logging
import math
import selectors
import signal
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tricorn_transports.config import Config
from tricorn_transports.errors import ConfigError
from tricorn_transports.server import Plan, StartupFailed
from tricorn_transports.signals import STOP_SIGNALS, EchoFilter
from tricorn_transports.sockets import BoundSocket, bind_sockets, close_sockets, share_udp
from tricorn_transports.supervisor.process import SignalWatch, WorkerProcess, describe_exit
from tricorn_transports.supervisor.worker import Report

_log = logging.getLogger("tricorn.server")

#: A worker that has served this long was sound, and its death begins a new count.
_SOUND_AFTER = 10.0

_LONGEST_BACKOFF = 30.0

#: Beyond all its deadlines, for a worker's own end.
_KILL_MARGIN = 2.0


@dataclass(slots=True)
class _Slot:
    """A worker's place: the sockets are its own, the processes that use them come and go.

    ``start_at`` and ``kill_at`` are due times, infinite for never.
    """

    number: int
    sockets: Sequence[BoundSocket]
    process: WorkerProcess | None = None
    is_ready: bool = False
    is_leaving: bool = False
    failure: Report | None = None
    failures: int = 0
    ready_since: float = 0.0
    start_at: float = math.inf
    kill_at: float = math.inf


def supervise(app: str, config: Config, on_ready: Callable[[Sequence[BoundSocket]], None] | None = None) -> None:
    """Serves with ``config.workers`` processes until SIGTERM or SIGINT has drained them.

    Args:
        app: An import string.
        on_ready: Called once, with the sockets, when all workers answer.

    Raises:
        ConfigError: A setting is wrong or the application cannot be loaded.
        StartupFailed: The application, or a worker, failed to start.
    """
    plan = Plan.of(config)
    sockets = bind_sockets(config, plan.kinds, reuse_port=True)
    extra: list[BoundSocket] = []
    try:
        slots = [_Slot(0, sockets)]
        for number in range(1, config.workers):
            shared = share_udp(sockets)
            extra += [each for each in shared if each.kind == "udp"]
            slots.append(_Slot(number, shared))
        _Pool(app, config, slots, on_ready).run()
    finally:
        close_sockets([*extra, *sockets])


class _Pool:
    def __init__(
        self,
        app: str,
        config: Config,
        slots: list[_Slot],
        on_ready: Callable[[Sequence[BoundSocket]], None] | None,
    ) -> None:
        self._app = app
        self._config = config
        self._slots = slots
        self._on_ready = on_ready
        self._is_announced = False
        self._stops_asked = 0
        self._failure: Report | None = None
        self._to_replace: deque[_Slot] = deque()
        self._echoes = EchoFilter()

    def run(self) -> None:
        self._slots[0].start_at = 0.0
        with SignalWatch(*STOP_SIGNALS, signal.SIGHUP, signal.SIGCHLD) as signals:
            try:
                while not self._stops_asked or any(slot.process for slot in self._slots):
                    self._do_what_is_due(time.monotonic())
                    self._wait(signals)
                    for number in signals.take():
                        self._signalled(number)
                    for slot in self._slots:
                        self._look_after(slot, time.monotonic())
            finally:
                for slot in self._slots:
                    if slot.process is not None:
                        slot.process.close()
        if self._failure is not None:
            error = ConfigError if self._failure.status == 2 else StartupFailed
            raise error(self._failure.message)

    def _wait(self, signals: SignalWatch) -> None:
        due = min(min(slot.start_at, slot.kill_at) for slot in self._slots)
        with selectors.DefaultSelector() as selector:
            selector.register(signals, selectors.EVENT_READ)
            for slot in self._slots:
                # After its end a control connection stays readable; the exit that follows raises SIGCHLD.
                if slot.process is not None and not slot.is_ready and slot.failure is None:
                    selector.register(slot.process, selectors.EVENT_READ)
            selector.select(None if due == math.inf else max(0.0, due - time.monotonic()))

    def _do_what_is_due(self, now: float) -> None:
        for slot in self._slots:
            if slot.start_at <= now:
                slot.start_at = math.inf
                slot.failure = None
                slot.is_leaving = False
                slot.process = WorkerProcess(self._app, self._config, slot.sockets)
            if slot.kill_at <= now and slot.process is not None:
                slot.kill_at = math.inf
                _log.warning("worker %d (pid %d) did not end in time and is killed", slot.number, slot.process.pid)
                slot.process.kill()

    def _look_after(self, slot: _Slot, now: float) -> None:
        process = slot.process
        if process is None:
            return
        status = process.poll()  # before the reports: nothing is reported after the end
        for report in process.reports():
            if report.event == "ready":
                self._became_ready(slot, now)
            else:
                slot.failure = report
        if status is not None:
            process.close()
            slot.process = None
            was_ready, slot.is_ready, slot.kill_at = slot.is_ready, False, math.inf
            self._ended(slot, process.pid, status, was_ready, now)

    def _became_ready(self, slot: _Slot, now: float) -> None:
        slot.is_ready = True
        slot.ready_since = now
        if self._stops_asked:
            return
        if not self._is_announced:
            for other in self._slots:
                if other.process is None and not other.failures:
                    other.start_at = now
            if all(other.is_ready for other in self._slots):
                self._is_announced = True
                if self._on_ready is not None:
                    self._on_ready(slot.sockets)
        else:
            _log.info("worker %d serves again", slot.number)
        self._replace_next(now)

    def _ended(self, slot: _Slot, pid: int, status: int, was_ready: bool, now: float) -> None:
        if self._stops_asked:
            return
        if slot.is_leaving:
            slot.start_at = now
            return
        what = f"worker {slot.number} (pid {pid}) {describe_exit(status)}"
        if was_ready:
            slot.failures = 1 if now - slot.ready_since > _SOUND_AFTER else slot.failures + 1
        else:
            failure = slot.failure or Report("failed", f"{what} before it was ready", 1)
            if not self._is_announced or not any(other.is_ready for other in self._slots):
                self._failure = failure
                self._stop(now)
                return
            slot.failures += 1
            what = failure.message
        # The first restart is immediate.
        delay = min(_LONGEST_BACKOFF, 0.25 * 2**slot.failures) if slot.failures > 1 else 0.0
        slot.start_at = now + delay
        self._to_replace.clear()
        _log.error("%s; starting again%s", what, f" in {delay:g} s" if delay else "")

    def _signalled(self, number: signal.Signals) -> None:
        now = time.monotonic()
        if number in STOP_SIGNALS:
            if not self._echoes.is_echo(now):
                self._stop(now)
        elif number == signal.SIGHUP and not self._stops_asked and self._is_announced:
            _log.info("replacing the workers")
            self._to_replace.extend(slot for slot in self._slots if slot not in self._to_replace)
            self._replace_next(now)

    def _replace_next(self, now: float) -> None:
        """One at a time: the next worker leaves when all serve."""
        if self._to_replace and all(slot.is_ready and not slot.is_leaving for slot in self._slots):
            slot = self._to_replace.popleft()
            slot.is_leaving = True
            self._terminate(slot, now)

    def _stop(self, now: float) -> None:
        self._stops_asked += 1
        self._to_replace.clear()
        for slot in self._slots:
            slot.start_at = math.inf
            # Without this, the parent's copy would go on queueing connections that nobody accepts.
            for bound in slot.sockets:
                bound.sock.close()
            self._terminate(slot, now)

    def _terminate(self, slot: _Slot, now: float) -> None:
        if slot.process is None:
            return
        slot.process.terminate()
        timeouts = self._config.timeouts
        patience = timeouts.close_timeout + timeouts.shutdown_timeout + _KILL_MARGIN
        if self._stops_asked < 2:
            patience += timeouts.drain_timeout
        slot.kill_at = now + (patience if self._stops_asked < 3 else 0.0)
