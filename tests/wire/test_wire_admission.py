"""What is answered before the application is asked, and the pace that bodies must keep: alike over every protocol."""

from __future__ import annotations

import pytest

from tricorn_transports.config import Limits, Timeouts


@pytest.fixture
def app(read_body, answer):
    """Reads the body and answers; ``app.seen`` has the paths it was called for."""

    async def application(scope, receive, send):
        if scope["type"] == "websocket":
            application.seen.append(scope["path"])
            await receive()
            await send({"type": "websocket.accept"})
            return
        assert scope["type"] == "http"
        application.seen.append(scope["path"])
        try:
            data, _ = await read_body(receive)
        except AssertionError:  # the client was cut off
            return
        await answer(send, b"%d" % len(data))

    application.seen = []
    return application


# ---------------------------------------------------------------------------------------------------------------- 421


@pytest.mark.over("h1-tls", "h2-tls", "h3")
@pytest.mark.on("asyncio", "trio")
def test_another_sites_authority_is_misdirected(net, app):
    client = net.client(app)
    client.host = b"evil.example"
    assert client.request("GET", "/evil").status == 421
    client.host = b"localhost:1"  # another port of ours: the certificate is the host's
    assert client.request("GET", "/ours").status == 200
    client.host = b"127.0.0.1"
    assert client.request("GET", "/address").status == 200
    client.host = b"127.0.0.2"
    assert client.request("GET", "/another").status == 421
    assert app.seen == ["/ours", "/address"]


@pytest.mark.over("h1", "h2")
@pytest.mark.on("asyncio")
def test_in_clear_every_authority_is_served(net, app):
    client = net.client(app)
    client.host = b"evil.example"
    assert client.request("GET", "/").status == 200


@pytest.mark.over("h1-tls", "h2-tls", "h3")
@pytest.mark.on("asyncio")
def test_the_check_can_be_left_to_a_proxy(net, app):
    net.serve(app, verify_authority=False)
    client = net.connect()
    client.host = b"evil.example"
    assert client.request("GET", "/").status == 200


@pytest.mark.over("h1-tls", "h2-tls")
@pytest.mark.on("asyncio")
def test_a_misdirected_websocket_is_no_websocket(net, app, websocket):
    client = net.client(app)
    client.host = b"evil.example"
    if net.version == "1":
        fields = [
            (b"connection", b"upgrade"),
            (b"upgrade", b"websocket"),
            (b"sec-websocket-version", b"13"),
            (b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),
        ]
        response = client.request("GET", "/ws", fields)
    else:
        response = client.response(
            client.open("CONNECT", "/ws", [(b"sec-websocket-version", b"13")], protocol=b"websocket")
        )
    assert response.status == 421
    assert app.seen == []


@pytest.mark.over("h1-tls", "h2-tls", "h3")
@pytest.mark.on("asyncio")
def test_a_misdirected_body_is_not_waited_for(net, app):
    client = net.client(app)
    client.host = b"evil.example"
    stream = client.open("POST", "/", [(b"content-length", b"1000000")], end=False)
    assert client.response(stream).status == 421


# ---------------------------------------------------------------------------------------------------------------- 417


@pytest.mark.on("asyncio", "trio")
def test_an_expectation_nobody_knows(net, app):
    client = net.client(app)
    assert client.request("GET", "/", [(b"expect", b"the-unexpected")]).status == 417
    stream = client.open("POST", "/", [(b"expect", b"100-continue, more"), (b"content-length", b"5")], end=False)
    assert client.response(stream).status == 417
    assert app.seen == []


@pytest.mark.parametrize("expect", [b"100-continue, more", b"more"])
@pytest.mark.over("h1", "h1-tls")
@pytest.mark.on("asyncio")
def test_a_body_that_may_never_come_is_not_read_out_of_the_next_request(net, app, expect):
    """Who gets a 417 may hold its body back: nobody could tell the next request from it (RFC 9110 section 10.1.1)."""
    net.client(app).close()
    wire = net.wire()
    wire.send(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\nexpect: " + expect + b"\r\n\r\n")
    head = wire.read_until(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 417 ")
    assert b"\r\nconnection: close\r\n" in head
    wire.send(b"GET /next HTTP/1.1\r\nhost: a\r\n\r\n")
    assert wire.read_all().count(b"HTTP/1.1 ") <= 1
    assert app.seen == []


@pytest.mark.on("asyncio")
def test_an_expectation_that_is_known_may_be_said_twice_or_in_a_list(net, app):
    """Empty members and repetitions of a list are no other expectation (RFC 9110 section 5.6.1)."""
    client = net.client(app)
    for fields in ([(b"expect", b"100-continue, 100-continue")], [(b"expect", b"")], [(b"expect", b",100-Continue")]):
        stream = client.open("POST", "/", [*fields, (b"content-length", b"5")], end=False)
        client.send(stream, b"hello", end=True)
        assert client.response(stream).body == b"5"


# -------------------------------------------------------------------------------------------------------------- 400


@pytest.mark.on("asyncio")
def test_a_path_that_cannot_be_decoded(net, app):
    """What would be decoded like another path is no path (RFC 3986 section 2.1); a query is handed on as it is."""
    for path in ("/%", "/%a", "/%zz", "/a%2g?q", "/%25%"):
        client = net.client(app)
        assert client.request("GET", path).status == 400, path
    client = net.client(app)
    assert client.request("GET", "/%25zz%C3?%zz%").status == 200
    assert app.seen == ["/%zz\ufffd"]


# -------------------------------------------------------------------------------------------------------------- 408


@pytest.mark.on("asyncio", "trio")
def test_a_body_that_trickles_is_408(net, app, caplog):
    net.serve(app, limits=Limits(min_body_rate=100_000), timeouts=Timeouts(body_grace=0.2, body_timeout=5.0))
    client = net.connect()
    stream = client.open("POST", "/", [(b"content-length", b"10000")], end=False)
    response = client.responses[stream]
    sent = 0
    while not response.over and sent < 5000:
        client.send(stream, b"x")
        sent += 1
        client.poll(0.02)
    assert response.status == 408, sent
    lines = [record.getMessage() for record in caplog.records if record.name == "tricorn.server"]
    assert [("min_body_rate" in line) for line in lines] == [True], lines
    if net.version == "1":
        assert response.header(b"connection") == b"close"


@pytest.mark.on("asyncio")
def test_a_body_that_keeps_the_pace_is_read(net, app):
    net.serve(app, limits=Limits(min_body_rate=1000), timeouts=Timeouts(body_grace=0.3, body_timeout=5.0))
    client = net.connect()
    stream = client.open("POST", "/", [(b"content-length", b"60000")], end=False)
    for number in range(60):
        client.send(stream, b"x" * 1000, end=number == 59)
        client.poll(0.02)
    assert client.response(stream).body == b"60000"


@pytest.mark.on("asyncio")
def test_a_conversation_has_its_own_pace(net):
    """Once the response has begun, a client that says little may have little to say."""

    async def echo(scope, receive, send):
        assert scope["type"] == "http"
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"hello ", "more_body": True})
        more = True
        while more:
            message = await receive()
            assert message["type"] == "http.request"
            more = message["more_body"]
            await send({"type": "http.response.body", "body": message["body"], "more_body": more})

    net.serve(echo, limits=Limits(min_body_rate=1_000_000), timeouts=Timeouts(body_grace=0.05))
    client = net.connect()
    stream = client.open("POST", "/", [(b"content-length", b"5")], end=False)
    response = client.responses[stream]
    client.wait(lambda: response.body == b"hello ", "the greeting")
    for letter in (b"w", b"o", b"r", b"l", b"d"):
        client.poll(0.05)
        client.poll(0.05)
        client.send(stream, letter, end=letter == b"d")
    assert client.response(stream).body == b"hello world"
