"""Backpressure, windows, priorities, loss and time over HTTP/3."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from tricorn_transports.errors import LimitExceeded
from tricorn_transports.events import AbortReason, BodyReceived, PeerErred, RequestEnded

MIB = 1 << 20


def stop_reading(client: Any) -> None:
    """The client's windows stay what they are."""
    client.quic._write_connection_limits = lambda **_: None
    client.quic._write_stream_limits = lambda **_: None


def held(engine: Any, stream_id: int) -> int:
    """Bytes of a response that the server has in memory, aioquic's included."""
    stream = engine._streams.get(stream_id)
    quic_stream = engine._quic._streams[stream_id]
    return len(quic_stream.sender._buffer) + (stream.queued if stream is not None else 0)


def test_a_large_response_waits_for_a_client_that_does_not_read(net: Any) -> None:
    client = net.connect(max_stream_data=40_000)
    stop_reading(client)
    stream_id = client.request()
    net.run()
    engine = net.engine
    engine.send_headers(stream_id, 200, [])
    sent = 0
    while engine.sendable(stream_id) > 0:
        engine.send_data(stream_id, b"x" * 10_000)
        sent += 10_000
        net.run()
    assert 40_000 < sent < 250_000
    net.wait(5.0)
    assert not net.is_writable(stream_id)
    assert held(engine, stream_id) < 100_000
    del client.quic._write_connection_limits, client.quic._write_stream_limits
    client.quic.send_ping(1)
    net.wait(5.0)
    assert net.is_writable(stream_id)
    assert engine.sendable(stream_id) > 0
    engine.send_data(stream_id, b"", end=True)
    engine.release(stream_id)
    net.run()
    assert len(client.data[stream_id]) == sent
    assert stream_id in client.ended


def test_a_long_response_goes_as_the_network_takes_it(net: Any) -> None:
    client = net.connect(max_data=4 * MIB, max_stream_data=4 * MIB)
    stream_id = client.request()
    net.run()
    engine = net.engine
    engine.send_headers(stream_id, 200, [])
    left, most = 3 * MIB, 0
    while left or net.now < 1.0:
        while left and engine.sendable(stream_id) > 0:
            engine.send_data(stream_id, b"z" * 16_384, end=left == 16_384)
            left -= 16_384
        if stream_id in engine._quic._streams:
            most = max(most, engine._streams[stream_id].queued)
        net.step()
    engine.release(stream_id)
    net.wait(1.0)
    assert len(client.data[stream_id]) == 3 * MIB
    assert stream_id in client.ended
    assert most < 65_536 + 16_384
    assert net.largest_flush <= 64


def test_a_stalled_stream_does_not_hold_the_others(net: Any) -> None:
    client = net.connect(max_stream_data=20_000)
    stop_reading(client)
    first, second = client.request(), client.request()
    net.run()
    for stream_id, size in ((first, 60_000), (second, 15_000)):
        net.engine.send_headers(stream_id, 200, [])
        net.engine.send_data(stream_id, b"x" * size, end=True)
    net.wait(1.0)
    assert second in client.ended
    assert first not in client.ended


def test_urgent_responses_go_first(net: Any) -> None:
    client = net.connect(max_data=4 * MIB, max_stream_data=4 * MIB)
    late = client.request(b"/late", (b"priority", b"u=6"))
    soon = client.request(b"/soon", (b"priority", b"u=1"))
    net.run()
    for stream_id in (late, soon):
        net.engine.send_headers(stream_id, 200, [])
        net.engine.send_data(stream_id, b"x" * 400_000, end=True)
    while soon not in client.ended:
        net.step()
    assert len(client.data[late]) < 40_000


def test_incremental_responses_share(net: Any) -> None:
    client = net.connect(max_data=4 * MIB, max_stream_data=4 * MIB)
    ids = [client.request(b"/", (b"priority", b"i")) for _ in range(2)]
    net.run()
    for stream_id in ids:
        net.engine.send_headers(stream_id, 200, [])
        net.engine.send_data(stream_id, b"x" * 400_000, end=True)
    while not client.ended:
        net.step()
    assert all(len(client.data[i]) > 300_000 for i in ids)


def test_priority_can_be_changed(net: Any) -> None:
    client = net.connect(max_data=4 * MIB, max_stream_data=4 * MIB)
    first, second = client.request(), client.request()
    net.run()
    for stream_id in (first, second):
        net.engine.send_headers(stream_id, 200, [])
        net.engine.send_data(stream_id, b"x" * 400_000, end=True)
    net.engine.set_priority(second, 0, False)
    while second not in client.ended:
        net.step()
    assert first not in client.ended


def test_the_window_moves_with_what_the_application_reads(make_net: Callable[..., Any]) -> None:
    net = make_net(stream_receive_buffer=32_768)
    client = net.connect()
    stream_id = client.request(method=b"POST", end=False)
    client.h3.send_data(stream_id, b"u" * 500_000, end_stream=True)
    net.wait(1.0)
    assert 20_000 < len(net.body(stream_id)) <= 32_768
    read = 0
    for _ in range(200):
        arrived = sum(e.credit for e in net.of(BodyReceived)) - read
        assert arrived <= 32_768
        net.engine.consumed(stream_id, arrived)
        read += arrived
        net.wait(0.02)
    assert len(net.body(stream_id)) == 500_000
    assert net.events[-1] == RequestEnded(stream_id)


def test_the_connections_window_counts_all_streams(make_net: Callable[..., Any]) -> None:
    net = make_net(stream_receive_buffer=50_000, connection_receive_buffer=80_000)
    client = net.connect()
    ids = [client.request(method=b"POST", end=False) for _ in range(4)]
    for stream_id in ids:
        client.h3.send_data(stream_id, b"u" * 60_000, end_stream=True)
    net.wait(1.0)
    assert 60_000 < sum(len(net.body(i)) for i in ids) <= 80_000
    for _ in range(300):
        for event in net.of(BodyReceived):
            net.engine.consumed(event.stream_id, event.credit)
        net.events = [event for event in net.events if not isinstance(event, BodyReceived)]
        net.wait(0.02)
    assert {e.stream_id for e in net.of(RequestEnded)} == set(ids)


def test_bodies_that_nobody_reads_leave_the_others_their_window(make_net: Callable[..., Any]) -> None:
    """Half a window at a time is too much to wait for, where more than half is taken."""
    net = make_net(stream_receive_buffer=50_000, connection_receive_buffer=80_000)
    client = net.connect()
    unread = client.request(method=b"POST", end=False)
    client.h3.send_data(unread, b"u" * 60_000, end_stream=True)
    net.wait(1.0)
    stream_id = client.request(method=b"POST", end=False)
    client.h3.send_data(stream_id, b"r" * 200_000, end_stream=True)
    read = 0
    for _ in range(300):
        arrived = sum(e.credit for e in net.of(BodyReceived) if e.stream_id == stream_id) - read
        net.engine.consumed(stream_id, arrived)
        read += arrived
        net.wait(0.02)
    assert len(net.body(stream_id)) == 200_000


def test_unread_bodies_of_finished_exchanges_give_their_window_back(make_net: Callable[..., Any]) -> None:
    net = make_net(stream_receive_buffer=20_000, connection_receive_buffer=40_000)
    client = net.connect()
    for _ in range(20):
        stream_id = client.request(method=b"POST", end=False)
        client.h3.send_data(stream_id, b"u" * 15_000, end_stream=False)
        net.run()
        net.engine.send_headers(stream_id, 413, [], end=True)
        net.engine.release(stream_id)
        net.run()
        assert client.status(stream_id) == b"413"
        assert client.stopped[stream_id] == 0x100  # H3_NO_ERROR
        client.quic.reset_stream(stream_id, 0x100)
        net.run()
    assert not net.engine._requests._unheard


@pytest.mark.parametrize("seed", range(5))
def test_lost_and_reordered_datagrams_change_nothing(net: Any, seed: int) -> None:
    dice = random.Random(seed)

    def mangle(batch: list[Any]) -> list[Any]:
        kept = [datagram for datagram in batch if dice.random() > 0.15]
        kept += [datagram for datagram in kept if dice.random() < 0.1]
        dice.shuffle(kept)
        return kept

    net.mangle = mangle
    client = net.connect(run=False)
    while not net.engines or not net.engine._is_established:
        net.step(0.02)
        assert net.now < 20
    net.auto = True
    body = dice.randbytes(60_000)
    ids = [client.request(method=b"POST", end=False) for _ in range(5)]
    for stream_id in ids:
        client.h3.send_data(stream_id, body, end_stream=True)
    while client.ended != set(ids):
        net.step(0.02)
        assert net.now < 60
    assert all(net.body(i) == body and client.data[i] == b"ok" for i in ids)
    assert not net.of(PeerErred)


def test_a_slow_application_does_not_lose_its_client(make_net: Callable[..., Any]) -> None:
    net = make_net(keep_alive_timeout=10.0)
    client = net.connect(idle_timeout=8.0)
    stream_id = client.request()
    net.wait(60.0, step=0.5)
    assert client.closed is None
    net.engine.send_headers(stream_id, 200, [], end=True)
    net.engine.release(stream_id)
    net.run()
    assert stream_id in client.ended


def test_an_idle_connection_is_closed(make_net: Callable[..., Any]) -> None:
    net = make_net(keep_alive_timeout=5.0)
    net.auto = True
    client = net.connect()
    client.request()
    net.wait(4.0, step=0.5)
    assert net.engines
    for _ in range(8):
        client.quic.send_ping(1)  # a client's pings are not requests
        net.wait(0.5, step=0.1)
    assert client.closed == 0x100
    assert not net.engines


def test_a_response_nobody_takes_is_given_up(make_net: Callable[..., Any]) -> None:
    net = make_net(write_timeout=7.0)
    client = net.connect(max_stream_data=20_000)
    stop_reading(client)
    stream_id, other = client.request(), client.request()
    net.run()
    net.engine.send_headers(stream_id, 200, [])
    net.engine.send_data(stream_id, b"x" * 60_000, end=True)
    net.engine.release(stream_id)
    net.wait(6.0, step=0.1)
    assert not net.of(PeerErred)
    net.wait(2.0, step=0.1)
    error = net.of(PeerErred)[0].error
    assert isinstance(error, LimitExceeded)
    assert error.limit == "write_timeout"
    assert client.resets == {stream_id: 0x10C}
    assert net.aborted(stream_id) is None  # the exchange was over
    assert other in net.engine._streams


def test_a_response_in_progress_that_stalls_is_aborted(make_net: Callable[..., Any]) -> None:
    net = make_net(write_timeout=7.0)
    client = net.connect(max_stream_data=20_000)
    stop_reading(client)
    stream_id = client.request()
    net.run()
    net.engine.send_headers(stream_id, 200, [])
    net.engine.send_data(stream_id, b"x" * 60_000)
    net.wait(8.0, step=0.1)
    assert net.aborted(stream_id).reason is AbortReason.TIMEOUT
