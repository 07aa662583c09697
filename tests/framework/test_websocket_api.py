"""The WebSocket as handlers see it."""

from __future__ import annotations

import pytest

from tricorn import App, HTTPException, PlainTextResponse, WebSocketDisconnect
from tricorn.testing import WebSocketClosed, WebSocketDenied

pytestmark = pytest.mark.anyio


async def test_messages_parameters_and_subprotocols(client_of):
    app = App()

    @app.websocket("/ws/{room}")
    async def echo(websocket, room: int):
        await websocket.accept(websocket.subprotocols[-1], headers={"x-room": str(room)})
        assert websocket.subprotocol == "b"
        assert websocket.query["q"] == "1"
        await websocket.send_text(f"{await websocket.receive_text()} in {room + 1}")
        await websocket.send_bytes(await websocket.receive_bytes())
        await websocket.send_json({"got": await websocket.receive_json()})

    async with (await client_of(app)).websocket("/ws/4?q=1", subprotocols=["a", "b"]) as ws:
        ws.send("hi")
        assert await ws.receive() == "hi in 5"
        ws.send(b"\xff")
        assert await ws.receive() == b"\xff"
        ws.send_json([1])
        assert await ws.receive_json() == {"got": [1]}
        with pytest.raises(WebSocketClosed) as closed:  # the handler has returned
            await ws.receive()
    assert closed.value.code == 1000


async def test_iterating_until_the_other_side_closes(client_of):
    seen = []
    app = App()

    @app.websocket("/")
    async def collect(ws):
        await ws.accept()
        seen.extend([text async for text in ws.iter_text()])
        with pytest.raises(WebSocketDisconnect) as gone:
            await ws.send_text("late")
        seen.append(gone.value.code)

    async with (await client_of(app)).websocket("/") as ws:
        ws.send("a")
        ws.send("b")
        ws.close(4001)
    assert seen == ["a", "b", 4001]


@pytest.mark.parametrize(
    ("receive", "sent", "code"),
    [("receive_text", b"x", 1003), ("receive_bytes", "x", 1003), ("receive_json", "{", 1007)],
)
async def test_the_wrong_kind_of_message_closes(client_of, receive, sent, code):
    app = App()

    @app.websocket("/")
    async def handler(ws):
        await ws.accept()
        await getattr(ws, receive)()

    async with (await client_of(app)).websocket("/") as ws:
        ws.send(sent)
        with pytest.raises(WebSocketClosed) as closed:
            await ws.receive()
    assert closed.value.code == code


async def test_refusals(client_of):
    app = App()

    @app.websocket("/deny")
    async def deny(websocket):
        await websocket.deny(PlainTextResponse("not you", 401))

    @app.websocket("/raise")
    async def raises(websocket):
        raise HTTPException(402, "pay")

    @app.websocket("/close")
    async def close(websocket):
        await websocket.close()

    @app.websocket("/return")
    async def returns(websocket): ...

    @app.get("/http")
    def http(): ...

    client = await client_of(app)
    for path, status, text in [
        ("/deny", 401, "not you"),
        ("/raise", 402, "402 Payment Required\npay\n"),
        ("/nowhere", 404, "404 Not Found\n"),
        ("/http", 404, "404 Not Found\n"),
        ("/close", 403, ""),
        ("/return", 403, ""),
    ]:
        with pytest.raises(WebSocketDenied) as denied:
            async with client.websocket(path):
                pass
        assert (denied.value.response.status, denied.value.response.text) == (status, text)


async def test_an_error_after_accept_closes_with_1011(client_of):
    app = App()

    @app.websocket("/")
    async def fails(websocket):
        await websocket.accept()
        raise LookupError("x")

    client = await client_of(app, raise_app_exceptions=False)
    async with client.websocket("/") as ws:
        with pytest.raises(WebSocketClosed) as closed:
            await ws.receive()
    assert closed.value.code == 1011


async def test_misuse_is_an_error_of_the_handler(client_of):
    app = App()

    @app.websocket("/")
    async def misuse(websocket):
        for call in (websocket.send_text, websocket.send_bytes):
            with pytest.raises(RuntimeError, match="not open"):
                await call("x")
        with pytest.raises(RuntimeError, match="not accepted"):
            await websocket.receive()
        with pytest.raises(ValueError, match="does not offer"):
            await websocket.accept("unheard-of")
        with pytest.raises(ValueError, match="CR, LF"):
            await websocket.accept(headers={"x": "a\nb"})
        await websocket.accept()
        with pytest.raises(RuntimeError, match="already"):
            await websocket.accept()
        with pytest.raises(RuntimeError, match="already"):
            await websocket.deny()
        await websocket.close(4000, "bye")
        with pytest.raises(RuntimeError, match="already"):
            await websocket.close()

    async with (await client_of(app)).websocket("/") as ws:
        with pytest.raises(WebSocketClosed) as closed:
            await ws.receive()
    assert (closed.value.code, closed.value.reason) == (4000, "bye")


async def test_a_send_that_fails_is_a_disconnect(foreign):
    seen = []
    app = App()

    @app.websocket("/")
    async def handler(websocket):
        await websocket.accept()
        try:
            await websocket.send_text("x")
        except WebSocketDisconnect as gone:
            seen.append(gone.code)
            raise

    server = foreign(app, type="websocket", subprotocols=[])

    async def receive():
        return {"type": "websocket.connect"}

    async def send(message):
        if message["type"] == "websocket.send":
            raise OSError("gone")

    await app(server.scope, receive, send)
    assert seen == [1006]
