"""Receive windows over HTTP/2, and how many round trips a large body takes: a line with a delay, in memory."""

from __future__ import annotations

from collections import deque

import pytest
from h2.settings import SettingCodes

from tricorn_transports.abc import EngineContext
from tricorn_transports.config import Limits, Timeouts
from tricorn_transports.engines.h2 import H2Engine
from tricorn_transports.engines.h2_windows import ReceiveWindows
from tricorn_transports.engines.stream import Stream
from tricorn_transports.events import BodyReceived, Event, StreamWritable
from tricorn_transports.testing import H2Peer

MIB = 1 << 20
DELAY = 0.025


class Line:
    """An engine and a client, with ``DELAY`` seconds between them each way and no other limit.

    Attributes:
        now: Moves with the bytes.
        reads: Whether the application reads what comes.
    """

    def __init__(self, limits: Limits, settings: dict[SettingCodes | int, int] | None = None, window: int = 0) -> None:
        self.now = 0.0
        self.engine = H2Engine(EngineContext(limits, Timeouts(), b"http", self.now))
        self.peer = H2Peer(settings, window=window)
        self.reads = True
        self.received = 0
        self.body_left = 0
        self._up: deque[tuple[float, bytes]] = deque()
        self._down: deque[tuple[float, bytes]] = deque()

    def run(self, seconds: float = 1000.0) -> None:
        """Carries bytes until none is on the way, or so long."""
        end = self.now + seconds
        while self.now < end:
            self._exchange()
            due = [line[0][0] for line in (self._up, self._down) if line]
            if not due:
                return
            self.now = min(due)

    def _exchange(self) -> None:
        while self._up and self._up[0][0] <= self.now:
            self._heard(self.engine.receive_data(self._up.popleft()[1], self.now))
        while self._down and self._down[0][0] <= self.now:
            self.peer.receive(self._down.popleft()[1])
        if data := self.peer.take():
            self._up += [(self.now + DELAY, data[at : at + 65_536]) for at in range(0, len(data), 65_536)]
        while parts := self.engine.data_to_send(self.now):
            self._down.append((self.now + DELAY, b"".join(parts)))
            self._heard(self.engine.take_events())

    def _heard(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, BodyReceived):
                self.received += len(event.data)
                if self.reads:
                    self.engine.consumed(event.stream_id, event.credit)
            elif isinstance(event, StreamWritable):
                self.send(event.stream_id)

    def send(self, stream_id: int) -> None:
        """The application: sends while there is room."""
        while self.body_left and self.engine.sendable(stream_id) > 0:
            part = min(self.body_left, 65_536)
            self.body_left -= part
            self.engine.send_data(stream_id, bytes(part), end=not self.body_left)

    def upload(self, size: int) -> float:
        """How many round trips a body takes, of which the last one is the answer's way."""
        self.run()
        began = self.now
        number = self.peer.request(b"POST", b"/", end=False)
        for _ in range(size // MIB):
            self.peer.send(number, bytes(MIB))
        self.run()
        return (self.now - began) / (2 * DELAY)

    def download(self, size: int) -> float:
        self.run()
        began = self.now
        number = self.peer.request(b"GET", b"/")
        self.run(DELAY)
        self._exchange()
        self.engine.send_headers(number, 200, [])
        self.body_left = size
        self.send(number)
        self.run()
        assert len(self.peer.responses[number].body) == size
        return (self.now - began) / (2 * DELAY)


def test_an_upload_is_not_bound_by_the_first_window() -> None:
    line = Line(Limits())
    rounds = line.upload(32 * MIB)
    assert line.received == 32 * MIB
    assert rounds < 32 * 4 / 1.5, "at 256 KiB a round trip there would be 128"


def test_a_large_bound_is_reached_in_few_round_trips() -> None:
    line = Line(Limits(connection_receive_buffer=32 * MIB, stream_receive_buffer=65_536))
    rounds = line.upload(64 * MIB)
    assert line.received == 64 * MIB
    assert rounds < 20, "at 64 KiB a round trip there would be 1,024"


def test_a_download_is_bound_by_the_clients_windows_only() -> None:
    line = Line(Limits(), {SettingCodes.INITIAL_WINDOW_SIZE: 8 * MIB}, 8 * MIB)
    assert line.download(32 * MIB) < 10


@pytest.mark.parametrize("start", [20_000, 65_536, 262_144])
def test_an_application_that_stops_reading_holds_no_more_than_the_bound(start: int) -> None:
    line = Line(Limits(stream_receive_buffer=start, connection_receive_buffer=MIB))
    line.upload(8 * MIB)
    line.reads = False
    before = line.received
    line.upload(8 * MIB)
    assert line.received - before <= max(start, 65_535), "a new stream begins where all begin"


def test_a_stream_that_has_grown_holds_no_more_than_half_of_what_all_may() -> None:
    line = Line(Limits(connection_receive_buffer=MIB))
    number = line.peer.request(b"POST", b"/", end=False)
    line.peer.send(number, bytes(4 * MIB))
    line.run()
    assert line.received == 4 * MIB
    line.reads = False
    line.peer.send(number, bytes(4 * MIB))
    line.run()
    assert 262_144 < line.received - 4 * MIB <= MIB // 2


def test_all_streams_together_hold_no_more_than_the_connections_bound() -> None:
    line = Line(Limits(connection_receive_buffer=MIB))
    line.reads = False
    for _ in range(10):
        line.peer.send(line.peer.request(b"POST", b"/", end=False), bytes(MIB))
    line.run()
    assert line.received == MIB


class Windows:
    """``ReceiveWindows`` and what they announce."""

    def __init__(self, **limits: int) -> None:
        self.announced: list[tuple[int, int | None]] = []
        self.windows = ReceiveWindows(
            Limits(**limits), lambda size, stream_id: self.announced.append((size, stream_id))
        )
        self.stream = Stream(1, b"", None, False)

    @property
    def window(self) -> int:
        return self.windows.streams[1].size

    def read(self, size: int, now: float) -> None:
        self.windows.arrived(self.stream, size, now)
        self.windows.read(self.stream, size)


def test_credit_goes_back_in_steps_of_a_quarter() -> None:
    end = Windows(stream_receive_buffer=100_000, connection_receive_buffer=400_000)
    for _ in range(10):
        end.read(10_000, 0.0)
    assert end.announced == [(30_000, 1), (30_000, 1), (30_000, 1), (100_000, None)]


def test_a_window_grows_for_who_fills_it_within_two_round_trips() -> None:
    end = Windows(stream_receive_buffer=100_000, connection_receive_buffer=600_000)
    end.windows.asked(1.0)
    end.windows.answered(1.1)
    end.read(50_000, 2.0)
    end.read(50_000, 2.15)
    assert end.window == 200_000
    end.read(100_000, 3.0)
    end.read(100_000, 3.25)
    assert end.window == 200_000, "that was slower than the network"
    end.read(200_000, 4.0)
    end.read(300_000, 5.0)
    assert end.window == 300_000, "half of the connection's"


def test_without_a_round_trip_nothing_grows() -> None:
    end = Windows(stream_receive_buffer=100_000)
    end.read(1_000_000, 0.0)
    assert end.window == 100_000


def test_a_stream_that_is_over_gets_no_more_credit() -> None:
    end = Windows(stream_receive_buffer=100_000, connection_receive_buffer=100_000)
    end.stream.ended = True
    end.read(100_000, 0.0)
    assert end.announced == [(100_000, None)]


def test_who_reads_is_not_held_by_those_who_do_not() -> None:
    line = Line(Limits(stream_receive_buffer=100_000, connection_receive_buffer=400_000))
    line.reads = False
    for _ in range(3):
        line.peer.send(line.peer.request(b"POST", b"/", end=False), bytes(MIB))
    line.run()
    assert line.received == 300_000
    line.reads = True
    line.upload(2 * MIB)
    assert line.received == 300_000 + 2 * MIB


def test_a_step_that_was_too_small_is_made_when_others_leave_no_room_for_more() -> None:
    end = Windows(stream_receive_buffer=100_000, connection_receive_buffer=400_000)
    end.read(20_000, 0.0)
    assert end.announced == []
    for number in (3, 5, 7):
        other = Stream(number, b"", None, False)
        end.windows.arrived(other, 100_000, 0.0)
    end.windows.arrived(Stream(9, b"", None, False), 55_000, 0.0)
    assert end.announced == [(20_000, None)], "nobody may ever read, and nothing else would be told"
