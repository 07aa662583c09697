"""What a client can do wrong over HTTP/3, and what it costs: a stream where it may, the connection where it must."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from aioquic.buffer import encode_uint_var
from aioquic.h3.connection import encode_frame
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tricorn_transports.abc import Path
from tricorn_transports.errors import LimitExceeded
from tricorn_transports.events import AbortReason, PeerErred, RequestEnded, StreamAborted

PSEUDO = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"localhost"), (b":path", b"/")]


def send_head(client: Any, fields: list[tuple[bytes, bytes]], *, end: bool = True) -> int:
    """A request that aioquic's client would not make."""
    stream_id: int = client.quic.get_next_available_stream_id()
    client.h3.send_headers(stream_id, fields, end_stream=end)
    return stream_id


@pytest.mark.parametrize(
    "fields",
    [
        PSEUDO[1:],
        PSEUDO[:3],
        [PSEUDO[0], *PSEUDO[2:]],
        [*PSEUDO[:2], PSEUDO[3]],
        [*PSEUDO, (b":path", b"/two")],
        [*PSEUDO, (b":status", b"200")],
        [*PSEUDO[:3], (b":path", b"no-slash")],
        [*PSEUDO[:3], (b":path", b"")],
        [*PSEUDO[:3], (b":path", b"/a b")],
        [PSEUDO[0], (b":scheme", b"ftp"), *PSEUDO[2:]],
        [(b":method", b"G T"), *PSEUDO[1:]],
        [*PSEUDO, (b":protocol", b"websocket")],
        [*PSEUDO[:2], (b":authority", b"u@localhost"), PSEUDO[3]],
        [*PSEUDO, (b"host", b"elsewhere")],
        [*PSEUDO, (b"Upper", b"x")],
        [*PSEUDO, (b"na me", b"x")],
        [*PSEUDO, (b"x", b"a\nb")],
        [*PSEUDO, (b"x", b"a\x00b")],
        [*PSEUDO, (b"x", b" a")],
        [*PSEUDO, (b"connection", b"close")],
        [*PSEUDO, (b"transfer-encoding", b"chunked")],
        [*PSEUDO, (b"te", b"gzip")],
        [*PSEUDO, (b"content-length", b"-1")],
        [*PSEUDO, (b"content-length", b"5")],
        [*PSEUDO, (b"content-length", b"1"), (b"content-length", b"2")],
        [PSEUDO[0], (b"x", b"y"), *PSEUDO[1:]],
        [(b":method", b"CONNECT"), *PSEUDO[1:]],
    ],
)
def test_a_malformed_request_costs_its_stream_only(net: Any, fields: list[tuple[bytes, bytes]]) -> None:
    net.auto = True
    client = net.connect()
    bad = send_head(client, fields)
    good = client.request()
    net.run()
    assert client.status(bad) == b"400"
    assert [event.error.stream_id for event in net.of(PeerErred)] == [bad]
    assert client.status(good) == b"200"
    assert [request.stream_id for request in net.started()] == [good]


def test_host_may_stand_for_the_authority(net: Any) -> None:
    client = net.connect()
    send_head(client, [*PSEUDO[:2], PSEUDO[3], (b"host", b"example.org"), (b"te", b"trailers")])
    net.run()
    assert net.started()[0].authority == b"example.org"


def test_connect_takes_an_authority(net: Any) -> None:
    client = net.connect()
    send_head(client, [(b":method", b"CONNECT"), (b":authority", b"example.org:22")], end=False)
    net.run()
    assert net.started()[0].target == b"example.org:22"


@pytest.mark.parametrize(
    ("path", "fields", "status", "limit"),
    [
        (b"/" + b"p" * 2000, [], b"414", "max_target_bytes"),
        (b"/", [(b"x", b"y" * 5000)], b"431", "max_head_bytes"),
        (b"/", [(b"x", b"~" * 30_000)], b"431", "max_head_bytes"),
        (b"/", [(b"x", b"y")] * 40, b"431", "max_fields"),
    ],
)
def test_head_limits_are_answered(
    make_net: Callable[..., Any], path: bytes, fields: list[tuple[bytes, bytes]], status: bytes, limit: str
) -> None:
    net = make_net(max_head_bytes=4096, max_target_bytes=1000, max_fields=30)
    net.auto = True
    client = net.connect()
    stream_id = client.request(path, *fields, method=b"POST", end=False)
    client.h3.send_data(stream_id, b"body", end_stream=True)
    good = client.request()
    net.wait(0.5)
    assert client.status(stream_id) == status
    assert [event.error.limit for event in net.of(PeerErred)] == [limit]
    assert client.status(good) == b"200"
    assert not net.engine._requests._unheard


def test_too_many_trailers_abort_the_stream(make_net: Callable[..., Any]) -> None:
    net = make_net(max_fields=10)
    client = net.connect()
    stream_id = client.request(method=b"POST", end=False)
    net.run()
    client.h3.send_headers(stream_id, [(b"t", b"%d" % n) for n in range(20)], end_stream=True)
    net.run()
    assert net.aborted(stream_id).reason is AbortReason.LIMIT
    assert client.resets[stream_id] == 0x107  # H3_EXCESSIVE_LOAD


def test_malformed_trailers_abort_the_stream(net: Any) -> None:
    client = net.connect()
    stream_id = client.request(method=b"POST", end=False)
    client.h3.send_headers(stream_id, [(b":path", b"/")], end_stream=True)
    net.run()
    assert net.aborted(stream_id).reason is AbortReason.PROTOCOL_ERROR
    assert client.resets[stream_id] == 0x10E  # H3_MESSAGE_ERROR


@pytest.mark.parametrize("size", [3, 9])
def test_a_body_of_the_wrong_length_aborts_the_stream(net: Any, size: int) -> None:
    client = net.connect()
    stream_id = client.request(b"/", (b"content-length", b"5"), method=b"POST", end=False)
    client.h3.send_data(stream_id, b"x" * size, end_stream=True)
    good = client.request()
    net.run()
    assert net.aborted(stream_id).reason is AbortReason.PROTOCOL_ERROR
    assert net.started()[-1].stream_id == good
    assert RequestEnded(stream_id) not in net.events


def test_a_head_that_does_not_come_is_not_waited_for(make_net: Callable[..., Any]) -> None:
    net = make_net(header_timeout=3.0)
    client = net.connect()
    stream_id = client.quic.get_next_available_stream_id()
    client.quic.send_stream_data(stream_id, b"\x01\x40\x50half a frame")
    net.wait(2.5, step=0.1)
    assert not net.of(PeerErred)
    net.wait(1.0, step=0.1)
    assert [event.error.limit for event in net.of(PeerErred)] == ["header_timeout"]
    assert client.status(stream_id) == b"408"


def test_a_reset_request_is_aborted(net: Any) -> None:
    client = net.connect()
    stream_id = client.request(method=b"POST", end=False)
    net.run()
    client.quic.reset_stream(stream_id, 0x10C)
    net.run()
    assert net.events[-1] == StreamAborted(stream_id, AbortReason.CANCELLED)
    assert client.resets[stream_id] == 0x10C
    assert not net.engine._streams
    assert not net.engine._requests._unheard


def test_a_response_that_is_not_wanted_is_aborted(net: Any) -> None:
    client = net.connect()
    stream_id = client.request()
    net.run()
    net.engine.send_headers(stream_id, 200, [])
    net.engine.send_data(stream_id, b"x" * 50_000)
    client.quic.stop_stream(stream_id, 0x10C)
    net.run()
    assert net.aborted(stream_id).reason is AbortReason.CANCELLED
    net.engine.send_data(stream_id, b"more")
    net.engine.release(stream_id)
    net.run()
    assert not net.engine._streams


def test_a_request_that_is_stopped_in_its_own_datagram(net: Any) -> None:
    net.auto = True
    client = net.connect()
    stream_id = client.request()
    client.quic.stop_stream(stream_id, 0x10C)
    good = client.request()
    net.run()
    assert [request.stream_id for request in net.started()] == [good]
    assert client.status(good) == b"200"
    assert stream_id in client.resets


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        (AbortReason.CANCELLED, 0x10C),
        (AbortReason.INTERNAL_ERROR, 0x102),
        (AbortReason.REFUSED, 0x10B),
        (AbortReason.LIMIT, 0x107),
    ],
)
def test_abort_resets_and_stops(net: Any, reason: AbortReason, code: int) -> None:
    client = net.connect()
    stream_id = client.request(method=b"POST", end=False)
    net.run()
    net.engine.abort(stream_id, reason)
    client.h3.send_data(stream_id, b"still coming", end_stream=False)
    net.run()
    assert client.resets == {stream_id: code}
    assert client.stopped == {stream_id: code}
    assert net.body(stream_id) == b""
    assert not net.of(StreamAborted)


def test_a_flood_of_resets_ends_the_connection(make_net: Callable[..., Any]) -> None:
    net = make_net(max_resets=20)
    client = net.connect()
    for _ in range(40):
        client.quic.reset_stream(client.request(method=b"POST", end=False), 0x10C)
        net.step()
    net.wait(2.0)
    assert client.closed == 0x107
    assert "max_resets" in [getattr(event.error, "limit", "") for event in net.of(PeerErred)]


def test_no_more_requests_at_once_than_the_limit(make_net: Callable[..., Any]) -> None:
    net = make_net(max_concurrent_streams=5)
    client = net.connect()
    for _ in range(12):
        client.request()
    net.wait(0.5)
    assert len(net.started()) == 5
    for request in net.started():
        net.engine.send_headers(request.stream_id, 200, [], end=True)
        net.engine.release(request.stream_id)
    net.wait(0.5)
    assert len(net.started()) == 10


@pytest.mark.parametrize(
    ("uni", "data", "code"),
    [
        (False, encode_frame(0, b"data before headers"), 0x105),
        (False, encode_frame(4, b""), 0x105),
        (False, b"\x40\x41\x04webtransport that was not offered", 0x105),
        (False, encode_frame(1, b"\x00\x00\xff\xff\xff\xff\xff\xff"), 0x200),
        (False, encode_frame(1, b"\x02\x00\x80"), 0x200),
        (True, b"\x00", 0x103),
        (True, b"\x01\x00", 0x103),
        (True, b"\x02\x3f\xe1\x1f", 0x103),
    ],
)
def test_errors_that_are_the_connections(net: Any, uni: bool, data: bytes, code: int) -> None:
    client = net.connect()
    running = client.request()
    net.run()
    stream_id = client.quic.get_next_available_stream_id(is_unidirectional=uni)
    client.quic.send_stream_data(stream_id, data, end_stream=not uni)
    net.wait(2.0)
    assert client.closed == code
    assert net.aborted(running).reason is AbortReason.DISCONNECTED
    assert len(net.of(PeerErred)) == 1
    assert not net.engines


def test_requests_cannot_use_a_dynamic_table(net: Any) -> None:
    client = net.connect()
    assert client.h3.received_settings[1] == 0
    # Set Dynamic Table Capacity to 4096 on the encoder stream nonetheless (RFC 9204 section 4.3.1).
    client.quic.send_stream_data(client.h3._local_encoder_stream_id, b"\x3f\xe1\x1f")
    net.wait(2.0)
    assert client.closed == 0x201


def test_an_endless_control_frame_is_not_buffered(net: Any) -> None:
    client = net.connect()
    frame = encode_uint_var(0xD) + encode_uint_var(1 << 30)
    client.quic.send_stream_data(client.h3._local_control_stream_id, frame)
    net.wait(2.0)
    assert client.closed == 0x107


def test_a_critical_stream_that_is_stopped_is_an_error(net: Any) -> None:
    client = net.connect()
    client.request()  # in the same datagram: the answer to it cannot be encoded any more
    client.quic.stop_stream(7, 0)
    client.quic.stop_stream(11, 0)
    net.wait(2.0)
    assert client.closed == 0x104  # H3_CLOSED_CRITICAL_STREAM


def test_unknown_frames_and_streams_are_passed_over(net: Any) -> None:
    net.auto = True
    client = net.connect()
    grease = client.quic.get_next_available_stream_id(is_unidirectional=True)
    client.quic.send_stream_data(grease, encode_uint_var(0x21 + 0x1F * 9) + b"anything", end_stream=True)
    stream_id = client.quic.get_next_available_stream_id()
    client.quic.send_stream_data(stream_id, encode_frame(0x21 + 0x1F * 5, b"grease"))
    client.h3.send_headers(stream_id, PSEUDO, end_stream=True)
    net.run()
    assert client.status(stream_id) == b"200"


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=1500), first=st.sampled_from([0x40, 0xC0, 0xE0, 0xF0, 0x00, 0x80]))
def test_garbage_datagrams_are_survived(make_net: Callable[..., Any], data: bytes, first: int) -> None:
    net = make_net()
    net.auto = True
    client = net.connect()
    path = Path(("192.0.2.1", 443), client.address)
    for connection_id in (net.engine._quic.host_cid, client.quic.host_cid):
        net.deliver(bytes((first,)) + b"\x00\x00\x00\x01\x08" + connection_id + data, path)
        net.deliver(bytes((first,)) + connection_id + data, path)
    net.deliver(data, path)
    stream_id = client.request()
    net.run()
    assert client.status(stream_id) == b"200"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    chunks=st.lists(
        st.tuples(
            st.booleans(),
            st.one_of(
                st.binary(max_size=60),
                st.builds(encode_frame, st.sampled_from([0, 1, 3, 4, 5, 7, 13, 0x41]), st.binary(max_size=40)),
            ),
            st.booleans(),
        ),
        max_size=6,
    )
)
def test_garbage_on_streams_never_raises(make_net: Callable[..., Any], chunks: list[tuple[bool, bytes, bool]]) -> None:
    net = make_net()
    client = net.connect()
    for uni, data, end in chunks:
        stream_id = client.quic.get_next_available_stream_id(is_unidirectional=uni)
        client.quic.send_stream_data(stream_id, data, end_stream=end)
    net.wait(0.1)
    assert not [event for event in net.of(PeerErred) if "aioquic failed" in str(event.error)]
    for event in net.of(PeerErred):
        assert not isinstance(event.error, LimitExceeded) or event.error.limit
