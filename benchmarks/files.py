"""Measures what a static file costs: a large one's bytes, with sendfile and without, and a small one's look-up.

Rules of this module: every server is asked for the same file over one connection, by a client on another core, in turn
within each round; what it used is read from the kernel. A ratio is the median of the ratios within the rounds.
"""

from __future__ import annotations

import argparse
import os
import socket
import ssl
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from processes import (
    BIN,
    PROTOCOLS,
    Certificate,
    Contender,
    Missing,
    Protocol,
    ServerProcess,
    free_port,
    make_certificate,
    pinned,
    split_cores,
)
from report import print_table

H1, H1_TLS = PROTOCOLS[:2]
MIB = 1 << 20


@dataclass
class Row:
    """One server and one way to send.

    Attributes:
        seconds: Processor seconds for a GiB, one figure a round.
    """

    kind: str
    loop: str
    app: str
    protocol: Protocol
    seconds: list[float] = field(default_factory=list)
    server: ServerProcess | None = None
    missing: str = ""

    @property
    def name(self) -> str:
        how = "as offered" if self.app == "offered" else "read by the application"
        return f"{self.kind} {self.loop}, {self.protocol.name}, {how}"

    def start(self, certificate: Certificate, cores: set[int], folder: Path) -> None:
        port = free_port()
        app, tls = f"benchmarks.file_apps:{self.app}", self.protocol.tls
        if self.kind == "tricorn":
            keys = ["--tls-cert", certificate.cert, "--tls-key", certificate.key] if tls else []
            command = [str(BIN / "tricorn"), "run", app, "--bind", f"127.0.0.1:{port}", "--http", "1.1", *keys]
            command += ["--runtime", self.loop, "--no-access-log", "--log-level", "warning"]
        else:
            keys = ["--ssl-certfile", certificate.cert, "--ssl-keyfile", certificate.key] if tls else []
            command = [str(BIN / "uvicorn"), app, "--port", str(port), "--http", "h11", "--loop", self.loop, *keys]
            command += ["--no-access-log", "--log-level", "warning"]
        self.server = ServerProcess.start(Contender(self.kind, self.loop), command, port, cores, folder)
        try:
            self.server.wait_until_bound(self.protocol)
        except Missing as error:
            self.missing = str(error)

    def fetch(self, size: int, times: int, context: ssl.SSLContext) -> float:
        """Processor seconds of the server while it sends the file as often as that."""
        assert self.server is not None
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=60) as plain:
            wire = context.wrap_socket(plain, server_hostname="localhost") if self.protocol.tls else plain
            fetch(wire, 1)  # the connection, its TLS, and the first look at the file are made
            before = self.server.cpu_seconds()
            fetch(wire, times)
            return self.server.cpu_seconds() - before


def fetch(wire: socket.socket, times: int) -> None:
    """Reads the file; what it holds does not matter here, its length does."""
    buffer = memoryview(bytearray(MIB))
    for _ in range(times):
        wire.sendall(b"GET /large HTTP/1.1\r\nhost: localhost\r\n\r\n")
        head = b""
        while b"\r\n\r\n" not in head:
            head += wire.recv(4096)
        head, _, begun = head.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 "), head
        left = int(next(line for line in head.split(b"\r\n") if line.startswith(b"content-length: "))[16:]) - len(begun)
        while left:
            count = wire.recv_into(buffer, min(left, MIB))
            assert count, "the server closed the connection"
            left -= count


def compare(size: int, times: int, rounds: int, folder: Path) -> None:
    rows = [
        Row(kind, loop, app, protocol)
        for protocol in (H1, H1_TLS)
        for kind, loop, app in (
            ("tricorn", "asyncio", "read"),
            ("tricorn", "asyncio", "offered"),
            ("tricorn", "uvloop", "read"),
            ("tricorn", "uvloop", "offered"),
            ("tricorn", "trio", "offered"),
            ("uvicorn", "asyncio", "offered"),
            ("uvicorn", "uvloop", "offered"),
        )
    ]
    certificate = make_certificate(folder)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    server_cores, load_cores = split_cores()
    gib = size * times / (1 << 30)
    try:
        for row in rows:
            row.start(certificate, server_cores, folder)
        with pinned(load_cores):
            for number in range(rounds + 1):
                for row in rows:
                    if not row.missing:
                        seconds = row.fetch(size, times, context)
                        if number:  # the first round is a warm-up
                            row.seconds.append(seconds / gib)
    finally:
        for row in rows:
            if row.server is not None:
                row.server.stop()
    lines = []
    for row in rows:
        if row.missing:
            lines.append([row.name, row.missing, "-"])
            continue
        base = next(
            r for r in rows if r.protocol is row.protocol and (r.kind, r.loop, r.app) == ("tricorn", "asyncio", "read")
        )
        ratio = median(mine / theirs for mine, theirs in zip(row.seconds, base.seconds, strict=True))
        lines.append([row.name, f"{median(row.seconds):.3f}", f"{ratio:.2f}"])
    title = f"Processor seconds of the server for a GiB, from a file of {size // MIB} MiB"
    print_table(title, ["server", "s/GiB", "x read on asyncio"], lines)


def look_up(folder: Path, calls: int, rounds: int) -> None:
    """A small file, found on the event loop and found in a thread."""
    import anyio

    from tricorn.concurrency import run_in_thread
    from tricorn.static.folder import Folder
    from tricorn.static.lookup import Lookup

    lookup = Lookup(Folder(folder), html=False, hidden=False)

    def search() -> None:
        found = lookup.search(("css", "small.css"), ("gzip, br",), blocking=True)
        found.opened.file.close()  # type: ignore[union-attr]  # the file is there

    async def once(threads: bool) -> float:
        before = time.process_time()
        for _ in range(calls):
            await run_in_thread(search) if threads else search()
        return (time.process_time() - before) / calls * 1e6

    async def measure() -> list[tuple[float, float]]:
        await once(threads=True)
        return [(await once(threads=False), await once(threads=True)) for _ in range(rounds)]

    rows = []
    for name, options in (("asyncio", {}), ("uvloop", {"use_uvloop": True}), ("trio", {})):
        backend = "asyncio" if name == "uvloop" else name
        try:
            figures = anyio.run(measure, backend=backend, backend_options=options)
        except ImportError as error:
            rows.append([name, str(error), "-", "-"])
            continue
        in_place, in_thread = (median(column) for column in zip(*figures, strict=True))
        rows.append([name, f"{in_place:.1f}", f"{in_thread:.1f}", f"{median(t / p for p, t in figures):.1f}"])
    title = "Microseconds of processor time to find, open, read and close a file of 10 KB"
    print_table(title, ["loop", "in place", "in a thread", "ratio"], rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--mib", type=int, default=100, help="size of the large file")
    parser.add_argument("--times", type=int, default=5, help="how often it is sent in a round")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with TemporaryDirectory() as made:
        folder = Path(made, "files")
        (folder / "css").mkdir(parents=True)
        (folder / "css" / "small.css").write_bytes(b"x" * 10_000)
        (folder / "css" / "small.css.gz").write_bytes(b"x" * 2_000)
        with (folder / "large").open("wb") as file:
            for _ in range(options.mib):
                file.write(os.urandom(MIB))
        for path in (folder / "large", folder / "css" / "small.css", folder / "css" / "small.css.gz"):
            os.utime(path, (1e9, 1e9))
        time.sleep(2.1)  # tags of files that were just changed are not remembered
        os.environ["BENCHMARK_FILES"] = str(folder)
        look_up(folder, 2000, options.rounds)
        compare(options.mib * MIB, options.times, options.rounds, Path(made))
    return 0


if __name__ == "__main__":
    sys.exit(main())
