"""The end of a server: what runs is finished, what idles is closed, nothing new is taken; and its beginning."""

from __future__ import annotations

import socket
import time

import anyio
import pytest
from aioquic.quic.packet import QuicErrorCode

from tricorn_transports.config import Timeouts
from tricorn_transports.server import StartupFailed


@pytest.fixture
def waiting(until, answer):
    """An application that answers once ``waiting.go_on`` holds something."""

    async def app(scope, receive, send):
        if scope["type"] == "http":
            app.running.append(scope["path"])
            if scope["path"] != "/quick":
                await until(lambda: app.go_on)
            await answer(send, b"done")

    app.running, app.go_on = [], []
    return app


def is_stopped(server):
    return not server._thread.is_alive()


def test_a_running_request_is_finished(net, waiting, eventually):
    server = net.serve(waiting)
    client = net.connect()
    stream = client.open("GET", "/")
    eventually(lambda: waiting.running or client.poll(0))
    server.begin_stop()
    for _ in range(4):
        client.poll()
    assert not is_stopped(server)
    waiting.go_on.append(True)
    response = client.response(stream)
    assert (response.status, response.body) == (200, b"done")
    client.wait(lambda: client.closed, "the server's end of the connection")
    if net.version == "1":
        assert response.header(b"connection") == b"close"
    elif net.version == "2":
        assert client.goaways[-1] == (stream, 0)
    else:
        assert client.goaways == [2**62 - 4, stream + 4]
        assert client.terminated.error_code == 0x100
    client.close()
    eventually(lambda: is_stopped(server))
    assert server.error is None


def test_idle_connections_end_at_once(net, waiting, eventually):
    server = net.serve(waiting)
    client = net.connect()
    assert client.request("GET", "/quick").status == 200
    server.begin_stop()
    client.wait(lambda: client.closed, "the end of the idle connection", 4)
    client.close()
    eventually(lambda: is_stopped(server), 4)


@pytest.mark.on("asyncio", "trio")
@pytest.mark.over("h1", "h1-tls")
def test_connections_that_have_said_nothing_end_at_once(net, waiting, eventually):
    server = net.serve(waiting)
    wire = net.wire()
    silent = net.wire(tls=False)  # under TLS: not even a handshake
    time.sleep(0.1)
    server.begin_stop()
    eventually(lambda: is_stopped(server), 4)
    assert wire.read_all().startswith((b"", b"\x00"))
    assert silent.read_all() == b""


def test_new_connections_are_refused(net, waiting, eventually):
    server = net.serve(waiting)
    client = net.connect()
    client.open("GET", "/")
    eventually(lambda: waiting.running or client.poll(0))
    server.begin_stop()
    if net.version == "3":
        client.wait(lambda: client.goaways, "the GOAWAY")
        assert net.connect().terminated.error_code == QuicErrorCode.CONNECTION_REFUSED
    else:

        def is_refused():
            try:
                socket.create_connection(("127.0.0.1", server.port)).close()
            except ConnectionRefusedError:
                return True
            return False

        eventually(is_refused)
    waiting.go_on.append(True)


@pytest.mark.over("h2", "h2-tls", "h3")
def test_requests_after_the_goaway_are_refused(net, waiting, eventually):
    server = net.serve(waiting)
    client = net.connect()
    first = client.open("GET", "/")
    eventually(lambda: waiting.running or client.poll(0))
    server.begin_stop()
    # It is said twice: the first time only that the end is near.
    client.wait(lambda: len(client.goaways) == 2, "the last GOAWAY")
    late = client.open("GET", "/late")
    refused = client.response(late)
    assert refused.reset == {"2": 7, "3": 0x10B}[net.version]  # REFUSED_STREAM, H3_REQUEST_REJECTED
    waiting.go_on.append(True)
    assert client.response(first).body == b"done"
    assert waiting.running == ["/"]


@pytest.mark.over("h2", "h2-tls", "h3")
def test_no_request_is_lost_in_a_drain(net, waiting, eventually):
    server = net.serve(waiting)
    client = net.connect()
    streams = [client.open("GET", "/")]
    eventually(lambda: waiting.running or client.poll(0))
    server.begin_stop()
    while len(client.goaways) < 2:  # a client that is never told to stop, until it is told so for certain
        streams.append(client.open("GET", "/quick"))
        client.poll(0.001)
    streams += [client.open("GET", "/quick") for _ in range(5)]
    waiting.go_on.append(True)
    last = client.goaways[-1][0] if net.version == "2" else client.goaways[-1] - 4
    answers = {stream: client.response(stream) for stream in streams}
    assert last in streams[1:-5], "what was on its way was still taken"
    for stream, answer in answers.items():
        if stream <= last:
            assert (answer.status, answer.body) == (200, b"done")
        else:  # by its code, or by the GOAWAY if the connection ended before it was read: safe to be sent elsewhere
            assert answer.reset in ({"2": 7, "3": 0x10B}[net.version], -1)
    assert len(waiting.running) == streams.index(last) + 1


@pytest.mark.on("asyncio", "trio")
def test_the_deadline_cuts_off_what_still_runs(net, waiting, eventually, caplog):
    server = net.serve(waiting, timeouts=Timeouts(drain_timeout=0.3))
    client = net.connect()
    stream = client.open("GET", "/")
    eventually(lambda: waiting.running or client.poll(0))
    server.begin_stop()
    response = client.response(stream)
    assert not response.ended
    eventually(lambda: is_stopped(server))
    assert server.error is None
    assert "drain_timeout" in caplog.text


def test_a_second_signal_ends_everything_at_once(net, waiting, eventually):
    server = net.serve(waiting)
    client = net.connect()
    client.open("GET", "/")
    eventually(lambda: waiting.running or client.poll(0))
    server.stop(5, at_once=True)
    assert server.error is None


# ------------------------------------------------------------------------------------------------------- lifespan


@pytest.mark.over("h1")
def test_a_failed_startup_stops_the_server(net):
    async def app(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    with pytest.raises(StartupFailed, match="no database"):
        net.serve(app)


@pytest.mark.over("h1")
def test_a_startup_that_takes_too_long_stops_the_server(net):
    async def app(scope, receive, send):
        await anyio.sleep(60)

    with pytest.raises(StartupFailed, match="startup_timeout"):
        net.serve(app, timeouts=Timeouts(startup_timeout=0.1))


@pytest.mark.over("h1")
def test_the_application_is_told_of_both_ends(net, answer):
    told = []

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            for _ in range(2):
                message = await receive()
                told.append(message["type"])
                await send({"type": message["type"] + ".complete"})
        else:
            told.append("http")
            await answer(send)

    server = net.serve(app)
    client = net.connect()
    assert client.request("GET", "/").status == 200
    client.close()
    server.stop()
    assert told == ["lifespan.startup", "http", "lifespan.shutdown"]


@pytest.mark.over("h1")
def test_the_shutdown_comes_after_the_last_request(net, until, answer, eventually):
    order, go_on = [], []

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            for _ in range(2):
                message = await receive()
                order.append(message["type"])
                await send({"type": message["type"] + ".complete"})
        else:
            order.append("begins")
            await until(lambda: go_on)
            await answer(send)
            order.append("ends")

    server = net.serve(app)
    client = net.connect()
    stream = client.open("GET", "/")
    eventually(lambda: "begins" in order)
    server.begin_stop()
    time.sleep(0.1)
    go_on.append(True)
    assert client.response(stream).status == 200
    client.close()
    eventually(lambda: is_stopped(server))
    assert order == ["lifespan.startup", "begins", "ends", "lifespan.shutdown"]


@pytest.mark.over("h1")
def test_an_application_without_lifespan_is_served(net, answer):
    async def app(scope, receive, send):
        if scope["type"] != "http":
            raise NotImplementedError
        await answer(send)

    net.serve(app)
    assert net.connect().request("GET", "/").status == 200
