"""Any bytes as a program for an engine and its surroundings: what fuzzers run, and what a finding is kept as.

A program is a list of steps, one byte each, with their operands behind. Most of its bytes are what the peer sends.

Rules of this module: every sequence of bytes is a program, and the same bytes always do the same. What a step is
follows from its byte modulo the number of steps, so that a mutation of one byte changes one thing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tricorn_transports.errors import LocalProtocolError
from tricorn_transports.testing.h3_peer import H3Peer
from tricorn_transports.testing.harness import DatagramKit, StreamKit
from tricorn_transports.testing.monitor import Monitor
from tricorn_transports.websocket.frames import CloseReceived, FrameError, Frames, MessageReceived
from tricorn_transports.websocket.handshake import Deflate

FEED, FEED_SLOWLY, ACT, FLUSH, WAIT, END = range(6)
_STEPS = 6
_SECONDS = (0.001, 1.0, 5.0, 20.0, 80.0, 1000.0)


class _Tape:
    """Reads a program."""

    def __init__(self, program: bytes) -> None:
        self._program = program
        self._at = 0

    def byte(self) -> int | None:
        if self._at >= len(self._program):
            return None
        self._at += 1
        return self._program[self._at - 1]

    def number(self) -> int:
        return self.byte() or 0

    def block(self) -> bytes:
        """As many bytes as the next two say, or what there is."""
        size = self.number() << 8 | self.number()
        block = self._program[self._at : self._at + size]
        self._at += len(block)
        return block


def feed(*blocks: bytes) -> bytes:
    """The program that gives these bytes."""
    parts = [block[start : start + 65_535] for block in blocks for start in range(0, len(block), 65_535)]
    return b"".join(bytes([FEED]) + len(part).to_bytes(2, "big") + part for part in parts)


def act(what: int, which: int = 0, how: int = 0) -> bytes:
    """The program that gives one command; see ``Monitor.act``."""
    return bytes([ACT, what, which, how])


#: Answers the first request with all that belongs to it.
ANSWER = act(13) + bytes([FLUSH])


def run_stream_engine(kit: StreamKit, program: bytes) -> Monitor:
    """Runs a program on a new connection of bytes.

    Raises:
        AssertionError: The engine broke a rule. Any other exception is its own.
    """
    link = kit.connect()
    engine, tape = link.engine, _Tape(program)
    monitor = Monitor(engine, link.limits, link.now)
    is_ended = False
    while (step := tape.byte()) is not None:
        step %= _STEPS
        if step == FEED:
            data = tape.block()
            if not is_ended:
                monitor.feed(engine, data)
        elif step == FEED_SLOWLY:
            data = tape.block()[:500]
            for index in range(len(data)):
                if is_ended or not monitor.feed(engine, data[index : index + 1]):
                    break
        elif step == ACT:
            monitor.act(tape.number(), tape.number(), tape.number())
        elif step == FLUSH:
            monitor.flush()
        elif step == WAIT:
            monitor.wait(_SECONDS[tape.number() % len(_SECONDS)], monitor.flush)
        elif not is_ended and not engine.is_closed():
            is_ended = True
            monitor.heard(engine.receive_eof(monitor.now))
    monitor.flush()
    monitor.wait(10_000.0, monitor.flush)
    return monitor


def run_datagram_engine(kit: DatagramKit, program: bytes) -> Monitor:
    """Runs a program on a new QUIC connection: what is fed goes into streams, or is a datagram of its own.

    Raises:
        AssertionError: The engine broke a rule. Any other exception is its own.
    """
    link = kit.connect()
    peer = link.peer
    assert isinstance(peer, H3Peer)
    # Its HTTP layer would object to streams that it has not opened, and to its own ones being closed.
    peer.http.handle_event = lambda event: []  # type: ignore[method-assign]  # of this one only
    quic, tape = peer.connection, _Tape(program)
    monitor = Monitor(link.engine, link.limits, link.now)
    monitor.heard(link.events)
    link.events.clear()

    def exchange(seconds: float = 0.01) -> None:
        end = link.now + seconds
        for _ in range(30):
            moved_in, moved_out = link.to_engine(), link.to_peer()
            monitor.now = link.now
            monitor.heard(link.events)
            link.events.clear()
            if not moved_in and not moved_out:
                break
        link.now = monitor.now = max(link.now, end)

    def catch_up() -> None:
        link.now = monitor.now
        exchange(0.0)

    def send(stream_id: int, data: bytes, end: bool) -> None:
        if peer.closed is None:
            try:
                quic.send_stream_data(stream_id, data, end)
            except (RuntimeError, ValueError):  # the client's library knows that the stream is over
                return

    while (step := tape.byte()) is not None:
        step %= _STEPS
        if step == FEED:
            which = tape.number()
            # Request streams, the control stream and QPACK's two, and one of a type of its own.
            stream_id = 4 * (which % 16) if which < 200 else 2 + 4 * (which % 4)
            send(stream_id, tape.block(), bool(which & 32))
            exchange()
        elif step == FEED_SLOWLY:
            link.engine.receive_datagram(tape.block(), link._PATH, link.now)
        elif step == ACT:
            monitor.act(tape.number(), tape.number(), tape.number())
            exchange()
        elif step == FLUSH:
            exchange(0.1)
        elif step == WAIT:
            monitor.wait(_SECONDS[tape.number() % 4], catch_up)
            catch_up()
            peer.handle_timer(link.now)
            exchange()
        else:
            which = tape.number()
            if peer.closed is None and which % 4 == 0:
                quic.close(0x100)
            exchange()
    exchange(1.0)
    monitor.wait(10_000.0, catch_up)
    return monitor


#: Terms of compression that a program chooses from.
_TERMS = (None, Deflate(), Deflate(9, 9, False, False), Deflate(12, 15, True, False))
MAX_MESSAGE = 20_000


def run_frames(program: bytes) -> None:
    """Runs a program on the server's end of a WebSocket.

    Raises:
        AssertionError: A rule is broken. Any other exception is the parser's own.
    """
    tape = _Tape(program)
    frames = Frames(_TERMS[tape.number() % len(_TERMS)], max_message_bytes=MAX_MESSAGE)
    is_over = closed = False
    output = bytearray()
    commands: tuple[Callable[[int], None], ...] = (
        lambda how: frames.send("ä" * how),
        lambda how: frames.send(bytes(how * 10)),
        lambda how: frames.ping(bytes(how)),
        lambda how: frames.close(970 + how * 20, "because"),
    )
    while (step := tape.byte()) is not None:
        if step % 4 < 2:
            data = tape.block()
            size = len(data) if step % 4 == 0 else 1
            for start in range(0, min(len(data), 2000), max(size, 1)):
                for event in frames.receive(data[start : start + size]):
                    assert not is_over, f"{event} behind the end"
                    is_over = isinstance(event, CloseReceived | FrameError)
                    if isinstance(event, MessageReceived):
                        message = event.data
                        length = len(message.encode()) if isinstance(message, str) else len(message)
                        assert length <= MAX_MESSAGE, "a message over the limit"
                assert frames.held <= MAX_MESSAGE, "more is held than the limit"
        elif step % 4 == 2:
            try:
                commands[tape.number() % len(commands)](tape.number())
            except LocalProtocolError:
                pass
        else:
            output += frames.data_to_send()
    output += frames.data_to_send()
    for opcode in _opcodes(output):
        assert not closed, "a frame behind the close frame"
        closed = opcode == 8
    assert closed or not is_over, "an end without a close frame"


def _opcodes(output: bytes | bytearray) -> Iterable[int]:
    """Of the frames in ``output``, which must be whole and not masked."""
    at = 0
    while at < len(output):
        size = output[at + 1]
        assert size < 128, "a server masks nothing"
        head = 2
        if size > 125:
            head = 4 if size == 126 else 10
            size = int.from_bytes(output[at + 2 : at + head], "big")
        yield output[at] & 15
        at += head + size
    assert at == len(output), "a frame was cut off"
