"""Measures what compression costs: where there is nothing to do, for each coding, and in a thread or on the loop.

Rules of this module: middleware is called as a server calls it, around an application that only sends or in one of
ours; ours, Starlette's ``GZipMiddleware`` and none take turns, and each figure is the median of its rounds. What comes
out is decoded once before anything is measured.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import random
import sys
import time
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from statistics import median
from typing import Any

import anyio.to_thread
import brotli
from backports import zstd
from report import print_table
from starlette.middleware.gzip import GZipMiddleware

from tricorn import App, Response, Route
from tricorn.codings import DEFAULT_LEVELS, load_codings
from tricorn.middleware import CompressionMiddleware

ASGI = Callable[[Any, Any, Any], Awaitable[None]]

DECODE = {"gzip": gzip.decompress, "br": brotli.decompress, "zstd": zstd.decompress, None: bytes}


def document(size: int) -> bytes:
    """JSON of rows that resemble one another as a database's do."""
    chance = random.Random(1)
    words = ["".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=chance.randint(3, 9))) for _ in range(3000)]
    rows, length = [], 0
    while length < size:
        row = {"id": chance.randrange(10**6), "name": " ".join(chance.choices(words, k=3)), "on": chance.random() < 0.5}
        rows.append(json.dumps({**row, "tags": chance.choices(words, k=4), "score": round(chance.random(), 4)}))
        length += len(rows[-1])
    return ",".join(rows).encode()[:size]


def sender(media_type: bytes, body: bytes) -> ASGI:
    """An application that costs nothing."""
    length = b"%d" % len(body)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-type", media_type), (b"content-length", length)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


Factory = Callable[[ASGI], ASGI]


def around_nothing(media_type: str, body: bytes, middleware: Factory | None) -> ASGI:
    app = sender(media_type.encode(), body)
    return app if middleware is None else middleware(app)


def in_an_app(media_type: str, body: bytes, middleware: Factory | None) -> ASGI:
    """Among an application's middleware, with all that is around a handler."""

    async def handler() -> Response:
        return Response(body, media_type=media_type)

    return App([Route("/", handler)], middleware=[] if middleware is None else [middleware])


class Call:
    """One request, again and again."""

    def __init__(self, app: ASGI, coding: str) -> None:
        self.app = app
        self.headers = [(b"host", b"localhost"), (b"accept-encoding", coding.encode())]
        self.sent: list[Any] = []

    async def receive(self) -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(self, message: Any) -> None:
        self.sent.append(message)

    async def once(self) -> None:
        self.sent.clear()
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
            "path": "/", "raw_path": b"/", "query_string": b"", "root_path": "", "headers": self.headers,
            "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80),
        }  # fmt: skip
        await self.app(scope, self.receive, self.send)

    async def many(self, count: int) -> float:
        """Microseconds of one."""
        start = time.perf_counter()
        for _ in range(count):
            await self.once()
        return (time.perf_counter() - start) / count * 1e6

    async def check(self, body: bytes, coding: str | None) -> int:
        """The length of what is sent, once it is known to be right."""
        await self.once()
        sent = b"".join(message.get("body", b"") for message in self.sent)
        fields = dict(self.sent[0]["headers"])
        found = fields.get(b"content-encoding")
        assert found == (coding and coding.encode()), (found, coding)
        assert DECODE[coding](sent) == body
        return len(sent)


async def medians(calls: dict[str, Call], rounds: int, count: int) -> dict[str, float]:
    figures: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            figures[name].append(await call.many(count))
    return {name: median(found) for name, found in figures.items()}


async def nothing_to_do(rounds: int, count: int) -> None:
    rows = []
    for what, media_type, body, accepted in [
        ("an image", "image/png", bytes(16_000), "gzip, br, zstd"),
        ("13 bytes of text", "text/plain", b"Hello, world!", "gzip, br, zstd"),
        ("a text, to a client without codings", "text/plain", document(4000), "identity"),
    ]:
        for where, make in (("around nothing", around_nothing), ("in an App", in_an_app)):
            calls = {
                "none": Call(make(media_type, body, None), accepted),
                "ours": Call(make(media_type, body, CompressionMiddleware), accepted),
                "starlette": Call(make(media_type, body, GZipMiddleware), accepted),
            }
            for call in calls.values():
                await call.check(body, None)
            found = await medians(calls, rounds, count)
            ratios = [f"{found[name] / found['none']:.3f}" for name in ("ours", "starlette")]
            rows.append([f"{what}, {where}", *(f"{found[name]:.2f}" for name in calls), *ratios])
    title = f"Microseconds of a response that is not coded; Starlette {version('starlette')}"
    print_table(title, ["what", "none", "ours", "Starlette's", "ours / none", "Starlette's / none"], rows)


async def codings(rounds: int) -> None:
    rows = []
    for size in (2_000, 20_000, 200_000, 1_000_000):
        body = document(size)
        app = sender(b"application/json", body)
        calls = {coding: Call(CompressionMiddleware(app), coding) for coding in DEFAULT_LEVELS}
        calls["Starlette's gzip"] = Call(GZipMiddleware(app), "gzip")
        lengths = {name: await call.check(body, name if name in DECODE else "gzip") for name, call in calls.items()}
        found = await medians(calls, rounds, max(2_000_000 // size // 10, 1))
        rows += [[f"{size}", name, f"{found[name]:.0f}", f"{size / lengths[name]:.2f}"] for name in calls]
    print_table("Microseconds of a JSON response that is coded", ["bytes", "coding", "time", "made smaller by"], rows)


async def threads(rounds: int) -> None:
    """Where a thread begins to be worth it: what it costs beside what the loop would be kept from doing."""
    rows = []
    for size in (4_096, 16_384, 32_768, 65_536, 262_144):
        body = document(size)
        for name, coding in load_codings(DEFAULT_LEVELS, {}).items():
            inline, thread = [], []
            for _ in range(rounds * 3):
                start = time.perf_counter()
                coding.compress(body)
                middle = time.perf_counter()
                await anyio.to_thread.run_sync(coding.compress, body)
                inline.append((middle - start) * 1e6)
                thread.append((time.perf_counter() - middle) * 1e6)
            rows.append([f"{size}", name, f"{median(inline):.0f}", f"{median(thread):.0f}"])
    print_table("Microseconds of compression", ["bytes", "coding", "on the loop", "in a thread"], rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--calls", type=int, default=2000, help="calls of each in a round")
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    asyncio.run(nothing_to_do(options.rounds, options.calls))
    asyncio.run(codings(options.rounds))
    asyncio.run(threads(options.rounds))
    return 0


if __name__ == "__main__":
    sys.exit(main())
