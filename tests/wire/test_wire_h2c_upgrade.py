"""``Upgrade: h2c`` (RFC 7540 section 3.2): off by default, only without a body, and then HTTP/2 from stream 1 on."""

from __future__ import annotations

import h2.config
import h2.connection
import h2.events
import pytest

pytestmark = [pytest.mark.over("h1"), pytest.mark.on("asyncio", "trio")]


@pytest.fixture
def app(read_body, answer):
    async def application(scope, receive, send):
        assert scope["type"] == "http"
        data, _ = await read_body(receive)
        names = [name for name, _ in scope["headers"]]
        assert not {b"upgrade", b"http2-settings", b"connection"} & set(names) or scope["http_version"] == "1.1"
        await answer(send, b"%b %b %b" % (scope["http_version"].encode(), scope["path"].encode(), data))

    return application


class Upgrading:
    """An HTTP/2 client that begins with HTTP/1.1."""

    def __init__(self, wire):
        self.wire = wire
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="ascii"))
        self.settings = self.h2.initiate_upgrade_connection()
        self.bodies = {}
        self.ended = set()

    def ask(self, *, behind=b""):
        self.wire.send(
            b"GET /first HTTP/1.1\r\nhost: a\r\nconnection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\n"
            b"http2-settings: %b\r\n\r\n%b" % (self.settings.rstrip(b"="), behind)
        )

    def read(self, data, streams):
        while True:
            for event in self.h2.receive_data(data):
                if isinstance(event, h2.events.DataReceived):
                    self.bodies[event.stream_id] = self.bodies.get(event.stream_id, b"") + event.data
                elif isinstance(event, h2.events.StreamEnded):
                    self.ended.add(event.stream_id)
            self.wire.send(self.h2.data_to_send())
            if self.ended >= streams:
                return
            assert not self.wire.eof
            data = self.wire.poll(0.1)

    def get(self, stream, path):
        fields = [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", path)]
        self.h2.send_headers(stream, fields, end_stream=True)
        return self.h2.data_to_send()


@pytest.mark.parametrize("waits", [True, False])
def test_the_first_request_becomes_stream_1(net, app, waits):
    net.serve(app, h2c_upgrade=True)
    client = Upgrading(net.wire())
    early = client.h2.data_to_send()
    client.ask(behind=b"" if waits else early)
    head, _, rest = client.wire.read_until(b"\r\n\r\n").partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
    assert {b"upgrade: h2c", b"connection: upgrade"} <= set(head.lower().split(b"\r\n"))
    client.wire.send(early if waits else b"")
    client.read(rest, {1})
    client.wire.send(client.get(3, "/second"))
    client.read(b"", {1, 3})
    assert client.bodies == {1: b"2 /first ", 3: b"2 /second "}


STAYS = {
    "no-settings": b"connection: upgrade, http2-settings\r\nupgrade: h2c\r\n",
    "two-settings": b"connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: \r\nhttp2-settings: \r\n",
    "settings-not-listed": b"connection: upgrade\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n",
    "not-base64": b"connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: A\r\n",
    "half-a-setting": b"connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMA\r\n",
    "invalid-setting": b"connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAIAAAAC\r\n",
    "upgrade-not-listed": b"connection: http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n",
    "h2-is-for-tls": b"connection: upgrade, http2-settings\r\nupgrade: h2\r\nhttp2-settings: AAMAAABk\r\n",
    "with-a-body": b"connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n"
    b"content-length: 5\r\n",
}


@pytest.mark.parametrize("fields", STAYS.values(), ids=STAYS.keys())
def test_what_is_not_to_the_letter_stays(net, app, fields):
    net.serve(app, h2c_upgrade=True)
    wire = net.wire()
    body = b"hello" if b"content-length" in fields else b""
    wire.send(b"POST /stays HTTP/1.1\r\nhost: a\r\n" + fields + b"\r\n" + body)
    wire.send(b"GET /next HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
    answer = wire.read_all()
    assert answer.count(b"HTTP/1.1 200 OK\r\n") == 2
    assert b"1.1 /stays " + body in answer
    assert answer.endswith(b"1.1 /next ")


def test_off_by_default(net, app):
    net.client(app)
    client = Upgrading(net.wire())
    client.ask()
    assert b"1.1 /first " in client.wire.read_until(b"/first ")


@pytest.mark.over("h1-tls")
def test_never_over_tls(net, app):
    net.serve(app, h2c_upgrade=True)
    client = Upgrading(net.wire())
    client.ask()
    assert b"1.1 /first " in client.wire.read_until(b"/first ")


def test_not_where_http_2_is_not_served(net, app):
    net.serve(app, h2c_upgrade=True, http=("1.1",))
    client = Upgrading(net.wire())
    client.ask()
    assert b"1.1 /first " in client.wire.read_until(b"/first ")


def test_only_the_first_request_of_a_connection(net, app):
    net.serve(app, h2c_upgrade=True)
    client = Upgrading(net.wire())
    client.wire.send(b"GET /zero HTTP/1.1\r\nhost: a\r\n\r\n")
    client.wire.read_until(b"/zero ")
    client.ask()
    assert b"1.1 /first " in client.wire.read_until(b"/first ")
