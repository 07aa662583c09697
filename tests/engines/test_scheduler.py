"""The order of responses (RFC 9218), without any protocol."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tricorn_transports.engines.scheduler import Scheduler


def turns(scheduler: Scheduler, count: int) -> list[int | None]:
    return [scheduler.next() for _ in range(count)]


def ready(*streams: tuple[int, int, bool]) -> Scheduler:
    scheduler = Scheduler()
    for stream_id, urgency, incremental in streams:
        scheduler.add(stream_id, urgency, incremental)
    for stream_id, _, _ in reversed(streams):
        scheduler.ready(stream_id)
    return scheduler


def test_nothing_is_next_of_nothing() -> None:
    scheduler = ready((1, 3, False))
    scheduler.idle(1)
    assert scheduler.next() is None
    assert len(scheduler) == 0


def test_lower_urgency_goes_first() -> None:
    scheduler = ready((1, 7, False), (3, 0, True), (5, 3, False))
    order = []
    while (stream_id := scheduler.next()) is not None:
        order.append(stream_id)
        scheduler.idle(stream_id)
    assert order == [3, 5, 1]


def test_whole_responses_go_in_order_of_arrival() -> None:
    scheduler = ready((1, 3, False), (3, 3, False), (5, 3, False))
    assert turns(scheduler, 3) == [1, 1, 1]
    scheduler.idle(1)
    assert turns(scheduler, 2) == [3, 3]
    scheduler.ready(1)
    assert turns(scheduler, 1) == [1]


def test_incremental_responses_take_turns() -> None:
    scheduler = ready((1, 3, True), (3, 3, True), (5, 3, True))
    first = turns(scheduler, 3)
    assert sorted(first) == [1, 3, 5]
    assert turns(scheduler, 6) == first + first


def test_neither_kind_starves_the_other() -> None:
    scheduler = ready((1, 3, False), (3, 3, True), (5, 3, True))
    assert set(turns(scheduler, 4)) == {1, 3, 5}


def test_a_changed_priority_counts_at_once_and_keeps_the_place() -> None:
    scheduler = ready((1, 3, False), (3, 3, False), (5, 1, False))
    scheduler.prioritize(5, 3, False)
    scheduler.prioritize(3, 0, False)
    assert turns(scheduler, 1) == [3]
    scheduler.prioritize(3, 3, False)
    assert turns(scheduler, 1) == [1]
    scheduler.discard(1)
    assert turns(scheduler, 1) == [3]


def test_unknown_streams_are_passed_over() -> None:
    scheduler = Scheduler()
    scheduler.ready(1)
    scheduler.idle(1)
    scheduler.discard(1)
    scheduler.prioritize(1, 0, True)
    assert scheduler.next() is None


STEPS = st.tuples(st.sampled_from(["add", "ready", "idle", "discard", "move"]), st.integers(0, 5), st.integers(0, 7))


@given(st.lists(st.tuples(STEPS, st.booleans())))
def test_only_a_ready_stream_of_the_lowest_urgency_is_next(steps: list[tuple[tuple[str, int, int], bool]]) -> None:
    scheduler = Scheduler()
    urgencies: dict[int, int] = {}
    can_send: set[int] = set()
    for (step, stream_id, urgency), incremental in steps:
        if step == "add" and stream_id not in urgencies:
            scheduler.add(stream_id, urgency, incremental)
            urgencies[stream_id] = urgency
        elif step == "ready":
            scheduler.ready(stream_id)
            can_send |= {stream_id} & urgencies.keys()
        elif step == "idle":
            scheduler.idle(stream_id)
            can_send.discard(stream_id)
        elif step == "discard":
            scheduler.discard(stream_id)
            can_send.discard(stream_id)
            urgencies.pop(stream_id, None)
        elif step == "move" and stream_id in urgencies:
            scheduler.prioritize(stream_id, urgency, incremental)
            urgencies[stream_id] = urgency
        chosen = scheduler.next()
        assert len(scheduler) == len(can_send)
        if can_send:
            assert chosen in can_send
            assert urgencies[chosen] == min(urgencies[each] for each in can_send)
        else:
            assert chosen is None
