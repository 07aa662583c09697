"""Bodies in both directions, 100-continue, request trailers, and back pressure, on every protocol."""

from __future__ import annotations

import os

import pytest


def start(status=200, headers=(), **more):
    return {"type": "http.response.start", "status": status, "headers": list(headers), **more}


def body(data=b"", more=False):
    return {"type": "http.response.body", "body": data, "more_body": more}


@pytest.fixture
def echo():
    """An application that sends back what it reads, part by part."""

    async def app(scope, receive, send):
        await send(start())
        while True:
            message = await receive()
            await send(body(message["body"], message["more_body"]))
            if not message["more_body"]:
                return

    return app


@pytest.fixture
def whole(read_body, answer):
    """An application that answers with the length of the body it has read; ``whole.messages`` keeps the last ones."""

    async def app(scope, receive, send):
        data, last = await read_body(receive)
        app.messages.append(last)
        await answer(send, data if len(data) < 100 else b"%d" % len(data))

    app.messages = []
    return app


# ------------------------------------------------------------------------------------------------------- requests


def test_a_body_with_its_length(net, whole):
    client = net.client(whole)
    assert client.request("POST", "/", [(b"content-length", b"5")], b"hello").body == b"hello"
    assert client.request("POST", "/", [(b"content-length", b"0")]).body == b""


def test_a_body_without_its_length(net, whole):
    client = net.client(whole)
    assert client.request("POST", "/", (), b"hello").body == b"hello"
    assert client.request("POST", "/", (), b"").body == b""
    assert client.request("GET", "/").body == b""


def test_parts_arrive_as_they_are_sent(net):
    parts = []

    async def app(scope, receive, send):
        while True:
            message = await receive()
            parts.append(message["body"])
            if not message["more_body"]:
                break
        await send(start())
        await send(body(b"ok"))

    client = net.client(app)
    stream = client.open("POST", "/", end=False)
    for part in (b"one", b"two", b"three"):
        client.send(stream, part)
        client.wait(lambda part=part: b"".join(parts).endswith(part), f"the arrival of {part}")
    client.send(stream, b"", end=True)
    assert client.response(stream).body == b"ok"
    assert b"".join(parts) == b"onetwothree"


def test_request_trailers_are_in_the_last_message(net, whole):
    client = net.client(whole)
    stream = client.open("POST", "/", [(b"trailer", b"x-sum")], end=False)
    client.send(stream, b"data")
    client.send_trailers(stream, [(b"x-sum", b"1"), (b"x-two", b"2")])
    assert client.response(stream).body == b"data"
    assert whole.messages[0]["trailers"] == [(b"x-sum", b"1"), (b"x-two", b"2")]
    assert client.request("POST", "/", (), b"data").body == b"data"
    assert "trailers" not in whole.messages[1]


def test_an_answer_may_come_before_the_body_is_read(net, answer):
    async def app(scope, receive, send):
        await answer(send, b"early")

    client = net.client(app)
    stream = client.open("POST", "/", [(b"content-length", b"10")], end=False)
    response = client.response(stream)
    assert (response.status, response.body) == (200, b"early")


def test_a_small_unread_body_does_not_end_the_connection(net, answer):
    async def app(scope, receive, send):
        await answer(send, b"early")

    client = net.client(app)
    for _ in range(3):
        response = client.request("POST", "/", [(b"content-length", b"1000")], b"x" * 1000)
        assert response.body == b"early"
    assert not client.closed


def test_receive_says_disconnect_once_the_answer_is_complete(net, answer, eventually):
    after = []

    async def app(scope, receive, send):
        assert await receive() == {"type": "http.request", "body": b"", "more_body": False}
        await answer(send)
        after.append(await receive())

    assert net.client(app).request("GET", "/").body == b"ok"
    eventually(lambda: after == [{"type": "http.disconnect"}])


# --------------------------------------------------------------------------------------------------- 100-continue


def test_100_is_sent_when_the_application_reads(net, read_body, answer, until):
    go_on = []

    async def app(scope, receive, send):
        await until(lambda: go_on)
        data, _ = await read_body(receive)
        await answer(send, data)

    client = net.client(app)
    stream = client.open("POST", "/", [(b"expect", b"100-continue"), (b"content-length", b"4")], end=False)
    for _ in range(5):
        client.poll()
    assert client.responses[stream].informational == []
    go_on.append(True)
    client.wait(lambda: client.responses[stream].informational, "the 100")
    assert [status for status, _ in client.responses[stream].informational] == [100]
    client.send(stream, b"data", end=True)
    assert client.response(stream).body == b"data"


def test_no_100_where_the_application_answers_without_reading(net, answer):
    async def app(scope, receive, send):
        await answer(send, b"no", 403)

    client = net.client(app)
    stream = client.open("POST", "/", [(b"expect", b"100-continue"), (b"content-length", b"4")], end=False)
    response = client.response(stream)
    assert (response.status, response.informational) == (403, [])
    if net.version == "1":
        client.wait(lambda: client.closed, "the end of a connection whose next bytes nobody could tell apart")


def test_no_100_for_a_body_that_is_there_already(net, whole):
    client = net.client(whole)
    # In one packet with the head where the protocol lets it.
    stream = client.open("POST", "/", [(b"expect", b"100-continue"), (b"content-length", b"0")])
    response = client.response(stream)
    assert (response.status, response.informational) == (200, [])


# -------------------------------------------------------------------------------------------------------- large ones


def test_five_mebibytes_go_both_ways_at_once(net, echo):
    client = net.client(echo)
    data = os.urandom(5 << 20)
    response = client.request("POST", "/", [(b"content-length", b"%d" % len(data))], data)
    assert bytes(response.body) == data


@pytest.mark.on("asyncio", "trio")
def test_a_large_chunked_upload(net, whole):
    client = net.client(whole)
    stream = client.open("PUT", "/", end=False)
    for _ in range(30):
        client.send(stream, b"x" * 100_000)
    client.send(stream, b"", end=True)
    assert client.response(stream).body == b"3000000"


@pytest.mark.on("asyncio", "trio")
def test_one_message_of_any_size(net):
    data = os.urandom(4 << 20)

    async def app(scope, receive, send):
        await send(start())
        await send(body(data))

    response = net.client(app).request("GET", "/")
    assert bytes(response.body) == data
    assert response.header(b"content-length") == b"%d" % len(data)


# ---------------------------------------------------------------------------------------------------- back pressure


@pytest.mark.on("asyncio", "trio")
def test_a_client_that_does_not_read_holds_send(net, settled):
    # On HTTP/1 the kernel's socket buffers take some 4 MiB; HTTP/2 and 3 have windows, which are smaller.
    part, parts, bound = b"x" * 65_536, *((256, 8 << 20) if net.version == "1" else (48, 2 << 20))
    sent = [0]

    async def app(scope, receive, send):
        await send(start())
        for _ in range(parts):
            await send(body(part, True))
            sent[0] += len(part)
        await send(body())

    client = net.client(app, receive_buffer=65_536) if net.version != "3" else net.client(app)
    stream = client.open("GET", "/")
    client.poll(0)
    held = settled(lambda: sent[0])
    assert held < bound
    assert len(client.response(stream, 30).body) == len(part) * parts


@pytest.mark.on("asyncio", "trio")
def test_an_application_that_does_not_read_holds_the_client(net, settled, until, read_body, answer):
    go_on = []

    async def app(scope, receive, send):
        await until(lambda: go_on)
        data, _ = await read_body(receive)
        await answer(send, b"%d" % len(data))

    total, bound = (16 << 20, 12 << 20) if net.version == "1" else (4 << 20, 1 << 20)  # see above
    client = net.client(app)
    stream = client.open("POST", "/", [(b"content-length", b"%d" % total)], end=False)
    client.send(stream, b"x" * total, end=True)
    held = settled(lambda: client.sent(stream), lambda: client.poll(0.01))
    assert held < bound
    go_on.append(True)
    assert client.response(stream, 60).body == b"%d" % total


@pytest.mark.over("h2", "h2-tls", "h3")
def test_a_slow_stream_does_not_hold_the_others(net, answer):
    sent = [0]

    async def app(scope, receive, send):
        if scope["path"] == "/fast":
            await answer(send, b"fast" * 1000)
            return
        await send(start())
        for _ in range(100):
            await send(body(b"x" * 10_000, True))
            sent[0] += 10_000
        await send(body())

    client = net.client(app, **({"max_stream_data": 65_536} if net.version == "3" else {}))
    slow = client.open("GET", "/slow")
    client.slow.add(slow)
    client.wait(lambda: len(client.responses[slow].body) >= 60_000, "the slow stream's window being full")
    for _ in range(3):
        assert client.request("GET", "/fast").body == b"fast" * 1000
    assert not client.responses[slow].over
    assert sent[0] < 500_000


@pytest.mark.over("h2", "h2-tls", "h3")
def test_an_unread_upload_does_not_hold_the_others(net, until, read_body, answer):
    go_on = []

    async def app(scope, receive, send):
        if scope["path"] == "/slow":
            await until(lambda: go_on)
        data, _ = await read_body(receive)
        await answer(send, b"%d" % len(data))

    client = net.client(app)
    slow = client.open("POST", "/slow", end=False)
    client.send(slow, b"x" * 1_000_000, end=True)
    for _ in range(3):
        assert client.request("POST", "/fast", (), b"y" * 200_000).body == b"200000"
    go_on.append(True)
    assert client.response(slow).body == b"1000000"


@pytest.mark.over("h2", "h2-tls", "h3")
def test_requests_run_at_the_same_time(net, until, answer):
    running = []

    async def app(scope, receive, send):
        running.append(scope["path"])
        await until(lambda: len(running) == 10)
        await answer(send, scope["path"].encode())

    client = net.client(app)
    streams = [client.open("GET", f"/{n}") for n in range(10)]
    assert [client.response(stream).body for stream in streams] == [b"/%d" % n for n in range(10)]
