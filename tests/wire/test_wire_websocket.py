"""WebSockets: over HTTP/1.1's upgrade and over the extended CONNECT of HTTP/2 and 3, to the same application."""

from __future__ import annotations

import pytest

from tricorn_transports.config import Limits, Timeouts


@pytest.fixture
def echo():
    """Accepts, echoes messages, and does what some of them say; ``echo.disconnects`` keeps how its calls ended."""

    async def app(scope, receive, send):
        if scope["type"] != "websocket":
            return
        app.scopes.append(scope)
        assert await receive() == {"type": "websocket.connect"}
        await send({"type": "websocket.accept", "subprotocol": next(iter(scope["subprotocols"]), None)})
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                app.disconnects.append((message["code"], message.get("reason")))
                return
            if message.get("text") == "close":
                await send({"type": "websocket.close", "code": 4000, "reason": "as you wish"})
            elif message.get("text") == "return":
                return
            elif message.get("text") == "crash":
                raise ValueError("as you wish")
            else:
                await send({**message, "type": "websocket.send"})

    app.scopes, app.disconnects = [], []
    return app


def test_messages_come_back(net, echo, websocket):
    socket = websocket(net.client(echo))
    assert socket.accepted
    socket.text("gr\u00fc\u00df dich")
    assert socket.message() == "gr\u00fc\u00df dich"
    socket.binary(b"\x00\xff" * 100_000)
    assert socket.message() == b"\x00\xff" * 100_000
    socket.text("")
    assert socket.message() == ""


def test_the_scope(net, echo, websocket):
    client = net.client(echo)
    websocket(client, "/a%20b?q=1", [(b"sec-websocket-protocol", b"chat, super"), (b"x-own", b"1")])
    scope = echo.scopes[0]
    assert scope["type"] == "websocket"
    assert scope["scheme"] == ("wss" if net.tls else "ws")
    assert scope["http_version"] == ("1.1" if net.version == "1" else net.version)
    assert (scope["path"], scope["raw_path"], scope["query_string"]) == ("/a b", b"/a%20b", b"q=1")
    assert scope["subprotocols"] == ["chat", "super"]
    assert (b"x-own", b"1") in scope["headers"]
    assert dict(scope["headers"])[b"host"] == client.host
    assert "websocket.http.response" in scope["extensions"]
    assert ("tls" in scope["extensions"]) == net.tls


def test_the_subprotocol_and_fields_of_the_answer(net, websocket):
    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept", "subprotocol": "super", "headers": [(b"X-Own", b"1")]})
        await receive()

    response = websocket(net.client(app), "/", [(b"sec-websocket-protocol", b"chat, super")]).response
    assert response.header(b"sec-websocket-protocol") == b"super"
    assert response.header(b"x-own") == b"1"


def test_fragments_are_one_message(net, echo, websocket):
    from wsproto.events import TextMessage

    socket = websocket(net.client(echo))
    for part, finished in (("a", False), ("b", False), ("c", True)):
        socket.send(TextMessage(part, message_finished=finished))
    assert socket.message() == "abc"


def test_the_client_closes(net, echo, websocket, eventually):
    socket = websocket(net.client(echo))
    socket.close(4001, "enough")
    assert socket.closed()[0] == 4001
    eventually(lambda: echo.disconnects == [(4001, "enough")])
    socket.client.wait(lambda: socket.response.over, "the tunnel's end")


def test_the_application_closes(net, echo, websocket, eventually):
    socket = websocket(net.client(echo))
    socket.text("close")
    assert socket.closed() == (4000, "as you wish")
    eventually(lambda: echo.disconnects)
    socket.client.wait(lambda: socket.response.over, "the tunnel's end")


def test_an_application_that_returns_closes_with_1000(net, echo, websocket):
    socket = websocket(net.client(echo))
    socket.text("return")
    assert socket.closed()[0] == 1000


def test_an_application_that_crashes_closes_with_1011(net, echo, websocket, caplog):
    socket = websocket(net.client(echo))
    socket.text("crash")
    assert socket.closed()[0] == 1011
    assert [record.exc_info is not None for record in caplog.records if record.name == "tricorn.server"] == [True]


def test_a_client_that_is_gone_is_1006(net, echo, websocket, eventually):
    client = net.client(echo)
    socket = websocket(client)
    client.reset(socket.stream)
    client.poll(0) if net.version != "1" else None
    eventually(lambda: [code for code, _ in echo.disconnects] == [1006])


def test_pings_are_answered(net, echo, websocket):
    socket = websocket(net.client(echo))
    socket.ping(b"are you there")
    assert socket.pong() == b"are you there"


def test_a_message_that_is_too_large_is_1009(net, echo, websocket, caplog, eventually):
    net.serve(echo, limits=Limits(max_websocket_message_bytes=1000))
    socket = websocket(net.connect())
    socket.binary(b"x" * 1000)
    assert socket.message() == b"x" * 1000
    socket.binary(b"x" * 1001)
    assert socket.closed()[0] == 1009
    eventually(lambda: [code for code, _ in echo.disconnects] == [1009])
    lines = [record.getMessage() for record in caplog.records if record.name == "tricorn.server"]
    assert ["max_websocket_message_bytes" in line for line in lines] == [True]


def test_a_broken_frame_is_1002(net, echo, websocket):
    socket = websocket(net.client(echo))
    socket.send_bytes(b"\x01\x05hello")  # not masked
    assert socket.closed()[0] == 1002


def test_a_close_that_cannot_be_sent_is_the_applications_error(net, websocket, caplog):
    async def app(scope, receive, send):
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": 99})

    assert websocket(net.client(app)).closed()[0] == 1011
    assert "99 is no close code that may be sent" in caplog.text


def test_a_close_without_a_code_is_1000(net, websocket):
    async def app(scope, receive, send):
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": None, "reason": None})

    assert websocket(net.client(app)).closed()[0] == 1000


@pytest.mark.parametrize("message", [{}, {"text": b"x"}, {"bytes": "x"}, {"text": "x", "bytes": b"x"}], ids=repr)
def test_a_message_that_is_neither_text_nor_bytes_is_the_applications_error(net, websocket, message, caplog):
    async def app(scope, receive, send):
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", **message})

    assert websocket(net.client(app)).closed()[0] == 1011
    assert "websocket.send wants" in caplog.text


@pytest.mark.parametrize("name", [b"sec-websocket-protocol", b"Sec-WebSocket-Accept", b"sec-websocket-extensions"])
def test_the_fields_of_the_handshake_are_the_servers(net, websocket, name, caplog):
    """ASGI forbids the first. A second value of any of them would end the client's handshake."""

    async def app(scope, receive, send):
        await send({"type": "websocket.accept", "headers": [(name, b"chat")]})

    assert websocket(net.client(app), headers=[(b"sec-websocket-protocol", b"chat")]).response.status == 500
    assert "the server says sec-websocket-" in caplog.text


def test_fields_of_framing_are_left_out_of_the_handshake_and_a_date_stands(net, websocket):
    date = (b"date", b"Mon, 01 Jan 2024 00:00:00 GMT")

    async def app(scope, receive, send):
        fields = [(b"content-length", b"5"), (b"Transfer-Encoding", b"chunked"), date, (b"x-own", b"1")]
        await send({"type": "websocket.accept", "headers": fields})
        await send({"type": "websocket.send", "text": "here"})

    socket = websocket(net.client(app))
    assert socket.message() == "here"
    names = [name.lower() for name, _ in socket.response.headers]
    assert not {b"content-length", b"transfer-encoding"} & set(names)
    assert [line for line in socket.response.headers if line[0].lower() == b"date"] == [date]


def test_a_refusal_is_403(net, websocket):
    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.close"})

    client = net.client(app)
    socket = websocket(client)
    assert client.response(socket.stream).status == 403


def test_a_refusal_with_an_answer_of_its_own(net, websocket):
    async def app(scope, receive, send):
        await receive()
        head = {"type": "websocket.http.response.start", "status": 401, "headers": [(b"www-authenticate", b"Basic")]}
        await send(head)
        await send({"type": "websocket.http.response.body", "body": b"who ", "more_body": True})
        await send({"type": "websocket.http.response.body", "body": b"are you?"})

    client = net.client(app)
    socket = websocket(client)
    response = client.response(socket.stream)
    assert (response.status, response.body) == (401, b"who are you?")
    assert response.header(b"www-authenticate") == b"Basic"


def test_a_crash_before_the_answer_is_500(net, websocket):
    async def app(scope, receive, send):
        raise ValueError

    client = net.client(app)
    socket = websocket(client)
    assert client.response(socket.stream).status == 500


def test_a_drain_closes_with_1001(net, echo, websocket, eventually):
    server = net.serve(echo)
    socket = websocket(net.connect())
    server.begin_stop()
    assert socket.closed()[0] == 1001
    socket.client.wait(lambda: socket.client.closed, "the end of the connection")
    socket.client.close()
    eventually(lambda: not server._thread.is_alive())
    assert server.error is None


@pytest.mark.on("asyncio", "trio")
def test_silence_is_pinged_and_then_given_up(net, echo, websocket, eventually, caplog):
    from wsproto.events import Ping

    net.serve(echo, timeouts=Timeouts(websocket_ping_interval=0.05, websocket_ping_timeout=0.3))
    socket = websocket(net.connect())
    ping = socket.event()
    assert isinstance(ping, Ping)
    socket.send(ping.response())
    assert isinstance(socket.event(), Ping)  # and this one is not answered
    eventually(lambda: [code for code, _ in echo.disconnects] == [1006])
    assert "websocket_ping_timeout" in caplog.text


@pytest.mark.on("asyncio", "trio")
def test_send_waits_for_a_client_that_does_not_read(net, websocket, settled):
    parts, bound = (256, 8 << 20) if net.version == "1" else (48, 2 << 20)
    sent = [0]

    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        for _ in range(parts):
            await send({"type": "websocket.send", "bytes": b"x" * 65_536})
            sent[0] += 65_536
        await send({"type": "websocket.close"})

    client = net.client(app, **({} if net.version == "3" else {"receive_buffer": 65_536}))
    socket = websocket(client)
    assert settled(lambda: sent[0]) < bound
    for _ in range(parts):
        assert len(socket.message()) == 65_536
    assert socket.closed()[0] == 1000


def test_a_large_message_passes_a_smaller_window(net, echo, websocket):
    net.serve(echo, limits=Limits(stream_receive_buffer=65_536, connection_receive_buffer=131_072))
    socket = websocket(net.connect())
    socket.binary(b"x" * 1_000_000)
    assert len(socket.message()) == 1_000_000


@pytest.mark.over("h1")
def test_a_handshake_of_another_version_is_426(net, echo):
    client = net.client(echo)
    fields = [(b"upgrade", b"websocket"), (b"connection", b"upgrade"), (b"sec-websocket-version", b"12")]
    response = client.request("GET", "/", [*fields, (b"sec-websocket-key", b"MDEyMzQ1Njc4OWFiY2RlZg==")])
    assert (response.status, response.header(b"sec-websocket-version")) == (426, b"13")
