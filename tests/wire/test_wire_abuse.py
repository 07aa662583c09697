"""Attacks, in clear and over TLS: each ends with its attacker thrown out or held, while another client is served.

What an attack costs in memory is measured in ``test_wire_abuse_memory``.
"""

from __future__ import annotations

import time

import pytest
from wire_clients.abuse_app import App
from wire_clients.attacks import BORNE, THROWN_OUT, late_provoked, late_reset
from wire_clients.h2_raw import REFUSED_STREAM, H2Raw, frame, rst

from tricorn_transports.config import Limits, Timeouts

H2 = pytest.mark.over("h2", "h2-tls")
AMOUNT = 20_000


@pytest.fixture
def app():
    app = App()
    yield app
    app.released = True


def attacker(net):
    return H2Raw(net.wire(), b"https" if net.tls else b"http")


def is_served(net, witness=None):
    """Another client, on a connection of its own."""
    client = witness or net.connect()
    assert client.request("GET", "/witness").status == 200
    return client


@H2
@pytest.mark.on("asyncio")
@pytest.mark.parametrize("reads", [True, False], ids=["reads", "deaf"])
@pytest.mark.parametrize("attack", THROWN_OUT, ids=lambda attack: attack.__name__)
def test_who_floods_is_thrown_out(net, app, attack, reads, caplog, eventually):
    net.serve(app)
    witness, peer = net.connect(), attacker(net)
    for index, _ in enumerate(attack(peer, AMOUNT)):
        if reads:
            peer.poll()
        if index % 20 == 0:
            is_served(net, witness)
    peer.sync()
    code, why = THROWN_OUT[attack]
    assert peer.goaway == code or (not reads and peer.wire.error is not None)
    eventually(lambda: any(why in record.getMessage() for record in caplog.records))
    assert app.most <= 2 * 100 + 1
    app.released = True
    eventually(lambda: app.running == 0)
    is_served(net, witness)


@H2
@pytest.mark.on("asyncio")
@pytest.mark.parametrize("attack", BORNE, ids=lambda attack: attack.__name__)
def test_what_is_borne(net, app, attack, eventually):
    net.serve(app, timeouts=Timeouts(write_timeout=2.0))
    witness, peer = net.connect(), attacker(net)
    for index, _ in enumerate(attack(peer, AMOUNT)):
        peer.poll()
        if index % 20 == 0:
            is_served(net, witness)
    assert app.most <= 2 * 100 + 1
    is_served(net, witness)
    peer.wire.close()
    app.released = True
    eventually(lambda: app.running == 0)


@H2
@pytest.mark.on("asyncio", "trio")
@pytest.mark.parametrize("attack", [late_reset, late_provoked], ids=lambda attack: attack.__name__)
def test_applications_that_do_not_hear_of_resets_are_bounded(net, app, attack, eventually):
    """A handler that runs on after its client took the request back is still a handler that runs."""
    net.serve(app, limits=Limits(max_concurrent_streams=10, max_resets=5_000, max_control_frames=50_000))
    witness, peer = net.connect(), attacker(net)
    for _ in attack(peer, 2_000):
        peer.poll(0.002)
        is_served(net, witness)
    peer.sync()
    assert not peer.over
    assert app.most <= 2 * 10 + 1
    assert REFUSED_STREAM in peer.resets.values()
    app.released = True
    eventually(lambda: app.running == 0)
    peer.send(peer.open())
    peer.wait(lambda: peer.statuses.get(peer.last) == 200)


@H2
def test_streams_over_the_limit_are_refused_and_the_connection_lives(net, app, eventually):
    net.serve(app, limits=Limits(max_concurrent_streams=5))
    peer = attacker(net)
    peer.send(b"".join(peer.open(head=peer.head(path=b"/hold")) for _ in range(20)))
    peer.wait(lambda: len(peer.resets) == 15)
    assert peer.resets == dict.fromkeys(range(11, 41, 2), REFUSED_STREAM)
    eventually(lambda: app.calls == 5)
    app.released = True
    peer.wait(lambda: len(peer.statuses) == 5)
    peer.send(peer.open())
    peer.wait(lambda: peer.statuses.get(peer.last) == 200)
    assert peer.goaway is None


@H2
@pytest.mark.on("asyncio", "trio")
def test_a_client_that_opens_windows_of_nothing_is_given_up(net, app, eventually, caplog):
    net.serve(app, timeouts=Timeouts(write_timeout=0.3))
    peer = attacker(net)
    peer.send(frame(4, 0, 0, b"\x00\x04\x00\x00\x00\x00"))  # INITIAL_WINDOW_SIZE 0
    peer.send(b"".join(peer.open(head=peer.head(path=b"/large")) for _ in range(20)))
    eventually(lambda: app.calls == 20 and app.running == 0)
    assert "write_timeout" in caplog.text
    peer.wait(lambda: len(peer.resets) == 20)


@H2
@pytest.mark.on("asyncio")
def test_ordinary_bursts_pass(net, app):
    """A page that is closed with a hundred requests under way, again and again, is no attack."""
    net.serve(app)
    peer = attacker(net)
    for _ in range(2):
        streams = [(peer.open(head=peer.head(path=b"/hold")), peer.last) for _ in range(80)]
        peer.send(b"".join(data for data, _ in streams))
        peer.sync()
        peer.send(b"".join(rst(stream) for _, stream in streams))
        peer.sync()
    app.released = True
    for _ in range(300):
        peer.send(peer.open() + frame(6, 0, 0, bytes(8)))
        peer.wait(lambda: peer.statuses.get(peer.last) == 200)
    assert peer.goaway is None


# ------------------------------------------------------------------------------------------------------- connections


@pytest.mark.over("h1", "h1-tls", "h2")
def test_a_flood_of_connections_leaves_room_when_it_is_over(net, app, eventually, caplog):
    net.serve(app, limits=Limits(max_connections=20))
    witness = is_served(net)
    held, refused = [], 0
    for _ in range(60):
        try:
            held.append(net.wire())
        except OSError:
            refused += 1
    is_served(net, witness)
    assert refused or not net.tls
    for wire in held[30:]:
        assert not net.tls
        assert wire.read_all().startswith(b"HTTP/1.1 503 ")
    for wire in held:
        wire.close()

    def is_free():
        try:
            return net.connect().request("GET", "/witness").status == 200
        except (OSError, AssertionError):
            return False

    eventually(is_free)
    assert "max_connections" in caplog.text


@pytest.mark.over("h1", "h1-tls", "h2", "h2-tls")
@pytest.mark.on("asyncio", "trio")
def test_slow_heads_are_given_up_while_others_are_served(net, app, eventually):
    net.serve(app, timeouts=Timeouts(header_timeout=0.3))
    witness = is_served(net)
    slow = [net.wire() for _ in range(30)]
    start = b"GET / HTTP/1.1\r\n" if net.version == "1" else b"PRI * HTTP/2.0\r\n"
    for wire in slow:
        wire.send(start)
    end = time.monotonic() + 15
    while any(not (wire.eof or wire.close_notify) for wire in slow):
        assert time.monotonic() < end
        for index, wire in enumerate(slow):
            wire.poll(0)
            if net.version == "1":
                wire.send(b"x-%d: y\r\n" % index)
        is_served(net, witness) if net.version == "1" else None
    is_served(net)


@pytest.mark.over("h1", "h1-tls")
@pytest.mark.on("asyncio", "trio")
@pytest.mark.parametrize("reads", [True, False])
def test_a_huge_pipeline_is_answered_in_order_and_held_to_its_bound(net, app, reads):
    net.serve(app)
    witness, wire = is_served(net), net.wire(receive_buffer=262_144)
    count = 20_000
    request = b"GET /page HTTP/1.1\r\nhost: a\r\n\r\n"  # their answers are more than the kernel's buffers take
    wire.send(request * count)
    if not reads:
        for _ in range(20):
            wire.poll(0, read=False)
            is_served(net, witness)
        assert app.calls < count  # what nobody takes is not computed either
    data, answers, end = b"", 0, time.monotonic() + 60
    while answers < count:
        assert time.monotonic() < end
        data += wire.poll(0.1)
        answers += data.count(b"HTTP/1.1 200 OK\r\n")
        data = data[-16:] if not data.endswith(b"HTTP/1.1 200 OK\r\n") else b""
    assert answers == count
    assert app.most <= 2
