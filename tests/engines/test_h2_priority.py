"""Priorities over HTTP/2: which of the two schemes a client gets, and what each makes of the order of bytes."""

from __future__ import annotations

import pytest
from h2.settings import SettingCodes

from tricorn_transports.config import Limits
from tricorn_transports.engines.h2 import H2Engine
from tricorn_transports.events import PeerErred, PriorityChanged, RequestStarted
from tricorn_transports.testing import H2Peer, StreamKit, StreamLink
from tricorn_transports.testing.peers import Response

NO_RFC7540_PRIORITIES = 0x9
FIELDS = [(b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"test"), (b":path", b"/")]
FRAME = 16_384


def connect(limits: Limits | None = None, **settings: int) -> StreamLink:
    """A client whose windows hold nothing back; ``no_rfc7540_priorities`` is a setting of its."""
    values: dict[SettingCodes | int, int] = {SettingCodes.INITIAL_WINDOW_SIZE: 1 << 24}
    if settings:
        values[NO_RFC7540_PRIORITIES] = settings["no_rfc7540_priorities"]
    kit = StreamKit("h2", H2Engine, lambda: H2Peer(values, window=1 << 24), limits or Limits())
    link = kit.connect()
    link.pump()
    return link


def ask(
    link: StreamLink,
    stream_id: int,
    *,
    depends_on: int | None = None,
    weight: int | None = None,
    exclusive: bool | None = None,
    field: bytes | None = None,
) -> RequestStarted:
    """A request with priority information of either kind."""
    link.peer.connection.send_headers(  # type: ignore[attr-defined]  # StreamPeer does not say what H2Peer is made of
        stream_id,
        [*FIELDS, *([(b"priority", field)] if field else [])],
        end_stream=True,
        priority_depends_on=depends_on,
        priority_weight=weight,
        priority_exclusive=exclusive,
    )
    link.peer.responses[stream_id] = Response()
    link.pump()
    return link.all(RequestStarted)[-1]


def respond(link: StreamLink, stream_id: int, size: int) -> None:
    link.engine.send_headers(stream_id, 200, [])
    link.engine.send_data(stream_id, bytes(size), end=True)


def bytes_out(link: StreamLink) -> list[tuple[int, int]]:
    """Stream and bytes of all DATA frames that wait, in their order."""
    data = b""
    while part := b"".join(link.engine.data_to_send(link.now)):
        data += part
    found = []
    while data:
        size = int.from_bytes(data[:3], "big")
        if data[3] == 0:
            found.append((int.from_bytes(data[5:9], "big"), size))
        data = data[9 + size :]
    return found


def streams(link: StreamLink) -> list[int]:
    """The streams of the DATA frames, each run of one stream once."""
    order: list[int] = []
    for stream_id, _ in bytes_out(link):
        if order[-1:] != [stream_id]:
            order.append(stream_id)
    return order


def update(stream_id: int, value: bytes, on: int = 0) -> bytes:
    """A PRIORITY_UPDATE frame."""
    return frame(0x10, on, stream_id.to_bytes(4, "big") + value)


def priority(stream_id: int, depends_on: int, weight: int, exclusive: bool = False) -> bytes:
    """A PRIORITY frame."""
    return frame(0x2, stream_id, (depends_on | exclusive << 31).to_bytes(4, "big") + bytes((weight - 1,)))


def frame(kind: int, stream_id: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, 0)) + stream_id.to_bytes(4, "big") + payload


def assert_ended(link: StreamLink, code: int) -> None:
    link.to_peer()
    assert link.engine.is_closed()
    goaway = link.peer.goaway  # type: ignore[attr-defined]  # H2Peer's
    assert goaway is not None
    assert goaway.error_code == code
    assert len(link.all(PeerErred)) == 1


# --------------------------------------------------------------------------------------------------------- RFC 7540


def test_the_tree_by_bytes() -> None:
    link = connect()
    size = 25 * FRAME
    ask(link, 3)
    # 5 is opened before 7 and 9, because numbers only rise, and takes its place when they have theirs.
    ask(link, 5)
    ask(link, 7, depends_on=3, weight=40, exclusive=False)
    ask(link, 9, depends_on=3, weight=10, exclusive=False)
    link.feed(priority(5, 3, 200, exclusive=True))
    for stream_id in (9, 7, 5, 3):
        respond(link, stream_id, size)
    seen = bytes_out(link)
    assert [stream_id for stream_id, _ in seen[:50]] == [3] * 25 + [5] * 25
    had = {7: 0, 9: 0}
    for stream_id, sent in seen[50:]:
        if had[7] < size:
            had[stream_id] += sent
            total = had[7] + had[9]
            assert abs(had[7] - total * 80 // 100) <= FRAME, "they share 80 to 20 all the way"
    assert abs(had[9] - size // 4) <= FRAME
    assert sum(sent for _, sent in seen) == 4 * size


def test_a_client_that_says_nothing_gets_its_responses_one_after_the_other() -> None:
    link = connect()
    for stream_id in (1, 3):
        ask(link, stream_id)
    for stream_id in (3, 1):
        respond(link, stream_id, 3 * FRAME)
    assert streams(link) == [1, 3]


def test_streams_that_began_before_the_tree_are_in_it() -> None:
    link = connect()
    ask(link, 1)
    respond(link, 1, 4 * FRAME)
    ask_without_output(link, 3, weight=16)
    respond(link, 3, 4 * FRAME)
    assert len(streams(link)) > 2, "equal siblings take turns"


def ask_without_output(link: StreamLink, stream_id: int, weight: int) -> None:
    """A request after which nothing leaves, so that what waits goes on waiting."""
    connection = link.peer.connection  # type: ignore[attr-defined]  # H2Peer's
    connection.send_headers(stream_id, FIELDS, end_stream=True, priority_weight=weight)
    link.feed(connection.data_to_send())


@pytest.mark.parametrize("word", ["setting", "field", "update"])
def test_who_speaks_rfc_9218_gets_it_whatever_else_it_says(word: str) -> None:
    link = connect(no_rfc7540_priorities=1) if word == "setting" else connect()
    ask(link, 1, weight=1)
    ask(link, 3, weight=256, field=b"u=4" if word == "field" else None)
    if word == "update":
        link.feed(update(3, b"u=4"))
    for stream_id in (3, 1):
        respond(link, stream_id, 4 * FRAME)
    assert streams(link) == [1, 3], "by the tree they would share"


def test_a_setting_of_nought_says_nothing() -> None:
    link = connect(no_rfc7540_priorities=0)
    ask(link, 1, weight=1)
    assert link.engine._priorities.tree is not None  # type: ignore[attr-defined]  # the engine's own


def test_any_other_value_of_the_setting_is_an_error() -> None:
    link = connect()
    link.feed(frame(0x4, 0, NO_RFC7540_PRIORITIES.to_bytes(2, "big") + (2).to_bytes(4, "big")))
    assert_ended(link, 0x1)


def test_an_application_goes_above_the_tree() -> None:
    link = connect()
    for stream_id, parent in ((1, 0), (3, 1), (5, 0)):
        ask(link, stream_id, depends_on=parent, weight=200)
    link.engine.set_priority(3, 0, False)
    link.engine.set_priority(1, 7, False)
    for stream_id in (1, 3, 5):
        respond(link, stream_id, 3 * FRAME)
    assert streams(link) == [3, 5, 1]


def test_a_promised_response_depends_on_the_one_that_it_is_for() -> None:
    link = connect()
    ask(link, 1, weight=16)
    promised = link.engine.push(1, b"/a.css", [])
    assert promised is not None
    respond(link, promised.stream_id, 3 * FRAME)
    respond(link, 1, 3 * FRAME)
    assert streams(link) == [1, promised.stream_id]


def test_what_the_tree_remembers_is_bounded() -> None:
    link = connect(Limits(max_concurrent_streams=10, max_control_frames=100_000))
    for number in range(1, 20_000, 2):
        link.feed(priority(number, max(0, number - 2), 16))
    tree = link.engine._priorities.tree  # type: ignore[attr-defined]  # the engine's own
    assert len(tree) == 10
    assert not link.engine.is_closed()


def test_nothing_stays_of_responses_that_are_over() -> None:
    link = connect(Limits(max_concurrent_streams=10))
    for stream_id in range(1, 201, 2):
        ask(link, stream_id, depends_on=max(0, stream_id - 2), weight=16, exclusive=True)
        link.answer(stream_id)
    tree = link.engine._priorities.tree  # type: ignore[attr-defined]  # the engine's own
    assert len(tree) == 10


# --------------------------------------------------------------------------------------------------------- RFC 9218


def test_an_update_changes_what_has_begun() -> None:
    link = connect()
    for stream_id in (1, 3):
        ask(link, stream_id)
    for stream_id in (1, 3):
        respond(link, stream_id, 3 * FRAME)
    link.feed(update(3, b"u=1"))
    assert link.all(PriorityChanged) == [PriorityChanged(3, 1, False)]
    assert streams(link) == [3, 1]


def test_an_update_that_says_nothing_means_the_defaults() -> None:
    link = connect()
    ask(link, 1, field=b"u=6, i")
    link.feed(update(1, b""))
    assert link.all(PriorityChanged) == [PriorityChanged(1, 3, False)]


def test_an_update_may_come_before_its_request_and_counts_for_more() -> None:
    link = connect()
    link.feed(update(3, b"u=7") + update(1, b"u=1") + update(3, b"u=0, i"))
    assert ask(link, 1).priority == (1, False)
    assert ask(link, 3, field=b"u=7").priority == (0, True)
    assert ask(link, 5, field=b"u=7").priority == (7, False)
    assert not link.engine._priorities._early  # type: ignore[attr-defined]  # the engine's own


def test_an_update_of_a_stream_that_was_passed_over_is_forgotten() -> None:
    link = connect()
    link.feed(update(1, b"u=1"))
    ask(link, 3)
    link.feed(update(1, b"u=1"))
    assert not link.engine._priorities._early  # type: ignore[attr-defined]  # the engine's own


def test_no_more_is_kept_than_streams_may_be_opened() -> None:
    link = connect(Limits(max_concurrent_streams=3))
    ask(link, 1)
    link.feed(update(3, b"u=1") + update(5, b"u=1") + update(3, b"u=2"))
    assert not link.engine.is_closed()
    link.feed(update(7, b"u=1"))
    assert_ended(link, 0x1)


@pytest.mark.parametrize(
    ("wrong", "code"),
    [(update(1, b"u=1", on=1), 0x1), (update(0, b"u=1"), 0x1), (frame(0x10, 0, b"\0\0\1"), 0x6)],
    ids=["on a stream", "for no stream", "too short"],
)
def test_an_update_for_the_wrong_stream_is_an_error(wrong: bytes, code: int) -> None:
    link = connect()
    ask(link, 1)
    link.feed(wrong)
    assert_ended(link, code)


def test_what_the_application_has_said_stays() -> None:
    link = connect()
    ask(link, 1)
    ask(link, 3)
    link.engine.set_priority(3, 0, False)
    link.feed(update(3, b"u=7"))
    for stream_id in (1, 3):
        respond(link, stream_id, 3 * FRAME)
    assert streams(link) == [3, 1]
    assert not link.all(PriorityChanged)


def test_lines_of_the_field_are_one_field() -> None:
    link = connect()
    number = link.peer.request(b"GET", b"/", [(b"priority", b"u=2"), (b"priority", b"i")])
    link.pump()
    (started,) = link.all(RequestStarted)
    assert (started.stream_id, started.priority) == (number, (2, True))


@pytest.mark.parametrize("flood", [priority(1, 0, 16), priority(301, 0, 16), update(1, b"u=1"), update(301, b"u=1")])
def test_floods_end_the_connection(flood: bytes) -> None:
    link = connect(Limits(max_control_frames=100))
    ask(link, 1)
    link.feed(flood * 150)
    link.to_peer()
    assert link.engine.is_closed()
    assert link.all(PeerErred)[-1].error.limit == "max_control_frames"
