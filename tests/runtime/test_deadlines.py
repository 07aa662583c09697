"""One heap of deadlines and one armed timer, with a clock that the test moves."""

from __future__ import annotations

import pytest

from tricorn_transports.runtime.deadlines import Deadlines


class Clock:
    """The part of a runtime that deadlines use: a time, and at most a few timers."""

    def __init__(self):
        self.time = 0.0
        self.timers = []
        self.armed = 0

    def now(self):
        return self.time

    def call_at(self, when, callback):
        self.armed += 1
        timer = Timer(self, when, callback)
        self.timers.append(timer)
        return timer

    def advance(self, to):
        while True:
            due = min((t for t in self.timers if t.when <= to), key=lambda t: t.when, default=None)
            if due is None:
                break
            self.timers.remove(due)
            self.time = max(self.time, due.when)
            due.callback()
        self.time = to


class Timer:
    def __init__(self, clock, when, callback):
        self.clock, self.when, self.callback = clock, when, callback

    def cancel(self):
        if self in self.clock.timers:
            self.clock.timers.remove(self)


class Target:
    """Wants to be called at ``wants``, and moves that as connections do."""

    def __init__(self, deadlines):
        self.alarm = deadlines.alarm(self)
        self.wants = None
        self.calls = []
        self.failed = False

    def fail(self):
        self.failed = True

    def want(self, when):
        self.wants = when
        self.alarm.set(when)

    def handle_deadline(self, now):
        self.calls.append(now)
        if self.wants is not None and now < self.wants:
            self.alarm.set(self.wants)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def deadlines(clock):
    return Deadlines(clock)


def test_a_target_is_called_at_its_time(clock, deadlines):
    target = Target(deadlines)
    target.want(5)
    clock.advance(4.9)
    assert target.calls == []
    clock.advance(5)
    assert target.calls == [5]
    clock.advance(100)
    assert target.calls == [5]


def test_targets_are_called_in_order(clock, deadlines):
    order = []
    targets = []
    for when in (3, 1, 2):
        target = Target(deadlines)
        target.handle_deadline = lambda now, when=when: order.append(when)
        target.want(when)
        targets.append(target)
    clock.advance(10)
    assert order == [1, 2, 3]


def test_an_earlier_time_moves_the_timer(clock, deadlines):
    first, second = Target(deadlines), Target(deadlines)
    first.want(10)
    second.want(2)
    clock.advance(2)
    assert (first.calls, second.calls) == ([], [2])
    clock.advance(10)
    assert first.calls == [10]


def test_a_time_that_moves_later_makes_no_timer(clock, deadlines):
    target = Target(deadlines)
    target.want(10)
    armed = clock.armed
    for step in range(1000):
        target.want(10 + step / 100)
    assert clock.armed == armed
    clock.advance(50)
    assert target.calls[-1] == pytest.approx(19.99)
    assert len(target.calls) == 2  # once early, which costs nothing, and once when it was due


def test_a_loop_that_calls_a_little_early_is_not_asked_again(clock, deadlines):
    target = Target(deadlines)
    target.want(5.0004)
    timer = clock.timers.pop()
    clock.time = 5.0  # uvloop's clock has milliseconds
    timer.callback()
    assert target.calls == [5.0004]
    assert (clock.timers, clock.armed) == ([], 1)


def test_the_same_target_may_be_set_earlier(clock, deadlines):
    target = Target(deadlines)
    target.want(10)
    target.want(3)
    clock.advance(20)
    assert target.calls == [3]


def test_a_cancelled_target_is_not_called(clock, deadlines):
    target, other = Target(deadlines), Target(deadlines)
    target.want(1)
    other.want(1)
    target.alarm.cancel()
    target.alarm.cancel()
    target.want(2)
    clock.advance(5)
    assert target.calls == []
    assert other.calls == [1]


def test_entries_of_gone_targets_are_swept(clock, deadlines):
    kept = Target(deadlines)
    kept.want(1000)
    for _ in range(5000):
        target = Target(deadlines)
        target.want(500)
        target.alarm.cancel()
    assert len(deadlines._heap) < 1000
    clock.advance(1000)
    assert kept.calls == [1000]


def test_one_timer_is_armed_at_a_time(clock, deadlines):
    for when in (9, 7, 8, 3):
        Target(deadlines).want(when)
    assert [timer.when for timer in clock.timers] == [3]


def test_a_target_may_ask_again_from_within_its_call(clock, deadlines):
    target = Target(deadlines)

    def again(now):
        target.calls.append(now)
        if len(target.calls) < 3:
            target.alarm.set(now + 1)

    target.handle_deadline = again
    target.want(1)
    clock.advance(10)
    assert target.calls == [1, 2, 3]


def test_a_target_that_fails_keeps_no_other_from_its_time(clock, deadlines, caplog):
    bad, good, later = Target(deadlines), Target(deadlines), Target(deadlines)
    bad.handle_deadline = lambda now: 1 / 0
    bad.want(1)
    good.want(1)
    later.want(2)
    clock.advance(5)
    assert (bad.failed, good.failed) == (True, False)
    assert (good.calls, later.calls) == ([1], [2])
    assert "ZeroDivisionError" in caplog.text


def test_a_target_that_another_ends_at_the_same_time_is_not_called(clock, deadlines):
    first, second = Target(deadlines), Target(deadlines)
    first.handle_deadline = lambda now: second.alarm.cancel()
    first.want(1)
    second.want(1)
    clock.advance(5)
    assert second.calls == []


def test_every_entry_of_a_gone_target_counts(clock, deadlines):
    for _ in range(2000):
        target = Target(deadlines)
        target.want(500)
        target.want(400)
        target.want(300)
        target.alarm.cancel()
    assert len(deadlines._heap) < 1000


def test_close_disarms(clock, deadlines):
    target = Target(deadlines)
    target.want(1)
    deadlines.close()
    clock.advance(5)
    assert target.calls == []
