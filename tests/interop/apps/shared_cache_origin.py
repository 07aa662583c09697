"""An origin for shared caches: one route for each policy, and a record of every request that reaches it.

A resource is ``/policy/key``. Its content is the number of the request for it, so that whoever gets it knows whether it
was stored; its record is at ``/record/policy/key``, to be read past the cache.
"""

from __future__ import annotations

import asyncio
import gzip
from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory

from tricorn import App, Middleware, NotModified, Request, Response
from tricorn.caching import CacheControl, format_targeted
from tricorn.middleware import CompressionMiddleware
from tricorn.types import ASGIApp, Message, Receive, Scope, Send

CONTENT = bytes(range(256)) * 400
TEXT = "the same words again and again, " * 200


class Record:
    """Outside of the application, so that it sees the answers that the client gets.

    Attributes:
        requests: By path, one entry for each request: its method and the status it was answered with, or ``None``.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.requests: defaultdict[str, list[list[object]]] = defaultdict(list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        entry: list[object] = [scope["method"], None]
        self.requests[scope["path"]].append(entry)

        async def send_recorded(message: Message) -> None:
            if message["type"] == "http.response.start":
                entry[1] = message["status"]
            await send(message)

        await self.app(scope, receive, send_recorded)


site = App()
app = Record(site)
released: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)


@site.get("/record/{path:path}", cache="no-store")
async def record(path: str) -> list[list[object]]:
    return app.requests[f"/{path}"]


def number(request: Request) -> str:
    return str(len(app.requests[request.path]))


def declare(path: str, policy: CacheControl | str, **headers: str) -> None:
    @site.get(path + "/{key}", cache=policy)
    async def resource(request: Request) -> Response:
        return Response(number(request), headers=headers)


declare("/public", CacheControl.public(max_age=600))
declare("/private", CacheControl.private(max_age=600))
declare("/no-store", "no-store")
declare("/longer-when-shared", CacheControl(max_age=0, s_maxage=600))
declare("/shorter-when-shared", CacheControl(max_age=600, s_maxage=1))
declare("/cookie", CacheControl.public(max_age=600), **{"Set-Cookie": "who=you"})
declare("/cdn", "no-store", **{"CDN-Cache-Control": format_targeted(CacheControl(max_age=600))})


@site.get("/revalidated/{key}", cache=CacheControl.public(max_age=1))
async def revalidated(request: Request) -> str:
    """Fresh for a second, and once more for long: a 304 renews what is stored with its own fields."""
    if request.headers.get("if-none-match") == '"constant"':
        raise NotModified([(b"etag", b'"constant"'), (b"cache-control", b"public, max-age=600")])
    request.check_preconditions(etag="constant")
    return number(request)


@site.get("/stale/{key}", cache=CacheControl.public(max_age=1, stale_while_revalidate=600))
async def stale(request: Request) -> str:
    """The first request is answered at once, another only after ``POST /release/key``."""
    content = number(request)
    if content != "1":
        await released[request.path_params["key"]].wait()
    return content


@site.post("/release/{key}")
async def release(key: str) -> None:
    released[key].set()


@site.get("/language/{key}", cache=CacheControl.public(max_age=600), vary="Accept-Language")
async def language(request: Request) -> dict[str, str]:
    return {"language": request.headers.get("accept-language", ""), "number": number(request)}


@site.get("/coded/{key}", cache=CacheControl.public(max_age=600), middleware=[Middleware(CompressionMiddleware)])
async def coded(request: Request) -> str:
    return TEXT + number(request)


files = TemporaryDirectory()  # it goes with the process
for cache in ("varnish", "nginx"):
    Path(files.name, cache).write_bytes(CONTENT)
    Path(files.name, f"{cache}.gz").write_bytes(gzip.compress(CONTENT, mtime=0))
site.static("/static", files.name, cache=CacheControl.public(max_age=600))


@site.get("/bytes/{key}", cache=CacheControl.public(max_age=600))
async def content() -> Response:
    return Response(CONTENT, headers={"content-type": "application/x-bytes"})
