"""Each rule of the conformance kit over every registered engine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import trustme
from hypothesis import given, settings
from hypothesis import strategies as st

from tricorn_transports.abc import StreamEngine
from tricorn_transports.events import AbortReason, BodyReceived, Event
from tricorn_transports.registry import transports
from tricorn_transports.testing import RULES, DatagramKit, H1Peer, H2Peer, H3Peer, Kit, StreamKit, feed_and_answer

PEERS = {"h1": H1Peer, "h2": H2Peer, "h3": H3Peer}
ENGINES = [(spec, engine) for spec in transports().values() if spec.name in PEERS for engine in spec.engines]
STREAM_KITS = [
    StreamKit(f"{spec.name}={engine}", spec.create(engine), PEERS[spec.name])
    for spec, engine in ENGINES
    if spec.kind == "tcp"
]
PREFIXES = {
    "h1": [b"GET / HTTP/1.1\r\nHost: a\r\n", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"],
    "h2": [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"],
}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Paths of a certificate for ``test`` and its key."""
    folder: Path = tmp_path_factory.mktemp("conformance")
    leaf = trustme.CA().issue_cert("test")
    leaf.private_key_pem.write_to_path(str(folder / "key.pem"))
    for blob in leaf.cert_chain_pems:
        blob.write_to_path(str(folder / "cert.pem"), append=True)
    return str(folder / "cert.pem"), str(folder / "key.pem")


def test_all_transports_are_here() -> None:
    assert {spec.name for spec, _ in ENGINES} == {"h1", "h2", "h3"}


@pytest.mark.parametrize(("spec", "engine"), ENGINES, ids=[f"{spec.name}={engine}" for spec, engine in ENGINES])
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_rule(rule: Callable[[Kit], None], spec, engine: str, certificate: tuple[str, str]) -> None:
    name, create = f"{spec.name}={engine}", spec.create(engine)
    if spec.kind == "tcp":
        rule(StreamKit(name, create, PEERS[spec.name]))
    else:
        cert, key = certificate
        rule(DatagramKit(name, create, PEERS[spec.name], cert, key))


@pytest.mark.parametrize("kit", STREAM_KITS, ids=lambda kit: kit.name)
@settings(deadline=None, max_examples=150)
@given(data=st.data())
def test_no_input_raises(kit: StreamKit, data: st.DataObject) -> None:
    prefix = data.draw(st.sampled_from([b"", *PREFIXES[kit.name.partition("=")[0]]]))
    feed_and_answer(
        kit.connect(), prefix + data.draw(st.binary(max_size=300)), data.draw(st.sampled_from([1, 1 << 16]))
    )


FAULTS: dict[str, tuple[str, Callable[..., object]]] = {
    "sending_waits": ("sendable", lambda self, stream_id: 1000),
    "receiving_waits": (
        "receive_data",
        lambda self, data, now: [consume(self, e) for e in H2.receive_data(self, data, now)],
    ),
    "shutdown_lets_requests_finish": ("begin_shutdown", lambda self: self.terminate(AbortReason.NO_ERROR)),
    "half_close_leaves_answers": ("receive_eof", lambda self, now: []),
    "silence_has_an_end": ("deadline", lambda self: None),
}
H2 = transports()["h2"].create()


def consume(engine: StreamEngine, event: Event) -> Event:
    if isinstance(event, BodyReceived):
        engine.consumed(event.stream_id, event.credit)
    return event


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.__name__ in FAULTS], ids=lambda rule: rule.__name__)
def test_a_rule_finds_its_fault(rule: Callable[[Kit], None]) -> None:
    name, method = FAULTS[rule.__name__]
    with pytest.raises(AssertionError):
        rule(StreamKit("faulty", type("Faulty", (H2,), {name: method}), H2Peer))
