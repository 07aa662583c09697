"""Runs the application in a child process and starts it anew whenever a file of it changes.

Rules of this module: the parent keeps the sockets, so that while a child is replaced connections wait and are not
refused. It never imports the application. An application that cannot start is told of once, and the next change is
waited for; only what no change of a file can mend (a taken port, a module that is not there) ends it.
"""

from __future__ import annotations

import logging
import os
import selectors
import signal
import socket
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tricorn_transports.config import Config
from tricorn_transports.errors import ConfigError
from tricorn_transports.server import Plan, StartupFailed
from tricorn_transports.sockets import BoundSocket, bind_sockets, close_sockets
from tricorn_transports.supervisor.process import SignalWatch, WorkerProcess, describe_exit
from tricorn_transports.supervisor.worker import Report

_log = logging.getLogger("tricorn.server")

#: Templates are read once by most applications, so they count as code.
SUFFIXES = frozenset({".py", ".html", ".htm", ".jinja", ".jinja2", ".j2"})

_NAMES = frozenset({"pyproject.toml"})

#: How long an editor's burst of writes may take, in milliseconds.
_DEBOUNCE = 200
_STEP = 20


def serve(
    app: str,
    config: Config,
    *,
    watch: Sequence[Path] = (),
    on_ready: Callable[[Sequence[BoundSocket]], None] | None = None,
) -> None:
    """Serves with one child process until SIGINT or SIGTERM.

    Args:
        app: An import string.
        watch: Directories whose files restart the child when they change; none for no restarts.
        on_ready: Called once, with the sockets, when the application first answers.

    Raises:
        ConfigError: A setting is wrong, or watching needs the extra ``dev``.
        StartupFailed: The child failed to start, and no change of a file would help.
    """
    watcher = _Watcher(watch) if watch else None
    sockets = bind_sockets(config, Plan.of(config).kinds)
    try:
        _Reloader(app, config, sockets, watcher, on_ready).run()
    finally:
        if watcher is not None:
            watcher.close()
        close_sockets(sockets)


class _Watcher:
    """A thread that watches directories; readable when something has changed."""

    def __init__(self, directories: Sequence[Path]) -> None:
        try:
            import watchfiles
        except ImportError as error:
            raise ConfigError(
                'dev: autoreload needs watchfiles: pip install "tricorn[dev]", or give --no-reload'
            ) from error
        for directory in directories:
            if not directory.is_dir():
                raise ConfigError(f"--watch: {directory} is not a directory")
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._stop = threading.Event()
        ignore = watchfiles.DefaultFilter()
        self._changes = watchfiles.watch(
            *directories,
            watch_filter=lambda change, path: is_watched(path) and ignore(change, path),
            debounce=_DEBOUNCE,
            step=_STEP,
            rust_timeout=500,  # how soon the thread sees that it has to stop
            stop_event=self._stop,
        )
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def fileno(self) -> int:
        return self._reader.fileno()

    def take(self) -> list[str]:
        """The files that have changed since the last call, relative to the current directory where they are in it."""
        try:
            data = self._reader.recv(1 << 16)
        except BlockingIOError:
            return []
        paths = {os.fsdecode(path) for path in data.split(b"\0") if path}
        return sorted(os.path.relpath(path) if Path(path).is_relative_to(Path.cwd()) else path for path in paths)

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self._reader.close()
        self._writer.close()

    def _run(self) -> None:
        for changes in self._changes:
            self._writer.sendall(b"".join(os.fsencode(path) + b"\0" for _, path in changes))


def is_watched(path: str) -> bool:
    """Whether a change of this file restarts the application."""
    return os.path.splitext(path)[1] in SUFFIXES or os.path.basename(path) in _NAMES


class _Reloader:
    def __init__(
        self,
        app: str,
        config: Config,
        sockets: Sequence[BoundSocket],
        watcher: _Watcher | None,
        on_ready: Callable[[Sequence[BoundSocket]], None] | None,
    ) -> None:
        self._app = app
        self._config = config
        self._sockets = sockets
        self._watcher = watcher
        self._on_ready = on_ready
        self._process: WorkerProcess | None = None
        self._failure: Report | None = None
        self._is_ready = False
        self._started = 0.0
        self._has_served = False

    def run(self) -> None:
        with SignalWatch(signal.SIGINT, signal.SIGTERM, signal.SIGCHLD) as signals:
            try:
                self._start()
                while True:
                    self._wait(signals)
                    if {signal.SIGINT, signal.SIGTERM} & set(signals.take()):
                        return
                    self._look_after_child()
                    changed = self._watcher.take() if self._watcher is not None else []
                    if changed:
                        self._restart(changed)
            finally:
                self._stop()

    def _wait(self, signals: SignalWatch) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(signals, selectors.EVENT_READ)
            if self._watcher is not None:
                selector.register(self._watcher, selectors.EVENT_READ)
            if self._process is not None and not self._is_ready and self._failure is None:
                selector.register(self._process, selectors.EVENT_READ)
            selector.select()

    def _start(self) -> None:
        self._is_ready = False
        self._failure = None
        self._started = time.monotonic()
        # In the terminal's own process group, so that a debugger in the application can read from it.
        self._process = WorkerProcess(self._app, self._config, self._sockets, dev=True, own_group=False)

    def _stop(self) -> None:
        if self._process is None:
            return
        self._process.hang_up()
        timeouts = self._config.timeouts
        self._process.wait(timeouts.drain_timeout + timeouts.close_timeout + timeouts.shutdown_timeout)
        self._process.close()
        self._process = None

    def _restart(self, changed: list[str]) -> None:
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        _log.info("%s%s changed, restarting", changed[0], more)
        self._stop()
        self._start()

    def _look_after_child(self) -> None:
        process = self._process
        if process is None:
            return
        status = process.poll()  # before the reports: nothing is reported after the end
        for report in process.reports():
            if report.event == "ready":
                self._became_ready()
            else:
                self._failure = report
        if status is None:
            return
        process.close()
        self._process = None
        failure = self._failure or Report("failed", f"the application {describe_exit(status)}", 1, True)
        can_mend = self._watcher is not None and (failure.is_app_failure or self._has_served)
        if not can_mend:
            raise (ConfigError if failure.status == 2 else StartupFailed)(failure.message)
        _log.error("%s; waiting for a change", failure.message)

    def _became_ready(self) -> None:
        self._is_ready = True
        if self._has_served:
            _log.info("restarted in %.1f s", time.monotonic() - self._started)
            return
        self._has_served = True
        if self._on_ready is not None:
            self._on_ready(self._sockets)
