"""State machines over the engines of byte streams: peers that are right, then wrong, and any application.

``tricorn_transports.testing.monitor`` says what must hold. ``make fuzz`` runs the same for longer.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from tricorn_transports.errors import ConfigError
from tricorn_transports.events import RequestEnded, RequestStarted, StreamAborted
from tricorn_transports.registry import transports
from tricorn_transports.testing import H1Peer, H2Peer, StreamKit
from tricorn_transports.testing.monitor import Monitor
from tricorn_transports.testing.programs import run_stream_engine

SETTINGS = settings(
    deadline=None, max_examples=120, stateful_step_count=40, suppress_health_check=list(HealthCheck), print_blob=True
)
PEERS: dict[str, Any] = {"h1": H1Peer, "h2": H2Peer}
KITS = [
    StreamKit(f"{spec.name}={engine}", spec.create(engine), PEERS[spec.name])
    for spec in transports().values()
    if spec.name in PEERS
    for engine in spec.engines
]
SECONDS = st.sampled_from([0.001, 1.0, 6.0, 20.0, 100.0])
FIELDS = st.sampled_from([[], [(b"expect", b"100-continue")], [(b"priority", b"u=0, i")], [(b"cookie", b"a=1")] * 3])


def machine_of(kit: StreamKit) -> type[RuleBasedStateMachine]:
    class Conversation(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            link = kit.connect()
            self.engine = link.engine
            self.monitor = Monitor(link.engine, link.limits, link.now)
            self.peer = kit.peer()
            self.asked = 0
            self.unended: dict[int, int | None] = {}  # number and declared length
            self.sent = bytearray()
            self.ended = False

        def _say(self) -> None:
            self.sent += self.peer.take()

        @rule(
            method=st.sampled_from([b"GET", b"HEAD", b"POST", b"OPTIONS"]),
            path=st.sampled_from([b"/", b"/a%20b?c=d", b"/" + b"x" * 3000]),
            fields=FIELDS,
            length=st.sampled_from([None, 0, 5, 70_000]),
            end=st.booleans(),
            protocol=st.sampled_from([None, None, b"websocket"]),
        )
        def ask(
            self, method: bytes, path: bytes, fields: Any, length: int | None, end: bool, protocol: bytes | None
        ) -> None:
            if isinstance(self.peer, H1Peer):
                self.peer = H1Peer()  # it would wait for the answer
                self.unended.clear()
            if self.asked < 50:
                self.asked += 1
                number = self.peer.request(
                    method, path, fields, length=None if end else length, end=end, protocol=protocol
                )
                if not end and not (protocol and isinstance(self.peer, H1Peer)):
                    self.unended[number] = length
                self._say()

        @precondition(lambda self: self.unended)
        @rule(data=st.sampled_from([b"", b"hello", bytes(70_000)]), which=st.integers(0, 50), end=st.booleans())
        def send_body(self, data: bytes, which: int, end: bool) -> None:
            number = list(self.unended)[which % len(self.unended)]
            length = self.unended[number]
            if isinstance(self.peer, H1Peer) and length is not None:  # h11 holds its own side to it
                data, end = bytes(length), True
            self.peer.send(number, data, end=end)
            if end:
                del self.unended[number]
            self._say()

        @rule(data=st.binary(max_size=40))
        def send_anything(self, data: bytes) -> None:
            self.sent += data

        @precondition(lambda self: self.sent)
        @rule(at=st.integers(0, 1 << 16), data=st.binary(max_size=3), gone=st.integers(0, 5))
        def damage(self, at: int, data: bytes, gone: int) -> None:
            at %= len(self.sent)
            self.sent[at : at + gone] = data

        @precondition(lambda self: self.sent)
        @rule(size=st.sampled_from([1, 9, 100, 65_536]))
        def deliver(self, size: int) -> None:
            if self.ended or self.monitor.feed(self.engine, bytes(self.sent[:size])):
                del self.sent[:size]

        @rule(what=st.integers(0, 255), which=st.integers(0, 255), how=st.integers(0, 255))
        def act(self, what: int, which: int, how: int) -> None:
            self.monitor.act(what, which, how)

        @rule()
        def answer(self) -> None:
            self.monitor.act(13, len(self.monitor.streams) - 1, 0)

        @rule()
        def flush(self) -> None:
            self.monitor.flush()

        @rule(seconds=SECONDS)
        def wait(self, seconds: float) -> None:
            self.monitor.wait(seconds, self.monitor.flush)

        @precondition(lambda self: not self.ended and not self.engine.is_closed())
        @rule()
        def end(self) -> None:
            self.ended = True
            self.monitor.heard(self.engine.receive_eof(self.monitor.now))

        def teardown(self) -> None:
            self.monitor.flush()
            self.monitor.wait(10_000.0, self.monitor.flush)

    return Conversation


@pytest.mark.parametrize("kit", KITS, ids=lambda kit: kit.name)
def test_any_conversation(kit: StreamKit) -> None:
    run_state_machine_as_test(machine_of(kit), settings=SETTINGS)


@pytest.mark.parametrize("kit", KITS, ids=lambda kit: kit.name)
def test_every_seed(kit: StreamKit, seeds_of: Any) -> None:
    programs = list(seeds_of(kit.name.partition("=")[0]))
    assert len(programs) > 10
    started = sum(len(run_stream_engine(kit, program).streams) for program in programs)
    assert started > len(programs) // 2, "most seeds bring requests"


# ---------------------------------------------------------------------------------------------- the monitor itself


def without(kind: type) -> Any:
    return lambda self, data, now: [event for event in H1.receive_data(self, data, now) if not isinstance(event, kind)]


def repeated(kind: type) -> Any:
    def receive_data(self: Any, data: bytes, now: float) -> list[Any]:
        found = H1.receive_data(self, data, now)
        return found + [event for event in found if isinstance(event, kind)]

    return receive_data


def fail(*_: object) -> None:
    raise ConfigError("not what a peer may bring about")


H1: Any = transports()["h1"].create()
FAULTS: dict[str, tuple[str, Any]] = {
    "a request that begins twice": ("receive_data", repeated(RequestStarted)),
    "a request that ends twice": ("receive_data", repeated(RequestEnded)),
    "an end without a beginning": ("receive_data", without(RequestStarted)),
    "an exception of another kind": ("send_headers", fail),
    "a closed engine that comes back": ("is_closed", lambda self: not H1.is_closed(self)),
    "output without end": ("data_to_send", lambda self, now: [b"x"]),
    "an empty part of output": ("data_to_send", lambda self, now: [b""]),
    "a deadline that is never over": ("handle_deadline", lambda self, now: []),
    "events behind an abort": (
        "receive_data",
        lambda self, data, now: [
            event
            for found in H1.receive_data(self, data, now)
            for event in ([found, StreamAborted(1, None)] if isinstance(found, RequestStarted) else [found])  # type: ignore[arg-type]
        ],
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_monitor_finds_a_fault(fault: str, seeds_of: Any) -> None:
    method, broken = FAULTS[fault]
    kit = StreamKit("faulty", type("Faulty", (H1,), {"__slots__": (), method: broken}), H1Peer)
    with pytest.raises((AssertionError, ConfigError)):
        for program in seeds_of("h1"):
            run_stream_engine(kit, program)
