"""HTTP/1.1 connections: pipelining, end of file, deadlines, shutdown and tunnels."""

from __future__ import annotations

import pytest

from tricorn_transports.errors import LimitExceeded, LocalProtocolError
from tricorn_transports.events import AbortReason, BodyReceived, PeerErred, RequestEnded, RequestStarted, SendingEnded

GET = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"
UPGRADE = b"GET /ws HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"
CONNECT = b"CONNECT b:443 HTTP/1.1\r\nhost: b:443\r\n\r\n"


def targets(events):
    return [event.target for event in events if isinstance(event, RequestStarted)]


# ------------------------------------------------------------------------------------------------------ pipelining


def test_pipelined_requests_wait_for_release(new_h1, responses):
    count = 3000
    h1 = new_h1(stream_send_buffer=1 << 20)
    events = h1.feed(b"".join(b"GET /%d HTTP/1.1\r\nhost: a\r\n\r\n" % index for index in range(count)))
    seen = targets(events)
    assert len(seen) == 1
    for index in range(count - 1):
        h1.engine.send_headers(2 * index + 1, 200, [], end=True)
        assert h1.engine.take_events() == []
        h1.engine.release(2 * index + 1)
        seen += targets(h1.engine.take_events())
    assert seen == [b"/%d" % index for index in range(count)]
    assert len(responses(h1.flush(), [b"GET"] * (count - 1))) == count - 1


def test_held_requests_are_bounded(new_h1):
    h1 = new_h1(max_pipelined_bytes=100)
    h1.feed(GET)
    h1.feed(b"x" * 99)
    assert h1.engine.wants_data()
    h1.feed(b"x")
    assert not h1.engine.wants_data()


def test_a_client_that_takes_no_answer_gets_no_further(new_h1):
    h1 = new_h1(stream_send_buffer=1000, max_pipelined_bytes=200)
    assert targets(h1.feed(GET * 10)) == [b"/"]
    h1.engine.send_headers(1, 200, [])
    h1.engine.send_data(1, b"x" * 1000, end=True)
    h1.engine.release(1)
    assert h1.engine.take_events() == []
    assert targets(h1.feed(GET)) == []
    assert not h1.engine.wants_data()
    assert h1.engine.deadline() is None  # it is not the head that is late
    assert h1.engine.handle_deadline(h1.now + 1000) == []
    h1.flush()
    assert targets(h1.engine.take_events()) == [b"/"]


def test_requests_held_up_survive_the_end_of_file(new_h1):
    h1 = new_h1(stream_send_buffer=1000)
    h1.feed(GET + GET)
    h1.engine.send_headers(1, 200, [])
    h1.engine.send_data(1, b"x" * 1000, end=True)
    h1.engine.release(1)
    assert h1.engine.receive_eof(h1.now) == []
    h1.flush()
    assert targets(h1.engine.take_events()) == [b"/"]


def test_nothing_behind_a_close_is_parsed(h1):
    h1.feed(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n" + GET)
    assert h1.answer(1) == []
    assert h1.engine.is_closed()


def test_bodies_of_pipelined_requests(h1):
    post = b"POST / HTTP/1.1\r\nhost: a\r\n"
    h1.feed(
        post + b"content-length: 2\r\n\r\nhi" + post + b"transfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n" + GET
    )
    assert h1.answer(1)[1:] == [BodyReceived(3, b"x", 1), RequestEnded(3)]
    assert targets(h1.answer(3)) == [b"/"]


# ----------------------------------------------------------------------------------------------------- end of file


def test_eof_while_idle_is_silent(h1):
    assert h1.engine.receive_eof(0.0) == []
    assert h1.engine.is_closed()
    assert h1.flush() == b""


def test_eof_after_an_exchange_is_silent(h1):
    h1.feed(GET)
    h1.answer(1)
    assert h1.engine.receive_eof(0.0) == []
    assert h1.engine.is_closed()
    assert h1.flush() == b""


def test_eof_within_a_head_is_a_400(h1):
    h1.feed(b"GET / HT")
    (erred,) = h1.engine.receive_eof(0.0)
    assert isinstance(erred, PeerErred)
    assert h1.flush().startswith(b"HTTP/1.1 400 ")
    assert h1.engine.is_closed()


def test_half_close_is_still_answered(h1, responses):
    h1.feed(GET + GET)
    assert h1.engine.receive_eof(0.0) == []
    assert not h1.engine.is_closed()
    assert targets(h1.answer(1)) == [b"/"]
    assert h1.answer(3) == []
    assert h1.engine.is_closed()
    first, second = responses(h1.wire, [b"GET", b"GET"])
    assert (b"connection", b"close") not in first.headers
    assert (b"connection", b"close") in second.headers


def test_half_close_with_half_a_request_behind(h1):
    h1.feed(GET + b"GET /")
    h1.engine.receive_eof(0.0)
    (erred,) = h1.answer(1)
    assert isinstance(erred, PeerErred)
    assert h1.engine.is_closed()


# ------------------------------------------------------------------------------------------------------- deadlines


def test_a_connection_that_says_nothing(new_h1):
    h1 = new_h1(header_timeout=10.0)
    assert h1.engine.deadline() == 10.0
    assert h1.engine.handle_deadline(9.9) == []
    assert not h1.engine.is_closed()
    assert h1.engine.handle_deadline(10.0) == []
    assert h1.engine.is_closed()
    assert h1.flush() == b""


def test_a_slow_head_is_a_408(new_h1):
    h1 = new_h1(header_timeout=10.0)
    h1.now = 5.0
    h1.feed(b"GET /")
    h1.now = 14.0
    h1.feed(b"slow")
    assert h1.engine.deadline() == 15.0
    (erred,) = h1.engine.handle_deadline(15.0)
    assert isinstance(erred.error, LimitExceeded)
    assert erred.error.limit == "header_timeout"
    assert h1.flush().startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert h1.engine.is_closed()


def test_no_deadline_while_an_exchange_runs(h1):
    h1.feed(GET)
    assert h1.engine.deadline() is None
    assert h1.engine.handle_deadline(1e9) == []
    assert not h1.engine.is_closed()


def test_keep_alive_counts_from_the_release(new_h1):
    h1 = new_h1(header_timeout=10.0, keep_alive_timeout=50.0)
    h1.feed(GET)
    h1.now = 100.0
    h1.answer(1)
    assert h1.engine.deadline() == 150.0
    h1.engine.handle_deadline(150.0)
    assert h1.engine.is_closed()
    assert b"408" not in h1.wire


def test_release_without_output_does_not_count_from_an_old_time(new_h1):
    h1 = new_h1(keep_alive_timeout=50.0)
    h1.feed(GET)
    h1.engine.send_headers(1, 200, [], end=True)
    h1.flush()
    h1.engine.release(1)
    assert h1.engine.handle_deadline(100.0) == []
    assert not h1.engine.is_closed()
    assert h1.engine.deadline() == 150.0


def test_the_next_head_has_its_own_deadline(new_h1):
    h1 = new_h1(header_timeout=10.0, keep_alive_timeout=50.0)
    h1.feed(GET)
    h1.answer(1)
    h1.now = 40.0
    h1.feed(b"G")
    assert h1.engine.deadline() == 50.0


def test_half_a_pipelined_head_has_the_heads_deadline(new_h1):
    h1 = new_h1(header_timeout=10.0, keep_alive_timeout=50.0)
    h1.feed(GET + b"GET")
    h1.now = 20.0
    h1.answer(1)
    assert h1.engine.deadline() == 30.0


# ------------------------------------------------------------------------------------------------ shutdown and ends


def test_shutdown_while_idle(h1):
    h1.feed(GET)
    h1.answer(1)
    h1.engine.begin_shutdown()
    assert h1.engine.is_closed()


def test_shutdown_before_the_first_request(h1, responses):
    h1.engine.begin_shutdown()
    assert targets(h1.feed(GET)) == [b"/"]
    h1.answer(1)
    assert h1.engine.is_closed()
    assert (b"connection", b"close") in responses(h1.wire, [b"GET"])[0].headers


def test_shutdown_finishes_what_runs_and_starts_nothing(h1, responses):
    h1.feed(GET + GET)
    h1.engine.begin_shutdown()
    assert not h1.engine.is_closed()
    assert h1.answer(1) == []
    assert h1.engine.is_closed()
    (response,) = responses(h1.wire, [b"GET"])
    assert (b"connection", b"close") in response.headers


def test_shutdown_within_a_head(h1, responses):
    h1.feed(GET[:9])
    h1.engine.begin_shutdown()
    assert targets(h1.feed(GET[9:])) == [b"/"]
    h1.answer(1)
    assert h1.engine.is_closed()
    assert (b"connection", b"close") in responses(h1.wire, [b"GET"])[0].headers


def test_shutdown_once_the_response_has_begun(h1):
    h1.feed(GET)
    h1.engine.send_headers(1, 200, [(b"content-length", b"2")])
    h1.engine.begin_shutdown()
    h1.engine.send_data(1, b"ok", end=True)
    h1.engine.release(1)
    assert h1.engine.is_closed()
    assert h1.flush().endswith(b"\r\n\r\nok")


def test_terminate_drops_everything(h1):
    h1.feed(GET + GET)
    h1.engine.send_headers(1, 200, [], end=True)
    h1.engine.release(1)
    h1.engine.terminate(AbortReason.NO_ERROR)
    assert h1.engine.is_closed()
    assert h1.engine.take_events() == []
    assert h1.engine.data_to_send(0.0) == []
    assert h1.engine.deadline() is None
    assert h1.feed(GET) == []
    assert h1.engine.receive_eof(0.0) == []


# --------------------------------------------------------------------------------------------------------- tunnels


@pytest.mark.parametrize(
    ("head", "answer"),
    [
        (UPGRADE, b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\nx: y\r\n\r\n"),
        (CONNECT, b"HTTP/1.1 200 OK\r\nx: y\r\n\r\n"),
    ],
)
def test_a_tunnel_carries_bytes_both_ways(h1, head, answer):
    events = h1.feed(head + b"early")
    assert events[1:] == [RequestEnded(1)]
    h1.engine.accept_tunnel(1, [(b"x", b"y"), (b"content-length", b"3")])
    assert h1.engine.take_events() == [BodyReceived(1, b"early", 5)]
    assert h1.flush() == answer
    h1.engine.send_data(1, b"GET ")
    assert h1.flush() == b"GET "
    assert h1.feed(GET) == [BodyReceived(1, GET, len(GET))]
    assert h1.engine.receive_eof(0.0) == [RequestEnded(1)]
    assert not h1.engine.is_closed()
    h1.engine.send_data(1, b"bye", end=True)
    assert h1.flush() == b"bye"
    assert h1.engine.take_events() == [SendingEnded(1)]
    assert not h1.engine.is_closed()  # the application may still read
    h1.engine.release(1)
    assert h1.engine.is_closed()


def test_our_side_of_a_tunnel_closes_first(h1):
    h1.feed(UPGRADE)
    h1.engine.accept_tunnel(1, [])
    with pytest.raises(LocalProtocolError):
        h1.engine.accept_tunnel(1, [])
    h1.engine.send_data(1, b"bye", end=True)
    with pytest.raises(LocalProtocolError):
        h1.engine.send_data(1, b"more")
    assert h1.engine.take_events() == []
    assert h1.flush().endswith(b"bye")
    assert h1.engine.take_events() == [SendingEnded(1)]
    assert h1.feed(b"still") == [BodyReceived(1, b"still", 5)]
    assert h1.engine.receive_eof(0.0) == [RequestEnded(1)]
    h1.engine.release(1)
    assert h1.engine.is_closed()


def test_release_ends_a_tunnel(h1):
    h1.feed(UPGRADE)
    h1.engine.accept_tunnel(1, [])
    h1.engine.send_data(1, b"bye", end=True)
    h1.engine.release(1)
    assert h1.engine.is_closed()
    assert h1.flush().endswith(b"bye")


def test_a_tunnels_window(new_h1):
    h1 = new_h1(stream_receive_buffer=10)
    h1.feed(UPGRADE)
    h1.engine.accept_tunnel(1, [])
    h1.feed(b"x" * 10)
    assert not h1.engine.wants_data()
    h1.engine.consumed(1, 10)
    assert h1.engine.wants_data()


def test_a_tunnel_that_is_not_accepted(h1, responses):
    h1.feed(UPGRADE + GET)
    assert targets(h1.answer(1)) == [b"/"]
    h1.answer(3)
    assert len(responses(h1.wire, [b"GET", b"GET"])) == 2


def test_a_connect_that_is_refused(h1, responses):
    assert h1.feed(CONNECT + GET)[-1] == RequestEnded(1)  # what follows may be the tunnel's
    with pytest.raises(LocalProtocolError):
        h1.engine.send_headers(1, 200, [])
    h1.engine.send_headers(1, 405, [], end=True)
    h1.engine.release(1)
    assert responses(h1.flush(), [b"CONNECT"])[0].status == 405
    assert h1.engine.is_closed()
    assert h1.engine.take_events() == []


def test_no_tunnel_where_none_was_asked_for(h1):
    h1.feed(GET)
    with pytest.raises(LocalProtocolError):
        h1.engine.accept_tunnel(1, [])


def test_eof_before_a_tunnel_is_accepted(h1):
    h1.feed(UPGRADE)
    h1.engine.receive_eof(0.0)
    h1.engine.accept_tunnel(1, [])
    assert h1.engine.take_events() == [RequestEnded(1)]
