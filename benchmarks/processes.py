"""The servers that are compared, as processes pinned on one core, and what the kernel says of them.

Rules of this module: a server is started as its own users start it, by its command line, with its access log off. What
a server used is read from /proc for its whole process tree, so that one that forks a worker is counted whole.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent
APP = "benchmarks.apps:hello"

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Protocol:
    """One way to be asked.

    Attributes:
        version: ``h1``, ``h2`` or ``h3``.
    """

    name: str
    version: str
    tls: bool

    def url(self, port: int) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{port}/"


PROTOCOLS = (
    Protocol("h1", "h1", tls=False),
    Protocol("h1 TLS", "h1", tls=True),
    Protocol("h2 clear", "h2", tls=False),
    Protocol("h2 TLS", "h2", tls=True),
    Protocol("h3", "h3", tls=True),
)


@dataclass(frozen=True)
class Certificate:
    """Paths of PEM files, for localhost and 127.0.0.1."""

    cert: str
    key: str


def make_certificate(folder: Path) -> Certificate:
    """A certificate of its own authority, ECDSA P-256 as most sites have today."""
    import trustme

    leaf = trustme.CA(key_type=trustme.KeyType.ECDSA).issue_cert(
        "localhost", "127.0.0.1", key_type=trustme.KeyType.ECDSA
    )
    cert, key = folder / "cert.pem", folder / "key.pem"
    cert.write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
    leaf.private_key_pem.write_to_path(key)
    return Certificate(str(cert), str(key))


class Missing(Exception):
    """A row of the table cannot be had; the text says why."""


@dataclass(frozen=True)
class Contender:
    """One server in one setting.

    Attributes:
        kind: ``tricorn``, ``hypercorn``, ``uvicorn`` or ``least``.
        loop: ``asyncio``, ``uvloop`` or ``trio``.
        tree: Another tree of this repository, whose ``tricorn`` is served in place of this one's.
        parser: What parses HTTP/1.1: ``h11`` or ``httptools``.
    """

    kind: str
    loop: str
    tree: Path | None = None
    parser: str = "h11"

    @property
    def name(self) -> str:
        parser = f" {self.parser}" if self.parser != "h11" else ""
        return f"{self.kind} {self.loop}{parser}" + (f" ({self.tree.name})" if self.tree else "")

    def is_for(self, protocol: Protocol) -> bool:
        """Whether a row of that protocol would say anything."""
        return protocol.version == "h1" or (self.kind != "uvicorn" and self.parser == "h11")

    def command(self, protocol: Protocol, certificate: Certificate, port: int) -> list[str]:
        """The command line that serves ``APP``.

        Raises:
            Missing: This server does not speak that protocol, or something is not installed.
        """
        for package in (self.loop, self.parser):
            if package != "asyncio" and find_spec(package) is None:
                raise Missing(f"{package} is not installed")
        address = f"127.0.0.1:{port}"
        tls = ["--tls-cert", certificate.cert, "--tls-key", certificate.key] if protocol.tls else []
        if self.kind == "least":
            least = str(ROOT / "benchmarks" / "least.py")
            return [sys.executable, least, protocol.version, str(port), *tls, "--loop", self.loop]
        if self.kind == "tricorn":
            command = [str(BIN / "tricorn"), "run", APP, "--bind", address, *tls]
            command += ["--engine", f"h1={self.parser}"]
            return [*command, "--runtime", self.loop, "--no-access-log", "--log-level", "warning"]
        if find_spec(self.kind) is None:
            raise Missing(f"{self.kind} is not installed")
        if self.kind == "uvicorn":
            tls = ["--ssl-certfile", certificate.cert, "--ssl-keyfile", certificate.key] if protocol.tls else []
            command = [str(BIN / "uvicorn"), APP, "--port", str(port), *tls, "--http", self.parser, "--loop", self.loop]
            return [*command, "--no-access-log", "--log-level", "warning"]
        command = [
            str(BIN / "hypercorn"),
            APP,
            "--bind",
            address,
            "--worker-class",
            self.loop,
            "--log-level",
            "warning",
        ]
        if protocol.tls:
            command += ["--certfile", certificate.cert, "--keyfile", certificate.key, "--quic-bind", address]
        return command


@contextmanager
def pinned(cores: set[int]) -> Iterator[None]:
    """What is started inside runs on these cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def split_cores() -> tuple[set[int], set[int]]:
    """One core for the server, the others for the load; the same one for both where there is no other."""
    cores = sorted(os.sched_getaffinity(0))
    return {cores[0]}, set(cores[1:]) or {cores[0]}


def free_port() -> int:
    """A port that is free for TCP and UDP."""
    while True:
        with (
            socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        ):
            tcp.bind(("127.0.0.1", 0))
            port: int = tcp.getsockname()[1]
            try:
                udp.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


@dataclass
class ServerProcess:
    """A running server."""

    command: list[str]
    port: int
    process: subprocess.Popen[bytes]
    log: Path
    started_at: float = field(default_factory=time.perf_counter)

    @classmethod
    def start(cls, contender: Contender, command: list[str], port: int, cores: set[int], folder: Path) -> ServerProcess:
        tree = contender.tree or ROOT
        sources = (tree / "transports", tree / "framework", ROOT)
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, sources))}
        log = folder / f"server-{port}.log"
        with pinned(cores), log.open("wb") as output:
            begun = time.perf_counter()
            process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=output)
        return cls(command, port, process, log, begun)

    def wait_until_bound(self, protocol: Protocol, timeout: float = 30) -> None:
        """Waits for the port to be in use: over UDP for h3, else over TCP.

        Raises:
            Missing: The server ended, or did not come up in time.
        """
        end = time.perf_counter() + timeout
        while time.perf_counter() < end:
            if self.process.poll() is not None:
                lines = self.log.read_text(errors="replace").strip().splitlines()
                raise Missing(f"the server ended: {lines[-1] if lines else 'without a word'}")
            if _is_bound(self.port, protocol):
                return
            time.sleep(0.02)
        raise Missing(f"the server did not listen within {timeout:.0f} seconds")

    def cpu_seconds(self) -> float:
        """User and system time of the process tree so far."""
        total = 0
        for pid in _tree(self.process.pid):
            fields = _stat(pid)
            if fields:
                total += int(fields[11]) + int(fields[12])
        return total / _TICKS

    def resident_bytes(self) -> int:
        """Resident memory of the process tree."""
        total = 0
        for pid in _tree(self.process.pid):
            try:
                total += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
            except FileNotFoundError:
                continue
        return total * _PAGE

    def stop(self) -> None:
        """Ends the tree, by pid: a draining server would wait for the connections of the load."""
        for pid in _tree(self.process.pid):
            try:
                os.kill(pid, 9)
            except ProcessLookupError:
                continue
        self.process.wait()


def _is_bound(port: int, protocol: Protocol) -> bool:
    table, listening = ("udp", "07") if protocol.version == "h3" else ("tcp", "0A")
    lines = Path(f"/proc/net/{table}").read_text().splitlines()[1:]
    return any(line.split()[1].endswith(f":{port:04X}") and line.split()[3] == listening for line in lines)


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat behind the command's name, which may hold spaces."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _tree(root: int) -> list[int]:
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            fields = _stat(int(entry.name))
            if fields:
                parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found = [root]
    for pid in found:
        found.extend(parents.get(pid, ()))
    return found
