"""WebSocket clients that send before they are asked, or that ask and never listen."""

from __future__ import annotations

import socket
from contextlib import closing

import anyio
import h2.config
import h2.connection
import h2.events
import pytest

from tricorn_transports.abc import EngineContext
from tricorn_transports.config import Limits, Timeouts
from tricorn_transports.connection.base import Connection
from tricorn_transports.engines.h1 import H11Engine
from tricorn_transports.events import AbortReason
from tricorn_transports.exchange.host import Worker
from tricorn_transports.runtime.anyio import AnyioRuntime

RUNTIMES = pytest.mark.parametrize("runtime", ["asyncio", "uvloop", "trio"])

CONNECT = [
    (":method", "CONNECT"),
    (":protocol", "websocket"),
    (":scheme", "http"),
    (":authority", "a"),
    (":path", "/"),
    ("sec-websocket-version", "13"),
]
UPGRADE = (
    b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n"
    b"sec-websocket-key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
)


def frame(opcode, payload):
    """A masked frame of at most 125 bytes; the mask is zero, so that the payload stays readable."""
    return bytes([0x80 | opcode, 0x80 | len(payload)]) + bytes(4) + payload


@RUNTIMES
@pytest.mark.parametrize("ends", [False, True])
def test_frames_sent_before_the_answer_are_received(serve, runtime, ends):
    """RFC 9113 section 8.5 keeps no client from sending on a CONNECT stream before its answer."""
    received = []

    async def app(scope, receive, send):
        await receive()
        await anyio.sleep(0.05)
        await send({"type": "websocket.accept"})
        received.extend([await receive(), await receive()])
        if not ends:
            await send({"type": "websocket.close"})

    server = serve(app, runtime=runtime)
    client = h2.connection.H2Connection(h2.config.H2Configuration(validate_outbound_headers=False))
    client.initiate_connection()
    client.send_headers(1, CONNECT)
    client.send_data(1, frame(0x1, b"ea"))
    client.send_data(1, frame(0x1, b"rly"), end_stream=ends)
    with closing(socket.create_connection(("127.0.0.1", server.port), 10)) as sock:
        sock.sendall(client.data_to_send())
        answered = False
        while not answered:
            for event in client.receive_data(sock.recv(65_536)):
                answered = answered or isinstance(event, h2.events.StreamEnded if ends else h2.events.DataReceived)
    assert [message.get("text") for message in received] == ["ea", "rly"]


class Deaf(Connection):
    """A connection whose socket takes nothing until it is told to."""

    __slots__ = ("_deaf", "sent")

    def __init__(self, worker, engine):
        super().__init__(worker)
        self._engine = engine
        self._deaf = True
        self.sent = b""

    def _write(self):
        while not self._deaf and (output := self.engine.data_to_send(0.0)):
            self.sent += b"".join(output)

    def _after_turn(self):
        pass

    def tls_info(self):
        return None

    def receive(self, data):
        self.turn(self.engine.receive_data(data, 0.0))

    def listen(self):
        self._deaf = False
        self.turn(())


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_a_client_that_pings_and_never_listens_is_owed_the_last_pongs(anyio_backend):
    opened = anyio.Event()

    async def app(scope, receive, send):
        await send({"type": "websocket.accept"})
        with anyio.move_on_after(0.01):  # this client takes nothing
            await send({"type": "websocket.send", "bytes": b"x" * 1000})
        opened.set()
        await receive()
        await receive()

    limits, timeouts = Limits(stream_send_buffer=500), Timeouts()
    async with anyio.create_task_group() as tasks:
        worker = Worker(app=app, limits=limits, timeouts=timeouts, runtime=AnyioRuntime(tasks, anyio_backend))
        connection = Deaf(worker, H11Engine(EngineContext(limits, timeouts, b"http", 0.0)))
        connection.receive(UPGRADE)
        with anyio.fail_after(10):
            await opened.wait()
        for number in range(1000):
            connection.receive(frame(0x9, b"%d" % number))
        connection.listen()
        connection.terminate(AbortReason.CANCELLED)
    assert connection.sent.partition(b"\r\n\r\n")[2] == b"\x82\x7e\x03\xe8" + b"x" * 1000 + b"".join(
        b"\x8a\x03%d" % number for number in range(936, 1000)
    )
