"""Signals to one process: what they interrupt, and that a late one changes nothing."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

LOCAL = ("--bind", "127.0.0.1:0")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("runtime", ["asyncio", "uvloop", "trio"])
def test_a_startup_that_hangs_is_ended_by_a_signal(
    launch: Any, directory: Path, runtime: str, number: signal.Signals
) -> None:
    (directory / "hanging.py").write_text(
        "import sys, anyio\n"
        "async def app(scope, receive, send):\n"
        "    print('starting', file=sys.stderr)\n"
        "    try:\n"
        "        await anyio.sleep_forever()\n"
        "    finally:\n"
        "        print('cleaned up', file=sys.stderr)\n"
    )
    command = launch("run", "hanging:app", *LOCAL, "--runtime", runtime)
    command.wait_for("starting")
    command.signal(number)
    assert command.wait() == 0
    command.wait_for("cleaned up")
    assert "stopped before the application had started" in command.errors
    assert "Traceback" not in command.errors


@pytest.mark.parametrize("runtime", ["asyncio", "uvloop", "trio"])
def test_a_signal_wakes_a_loop_that_is_about_to_sleep(launch: Any, directory: Path, runtime: str) -> None:
    """Between the last look at signals and the wait for sockets there is a moment in which only a byte on a socket of
    the loop's own helps: it comes by the wake-up descriptor.
    """
    (directory / "asking.py").write_text(
        "import signal, sys\n"
        "async def app(scope, receive, send):\n"
        "    await receive()\n"
        "    descriptor = signal.set_wakeup_fd(-1)\n"
        "    signal.set_wakeup_fd(descriptor)\n"
        "    print('it has one' if descriptor >= 0 else 'it has none', file=sys.stderr)\n"
        "    await send({'type': 'lifespan.startup.complete'})\n"
    )
    command = launch("run", "asking:app", *LOCAL, "--runtime", runtime)
    command.wait_for("serving")
    assert "it has one" in command.errors


def test_a_startup_that_hangs_in_a_worker_is_ended_by_a_signal(launch: Any, directory: Path) -> None:
    (directory / "hanging.py").write_text(
        "import sys, asyncio\n"
        "async def app(scope, receive, send):\n"
        "    print('starting', file=sys.stderr)\n"
        "    await asyncio.Event().wait()\n"
    )
    command = launch("run", "hanging:app", *LOCAL, "--workers", "2")
    command.wait_for("starting")
    command.signal(signal.SIGTERM)
    assert command.wait() == 0
    assert "killed" not in command.errors


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("runtime", ["asyncio", "uvloop", "trio"])
def test_signals_that_come_while_the_process_ends_do_not_change_its_status(
    launch: Any, directory: Path, runtime: str, workers: str
) -> None:
    source = directory / "app.py"
    source.write_text(
        "import atexit, os, signal\n"
        "def echo():\n"
        "    for number in (signal.SIGTERM, signal.SIGINT):\n"
        "        os.kill(os.getpid(), number)\n"
        "        os.kill(os.getppid(), 0 if os.environ['TRICORN_WORKERS'] == '1' else number)\n"
        "atexit.register(echo)\n" + source.read_text().strip()
    )
    command = launch("run", "app:app", *LOCAL, "--runtime", runtime, TRICORN_WORKERS=workers)
    command.wait_for("serving")
    command.signal(signal.SIGTERM)
    assert command.wait() == 0
    assert "Traceback" not in command.errors


def test_a_server_in_a_thread_hears_no_signal(directory: Path) -> None:
    code = (
        "import os, signal, threading\n"
        "from app import app\n"
        "from tricorn_transports.config import Bind, Config\n"
        "from tricorn_transports.server import run\n"
        "ready = threading.Event()\n"
        "config = Config(bind=(Bind.parse('127.0.0.1:0'),))\n"
        "def serve():\n"
        "    run(app, config, on_ready=lambda _: ready.set())\n"
        "threading.Thread(target=serve, daemon=True).start()\n"
        "assert ready.wait(30)\n"
        "try:\n"
        "    signal.raise_signal(signal.SIGINT)\n"
        "except KeyboardInterrupt:\n"
        "    print('the main thread got it')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=directory, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "the main thread got it\n", "")
