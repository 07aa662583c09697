"""HTTP/1.1 request bodies: framing, credit, trailers, and what goes wrong in them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tricorn_transports.errors import LimitExceeded
from tricorn_transports.events import (
    AbortReason,
    BodyReceived,
    PeerErred,
    RequestEnded,
    RequestStarted,
    StreamAborted,
)

KEEP_1_0 = b"GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"


def post(length: int, *fields: bytes) -> bytes:
    return b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n%b\r\n" % (length, b"".join(fields))


def test_credit_is_the_length(h1):
    assert h1.feed(post(5) + b"he", b"llo")[1:] == [
        BodyReceived(1, b"he", 2),
        BodyReceived(1, b"llo", 3),
        RequestEnded(1),
    ]


def test_the_window_closes_and_opens_again(new_h1):
    h1 = new_h1(stream_receive_buffer=10)
    h1.feed(post(30) + b"x" * 9)
    assert h1.engine.wants_data()
    h1.feed(b"x")
    assert not h1.engine.wants_data()
    h1.engine.consumed(1, 1)
    assert h1.engine.wants_data()


def test_another_streams_credit_is_ignored(new_h1):
    h1 = new_h1(stream_receive_buffer=10)
    h1.feed(post(30) + b"x" * 10)
    h1.engine.consumed(3, 10)
    assert not h1.engine.wants_data()


def test_chunks_of_one_read_are_joined(h1):
    events = h1.feed(CHUNKED + b"2\r\nhe\r\n3;ext=1\r\nllo\r\n0\r\n\r\n")
    assert events[1:] == [BodyReceived(1, b"hello", 5), RequestEnded(1)]


def test_trailers(h1):
    events = h1.feed(CHUNKED + b"1\r\nx\r\n0\r\nX-Sum: 1\r\nx-two: 2\r\n\r\n")
    assert events[-1] == RequestEnded(1, [(b"x-sum", b"1"), (b"x-two", b"2")])


@pytest.mark.parametrize(
    ("body", "limit"),
    [
        (b"0\r\n" + b"x: y\r\n" * 4 + b"\r\n", "max_fields"),
        (b"0\r\nx: " + b"y" * 300, "max_head_bytes"),
        (b"1;" + b"x" * 300, "max_head_bytes"),
        (b"1;xxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\nx\r\n" * 30, "max_head_bytes"),
    ],
)
def test_limits_of_a_chunked_body(new_h1, body, limit):
    h1 = new_h1(max_fields=3, max_head_bytes=200)
    status, erred = h1.refused(CHUNKED + body)
    assert status == 431
    assert isinstance(erred.error, LimitExceeded)
    assert (erred.error.limit, erred.error.stream_id) == (limit, 1)


def test_one_byte_chunks_are_no_breach(new_h1):
    h1 = new_h1(max_head_bytes=200)
    assert h1.feed(CHUNKED + b"1\r\nx\r\n" * 5000 + b"0\r\n\r\n")[1].data == b"x" * 5000


@pytest.mark.parametrize(
    "body", [b"z\r\n", b"2\r\nabc\r\n", b"-1\r\n", b"123456789012345678901\r\n", b"0\r\nx y\r\n\r\n"]
)
def test_broken_chunks_are_a_400(h1, body):
    assert h1.refused(CHUNKED + b"2\r\nhi\r\n" + body)[0] == 400


def test_what_came_before_the_break_was_received(h1):
    events = h1.feed(CHUNKED + b"2\r\nhi\r\nz\r\n")
    assert events[1] == BodyReceived(1, b"hi", 2)
    assert isinstance(events[2], PeerErred)
    assert events[3] == StreamAborted(1, AbortReason.PROTOCOL_ERROR)


def test_no_second_status_line_once_a_response_has_begun(h1):
    h1.feed(CHUNKED)
    h1.engine.send_headers(1, 200, [])
    h1.engine.send_data(1, b"part")
    events = h1.feed(b"z\r\n")
    assert isinstance(events[0], PeerErred)
    assert events[1] == StreamAborted(1, AbortReason.PROTOCOL_ERROR)
    assert h1.engine.is_closed()
    assert h1.flush().endswith(b"\r\n\r\n4\r\npart\r\n")


def test_eof_within_a_body(h1):
    h1.feed(post(5) + b"he")
    assert h1.engine.receive_eof(0.0) == [StreamAborted(1, AbortReason.DISCONNECTED)]
    assert h1.engine.is_closed()
    assert h1.flush() == b""


@pytest.mark.parametrize("body", [b"rest!" * 10_000, b"1\r\nx\r\n" * 10_000 + b"0\r\n\r\n"])
def test_a_small_unwanted_body_is_skipped(h1, body, responses):
    head = CHUNKED if body.startswith(b"1") else post(len(body))
    h1.feed(head + body[:100])
    assert h1.answer(1) == []
    assert h1.engine.wants_data()
    events = h1.feed(body[100:] + b"GET /next HTTP/1.1\r\nhost: a\r\n\r\n")
    assert [type(event) for event in events] == [RequestStarted, RequestEnded]
    assert events[0].target == b"/next"
    h1.answer(3)
    assert [r.body for r in responses(h1.wire, [b"POST", b"GET"])] == [b"ok", b"ok"]


def test_a_large_unwanted_body_ends_the_connection(h1):
    h1.feed(post(70_000) + b"x" * 1000)
    h1.answer(1)
    assert h1.engine.is_closed()
    assert h1.wire.endswith(b"\r\nconnection: close\r\n\r\nok")


def test_a_stream_beside_a_large_body_does_not_end_the_connection(h1):
    """It may be a conversation: by the end of the answer the body may have been read."""
    h1.feed(post(70_000) + b"x" * 1000)
    h1.engine.send_headers(1, 200, [])
    h1.feed(b"x" * 69_000)
    h1.engine.send_data(1, b"", end=True)
    h1.engine.release(1)
    assert b"connection" not in h1.flush()
    assert not h1.engine.is_closed()


def test_an_endless_unwanted_body_ends_the_connection(h1):
    h1.feed(CHUNKED)
    h1.answer(1)
    for _ in range(70):
        assert h1.feed(b"3e8\r\n" + b"x" * 1000 + b"\r\n") == []
    assert h1.engine.is_closed()


def test_an_error_within_a_skipped_body_gets_no_second_answer(h1):
    h1.feed(CHUNKED)
    h1.answer(1)
    (erred,) = h1.feed(b"z\r\n")
    assert isinstance(erred, PeerErred)
    assert h1.engine.is_closed()
    assert h1.flush() == b""


def test_eof_within_a_skipped_body(h1):
    h1.feed(CHUNKED)
    h1.answer(1)
    assert h1.engine.receive_eof(0.0) == []
    assert h1.engine.is_closed()


# --------------------------------------------------------------------------- however it is divided, it means the same

MESSAGES = [
    b"GET /a HTTP/1.1\r\nhost: a\r\n\r\n",
    b"\r\nGET /b HTTP/1.1\r\nhost: a\r\nx: y\r\n z\r\n\r\n",
    post(11) + b"hello\r\n\r\nGET",
    CHUNKED + b"5\r\nhello\r\n6;x\r\n world\r\n0\r\n\r\n",
    CHUNKED + b"3\r\nabc\r\n0\r\nt: 1\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
    b"GET / HTTP/1.0\r\n\r\n",
    CHUNKED + b"3\r\nabcd\r\n",
    CHUNKED + b"3\r\nabc\n\r",
    CHUNKED + b'1 ; a = "b;\\"c" ;d\r\nx\r\n00\r\n\r\n',
    CHUNKED + b"1;" + b"x" * 450 + b"\n\r\n",
    CHUNKED + b"0\r\n" + b"t: " + b"x" * 180 + b"\r\nu: " + b"x" * 250 + b"\r\n\r\n",
    CHUNKED + b"1;xxxxxxxxxxxxxxxxx\r\nx\r\n" * 40,
    b"GET /\r\n",
    b"GET / HTTP/1.1\r\nhost: a\rb\r\n\r\n",
    b"GET / HTTP/1.1\n" + b"x" * 400,
    KEEP_1_0 * 2,
    b"GET / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\nhost: a\n\n",
    b"HEAD /" + b"x" * 300 + b" HTTP/1.1\r\nhost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost: a\r\nx: " + b"y" * 500 + b"\r\n\r\n",
    b"\r\n\r\n",
    b"\x16\x03\x01",
]


def play(h1, pieces):
    """Answers every request as soon as it is complete; gives what was seen, with each body joined."""
    seen = []
    for piece in pieces:
        events = h1.feed(piece)
        while events:
            following = []
            for event in events:
                if isinstance(event, BodyReceived):
                    if isinstance(seen[-1], bytes):
                        seen[-1] += event.data
                    else:
                        seen.append(event.data)
                elif isinstance(event, PeerErred):
                    seen.append((type(event.error), event.error.status_hint))
                else:
                    seen.append(event)
                if isinstance(event, RequestEnded):
                    following += h1.answer(event.stream_id)
            events = following
    h1.flush()
    return seen, h1.wire, h1.engine.is_closed()


@settings(deadline=None)
@given(data=st.data(), chosen=st.lists(st.sampled_from(MESSAGES), min_size=1, max_size=4))
def test_division_changes_nothing(data, chosen, new_h1):
    stream = b"".join(chosen)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(stream) - 1), max_size=20)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    limits = {"max_head_bytes": 400, "max_target_bytes": 200}
    whole = play(new_h1(**limits), [stream])
    assert play(new_h1(**limits), pieces) == whole
    assert play(new_h1(**limits), [bytes([byte]) for byte in stream]) == whole


@settings(deadline=None)
@given(garbage=st.binary(max_size=200), start=st.sampled_from([b"", b"GET / HTTP/1.1\r\n", CHUNKED, post(3)]))
def test_garbage_never_raises(garbage, start, new_h1):
    h1 = new_h1(max_head_bytes=100)
    play(h1, [start + garbage])
    h1.engine.receive_eof(0.0)
    play(h1, [])
