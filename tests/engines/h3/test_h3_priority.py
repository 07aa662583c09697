"""Priorities over HTTP/3: the field, PRIORITY_UPDATE on the control stream, and the order of bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from aioquic.buffer import encode_uint_var
from aioquic.h3.connection import encode_frame

from tricorn_transports.events import PeerErred, PriorityChanged

UPDATE, UPDATE_PUSH = 0xF0700, 0xF0701
FRAME_UNEXPECTED, FRAME_ERROR, EXCESSIVE_LOAD, ID_ERROR = 0x105, 0x106, 0x107, 0x108


def update(element_id: int, value: bytes, kind: int = UPDATE) -> bytes:
    return encode_frame(kind, encode_uint_var(element_id) + value)


def say(client: Any, data: bytes, stream_id: int | None = None) -> None:
    """On the client's control stream, if on no other."""
    client.quic.send_stream_data(client.h3._local_control_stream_id if stream_id is None else stream_id, data)


def order_of_ends(net: Any, client: Any, *stream_ids: int, size: int = 100_000) -> list[int]:
    """Answers all of them and gives the order in which they are complete."""
    for stream_id in stream_ids:
        net.engine.send_headers(stream_id, 200, [])
        net.engine.send_data(stream_id, bytes(size), end=True)
        net.engine.release(stream_id)
    order: list[int] = []
    for _ in range(2000):
        net.step()
        order += sorted(set(stream_ids) & client.ended - set(order))
        if len(order) == len(stream_ids):
            return order
    raise AssertionError(f"only {order} ended")


def test_an_update_changes_what_has_begun(net: Any) -> None:
    client = net.connect()
    first, second = client.request(), client.request()
    net.run()
    say(client, update(second, b"u=1"))
    net.run()
    assert net.of(PriorityChanged) == [PriorityChanged(second, 1, False)]
    assert order_of_ends(net, client, first, second) == [second, first]


def test_an_update_may_come_before_its_request_and_counts_for_more(net: Any) -> None:
    client = net.connect()
    say(client, update(4, b"u=7") + update(0, b"u=6, i") + update(4, b"u=0"))
    net.run()
    client.request()
    client.request(b"/", (b"priority", b"u=7"))
    client.request(b"/", (b"priority", b"u=2"))
    net.run()
    assert [request.priority for request in net.started()] == [(6, True), (0, False), (2, False)]


def test_an_update_may_come_in_pieces(net: Any) -> None:
    client = net.connect()
    client.request()
    net.run()
    for byte in update(0, b"u=5, i"):
        say(client, bytes((byte,)))
        net.run()
    assert net.of(PriorityChanged) == [PriorityChanged(0, 5, True)]
    say(client, encode_frame(0x21, b"grease") + update(0, b""))
    net.run()
    assert net.of(PriorityChanged)[1:] == [PriorityChanged(0, 3, False)]


def test_what_the_application_has_said_stays(net: Any) -> None:
    client = net.connect()
    first, second = client.request(), client.request()
    net.run()
    net.engine.set_priority(second, 0, False)
    say(client, update(second, b"u=7"))
    net.run()
    assert not net.of(PriorityChanged)
    assert order_of_ends(net, client, first, second) == [second, first]


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (update(2, b"u=1"), ID_ERROR),
        (update(400, b"u=1"), ID_ERROR),
        (update(0, b"u=1", UPDATE_PUSH), ID_ERROR),
        (encode_frame(UPDATE, b""), FRAME_ERROR),
        (encode_frame(UPDATE, b"\xc0\0\0"), FRAME_ERROR),
        (update(0, b"x" * 5000), EXCESSIVE_LOAD),
    ],
    ids=["no request", "beyond the limit", "a push", "empty", "cut short", "far too long"],
)
def test_a_wrong_update_ends_the_connection(net: Any, wrong: bytes, code: int) -> None:
    client = net.connect()
    say(client, wrong)
    net.wait(2.0)
    assert client.closed == code


def test_an_update_on_a_request_stream_is_unexpected(net: Any) -> None:
    client = net.connect()
    stream_id = client.request(method=b"POST", end=False)
    say(client, update(stream_id, b"u=1"), stream_id)
    net.wait(2.0)
    assert client.closed == FRAME_UNEXPECTED


def test_early_updates_are_bounded(make_net: Callable[..., Any]) -> None:
    net = make_net(max_concurrent_streams=5)
    client = net.connect()
    for _ in range(20):
        for stream_id in range(0, 20, 4):
            say(client, update(stream_id, b"u=1"))
    net.run()
    assert len(net.engine._requests._early) == 5
    for _ in range(5):
        client.request()
    net.run()
    assert not net.engine._requests._early
    assert [request.priority for request in net.started()] == [(1, False)] * 5


def test_a_flood_of_updates_ends_the_connection(make_net: Callable[..., Any]) -> None:
    net = make_net(max_control_frames=100)
    client = net.connect()
    client.request()
    net.run()
    say(client, update(0, b"u=1") * 150)
    net.wait(2.0)
    assert client.closed == EXCESSIVE_LOAD
    (erred,) = net.of(PeerErred)
    assert erred.error.limit == "max_control_frames"
