"""One representation as seven kinds of response, and an item that can be changed."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tricorn import App, FileResponse, Middleware, Request, Response, StaticFiles, StreamingResponse
from tricorn.response import SeekableResponse
from tricorn.types import ASGIApp, Message, Receive, Scope, Send

CONTENT = bytes(range(256)) * 200
MODIFIED = "Sun, 06 Nov 1994 08:49:37 GMT"
MOMENT = 784111777
FIELDS = {"content-type": "application/x-bytes", "last-modified": MODIFIED}


@asynccontextmanager
async def lifespan(app: App) -> AsyncIterator[Mapping[str, object]]:
    with TemporaryDirectory() as folder:
        path = Path(folder, "content.bin")
        path.write_bytes(CONTENT)
        os.utime(path, (MOMENT, MOMENT + 0.25))
        yield {"path": path, "shrinking": Path(folder, "shrinking"), "item": ["one"]}


app = App(lifespan=lifespan, cache="public, max-age=60", vary="Accept-Language")

# What is mounted is there before anything starts.
assets = TemporaryDirectory()
Path(assets.name, "content.bin").write_bytes(CONTENT)
os.utime(Path(assets.name, "content.bin"), (MOMENT, MOMENT + 0.25))
app.mount("/static", StaticFiles(assets.name, media_types={"bin": FIELDS["content-type"]}))


@app.get("/buffered")
async def buffered() -> Response:
    return Response(CONTENT, headers=FIELDS)


@app.get("/stream")
async def stream() -> Response:
    async def parts() -> AsyncIterator[bytes]:
        for start in range(0, len(CONTENT), 1000):
            yield CONTENT[start : start + 1000]

    return StreamingResponse(parts(), headers={**FIELDS, "etag": '"stream"'})


@app.get("/file")
async def file(request: Request) -> Response:
    return FileResponse(request.state.path, headers={"content-type": FIELDS["content-type"]})


class Truncating:
    """Cuts the file off when its response has begun."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_and_cut(message: Message) -> None:
            await send(message)
            if message["type"] == "http.response.start":
                os.truncate(scope["state"]["shrinking"], 10_000)

        await self.app(scope, receive, send_and_cut)


@app.get("/shrinking", middleware=[Middleware(Truncating)])
async def shrinking(request: Request) -> Response:
    request.state.shrinking.write_bytes(CONTENT * 4)  # a small file is read before anything is sent
    return FileResponse(request.state.shrinking)


@app.get("/early")
async def early(request: Request) -> Response:
    request.check_preconditions(etag="early", last_modified=MOMENT)
    return Response(CONTENT, media_type=FIELDS["content-type"])


@app.get("/declared", etag="declared", last_modified=MOMENT)
async def declared() -> Response:
    return Response(CONTENT, media_type=FIELDS["content-type"])


class Store:
    length = len(CONTENT)

    async def read(self, offset: int, count: int) -> AsyncIterator[bytes]:
        for start in range(offset, offset + count, 999):
            yield CONTENT[start : min(start + 999, offset + count)]


@app.get("/object")
async def object_() -> Response:
    return SeekableResponse(Store(), media_type=FIELDS["content-type"], etag="object", last_modified=MOMENT)


def tag(request: Request) -> str | None:
    return request.state.item[0] if request.state.item else None


@app.route("/item", methods=("GET", "PUT", "DELETE"), etag=tag, require_preconditions=True)
async def item(request: Request) -> object:
    if request.method == "PUT":
        request.state.item[:] = [(await request.body()).decode()]
    elif request.method == "DELETE":
        request.state.item.clear()
    return request.state.item[0] if request.state.item else ("", 404)
