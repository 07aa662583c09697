"""The table of send states holds what ASGI says, and nothing else."""

from __future__ import annotations

from tricorn_transports.exchange.states import ALLOWED, SendState, describe

HEAD = "http.response.start"


def test_every_state_has_its_row():
    assert set(ALLOWED) == set(SendState)


def test_the_head_comes_once():
    assert [state for state in SendState if HEAD in ALLOWED[state]] == [SendState.START]


def test_hints_and_pushes_come_while_the_response_is_open():
    for kind in ("early_hint", "push"):
        allowed = [state for state in SendState if f"http.response.{kind}" in ALLOWED[state]]
        assert allowed == [SendState.START, SendState.BODY]


def test_bodies_and_files_come_in_one_state():
    for kind in ("body", "pathsend", "zerocopysend"):
        assert [state for state in SendState if f"http.response.{kind}" in ALLOWED[state]] == [SendState.BODY]


def test_nothing_comes_after_the_end():
    assert not ALLOWED[SendState.DONE]
    assert not ALLOWED[SendState.ABORTED]


def test_an_error_says_what_was_wanted():
    assert describe(SendState.TRAILERS) == "http.response.trailers"
    assert describe(SendState.START).split(" or ")[-1] == HEAD
    assert describe(SendState.DONE) == "nothing more"
