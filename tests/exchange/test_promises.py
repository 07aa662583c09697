"""The fields of a promised request, and how many promises a connection remembers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from tricorn_transports.events import RequestStarted
from tricorn_transports.exchange.push import MAX_REMEMBERED, promise
from tricorn_transports.http.promise import promised_fields

PARENT = [(b"accept", b"text/html"), (b"cookie", b"a=1"), (b"if-none-match", b'"p"'), (b"user-agent", b"x")]


def test_negotiation_is_repeated_and_nothing_else() -> None:
    assert promised_fields(PARENT, []) == [(b"accept", b"text/html"), (b"user-agent", b"x")]


def test_what_is_given_wins_and_what_is_impossible_is_left_out() -> None:
    given = [(b"accept", b"a/b"), (b"accept", b"c/d"), (b"cookie", b"b=2"), (b"host", b"evil"), (b"te", b"trailers")]
    assert promised_fields(PARENT, given) == [(b"user-agent", b"x"), *given[:3]]


def test_a_connection_has_a_bound_of_promises_and_keeps_it() -> None:
    """An engine that takes every push: what stops at the bound is the memory's own rule."""

    class Engine:
        def __init__(self) -> None:
            self.priorities: dict[int, tuple[int, bool]] = {}

        def push(self, stream_id: int, path: bytes, headers: Any) -> RequestStarted:
            number = 2 * len(self.priorities) + 2
            return RequestStarted(number, b"GET", path, b"https", b"h", headers, "2", pushed_from=stream_id)

        def set_priority(self, stream_id: int, urgency: int, incremental: bool) -> None:
            self.priorities[stream_id] = urgency, incremental

    engine, started = Engine(), []
    host: Any = SimpleNamespace(engine=engine, pushed=set(), start_pushed=started.append)
    parent = RequestStarted(1, b"GET", b"/", b"https", b"h", [], "2", priority=(7, True))
    targets = [b"/%d" % number for number in range(MAX_REMEMBERED + 5)]
    outcomes = [promise(host, parent, target, []) for target in targets]
    assert outcomes == ["promised"] * MAX_REMEMBERED + ["refused"] * 5
    assert promise(host, parent, targets[0], []) == "known"
    assert len(started) == len(host.pushed) == MAX_REMEMBERED
    assert set(engine.priorities.values()) == {(7, False)}, "there is nothing less urgent than 7"
