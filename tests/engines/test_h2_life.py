"""HTTP/2 connections as a whole: how they end, and what floods do to them."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tricorn_transports.config import Limits
from tricorn_transports.engines.guard import Budget
from tricorn_transports.engines.h2 import H2Engine
from tricorn_transports.events import AbortReason, BodyReceived, PeerErred, RequestEnded, RequestStarted, StreamAborted
from tricorn_transports.testing import H2Peer, StreamKit, StreamLink

ENHANCE_YOUR_CALM = 0xB
REFUSED_STREAM = 0x7


def connect(limits: Limits | None = None) -> StreamLink:
    link = StreamKit("h2", H2Engine, H2Peer, limits or Limits()).connect()
    link.pump()
    return link


def assert_calmed(link: StreamLink, limit: str) -> None:
    link.to_peer()
    assert link.engine.is_closed()
    assert link.peer.goaway is not None
    assert link.peer.goaway.error_code == ENHANCE_YOUR_CALM
    (erred,) = link.all(PeerErred)
    assert erred.error.limit == limit


def test_shutdown_says_goaway_twice_and_serves_what_came_between() -> None:
    link = connect()
    first, first_response = link.ask()
    number = link.peer.request(b"GET", b"/under-way")  # sent before the client can have seen the GOAWAY
    link.engine.begin_shutdown()
    link.to_engine()
    link.pump()
    assert link.peer.goaways == [2**31 - 1, number]
    late = link.peer.request(b"GET", b"/late")
    link.pump()
    assert link.peer.resets == {late: REFUSED_STREAM}
    link.answer(first.stream_id)
    link.answer(number)
    assert first_response.ended
    assert link.peer.responses[number].ended
    assert link.engine.is_closed()
    assert link.peer.goaway is not None
    assert link.peer.goaway.error_code == 0


def test_a_wrong_preface_is_answered_by_whole_frames() -> None:
    link = StreamKit("h2", H2Engine, H2Peer, Limits()).connect()
    link.engine.receive_data(b"INVALID CONNECTION PREFACE\r\n\r\n", link.now)
    output = b"".join(link.engine.data_to_send(link.now))
    kinds = []
    while output:
        length = int.from_bytes(output[:3], "big")
        assert len(output) >= 9 + length
        kinds.append(output[3])
        output = output[9 + length :]
    assert kinds == [0x4, 0x8, 0x7]  # SETTINGS, WINDOW_UPDATE, GOAWAY
    assert link.engine.is_closed()


def test_shutdown_does_not_wait_for_a_client_that_says_nothing() -> None:
    link = connect()
    link.engine.begin_shutdown()
    link.to_peer()
    assert not link.engine.is_closed()
    due = link.engine.deadline()
    assert due == link.now + link.timeouts.close_timeout
    link.engine.handle_deadline(due)
    assert link.engine.is_closed()


def test_terminate_says_why() -> None:
    link = connect()
    started, _ = link.ask()
    link.engine.terminate(AbortReason.INTERNAL_ERROR)
    link.pump()
    assert link.peer.goaway is not None
    assert (link.peer.goaway.error_code, link.peer.goaway.last_stream_id) == (2, started.stream_id)


def test_an_idle_end_is_no_error() -> None:
    link = connect()
    link.pass_time(76)
    assert link.engine.is_closed()
    assert link.peer.goaway is not None
    assert link.peer.goaway.error_code == 0
    assert not link.all(PeerErred)


def test_streams_over_the_limit_are_refused_and_no_more() -> None:
    link = connect()
    link.peer.connection.remote_settings.max_concurrent_streams = 1000
    link.peer.connection.remote_settings.acknowledge()
    numbers = [link.peer.request(b"GET", b"/") for _ in range(103)]
    link.pump()
    assert len(link.all(RequestStarted)) == 100
    assert link.peer.resets == dict.fromkeys(numbers[100:], REFUSED_STREAM)
    link.answer(numbers[0])
    started, _ = link.ask()
    assert started.stream_id == numbers[-1] + 2


def test_a_response_that_is_out_frees_its_place_before_its_exchange_is_over() -> None:
    link = connect(Limits(max_concurrent_streams=1))
    for _ in range(5):
        started, response = link.ask()
        link.engine.send_headers(started.stream_id, 200, [], end=True)
        link.pump()
        assert response.ended
    assert not link.peer.resets


def test_a_flood_of_cancelled_requests_ends_the_connection() -> None:
    link = connect(Limits(max_resets=50))
    for _ in range(51):
        assert not link.engine.is_closed()
        link.peer.reset(link.peer.request(b"GET", b"/"))
        link.to_engine()
    assert len(link.all(StreamAborted)) >= 50
    assert_calmed(link, "max_resets")


def test_cancelling_what_is_being_answered_is_no_flood() -> None:
    link = connect(Limits(max_resets=5))
    for _ in range(50):
        started, _ = link.ask()
        link.engine.send_headers(started.stream_id, 200, [])
        link.pump()
        link.peer.reset(started.stream_id)
    link.pump()
    assert not link.engine.is_closed()


def test_a_flood_of_broken_requests_ends_the_connection() -> None:
    link = connect(Limits(max_resets=50))
    for _ in range(51):
        number = link.peer.request(b"POST", b"/", length=1, end=False)
        link.peer.send(number, b"xx")
        link.to_engine()
    assert link.engine.is_closed()
    assert link.all(PeerErred)[-1].error.limit == "max_resets"


def test_floods_of_frames_that_carry_nothing_end_the_connection() -> None:
    ping = b"\x00\x00\x08\x06\x00\x00\x00\x00\x0012345678"
    settings = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
    priority = b"\x00\x00\x05\x02\x00\x00\x00\x00\x01\x00\x00\x00\x00\x10"
    unknown = b"\x00\x00\x00\xee\x00\x00\x00\x00\x00"
    empty = b"\x00\x00\x00\x00\x00\x00\x00\x00\x01"
    window = b"\x00\x00\x04\x08\x00\x00\x00\x00\x00\x00\x00\x00\x01"
    goaway = b"\x00\x00\x08\x07\x00\x00\x00\x00\x00" + bytes(8)
    for frame in (ping, settings, priority, unknown, empty, window, goaway):
        link = connect(Limits(max_control_frames=100))
        link.peer.request(b"POST", b"/", end=False)
        link.pump()
        link.feed(frame * 150)
        assert_calmed(link, "max_control_frames")


def test_floods_for_a_stream_that_is_over_end_the_connection() -> None:
    empty = b"\x00\x00\x00\x00\x00\x00\x00\x00\x01"
    byte = b"\x00\x00\x01\x00\x00\x00\x00\x00\x01x"
    window = b"\x00\x00\x04\x08\x00\x00\x00\x00\x01\x00\x00\x00\x01"
    reset = b"\x00\x00\x04\x03\x00\x00\x00\x00\x01\x00\x00\x00\x08"
    for frame in (empty, byte, window, reset):
        link = connect(Limits(max_control_frames=100))
        number = link.peer.request(b"POST", b"/", end=False)
        link.pump()
        link.answer(number)
        link.feed(frame * 150)
        assert_calmed(link, "max_control_frames")


def test_a_client_that_opens_its_window_by_little_steps_is_no_flood() -> None:
    link = connect(Limits(max_control_frames=10))
    started, response = link.ask()
    link.engine.send_headers(started.stream_id, 200, [])
    for _ in range(500):
        link.engine.send_data(started.stream_id, b"x" * 1000)
        link.pump()
        for _ in range(4):
            link.feed(b"\x00\x00\x04\x08\x00\x00\x00\x00\x00\x00\x00\x00\x01")
    assert not link.engine.is_closed()
    assert len(response.body) == 500_000


def test_a_peer_that_takes_no_heads_is_not_read_any_further() -> None:
    link = connect()
    link.pump()
    asked = 0
    while link.engine.wants_data():
        number = link.peer.request(b"HEAD", b"/")
        link.feed(link.peer.take())
        link.engine.send_headers(number, 200, [(b"set-cookie", b"x" * 4000)], end=True)
        link.engine.release(number)
        asked += 1
        assert asked < 1000
    link.to_peer()
    assert link.engine.wants_data()


def test_a_budget_fills_again() -> None:
    budget = Budget(2, 1.0, 0.0)
    assert [budget.spend(0.0), budget.spend(0.0), budget.spend(0.0)] == [True, True, False]
    assert [budget.spend(10.0), budget.spend(10.0), budget.spend(10.0)] == [True, True, False]
    budget.earn(100)
    assert [budget.spend(10.0), budget.spend(10.0), budget.spend(10.0)] == [True, True, False]


def frame(kind: int, flags: int, stream_id: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream_id.to_bytes(4, "big") + payload


NUMBERS = st.integers(0, 2**32 - 1).map(lambda number: number.to_bytes(4, "big"))
HEADS = st.sampled_from(
    [b"\x82\x84\x86\x41\x01a", b"\x83\x84\x86\x41\x01a", b"\x40\x01t\x01v", b"\x88", b"\x48\x03100", b"\x82", b"\xff"]
)
PAYLOADS = st.binary(max_size=12) | NUMBERS | HEADS | HEADS.map(lambda head: bytes(5) + head)
STREAMS = st.sampled_from([0, 1, 1, 3, 3, 5, 2])
FRAMES = st.builds(frame, st.integers(0, 17), st.sampled_from([0, 1, 4, 5, 8, 0x25, 0x2C, 255]), STREAMS, PAYLOADS)


@settings(deadline=None, max_examples=400)
@given(st.lists(FRAMES | st.builds(frame, st.just(1), st.sampled_from([4, 5]), STREAMS, HEADS), max_size=12))
def test_no_frames_raise_and_a_stream_tells_its_life_in_order(sent: list[bytes]) -> None:
    link = connect()
    for each in sent:
        link.feed(each)
        link.engine.data_to_send(link.now)
    begun: set[int] = set()
    for event in link.events:
        if isinstance(event, RequestStarted):
            assert event.stream_id not in begun
            begun.add(event.stream_id)
        elif isinstance(event, BodyReceived | RequestEnded | StreamAborted):
            assert event.stream_id in begun
