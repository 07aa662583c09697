"""What the WebSockets of one connection may hold together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from tricorn_transports.exchange.pool import Pool


@dataclass(eq=False)
class Reader:
    """Reads parts of messages as far as its pool lets it, like a WebSocket whose application takes each at once."""

    pool: Pool
    message: int
    unread: list[int] = field(default_factory=list)
    held: int = 0
    taken: int = 0

    def read_on(self) -> None:
        while self.pool.may_read(self):
            if not self.unread:
                break
            self.held += self.unread.pop(0)
            self.pool.holds(self, self.held)
            if self.held >= self.message:
                self.held -= self.message
                self.taken += 1
                self.pool.holds(self, self.held)
        else:
            return
        self.pool.holds(self, self.held)


@settings(deadline=None)
@given(order=st.lists(st.integers(0, 4), max_size=80))
def test_all_messages_that_can_be_whole_get_through(order: Sequence[int]) -> None:
    pool = Pool(100)
    readers = [Reader(pool, 80) for _ in range(5)]
    sent = [0] * 5
    for index in order:
        readers[index].unread.append(20)
        sent[index] += 1
        readers[index].read_on()
        assert sum(reader.held for reader in readers) <= 100 + 80
    for index, reader in enumerate(readers):  # the rest of each message that has begun
        missing = -sent[index] % 4
        for _ in range(missing):
            reader.unread.append(20)
            reader.read_on()
        sent[index] += missing
    assert [reader.taken for reader in readers] == [count // 4 for count in sent]


def test_one_that_leaves_gives_its_turn_away() -> None:
    pool = Pool(100)
    first, second = Reader(pool, 1000), Reader(pool, 200)
    first.unread = [150, 150]
    first.read_on()
    second.unread = [200]
    second.read_on()
    assert (first.held, second.taken) == (300, 0)
    pool.leave(first)
    assert second.taken == 1


def test_one_that_waits_and_leaves_is_not_asked_again() -> None:
    pool = Pool(10)
    first, second = Reader(pool, 100), Reader(pool, 100)
    first.unread = [50]
    first.read_on()
    first.unread = [10]
    first.read_on()  # its turn
    second.unread = [100]
    second.read_on()
    pool.leave(second)
    pool.leave(first)
    assert second.taken == 0
