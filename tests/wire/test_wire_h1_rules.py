"""Every rule of HTTP/1.1 framing, one line each: raw bytes, the status they get, the end of the connection, and nothing
behind a rejected message ever parsed (RFC 9112 sections 2 to 7 and 11). Over clear and TLS."""

from __future__ import annotations

import pytest
from wire_clients.h1_messages import ACCEPTED, REJECTED, SMUGGLED, get

from tricorn_transports.config import Limits

pytestmark = [pytest.mark.over("h1", "h1-tls"), pytest.mark.on("asyncio")]


@pytest.fixture
def recorder(read_body, answer):
    """An application that reads every body and answers; ``recorder.seen`` has the complete requests."""

    class Recorder:
        def __init__(self):
            self.begun = []
            self.seen = []

        async def __call__(self, scope, receive, send):
            path = scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")
            self.begun.append(path)
            body = b""
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return
                body += message["body"]
                if not message["more_body"]:
                    break
            host = next((value for name, value in scope["headers"] if name == b"host"), None)
            self.seen.append((scope["method"], path, host, body))
            await answer(send, b"")

    return Recorder()


@pytest.mark.parametrize("rule", REJECTED)
def test_rejected(net, recorder, rule):
    raw, status = REJECTED[rule]
    net.client(recorder)
    wire = net.wire()
    wire.send(raw + SMUGGLED)
    answer = wire.read_all()
    assert answer.startswith(b"HTTP/1.1 %d " % status), answer[:200]
    assert answer.count(b"HTTP/1.1 ") == 1
    head = answer.partition(b"\r\n\r\n")[0].lower()
    assert b"\r\nconnection: close" in head
    assert b"\r\ndate: " in head
    assert b"/smuggled" not in recorder.begun
    assert recorder.seen == []


def test_https_in_absolute_form_over_a_clear_connection(net, recorder):
    """RFC 9110 section 7.4: 421 in clear; over TLS it is what was asked for."""
    net.client(recorder)
    wire = net.wire()
    wire.send(get(b"connection: close", line=b"GET https://a/p HTTP/1.1"))
    assert wire.read_all().startswith(b"HTTP/1.1 200 " if net.tls else b"HTTP/1.1 421 ")


@pytest.mark.parametrize("rule", ACCEPTED)
def test_accepted(net, recorder, rule):
    raw, expected = ACCEPTED[rule]
    net.client(recorder)
    wire = net.wire()
    wire.send(raw + get(b"connection: close", line=b"GET /next HTTP/1.1"))
    assert wire.read_all().count(b"HTTP/1.1 200 OK\r\n") == 2
    assert recorder.seen == [expected, ("GET", b"/next", b"a", b"")]


# ------------------------------------------------------------------------------------------------------------ HTTP/1.0


def test_http_1_0_is_kept_alive_by_request(net, recorder):
    net.client(recorder)
    wire = net.wire()
    for _ in range(2):
        wire.send(b"POST / HTTP/1.0\r\nhost: a\r\nconnection: Keep-Alive\r\ncontent-length: 2\r\n\r\nhi")
        assert b"\r\nconnection: keep-alive\r\n" in wire.read_until(b"\r\n\r\n")
    wire.send(b"GET /last HTTP/1.0\r\n\r\n" + SMUGGLED)
    assert b"\r\nconnection: close\r\n" in wire.read_all()
    assert [path for _, path, _, _ in recorder.seen] == [b"/", b"/", b"/last"]


def test_a_stream_to_http_1_0_ends_with_the_connection(net):
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for part in (b"one ", b"two"):
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    net.client(app)
    wire = net.wire()
    wire.send(b"GET / HTTP/1.0\r\nhost: a\r\nconnection: keep-alive\r\n\r\n" + SMUGGLED)
    head, _, body = wire.read_all().partition(b"\r\n\r\n")
    assert body == b"one two"
    assert b"chunked" not in head
    assert b"\r\nconnection: close" in head


# ---------------------------------------------------------------------------------------------------------- pipelining


def test_a_huge_pipeline_is_not_held(net, settled):
    """While one request runs, the requests behind it fill ``max_pipelined_bytes`` and then the socket, not memory."""

    async def app(scope, receive, send):
        assert scope["type"] == "http"
        while (await receive())["type"] != "http.disconnect":
            pass

    net.serve(app, limits=Limits(max_pipelined_bytes=10_000))
    wire = net.wire()
    wire.send(get() * 200_000)
    left = settled(lambda: -len(wire.unsent), lambda: wire.poll(0.01))
    assert -left > 1_000_000  # of 5,800,000: the rest is in the kernel's buffers
    (connection,) = net.server.server._connections
    assert len(connection.engine._reader.held) < 10_000 + 300_000
