"""What holds of one request and its response, for every engine.

Rules of this module: a function is one rule, its docstring says it, and it fails with ``AssertionError``. It knows
features, not protocols; what a client lacks is skipped (``unittest.SkipTest``, which every test runner knows).
"""

from __future__ import annotations

from collections.abc import Callable
from unittest import SkipTest

from tricorn_transports.abc import Feature
from tricorn_transports.errors import LocalProtocolError
from tricorn_transports.events import (
    AbortReason,
    BodyReceived,
    RequestEnded,
    RequestStarted,
    StreamAborted,
    StreamWritable,
)
from tricorn_transports.testing.harness import Kit, Link


def need(link: Link, feature: Feature) -> None:
    """Skips the rule for a client or an engine without the feature."""
    if not link.has(feature):
        raise SkipTest(f"{link.name} has no {feature.name}")


def request_is_told_whole(kit: Kit) -> None:
    """A head becomes one RequestStarted with all its parts, and a request without a body ends at once."""
    link = kit.connect()
    started, _ = link.ask(b"GET", b"/a%2Fb?q=1", [(b"accept", b"*/*"), (b"x-two", b"1"), (b"x-two", b"2")])
    assert (started.method, started.target, started.scheme, started.authority) == (
        b"GET", b"/a%2Fb?q=1", link.scheme, b"test",
    )  # fmt: skip
    assert [value for name, value in started.headers if name == b"x-two"] == [b"1", b"2"]
    assert all(name == name.lower() and not name.startswith(b":") for name, _ in started.headers)
    assert started.http_version == link.engine.http_version
    assert [type(event) for event in link.events] == [RequestStarted, RequestEnded]


def response_arrives(kit: Kit) -> None:
    """Status, fields in order and body reach the client, and the response ends."""
    link = kit.connect()
    started, response = link.ask()
    link.engine.send_headers(
        started.stream_id, 201, [(b"content-length", b"5"), (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")]
    )
    link.engine.send_data(started.stream_id, b"hello", end=True)
    link.engine.release(started.stream_id)
    link.pump()
    assert response.status == 201
    assert [value for name, value in response.headers if name == b"set-cookie"] == [b"a=1", b"b=2"]
    assert (bytes(response.body), response.ended) == (b"hello", True)


def body_is_told_in_order(kit: Kit) -> None:
    """A body with a length: RequestStarted, BodyReceived, RequestEnded, and every byte once."""
    link = kit.connect()
    body = bytes(range(256)) * 80
    number = link.peer.request(b"POST", b"/", length=len(body), end=False)
    link.peer.send(number, body[:9000])
    link.peer.send(number, body[9000:], end=True)
    link.pump()
    (started,) = link.all(RequestStarted)
    assert started.content_length == len(body)
    assert link.body(started.stream_id) == body
    kinds = [type(event) for event in link.events]
    assert kinds[0] is RequestStarted
    assert set(kinds[1:-1]) == {BodyReceived}
    assert kinds[-1] is RequestEnded
    assert all(event.credit >= len(event.data) > 0 for event in link.all(BodyReceived))


def body_without_length(kit: Kit) -> None:
    """A body that is framed by the protocol alone."""
    link = kit.connect()
    number = link.peer.request(b"POST", b"/", end=False)
    link.peer.send(number, b"one ")
    link.pump()
    (started,) = link.all(RequestStarted)
    assert started.content_length is None
    assert not link.is_over(started.stream_id)
    link.peer.send(number, b"two", end=True)
    link.pump()
    assert link.body(started.stream_id) == b"one two"
    assert link.is_over(started.stream_id)


def request_trailers(kit: Kit) -> None:
    """A trailer section comes with RequestEnded."""
    link = kit.connect()
    number = link.peer.request(b"POST", b"/", end=False)
    link.peer.send(number, b"x", end=True, trailers=[(b"x-sum", b"42")])
    link.pump()
    (ended,) = link.all(RequestEnded)
    assert ended.trailers == [(b"x-sum", b"42")]


def response_trailers(kit: Kit) -> None:
    """Trailers end the response; an empty section only ends it."""
    link = kit.connect()
    started, response = link.ask(headers=[(b"te", b"trailers")])
    need(link, Feature.TRAILERS)
    link.engine.send_headers(started.stream_id, 200, [])
    link.engine.send_data(started.stream_id, b"x" * 40_000)
    link.engine.send_trailers(started.stream_id, [(b"x-sum", b"42")])
    link.engine.release(started.stream_id)
    link.pump()
    assert (len(response.body), response.trailers, response.ended) == (40_000, [(b"x-sum", b"42")], True)


def streamed_response(kit: Kit) -> None:
    """A body without a length, in parts that each arrive when they are sent."""
    link = kit.connect()
    started, response = link.ask()
    link.engine.send_headers(started.stream_id, 200, [])
    for part in (b"one ", b"two ", b"three"):
        link.engine.send_data(started.stream_id, part)
        link.pump()
        assert response.body.endswith(part)
    assert not response.ended
    link.engine.send_data(started.stream_id, b"", end=True)
    link.engine.release(started.stream_id)
    link.pump()
    assert response.ended or link.engine.is_closed()


def no_body_where_http_has_none(kit: Kit) -> None:
    """HEAD, 204 and 304 send none of the body's bytes, and the connection goes on."""
    for method, status in ((b"HEAD", 200), (b"GET", 204), (b"GET", 304)):
        link = kit.connect()
        started, response = link.ask(method)
        fields = [(b"content-length", b"5")] if status != 204 and link.peer.knows_bodyless else []
        link.engine.send_headers(started.stream_id, status, fields)
        link.engine.send_data(started.stream_id, b"hello")
        link.engine.send_data(started.stream_id, b"", end=True)
        link.engine.release(started.stream_id)
        link.pump()
        assert (response.status, bytes(response.body), response.ended) == (status, b"", True), (method, status)
        again, second = link.ask()
        link.answer(again.stream_id)
        assert bytes(second.body) == b"hello", (method, status)


def early_hints(kit: Kit) -> None:
    """A 103, twice, goes before the final response."""
    link = kit.connect()
    started, response = link.ask()
    need(link, Feature.EARLY_HINTS)
    for path in (b"</a.css>", b"</b.css>"):
        link.engine.send_informational(started.stream_id, 103, [(b"link", path)])
        link.pump()
    assert response.informational == [(103, [(b"link", b"</a.css>")]), (103, [(b"link", b"</b.css>")])]
    assert response.status == 0
    link.answer(started.stream_id)
    assert (response.status, response.ended) == (200, True)


def continue_on_demand(kit: Kit) -> None:
    """``expect: 100-continue`` is told; nothing is sent for it before the exchange says so."""
    link = kit.connect()
    number = link.peer.request(b"POST", b"/", [(b"expect", b"100-continue")], length=4, end=False)
    link.pump()
    (started,) = link.all(RequestStarted)
    response = link.peer.responses[number]
    assert started.expects_continue
    assert (response.status, response.informational) == (0, [])
    link.engine.send_informational(started.stream_id, 100, [])
    link.pump()
    assert [status for status, _ in response.informational] == [100]
    link.peer.send(number, b"body", end=True)
    link.pump()
    assert link.body(started.stream_id) == b"body"


def sending_waits(kit: Kit) -> None:
    """``sendable`` falls to nought within its bound, and StreamWritable comes once there is room again."""
    link = kit.connect()
    started, response = link.ask()
    engine, stream_id = link.engine, started.stream_id
    engine.send_headers(stream_id, 200, [])
    sent = b""
    for number in range(1000):
        if engine.sendable(stream_id) <= 0:
            break
        part = b"%04d" % number * 1024
        sent += part
        engine.send_data(stream_id, part)
    assert 0 < len(sent) <= link.limits.stream_send_buffer + 4096
    assert not link.all(StreamWritable)
    link.pump()
    assert [event.stream_id for event in link.all(StreamWritable)] == [stream_id]
    assert engine.sendable(stream_id) > 0
    engine.send_data(stream_id, b"", end=True)
    engine.release(stream_id)
    link.pump()
    assert bytes(response.body) == sent


def receiving_waits(kit: Kit) -> None:
    """What nobody reads stops the client within the bounds; reading lets all of it through."""
    link = kit.connect()
    limits = link.limits
    body = bytes(range(256)) * 4096
    number = link.peer.request(b"POST", b"/", length=len(body), end=False)
    link.peer.send(number, body, end=True)
    consumed = 0
    for _ in range(1000):
        link.pump()
        (started,) = link.all(RequestStarted)
        unread = sum(event.credit for event in link.all(BodyReceived)) - consumed
        assert unread <= max(limits.stream_receive_buffer, 65_536) + 65_536
        if not unread:
            break
        credit = min(unread, 32_768)
        link.engine.consumed(started.stream_id, credit)
        consumed += credit
    assert link.body(started.stream_id) == body
    assert link.is_over(started.stream_id)


def tunnel(kit: Kit) -> None:
    """After ``accept_tunnel`` bytes go both ways, until the exchange ends it."""
    link = kit.connect()
    link.pump()
    number = link.peer.request(b"GET", b"/chat", protocol=b"websocket")
    link.pump()
    need(link, Feature.TUNNEL)
    (started,) = link.all(RequestStarted)
    assert (started.protocol, started.target) == (b"websocket", b"/chat")
    link.engine.accept_tunnel(started.stream_id, [])
    link.pump()
    link.peer.send(number, b"ping")
    link.pump()
    assert link.body(started.stream_id) == b"ping"
    link.engine.send_data(started.stream_id, b"pong")
    link.pump()
    assert bytes(link.peer.responses[number].body) == b"pong"
    link.engine.send_data(started.stream_id, b"bye", end=True)
    link.engine.release(started.stream_id)
    link.pump()
    assert bytes(link.peer.responses[number].body) == b"pongbye"
    assert link.peer.responses[number].ended


def abort_is_seen(kit: Kit) -> None:
    """``abort`` leaves the client with a response that is visibly not whole."""
    link = kit.connect()
    started, response = link.ask()
    link.engine.send_headers(started.stream_id, 200, [])
    link.engine.send_data(started.stream_id, b"half")
    link.pump()
    link.engine.abort(started.stream_id, AbortReason.INTERNAL_ERROR)
    link.pump()
    assert (response.aborted, response.ended) == (True, False)
    assert not link.all(StreamAborted), "the side that aborts is not told of it"


def gone_streams_take_commands(kit: Kit) -> None:
    """Commands for a stream that is gone do nothing, and nobody waits for it."""
    link = kit.connect()
    started, _ = link.ask()
    engine, stream_id = link.engine, started.stream_id
    engine.abort(stream_id, AbortReason.CANCELLED)
    link.pump()
    engine.send_informational(stream_id, 103, [])
    engine.send_headers(stream_id, 200, [])
    engine.send_data(stream_id, b"x")
    engine.send_trailers(stream_id, [])
    engine.set_priority(stream_id, 0, True)
    engine.consumed(stream_id, 1)
    engine.abort(stream_id, AbortReason.CANCELLED)
    engine.release(stream_id)
    assert engine.push(stream_id, b"/x", []) is None
    assert engine.sendable(stream_id) > 1 << 20
    link.pump()


def misuse_is_refused(kit: Kit) -> None:
    """A body before its response, a second response and a body after its end are the caller's errors."""
    link = kit.connect()
    started, _ = link.ask()
    engine, stream_id = link.engine, started.stream_id
    expect_local_error(lambda: engine.send_data(stream_id, b"x"))
    engine.send_headers(stream_id, 200, [(b"content-length", b"1")])
    expect_local_error(lambda: engine.send_headers(stream_id, 200, []))
    engine.send_data(stream_id, b"x", end=True)
    expect_local_error(lambda: engine.send_data(stream_id, b"y"))


def expect_local_error(command: Callable[[], object]) -> None:
    """Fails unless the command raises ``LocalProtocolError``."""
    try:
        command()
    except LocalProtocolError:
        return
    raise AssertionError("a command that breaks the protocol was taken")


MESSAGE_RULES = (
    request_is_told_whole,
    response_arrives,
    body_is_told_in_order,
    body_without_length,
    request_trailers,
    response_trailers,
    streamed_response,
    no_body_where_http_has_none,
    early_hints,
    continue_on_demand,
    sending_waits,
    receiving_waits,
    tunnel,
    abort_is_seen,
    gone_streams_take_commands,
    misuse_is_refused,
)
