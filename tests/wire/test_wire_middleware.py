"""Other people's middleware between an application of ours and our server: what it does not know must not break it."""

from __future__ import annotations

import os

import anyio
import pytest
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware

from tricorn import App, FileResponse, Middleware, StaticFiles
from tricorn.middleware import CORSMiddleware
from tricorn_transports.config import Timeouts

LARGE = bytes(range(256)) * 16_384  # 4 MiB: copied by the kernel where it can be


class Base(BaseHTTPMiddleware):
    async def dispatch(self, request, call_next):
        return await call_next(request)


class Stamped:
    """Passes on what makes up every response, in its own way, and nothing else."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        async def send_known(message):
            if message["type"] == "http.response.start":
                headers = [*message["headers"], (b"x-stamp", b"1")]
                await send({"type": "http.response.start", "status": message["status"], "headers": headers})
            elif message["type"] == "http.response.body":
                await send(message)

        await self.app(scope, receive, send_known)


@pytest.fixture
def make(tmp_path):
    (tmp_path / "large.bin").write_bytes(LARGE)

    def make(*middleware):
        app = App(middleware=middleware)

        @app.route("/file", methods=["GET", "POST"])
        async def file():
            return FileResponse(tmp_path / "large.bin")

        app.mount("/assets", StaticFiles(tmp_path))
        return app

    return make


@pytest.mark.on("asyncio", "trio")
@pytest.mark.parametrize("factory", [Base, GZipMiddleware, Stamped])
@pytest.mark.parametrize("place", ["inside", "outside"])
def test_files(net, make, factory, place):
    client = net.client(make(Middleware(factory)) if place == "inside" else factory(make()))
    for method, path in (("GET", "/file"), ("POST", "/file"), ("GET", "/assets/large.bin")):
        response = client.request(method, path)
        assert (response.status, bytes(response.body) == LARGE) == (200, True)
    part = client.request("GET", "/file", [(b"range", b"bytes=1000-2000000")])
    assert bytes(part.body) == (LARGE[1000:2_000_001] if part.status == 206 else LARGE)


@pytest.mark.over("h1")
@pytest.mark.on("asyncio", "uvloop")
def test_what_passes_everything_on_is_in_nobodys_way(net, make, monkeypatch):
    copied = []
    real = os.sendfile

    def sendfile(target, source, offset, count):
        copied.append(real(target, source, offset, count))
        return copied[-1]

    monkeypatch.setattr("os.sendfile", sendfile)
    for number, middleware in enumerate(([], [Middleware(CORSMiddleware, allow_origins=["*"])]), 1):
        client = net.client(make(*middleware))
        assert bytes(client.request("GET", "/file").body) == LARGE
        assert sum(copied) == number * len(LARGE)


@pytest.mark.on("asyncio", "trio")
@pytest.mark.parametrize("how", ["stream", "connection"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_client_that_leaves_is_no_failure(net, method, how, eventually, caplog):
    """Starlette's base class raises an error for an application that ends without an answer."""
    events = []
    app = App(middleware=[Base])

    @app.route("/", methods=["GET", "POST"])
    async def wait(request):
        try:
            events.append("begun")
            await request.body()
            await anyio.sleep_forever()
        finally:
            events.append("stopped")

    async def outermost(scope, receive, send):
        try:
            await app(scope, receive, send)
        finally:
            events.append("ended")

    net.serve(outermost, timeouts=Timeouts(half_close_grace=0.1))
    client = net.connect()
    stream = client.open(method, "/", end=method == "GET")
    eventually(lambda: events[-1:] == ["begun"] or client.poll(0))
    if how == "stream":
        client.reset(stream)
        client.poll(0)
    else:
        client.close()
    eventually(lambda: events[-2:] == ["stopped", "ended"])
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
