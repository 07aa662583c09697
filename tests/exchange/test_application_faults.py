"""What an application does wrong costs its own request, and the server and the other requests nothing."""

from __future__ import annotations

import http.client
import socket
import sys
from contextlib import closing

import pytest

from tricorn_transports.config import Timeouts

pytestmark = pytest.mark.parametrize("runtime", ["asyncio", "uvloop", "trio"])


def start(status=200, headers=()):
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


def body(data=b"", more=False):
    return {"type": "http.response.body", "body": data, "more_body": more}


async def ok(send):
    await send(start())
    await send(body(b"ok"))


def get(server, path="/", method="GET"):
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)) as client:
        client.request(method, path)
        response = client.getresponse()
        return response.status, response.read()


@pytest.mark.parametrize(
    "messages",
    [
        [start(), body("text")],
        [start(headers=[(b"content-length", b"4")]), body("text")],
        [start(), body(None)],
        [start(), body(7)],
        [{"type": "http.response.start"}],
        [{}],
        [start(headers=[b"x"])],
        [start(headers=[(b"content-length", b"1")]), body(b"22")],
        [start(), {"type": "http.response.push", "path": "no-slash", "headers": []}],
        [start(), {"type": "http.response.push", "path": 7, "headers": []}],
    ],
)
def test_a_wrong_message_is_answered_with_500(serve, runtime, messages, caplog):
    async def app(scope, receive, send):
        if scope["path"] == "/":
            for message in messages:
                await send(message)
        await ok(send)

    server = serve(app, runtime=runtime)
    assert get(server)[0] == 500
    assert get(server, "/other") == (200, b"ok")
    assert [record.levelname for record in caplog.records if record.name == "tricorn.server"] == ["ERROR"]


@pytest.mark.parametrize("kind", [bytearray, memoryview])
def test_other_kinds_of_bytes_are_copied(serve, runtime, kind):
    async def app(scope, receive, send):
        data = kind(b"hello")
        await send(start(headers=[(b"content-length", b"10")]))
        await send(body(data, more=True))
        if isinstance(data, bytearray):
            data[:] = b"wrong"
        await send(body(b"world"))

    assert get(serve(app, runtime=runtime)) == (200, b"helloworld")


def test_sys_exit_ends_the_request_and_not_the_worker(serve, runtime, caplog):
    async def app(scope, receive, send):
        if scope["path"] == "/":
            sys.exit(3)
        await ok(send)

    server = serve(app, runtime=runtime)
    assert get(server)[0] == 500
    assert get(server, "/other") == (200, b"ok")
    assert "SystemExit: 3" in caplog.text


def test_an_engines_refusal_is_answered_with_500(serve, runtime):
    async def app(scope, receive, send):
        await ok(send)  # a 2xx to CONNECT would open a tunnel

    server = serve(app, runtime=runtime)
    with closing(socket.create_connection(("127.0.0.1", server.port), 10)) as client:
        client.sendall(b"CONNECT example.com:443 HTTP/1.1\r\nhost: example.com:443\r\nconnection: close\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 500 ")


def test_a_disconnect_callback_that_fails_does_not_keep_the_others(serve, runtime, caplog):
    called = []

    async def app(scope, receive, send):
        if scope["path"] == "/other":
            await ok(send)
            return
        register = scope["extensions"]["tricorn.disconnect"]["register"]
        register(lambda: 1 / 0)
        register(lambda: called.append("second"))
        await send(start())
        await send(body(b"begun", more=True))
        await receive()
        called.append((await receive())["type"])

    server = serve(app, runtime=runtime, timeouts=Timeouts(half_close_grace=0.05))
    with closing(socket.create_connection(("127.0.0.1", server.port), 10)) as client:
        client.sendall(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        client.recv(100)
    for _ in range(200):
        if len(called) == 2:
            break
        get(server, "/other")
    assert called == ["second", "http.disconnect"]
    assert caplog.text.count("ZeroDivisionError") == 1
    assert "a callback of tricorn.disconnect failed" in caplog.text
