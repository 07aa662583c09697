"""What holds of a connection, for every engine: its limits, its deadlines, its end, and bytes of any kind.

Rules of this module: as in ``message_rules``.
"""

from __future__ import annotations

from random import Random
from unittest import SkipTest

from tricorn_transports.abc import Feature
from tricorn_transports.errors import LimitExceeded
from tricorn_transports.events import AbortReason, BodyReceived, Event, PeerErred, RequestStarted, StreamAborted
from tricorn_transports.testing.harness import Kit, StreamLink
from tricorn_transports.testing.message_rules import need


def stream_link(kit: Kit) -> StreamLink:
    """A connection of bytes; skips the rule for one of datagrams."""
    link = kit.connect()
    if not isinstance(link, StreamLink):
        raise SkipTest(f"{kit.name} has no byte stream")
    return link


def connection_persists(kit: Kit) -> None:
    """Request follows request, with stream numbers that grow."""
    link = kit.connect()
    numbers = []
    for index in range(5):
        started, response = link.ask(target=b"/%d" % index)
        numbers.append(started.stream_id)
        link.answer(started.stream_id, b"%d" % index)
        assert bytes(response.body) == b"%d" % index
    assert numbers == sorted(set(numbers))
    assert not link.engine.is_closed()


def unread_body_blocks_nobody(kit: Kit) -> None:
    """An answer to a request whose body nobody reads leaves a connection that works, or one that is closed."""
    link = kit.connect()
    for _ in range(6):
        number = link.peer.request(b"POST", b"/", length=60_000, end=False)
        link.peer.send(number, b"x" * 50_000)
        link.pump()
        link.answer(link.all(RequestStarted)[-1].stream_id)
        assert link.peer.responses[number].status == 200
        if link.engine.is_closed() or not link.has(Feature.MULTIPLEX):
            return
    assert len(link.all(RequestStarted)) == 6


def input_may_come_in_any_pieces(kit: Kit) -> None:
    """A byte at a time tells the same as all at once."""
    told = []
    for chunk in (1, 7, 1 << 20):
        link = stream_link(kit)
        link.chunk = chunk
        number = link.peer.request(b"POST", b"/path", [(b"x-name", b"value")], end=False)
        link.peer.send(number, b"some body" * 9)
        link.peer.send(number, b"more", end=True, trailers=[(b"x-sum", b"1")])
        link.pump()
        bodiless: list[Event] = [event for event in link.events if not isinstance(event, BodyReceived)]
        told.append((bodiless, link.body(1)))
        link.answer(1)
        assert link.peer.responses[number].ended
    assert told[0] == told[1] == told[2]


def head_has_limits(kit: Kit) -> None:
    """Too large a head or too many fields are 431, too long a target is 414, told once, and start no request."""
    limits = kit.connect().limits
    cases: tuple[tuple[int, str, bytes, list[tuple[bytes, bytes]]], ...] = (
        (431, "max_head_bytes", b"/", [(b"x-long", b"a" * limits.max_head_bytes)]),
        (431, "max_fields", b"/", [(b"x-%d" % index, b"") for index in range(limits.max_fields + 1)]),
        (414, "max_target_bytes", b"/" + b"a" * limits.max_target_bytes, []),
    )
    for status, limit, target, fields in cases:
        link = kit.connect()
        number = link.peer.request(b"GET", target, fields)
        link.pump()
        assert link.peer.responses[number].status == status, limit
        assert not link.all(RequestStarted), limit
        (erred,) = link.all(PeerErred)
        assert isinstance(erred.error, LimitExceeded)
        assert erred.error.limit == limit


def output_comes_in_measure(kit: Kit) -> None:
    """A long response does not leave in one piece, and arrives whole."""
    link = kit.connect()
    started, response = link.ask()
    body = b"0123456789abcdef" * 131_072
    link.engine.send_headers(started.stream_id, 200, [(b"content-length", b"%d" % len(body))])
    link.engine.send_data(started.stream_id, body, end=True)
    link.engine.release(started.stream_id)
    link.pump()
    assert bytes(response.body) == body
    assert link.largest <= 262_144 + 65_536


def stalled_response_holds_nobody(kit: Kit) -> None:
    """While one client's stream takes nothing, another on the connection is served whole."""
    link = kit.connect()
    slow, slow_response = link.ask(target=b"/slow")
    need(link, Feature.MULTIPLEX)
    slow_number = min(link.peer.responses)
    link.peer.pause(slow_number)
    link.engine.send_headers(slow.stream_id, 200, [])
    link.engine.send_data(slow.stream_id, b"s" * 40_000)
    link.pump()
    received = len(slow_response.body)
    quick, quick_response = link.ask(target=b"/quick")
    link.answer(quick.stream_id, b"q" * 20_000)
    assert quick_response.ended
    assert len(slow_response.body) == received
    link.peer.resume(slow_number)
    link.engine.send_data(slow.stream_id, b"s" * 200_000, end=True)
    link.pump()
    assert len(slow_response.body) == 240_000


def responses_may_overtake(kit: Kit) -> None:
    """Requests that run at once are answered in any order."""
    link = kit.connect()
    first, first_response = link.ask(target=b"/1")
    need(link, Feature.MULTIPLEX)
    second, second_response = link.ask(target=b"/2")
    link.answer(second.stream_id, b"2")
    assert bytes(second_response.body) == b"2"
    link.answer(first.stream_id, b"1")
    assert bytes(first_response.body) == b"1"


def shutdown_lets_requests_finish(kit: Kit) -> None:
    """After ``begin_shutdown`` the running request is answered whole, and then the connection closes by itself."""
    link = kit.connect()
    started, response = link.ask()
    link.engine.begin_shutdown()
    link.pump()
    assert not link.engine.is_closed()
    link.answer(started.stream_id, b"last words")
    link.pass_time(link.timeouts.close_timeout + 1)
    assert (bytes(response.body), response.ended) == (b"last words", True)
    assert link.engine.is_closed()


def shutdown_of_an_idle_connection(kit: Kit) -> None:
    """An idle connection closes on ``begin_shutdown``, without an error."""
    link = kit.connect()
    started, _ = link.ask()
    link.answer(started.stream_id)
    link.engine.begin_shutdown()
    link.pump()
    link.pass_time(link.timeouts.close_timeout + 1)
    assert link.engine.is_closed()
    assert not link.all(StreamAborted)


def terminate_ends_all(kit: Kit) -> None:
    """``terminate`` closes at once, and the client sees it."""
    link = kit.connect()
    _, response = link.ask()
    link.engine.terminate(AbortReason.INTERNAL_ERROR)
    link.pump()
    assert link.engine.is_closed()
    link.pass_time(link.timeouts.close_timeout)
    assert response.aborted
    if isinstance(link, StreamLink):
        assert link.engine.deadline() is None
        assert link.engine.receive_data(b"GET / HTTP/1.1\r\n\r\n", link.now) == []


def half_close_leaves_answers(kit: Kit) -> None:
    """A client that closes its side gets the answer to what it asked; half a request is aborted."""
    link = stream_link(kit)
    started, response = link.ask()
    link.events += link.engine.receive_eof(link.now)
    assert not link.all(StreamAborted)
    link.answer(started.stream_id)
    assert bytes(response.body) == b"hello"
    assert link.engine.is_closed()

    link = stream_link(kit)
    number = link.peer.request(b"POST", b"/", length=10, end=False)
    link.peer.send(number, b"half")
    link.pump()
    link.events += link.engine.receive_eof(link.now)
    (aborted,) = link.all(StreamAborted)
    assert aborted.reason is AbortReason.DISCONNECTED


def silence_has_an_end(kit: Kit) -> None:
    """A connection on which nothing comes closes in ``header_timeout``; an idle one in ``keep_alive_timeout``."""
    link = kit.connect()
    assert not link.engine.is_closed()
    link.pass_time(max(link.timeouts.header_timeout, link.timeouts.keep_alive_timeout) + 1)
    assert link.engine.is_closed()

    link = kit.connect()
    started, _ = link.ask()
    link.pass_time(10 * link.timeouts.keep_alive_timeout)
    assert not link.engine.is_closed(), "a running request is not idle"
    link.answer(started.stream_id)
    link.pass_time(link.timeouts.keep_alive_timeout - 1)
    assert not link.engine.is_closed()
    link.pass_time(2)
    assert link.engine.is_closed()


def push_is_answered(kit: Kit) -> None:
    """A promised request is told to the client before the parent's bytes, and answered like any other."""
    link = kit.connect()
    started, response = link.ask()
    need(link, Feature.PUSH)
    link.engine.send_headers(started.stream_id, 200, [])
    link.engine.send_data(started.stream_id, b"page")
    promised = link.engine.push(started.stream_id, b"/style.css", [(b"accept", b"text/css")])
    assert promised is not None
    assert (promised.method, promised.target, promised.pushed_from) == (b"GET", b"/style.css", started.stream_id)
    assert (promised.scheme, promised.authority) == (started.scheme, started.authority)
    assert promised.stream_id % 2 == 0
    link.answer(promised.stream_id, b"body{}")
    link.engine.send_data(started.stream_id, b"", end=True)
    link.engine.release(started.stream_id)
    link.pump()
    ((number, path),) = response.promised
    assert path == b"/style.css"
    assert bytes(link.peer.responses[number].body) == b"body{}"
    assert bytes(response.body) == b"page"
    assert link.engine.push(started.stream_id, b"/late", []) is None


def any_bytes_are_taken(kit: Kit) -> None:
    """Bytes of any kind, and good ones that were damaged, never raise; one that is closed stays quiet."""
    link = stream_link(kit)
    number = link.peer.request(b"POST", b"/path?query", [(b"x-name", b"value"), (b"cookie", b"a=1")], end=False)
    link.peer.send(number, b"body" * 30, end=True, trailers=[(b"x-sum", b"1")])
    good = link.peer.take()
    for seed in range(300):
        feed_damaged(stream_link(kit), good, Random(seed))


def feed_damaged(link: StreamLink, good: bytes, random: Random) -> None:
    """One conversation whose input is damaged, with every request answered."""
    data = bytearray(good)
    for _ in range(random.randrange(1, 5)):
        at = random.randrange(len(data) + 1)
        match random.randrange(4):
            case 0:
                data[at : at + 1] = random.randbytes(1)
            case 1:
                data[at:at] = random.randbytes(random.randrange(1, 20))
            case 2:
                del data[at : at + random.randrange(1, 20)]
            case 3:
                data[at:at] = data[: random.randrange(60)]
    if random.randrange(10) == 0:
        data = bytearray(random.randbytes(200))
    feed_and_answer(link, bytes(data), random.choice((1, 5, 1 << 16)))


def feed_and_answer(link: StreamLink, data: bytes, chunk: int) -> None:
    """Gives an engine any bytes, answers what it makes of them, then ends the connection."""
    engine = link.engine
    answered: set[int] = set()
    for start in range(0, len(data), chunk):
        events = engine.receive_data(data[start : start + chunk], link.now) if not engine.is_closed() else []
        for event in events:
            if isinstance(event, RequestStarted):
                assert event.stream_id not in answered, "a stream began twice"
                answered.add(event.stream_id)
                engine.send_headers(event.stream_id, 200, [(b"content-length", b"2")])
                engine.send_data(event.stream_id, b"ok", end=True)
            elif isinstance(event, BodyReceived):
                engine.consumed(event.stream_id, event.credit)
        engine.data_to_send(link.now)
        engine.take_events()
    for stream_id in answered:
        engine.release(stream_id)
    if not engine.is_closed():
        engine.receive_eof(link.now)
    engine.data_to_send(link.now)


CONNECTION_RULES = (
    connection_persists,
    unread_body_blocks_nobody,
    input_may_come_in_any_pieces,
    head_has_limits,
    output_comes_in_measure,
    stalled_response_holds_nobody,
    responses_may_overtake,
    shutdown_lets_requests_finish,
    shutdown_of_an_idle_connection,
    terminate_ends_all,
    half_close_leaves_answers,
    silence_has_an_end,
    push_is_answered,
    any_bytes_are_taken,
)
