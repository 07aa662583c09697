"""Tunnels as handlers see them, message by message; tests/wire has the bytes and tests/interop the clients."""

from __future__ import annotations

import anyio
import pytest

from tricorn import App, HTTPException, Middleware, PlainTextResponse, Tunnel
from tricorn.exceptions import ClientDisconnect
from tricorn.tunnel import TunnelBroken

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request):
    return request.param


def part(body, more=True):
    return {"type": "tricorn.tunnel.receive", "body": body, "more_body": more}


GONE = {"type": "http.disconnect"}


class Client:
    """Calls an application with a CONNECT and keeps what it sends."""

    def __init__(self, app, *received, target="db.test:5432", extension=True, gone_after=None, root_path=""):
        self.app = app
        self.sent = []
        self._received = list(received)
        self._gone_after = gone_after
        self.scope = {
            "type": "http", "method": "CONNECT", "path": target, "raw_path": target.encode(), "query_string": b"",
            "root_path": root_path, "scheme": "http", "http_version": "1.1", "headers": [(b"host", target.encode())],
            "extensions": {"tricorn.tunnel": {"protocol": None}} if extension else {},
        }  # fmt: skip

    async def receive(self):
        if not self._received:
            await anyio.sleep_forever()
        return self._received.pop(0)

    async def send(self, message):
        if self._gone_after is not None and len(self.sent) >= self._gone_after:
            raise ConnectionResetError
        self.sent.append(message)

    async def call(self):
        with anyio.fail_after(10):
            await self.app(self.scope, self.receive, self.send)
        return self

    @property
    def status(self):
        return self.sent[0]["status"]


@pytest.fixture
def app():
    return App()


@pytest.mark.parametrize("root_path", ["", "/below"])
async def test_without_a_handler_it_is_a_501(app, root_path):
    client = await Client(app, root_path=root_path).call()
    assert (client.status, len(client.sent)) == (501, 2)


async def test_a_server_without_tunnels_is_a_501(app):
    @app.connect
    async def proxy(tunnel: Tunnel):
        raise AssertionError("not reached")

    assert (await Client(app, extension=False).call()).status == 501


async def test_bytes_and_ends(app):
    @app.connect
    async def proxy(tunnel):
        assert (tunnel.host, tunnel.port, tunnel.is_accepted) == ("db.test", 5432, False)
        await tunnel.accept({"x-own": "1"})
        assert tunnel.is_accepted
        assert [data async for data in tunnel] == [b"one", b"two"]
        assert await tunnel.receive() == b""
        await tunnel.send(b"answer")
        await tunnel.end()
        await tunnel.end()
        with pytest.raises(RuntimeError):
            await tunnel.send(b"more")

    client = await Client(app, part(b"one"), part(b""), part(b"two", more=False)).call()
    assert client.sent == [
        {"type": "tricorn.tunnel.accept", "headers": [(b"x-own", b"1")]},
        {"type": "tricorn.tunnel.send", "body": b"answer", "more_body": True},
        {"type": "tricorn.tunnel.send", "body": b"", "more_body": False},
    ]


@pytest.mark.parametrize(
    ("target", "host", "port"),
    [("a.test:1", "a.test", 1), ("[::1]:65535", "::1", 65_535), ("127.0.0.1:80", "127.0.0.1", 80)],
)
async def test_targets(app, target, host, port):
    @app.connect
    async def proxy(tunnel):
        assert (tunnel.host, tunnel.port) == (host, port)
        return PlainTextResponse("no", 403)

    assert (await Client(app, target=target).call()).status == 403


@pytest.mark.parametrize("target", ["a.test", "a.test:", "a.test:0", "a.test:65536", "::1:80", ":80", "a:x"])
async def test_targets_that_are_none(app, target):
    @app.connect
    async def proxy(tunnel):
        raise AssertionError("not reached")

    assert (await Client(app, target=target).call()).status == 400


@pytest.mark.parametrize(
    ("how", "status"), [("raises", 407), ("returns", 502), ("forgets", 403), ("crashes", 500), ("handled", 409)]
)
async def test_refusals(how, status):
    app = App(exception_handlers={LookupError: lambda request, error: PlainTextResponse("", 409)})

    @app.connect
    async def proxy(tunnel):
        if how == "raises":
            raise HTTPException(407, headers={"Proxy-Authenticate": "Basic"})
        if how == "crashes":
            raise ValueError
        if how == "handled":
            raise LookupError
        return PlainTextResponse("down", 502) if how == "returns" else None

    client = Client(app)
    if how == "crashes":
        with pytest.raises(ValueError):
            await client.call()
    else:
        await client.call()
    assert client.status == status


async def test_what_fails_in_an_open_tunnel_is_no_response(app):
    for error in (HTTPException(404), LookupError("x"), OSError("upstream")):
        app = App(exception_handlers={LookupError: lambda request, error: PlainTextResponse("", 409)})

        @app.connect
        async def proxy(tunnel, error=error):
            await tunnel.accept()
            raise error

        client = Client(app)
        with pytest.raises(TunnelBroken):
            await client.call()
        assert [message["type"] for message in client.sent] == ["tricorn.tunnel.accept"]


async def test_a_client_that_leaves(app):
    seen = []

    @app.connect
    async def proxy(tunnel):
        await tunnel.accept()
        try:
            await tunnel.receive()
        except ClientDisconnect:
            seen.append("receive")
        try:
            await tunnel.send(b"x")
        except ClientDisconnect:
            seen.append("send")
            raise

    await Client(app, GONE, gone_after=1).call()  # and that is no error
    assert seen == ["receive", "send"]


async def test_nothing_before_it_is_open(app):
    @app.connect
    async def proxy(tunnel):
        for call in (tunnel.receive, tunnel.end, lambda: tunnel.send(b"x"), lambda: tunnel.relay(None)):
            with pytest.raises(RuntimeError):
                await call()
        await tunnel.accept()
        with pytest.raises(RuntimeError):
            await tunnel.accept()

    await Client(app).call()


async def test_relay_passes_each_sides_end_on(app):
    class Upstream:
        def __init__(self):
            self.sent = []
            self.ended = anyio.Event()

        async def receive(self):
            await self.ended.wait()  # it answers when it has heard all
            if self.sent[-1] == b"bye":
                raise anyio.EndOfStream
            self.sent.append(b"bye")
            return b"answer"

        async def send(self, item):
            self.sent.append(item)

        async def send_eof(self):
            self.ended.set()

    upstream = Upstream()

    @app.connect
    async def proxy(tunnel):
        await tunnel.accept()
        await tunnel.relay(upstream)

    client = await Client(app, part(b"question"), part(b"", more=False)).call()
    assert upstream.sent == [b"question", b"bye"]
    assert [message.get("body") for message in client.sent[1:]] == [b"answer", b""]


async def test_relay_ends_with_its_client(app):
    class Silent:
        async def receive(self):
            await anyio.sleep_forever()

        async def send(self, item): ...
        async def send_eof(self): ...

    @app.connect
    async def proxy(tunnel):
        await tunnel.accept()
        await tunnel.relay(Silent())

    await Client(app, part(b"question"), GONE).call()


async def test_middleware_stands_around_it():
    def guard(inner):
        async def layer(scope, receive, send):
            if (b"proxy-authorization", b"x") not in scope["headers"]:
                raise HTTPException(407)
            await inner(scope, receive, send)

        return layer

    app = App(middleware=[Middleware(guard)])

    @app.connect
    async def proxy(tunnel):
        await tunnel.accept()

    assert (await Client(app).call()).status == 407
    client = Client(app)
    client.scope["headers"].append((b"proxy-authorization", b"x"))
    assert (await client.call()).sent == [{"type": "tricorn.tunnel.accept", "headers": []}]


async def test_an_extended_connect_is_no_tunnel_to_somewhere(app):
    @app.connect
    async def proxy(tunnel):
        raise AssertionError("not reached")

    @app.get("/ws")
    async def page():
        return "page"

    assert (await Client(app, target="/ws").call()).status == 405


def test_handlers_that_cannot_be(app):
    with pytest.raises(TypeError):
        app.connect(lambda tunnel: None)

    async def stranger(tunnel, other):
        pass

    with pytest.raises(TypeError):
        app.connect(stranger)

    @app.connect
    async def proxy(tunnel):
        pass

    with pytest.raises(RuntimeError):
        app.connect(proxy)
