"""Measures what judging conditional requests costs, and what a 304 saves: in the framework, and served.

Rules of this module: what is compared takes turns, each figure is the median of its rounds, and each ratio the median
of the ratios round by round. Every answer's status is checked before anything is measured.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from conditional_apps import APPS
from loads import run_load
from processes import BIN, PROTOCOLS, Contender, Missing, ServerProcess, free_port, split_cores
from report import print_table

Fields = tuple[tuple[bytes, bytes], ...]

#: What a browser sends that has nothing stored.
_FIELDS: Fields = (
    (b"host", b"127.0.0.1"),
    (b"user-agent", b"Mozilla/5.0 (X11; Linux x86_64)"),
    (b"accept", b"*/*"),
    (b"accept-encoding", b"gzip, deflate, br"),
)
_H1 = PROTOCOLS[0]


@dataclass
class Case:
    """One request to one application, and what it took: microseconds, one figure a round.

    Attributes:
        app: A name in ``APPS``.
        is_revalidation: Whether the request names the tag that the response has.
    """

    app: str
    path: str
    is_revalidation: bool = False
    tag: bytes = b""
    alone: list[float] = field(default_factory=list)
    served: list[float] = field(default_factory=list)

    def fields(self) -> Fields:
        return ((b"if-none-match", self.tag),) if self.is_revalidation else ()

    def scopes(self, count: int) -> list[MutableMapping[str, Any]]:
        """What a server of ours hands over; the scope is its work."""
        return [
            {
                "type": "http",
                "asgi": {"version": "3.0", "spec_version": "2.5"},
                "http_version": "1.1",
                "method": "GET",
                "scheme": "http",
                "path": self.path,
                "raw_path": self.path.encode(),
                "query_string": b"",
                "root_path": "",
                "headers": [*_FIELDS, *self.fields()],
                "client": ("127.0.0.1", 50_000),
                "server": ("127.0.0.1", 8000),
                "state": {},
                "extensions": {"tricorn.disconnect": {"register": _register}},
            }
            for _ in range(count)
        ]


def _register(callback: Callable[[], None]) -> None:
    pass


async def _receive() -> MutableMapping[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def check(case: Case) -> None:
    """Takes the response's tag, and asks once.

    Raises:
        SystemExit: An answer is wrong; nothing that follows would mean anything.
    """
    heads: list[MutableMapping[str, Any]] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            heads.append(message)

    await APPS[case.app](Case(case.app, case.path).scopes(1)[0], _receive, send)
    case.tag = dict(heads[0]["headers"]).get(b"etag", b"")
    await APPS[case.app](case.scopes(1)[0], _receive, send)
    statuses = [head["status"] for head in heads]
    if statuses != [200, 304 if case.is_revalidation else 200]:
        raise SystemExit(f"{case}: {statuses}")


async def measure_alone(case: Case, requests: int) -> None:
    async def send(message: MutableMapping[str, Any]) -> None:
        pass

    scopes = case.scopes(requests)
    app = APPS[case.app]
    start = time.process_time()
    for scope in scopes:
        await app(scope, _receive, send)
    case.alone.append((time.process_time() - start) / requests * 1e6)


def measure_served(case: Case, server: ServerProcess, cores: set[int], seconds: int) -> None:
    before = server.cpu_seconds()
    load = run_load(_H1, server.port, seconds, cores, path=case.path, fields=[*_FIELDS[1:], *case.fields()])
    if load.errors:
        raise SystemExit(f"{case}: {load.errors} errors")
    case.served.append((server.cpu_seconds() - before) / load.requests * 1e6)


def start_server(app: str, loop: str, cores: set[int], folder: Path) -> ServerProcess:
    port = free_port()
    command = [str(BIN / "tricorn"), "run", f"benchmarks.conditional_apps:{app}", "--bind", f"127.0.0.1:{port}"]
    command += ["--runtime", loop, "--no-access-log", "--log-level", "warning"]
    server = ServerProcess.start(Contender("tricorn", loop), command, port, cores, folder)
    server.wait_until_bound(_H1)
    return server


#: What the middleware adds: with it, and without.
ADDED: dict[str, tuple[Case, Case]] = {
    "13 bytes, no validators": (Case("untagged", "/plain/13"), Case("bare", "/plain/13")),
    "16 KiB, no validators": (Case("untagged", "/plain/16384"), Case("bare", "/plain/16384")),
    "a stream of 4 KiB, no validators": (Case("judged", "/stream"), Case("bare", "/stream")),
    "13 bytes, tag by content": (Case("judged", "/plain/13"), Case("bare", "/plain/13")),
    "1 KiB, tag by content": (Case("judged", "/plain/1024"), Case("bare", "/plain/1024")),
    "16 KiB, tag by content": (Case("judged", "/plain/16384"), Case("bare", "/plain/16384")),
    "13 bytes, declared tag": (Case("judged", "/declared/13"), Case("bare", "/declared/13")),
}


def _hit(path: str) -> tuple[Case, Case]:
    return Case("judged", path, is_revalidation=True), Case("judged", path)


#: What a 304 costs: it, and the 200 in its place.
HITS: dict[str, tuple[Case, Case]] = {
    "13 bytes, declared tag": _hit("/declared/13"),
    "16 KiB, declared tag": _hit("/declared/16384"),
    "256 KiB, declared tag": _hit("/declared/262144"),
    "50 rows of JSON, declared tag": _hit("/rows"),
    "13 bytes, check_preconditions()": _hit("/early/13"),
    "16 KiB, check_preconditions()": _hit("/early/16384"),
    "13 bytes, tag by content": _hit("/plain/13"),
    "16 KiB, tag by content": _hit("/plain/16384"),
    "256 KiB, tag by content": _hit("/plain/262144"),
}


def rows(pairs: dict[str, tuple[Case, Case]], *, is_served: bool) -> list[list[str]]:
    """Both figures and their ratio, of each pair, alone and served."""
    table = []
    for name, (first, second) in pairs.items():
        row = [name]
        for ours, base in [(first.alone, second.alone)] + ([(first.served, second.served)] if is_served else []):
            ratio = median(a / b for a, b in zip(ours, base, strict=True))
            row += [f"{median(ours):.1f}", f"{median(base):.1f}", f"{ratio:.2f}"]
        table.append(row)
    return table


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--requests", type=int, default=500, help="of each kind in a round, in the framework alone")
    parser.add_argument("--seconds", type=int, default=1, help="of each kind in a round, through the server")
    parser.add_argument("--loop", default="uvloop", choices=("uvloop", "asyncio", "trio"))
    parser.add_argument("--alone", action="store_true", help="no server")
    options = parser.parse_args()

    cases = [case for pair in (*ADDED.values(), *HITS.values()) for case in pair]
    for case in cases:
        asyncio.run(check(case))
    for number in range(options.rounds + 1):
        for case in cases:
            asyncio.run(measure_alone(case, options.requests))
            if not number:  # the first round warms caches, and is not counted
                case.alone.clear()
    if not options.alone:
        server_cores, load_cores = split_cores()
        with tempfile.TemporaryDirectory() as folder:
            servers = {name: start_server(name, options.loop, server_cores, Path(folder)) for name in APPS}
            try:
                for number in range(options.rounds + 1):
                    for case in cases:
                        measure_served(case, servers[case.app], load_cores, options.seconds)
                        if not number:
                            case.served.clear()
            except Missing as error:  # what was measured without a server stands for itself
                print(f"served: {error}", file=sys.stderr)
                options.alone = True
            finally:
                for server in servers.values():
                    server.stop()

    is_served = not options.alone
    served = f"served ({options.loop})"
    head = ["", "with", "without", "ratio"] + ([f"{served}: with", "without", "ratio"] if is_served else [])
    print_table("What the middleware adds: microseconds of CPU a request", head, rows(ADDED, is_served=is_served))
    head = ["", "304", "200", "ratio"] + ([f"{served}: 304", "200", "ratio"] if is_served else [])
    print_table("What a 304 costs, and the 200 in its place", head, rows(HITS, is_served=is_served))
    return 0


if __name__ == "__main__":
    sys.exit(main())
