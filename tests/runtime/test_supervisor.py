"""Workers: started, restarted, replaced, stopped, and gone with their parent."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

LOCAL = ("--bind", "127.0.0.1:0")


@pytest.fixture
def pool(launch: Any) -> Any:
    command = launch("run", "app:app", *LOCAL, "--workers", "2")
    command.wait_for(r"serving app:app on \S+ \(HTTP/1\.1, HTTP/2\) with 2 workers")
    return command


def children(pid: int) -> set[int]:
    return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


def wait_until(condition: Any) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_workers_answer_and_not_the_parent(pool: Any) -> None:
    workers = children(pool.process.pid)
    assert len(workers) == 2
    assert pool.get()[0] in workers


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_all_and_ends_with_status_0(pool: Any, number: signal.Signals) -> None:
    workers = children(pool.process.pid)
    pool.signal(number)
    assert pool.wait() == 0
    assert all(is_gone(pid) for pid in workers)
    assert "Traceback" not in pool.errors


@contextmanager
def slow_answer(launch: Any, directory: Path) -> Iterator[tuple[Any, socket.socket, bytes]]:
    """Two workers, a client, and the first bytes of an answer that takes another second."""
    (directory / "slow.py").write_text(
        "import asyncio\n"
        "async def app(scope, receive, send):\n"
        "    assert scope['type'] == 'http'\n"
        "    await send({'type': 'http.response.start', 'status': 200, 'headers': []})\n"
        "    await send({'type': 'http.response.body', 'body': b'1', 'more_body': True})\n"
        "    await asyncio.sleep(1)\n"
        "    await send({'type': 'http.response.body', 'body': b'2'})\n"
    )
    pool = launch("run", "slow:app", *LOCAL, "--workers", "2", "--runtime", "asyncio")
    with socket.create_connection(("127.0.0.1", pool.port), timeout=30) as client:
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        yield pool, client, client.recv(1000)


def test_a_running_request_is_finished_and_no_new_connection_taken(launch: Any, directory: Path) -> None:
    with slow_answer(launch, directory) as (pool, client, answer):
        pool.signal(signal.SIGTERM)
        wait_until(lambda: refuses(pool.port))
        while data := client.recv(1000):
            answer += data
    assert answer.endswith(b"12")
    assert pool.wait() == 0


def test_a_signal_to_the_whole_group_is_one_signal(launch: Any, directory: Path) -> None:
    with slow_answer(launch, directory) as (pool, client, answer):
        for pid in [*children(pool.process.pid), pool.process.pid]:  # as systemd does
            os.kill(pid, signal.SIGTERM)
        while data := client.recv(1000):
            answer += data
    assert answer.endswith(b"12")
    assert pool.wait() == 0


def refuses(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False


def test_a_crashed_worker_is_started_again(pool: Any) -> None:
    before = children(pool.process.pid)
    with pytest.raises((ConnectionError, ValueError)):  # the connection ends without an answer
        pool.get("/crash")
    pool.wait_for(r"ERROR worker \d \(pid \d+\) exited with status 3; starting again")
    pool.wait_for(r"worker \d serves again")
    after = children(pool.process.pid)
    assert len(after) == 2
    assert len(after & before) == 1


def test_a_worker_that_keeps_crashing_waits_longer_each_time(pool: Any) -> None:
    for times in (1, 2):
        (pid, *_) = children(pool.process.pid)
        os.kill(pid, signal.SIGKILL)
        pool.wait_for(r"was killed by SIGKILL; starting again", times=times)
        pool.wait_for("serves again", times=times)
    for pid in children(pool.process.pid):
        os.kill(pid, signal.SIGKILL)
    pool.wait_for(r"starting again in \d")


def test_sighup_loads_the_application_anew_one_worker_after_another(pool: Any, directory: Path) -> None:
    before = children(pool.process.pid)
    source = directory / "app.py"
    source.write_text(source.read_text().replace("VERSION = 1", "VERSION = 2"))
    pool.signal(signal.SIGHUP)
    pool.wait_for("serves again", times=2)
    assert not children(pool.process.pid) & before
    assert pool.get()[1] == "2"


def test_after_sighup_with_a_broken_application_the_old_workers_go_on(pool: Any, directory: Path) -> None:
    (directory / "app.py").write_text("def (\n")
    pool.signal(signal.SIGHUP)
    pool.wait_for(r"ERROR app: importing 'app' failed: SyntaxError: .*; starting again")
    assert pool.get()[1] == "1"
    assert pool.process.poll() is None


def test_workers_die_with_their_parent(pool: Any) -> None:
    workers = children(pool.process.pid)
    pool.signal(signal.SIGKILL)
    wait_until(lambda: all(is_gone(pid) for pid in workers))


def test_a_worker_that_dies_while_it_starts_ends_it_all_with_one_line(launch: Any, directory: Path) -> None:
    (directory / "dying.py").write_text("import os\nos._exit(5)\n")
    command = launch("run", "dying:app", *LOCAL, "--workers", "3")
    assert command.wait() == 1
    assert command.errors.count("\n") == 1
    assert "exited with status 5 before it was ready" in command.errors


def test_only_one_worker_tries_an_application_that_cannot_start(launch: Any, directory: Path) -> None:
    (directory / "counting.py").write_text("open('tries', 'a').write('x')\nraise RuntimeError('no')\n")
    command = launch("run", "counting:app", *LOCAL, "--workers", "4")
    assert command.wait() == 2
    assert (directory / "tries").read_text() == "x"


def test_a_worker_that_will_not_end_is_killed_at_the_deadline(launch: Any, directory: Path) -> None:
    (directory / "stuck.py").write_text(
        "import time\n"
        "async def app(scope, receive, send):\n"
        "    assert scope['type'] == 'http'\n"
        "    open('entered', 'x').close()\n"
        "    time.sleep(1000)\n"
    )
    deadlines = ("--drain-timeout", "0.1", "--close-timeout", "0.1", "--shutdown-timeout", "0.1")
    command = launch("run", "stuck:app", *LOCAL, "--workers", "2", *deadlines)
    with socket.create_connection(("127.0.0.1", command.port), timeout=30) as client:
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        wait_until((directory / "entered").exists)
        command.signal(signal.SIGTERM)
        assert command.wait() == 0
    assert "did not end in time and is killed" in command.errors


def test_each_worker_has_a_udp_socket_of_its_own_on_the_same_port(launch: Any, certificate: Any) -> None:
    command = launch(
        "run", "app:app", *LOCAL, "--workers", "2", "--tls-cert", certificate.cert, "--tls-key", certificate.key
    )
    port = command.port
    bound = [line.split() for line in Path("/proc/net/udp").read_text().splitlines()[1:]]
    inodes = {fields[9] for fields in bound if fields[1].endswith(f":{port:04X}")}
    held = [inodes & sockets_of(pid) for pid in children(command.process.pid)]
    assert [len(each) for each in held] == [1, 1]
    assert held[0] != held[1]


def sockets_of(pid: int) -> set[str]:
    found = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        target = os.readlink(entry)
        if target.startswith("socket:["):
            found.add(target[8:-1])
    return found
