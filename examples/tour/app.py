"""The tour's application: every kind of answer that Tricorn gives, each in a few lines."""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio

from tricorn import App, HTTPException, Request, WebSocket, WebSocketDisconnect
from tricorn.caching import CacheControl
from tricorn.response import EventSourceResponse, Response, ServerSentEvent, StreamingResponse
from tricorn.templates import Templates

HERE = Path(__file__).parent
TILES = 24
MIB = 1 << 20

templates = Templates(HERE / "pages")


@asynccontextmanager
async def lifespan(app: App) -> AsyncIterator[dict[str, Any]]:
    """What is set up here before the first request stands in ``request.state``."""
    yield {"started": datetime.now(UTC)}


app = App(lifespan=lifespan)
# By their plain names browsers keep these and ask whether they are still the same; by static_url they need not ask.
app.static("/assets", HERE / "assets")


@app.get("/", cache=CacheControl.no_cache())
async def index(request: Request) -> Response:
    # One call: a push for a client that takes pushes, else a 103, else a Link field.
    await request.hint(request.static_url("tour.css"), as_="style")
    context = {"http_version": request.http_version, "tiles": range(TILES), "started": request.state.started}
    return templates.response(request, "index.html", context)


@app.get("/tiles/{number:int}")
async def tile(number: int) -> Response:
    """A picture that takes a moment: many at once show what multiplexing is worth."""
    await anyio.sleep(0.03)
    hue = number % TILES * 360 // TILES
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 40 40">'
        f'<rect width="40" height="40" rx="6" fill="hsl({hue} 70% 55%)"/>'
        '<path d="M6 26 Q20 32 34 26 L29 13 Q20 9 11 13 Z" fill="#fff8"/></svg>'
    )
    return Response(svg, media_type="image/svg+xml", headers={"cache-control": "no-store"})


@app.get("/api/request", cache=CacheControl.no_store())
async def about(request: Request) -> dict[str, object]:
    """What the server saw of this very request."""
    return {
        "http_version": request.http_version,
        "method": request.method,
        "url": str(request.url),
        "client": request.client,
        "headers": dict(request.headers.items()),
    }


@app.post("/api/echo")
async def echo_json(request: Request) -> Any:
    return await request.json()


@app.post("/upload")
async def upload(request: Request) -> dict[str, object]:
    """Reads a body of any size as it comes; the client is held back while this loop is busy."""
    size, digest = 0, hashlib.sha256()
    async for part in request.stream():
        size += len(part)
        digest.update(part)
    return {"bytes": size, "sha256": digest.hexdigest()}


@app.post("/form")
async def form(request: Request) -> dict[str, object]:
    fields = await request.form()
    return {name: value if isinstance(value, str) else value.filename for name, value in fields.items()}


@app.get("/download/{mib:int}")
def download(mib: int) -> StreamingResponse:
    """Makes the file while it is sent, no faster than the client takes it. A plain generator: it runs in a thread."""
    if mib > 1024:
        raise HTTPException(400, "1024 MiB is the most")

    def parts() -> Iterator[bytes]:
        for number in range(mib * 16):
            yield b"%07d\n" % number * (MIB // 16 // 8)

    headers = {
        "content-length": str(mib * MIB),
        "content-disposition": f'attachment; filename="tour-{mib}-MiB.txt"',
    }
    return StreamingResponse(parts(), headers=headers, media_type="text/plain")


@app.get("/clock")
async def clock(request: Request) -> EventSourceResponse:
    """Server-sent events. A client that lost the connection says which tick it saw last."""
    last = request.last_event_id or "0"
    if not re.fullmatch("[0-9]{1,18}", last):
        raise HTTPException(400, "Last-Event-ID is not the number of a tick")
    first = int(last) + 1

    async def ticks() -> AsyncIterator[ServerSentEvent]:
        number = first
        while True:
            yield ServerSentEvent(datetime.now(UTC).strftime("%H:%M:%S"), event="tick", id=str(number))
            number += 1
            await anyio.sleep(1)

    return EventSourceResponse(ticks())


@app.websocket("/echo")
async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    try:
        async for text in websocket.iter_text():
            await websocket.send_text(text)
    except WebSocketDisconnect:
        return
