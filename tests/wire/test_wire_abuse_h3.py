"""The attacks of ``test_wire_abuse`` that HTTP/3 knows too: their authors are thrown out or held, others are served."""

from __future__ import annotations

import pytest
from wire_clients.abuse_app import App
from wire_clients.attacks_h3 import THROWN_OUT, late_reset

from tricorn_transports.config import Limits, Timeouts

pytestmark = [pytest.mark.over("h3"), pytest.mark.on("asyncio", "trio")]

EXCESSIVE_LOAD, REQUEST_CANCELLED, REQUEST_REJECTED = 0x107, 0x10C, 0x10B
STREAM_LIMIT_ERROR = 0x4


@pytest.fixture
def app():
    app = App()
    yield app
    app.released = True


@pytest.mark.parametrize("attack", THROWN_OUT, ids=lambda attack: attack.__name__)
def test_who_floods_is_thrown_out(net, app, attack, caplog, eventually):
    net.serve(app)
    witness, peer = net.connect(), net.connect()
    for index, _ in enumerate(attack(peer, 5_000)):
        peer.poll(0)
        if index % 10 == 0:
            assert witness.request("GET", "/").status == 200
    peer.wait(lambda: peer.closed, "the end")
    assert peer.terminated.error_code == EXCESSIVE_LOAD
    eventually(lambda: any(THROWN_OUT[attack] in record.getMessage() for record in caplog.records))
    assert app.most <= 2 * 100 + 1
    app.released = True
    eventually(lambda: app.running == 0)
    assert witness.request("GET", "/").status == 200


def test_applications_that_do_not_hear_of_resets_are_bounded(net, app, eventually):
    net.serve(app, limits=Limits(max_concurrent_streams=10, max_resets=5_000))
    witness, peer = net.connect(), net.connect()
    for _ in late_reset(peer, 100, 10):
        assert witness.request("GET", "/").status == 200
    assert not peer.closed
    assert app.most <= 2 * 10 + 1
    assert REQUEST_REJECTED in {response.reset for response in peer.responses.values()}
    app.released = True
    eventually(lambda: peer.poll(0.01) or app.running == 0)
    assert peer.request("GET", "/").status == 200


def test_streams_over_the_limit_end_the_connection(net, app):
    """RFC 9000 section 4.6: a client cannot overstep by mistake, because its library counts."""
    net.serve(app, limits=Limits(max_concurrent_streams=5))
    witness, peer = net.connect(), net.connect()
    peer.poll(0.05)
    peer.quic._remote_max_streams_bidi = 1000
    for _ in range(20):
        peer.open("GET", "/hold")
    peer.wait(lambda: peer.closed, "the end")
    assert peer.terminated.error_code == STREAM_LIMIT_ERROR
    assert app.most <= 5
    assert witness.request("GET", "/").status == 200


@pytest.mark.parametrize(
    "fields",
    [[(b"x", b"y" * 4000)] * 500, [(b"cookie", b"a=1")] * 2_000, [(b"x", b"")] * 10_000],
    ids=["large", "crumbs", "empty"],
)
def test_heads_that_are_larger_than_they_look(net, app, fields):
    """QPACK's dynamic table is off, so that a reference stands for no more than the static table's few bytes."""
    net.serve(app)
    peer = net.connect()
    response = peer.request("GET", "/", fields)
    assert response.status == 431
    assert app.calls == 0
    assert peer.request("GET", "/").status == 200


def test_a_client_that_opens_no_window_is_given_up(net, app, eventually, caplog):
    net.serve(app, timeouts=Timeouts(write_timeout=0.3))
    witness, peer = net.connect(), net.connect(max_stream_data=0)
    for _ in range(10):
        peer.open("GET", "/large")
    eventually(lambda: peer.poll(0.01) or (app.calls == 10 and app.running == 0))
    assert "write_timeout" in caplog.text
    assert witness.request("GET", "/").status == 200


def test_a_flood_of_connections_leaves_room_when_it_is_over(net, app, eventually):
    net.serve(app, limits=Limits(max_connections=10))
    witness = net.connect()
    assert witness.request("GET", "/").status == 200
    held = []
    for _ in range(15):
        try:
            held.append(net.connect(patience=0.3))
        except AssertionError:
            break
    assert 5 < len(held) < 15
    assert witness.request("GET", "/").status == 200
    for peer in held:
        peer.close()

    def is_free():
        try:
            return net.connect(patience=0.3).request("GET", "/").status == 200
        except AssertionError:
            return False

    eventually(is_free)
