"""WebSockets through the test client, on both backends."""

from __future__ import annotations

import pytest

from tricorn.testing import ASGIViolation, AsyncClient, Client, WebSocketClosed, WebSocketDenied


@pytest.fixture(params=["asyncio", "trio"])
def backend(request):
    return request.param


async def echo(scope, receive, send):
    assert (await receive())["type"] == "websocket.connect"
    chosen = scope["subprotocols"][-1] if scope["subprotocols"] else None
    await send({"type": "websocket.accept", "subprotocol": chosen, "headers": [(b"x-a", b"1")]})
    while (message := await receive())["type"] == "websocket.receive":
        if message.get("text") == "close":
            await send({"type": "websocket.close", "code": 4000, "reason": "asked"})
        else:
            await send({"type": "websocket.send", "text": message.get("text"), "bytes": message.get("bytes")})
    scope["state"]["log"].append((message["type"], message["code"]))


def with_log(log, app=echo):
    async def wrapped(scope, receive, send):
        scope["state"]["log"] = log
        await app(scope, receive, send)

    return wrapped


def test_echo(backend):
    log = []
    client = Client(with_log(log), backend=backend, lifespan=False)
    with client, client.websocket("/ws", subprotocols=["a", "b"]) as ws:
        assert (ws.subprotocol, ws.headers["x-a"]) == ("b", "1")
        ws.send("text")
        ws.send(b"bytes")
        ws.send_json({"a": 1})
        assert ws.receive_text() == "text"
        assert ws.receive_bytes() == b"bytes"
        assert ws.receive_json() == {"a": 1}
        ws.close(4001)
    assert log == [("websocket.disconnect", 4001)]


def test_close_by_the_app(backend):
    with Client(with_log([]), backend=backend, lifespan=False) as client, client.websocket("/ws") as ws:
        ws.send("close")
        with pytest.raises(WebSocketClosed) as closed:
            ws.receive()
        assert (closed.value.code, closed.value.reason) == (4000, "asked")
        with pytest.raises(WebSocketClosed):
            ws.send("late")


def test_refusals():
    async def closes(scope, receive, send):
        await send({"type": "websocket.close"})

    async def denies(scope, receive, send):
        await send({"type": "websocket.http.response.start", "status": 401, "headers": [(b"x-a", b"1")]})
        await send({"type": "websocket.http.response.body", "body": b"who ", "more_body": True})
        await send({"type": "websocket.http.response.body", "body": b"are you"})

    with Client(closes, lifespan=False) as client, pytest.raises(WebSocketDenied) as denied, client.websocket("/"):
        pass
    assert denied.value.response.status == 403
    with Client(denies, lifespan=False) as client, pytest.raises(WebSocketDenied) as denied, client.websocket("/"):
        pass
    response = denied.value.response
    assert (response.status, response.text, response.headers["x-a"]) == (401, "who are you", "1")


ACCEPT = {"type": "websocket.accept"}


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        ([{"type": "websocket.send", "text": "x"}], "where websocket.accept"),
        ([{**ACCEPT, "subprotocol": "z"}], "did not offer"),
        ([ACCEPT, {"type": "websocket.send"}], "exactly one"),
        ([ACCEPT, {"type": "websocket.send", "text": b"x"}], "must be str"),
        ([ACCEPT, {"type": "websocket.close", "code": 1006}], "close code"),
        ([ACCEPT, {"type": "websocket.close", "reason": "x" * 124}], "123 bytes"),
        ([ACCEPT, {"type": "websocket.close"}, {"type": "websocket.close"}], "nothing more"),
        ([], "without answering"),
    ],
)
def test_violations_are_named(messages, words):
    async def app(scope, receive, send):
        for message in messages:
            await send(dict(message))

    with Client(app, lifespan=False) as client, pytest.raises(ASGIViolation, match=words), client.websocket("/"):
        pass


def test_app_exception_reaches_the_test(backend):
    async def app(scope, receive, send):
        await send(dict(ACCEPT))
        await receive()
        raise KeyError("mine")

    client = Client(app, backend=backend, lifespan=False)
    with client, pytest.raises(KeyError), client.websocket("/") as ws:
        ws.receive()


def test_send_after_the_client_left_is_an_oserror():
    seen = []

    async def app(scope, receive, send):
        await send(dict(ACCEPT))
        try:
            await send({"type": "websocket.send", "text": "never read"})
        except OSError:
            seen.append("OSError")

    with Client(app, lifespan=False) as client, client.websocket("/"):
        pass
    assert seen == ["OSError"]


@pytest.mark.anyio
async def test_async_client_iterates(anyio_backend):
    async def app(scope, receive, send):
        assert (scope["scheme"], scope["http_version"]) == ("wss", "2")
        await send(dict(ACCEPT))
        for text in ("a", "b"):
            await send({"type": "websocket.send", "text": text})
        await send({"type": "websocket.close"})

    async with AsyncClient(app, http_version="2", lifespan=False) as client, client.websocket("/") as ws:
        assert [message async for message in ws] == ["a", "b"]
        assert ws.close_code == 1000
