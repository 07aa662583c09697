"""The pace of a body counts only the time that its application waits."""

from __future__ import annotations

from math import inf

from tricorn_transports.exchange.pace import BodyPace


def test_the_grace_comes_first():
    assert BodyPace(100, 5.0).wait(10.0, 0) == 15.0


def test_what_has_come_buys_time():
    assert BodyPace(100, 5.0).wait(10.0, 250) == 17.5


def test_waiting_costs_and_working_does_not():
    pace = BodyPace(100, 5.0)
    pace.wait(0.0, 0)
    pace.resume(4.0)
    assert pace.wait(100.0, 0) == 101.0
    pace.resume(100.5)
    assert pace.wait(200.0, 100) == 201.5


def test_resuming_twice_costs_once():
    pace = BodyPace(100, 5.0)
    pace.wait(0.0, 0)
    pace.resume(1.0)
    pace.resume(3.0)
    assert pace.wait(3.0, 0) == 7.0


def test_no_rate_is_no_deadline():
    pace = BodyPace(0, 5.0)
    assert pace.wait(0.0, 0) == inf
    pace.resume(1.0)
    assert pace.due == inf
