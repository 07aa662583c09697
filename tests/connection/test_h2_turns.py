"""Many responses, one write: what a turn has to say leaves at once, in frames as large as the client takes them."""

from __future__ import annotations

import socket
from contextlib import closing

import h2.config
import h2.connection
import h2.events
import h2.settings
import pytest

from tricorn_transports.connection.tcp import TcpConnection

FIELDS = [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/")]
COUNT = 50
BODY = b"b" * 1000


@pytest.fixture
def writes(monkeypatch):
    """All writes of the server: for each turn, those that it made."""
    turns = []
    turn, write = TcpConnection.turn, TcpConnection._transport_write

    def counted_turn(connection, events):
        turns.append([])
        turn(connection, events)

    def counted_write(connection, output):
        turns[-1].append(b"".join(output))
        write(connection, output)

    monkeypatch.setattr(TcpConnection, "turn", counted_turn)
    monkeypatch.setattr(TcpConnection, "_transport_write", counted_write)
    return turns


class Client:
    def __init__(self, port, settings):
        self.sock = socket.create_connection(("127.0.0.1", port), 10)
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration())
        self.h2.local_settings = h2.settings.Settings(client=True, initial_values=settings)
        self.h2.initiate_connection()
        self.h2.increment_flow_control_window(1 << 20)
        self.h2.max_inbound_frame_size = settings.get(h2.settings.SettingCodes.MAX_FRAME_SIZE, 16_384)
        self.until(h2.events.SettingsAcknowledged, 1)

    def until(self, kind, count):
        """Reads until so many events of a kind have come; all events."""
        seen = []
        while sum(isinstance(event, kind) for event in seen) < count:
            self.sock.sendall(self.h2.data_to_send())
            data = self.sock.recv(1 << 20)
            assert data, "the server closed the connection"
            seen += self.h2.receive_data(data)
        return seen


def data_frames(wire):
    """Stream and length of each DATA frame."""
    found = []
    while wire:
        size = int.from_bytes(wire[:3], "big")
        if wire[3] == 0:
            found.append((int.from_bytes(wire[5:9], "big"), size))
        wire = wire[9 + size :]
    return found


@pytest.mark.parametrize("runtime", ["asyncio", "uvloop"])  # trio runs tasks in no order
def test_what_many_requests_are_answered_leaves_in_one_write(serve, runtime, writes):
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": BODY})

    client = Client(serve(app, runtime=runtime).port, {})
    with closing(client.sock):
        writes.clear()
        for stream in range(1, 2 * COUNT, 2):
            client.h2.send_headers(stream, FIELDS, end_stream=True)
        client.until(h2.events.StreamEnded, COUNT)
    answers = [write for turn in writes for write in turn if BODY in write]
    assert [write.count(BODY) for write in answers] == [COUNT]
    assert max(map(len, writes)) == 1


@pytest.mark.parametrize("runtime", ["asyncio", "uvloop", "trio"])
def test_a_turn_of_large_responses_is_one_write_of_large_frames(serve, runtime, writes):
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(4):
            await send({"type": "http.response.body", "body": bytes(60_000), "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    codes = h2.settings.SettingCodes
    client = Client(
        serve(app, runtime=runtime).port, {codes.MAX_FRAME_SIZE: 1 << 20, codes.INITIAL_WINDOW_SIZE: 1 << 20}
    )
    with closing(client.sock):
        writes.clear()
        for stream in (1, 3):  # each gives twice 60,000 bytes before it waits, so that a turn has less than 256 KiB
            client.h2.send_headers(stream, FIELDS, end_stream=True)
        client.until(h2.events.StreamEnded, 2)
    assert max(map(len, writes)) == 1
    frames = data_frames(b"".join(write for turn in writes for write in turn))
    assert sum(size for _, size in frames) == 2 * 240_000
    assert sum(size > 16_384 for _, size in frames) >= 6
