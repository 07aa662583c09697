"""The parent's handle of one worker process, and its ears for signals.

Rules of this module: nothing blocks but what says so; everything that can happen makes a file descriptor readable, so
that one ``select`` waits for all of it.
"""

from __future__ import annotations

import signal
import socket
import subprocess
from collections.abc import Iterable
from types import FrameType, TracebackType
from typing import Any

from tricorn_transports.config import Config
from tricorn_transports.sockets import BoundSocket
from tricorn_transports.supervisor.worker import Report, WorkerSpec, command, send_spec


class WorkerProcess:
    """A started worker.

    Args:
        own_group: The worker gets a process group of its own, so that a terminal's Ctrl-C reaches only the parent,
            and has no standard input.
    """

    def __init__(
        self, app: str, config: Config, sockets: Iterable[BoundSocket], *, dev: bool = False, own_group: bool = True
    ) -> None:
        described = tuple((each.bind, each.kind, each.sock.fileno()) for each in sockets)
        self._control, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                command(theirs.fileno()),
                pass_fds=[theirs.fileno(), *(fd for _, _, fd in described)],
                stdin=subprocess.DEVNULL if own_group else None,
                process_group=0 if own_group else None,
            )
        try:
            send_spec(self._control, WorkerSpec(app, config, described, dev))
        except BrokenPipeError:
            # It died at once; poll() will tell.
            self._control.setblocking(False)
        self._control.setblocking(False)
        self._line = b""

    @property
    def pid(self) -> int:
        return self._process.pid

    def fileno(self) -> int:
        """Readable when there are reports; at its end, too, when the worker is about to exit."""
        return self._control.fileno()

    def reports(self) -> list[Report]:
        """What the worker has told since the last call."""
        while True:
            try:
                data = self._control.recv(4096)
            except (BlockingIOError, ConnectionResetError):
                break
            if not data:
                break
            self._line += data
        *lines, self._line = self._line.split(b"\n")
        return [Report.decode(line) for line in lines]

    def poll(self) -> int | None:
        """The exit status once there is one; negative for a signal."""
        return self._process.poll()

    def terminate(self) -> None:
        """Begins the worker's drain; the second time, ends it at once."""
        self._process.terminate()

    def kill(self) -> None:
        self._process.kill()

    def hang_up(self) -> None:
        """Ends the control connection, which begins the drain as ``terminate`` does."""
        self._control.close()

    def wait(self, timeout: float) -> None:
        """Blocks until the worker has ended; after ``timeout`` seconds it is killed."""
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def close(self) -> None:
        """Kills what still runs and gives everything back."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._control.close()


class SignalWatch:
    """Signals as readable events, for the time of a ``with`` block in the main thread."""

    def __init__(self, *signals: signal.Signals) -> None:
        self._signals = signals
        self._handlers: dict[signal.Signals, Any] = {}
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)

    def fileno(self) -> int:
        return self._reader.fileno()

    def take(self) -> list[signal.Signals]:
        """The watched signals that have come since the last call."""
        try:
            numbers = self._reader.recv(4096)
        except BlockingIOError:
            return []
        return [signal.Signals(number) for number in numbers if number in self._signals]

    def __enter__(self) -> SignalWatch:
        self._previous = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        for number in self._signals:
            self._handlers[number] = signal.signal(number, _do_nothing)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._previous)
        self._reader.close()
        self._writer.close()


def _do_nothing(number: int, frame: FrameType | None) -> None:
    """Only a signal with a handler of Python's reaches the wake-up descriptor."""


def describe_exit(status: int) -> str:
    """``exited with status 3``, ``was killed by SIGKILL``."""
    if status >= 0:
        return f"exited with status {status}"
    try:
        return f"was killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"was killed by signal {-status}"
