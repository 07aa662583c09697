"""A worker process: told by its parent what to serve, it serves that and reports how it goes.

Rules of this module: the control socket, inherited from the parent, carries a pickled ``WorkerSpec`` in and ``Report``
lines out. Its end means that the parent is gone or wants the worker gone, and the worker drains as for SIGTERM. A
failure to start is reported, not printed: what is printed, and how often, is for the parent to say.
"""

from __future__ import annotations

import json
import logging
import os
import pickle
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from tricorn_transports import logs
from tricorn_transports.config import Bind, Config
from tricorn_transports.errors import ConfigError, TransportNotFound
from tricorn_transports.loading import ApplicationFailed, adapt, find_app
from tricorn_transports.server import StartupFailed, run
from tricorn_transports.sockets import BoundSocket, Kind

_log = logging.getLogger("tricorn.error")

_LENGTH = struct.Struct("!I")

#: Seconds for the threads of a server that has ended; requests had ``drain_timeout`` before.
_THREADS_PATIENCE = 1.0


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """What a worker serves.

    Attributes:
        app: An import string, as ``load_app`` takes it.
        sockets: Each socket's bind, kind and file descriptor.
        dev: The log is for a person, and the application's ``debug`` attribute, if it has one, is set.
    """

    app: str
    config: Config
    sockets: tuple[tuple[Bind, Kind, int], ...]
    dev: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """What a worker tells its parent: that it answers, or why it never will.

    Attributes:
        status: The exit status that fits the failure.
        is_app_failure: The application's own code failed, so that a change of it may help.
    """

    event: str
    message: str = ""
    status: int = 0
    is_app_failure: bool = False

    def encode(self) -> bytes:
        return json.dumps(asdict(self)).encode("ascii") + b"\n"

    @classmethod
    def decode(cls, line: bytes) -> Report:
        return cls(**json.loads(line))


def exit_status(error: Exception) -> int:
    """2 for what the operator asked for wrongly, 1 for what failed to start."""
    return 2 if isinstance(error, (ConfigError, TransportNotFound)) else 1


def send_spec(control: socket.socket, spec: WorkerSpec) -> None:
    """The parent's side of the beginning."""
    data = pickle.dumps(spec)
    control.sendall(_LENGTH.pack(len(data)) + data)


def _receive_spec(control: socket.socket) -> WorkerSpec:
    with control.makefile("rb") as file:
        (length,) = _LENGTH.unpack(file.read(_LENGTH.size))
        spec = pickle.loads(file.read(length))
    if not isinstance(spec, WorkerSpec):
        raise TypeError(f"the parent sent a {type(spec).__name__}")
    return spec


def main(control: socket.socket) -> int:
    """Serves until told to stop; returns the exit status."""
    control.set_inheritable(False)
    spec = _receive_spec(control)
    logs.configure(spec.config.log_level, spec.dev)
    threading.Thread(target=_end_with_parent, args=(control, spec.config), daemon=True).start()
    sockets = [BoundSocket(bind, kind, _inherit(fd)) for bind, kind, fd in spec.sockets]

    def ready(_: object) -> None:
        _tell(control, Report("ready"))

    try:
        app = find_app(spec.app)
        if spec.dev and hasattr(app, "debug"):
            app.debug = True
        run(
            adapt(app, spec.config.interface, spec.app),
            spec.config,
            sockets=sockets,
            on_ready=ready,
        )
    except (ConfigError, TransportNotFound, StartupFailed) as error:
        is_app_failure = isinstance(error, (ApplicationFailed, StartupFailed))
        return _fail(control, Report("failed", str(error), exit_status(error), is_app_failure))
    except Exception as error:  # noqa: BLE001  # the parent has to be told of whatever it was
        _log.exception("the worker failed")
        return _fail(control, Report("failed", f"{type(error).__name__}: {error}", 1, True))
    return 0


def _fail(control: socket.socket, report: Report) -> int:
    if not _tell(control, report):
        _log.error("%s", report.message)
    return report.status


def _tell(control: socket.socket, report: Report) -> bool:
    """Whether the parent is still there to be told; if it is not, ``_end_with_parent`` acts on that."""
    try:
        control.sendall(report.encode())
    except BrokenPipeError:
        return False
    return True


def _inherit(fd: int) -> socket.socket:
    sock = socket.socket(fileno=fd)
    sock.set_inheritable(False)
    return sock


def _end_with_parent(control: socket.socket, config: Config) -> None:
    """Waits for the control socket's end; then drains, and ends the hard way if that takes too long."""
    while True:
        try:
            if not control.recv(1):
                break
        except ConnectionResetError:
            break
    os.kill(os.getpid(), signal.SIGTERM)
    timeouts = config.timeouts
    time.sleep(timeouts.drain_timeout + timeouts.close_timeout + timeouts.shutdown_timeout)
    os._exit(1)


def end_despite_threads(status: int) -> None:
    """Ends the process when threads outlive the server: what the drain gave up on must not hold the exit up.

    Returns where no thread does, for an exit in order.
    """
    end = time.monotonic() + _THREADS_PATIENCE
    others = [t for t in threading.enumerate() if t is not threading.current_thread() and not t.daemon]
    for thread in others:
        thread.join(max(0.0, end - time.monotonic()))
    left = sum(thread.is_alive() for thread in others)
    if left:
        _log.warning("%d threads of the application are still busy and are left behind", left)
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def command(fd: int) -> Sequence[str]:
    """The command line that runs ``main`` in a new interpreter, with the control socket as ``fd``."""
    return (sys.executable, "-m", "tricorn_transports.supervisor.worker", str(fd))


if __name__ == "__main__":
    # Under the module's own name: what is pickled refers to it, and "__main__" is another module.
    from tricorn_transports.supervisor import worker

    exit_with = worker.main(socket.socket(fileno=int(sys.argv[1])))
    worker.end_despite_threads(exit_with)
    sys.exit(exit_with)
