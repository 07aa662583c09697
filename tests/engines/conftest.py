"""What the tests of engines share: an HTTP/1.1 engine with a clock that the test turns."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import h11
import pytest

from tricorn_transports.abc import EngineContext
from tricorn_transports.config import Limits, Timeouts
from tricorn_transports.events import Event, PeerErred, RequestStarted
from tricorn_transports.registry import transports


class H1:
    """An engine and its peer's end of the wire.

    Attributes:
        now: The time that the engine is told.
        wire: All that the engine has sent.
    """

    def __init__(self, name: str, limits: Limits, timeouts: Timeouts, scheme: bytes) -> None:
        self.engine = transports()["h1"].create(name)(EngineContext(limits, timeouts, scheme, 0.0))
        self.now = 0.0
        self.wire = b""

    def feed(self, *pieces: bytes) -> list[Event]:
        """All events of these reads, and of what follows from them."""
        events: list[Event] = []
        for piece in pieces:
            events += self.engine.receive_data(piece, self.now)
        return events + self.engine.take_events()

    def request(self, data: bytes) -> RequestStarted:
        """The request that ``data`` begins with."""
        started = self.feed(data)[0]
        assert isinstance(started, RequestStarted), started
        return started

    def flush(self) -> bytes:
        """What the engine sends now."""
        sent = b""
        while pieces := self.engine.data_to_send(self.now):
            assert all(pieces)
            sent += b"".join(pieces)
        self.wire += sent
        return sent

    def answer(self, stream_id: int, body: bytes = b"ok") -> list[Event]:
        """A whole exchange's answer; gives what comes behind it."""
        self.engine.send_headers(stream_id, 200, [(b"content-length", b"%d" % len(body))])
        self.engine.send_data(stream_id, body, end=True)
        self.engine.release(stream_id)
        self.flush()
        return self.engine.take_events()

    def refused(self, *pieces: bytes) -> tuple[int, PeerErred]:
        """The status that answers a wrong message, and its one event; checks that the connection is over."""
        erred = [event for event in self.feed(*pieces) if isinstance(event, PeerErred)]
        assert len(erred) == 1, erred
        assert self.engine.is_closed()
        assert not self.engine.wants_data()
        response = read_responses(self.flush(), [b"GET"], close=True)[0]
        assert (b"connection", b"close") in response.headers
        assert self.feed(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n") == []
        return response.status, erred[0]


class Response:
    """A response as the h11 client saw it."""

    def __init__(self, head: h11.Response | h11.InformationalResponse) -> None:
        self.status = head.status_code
        self.headers = list(head.headers)
        self.body = b""
        self.trailers: list[tuple[bytes, bytes]] = []
        self.complete = False


def read_responses(data: bytes, methods: Iterable[bytes], *, close: bool = False) -> list[Response]:
    """Has an h11 client read ``data`` as the answers to these requests; ``close`` is the connection's end."""
    seen: list[Response] = []
    for method in methods:
        client = h11.Connection(h11.CLIENT)
        client.send(h11.Request(method=method, target="*", headers=[("host", "a")]))
        client.send(h11.EndOfMessage())
        client.receive_data(data)
        if close:
            client.receive_data(b"")
        while True:
            try:
                event = client.next_event()
            except h11.RemoteProtocolError:  # the end is missing
                return seen
            if isinstance(event, (h11.Response, h11.InformationalResponse)):
                seen.append(Response(event))
            elif isinstance(event, h11.Data):
                seen[-1].body += event.data
            else:
                break
        if isinstance(event, h11.EndOfMessage):
            seen[-1].complete = True
            seen[-1].trailers = list(event.headers)
        data = client.trailing_data[0]
    assert not data, data
    return seen


@pytest.fixture(scope="session", params=transports()["h1"].engines)
def new_h1(request: pytest.FixtureRequest) -> Callable[..., H1]:
    """Makes engines, of each kind: ``new_h1(max_fields=3, header_timeout=1.0, scheme=b"https")``."""

    def make(*, scheme: bytes = b"http", **settings: Any) -> H1:
        limits = {name: settings.pop(name) for name in list(settings) if name in Limits.__dataclass_fields__}
        return H1(request.param, Limits(**limits), Timeouts(**settings), scheme)

    return make


@pytest.fixture
def h1(new_h1: Callable[..., H1]) -> H1:
    """An engine with the default limits."""
    return new_h1()


@pytest.fixture
def responses() -> Callable[..., list[Response]]:
    """``read_responses``."""
    return read_responses


@pytest.fixture(scope="session")
def seeds_of() -> Callable[[str], Iterable[bytes]]:
    """``seeds_of("h2")``: the programs that fuzzing begins with; see tests/fuzz."""
    sys.path.insert(0, str(Path(__file__).parent.parent / "fuzz"))
    from seeds import SEEDS

    return lambda target: SEEDS[target]()
