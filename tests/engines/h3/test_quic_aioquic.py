"""What this project relies on in aioquic beyond its documented interface.

A test that fails here says that the library has changed under ``tricorn_transports.quic.aioquic``: look there first.
"""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from aioquic.h3.connection import H3Connection, H3Stream, HeadersState
from aioquic.quic.connection import Limit, QuicConnection, QuicConnectionState
from aioquic.quic.stream import QuicStream, QuicStreamSender

from tricorn_transports.events import AbortReason
from tricorn_transports.quic.aioquic.connection import Connection
from tricorn_transports.quic.aioquic.http3 import Http3

CONNECTION_STATE = [
    "_state", "_close_event", "_close_pending", "_streams", "_spaces", "_host_cids", "_logger", "_local_max_data",
    "_local_max_streams_bidi", "_local_max_streams_uni", "_idle_timeout", "tls",
]  # fmt: skip
SENDER_STATE = [
    "_buffer_start", "_buffer_stop", "_buffer_fin", "_reset_error_code", "_pending_eof",
    "highest_offset", "is_finished",
]  # fmt: skip
HTTP_STATE = [
    "_stream", "_decoder", "_encoder", "_quic", "_local_control_stream_id", "_peer_control_stream_id",
]  # fmt: skip


@pytest.mark.parametrize("name", CONNECTION_STATE)
def test_the_connection_has(net: Any, name: str) -> None:
    assert hasattr(net.connect().quic, name)


@pytest.mark.parametrize("name", SENDER_STATE)
def test_a_streams_sender_has(name: str) -> None:
    assert hasattr(QuicStreamSender(stream_id=0, writable=True), name)


@pytest.mark.parametrize("name", HTTP_STATE)
def test_the_http_layer_has(net: Any, name: str) -> None:
    assert hasattr(net.connect().h3, name)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (ours, theirs)
        for ours, theirs in ((Connection, QuicConnection), (Http3, H3Connection))
    ],
)  # fmt: skip
def test_what_is_overridden_is_called_as_it_was(ours: type[Any], theirs: type[Any]) -> None:
    overridden = [
        name
        for name, value in vars(ours).items()
        if inspect.isfunction(value) and name != "__init__" and hasattr(theirs, name)
    ]
    assert overridden
    for name in overridden:
        ours_takes = list(inspect.signature(getattr(ours, name)).parameters)
        assert ours_takes == list(inspect.signature(getattr(theirs, name)).parameters), name


def test_every_override_still_overrides_something() -> None:
    expected = {
        Connection: {"send_stream_data", "stop_stream", "_write_stream_limits", "_replenish_connection_ids"},
        Http3: {
            "_get_local_settings", "_handle_control_frame", "_check_control_frame_type",
            "_check_request_or_push_frame_type", "_receive_request_or_push_data", "_handle_request_or_push_frame",
        },
    }  # fmt: skip
    for ours, names in expected.items():
        assert names <= set(vars(ours))
        assert all(hasattr(ours.__mro__[1], name) for name in names)


def test_the_states_that_are_read() -> None:
    assert {"FIRSTFLIGHT", "DRAINING"} <= set(QuicConnectionState.__members__)
    assert {"INITIAL", "AFTER_HEADERS", "AFTER_TRAILERS"} <= set(HeadersState.__members__)
    stream = H3Stream(0)
    assert (stream.buffer, stream.frame_size, stream.receiving_ended, stream.sending_ended) == (b"", None, False, False)


def test_a_sender_counts_its_bytes() -> None:
    sender = QuicStreamSender(stream_id=0, writable=True)
    sender.write(b"0123456789")
    assert (sender._buffer_start, sender._buffer_stop, sender.highest_offset) == (0, 10, 0)
    frame = sender.get_frame(6)
    assert frame is not None
    assert (sender._buffer_stop, sender.highest_offset) == (10, 6)
    assert sender._buffer_fin is None
    sender.write(b"", end_stream=True)
    assert sender._buffer_fin == 10
    assert sender._pending_eof
    sender.reset(7)
    assert sender._reset_error_code == 7


def test_a_receiver_counts_its_bytes() -> None:
    from aioquic.quic.packet import QuicStreamFrame

    stream = QuicStream(stream_id=0, max_stream_data_local=100, max_stream_data_remote=50)
    stream.receiver.handle_frame(QuicStreamFrame(data=b"abc", offset=0))
    stream.receiver.handle_frame(QuicStreamFrame(data=b"x", offset=9))
    assert (stream.receiver.starting_offset(), stream.receiver.highest_offset) == (3, 10)
    assert (stream.max_stream_data_local, stream.max_stream_data_local_sent) == (100, 100)
    assert stream.max_stream_data_remote == 50


def test_the_receive_limit_is_ours(net: Any) -> None:
    net.connect()
    limit = net.engine._quic._local_max_data
    assert isinstance(limit, Limit)
    before = limit.value
    limit.value *= 2  # as the library does when half of it is used
    assert limit.value == before
    limit.raised(before + 5)
    assert limit.value == before + 5
    assert {"frame_type", "name", "sent", "used"} <= set(vars(limit))


def test_stream_limits_are_ours(make_net: Any) -> None:
    net = make_net(max_concurrent_streams=7)
    client = net.connect()
    assert client.quic._remote_max_streams_bidi == 7
    assert client.quic._remote_max_streams_uni == 16


def test_reset_tokens_are_the_endpoints(net: Any) -> None:
    client = net.connect()
    for connection_id in (client.quic._peer_cid, *client.quic._peer_cid_available):
        assert connection_id.stateless_reset_token == net.endpoint._reset_token(connection_id.cid)
    assert len(client.quic._peer_cid_available) >= 6


def test_zero_rtt_is_off(net: Any) -> None:
    tickets: list[Any] = []
    client = net.connect(run=False)
    client.quic._session_ticket_handler = tickets.append
    net.wait(0.5)
    assert net.engine._is_established
    assert tickets == []


def test_writing_to_a_stream_that_is_gone_does_nothing(net: Any) -> None:
    client = net.connect()
    stream_id = client.request()
    net.run()
    quic = net.engine._quic
    net.engine.abort(stream_id, AbortReason.CANCELLED)
    quic.send_stream_data(stream_id, b"x")
    assert quic.is_sent(stream_id)
    net.run()
    client.request()
    net.run()
    assert stream_id not in quic._streams
    quic.send_stream_data(stream_id, b"x", True)
    quic.stop_stream(stream_id, 0x10C)
    assert quic.sending(stream_id) == (0, 0, 0)
    assert quic.is_sent(stream_id)


def test_one_flush_is_bounded_by_pacing(net: Any) -> None:
    """``datagrams_to_send`` relies on it: it hands out all that the library gives."""
    client = net.connect(max_data=1 << 24, max_stream_data=1 << 24)
    stream_id = client.request()
    net.run()
    net.engine.send_headers(stream_id, 200, [])
    net.engine.send_data(stream_id, b"x" * (4 << 20), end=True)
    while stream_id not in client.ended:
        net.step(0.005)
    assert 2 <= net.largest_flush <= 20
