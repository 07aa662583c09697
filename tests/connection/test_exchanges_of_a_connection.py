"""Which exchanges a connection starts, and that nothing of one outlives it."""

from __future__ import annotations

import gc
import http.client
import socket
import ssl
import time
from contextlib import closing

import h2.config
import h2.connection
import pytest

from tricorn_transports.config import Limits
from tricorn_transports.connection.tcp import TcpConnection
from tricorn_transports.exchange.http import HttpExchange

FIELDS = [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/")]


async def ok(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.mark.parametrize("runtime", ["asyncio", "uvloop", "trio"])
def test_an_exchange_needs_no_garbage_collector(serve, runtime):
    server = serve(ok, runtime=runtime)
    gc.collect()
    gc.disable()
    try:
        with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)) as client:
            for _ in range(5):
                client.request("GET", "/")
                assert client.getresponse().read() == b"ok"
            end = time.monotonic() + 10
            while alive := sum(isinstance(thing, HttpExchange) for thing in gc.get_objects()):
                assert time.monotonic() < end, f"{alive} exchanges are left"
                time.sleep(0.005)
    finally:
        gc.enable()


@pytest.mark.parametrize("runtime", ["asyncio", "uvloop", "trio"])
def test_a_request_that_is_taken_back_at_once_never_runs(serve, runtime):
    called = []

    async def app(scope, receive, send):
        if scope["type"] == "http":
            called.append(scope["path"])
            await ok(scope, receive, send)

    server = serve(app, runtime=runtime)
    client = h2.connection.H2Connection(h2.config.H2Configuration())
    client.initiate_connection()
    for _ in range(20):
        stream = client.get_next_available_stream_id()
        client.send_headers(stream, FIELDS, end_stream=True)
        client.reset_stream(stream)
    stream = client.get_next_available_stream_id()
    client.send_headers(stream, FIELDS, end_stream=True)
    with closing(socket.create_connection(("127.0.0.1", server.port), 10)) as sock:
        sock.sendall(client.data_to_send())
        answered = False
        while not answered:
            events = client.receive_data(sock.recv(65_536))
            answered = any(getattr(event, "stream_id", 0) == stream for event in events)
    assert called == ["/"]


@pytest.mark.parametrize("runtime", ["asyncio", "uvloop", "trio"])
def test_a_request_that_is_refused_before_it_runs_is_refused_once(serve, certificate, runtime, caplog):
    """Two TLS records in one segment are two turns, and between them the request's task does not run."""
    server = serve(ok, runtime=runtime, tls=True, limits=Limits(max_body_bytes=10))
    coming, going = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = ssl.create_default_context(cafile=certificate.ca).wrap_bio(coming, going, server_hostname="localhost")
    with closing(socket.create_connection(("127.0.0.1", server.port), 10)) as sock:

        def until_done(step):
            while True:
                try:
                    return step()
                except ssl.SSLWantReadError:
                    sock.sendall(going.read())
                    coming.write(sock.recv(65_536))

        until_done(tls.do_handshake)
        tls.write(b"POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 11\r\n\r\n")
        tls.write(b"11 of them.")
        assert until_done(lambda: tls.read(65_536)).startswith(b"HTTP/1.1 413 ")
    server.stop()
    lines = [record.getMessage().partition(": ")[2] for record in caplog.records if record.levelname == "WARNING"]
    assert lines == ["POST /upload: the request's body is too large (max_body_bytes)"]


@pytest.mark.parametrize("runtime", ["asyncio", "uvloop"])  # trio runs tasks in no order
def test_what_the_protocol_owes_leaves_with_the_answers(serve, runtime, monkeypatch):
    writes = []
    write = TcpConnection._transport_write

    def record(connection, output):
        writes.append(b"".join(output))
        write(connection, output)

    monkeypatch.setattr(TcpConnection, "_transport_write", record)
    server = serve(ok, runtime=runtime)
    client = h2.connection.H2Connection(h2.config.H2Configuration())
    client.initiate_connection()
    with closing(socket.create_connection(("127.0.0.1", server.port), 10)) as sock:
        sock.sendall(client.data_to_send())
        settled = False
        while not settled:
            settled = any(
                type(event).__name__ == "SettingsAcknowledged" for event in client.receive_data(sock.recv(65_536))
            )
            sock.sendall(client.data_to_send())
        client.ping(b"together")
        for stream in (1, 3, 5):
            client.send_headers(stream, FIELDS, end_stream=True)
        sock.sendall(client.data_to_send())
        ended = 0
        while ended < 3:
            ended += sum(type(event).__name__ == "StreamEnded" for event in client.receive_data(sock.recv(65_536)))
    assert [write.count(b"ok") for write in writes if b"together" in write] == [3]


@pytest.mark.parametrize("runtime", ["asyncio", "trio"])  # libuv fills the buffer up to 32 times before it tells
def test_one_read_is_small_so_that_others_have_their_turn(serve, runtime):
    sizes = []

    async def app(scope, receive, send):
        more = True
        while more:
            message = await receive()
            sizes.append(len(message["body"]))
            more = message["more_body"]
        await ok(scope, receive, send)

    server = serve(app, runtime=runtime)
    with closing(socket.create_connection(("127.0.0.1", server.port), 10)) as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5000000\r\n\r\n" + bytes(5_000_000))
        assert sock.recv(100).startswith(b"HTTP/1.1 200")
    assert sum(sizes) == 5_000_000
    assert max(sizes) <= 2 * 65_536
