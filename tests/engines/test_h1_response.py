"""HTTP/1.1 responses: framing, interim ones, back pressure, and mistakes of an application."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tricorn_transports.errors import LocalProtocolError
from tricorn_transports.events import AbortReason, ResponseBroken, StreamWritable

GET = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"
GET_1_0 = b"GET / HTTP/1.0\r\n\r\n"
EXPECTING = b"POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n"


def test_content_length_is_kept(h1):
    h1.feed(GET)
    h1.engine.send_headers(1, 200, [(b"content-type", b"text/plain"), (b"content-length", b"2")])
    h1.engine.send_data(1, b"hi", end=True)
    assert h1.flush() == b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nhi"


def test_a_body_of_unknown_length_is_chunked(h1, responses):
    h1.feed(GET)
    h1.engine.send_headers(1, 200, [(b"transfer-encoding", b"gzip")])
    h1.engine.send_data(1, b"hello ")
    h1.engine.send_data(1, b"")
    h1.engine.send_data(1, b"x" * 20_000, end=True)
    h1.engine.release(1)
    (response,) = responses(h1.flush(), [b"GET"])
    assert response.headers == [(b"transfer-encoding", b"chunked")]
    assert response.body == b"hello " + b"x" * 20_000
    assert response.complete
    assert not h1.engine.is_closed()


def test_an_empty_response_has_length_zero(h1):
    h1.feed(GET)
    h1.engine.send_headers(1, 404, [], end=True)
    assert h1.flush() == b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"


def test_an_unregistered_status(h1):
    h1.feed(GET)
    h1.engine.send_headers(1, 799, [], end=True)
    assert h1.flush().startswith(b"HTTP/1.1 799 \r\n")


def test_http_1_0_ends_with_the_connection(h1, responses):
    h1.feed(GET_1_0)
    h1.engine.send_headers(1, 200, [])
    h1.engine.send_data(1, b"hi", end=True)
    h1.engine.release(1)
    (response,) = responses(h1.flush(), [b"GET"], close=True)
    assert (response.headers, response.body) == ([(b"connection", b"close")], b"hi")
    assert h1.engine.is_closed()


@pytest.mark.parametrize(
    ("request_head", "status", "fields", "expected"),
    [
        (b"HEAD / HTTP/1.1\r\nhost: a\r\n\r\n", 200, [(b"content-length", b"9")], [(b"content-length", b"9")]),
        (b"HEAD / HTTP/1.1\r\nhost: a\r\n\r\n", 200, [], []),
        (GET, 304, [(b"content-length", b"9")], [(b"content-length", b"9")]),
        (GET, 204, [], []),
        (GET, 204, [(b"content-length", b"0")], []),
        (b"HEAD / HTTP/1.0\r\n\r\n", 200, [], [(b"connection", b"close")]),
    ],
)
def test_responses_without_a_body_drop_it(h1, responses, request_head, status, fields, expected):
    h1.feed(request_head)
    h1.engine.send_headers(1, status, fields)
    h1.engine.send_data(1, b"dropped")
    h1.engine.send_data(1, b"", end=True)
    h1.engine.release(1)
    (response,) = responses(h1.flush(), [request_head.split()[0]])
    assert (response.headers, response.body) == (expected, b"")
    assert h1.engine.is_closed() is (b"1.0" in request_head)


@pytest.mark.parametrize(
    ("request_head", "fields", "expected"),
    [
        (b"GET / HTTP/1.1\r\nhost: a\r\nconnection: Close\r\n\r\n", [], [b"close"]),
        (b"GET / HTTP/1.1\r\nhost: a\r\nconnection: x\r\nconnection: close\r\n\r\n", [], [b"close"]),
        (b"GET / HTTP/1.0\r\n\r\n", [(b"connection", b"keep-alive")], [b"close"]),
        (b"GET / HTTP/1.0\r\nconnection: close, keep-alive\r\n\r\n", [], [b"close"]),
        (GET, [(b"connection", b"close")], [b"close"]),
        (GET, [(b"connection", b"Upgrade"), (b"connection", b"Close")], [b"Upgrade, close"]),
        (GET, [(b"connection", b"Upgrade")], [b"Upgrade"]),
        (GET, [], []),
    ],
)
def test_connection_close(h1, responses, request_head, fields, expected):
    h1.feed(request_head)
    h1.engine.send_headers(1, 200, fields, end=True)
    assert not h1.engine.is_closed()
    h1.engine.release(1)
    (response,) = responses(h1.flush(), [b"GET"])
    assert [value for name, value in response.headers if name == b"connection"] == expected
    assert h1.engine.is_closed() is (b"close" in b"".join(expected))


KEEP_1_0 = b"GET / HTTP/1.0\r\nconnection: Keep-Alive, x\r\n\r\n"


def test_http_1_0_is_kept_alive_by_request_where_the_length_is_known(h1, responses):
    h1.feed(KEEP_1_0 + b"HEAD" + KEEP_1_0[3:] + b"GET / HTTP/1.0\r\n\r\n" + GET)
    h1.answer(1)
    h1.engine.send_headers(3, 200, [], end=True)
    h1.engine.release(3)
    assert not h1.engine.is_closed()
    h1.answer(5)
    assert h1.engine.is_closed()
    seen = responses(h1.flush() or h1.wire, [b"GET", b"HEAD", b"GET"])
    assert [dict(response.headers)[b"connection"] for response in seen] == [b"keep-alive", b"keep-alive", b"close"]
    assert [response.body for response in seen] == [b"ok", b"", b"ok"]


def test_http_1_0_is_not_kept_alive_where_the_length_is_not_known(h1, responses):
    h1.feed(KEEP_1_0 + KEEP_1_0)
    h1.engine.send_headers(1, 200, [])
    h1.engine.send_data(1, b"a stream", end=True)
    h1.engine.release(1)
    assert h1.engine.is_closed()
    (response,) = responses(h1.flush(), [b"GET"], close=True)
    assert (response.headers, response.body) == ([(b"connection", b"close")], b"a stream")


def test_trailers(h1, responses):
    h1.feed(GET)
    h1.engine.send_headers(1, 200, [(b"trailer", b"x-sum")])
    h1.engine.send_data(1, b"hi")
    h1.engine.send_trailers(1, [(b"x-sum", b"1")])
    (response,) = responses(h1.flush(), [b"GET"])
    assert (response.body, response.trailers) == (b"hi", [(b"x-sum", b"1")])


@pytest.mark.parametrize(
    ("request_head", "fields"), [(GET, [(b"content-length", b"2")]), (GET_1_0, []), (b"HEAD" + GET[3:], [])]
)
def test_trailers_where_none_can_be(h1, responses, request_head, fields):
    h1.feed(request_head)
    h1.engine.send_headers(1, 200, fields)
    h1.engine.send_data(1, b"hi")
    h1.engine.send_trailers(1, [(b"x-sum", b"1")])
    h1.engine.release(1)
    (response,) = responses(h1.flush(), [request_head.split()[0]], close=b"1.0" in request_head)
    assert response.complete
    assert b"x-sum" not in h1.wire


# ------------------------------------------------------------------------------------------------ an app's mistakes


def test_too_long_a_body(h1):
    h1.feed(GET)
    h1.engine.send_headers(1, 200, [(b"content-length", b"2")])
    with pytest.raises(LocalProtocolError, match="longer") as caught:
        h1.engine.send_data(1, b"hello", end=True)
    assert caught.value.stream_id == 1
    assert h1.engine.is_closed()
    assert h1.flush().endswith(b"\r\n\r\n")


def test_too_short_a_body_ends_the_connection(h1, responses):
    h1.feed(GET + GET)
    h1.engine.send_headers(1, 200, [(b"content-length", b"5")])
    with pytest.raises(LocalProtocolError, match="3 bytes shorter"):
        h1.engine.send_data(1, b"hi", end=True)
    assert h1.engine.is_closed()
    (response,) = responses(h1.flush(), [b"GET"], close=True)
    assert (response.body, response.complete) == (b"hi", False)
    h1.engine.release(1)
    assert h1.engine.take_events() == []


@pytest.mark.parametrize("fields", [[(b"content-length", b"5")]])
def test_no_body_at_all_where_one_was_promised(h1, fields):
    h1.feed(GET)
    with pytest.raises(LocalProtocolError):
        h1.engine.send_headers(1, 200, fields, end=True)
    assert h1.engine.is_closed()


@pytest.mark.parametrize(
    "fields",
    [
        [(b"content-length", b"x")],
        [(b"content-length", b"-1")],
        [(b"content-length", b"1"), (b"content-length", b"2")],
    ],
)
def test_a_wrong_content_length_can_still_be_answered(h1, fields):
    h1.feed(GET)
    with pytest.raises(LocalProtocolError):
        h1.engine.send_headers(1, 200, fields)
    assert h1.answer(1) == []
    assert not h1.engine.is_closed()


@pytest.mark.parametrize("status", [99, 101, 199, 1000])
def test_a_final_response_needs_a_final_status(h1, status):
    h1.feed(GET)
    with pytest.raises(LocalProtocolError):
        h1.engine.send_headers(1, status, [])


def test_commands_out_of_turn(h1):
    h1.feed(GET)
    with pytest.raises(LocalProtocolError):
        h1.engine.send_data(1, b"x")
    with pytest.raises(LocalProtocolError):
        h1.engine.send_trailers(1, [])
    h1.engine.send_headers(1, 200, [], end=True)
    with pytest.raises(LocalProtocolError):
        h1.engine.send_headers(1, 200, [])
    with pytest.raises(LocalProtocolError):
        h1.engine.send_data(1, b"x")
    with pytest.raises(LocalProtocolError):
        h1.engine.send_informational(1, 103, [])
    with pytest.raises(LocalProtocolError):
        h1.engine.accept_tunnel(1, [])


def test_commands_for_a_stream_that_is_gone_do_nothing(h1):
    h1.feed(GET)
    h1.answer(1)
    engine = h1.engine
    for stream_id in (1, 3):
        engine.send_headers(stream_id, 200, [])
        engine.send_data(stream_id, b"x")
        engine.send_trailers(stream_id, [])
        engine.send_informational(stream_id, 103, [])
        engine.accept_tunnel(stream_id, [])
        engine.abort(stream_id, AbortReason.CANCELLED)
        engine.release(stream_id)
        assert engine.sendable(stream_id) > 1_000_000
    assert h1.flush() == b""
    assert not engine.is_closed()


def test_release_before_the_end_truncates(h1, responses):
    h1.feed(GET)
    h1.engine.send_headers(1, 200, [])
    h1.engine.send_data(1, b"part")
    h1.engine.release(1)
    assert h1.engine.is_closed()
    (response,) = responses(h1.flush(), [b"GET"], close=True)
    assert (response.body, response.complete) == (b"part", False)


@pytest.mark.parametrize("how", ["abort", "release", "terminate"])
def test_a_break_that_looks_like_an_end_is_told(h1, how):
    """RFC 9112 section 8: of a body without a length and without chunks only a reset shows that it is not complete."""
    h1.feed(GET_1_0)
    h1.engine.send_headers(1, 200, [])
    h1.engine.send_data(1, b"so far")
    if how == "release":
        h1.engine.release(1)
    elif how == "abort":
        h1.engine.abort(1, AbortReason.INTERNAL_ERROR)
    else:
        h1.engine.terminate(AbortReason.TIMEOUT)
    assert h1.engine.is_closed()
    assert h1.engine.take_events() == [ResponseBroken(1)]


@pytest.mark.parametrize(("request_head", "fields"), [(GET, []), (GET_1_0, [(b"content-length", b"9")])])
def test_a_break_that_shows_by_itself_is_not_told(h1, request_head, fields):
    h1.feed(request_head)
    h1.engine.send_headers(1, 200, fields)
    h1.engine.send_data(1, b"so far")
    h1.engine.abort(1, AbortReason.INTERNAL_ERROR)
    assert h1.engine.take_events() == []


def test_abort_leaves_chunks_without_an_end(h1, responses):
    h1.feed(GET)
    h1.engine.send_headers(1, 200, [])
    h1.engine.send_data(1, b"part")
    h1.engine.abort(1, AbortReason.INTERNAL_ERROR)
    h1.engine.send_data(1, b"", end=True)
    assert h1.engine.is_closed()
    assert not responses(h1.flush(), [b"GET"], close=True)[0].complete


# ------------------------------------------------------------------------------------------------ interim responses


def test_continue_and_hints(h1, responses):
    h1.feed(EXPECTING)
    h1.engine.send_informational(1, 100, [])
    h1.engine.send_informational(1, 103, [(b"link", b"</s.css>; rel=preload"), (b"content-length", b"1")])
    h1.feed(b"hi")
    h1.answer(1)
    first, second, final = responses(h1.wire, [b"POST"])
    assert (first.status, first.headers) == (100, [])
    assert (second.status, second.headers) == (103, [(b"link", b"</s.css>; rel=preload")])
    assert (final.status, final.body) == (200, b"ok")
    assert not h1.engine.is_closed()


def test_continue_is_sent_only_while_it_is_waited_for(h1):
    h1.feed(EXPECTING)
    assert h1.flush() == b""
    h1.feed(b"h")
    h1.engine.send_informational(1, 100, [])
    assert h1.flush() == b""


def test_no_interim_response_to_http_1_0(h1):
    h1.feed(GET_1_0)
    h1.engine.send_informational(1, 103, [])
    assert h1.flush() == b""


@pytest.mark.parametrize("status", [101, 99, 200])
def test_no_interim_status(h1, status):
    h1.feed(GET)
    with pytest.raises(LocalProtocolError):
        h1.engine.send_informational(1, status, [])


def test_a_final_response_instead_of_100_ends_the_connection(h1):
    h1.feed(EXPECTING)
    h1.engine.send_headers(1, 417, [], end=True)
    h1.engine.release(1)
    assert b"connection: close\r\n" in h1.flush()
    assert h1.engine.is_closed()


# --------------------------------------------------------------------------------------------------- back pressure


def test_sendable_and_writable(new_h1):
    h1 = new_h1(stream_send_buffer=1000)
    h1.feed(GET)
    h1.engine.send_headers(1, 200, [(b"content-length", b"5000")])
    room = h1.engine.sendable(1)
    assert 0 < room < 1000
    h1.flush()
    assert h1.engine.sendable(1) == 1000
    assert h1.engine.take_events() == []
    h1.engine.send_data(1, b"x" * 1000)
    assert h1.engine.sendable(1) == 0
    assert h1.engine.take_events() == []
    h1.flush()
    assert h1.engine.take_events() == [StreamWritable(1)]
    assert h1.engine.take_events() == []


def test_output_of_an_earlier_response_counts(new_h1):
    h1 = new_h1(stream_send_buffer=1000)
    h1.feed(GET + GET)
    h1.engine.send_headers(1, 200, [(b"content-length", b"900")])
    h1.engine.send_data(1, b"x" * 900, end=True)
    h1.engine.release(1)
    h1.engine.take_events()
    assert 0 < h1.engine.sendable(3) < 100
    h1.engine.send_headers(3, 200, [(b"content-length", b"100")])
    h1.engine.send_data(3, b"x" * 99)
    assert h1.engine.sendable(3) <= 0
    h1.flush()
    assert h1.engine.take_events() == [StreamWritable(3)]


def test_no_writable_for_a_stream_that_is_gone(new_h1):
    h1 = new_h1(stream_send_buffer=10)
    h1.feed(GET)
    h1.answer(1, b"x" * 100)
    assert h1.engine.take_events() == []


@given(sizes=st.lists(st.integers(1, 400_000), min_size=1, max_size=12))
def test_output_leaves_in_portions(new_h1, sizes):
    h1 = new_h1()
    h1.feed(GET)
    h1.engine.send_headers(1, 200, [(b"content-length", b"%d" % sum(sizes))])
    body = bytearray()
    for index, size in enumerate(sizes):
        part = bytes([index]) * size
        body += part
        h1.engine.send_data(1, part)
    sent = bytearray()
    while portion := h1.engine.data_to_send(0.0):
        assert all(portion)
        assert sum(map(len, portion)) <= 262_144
        sent += b"".join(portion)
    assert bytes(sent).partition(b"\r\n\r\n")[2] == bytes(body)


def test_push_and_priorities_are_not_of_this_protocol(h1):
    h1.feed(GET)
    assert h1.engine.push(1, b"/s.css", []) is None
    h1.engine.set_priority(1, 0, True)
    assert h1.engine.http_version == "1.1"
    assert h1.flush() == b""
