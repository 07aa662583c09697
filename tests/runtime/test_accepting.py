"""Accepting connections: how many may wait for it, and what happens when no descriptor is left."""

from __future__ import annotations

import signal
import socket
import struct
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tricorn_transports.sockets import BACKLOG

#: In Linux's ``tcp_info``; of a listening socket, how many connections may wait.
_SACKED_OFFSET = 28


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux")
@pytest.mark.parametrize("runtime", ["asyncio", "uvloop", "trio"])
def test_bursts_of_connections_wait_to_be_accepted(serve: Any, runtime: str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise RuntimeError("nobody asks")

    (bound,) = serve(app, runtime=runtime).sockets
    info = bound.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 100)
    (backlog,) = struct.unpack_from("I", info, _SACKED_OFFSET)
    assert backlog == min(BACKLOG, int(Path("/proc/sys/net/core/somaxconn").read_text()))


@pytest.mark.parametrize("runtime", ["asyncio", "trio"])  # libuv accepts and closes, and says nothing
def test_a_lack_of_descriptors_is_said_once_and_passes(launch: Any, directory: Path, runtime: str) -> None:
    (directory / "poor.py").write_text(
        "import resource, sys\n"
        "from tricorn_transports.cli import main\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    command = launch("run", "app:app", "--bind", "127.0.0.1:0", "--runtime", runtime, script="poor.py")
    with ExitStack() as clients:
        for _ in range(60):
            clients.enter_context(socket.create_connection(("127.0.0.1", command.port), timeout=30))
        command.wait_for("ERROR cannot accept connections: Too many open files")
    assert command.get()[1] == "1"
    command.signal(signal.SIGTERM)
    assert command.wait() == 0
    assert command.errors.count("cannot accept") == 1
    assert "Traceback" not in command.errors
