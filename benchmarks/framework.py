"""Measures what a request costs inside the framework, beside other frameworks, with no server and no socket.

Rules of this module: each framework answers the same four requests as its own documentation would write them, called
as a server calls it: a fresh scope, a receive() and a send(). The frameworks take turns, and each figure is the median
of its rounds. What an answer holds is checked once before anything is measured.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, MutableMapping
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

from report import print_table

App = Callable[[Any, Any, Any], Awaitable[None]]

ROUTES = 100
ITEM = {"id": 7, "name": "seven", "tags": ["odd", "prime"]}

#: What is asked, by the name of its column: the path and the body that must come back.
REQUESTS: dict[str, tuple[str, Callable[[bytes], bool]]] = {
    "text": ("/text", lambda body: body == b"Hello, world!"),
    "JSON": ("/json", lambda body: json.loads(body) == ITEM),
    "path parameter": ("/items/7", lambda body: body == b"8"),
    f"last of {ROUTES}": (f"/section{ROUTES - 1}/page", lambda body: body == b"page"),
}


def tricorn_app() -> App:
    from tricorn import App as Tricorn

    app = Tricorn()

    @app.get("/text")
    async def text() -> str:
        return "Hello, world!"

    @app.get("/json")
    async def document() -> dict[str, object]:
        return ITEM

    @app.get("/items/{number:int}")
    async def item(number: int) -> str:
        return str(number + 1)

    async def page() -> str:
        return "page"

    for index in range(ROUTES):
        app.get(f"/section{index}/page")(page)
    return app


def starlette_app() -> App:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse, PlainTextResponse
    from starlette.routing import Route

    async def text(request: Request) -> PlainTextResponse:
        return PlainTextResponse("Hello, world!")

    async def document(request: Request) -> JSONResponse:
        return JSONResponse(ITEM)

    async def item(request: Request) -> PlainTextResponse:
        return PlainTextResponse(str(request.path_params["number"] + 1))

    async def page(request: Request) -> PlainTextResponse:
        return PlainTextResponse("page")

    routes = [Route("/text", text), Route("/json", document), Route("/items/{number:int}", item)]
    return Starlette(routes=routes + [Route(f"/section{index}/page", page) for index in range(ROUTES)])


def fastapi_app() -> App:
    from fastapi import FastAPI
    from fastapi.responses import PlainTextResponse

    app = FastAPI(openapi_url=None)

    @app.get("/text", response_class=PlainTextResponse)
    async def text() -> str:
        return "Hello, world!"

    @app.get("/json")
    async def document() -> dict[str, object]:
        return ITEM

    @app.get("/items/{number}", response_class=PlainTextResponse)
    async def item(number: int) -> str:
        return str(number + 1)

    async def page() -> str:
        return "page"

    for index in range(ROUTES):
        app.get(f"/section{index}/page", response_class=PlainTextResponse)(page)
    return app


def litestar_app() -> App:
    from litestar import Litestar, MediaType, get

    @get("/text", media_type=MediaType.TEXT)
    async def text() -> str:
        return "Hello, world!"

    @get("/json")
    async def document() -> dict[str, object]:
        return ITEM

    @get("/items/{number:int}", media_type=MediaType.TEXT)
    async def item(number: int) -> str:
        return str(number + 1)

    @get([f"/section{index}/page" for index in range(ROUTES)], media_type=MediaType.TEXT)
    async def page() -> str:
        return "page"

    # Litestar finds handlers' annotations by name; here they are all built in. No OpenAPI, as nobody else makes one.
    return Litestar([text, document, item, page], openapi_config=None)


FRAMEWORKS: dict[str, Callable[[], App]] = {
    "tricorn": tricorn_app,
    "starlette": starlette_app,
    "fastapi": fastapi_app,
    "litestar": litestar_app,
}

_SCOPE = {
    "type": "http",
    "asgi": {"version": "3.0", "spec_version": "2.5"},
    "http_version": "1.1",
    "method": "GET",
    "scheme": "http",
    "query_string": b"",
    "root_path": "",
    "headers": [
        (b"host", b"localhost"),
        (b"user-agent", b"Mozilla/5.0 (X11; Linux x86_64)"),
        (b"accept", b"*/*"),
        (b"accept-encoding", b"gzip, deflate, br"),
    ],
    "client": ("127.0.0.1", 50_000),
    "server": ("127.0.0.1", 8000),
}


def _scope(path: str) -> MutableMapping[str, Any]:
    return _SCOPE | {"path": path, "raw_path": path.encode(), "state": {}, "extensions": {}}


async def _receive() -> MutableMapping[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def check(name: str, app: App) -> None:
    """Asks once for each column.

    Raises:
        SystemExit: An answer is wrong; nothing that follows would mean anything.
    """
    for column, (path, is_right) in REQUESTS.items():
        body = b""
        status = 0

        async def send(message: MutableMapping[str, Any]) -> None:
            nonlocal body, status
            status = message.get("status", status)
            body += message.get("body", b"")

        await app(_scope(path), _receive, send)
        if status != 200 or not is_right(body):
            raise SystemExit(f"{name}, {column}: {status} {body[:80]!r}")


async def microseconds(app: App, path: str, requests: int) -> float:
    """What one request costs, from the call of the application to its return."""

    async def send(message: MutableMapping[str, Any]) -> None:
        pass

    # The scope is the server's work.
    scopes = [_scope(path) for _ in range(requests)]
    start = time.process_time()
    for scope in scopes:
        await app(scope, _receive, send)
    return (time.process_time() - start) / requests * 1e6


async def measure(rounds: int, requests: int) -> dict[str, dict[str, list[float]]]:
    """Microseconds of each round, by framework and column."""
    apps = {name: make() for name, make in FRAMEWORKS.items() if find_spec(name) is not None}
    for name, app in apps.items():
        await check(name, app)
    result: dict[str, dict[str, list[float]]] = {name: {column: [] for column in REQUESTS} for name in apps}
    for number in range(rounds + 1):
        for column, (path, _) in REQUESTS.items():
            for name, app in apps.items():
                taken = await microseconds(app, path, requests)
                if number:  # the first round warms caches, and is not counted
                    result[name][column].append(taken)
    return result


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--requests", type=int, default=1000, help="in each round, of each kind")
    parser.add_argument("--json", type=Path, metavar="FILE", help="all figures of all rounds")
    chosen = parser.parse_args()
    result = asyncio.run(measure(chosen.rounds, chosen.requests))
    for name in FRAMEWORKS.keys() - result.keys():
        print(f"{name} is not installed")
    rows = [[name, *(f"{median(found[column]):.1f}" for column in REQUESTS)] for name, found in result.items()]
    print_table("Microseconds of CPU for a request", ["framework", *REQUESTS], rows)
    mine = result["tricorn"]
    rows = []
    for name, found in result.items():
        ratios = [median(a / b for a, b in zip(found[one], mine[one], strict=True)) for one in REQUESTS]
        rows.append([name, *(f"{value:.2f}" for value in ratios)])
    print_table("Times tricorn's, the median of the ratios round by round", ["framework", *REQUESTS], rows)
    if chosen.json is not None:
        chosen.json.write_text(json.dumps(result, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
