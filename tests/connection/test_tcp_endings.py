"""How a TCP connection ends when its client does not help."""

from __future__ import annotations

import socket
import ssl
import time
from contextlib import closing

import anyio
import pytest

from tricorn_transports.config import Timeouts

pytestmark = pytest.mark.parametrize("runtime", ["asyncio", "uvloop", "trio"])

REQUEST = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"
START = {"type": "http.response.start", "status": 200, "headers": []}


def connect(server, **options):
    sock = socket.socket()
    for name, value in options.items():
        sock.setsockopt(socket.SOL_SOCKET, getattr(socket, name), value)
    sock.settimeout(10)
    sock.connect(("127.0.0.1", server.port))
    return closing(sock)


def wait_until(condition):
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.005)


def test_a_half_closed_client_that_reads_nothing_is_let_go(serve, runtime):
    finished = []

    async def app(scope, receive, send):
        transport = send.__self__._host._transport
        await send(START)
        while not transport.get_write_buffer_size():
            await send({"type": "http.response.body", "body": b"x" * 4096, "more_body": True})
        await send({"type": "http.response.body"})
        finished.append(True)

    server = serve(app, runtime=runtime, timeouts=Timeouts(close_timeout=0.1, write_timeout=0.1))
    with connect(server, SO_RCVBUF=4096) as sock:
        sock.sendall(REQUEST)
        sock.shutdown(socket.SHUT_WR)
        wait_until(lambda: finished)
        wait_until(lambda: not server.server._connections)


def test_bytes_behind_the_end_of_a_tls_input_are_dropped(serve, runtime, certificate):
    held = []

    async def app(scope, receive, send):
        layer = send.__self__._host._tls
        with anyio.fail_after(10):
            while not layer.is_eof:
                await anyio.sleep(0.005)
        for _ in range(20):
            await anyio.sleep(0.01)
            held.append(layer._in.pending)
        await send(START)
        await send({"type": "http.response.body"})

    server = serve(app, runtime=runtime, tls=True)
    reading, writing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context(cafile=certificate.ca)
    context.set_alpn_protocols(["http/1.1"])
    tls = context.wrap_bio(reading, writing, server_hostname="localhost")
    with connect(server) as sock:

        def do(act):
            while True:
                try:
                    act()
                    break
                except ssl.SSLWantReadError:
                    sock.sendall(writing.read())
                    reading.write(sock.recv(65_536))
            sock.sendall(writing.read())

        do(tls.do_handshake)
        do(lambda: tls.write(REQUEST))
        with pytest.raises(ssl.SSLError):
            tls.unwrap()  # wants the server's answer; ours is written
        sock.sendall(writing.read() + b"\x17\x03\x03\x40\x00" * 100_000)
        answer = []
        do(lambda: answer.append(tls.read(100)))
    assert answer[0].startswith(b"HTTP/1.1 200")
    assert max(held) == 0
