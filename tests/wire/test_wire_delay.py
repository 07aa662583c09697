"""Large bodies over HTTP/2 on a line with a delay: what is on the way at once, which no 64 KiB may bound."""

from __future__ import annotations

import select
import socket
import threading
import time
from collections import deque

import pytest
from h2.settings import SettingCodes

from tricorn_transports.config import Limits

DELAY = 0.025
MIB = 1 << 20
#: What HTTP/2 gives whoever asks for nothing.
FIRST_WINDOW = 65_535

pytestmark = [pytest.mark.over("h2"), pytest.mark.on("asyncio", "uvloop", "trio")]


class Line:
    """A TCP proxy that hands each byte on ``DELAY`` seconds after it came, and holds any number of them.

    Attributes:
        up, down: The most bytes that were on the way at once, to the server and from it.
    """

    def __init__(self, port):
        self.up = self.down = 0
        self._server_port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self):
        self._over.set()
        self._thread.join(10)
        self._listener.close()

    def _run(self):
        client, _ = self._listener.accept()
        server = socket.create_connection(("127.0.0.1", self._server_port))
        with client, server:
            ways = {client: (server, deque()), server: (client, deque())}
            for sock in ways:
                sock.setblocking(False)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sources = [client, server]
            while sources and not self._over.is_set():
                for sock in select.select(sources, [], [], 0.001)[0]:
                    try:
                        data = sock.recv(MIB)
                    except OSError:
                        data = b""
                    if data:
                        ways[sock][1].append((time.monotonic() + DELAY, memoryview(data)))
                    else:
                        sources.remove(sock)
                for target, queue in ways.values():
                    self._deliver(target, queue)
                self.up = max(self.up, sum(len(data) for _, data in ways[client][1]))
                self.down = max(self.down, sum(len(data) for _, data in ways[server][1]))

    def _deliver(self, target, queue):
        while queue and queue[0][0] <= time.monotonic():
            due, data = queue.popleft()
            try:
                sent = target.send(data)
            except BlockingIOError:
                sent = 0
            except OSError:
                queue.clear()
                return
            if sent < len(data):
                queue.appendleft((due, data[sent:]))
                return


@pytest.fixture
def far_client(make_wire_client):
    """A client of a server that is ``DELAY`` away, and the line between them; its own windows are 8 MiB."""
    lines = []

    def connect(server):
        line = Line(server.port)
        sock = socket.create_connection(("127.0.0.1", line.port))
        client = make_wire_client("2", sock)
        client.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 8 * MIB})
        client.h2.increment_flow_control_window(7 * MIB)
        client.flush()
        lines.append((line, client))
        return client, line

    yield connect
    for line, client in lines:
        client.close()
        line.close()


@pytest.fixture
def mover(answer):
    """An application that reads whatever it is sent, and answers with as many bytes as the path says."""

    async def app(scope, receive, send):
        more = True
        while more:
            message = await receive()
            app.received += len(message["body"])
            more = message["more_body"]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        left = int(scope["path"][1:])
        while left:
            part = min(left, MIB)
            left -= part
            await send({"type": "http.response.body", "body": bytes(part), "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    app.received = 0
    return app


def upload(net, far_client, mover, size):
    client, line = far_client(net.serve(mover))
    stream = client.open("POST", "/0", end=False)
    client.send(stream, bytes(size), end=True)
    assert client.response(stream, 300).status == 200
    assert mover.received == size
    return line


def download(net, far_client, mover, size):
    client, line = far_client(net.serve(mover))
    answer = client.response(client.open("GET", f"/{size}"), 300)
    assert len(answer.body) == size
    return line


def test_an_upload_is_not_bound_by_the_first_window(net, far_client, mover):
    line = upload(net, far_client, mover, 12 * MIB)
    assert line.up > 4 * FIRST_WINDOW
    assert line.up <= Limits().connection_receive_buffer + 100_000, "and yet it is bounded"


def test_a_download_is_bound_by_the_clients_windows_only(net, far_client, mover):
    assert download(net, far_client, mover, 12 * MIB).down > 8 * FIRST_WINDOW


@pytest.mark.long
@pytest.mark.on("asyncio")
@pytest.mark.parametrize("move", [upload, download])
def test_200_mib(net, far_client, mover, move):
    line = move(net, far_client, mover, 200 * MIB)
    assert max(line.up, line.down) > 4 * FIRST_WINDOW
