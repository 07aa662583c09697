"""HTTP/2 flow control, the order of output, pushes: bytes that wait, and what goes before them."""

from __future__ import annotations

import pytest
from h2.settings import SettingCodes

from tricorn_transports.abc import Feature
from tricorn_transports.config import Limits, Timeouts
from tricorn_transports.engines.h2 import H2Engine
from tricorn_transports.events import (
    AbortReason,
    BodyReceived,
    PeerErred,
    RequestStarted,
    StreamAborted,
    StreamWritable,
)
from tricorn_transports.testing import H2Peer, StreamKit, StreamLink

SMALL = Limits(stream_receive_buffer=20_000, connection_receive_buffer=100_000)


def connect(
    limits: Limits | None = None, settings: dict[SettingCodes | int, int] | None = None, window: int = 0
) -> StreamLink:
    link = StreamKit("h2", H2Engine, lambda: H2Peer(settings, window=window), limits or Limits(), Timeouts()).connect()
    link.pump()
    return link


def upload(link: StreamLink, body: bytes) -> int:
    number = link.peer.request(b"POST", b"/", end=False)
    link.peer.send(number, body)
    link.pump()
    return number


def frames(data: bytes) -> list[tuple[int, int, int]]:
    """Type, stream and length of each frame."""
    found = []
    while data:
        size = int.from_bytes(data[:3], "big")
        found.append((data[3], int.from_bytes(data[5:9], "big"), size))
        data = data[9 + size :]
    return found


def output(link: StreamLink) -> list[tuple[int, int, int]]:
    return frames(b"".join(link.engine.data_to_send(link.now)))


# --------------------------------------------------------------------------------------------------------- inwards


def test_a_small_window_counts_once_the_client_has_acknowledged_it() -> None:
    link = connect(SMALL)
    number = upload(link, b"x" * 50_000)
    assert len(link.body(number)) == 20_000


def test_only_reading_opens_the_window() -> None:
    link = connect(SMALL)
    number = upload(link, b"x" * 50_000)
    link.engine.consumed(number, 20_000)
    link.pump()
    assert len(link.body(number)) == 40_000


def test_padding_is_part_of_the_credit() -> None:
    link = connect()
    number = link.peer.request(b"POST", b"/", end=False)
    link.peer.connection.send_data(number, b"abc", pad_length=10)
    link.pump()
    (received,) = link.all(BodyReceived)
    assert (received.data, received.credit) == (b"abc", 14)


@pytest.mark.parametrize("ending", ["release", "abort", "reset"])
def test_a_stream_that_ends_unread_gives_the_connections_window_back(ending: str) -> None:
    link = connect(SMALL)
    for _ in range(30):
        number = upload(link, b"x" * 20_000)
        assert len(link.body(number)) == 20_000, "the connection's window ran dry"
        if ending == "release":
            link.answer(number)
        elif ending == "abort":
            link.engine.abort(number, AbortReason.CANCELLED)
        else:
            link.engine.send_headers(number, 200, [])
            link.peer.reset(number)
        link.pump()


def test_credit_goes_back_once() -> None:
    link = connect(Limits(), {SettingCodes.INITIAL_WINDOW_SIZE: 0})
    number = upload(link, b"x" * 20_000)
    link.answer(number)  # its body waits for a window, so the stream stays after the release
    for _ in range(100):
        link.engine.consumed(number, 20_000)
    link.pump()
    assert link.peer.connection.outbound_flow_control_window <= 1_048_576
    link.peer.reset(number)
    link.pump()
    assert not link.engine.is_closed()


def test_padding_alone_is_given_back_at_once() -> None:
    link = connect(SMALL)
    number = link.peer.request(b"POST", b"/", end=False)
    for _ in range(200):
        link.peer.connection.send_data(number, b"", pad_length=255)
        link.pump()
    assert not link.all(BodyReceived)


# -------------------------------------------------------------------------------------------------------- outwards


def test_small_answers_of_many_streams_leave_in_one_call() -> None:
    link = connect()
    for _ in range(10):
        link.peer.request(b"GET", b"/")
    link.to_engine()
    for started in link.all(RequestStarted):
        link.engine.send_headers(started.stream_id, 200, [])
        link.engine.send_data(started.stream_id, b"x", end=True)
        link.engine.release(started.stream_id)
    assert [kind for kind, _, _ in output(link)].count(0) == 10


def test_the_urgent_goes_first_and_the_incremental_take_turns() -> None:
    link = connect(window=1 << 24, settings={SettingCodes.INITIAL_WINDOW_SIZE: 1 << 20})
    for started in [link.ask(headers=[(b"priority", each)])[0] for each in (b"u=5", b"u=5,i", b"u=5,i", b"u=0")]:
        link.engine.send_headers(started.stream_id, 200, [])
        link.engine.send_data(started.stream_id, b"x" * 40_000, end=True)
    order = [stream_id for kind, stream_id, _ in output(link) if kind == 0]
    assert order[:3] == [7, 7, 7]
    assert sorted(order[3:7]) in ([1, 1, 3, 5], [1, 3, 3, 5], [1, 3, 5, 5])


def test_an_application_may_change_the_priority() -> None:
    link = connect()
    for started in [link.ask()[0] for _ in range(2)]:
        link.engine.send_headers(started.stream_id, 200, [])
        link.engine.send_data(started.stream_id, b"x" * 100, end=True)
    link.engine.set_priority(3, 0, False)
    assert [stream_id for kind, stream_id, _ in output(link) if kind == 0] == [3, 1]


def test_large_frames_where_the_client_takes_them() -> None:
    settings = {SettingCodes.MAX_FRAME_SIZE: 1 << 20, SettingCodes.INITIAL_WINDOW_SIZE: 1 << 20}
    link = connect(settings=settings, window=1 << 20)
    started, _ = link.ask()
    link.engine.send_headers(started.stream_id, 200, [])
    for _ in range(100):
        link.engine.send_data(started.stream_id, b"x" * 2_000)
    assert [size for kind, _, size in output(link) if kind == 0] == [65_536, 65_536, 65_536, 3_392]


def test_writable_comes_once_and_only_when_asked_for() -> None:
    link = connect(Limits(stream_send_buffer=1000))
    started, _ = link.ask()
    link.engine.send_headers(started.stream_id, 200, [])
    link.engine.send_data(started.stream_id, b"x" * 900)
    assert link.engine.sendable(1) == 100
    link.pump()
    assert not link.all(StreamWritable)
    link.engine.send_data(started.stream_id, b"x" * 2000)
    assert link.engine.sendable(1) == -1000
    link.pump()
    link.pump()
    assert link.all(StreamWritable) == [StreamWritable(1)]


def test_an_application_that_can_go_on_does_so_before_what_is_less_urgent() -> None:
    link = connect(Limits(stream_send_buffer=1000))
    for started in [link.ask(headers=[(b"priority", field)])[0] for field in (b"u=0", b"u=7")]:
        link.engine.send_headers(started.stream_id, 200, [])
        link.engine.send_data(started.stream_id, b"x" * 2000)
        assert link.engine.sendable(started.stream_id) < 0
    for stream_id in (1, 3):
        assert [each for kind, each, _ in output(link) if kind == 0] == [stream_id]
        assert output(link) == [], "not before it has been told"
        assert link.engine.take_events() == [StreamWritable(stream_id)]


def test_a_window_that_shuts_resumes_where_it_stopped() -> None:
    link = connect(settings={SettingCodes.INITIAL_WINDOW_SIZE: 10})
    started, response = link.ask()
    link.peer.pause(1)
    link.engine.send_headers(started.stream_id, 200, [])
    link.engine.send_data(started.stream_id, b"0123456789abcdef", end=True)
    link.engine.release(1)
    link.pump()
    assert bytes(response.body) == b"0123456789"
    link.peer.resume(1)
    link.pump()
    assert bytes(response.body) == b"0123456789abcdef"
    assert response.ended


def test_an_empty_body_needs_no_window() -> None:
    link = connect(settings={SettingCodes.INITIAL_WINDOW_SIZE: 0})
    started, response = link.ask()
    link.engine.send_headers(started.stream_id, 200, [])
    link.engine.send_data(started.stream_id, b"", end=True)
    link.pump()
    assert response.ended


def test_settings_open_the_windows_of_running_streams() -> None:
    link = connect(settings={SettingCodes.INITIAL_WINDOW_SIZE: 0})
    started, response = link.ask()
    link.answer(started.stream_id)
    assert bytes(response.body) == b""
    link.peer.connection.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 100})
    link.pump()
    assert bytes(response.body) == b"hello"


def test_connection_fields_and_outer_white_space_stay_behind() -> None:
    link = connect()
    started, response = link.ask()
    fields = [(b"connection", b"close"), (b"keep-alive", b"1"), (b"transfer-encoding", b"chunked"), (b"x", b" y\t")]
    link.engine.send_headers(started.stream_id, 200, [*fields, (b"upgrade", b"h2c")], end=True)
    link.pump()
    assert response.headers == [(b"x", b"y")]
    assert response.ended


def test_nothing_stays_of_a_stream_that_is_over() -> None:
    link = connect()
    for _ in range(300):
        started, _ = link.ask()
        link.answer(started.stream_id, b"x" * 2000)
    engine = link.engine
    assert isinstance(engine, H2Engine)
    assert (len(engine._streams), len(list(engine._scheduler)), len(engine._stalled)) == (0, 0, 0)
    assert len(engine._connection.streams) <= 64


def test_a_response_that_stands_still_is_reset_in_time() -> None:
    link = connect(settings={SettingCodes.INITIAL_WINDOW_SIZE: 10})
    started, response = link.ask()
    link.peer.pause(1)
    link.answer(started.stream_id, b"x" * 20)
    link.pass_time(59)
    assert not response.aborted
    link.pass_time(2)
    assert response.aborted
    assert link.peer.resets == {1: 8}
    (erred,) = link.all(PeerErred)
    assert erred.error.limit == "write_timeout"
    assert not link.all(StreamAborted), "its exchange is over"
    assert not link.engine.is_closed()


# ---------------------------------------------------------------------------------------------------------- pushes


def test_a_promise_goes_before_the_parents_waiting_bytes() -> None:
    link = connect()
    started, _ = link.ask()
    link.engine.send_headers(started.stream_id, 200, [])
    link.engine.send_data(started.stream_id, b"<link>")
    link.engine.push(started.stream_id, b"/a.css", [])
    assert [(kind, stream_id) for kind, stream_id, _ in output(link)] == [(1, 1), (5, 1), (0, 1)]


def test_a_client_that_wants_no_pushes_gets_none() -> None:
    for settings in ({SettingCodes.ENABLE_PUSH: 0}, {SettingCodes.MAX_CONCURRENT_STREAMS: 0}):
        link = connect(settings=settings)
        started, _ = link.ask()
        assert link.engine.push(started.stream_id, b"/a", []) is None
        assert (Feature.PUSH in link.engine.features) is (SettingCodes.ENABLE_PUSH not in settings)


def test_pushes_have_a_limit_that_answered_ones_leave() -> None:
    link = connect(Limits(max_pushes=2))
    started, _ = link.ask()
    first = link.engine.push(started.stream_id, b"/1", [])
    assert first is not None
    assert link.engine.push(started.stream_id, b"/2", []) is not None
    assert link.engine.push(started.stream_id, b"/3", []) is None
    assert link.engine.push(first.stream_id, b"/of-a-push", []) is None
    link.answer(first.stream_id)
    assert link.engine.push(started.stream_id, b"/3", []) is not None


def test_a_refused_push_is_aborted() -> None:
    link = connect()
    started, _ = link.ask()
    promised = link.engine.push(started.stream_id, b"/a", [])
    assert promised is not None
    link.pump()
    link.peer.reset(promised.stream_id, 0x7)
    link.pump()
    assert link.all(StreamAborted) == [StreamAborted(promised.stream_id, AbortReason.REFUSED)]
    link.answer(started.stream_id)
    assert not link.engine.is_closed()
