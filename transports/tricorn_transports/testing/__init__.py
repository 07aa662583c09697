"""The conformance kit: what every engine must do, as rules that anyone's engine can be run against.

    from tricorn_transports.testing import RULES, H2Peer, StreamKit

    @pytest.mark.parametrize("rule", RULES)
    def test_my_engine(rule):
        rule(StreamKit("mine", MyEngine, H2Peer))

A rule raises ``AssertionError`` when it does not hold, and ``unittest.SkipTest`` where the engine has not what it is
about. The clients are h11, h2 and aioquic; no test framework is needed.
"""

from __future__ import annotations

from collections.abc import Callable

from tricorn_transports.testing.connection_rules import CONNECTION_RULES, feed_and_answer
from tricorn_transports.testing.h1_peer import H1Peer
from tricorn_transports.testing.h2_peer import H2Peer
from tricorn_transports.testing.h3_peer import H3Peer
from tricorn_transports.testing.harness import LIMITS, DatagramKit, DatagramLink, Kit, Link, StreamKit, StreamLink
from tricorn_transports.testing.message_rules import MESSAGE_RULES
from tricorn_transports.testing.peers import DatagramPeer, Peer, Response, StreamPeer

#: All rules; each is a function of a ``Kit``.
RULES: tuple[Callable[[Kit], None], ...] = MESSAGE_RULES + CONNECTION_RULES

__all__ = [
    "LIMITS",
    "RULES",
    "DatagramKit",
    "DatagramLink",
    "DatagramPeer",
    "H1Peer",
    "H2Peer",
    "H3Peer",
    "Kit",
    "Link",
    "Peer",
    "Response",
    "StreamKit",
    "StreamLink",
    "StreamPeer",
    "feed_and_answer",
]
