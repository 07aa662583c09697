"""Measures our server beside others and beside the least one around the same libraries, all in one run.

Rules of this module: only ratios within one run mean something, so the servers take turns (A B C A B C), each figure is
the median of its rounds, and each ratio is the median of the ratios round by round. The server has one core to itself,
the load the others. benchmarks/README.md says what the figures mean.
"""

from __future__ import annotations

import argparse
import json
import platform
import socket
import ssl
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median

from idle import open_idle
from loads import CONNECTIONS, STREAMS, run_load
from processes import (
    PROTOCOLS,
    Certificate,
    Contender,
    Missing,
    Protocol,
    ServerProcess,
    free_port,
    make_certificate,
    split_cores,
)
from report import print_table

CONTENDERS = (
    Contender("tricorn", "uvloop"),
    Contender("tricorn", "asyncio"),
    Contender("tricorn", "trio"),
    Contender("least", "uvloop"),
    Contender("least", "asyncio"),
    Contender("hypercorn", "uvloop"),
    Contender("uvicorn", "uvloop"),
    Contender("tricorn", "uvloop", parser="httptools"),
    Contender("uvicorn", "uvloop", parser="httptools"),
)


@dataclass
class Cell:
    """One server over one protocol."""

    protocol: str
    contender: str
    kind: str
    loop: str
    parser: str
    requests_per_second: list[float] = field(default_factory=list)
    requests_per_cpu_second: list[float] = field(default_factory=list)
    errors: int = 0
    missing: str | None = None


class Run:
    """One run's servers, started on first use and kept until its end."""

    def __init__(self, folder: Path, certificate: Certificate) -> None:
        self.folder = folder
        self.certificate = certificate
        self.server_cores, self.load_cores = split_cores()
        self._servers: dict[tuple[str, ...], ServerProcess] = {}

    def server(self, contender: Contender, protocol: Protocol) -> ServerProcess:
        """The process that answers; two protocols of one command line share it."""
        key = (contender.name, *contender.command(protocol, self.certificate, 0))
        if key not in self._servers:
            self._servers[key] = self.start(contender, protocol)
        return self._servers[key]

    def start(self, contender: Contender, protocol: Protocol) -> ServerProcess:
        """A fresh process, which the caller ends."""
        port = free_port()
        command = contender.command(protocol, self.certificate, port)
        server = ServerProcess.start(contender, command, port, self.server_cores, self.folder)
        try:
            server.wait_until_bound(protocol)
        except Missing:
            server.stop()
            raise
        return server

    def close(self) -> None:
        for server in self._servers.values():
            server.stop()

    # ------------------------------------------------------------------------------------------------------- measures

    def throughput(self, cells: list[tuple[Cell, Contender, Protocol]], rounds: int, seconds: int) -> None:
        """Fills the cells, round by round. The first load of each is a warm-up that nobody counts."""
        for number in range(rounds + 1):
            for cell, contender, protocol in cells:
                if cell.missing:
                    continue
                _progress(f"round {number}/{rounds}: {protocol.name}, {contender.name}")
                try:
                    server = self.server(contender, protocol)
                    before = server.cpu_seconds()
                    load = run_load(protocol, server.port, seconds if number else 1, self.load_cores)
                    used = server.cpu_seconds() - before
                except Missing as missing:
                    cell.missing = str(missing)
                    continue
                cell.errors += load.errors
                if number:
                    cell.requests_per_second.append(load.requests / load.seconds)
                    cell.requests_per_cpu_second.append(load.requests / used)

    def idle_bytes(self, contender: Contender, protocol: Protocol, count: int) -> float:
        """Bytes of resident memory that one more idle connection costs.

        A tenth of the connections comes first and is not counted: with it comes what a server makes only once.
        """
        server = self.start(contender, protocol)
        try:
            with open_idle(protocol, server.port, max(1, count // 10), self.load_cores):
                time.sleep(0.5)
                before = server.resident_bytes()
                with open_idle(protocol, server.port, count, self.load_cores):
                    time.sleep(0.5)
                    return (server.resident_bytes() - before) / count
        finally:
            server.stop()

    def first_answer_seconds(self, contender: Contender, protocol: Protocol) -> float:
        """From the start of the command to the last byte of the first answer over HTTP/1.1."""
        port = free_port()
        command = contender.command(protocol, self.certificate, port)
        server = ServerProcess.start(contender, command, port, self.server_cores, self.folder)
        try:
            while True:
                if server.process.poll() is not None or time.perf_counter() - server.started_at > 30:
                    raise Missing("the server did not come up")
                try:
                    _ask_once(port, protocol)
                except OSError:
                    time.sleep(0.002)
                    continue
                return time.perf_counter() - server.started_at
        finally:
            server.stop()


def _ask_once(port: int, protocol: Protocol) -> None:
    connection = socket.create_connection(("127.0.0.1", port), timeout=5)
    with connection:
        if protocol.tls:
            context = ssl._create_unverified_context()
            connection = context.wrap_socket(connection, server_hostname="localhost")
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        received = b""
        while b"Hello, world!" not in received:
            data = connection.recv(65_536)
            if not data:
                raise ConnectionError("closed without an answer")
            received += data


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


# --------------------------------------------------------------------------------------------------------- the report


def ratio(cell: Cell, other: Cell | None) -> float | None:
    """How many times ``other``'s requests per CPU second: the median over the rounds."""
    if other is None or other is cell or not cell.requests_per_cpu_second or not other.requests_per_cpu_second:
        return None
    pairs = zip(cell.requests_per_cpu_second, other.requests_per_cpu_second, strict=False)
    return median(mine / theirs for mine, theirs in pairs)


def reference(cells: list[Cell], kind: str, loop: str) -> Cell | None:
    """The cell of that other kind to compare with: on the same loop where there is one, trio's with asyncio's."""
    found = {cell.loop: cell for cell in cells if cell.kind == kind and cell.parser == "h11"}
    return found.get(loop) or found.get("asyncio") or next(iter(found.values()), None)


def _times(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _note(cell: Cell, others: list[Cell]) -> str:
    notes = [f"{cell.errors} errors"] if cell.errors else []
    of_this_tree = next((other for other in others if cell.contender.startswith(f"{other.contender} (")), None)
    if of_this_tree is not None:
        notes.append(f"x {_times(ratio(cell, of_this_tree))} of this tree's")
    return ", ".join(notes)


def print_throughput(cells: list[Cell]) -> None:
    for protocol in PROTOCOLS:
        mine = [cell for cell in cells if cell.protocol == protocol.name]
        rows = []
        for cell in mine:
            if cell.missing or not cell.requests_per_second:
                rows.append([cell.contender, "-", "-", "", "", "", cell.missing or "not run"])
                continue
            compared = [ratio(cell, reference(mine, kind, cell.loop)) for kind in ("least", "hypercorn", "uvicorn")]
            rows.append(
                [
                    cell.contender,
                    f"{median(cell.requests_per_second):,.0f}",
                    f"{median(cell.requests_per_cpu_second):,.0f}",
                    *map(_times, compared),
                    _note(cell, mine),
                ]
            )
        if rows:
            head = [protocol.name, "req/s", "req/CPU s", "x least", "x hypercorn", "x uvicorn", ""]
            print_table(f"{protocol.name}: a 13-byte answer, {CONNECTIONS * STREAMS} requests under way", head, rows)


def measure(chosen: argparse.Namespace, run: Run) -> dict[str, object]:
    """Measures and prints everything that was asked for, and returns it for ``--json``."""
    contenders = list(CONTENDERS)
    if chosen.quick:
        contenders = [contender for contender in contenders if contender.loop == "uvloop"]
    if chosen.tree is not None:
        loops = [contender.loop for contender in contenders if contender.kind == "tricorn"]
        contenders[1:1] = [Contender("tricorn", loop, chosen.tree.resolve()) for loop in loops]
    if chosen.only:
        contenders = [one for one in contenders if any(name in one.name for name in chosen.only.split(","))]
    protocols = [one for one in PROTOCOLS if not chosen.protocols or one.version in chosen.protocols.split(",")]
    result: dict[str, object] = {"python": platform.python_version(), "machine": platform.machine()}

    work = []
    for protocol in protocols:
        for contender in contenders:
            if contender.is_for(protocol):
                cell = Cell(protocol.name, contender.name, contender.kind, contender.loop, contender.parser)
                work.append((cell, contender, protocol))
    run.throughput(work, chosen.rounds, chosen.seconds)
    _progress("")
    cells = [cell for cell, _, _ in work]
    print_throughput(cells)
    result["throughput"] = [asdict(cell) for cell in cells]
    if chosen.throughput_only:
        return result

    # The loop below changes little of what a connection costs: one per kind is enough.
    firsts = list({contender.kind: contender for contender in reversed(contenders)}.values())[::-1]
    rows, memory = [], {}
    secure = [protocol for protocol in protocols if protocol.tls]
    for contender in firsts:
        row = [contender.name]
        for protocol in secure:
            if not contender.is_for(protocol):
                row.append("-")
                continue
            _progress(f"idle connections: {protocol.name}, {contender.name}")
            try:
                size = run.idle_bytes(contender, protocol, chosen.idle)
            except Missing as missing:
                row.append("-")
                memory[f"{contender.name}, {protocol.name}"] = str(missing)
            else:
                row.append(f"{size / 1024:.1f}")
                memory[f"{contender.name}, {protocol.name}"] = size
        rows.append(row)
    _progress("")
    print_table(
        f"KiB of resident memory for each of {chosen.idle} idle connections",
        ["server", *(protocol.name for protocol in secure)],
        rows,
    )
    for name, size in memory.items():
        if isinstance(size, str):
            print(f"  {name}: {size}")
    result["idle_bytes_per_connection"] = memory

    starts: dict[str, dict[str, list[float]]] = {}
    ways = [protocol for protocol in PROTOCOLS if protocol.version == "h1"]
    for _ in range(chosen.starts):
        for contender in firsts:
            for protocol in ways:
                _progress(f"first answer: {contender.name}")
                try:
                    seconds = run.first_answer_seconds(contender, protocol)
                except Missing as missing:
                    _progress("")
                    print(f"  first answer of {contender.name}, {protocol.name}: {missing}")
                    continue
                starts.setdefault(contender.name, {}).setdefault(protocol.name, []).append(seconds)
    _progress("")
    rows = [
        [name, *(f"{median(found[way.name]) * 1000:.0f}" if way.name in found else "-" for way in ways)]
        for name, found in starts.items()
    ]
    print_table("Milliseconds from the command to the first answer", ["server", *(way.name for way in ways)], rows)
    result["first_answer_seconds"] = starts
    return result


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a smoke of one minute: one round, uvloop only")
    parser.add_argument("--rounds", type=int, help="rounds of throughput (3)")
    parser.add_argument("--seconds", type=int, help="seconds of load in each round (2)")
    parser.add_argument("--idle", type=int, help="idle connections (500)")
    parser.add_argument("--starts", type=int, help="starts of each server (5)")
    parser.add_argument("--protocols", metavar="LIST", help="any of h1,h2,h3")
    parser.add_argument("--only", metavar="LIST", help="servers whose names hold one of these")
    parser.add_argument("--tree", type=Path, help="another tree of this repository, to be measured beside this one")
    parser.add_argument("--throughput-only", action="store_true", help="neither memory nor start")
    parser.add_argument("--json", type=Path, metavar="FILE", help="all figures of all rounds")
    chosen = parser.parse_args()
    defaults = {"rounds": (3, 1), "seconds": (2, 1), "idle": (500, 100), "starts": (5, 2)}
    for name, (full, quick) in defaults.items():
        if getattr(chosen, name) is None:
            setattr(chosen, name, quick if chosen.quick else full)

    with tempfile.TemporaryDirectory() as folder:
        run = Run(Path(folder), make_certificate(Path(folder)))
        print(f"server on core {sorted(run.server_cores)}, load on {sorted(run.load_cores)}")
        try:
            result = measure(chosen, run)
        finally:
            run.close()
    if chosen.json is not None:
        chosen.json.write_text(json.dumps(result, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
