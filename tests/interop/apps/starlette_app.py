"""The list of checks, as a Starlette user would write it."""

import asyncio
import hashlib
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

seen = {"disconnects": 0}


@asynccontextmanager
async def lifespan(app):
    yield {"greeting": "started"}


async def plain(request):
    return PlainTextResponse("Hello, world!")


async def echo_json(request):
    return JSONResponse(await request.json())


async def form(request):
    async with request.form() as fields:
        return JSONResponse(
            {name: value if isinstance(value, str) else value.filename for name, value in fields.items()}
        )


async def upload(request):
    size, digest = 0, hashlib.sha256()
    async for chunk in request.stream():
        size += len(chunk)
        digest.update(chunk)
    return JSONResponse({"bytes": size, "sha256": digest.hexdigest()})


async def cookies(request):
    response = Response("cookies")
    response.set_cookie("a", "1")
    response.set_cookie("b", "2")
    return response


async def stream(request):
    async def parts():
        for number in range(5):
            yield f"part {number}\n"

    return StreamingResponse(parts(), media_type="text/plain")


async def endless(request):
    async def parts():
        try:
            while True:
                yield b"x" * 1024
                await asyncio.sleep(0.01)
        finally:
            seen["disconnects"] += 1

    return StreamingResponse(parts())


async def disconnects(request):
    return JSONResponse(seen["disconnects"])


async def error(request):
    raise RuntimeError("on purpose")


async def state(request):
    return PlainTextResponse(request.state.greeting)


app = Starlette(
    lifespan=lifespan,
    routes=[
        Route("/plain", plain),
        Route("/json", echo_json, methods=["POST"]),
        Route("/form", form, methods=["POST"]),
        Route("/upload", upload, methods=["POST"]),
        Route("/cookies", cookies),
        Route("/stream", stream),
        Route("/endless", endless),
        Route("/disconnects", disconnects),
        Route("/error", error),
        Route("/state", state),
    ],
)
