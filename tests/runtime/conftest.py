"""The command ``tricorn`` as a process of its own, in a project directory of its own."""

from __future__ import annotations

import http.client
import os
import re
import signal
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import pytest

#: What a slow machine may take for anything; a test that passes waits for none of it.
PATIENCE = 30.0

APP = """
    import os

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            while True:
                message = await receive()
                await send({"type": message["type"] + ".complete"})
                if message["type"] == "lifespan.shutdown":
                    return
        if scope["path"] == "/crash":
            os._exit(3)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": f"{os.getpid()} {VERSION}".encode()})

    VERSION = 1
"""


class Command:
    """A running ``tricorn``; its standard error is collected line by line."""

    def __init__(self, project: Path, command: tuple[str, ...], environ: dict[str, str]) -> None:
        self.project = project
        self.errors = ""
        self._changed = threading.Condition()
        self.process = subprocess.Popen(
            [sys.executable, *command],
            cwd=project,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._changed:
                self.errors += line
                self._changed.notify_all()

    def wait_for(self, pattern: str, *, times: int = 1) -> re.Match[str]:
        """The last of ``times`` matches of ``pattern`` in what was written to standard error."""
        with self._changed:
            found = self._changed.wait_for(lambda: len(re.findall(pattern, self.errors)) >= times, PATIENCE)
            assert found, f"no {pattern!r} in:\n{self.errors}"
            return list(re.finditer(pattern, self.errors))[-1]

    @property
    def port(self) -> int:
        return int(self.wait_for(r"serving .+ on https?://127\.0\.0\.1:(\d+)")[1])

    def get(self, path: str = "/", *, authority: Path | None = None) -> tuple[int, str]:
        """The pid that answered and the rest of the body."""
        connection: http.client.HTTPConnection
        if authority is None:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        else:
            context = ssl.create_default_context(cafile=authority)
            connection = http.client.HTTPSConnection("localhost", self.port, timeout=PATIENCE, context=context)
        try:
            connection.request("GET", path)
            pid, _, rest = connection.getresponse().read().decode().partition(" ")
        finally:
            connection.close()
        return int(pid), rest

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self) -> int:
        """The exit status; all of standard error is there afterwards."""
        status = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return status

    def output(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.read()

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join(PATIENCE)
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()


Launch = Callable[..., Command]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A project directory that holds ``app.py``, an application that answers with its pid and version."""
    (tmp_path / "app.py").write_text(dedent(APP))
    return tmp_path


@pytest.fixture
def launch(directory: Path) -> Iterator[Launch]:
    """Starts ``tricorn`` (or a script) in the project directory; keyword arguments are environment variables."""
    started: list[Command] = []

    def launcher(*arguments: str, script: str | None = None, **environ: str) -> Command:
        program = ("-m", "tricorn_transports") if script is None else (script,)
        command = Command(directory, (*program, *arguments), environ)
        started.append(command)
        return command

    yield launcher
    for command in started:
        command.close()
