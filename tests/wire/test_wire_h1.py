"""What only HTTP/1 has: pipelining, versions, unread bodies between requests, and malformed bytes."""

from __future__ import annotations

import threading

import anyio
import pytest

pytestmark = pytest.mark.over("h1", "h1-tls")


@pytest.fixture
def paths(answer):
    """An application that answers with the request's path and reads no body."""

    async def app(scope, receive, send):
        if scope["type"] == "http":
            await answer(send, scope["path"].encode())

    return app


def test_pipelined_requests_are_answered_in_order(net, answer):
    async def app(scope, receive, send):
        await anyio.sleep(0.03 if scope["path"] == "/0" else 0)
        await answer(send, scope["path"].encode())

    client = net.client(app)
    streams = [client.open("GET", f"/{n}") for n in range(30)]
    assert [client.response(stream).body for stream in streams] == [b"/%d" % n for n in range(30)]
    assert not client.closed


def test_a_client_that_leaves_within_the_turn_that_closes_is_no_fault(net, answer, caplog):
    """Its kernel answers our bytes with a reset, of which asyncio tells in the middle of closing."""
    entered, has_left = threading.Event(), threading.Event()

    async def app(scope, receive, send):
        assert scope["type"] == "http"
        entered.set()
        assert has_left.wait(30)  # and the whole loop with it
        await answer(send, b"for nobody")

    net.serve(app)
    client = net.connect()
    client.open("GET", "/", [(b"connection", b"close")])
    assert entered.wait(30)
    client.close()
    has_left.set()
    net.server.stop()
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_pipelined_requests_run_one_after_the_other(net, answer):
    running = []

    async def app(scope, receive, send):
        running.append(1)
        assert len(running) == 1
        await anyio.sleep(0.01)
        running.pop()
        await answer(send, b"alone")

    client = net.client(app)
    streams = [client.open("GET", "/") for _ in range(5)]
    assert [client.response(stream).body for stream in streams] == [b"alone"] * 5


def test_a_thousand_pipelined_requests_in_one_segment(net, paths):
    client = net.client(paths)
    streams = [client.open("GET", f"/{n}") for n in range(1000)]
    assert [client.response(stream).body for stream in streams] == [b"/%d" % n for n in range(1000)]


def test_a_small_unread_body_between_requests_is_skipped(net, paths):
    client = net.client(paths)
    first = client.open("POST", "/1", [(b"content-length", b"5000")], end=False)
    client.send(first, b"GET /evil HTTP/1.1\r\n\r\n".ljust(5000), end=True)
    second = client.open("POST", "/2", end=False)
    client.send(second, b"x" * 5000, end=True)
    third = client.open("GET", "/3")
    assert [client.response(stream).body for stream in (first, second, third)] == [b"/1", b"/2", b"/3"]


def test_a_large_unread_body_ends_the_connection(net, paths):
    client = net.client(paths)
    stream = client.open("POST", "/1", [(b"content-length", b"10000000")], end=False)
    client.send(stream, b"x" * 100_000)
    assert client.response(stream).body == b"/1"
    client.wait(lambda: client.closed, "the end of the connection")


def test_connection_close_is_kept(net, paths):
    client = net.client(paths)
    response = client.request("GET", "/", [(b"connection", b"close")])
    assert response.header(b"connection") == b"close"
    client.wait(lambda: client.closed, "the end of the connection")


def test_an_application_may_close_the_connection(net, answer):
    async def app(scope, receive, send):
        await answer(send, headers=[(b"connection", b"close")])

    client = net.client(app)
    assert client.request("GET", "/").header(b"connection") == b"close"
    client.wait(lambda: client.closed, "the end of the connection")


def test_http_1_0_gets_an_unchunked_body_up_to_the_end(net):
    scopes = []

    async def app(scope, receive, send):
        scopes.append(scope)
        await send({"type": "http.response.early_hint", "links": [b"</a>"]})
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"a", "more_body": True})
        await send({"type": "http.response.body", "body": b"b"})

    net.client(app)
    wire = net.wire()
    wire.send(b"GET / HTTP/1.0\r\n\r\n")
    head, _, content = wire.read_all().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"chunked" not in head
    assert content == b"ab"
    assert scopes[0]["http_version"] == "1.0"
    assert "http.response.trailers" not in scopes[0]["extensions"]


@pytest.mark.parametrize(
    "request_",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: a\r\nx y: 1\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: a\r\nx : 1\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: a\n\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"\x00\x01\x02\x03\r\n\r\n",
    ],
)
@pytest.mark.on("asyncio", "trio")
def test_malformed_heads_are_400_and_logged_once(net, paths, caplog, request_):
    net.client(paths)
    wire = net.wire()
    wire.send(request_)
    answer = wire.read_all()
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert answer.count(b"HTTP/1.1") == 1
    assert len([record for record in caplog.records if record.name == "tricorn.server"]) == 1


def test_a_malformed_chunk_is_a_400_where_nothing_is_sent_yet(net, read_body, answer, eventually):
    heard = []

    async def app(scope, receive, send):
        while not heard or heard[-1]["type"] == "http.request":
            heard.append(await receive())

    net.client(app)
    wire = net.wire()
    wire.send(b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n")
    eventually(lambda: heard)
    wire.send(b"nonsense\r\n")
    assert wire.read_all().startswith(b"HTTP/1.1 400 ")
    eventually(lambda: heard[-1]["type"] == "http.disconnect")
    assert heard[0]["body"] == b"abc"


def test_the_last_word_reaches_a_client_that_is_still_sending(net, paths):
    """RFC 9112 section 9.6: closing at once would reset the connection and destroy the answer on its way."""
    net.client(paths)
    wire = net.wire()
    wire.send(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 50000000\r\n\r\n")
    for _ in range(50):
        wire.send(b"x" * 65_536)
    answer = wire.read_until(b"\r\n\r\n/")
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert wire.error is None


@pytest.mark.over("h1", "h1-tls")
def test_a_request_that_comes_byte_by_byte(net, paths):
    net.client(paths)
    wire = net.wire()
    for byte in b"POST /slow HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\nconnection: close\r\n\r\nab":
        wire.send(bytes([byte]))
    assert wire.read_all().endswith(b"\r\n\r\n/slow")


@pytest.mark.over("h1")
def test_a_beginning_like_http2_is_http1_in_the_end(net, paths, eventually):
    net.client(paths)
    wire = net.wire()
    wire.send(b"PRI * HTT")
    wire.poll(0.05)
    wire.send(b"X/1.1\r\n\r\n")
    assert wire.read_all().startswith(b"HTTP/1.1 400 ")


def test_an_answer_that_only_the_connections_end_could_end_is_not_ended_in_order(net):
    """A client of HTTP/1.0, as a proxy in front may be, must not take half of it for all (and keep it)."""

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        await receive()
        raise ValueError("as you wish")

    net.client(app)
    wire = net.wire()
    wire.send(b"POST / HTTP/1.0\r\ncontent-length: 1\r\n\r\n")
    assert wire.read_until(b"half")
    wire.send(b"x")
    wire.read_all()
    assert isinstance(wire.error, ConnectionResetError)
    assert not wire.close_notify
