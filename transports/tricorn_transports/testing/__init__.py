"""The conformance kit: what every engine must do, as rules that anyone's engine can be run against.

    from tricorn_transports.testing import Kit, H2Peer, RULES

    @pytest.mark.parametrize("rule", RULES)
    def test_my_engine(rule):
        rule(Kit("mine", MyEngine, H2Peer))

A rule raises ``AssertionError`` when it does not hold, and ``unittest.SkipTest`` where the engine has not what it is
about. The rules need h11 and h2 as clients, and no test framework.
"""

from __future__ import annotations

from collections.abc import Callable

from tricorn_transports.testing.connection_rules import CONNECTION_RULES, feed_and_answer
from tricorn_transports.testing.h1_peer import H1Peer
from tricorn_transports.testing.h2_peer import H2Peer
from tricorn_transports.testing.harness import LIMITS, Kit, Link
from tricorn_transports.testing.message_rules import MESSAGE_RULES
from tricorn_transports.testing.peers import Peer, Response

#: All rules; each is a function of a ``Kit``.
RULES: tuple[Callable[[Kit], None], ...] = MESSAGE_RULES + CONNECTION_RULES

__all__ = ["LIMITS", "RULES", "H1Peer", "H2Peer", "Kit", "Link", "Peer", "Response", "feed_and_answer"]
