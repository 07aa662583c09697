"""A connection's budget of memory, measured: a server in a process of its own, under each attack, serving others.

The number is ``tricorn_transports.budget``'s. Linux only: the peak of a process's memory is read from /proc.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest
from wire_clients import attacks, attacks_h1, attacks_h3
from wire_clients.h2_raw import H2Raw

from tricorn_transports.budget import connection_budget
from tricorn_transports.config import Limits

pytestmark = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="there is no /proc of Linux")

ATTACKS: list[tuple[str, Callable[..., Iterator[None]]]] = [
    *((protocol, attack) for protocol in ("h1", "h1-tls") for attack in attacks_h1.BORNE),
    *((protocol, attack) for protocol in ("h2", "h2-tls") for attack in (*attacks.THROWN_OUT, *attacks.BORNE)),
    *(("h3", attack) for attack in (*attacks_h3.THROWN_OUT, *attacks_h3.BORNE)),
]
#: Those that hold the most, and one of each kind; the others are run by `make long` only.
QUICK: list[tuple[str, Callable[..., Iterator[None]]]] = [
    ("h1", attacks_h1.pipelines),
    ("h1", attacks_h1.tiny_chunks),
    ("h1", attacks_h1.websocket_bombs),
    ("h1-tls", attacks_h1.unread_bodies),
    ("h2", attacks.rapid_reset),
    ("h2", attacks.late_provoked),
    ("h2", attacks.pings),
    ("h2", attacks.continuations),
    ("h2", attacks.hpack_bomb),
    ("h2", attacks.tiny_windows),
    ("h2", attacks.unread_bodies),
    ("h2", attacks.large_heads),
    ("h2-tls", attacks.zero_windows),
    ("h3", attacks_h3.rapid_reset),
    ("h3", attacks_h3.unread_bodies),
    ("h3", attacks_h3.unread_answers),
    ("h3", attacks_h3.large_heads),
]


class Process:
    """A worker. ``net`` takes it for a server, of which it wants the port."""

    def __init__(self, certificate: Any, tls: bool, folder: Path) -> None:
        self.log = folder / "server.log"
        command = [sys.executable, "-m", "tricorn_transports", "run", "wire_clients.abuse_app:app", "--no-access-log"]
        command += ["--bind", "127.0.0.1:0", "--drain-timeout", "1", "--runtime", "asyncio"]
        if tls:
            command += ["--tls-cert", certificate.cert, "--tls-key", certificate.key]
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
        with self.log.open("w") as log:
            self.popen = subprocess.Popen(command, stderr=log, stdout=log, env=environment)
        end = time.monotonic() + 30
        while (line := next((line for line in self.log.read_text().splitlines() if " on http" in line), None)) is None:
            assert self.popen.poll() is None, self.log.read_text()
            assert time.monotonic() < end, self.log.read_text()
            time.sleep(0.02)
        self.port = int(line.split(" on http")[1].split()[0].rpartition(":")[2])

    def peak(self) -> int:
        """The most bytes of memory since ``forget``."""
        return self._status("VmHWM")

    def forget(self) -> int:
        """Forgets the peak; gives what is held now."""
        Path(f"/proc/{self.popen.pid}/clear_refs").write_text("5")
        return self._status("VmRSS")

    def _status(self, name: str) -> int:
        lines = Path(f"/proc/{self.popen.pid}/status").read_text().splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(name + ":"))

    def stop(self) -> None:
        self.popen.terminate()
        try:
            self.popen.wait(20)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()


@pytest.fixture
def process(certificate: Any, tmp_path: Path) -> Iterator[Callable[[bool], Process]]:
    started: list[Process] = []

    def start(tls: bool) -> Process:
        started.append(Process(certificate, tls, tmp_path))
        return started[-1]

    yield start
    for server in started:
        server.stop()


def attacker(net: Any) -> Any:
    if net.version == "1":
        return net.wire()
    return H2Raw(net.wire(), b"https" if net.tls else b"http") if net.version == "2" else net.connect()


def measure(net: Any, process: Callable[[bool], Process], attack: Any, attackers: int, amount: int) -> int:
    """The peak that they cause together. What is loaded for each protocol when it is needed has been loaded before."""
    net.server = server = process(net.tls)
    witness = net.connect()

    def serve_others() -> None:
        assert witness.request("GET", "/").status == 200
        assert server.popen.poll() is None, server.log.read_text()

    def run(peers: list[Any]) -> None:
        for step, _ in enumerate(zip_longest(*[attack(peer, amount) for peer in peers])):
            if net.version != "1":
                for peer in peers:
                    peer.poll(0)
            if step % 20 == 0:
                serve_others()
        for _ in range(200):  # what is on its way arrives, as far as the server takes it
            waiting = [peer for peer in peers if getattr(getattr(peer, "wire", peer), "unsent", b"")]
            for peer in waiting:
                peer.poll(0.005)
        quiet, peak = 0, 0
        while quiet < 10:  # and what is in the sockets is read
            serve_others()
            time.sleep(0.02)
            quiet = quiet + 1 if server.peak() == peak else 0
            peak = server.peak()

    for _ in range(20):
        serve_others()
    base = server.forget()
    run([attacker(net) for _ in range(attackers)])
    return server.peak() - base


def check(net: Any, process: Callable[[bool], Process], attack: Any, attackers: int, amount: int) -> None:
    growth = measure(net, process, attack, attackers, amount)
    is_websocket = attack is attacks_h1.websocket_bombs
    version = {"1": "1.1"}.get(net.version, net.version)
    budget = connection_budget(Limits(), version, websockets=is_websocket)
    print(net.protocol, attack.__name__, f"{growth / attackers / 1024:.0f} KiB a connection, of {budget / 1024:.0f}")
    assert growth <= attackers * budget, f"{growth / attackers / 1024:.0f} KiB a connection, of {budget / 1024:.0f}"


def each_of(pairs: list[tuple[str, Any]]) -> pytest.MarkDecorator:
    ids = [f"{protocol}-{attack.__name__}" for protocol, attack in pairs]
    return pytest.mark.parametrize(("protocol", "attack"), pairs, ids=ids)


@each_of(QUICK)
def test_memory_stays_within_the_budget(make_net, process, protocol, attack):
    check(make_net(protocol), process, attack, attackers=2, amount=5_000)


@pytest.mark.long
@each_of(ATTACKS)
def test_memory_stays_within_the_budget_of_many(make_net, process, protocol, attack):
    check(make_net(protocol), process, attack, attackers=25, amount=100_000)


def test_the_budget_by_default():
    sizes = [round(connection_budget(Limits(), version) / (1 << 20), 1) for version in ("1.1", "2", "3")]
    assert sizes == [1.8, 33.5, 33.5]
    with pytest.raises(ValueError, match="not served"):
        connection_budget(Limits(), "0.9")
