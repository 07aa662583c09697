"""Tunnels: a CONNECT that the application accepts is a stream of bytes both ways, the same over every protocol."""

from __future__ import annotations

import anyio
import pytest

from tricorn_transports.config import Limits, Timeouts

pytestmark = pytest.mark.on("asyncio", "trio")

TARGET = b"example.test:443"


def proxy(handler):
    """An application that hands tunnels over to ``handler(scope, receive, send)`` and answers all else with 404."""

    async def app(scope, receive, send):
        if scope["type"] == "http" and "tricorn.tunnel" in scope["extensions"]:
            await handler(scope, receive, send)
        elif scope["type"] == "http":
            await send({"type": "http.response.start", "status": 404, "headers": []})
            await send({"type": "http.response.body"})

    return app


async def accept(send, headers=()):
    await send({"type": "tricorn.tunnel.accept", "headers": list(headers)})


async def give(send, data, more=True):
    await send({"type": "tricorn.tunnel.send", "body": data, "more_body": more})


async def echo(scope, receive, send):
    await accept(send, [(b"x-own", b"1"), (b"content-length", b"7")])
    while True:
        message = await receive()
        if message["type"] != "tricorn.tunnel.receive":
            return
        await give(send, message["body"].upper(), message["more_body"])
        if not message["more_body"]:
            return


def opened(client, headers=()):
    stream = client.connect_to(TARGET, headers)
    client.wait(lambda: client.responses[stream].status or client.responses[stream].over, "the answer")
    return stream, client.responses[stream]


def has(client, response, data):
    client.wait(lambda: len(response.body) >= len(data) or response.over, "the bytes")
    assert bytes(response.body) == data
    response.body.clear()


@pytest.mark.on("asyncio", "uvloop", "trio")
def test_bytes_go_both_ways(net):
    client = net.client(proxy(echo))
    stream, response = opened(client)
    assert response.status == 200
    assert response.header(b"x-own") == b"1"
    assert response.header(b"content-length") is None  # RFC 9110 section 9.3.6
    assert response.header(b"transfer-encoding") is None
    for data in (b"hello", b"x" * 200_000, b"\x00\xff"):
        client.send_raw(stream, data)
        has(client, response, data.upper())
    client.end_tunnel(stream)
    client.wait(lambda: response.over, "the tunnel's end")
    assert response.ended


def test_the_scope(net):
    seen = []

    async def handler(scope, receive, send):
        seen.append(scope)
        await accept(send)

    client = net.client(proxy(handler))
    opened(client, [(b"proxy-authorization", b"Basic eDp5")])
    scope = seen[0]
    assert (scope["type"], scope["method"], scope["path"], scope["raw_path"]) == (
        "http", "CONNECT", TARGET.decode(), TARGET,
    )  # fmt: skip
    assert scope["extensions"]["tricorn.tunnel"] == {"protocol": None}
    assert (b"proxy-authorization", b"Basic eDp5") in scope["headers"]
    assert dict(scope["headers"])[b"host"] == TARGET


def test_requests_that_are_no_tunnels_have_no_such_extension(net):
    async def handler(scope, receive, send):
        raise AssertionError("this is no tunnel")

    client = net.client(proxy(handler))
    assert client.request("GET", "/").status == 404


@pytest.mark.on("asyncio", "uvloop", "trio")
def test_the_clients_side_ends_first(net):
    async def handler(scope, receive, send):
        await accept(send)
        data = b""
        while True:
            message = await receive()
            data += message["body"]
            if not message["more_body"]:
                break
        for part in (b"you said: ", data):
            await give(send, part)
            await anyio.sleep(0.01)
        await give(send, b".", more=False)

    client = net.client(proxy(handler))
    stream, response = opened(client)
    client.send_raw(stream, b"all that I have")
    client.end_tunnel(stream)
    client.wait(lambda: response.over, "the tunnel's end")
    assert (response.ended, bytes(response.body)) == (True, b"you said: all that I have.")


@pytest.mark.on("asyncio", "uvloop", "trio")
def test_our_side_ends_first(net, eventually):
    heard = []

    async def handler(scope, receive, send):
        await accept(send)
        await give(send, b"that is all", more=False)
        while True:
            message = await receive()
            heard.append(message["body"])
            if not message["more_body"]:
                heard.append("the end")
                return

    client = net.client(proxy(handler))
    stream, response = opened(client)
    client.wait(lambda: response.ended, "the end of the server's side")
    assert bytes(response.body) == b"that is all"
    assert heard == []
    for _ in range(3):
        client.send_raw(stream, b"but I go on")
        client.poll(0.02)
    client.end_tunnel(stream)
    eventually(lambda: client.poll(0.01) or "the end" in heard)
    assert b"".join(heard[:-1]) == b"but I go on" * 3


def test_an_application_that_returns_ends_the_tunnel(net):
    async def handler(scope, receive, send):
        await accept(send)
        await give(send, b"bye")

    client = net.client(proxy(handler))
    _, response = opened(client)
    client.wait(lambda: response.ended, "the tunnel's end")
    assert bytes(response.body) == b"bye"


def test_an_application_that_crashes_breaks_the_tunnel(net, caplog):
    async def handler(scope, receive, send):
        await accept(send)
        await give(send, b"so far")
        await receive()
        raise ValueError("as you wish")

    client = net.client(proxy(handler))
    stream, response = opened(client)
    has(client, response, b"so far")
    client.send_raw(stream, b"go on")
    client.wait(lambda: response.over, "the break")
    if net.version != "1":  # there it is the connection's end, which looks the same
        assert response.reset is not None
    assert "as you wish" in caplog.text


def test_a_refusal(net):
    async def handler(scope, receive, send):
        headers = [(b"content-length", b"3"), (b"proxy-authenticate", b"Basic")]
        await send({"type": "http.response.start", "status": 407, "headers": headers})
        await send({"type": "http.response.body", "body": b"no\n"})

    client = net.client(proxy(handler))
    stream = client.connect_to(TARGET)
    response = client.response(stream)
    assert (response.status, response.body) == (407, b"no\n")
    if net.version == "1":
        client.wait(lambda: client.closed, "the end: the next bytes may be the tunnel's")


@pytest.mark.over("h1", "h1-tls")
def test_no_request_is_read_out_of_a_tunnels_first_bytes(net):
    """A client that does not wait for the answer sends what looks like a request, and may not be its author."""
    asked = []

    async def handler(scope, receive, send):
        asked.append(scope["path"])
        await send({"type": "http.response.start", "status": 403, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})

    net.client(proxy(handler)).close()
    wire = net.wire()
    wire.send(b"CONNECT a.test:80 HTTP/1.1\r\nhost: a.test:80\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: a.test\r\n\r\n")
    answer = wire.read_all()
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert answer.count(b"HTTP/1.1") == 1
    assert asked == ["a.test:80"]


def test_a_2xx_that_opens_no_tunnel_is_the_applications_error(net, caplog):
    async def handler(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})

    client = net.client(proxy(handler))
    assert client.response(client.connect_to(TARGET)).status == 500
    assert "tricorn.tunnel.accept" in caplog.text


def test_bytes_that_come_before_the_answer_are_kept(net):
    async def handler(scope, receive, send):
        await anyio.sleep(0.05)
        await echo(scope, receive, send)

    client = net.client(proxy(handler))
    stream = client.connect_to(TARGET)
    client.send_raw(stream, b"early")
    response = client.responses[stream]
    client.wait(lambda: response.status, "the answer")
    has(client, response, b"EARLY")


def test_messages_out_of_order(net, eventually):
    errors = []

    async def handler(scope, receive, send):
        for message in (
            {"type": "tricorn.tunnel.send", "body": b"x"},
            {"type": "tricorn.tunnel.accept"},
            {"type": "tricorn.tunnel.accept"},
            {"type": "http.response.start", "status": 200},
            {"type": "tricorn.tunnel.send", "body": b"the end"},
            {"type": "tricorn.tunnel.send", "body": b"more"},
        ):
            try:
                await send(message)
            except Exception as error:
                errors.append((message["type"], type(error).__name__))

    client = net.client(proxy(handler))
    _, response = opened(client)
    client.wait(lambda: response.over, "the end")
    assert bytes(response.body) == b"the end"
    eventually(lambda: len(errors) == 4)
    assert errors == [
        ("tricorn.tunnel.send", "LocalProtocolError"),
        ("tricorn.tunnel.accept", "LocalProtocolError"),
        ("http.response.start", "LocalProtocolError"),
        ("tricorn.tunnel.send", "LocalProtocolError"),
    ]


def test_a_client_that_breaks_off_is_a_disconnect(net, eventually):
    heard = []

    async def handler(scope, receive, send):
        await accept(send)
        heard.append((await receive())["type"])
        try:
            while True:
                await give(send, b"x" * 65_536)
        except OSError:
            heard.append("OSError")

    client = net.client(proxy(handler))
    stream, _ = opened(client)
    client.reset(stream)
    client.poll(0) if net.version != "1" else None
    eventually(lambda: len(heard) == 2)
    assert heard == ["http.disconnect", "OSError"]


def test_a_client_that_does_not_read_holds_the_sender_back(net, settled):
    sent = [0]

    async def handler(scope, receive, send):
        await accept(send)
        for _ in range(400):
            await give(send, b"x" * 65_536)
            sent[0] += 65_536

    client = net.client(proxy(handler), **({} if net.version == "3" else {"receive_buffer": 65_536}))
    _, response = opened(client)
    assert settled(lambda: sent[0]) < 12 << 20
    client.wait(lambda: response.over, "the end", timeout=60)
    assert len(response.body) == 400 * 65_536


def test_an_application_that_does_not_read_holds_the_client_back(net, settled, until):
    go_on, got = [], [0]

    async def handler(scope, receive, send):
        await accept(send)
        await until(lambda: go_on)
        while True:
            message = await receive()
            got[0] += len(message["body"])
            if not message["more_body"]:
                return

    client = net.client(proxy(handler))
    stream, response = opened(client)
    total = 24 << 20
    for _ in range(24):
        client.send_raw(stream, b"x" * (1 << 20))
    client.end_tunnel(stream) if net.version != "1" else None
    held = settled(lambda: client.sent(stream), lambda: client.poll(0.01))
    assert net.version == "1" or held < 4 << 20
    go_on.append(True)
    if net.version == "1":
        client.wait(lambda: not client.wire.unsent, "all to be sent", timeout=60)
        client.end_tunnel(stream)
    client.wait(lambda: response.over, "the end", timeout=60)
    assert got[0] == total


def test_silence_is_no_fault_and_no_bound_on_bodies_holds(net):
    short = Timeouts(
        body_timeout=0.1, write_timeout=0.1, keep_alive_timeout=0.1, header_timeout=0.1, half_close_grace=0.1
    )
    net.serve(proxy(echo), timeouts=short, limits=Limits(max_body_bytes=1000))
    client = net.connect()
    stream, response = opened(client)
    for _ in range(5):
        client.poll(0.1)
        client.send_raw(stream, b"x" * 500)
        has(client, response, b"X" * 500)


def test_a_half_closed_tunnel_outlives_the_grace(net):
    async def handler(scope, receive, send):
        await accept(send)
        assert (await receive())["more_body"] is False
        await anyio.sleep(0.4)
        await give(send, b"late", more=False)

    net.serve(proxy(handler), timeouts=Timeouts(half_close_grace=0.05))
    client = net.connect()
    stream, response = opened(client)
    client.end_tunnel(stream)
    client.wait(lambda: response.over, "the end")
    assert (response.ended, bytes(response.body)) == (True, b"late")


def test_a_client_that_takes_nothing_is_left(net, eventually, caplog):
    errors = []

    async def handler(scope, receive, send):
        await accept(send)
        try:
            while True:
                await give(send, b"x" * 65_536)
        except OSError as error:
            errors.append(error)

    net.serve(proxy(handler), timeouts=Timeouts(write_timeout=0.3))
    client = net.connect(**({} if net.version == "3" else {"receive_buffer": 32_768}))
    opened(client)
    eventually(lambda: errors)
    assert "write_timeout" in caplog.text


@pytest.mark.over("h2", "h2-tls", "h3")
def test_other_requests_go_on_beside_a_tunnel(net):
    client = net.client(proxy(echo))
    stream, response = opened(client)
    assert client.request("GET", "/").status == 404
    client.send_raw(stream, b"still here")
    has(client, response, b"STILL HERE")
    client.end_tunnel(stream)
    client.wait(lambda: response.ended, "the end")
    assert client.request("GET", "/").status == 404


def test_other_protocols_can_be_upgraded_to(net):
    """RFC 9298 and its like: an Upgrade on HTTP/1.1, an extended CONNECT on HTTP/2 and 3."""
    seen = []

    async def handler(scope, receive, send):
        seen.append((scope["method"], scope["path"], scope["extensions"]["tricorn.tunnel"]))
        await echo(scope, receive, send)

    client = net.client(proxy(handler))
    if net.version == "1":
        stream = client.open("GET", "/x", [(b"upgrade", b"connect-udp"), (b"connection", b"upgrade")])
    else:
        stream = client.open("CONNECT", "/x", end=False, protocol=b"connect-udp")
    response = client.responses[stream]
    client.wait(lambda: response.status or response.over, "the answer")
    assert response.status == (101 if net.version == "1" else 200)
    client.send_raw(stream, b"capsule")
    has(client, response, b"CAPSULE")
    assert seen == [("GET" if net.version == "1" else "CONNECT", "/x", {"protocol": "connect-udp"})]


def test_a_drain_waits_for_a_tunnel(net, eventually):
    server = net.serve(proxy(echo))
    client = net.connect()
    stream, response = opened(client)
    server.begin_stop()
    client.poll(0.1)
    client.send_raw(stream, b"last")
    has(client, response, b"LAST")
    client.end_tunnel(stream)
    client.wait(lambda: response.over, "the end")
    client.close()
    eventually(lambda: not server._thread.is_alive())
