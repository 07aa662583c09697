"""HTTP/2 request heads and bodies: what becomes a request, and what an error of one stream leaves alone."""

from __future__ import annotations

import pytest

from tricorn_transports.config import Limits
from tricorn_transports.engines.h2 import H2Engine
from tricorn_transports.events import (
    AbortReason,
    PeerClosing,
    PeerErred,
    PriorityChanged,
    RequestStarted,
    StreamAborted,
)
from tricorn_transports.testing import H2Peer, StreamKit, StreamLink

PSEUDO = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"test"), (b":path", b"/")]


def connect(limits: Limits | None = None) -> StreamLink:
    link = StreamKit("h2", H2Engine, H2Peer, limits or Limits()).connect()
    link.peer.connection.config.validate_outbound_headers = False
    link.peer.connection.config.normalize_outbound_headers = False
    link.pump()
    return link


def send(link: StreamLink, fields: list[tuple[bytes, bytes]], *, end: bool = True) -> int:
    """A request with exactly these fields, valid or not."""
    number = link.peer.request(b"GET", b"/first")
    link.answer(number)
    connection = link.peer.connection
    number = connection.get_next_available_stream_id()
    connection.send_headers(number, fields, end_stream=end)
    link.peer.responses[number] = type(link.peer.responses[1])()
    link.pump()
    return number


def assert_alive(link: StreamLink) -> None:
    started, response = link.ask(target=b"/alive")
    link.answer(started.stream_id)
    assert started.target == b"/alive"
    assert response.ended


def test_cookie_crumbs_become_one_field() -> None:
    link = connect()
    started, _ = link.ask(headers=[(b"cookie", b"a=1"), (b"x", b"y"), (b"cookie", b"b=2"), (b"cookie", b"c=3")])
    assert started.headers == [(b"x", b"y"), (b"cookie", b"a=1; b=2; c=3")]


def test_host_stands_in_for_authority_and_the_scheme_is_the_connections() -> None:
    link = connect()
    send(link, [PSEUDO[0], PSEUDO[1], PSEUDO[3], (b"host", b"by.host")])
    started = link.all(RequestStarted)[-1]
    assert (started.authority, started.scheme) == (b"by.host", b"http")


def test_connect_has_the_authority_as_target() -> None:
    link = connect()
    send(link, [(b":method", b"CONNECT"), (b":authority", b"far:443")], end=False)
    started = link.all(RequestStarted)[-1]
    assert (started.method, started.target, started.protocol) == (b"CONNECT", b"far:443", None)


def test_settings_announce_the_limits() -> None:
    link = connect(Limits(max_concurrent_streams=7, stream_receive_buffer=99_999, connection_receive_buffer=200_000))
    remote = link.peer.connection.remote_settings
    assert remote.max_concurrent_streams == 7
    assert remote.initial_window_size == 99_999
    assert remote.enable_connect_protocol == 1
    assert remote.max_header_list_size == 65_536
    assert remote[9] == 1
    assert link.peer.connection.outbound_flow_control_window == 200_000


@pytest.mark.parametrize(
    "fields",
    [
        [*PSEUDO, (b"X-Upper", b"1")],
        [*PSEUDO, (b"connection", b"close")],
        [*PSEUDO, (b"transfer-encoding", b"chunked")],
        [*PSEUDO, (b"x", b"a\r\nb: c")],
        [*PSEUDO, (b"te", b"gzip")],
        [*PSEUDO, (b":path", b"/again")],
        [(b"x", b"first"), *PSEUDO],
        PSEUDO[:3],
        [*PSEUDO, (b"content-length", b"1, 2")],
        [*PSEUDO, (b"content-length", b"5")],
        [*PSEUDO[:2], (b":authority", b"a"), PSEUDO[3], (b"host", b"b")],
    ],
    ids=lambda fields: str(fields[-1]),
)
def test_a_malformed_request_is_reset_and_the_connection_lives(fields: list[tuple[bytes, bytes]]) -> None:
    link = connect()
    number = send(link, fields)
    assert link.peer.resets[number] == 1
    assert len(link.all(PeerErred)) == 1
    assert [event.stream_id for event in link.all(StreamAborted)] in ([], [number])
    assert_alive(link)


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ([*PSEUDO[:3], (b":path", b"http://test/")], 400),
        ([*PSEUDO[:3], (b":path", b"/a b")], 400),
        ([*PSEUDO[:3], (b":path", b"/\xff")], 400),
        ([(b":method", b"GE T"), *PSEUDO[1:]], 400),
        ([*PSEUDO, (b"x", b"y" * 70_000)], 431),
    ],
    ids=lambda value: str(value)[-30:],
)
def test_an_unusable_head_gets_its_status(fields: list[tuple[bytes, bytes]], status: int) -> None:
    link = connect()
    number = send(link, fields, end=False)
    assert link.peer.responses[number].status == status
    assert len(link.all(PeerErred)) == 1
    assert len(link.all(RequestStarted)) == 1
    assert_alive(link)


def test_a_header_bomb_ends_the_connection() -> None:
    link = connect()
    send(link, [*PSEUDO, *[(b"x", b"y" * 3000)] * 200])
    assert link.peer.goaway is not None
    assert link.peer.goaway.error_code == 0xB
    assert link.engine.is_closed()


def test_a_header_block_without_end_ends_the_connection() -> None:
    link = connect()
    link.feed(b"\x00\x40\x00\x01\x00\x00\x00\x00\x01" + bytes(16_384))
    for _ in range(20):
        link.feed(b"\x00\x40\x00\x09\x00\x00\x00\x00\x01" + bytes(16_384))
    link.to_peer()
    assert link.peer.goaway is not None
    assert link.peer.goaway.error_code == 0xB


def test_a_body_longer_than_said_is_reset_and_the_credit_returns() -> None:
    link = connect()
    connection = link.peer.connection
    for _ in range(80):
        number = link.peer.request(b"POST", b"/", length=10, end=False)
        link.peer.send(number, b"x" * 16_000)
        link.pump()
        assert link.peer.resets[number] == 1
        assert link.all(StreamAborted)[-1].reason is AbortReason.PROTOCOL_ERROR
    assert connection.outbound_flow_control_window > 200_000
    assert_alive(link)


def test_an_answer_on_its_way_survives_the_rest_of_the_request() -> None:
    link = connect()
    number = link.peer.request(b"POST", b"/", length=10, end=False)
    link.pump()
    link.engine.send_headers(number, 200, [])
    link.engine.send_data(number, b"early", end=True)
    link.engine.release(number)
    link.peer.send(number, b"x" * 10)
    link.to_engine()
    link.peer.send(number, b"", end=True)
    link.pump()
    assert (link.peer.responses[number].body, link.peer.responses[number].ended) == (b"early", True)
    assert not link.all(PeerErred)


def test_trailers_do_not_hide_a_short_body() -> None:
    link = connect()
    number = link.peer.request(b"POST", b"/", length=10, end=False)
    link.peer.send(number, b"short", end=True, trailers=[(b"x", b"y")])
    link.pump()
    assert link.peer.resets[number] == 1
    assert [event.stream_id for event in link.all(StreamAborted)] == [number]
    assert_alive(link)


def test_too_many_trailers_break_the_stream_only() -> None:
    link = connect(Limits(max_fields=3))
    number = link.peer.request(b"POST", b"/", end=False)
    link.peer.send(number, b"x", end=True, trailers=[(b"x", b"y")] * 4)
    link.pump()
    (aborted,) = link.all(StreamAborted)
    assert aborted.reason is AbortReason.LIMIT
    assert_alive(link)


def test_data_after_the_end_breaks_the_stream_only() -> None:
    link = connect()
    started, _ = link.ask()
    link.feed(b"\x00\x00\x01\x00\x00\x00\x00\x00\x01x")
    (aborted,) = link.all(StreamAborted)
    assert (aborted.stream_id, aborted.reason) == (started.stream_id, AbortReason.PROTOCOL_ERROR)
    assert len(link.all(PeerErred)) == 1
    assert_alive(link)


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"\x00\x00\x04\x08\x00\x00\x00\x00\x09\x00\x00\x00\x01", 0x1),  # WINDOW_UPDATE of an idle stream
        (b"\x00\x00\x04\x08\x00\x00\x00\x00\x00\x7f\xff\xff\xff", 0x3),  # the connection's window overflows
        (b"\x00\x00\x05\x06\x00\x00\x00\x00\x0012345", 0x6),  # a PING of 5 bytes
        (b"\x00\x00\x01\x01\x05\x00\x00\x00\x03\xff", 0x9),  # a header block that HPACK cannot read
        (b"\x00\x00\x01\x01\x05\x00\x00\x00\x02\x82", 0x1),  # a client's stream with an even number
        (b"\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x04\xff\xff\xff\xff", 0x3),  # too large an initial window
        (b"\x00\x50\x00\x00\x00\x00\x00\x00\x01" + bytes(0x5000), 0x6),  # a frame longer than we take
    ],
    ids=range(7),
)
def test_connection_errors_end_it_with_their_code(frame: bytes, code: int) -> None:
    link = connect()
    started, _ = link.ask()
    link.feed(frame)
    link.to_peer()
    assert link.peer.goaway is not None
    assert link.peer.goaway.error_code == code
    assert [event.stream_id for event in link.all(StreamAborted)] == [started.stream_id]
    assert len(link.all(PeerErred)) == 1
    assert link.engine.is_closed()
    assert link.engine.receive_data(frame, link.now) == []


def test_the_first_frame_is_settings() -> None:
    link = StreamKit("h2", H2Engine, H2Peer).connect()
    link.feed(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x08\x06\x00\x00\x00\x00\x0012345678")
    assert link.engine.is_closed()
    assert len(link.all(PeerErred)) == 1


def test_events_before_an_error_in_the_same_bytes_are_told() -> None:
    link = connect()
    number = link.peer.request(b"GET", b"/")
    link.feed(link.peer.take() + b"\x00\x00\x05\x06\x00\x00\x00\x00\x0012345")
    assert [event.stream_id for event in link.all(RequestStarted)] == [number]
    assert [event.stream_id for event in link.all(StreamAborted)] == [number]


def test_priority_comes_by_field_and_by_frame() -> None:
    link = connect()
    started, _ = link.ask(headers=[(b"priority", b"u=1, i")])
    assert started.priority == (1, True)
    link.feed(b"\x00\x00\x07\x10\x00\x00\x00\x00\x00\x00\x00\x00\x01u=6")
    assert link.all(PriorityChanged) == [PriorityChanged(1, 6, False)]


def test_a_goaway_of_the_client_lets_its_requests_finish() -> None:
    link = connect()
    started, response = link.ask()
    link.feed(b"\x00\x00\x08\x07\x00\x00\x00\x00\x00" + bytes(8))
    assert link.all(PeerClosing) == [PeerClosing(0, AbortReason.CANCELLED)]
    assert not link.engine.is_closed()
    link.answer(started.stream_id)
    assert response.ended
    assert link.engine.is_closed()


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (0x0, AbortReason.CANCELLED),
        (0x8, AbortReason.CANCELLED),
        (0x7, AbortReason.REFUSED),
        (0x99, AbortReason.INTERNAL_ERROR),
    ],
)
def test_a_reset_by_the_client(code: int, reason: AbortReason) -> None:
    link = connect()
    started, _ = link.ask()
    link.feed(b"\x00\x00\x04\x03\x00\x00\x00\x00\x01" + code.to_bytes(4, "big"))
    assert link.all(StreamAborted) == [StreamAborted(started.stream_id, reason)]
    assert not link.all(PeerErred)
    assert_alive(link)
