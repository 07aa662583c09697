"""Any frames, whole and broken, and any application, on the server's end of a WebSocket."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from tricorn_transports.errors import LocalProtocolError
from tricorn_transports.testing.programs import MAX_MESSAGE, feed, run_frames
from tricorn_transports.websocket.frames import CloseReceived, FrameError, Frames, MessageReceived
from tricorn_transports.websocket.handshake import Deflate

SETTINGS = settings(deadline=None, max_examples=150, stateful_step_count=30, suppress_health_check=list(HealthCheck))
OPCODES = st.sampled_from([0, 0, 1, 1, 2, 8, 9, 10, 3, 11])
PAYLOADS = st.one_of(st.binary(max_size=140), st.text(max_size=50).map(str.encode), st.sampled_from([bytes(30_000)]))


def client_frame(opcode: int, payload: bytes, fin: bool, rsv: int) -> bytes:
    size = len(payload)
    head = bytes([fin << 7 | rsv << 4 | opcode, 0x80 | (size if size < 126 else 126)])
    return head + (size.to_bytes(2, "big") if size > 125 else b"") + bytes(4) + payload


class Socket(RuleBasedStateMachine):
    """What was sent is followed here too, so that messages are compared, as long as the client breaks no rule."""

    def __init__(self) -> None:
        super().__init__()
        self.frames = Frames(Deflate(), max_message_bytes=MAX_MESSAGE)
        self.over = False
        self.expected: list[str | bytes] = []
        self.parts: list[bytes] = []
        self.kind = 0

    def _feed(self, data: bytes, chunk: int) -> list[Any]:
        events: list[Any] = []
        for start in range(0, len(data), chunk):
            for event in self.frames.receive(data[start : start + chunk]):
                assert not self.over, f"{event} behind the end"
                self.over = isinstance(event, CloseReceived | FrameError)
                events.append(event)
        assert self.frames.held <= MAX_MESSAGE
        return events

    @rule(
        text=st.text(max_size=60), cuts=st.lists(st.integers(0, 200), max_size=3), chunk=st.sampled_from([1, 7, 9999])
    )
    def right_message(self, text: str, cuts: list[int], chunk: int) -> None:
        if self.over or self.parts:
            return
        data = text.encode()
        edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
        pieces = [data[start:end] for start, end in pairwise(edges)]
        wire = b"".join(
            client_frame(0 if index else 1, piece, index == len(pieces) - 1, 0) + client_frame(9, b"p", True, 0)
            for index, piece in enumerate(pieces)
        )
        assert self._feed(wire, chunk) == [MessageReceived(text)]

    @rule(opcode=OPCODES, payload=PAYLOADS, fin=st.booleans(), rsv=st.sampled_from([0, 0, 0, 4, 1]))
    def any_frame(self, opcode: int, payload: bytes, fin: bool, rsv: int) -> None:
        self._feed(client_frame(opcode, payload, fin, rsv), 9999)
        if not fin or opcode == 0 or rsv:
            self.parts.append(payload)  # nobody follows any more

    @rule(data=st.binary(max_size=20))
    def anything(self, data: bytes) -> None:
        self.parts.append(data)
        self._feed(data, 3)

    @rule(what=st.integers(0, 3), how=st.integers(0, 5000))
    def act(self, what: int, how: int) -> None:
        try:
            if what == 0:
                self.frames.send("ö" * how)
            elif what == 1:
                self.frames.send(bytes(how))
            elif what == 2:
                self.frames.ping(bytes(how % 130))
            else:
                self.frames.close(how)
        except LocalProtocolError:
            return

    @rule()
    def flush(self) -> None:
        self.frames.data_to_send()


def test_any_conversation() -> None:
    run_state_machine_as_test(Socket, settings=SETTINGS)


@settings(deadline=None, max_examples=200)
@given(terms=st.integers(0, 3), data=st.binary(max_size=300))
def test_any_bytes(terms: int, data: bytes) -> None:
    run_frames(bytes([terms]) + feed(data))


def test_every_seed(seeds_of: Any) -> None:
    programs = list(seeds_of("websocket"))
    assert len(programs) > 20
    for program in programs:
        run_frames(program)


def test_a_fault_is_found(seeds_of: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def goes_on(self: Any) -> None:
        self._pieces = []

    monkeypatch.setattr(Frames, "_end", goes_on)
    monkeypatch.setattr(Frames, "close", lambda self, code=1000, reason="": self._out.append(b"\x88\x00"))
    with pytest.raises(AssertionError):
        for program in seeds_of("websocket"):
            run_frames(program + bytes([2, 3, 3]) * 2)
