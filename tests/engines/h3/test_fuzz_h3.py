"""Any bytes on any stream of an HTTP/3 connection, and any application."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trustme
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tricorn_transports.registry import transports
from tricorn_transports.testing import DatagramKit, H3Peer
from tricorn_transports.testing.programs import run_datagram_engine

NUMBERS = st.integers(0, 255)
STEPS = st.one_of(
    st.builds(
        lambda which, data: bytes([0, which]) + len(data).to_bytes(2, "big") + data, NUMBERS, st.binary(max_size=60)
    ),
    st.builds(lambda data: bytes([1]) + len(data).to_bytes(2, "big") + data, st.binary(max_size=1300)),
    st.builds(lambda what, which, how: bytes([2, what, which, how]), NUMBERS, NUMBERS, NUMBERS),
    st.builds(lambda seconds: bytes([4, seconds]), NUMBERS),
    st.sampled_from([bytes([3]), bytes([2, 13, 0, 0]), bytes([5, 1])]),
)


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> DatagramKit:
    folder: Path = tmp_path_factory.mktemp("fuzz")
    leaf = trustme.CA().issue_cert("test")
    leaf.private_key_pem.write_to_path(str(folder / "key.pem"))
    for blob in leaf.cert_chain_pems:
        blob.write_to_path(str(folder / "cert.pem"), append=True)
    create = transports()["h3"].create()
    return DatagramKit("h3", create, H3Peer, str(folder / "cert.pem"), str(folder / "key.pem"))


def test_any_conversation(kit: DatagramKit, seeds_of: Any) -> None:
    """Seeds, with steps of any kind between and behind them."""
    seeds = st.sampled_from(list(seeds_of("h3")))

    @settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
    @given(program=st.lists(st.one_of(STEPS, STEPS, seeds), max_size=12).map(b"".join))
    def run(program: bytes) -> None:
        run_datagram_engine(kit, program)

    run()


def test_every_seed(kit: DatagramKit, seeds_of: Any) -> None:
    programs = list(seeds_of("h3"))
    assert len(programs) > 15
    started = sum(len(run_datagram_engine(kit, program).streams) for program in programs)
    assert started >= 8, "the seeds bring requests"


def test_a_fault_is_found(kit: DatagramKit, seeds_of: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from tricorn_transports.engines.h3 import H3Engine

    take = H3Engine.take_events
    monkeypatch.setattr(H3Engine, "take_events", lambda self: [event for event in take(self) for _ in range(2)])
    receive = H3Engine.receive_datagram
    monkeypatch.setattr(
        H3Engine, "receive_datagram", lambda self, *args: [e for e in receive(self, *args) for _ in range(2)]
    )
    with pytest.raises(AssertionError):
        for program in seeds_of("h3"):
            run_datagram_engine(kit, program)
