"""Limits and times: each breach gets its answer or its wire error, and one line in the log."""

from __future__ import annotations

import socket

import anyio
import pytest
from aioquic.quic.packet import QuicErrorCode

from tricorn_transports.config import Limits, Timeouts
from tricorn_transports.http.dates import parse_date


def start(status=200, headers=(), **more):
    return {"type": "http.response.start", "status": status, "headers": list(headers), **more}


def body(data=b"", more=False):
    return {"type": "http.response.body", "body": data, "more_body": more}


@pytest.fixture
def logged(caplog, eventually):
    """What the server has logged; ``logged("name")`` waits for the line that names a setting, and there is one."""

    def lines():
        return [record.getMessage() for record in caplog.records if record.name == "tricorn.server"]

    def check(name):
        eventually(lines)
        assert [name in line for line in lines()] == [True], lines()

    return check


@pytest.fixture
def reader(read_body, answer):
    """An application that reads the body and answers; ``reader.begun`` and ``reader.ended`` tell of its calls."""

    async def app(scope, receive, send):
        if scope["type"] != "http":
            return
        app.begun.append(scope["path"])
        try:
            data, _ = await read_body(receive)
            await answer(send, b"%d" % len(data))
            app.ended.append("answered")
        except AssertionError as error:
            app.ended.append(error.args[0]["type"] if isinstance(error.args[0], dict) else str(error))

    app.begun, app.ended = [], []
    return app


# ---------------------------------------------------------------------------------------------------------- bodies


def test_a_declared_body_that_is_too_large_is_413_without_the_application(net, reader, logged):
    net.serve(reader, limits=Limits(max_body_bytes=1000))
    client = net.connect()
    stream = client.open("POST", "/", [(b"content-length", b"1001")], end=False)
    assert client.response(stream).status == 413
    assert reader.begun == []
    logged("max_body_bytes")


def test_a_counted_body_that_is_too_large_is_413(net, reader, logged, eventually):
    net.serve(reader, limits=Limits(max_body_bytes=1000))
    client = net.connect()
    stream = client.open("POST", "/", end=False)
    eventually(lambda: reader.begun or client.poll(0))
    for _ in range(11):
        client.send(stream, b"x" * 100)
    assert client.response(stream).status == 413
    eventually(lambda: reader.ended)
    assert "http.disconnect" in reader.ended[0]
    logged("max_body_bytes")


def test_a_body_that_just_fits(net, reader):
    net.serve(reader, limits=Limits(max_body_bytes=1000))
    client = net.connect()
    assert client.request("POST", "/", (), b"x" * 1000).body == b"1000"
    assert client.request("POST", "/", [(b"content-length", b"1000")], b"x" * 1000).body == b"1000"


def test_a_body_that_becomes_too_large_after_the_start_cuts_the_answer_off(net, logged):
    async def app(scope, receive, send):
        if scope["type"] == "http":
            await send(start())
            await send(body(b"so far", True))
            while (await receive())["type"] == "http.request":
                pass

    net.serve(app, limits=Limits(max_body_bytes=1000))
    client = net.connect()
    stream = client.open("POST", "/", end=False)
    client.wait(lambda: client.responses[stream].body == b"so far", "the beginning")
    client.send(stream, b"x" * 1001)
    response = client.response(stream)
    assert (response.ended, response.status) == (False, 200)
    logged("max_body_bytes")


# ----------------------------------------------------------------------------------------------------------- heads


@pytest.mark.parametrize(
    ("status", "limits", "path", "headers"),
    [
        (431, Limits(max_head_bytes=2000), "/", [(b"x-large", b"x" * 3000)]),
        (431, Limits(max_fields=10), "/", [(b"x-many", b"1")] * 20),
        (414, Limits(max_target_bytes=100), "/" + "x" * 200, []),
    ],
    ids=["head", "fields", "target"],
)
def test_heads_over_a_limit(net, reader, logged, status, limits, path, headers):
    net.serve(reader, limits=limits)
    client = net.connect()
    response = client.request("GET", path, headers)
    assert (response.status, response.ended) == (status, True)
    assert parse_date(response.header(b"date").decode())  # RFC 9110 section 6.6.1
    assert reader.begun == []
    logged("max_")
    if net.version != "1":
        assert client.request("GET", "/").status == 200  # one request's fault


@pytest.mark.over("h2", "h2-tls", "h3")
def test_more_streams_than_allowed_are_refused_or_wait(net, until, answer):
    running, go_on = [], []

    async def app(scope, receive, send):
        if scope["type"] == "http":
            running.append(scope["path"])
            await until(lambda: go_on)
            await answer(send, b"done")

    net.serve(app, limits=Limits(max_concurrent_streams=3))
    client = net.connect()
    client.poll(0.2)
    if net.version == "2":
        client.h2.remote_settings.acknowledge()
        client.h2.remote_settings[3] = 100  # a client that keeps to no limit
        client.h2.remote_settings.acknowledge()
    streams = [client.open("GET", f"/{n}") for n in range(5)]
    client.wait(lambda: len(running) == 3, "the first three")
    for _ in range(5):
        client.poll()
    assert len(running) == 3
    if net.version == "2":
        assert [client.response(stream).reset for stream in streams[3:]] == [7, 7]  # REFUSED_STREAM
        streams = streams[:3]
    go_on.append(True)
    assert [client.response(stream).body for stream in streams] == [b"done"] * len(streams)


@pytest.mark.over("h1", "h2-tls")
def test_a_connection_too_many_is_refused(net, reader, logged):
    net.serve(reader, limits=Limits(max_connections=2))
    first, second = net.connect(), net.connect()
    assert first.request("GET", "/").status == 200
    assert second.request("GET", "/").status == 200
    try:
        wire = net.wire()
        refusal = wire.read_all()
        assert wire.error is None or isinstance(wire.error, ConnectionResetError)
        assert refusal.startswith(b"HTTP/1.1 503 ")
    except (ConnectionError, OSError):
        assert net.tls  # refused before the handshake
    logged("max_connections")
    first.close()
    second.request("GET", "/")
    assert net.connect().request("GET", "/").status == 200


@pytest.mark.over("h3")
def test_a_quic_connection_too_many_is_refused(net, reader, logged):
    """RFC 9000 section 5.2.2: a client that is not answered would wait for its handshake's end."""
    net.serve(reader, limits=Limits(max_connections=2))
    first, second = net.connect(), net.connect()
    for _ in range(3):
        assert net.connect().terminated.error_code == QuicErrorCode.CONNECTION_REFUSED
    logged("max_connections")
    assert first.request("GET", "/").status == second.request("GET", "/").status == 200


# ----------------------------------------------------------------------------------------------------------- times


@pytest.mark.on("asyncio", "trio")
def test_a_body_that_stops_coming_is_408(net, reader, logged, eventually):
    net.serve(reader, timeouts=Timeouts(body_timeout=0.2))
    client = net.connect()
    stream = client.open("POST", "/", [(b"content-length", b"10")], end=False)
    client.send(stream, b"five!")
    assert client.response(stream).status == 408
    eventually(lambda: reader.ended)
    assert "http.disconnect" in reader.ended[0]
    logged("body_timeout")


@pytest.mark.over("h1", "h2-tls", "h3")
@pytest.mark.on("asyncio", "trio")
def test_a_body_that_nobody_waits_for_has_no_deadline(net, answer, read_body):
    async def app(scope, receive, send):
        if scope["type"] == "http":
            await anyio.sleep(0.5)
            await answer(send, (await read_body(receive))[0])

    net.serve(app, timeouts=Timeouts(body_timeout=0.2))
    client = net.connect()
    stream = client.open("POST", "/", [(b"content-length", b"4")], end=False)
    for _ in range(6):
        client.poll()
    client.send(stream, b"data", end=True)
    assert client.response(stream).body == b"data"


@pytest.mark.on("asyncio", "trio")
def test_a_client_that_takes_nothing_of_the_answer_is_cut_off(net, logged, eventually):
    errors = []

    async def app(scope, receive, send):
        if scope["type"] == "http":
            await send(start())
            try:
                while True:
                    await send(body(b"x" * 65_536, True))
            except OSError as error:
                errors.append(error)

    net.serve(app, timeouts=Timeouts(write_timeout=0.4))
    client = net.connect(**({} if net.version == "3" else {"receive_buffer": 32_768}))
    client.open("GET", "/")
    client.poll(0)
    eventually(lambda: errors)
    logged("write_timeout")


@pytest.mark.over("h1-tls", "h2", "h3")
@pytest.mark.on("asyncio", "trio")
def test_a_slow_reader_that_moves_is_not_cut_off(net):
    async def app(scope, receive, send):
        if scope["type"] == "http":
            await send(start())
            for _ in range(40):
                await send(body(b"x" * 65_536, True))
            await send(body())

    net.serve(app, timeouts=Timeouts(write_timeout=0.5))
    client = net.connect(**({} if net.version == "3" else {"receive_buffer": 32_768}))
    stream = client.open("GET", "/")
    for _ in range(10):
        client.poll()
        client.poll(0.1, read=False)
    assert len(client.response(stream).body) == 40 * 65_536


@pytest.mark.on("asyncio", "trio")
def test_an_idle_connection_is_closed_in_order(net, reader, caplog):
    net.serve(reader, timeouts=Timeouts(keep_alive_timeout=0.3))
    client = net.connect()
    assert client.request("POST", "/", (), b"x").status == 200
    client.wait(lambda: client.closed, "the end")
    if net.version == "2":
        assert client.goaways[-1][1] == 0
    elif net.version == "3":
        assert client.terminated.error_code == 0x100
    assert not [record for record in caplog.records if record.name == "tricorn.server"]


@pytest.mark.on("asyncio", "trio")
@pytest.mark.over("h1", "h1-tls")
def test_a_head_that_comes_too_slowly_is_408(net, reader, logged):
    net.serve(reader, timeouts=Timeouts(header_timeout=0.3))
    wire = net.wire()
    wire.send(b"GET / HTTP/1.1\r\nhost: x\r\n")
    assert wire.read_all().startswith(b"HTTP/1.1 408 ")
    logged("header_timeout")


@pytest.mark.on("asyncio", "trio")
@pytest.mark.over("h1", "h1-tls", "h2")
def test_a_connection_that_never_says_anything_is_closed(net, reader):
    net.serve(reader, timeouts=Timeouts(header_timeout=0.3))
    wire = net.wire()
    assert not wire.read_all().startswith(b"HTTP/1.1 2")


@pytest.mark.on("asyncio", "trio")
@pytest.mark.over("h1-tls")
def test_a_handshake_that_does_not_come_is_given_up(net, reader):
    net.serve(reader, timeouts=Timeouts(handshake_timeout=0.3))
    wire = net.wire(tls=False)
    assert wire.read_all() == b""


@pytest.mark.over("h1", "h2-tls", "h3")
@pytest.mark.on("asyncio", "trio")
def test_a_long_running_request_is_no_idle_connection(net, answer):
    async def app(scope, receive, send):
        if scope["type"] == "http":
            await anyio.sleep(0.5)
            await answer(send, b"late")

    short = Timeouts(keep_alive_timeout=0.2, header_timeout=0.2, body_timeout=0.2, write_timeout=0.2)
    net.serve(app, timeouts=short)
    client = net.connect()
    assert client.request("GET", "/").body == b"late"


# ----------------------------------------------------------------------------------------- other addresses


@pytest.mark.over("h1", "h2")
def test_a_unix_socket(net, answer, tmp_path, make_wire_client):
    from tricorn_transports.config import Bind

    scopes = []

    async def app(scope, receive, send):
        if scope["type"] == "http":
            scopes.append(scope)
            await answer(send, b"local")

    path = str(tmp_path / "server.sock")
    net.serve(app, bind=(Bind.parse(f"unix:{path}"),))
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(path)
    client = make_wire_client(net.version, sock)
    assert client.request("GET", "/").body == b"local"
    assert scopes[0]["client"] is None
    assert scopes[0]["server"] == (path, None)
    client.close()
