"""The list of checks, as a FastAPI user would write it."""

import asyncio
import hashlib
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Body, FastAPI, Form, Request, Response, UploadFile
from fastapi.responses import PlainTextResponse, StreamingResponse

seen = {"disconnects": 0}


@asynccontextmanager
async def lifespan(app: FastAPI):
    yield {"greeting": "started"}


app = FastAPI(lifespan=lifespan)


@app.api_route("/plain", methods=["GET", "HEAD"], response_class=PlainTextResponse)
def plain() -> str:
    return "Hello, world!"


@app.post("/json")
async def echo_json(value: Annotated[Any, Body()]) -> Any:
    return value


@app.post("/form")
async def form(name: Annotated[str, Form()], file: UploadFile) -> dict[str, Any]:
    return {"name": name, "file": file.filename}


@app.post("/upload")
async def upload(request: Request) -> dict[str, Any]:
    size, digest = 0, hashlib.sha256()
    async for chunk in request.stream():
        size += len(chunk)
        digest.update(chunk)
    return {"bytes": size, "sha256": digest.hexdigest()}


@app.get("/cookies")
def cookies(response: Response) -> str:
    response.set_cookie("a", "1")
    response.set_cookie("b", "2")
    return "cookies"


@app.get("/stream")
def stream() -> StreamingResponse:
    return StreamingResponse((f"part {number}\n" for number in range(5)), media_type="text/plain")


@app.get("/endless")
async def endless() -> StreamingResponse:
    async def parts():
        try:
            while True:
                yield b"x" * 1024
                await asyncio.sleep(0.01)
        finally:
            seen["disconnects"] += 1

    return StreamingResponse(parts())


@app.get("/disconnects")
async def disconnects() -> int:
    return seen["disconnects"]


@app.get("/error")
async def error() -> None:
    raise RuntimeError("on purpose")


@app.get("/state", response_class=PlainTextResponse)
async def state(request: Request) -> str:
    return request.state.greeting
