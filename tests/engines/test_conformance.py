"""Each rule of the conformance kit over every registered engine of a byte stream."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tricorn_transports.registry import transports
from tricorn_transports.testing import RULES, H1Peer, H2Peer, Kit, feed_and_answer

PEERS = {"h1": H1Peer, "h2": H2Peer}
KITS = [
    Kit(f"{spec.name}={engine}", spec.create(engine), PEERS[spec.name])
    for spec in transports().values()
    if spec.name in PEERS
    for engine in spec.engines
]
PREFIXES = {
    "h1": [b"GET / HTTP/1.1\r\nHost: a\r\n", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"],
    "h2": [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"],
}
EVERY_KIT = pytest.mark.parametrize("kit", KITS, ids=lambda kit: kit.name)


def test_there_is_an_engine_for_each_stream_transport() -> None:
    assert {kit.name.partition("=")[0] for kit in KITS} == {"h1", "h2"}


@EVERY_KIT
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_rule(rule, kit: Kit) -> None:
    rule(kit)


@EVERY_KIT
@settings(deadline=None, max_examples=150)
@given(data=st.data())
def test_no_input_raises(kit: Kit, data: st.DataObject) -> None:
    prefix = data.draw(st.sampled_from([b"", *PREFIXES[kit.name.partition("=")[0]]]))
    feed_and_answer(
        kit.connect(), prefix + data.draw(st.binary(max_size=300)), data.draw(st.sampled_from([1, 1 << 16]))
    )
