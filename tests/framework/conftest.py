"""What the tests of the framework share: both event loops, a client, and a server that is not ours."""

from __future__ import annotations

from collections import deque
from contextlib import AsyncExitStack

import anyio
import pytest

from tricorn.testing import AsyncClient


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request):
    return request.param


@pytest.fixture
async def client_of():
    """Opens clients that end with the test: ``await client_of(app, http_version="2")``. No lifespan by default."""
    async with AsyncExitStack() as stack:

        async def open_client(app, **options):
            return await stack.enter_async_context(AsyncClient(app, **{"lifespan": False, **options}))

        yield open_client


class ForeignServer:
    """One request on a server that offers no extension and tells of a disconnect through ``receive()`` alone."""

    def __init__(self, app, method="GET", path="/", *, headers=(), parts=(b"",), extensions=None, **scope):
        self.app = app
        self.scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [(b"host", b"testserver"), *headers],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
            **scope,
        }
        if extensions is not None:
            self.scope["extensions"] = extensions
        self.parts = deque(parts)
        self.asked = 0
        self.gone = anyio.Event()
        self.sent = []

    async def receive(self):
        self.asked += 1
        if self.parts:
            data = self.parts.popleft()
            return {"type": "http.request", "body": data, "more_body": bool(self.parts)}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message):
        await anyio.lowlevel.checkpoint()
        if self.gone.is_set():
            raise OSError("gone")
        self.sent.append(message)

    async def run(self):
        await self.app(self.scope, self.receive, self.send)

    @property
    def status(self):
        return self.sent[0]["status"]

    @property
    def headers(self):
        return dict(self.sent[0]["headers"])

    @property
    def body(self):
        return b"".join(message.get("body", b"") for message in self.sent[1:])


@pytest.fixture
def foreign():
    return ForeignServer
