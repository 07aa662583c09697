"""Programs to begin with, made of what the other tests send: whole conversations, attacks, and wrong inputs.

Rules of this module: nothing is stored; a change of the tests changes the seeds. A seed feeds some bytes, lets the
application answer, feeds more.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "interop"))
sys.path.insert(0, str(Path(__file__).parent.parent / "wire"))

import h1_inputs
from wire_clients import attacks, frames
from wire_clients.h2_raw import H2Raw

from tricorn_transports.testing import H1Peer, H2Peer
from tricorn_transports.testing.programs import ANSWER, FLUSH, WAIT, act, feed

_AMOUNT = 30


class _Tape:
    """A wire that only keeps what is sent."""

    eof = close_notify = False

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def send(self, data: bytes) -> None:
        self.sent.append(data)

    def poll(self, timeout: float, *, read: bool = True) -> bytes:
        return b""


def h1() -> Iterator[bytes]:
    """Conversations, and every input of the differential test."""
    yield from _conversations(H1Peer)
    for data in h1_inputs.TABLE.values():
        yield feed(data) + ANSWER * 2
    upgrade = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"
    yield feed(upgrade) + act(6) + feed(b"raw") + act(3) + bytes([FLUSH])
    yield feed(b"CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n\r\nearly") + act(6) + feed(b"raw") + act(10) + act(12)


def h2() -> Iterator[bytes]:
    """Conversations, and every attack, cut short."""
    yield from _conversations(H2Peer)
    for attack in (*attacks.THROWN_OUT, *attacks.BORNE):
        tape = _Tape()
        peer: Any = H2Raw(tape)  # type: ignore[arg-type]  # as much of a wire as it needs
        peer.sync = lambda: None
        for step, _ in enumerate(attack(peer, _AMOUNT)):
            if step > 3:
                break
        yield b"".join(feed(part) + ANSWER for part in tape.sent if len(part) < 20_000)


def _conversations(new_peer: Callable[[], Any]) -> Iterator[bytes]:
    peer = new_peer()
    program = feed(peer.take())
    peer.request(b"GET", b"/", [(b"accept", b"*/*")])
    program += feed(peer.take()) + ANSWER
    if new_peer is H1Peer:  # it would wait for the answer
        peer = new_peer()
    number = peer.request(b"POST", b"/x?y=1", length=10, end=False)
    program += feed(peer.take())
    peer.send(number, b"0123456789", end=True)
    program += feed(peer.take()) + act(10) + act(0, 1, 1) + act(2, 1, 5) + ANSWER
    yield program
    peer = new_peer()
    number = peer.request(b"PUT", b"/", end=False)
    peer.send(number, b"chunk", end=False)
    peer.send(number, b"more", end=True, trailers=[(b"x-sum", b"1")])
    yield feed(peer.take()) + act(1) + act(2, 0, 200) * 5 + act(5) + act(12) + bytes([WAIT, 3])


def h3() -> Iterator[bytes]:
    """Frames of requests and of the control stream, each with the stream that it goes to."""
    import pylsqpack

    encoder = pylsqpack.Encoder()
    get = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"test"), (b":path", b"/")]
    post = [(b":method", b"POST"), *get[1:], (b"content-length", b"5")]
    connect = [(b":method", b"CONNECT"), (b":authority", b"a:1")]
    for fields in (get, post, connect, [*get, (b"cookie", b"a=1"), (b"priority", b"u=1, i")]):
        head = encoder.encode(0, fields)[1]
        frame = b"\x01" + bytes([len(head)]) if len(head) < 64 else b"\x01\x40" + bytes([len(head)])
        for end in (0, 32):
            yield _h3_feed(end, frame + head) + _h3_feed(end, b"\x00\x05hello") + ANSWER + act(10)
        yield _h3_feed(0, frame + head) + act(6) + _h3_feed(0, b"\x00\x03raw") + act(2, 0, 9) + act(12)
    for control in (b"\x21\x00" * 50, b"\x80\x0f\x07\x00\x04\x00u=1", b"\x07\x01\x00", b"\x04\x00", b"\x0d\x01\x05"):
        yield _h3_feed(200, control)
    for kind in (b"\x00\x04\x00", b"\x01", b"\x02", b"\x03", b"\x21data", b"\x40\x54"):
        yield _h3_feed(203, kind)


def _h3_feed(which: int, data: bytes) -> bytes:
    return bytes([0, which]) + len(data).to_bytes(2, "big") + data


def websocket() -> Iterator[bytes]:
    """Frames right and wrong, with each of the terms of compression."""
    zipped = frames.Deflater().compress(b"again and again and again " * 20)
    for terms in range(4):
        for part in (
            frames.frame(frames.TEXT, "grüß dich".encode()),
            frames.frame(frames.TEXT, b"a", fin=False) + frames.frame(frames.PING) + frames.frame(0, b"b"),
            frames.frame(frames.BINARY, zipped, rsv=4) * 3,
            frames.frame(frames.BINARY, zipped[:9], rsv=4, fin=False) + frames.frame(0, zipped[9:]),
            frames.close(1000, b"bye"),
            frames.frame(frames.TEXT, b"\xed\xa0\x80"),
            frames.frame(frames.BINARY, frames.Deflater().compress(bytes(50_000)), rsv=4),
            frames.frame(3),
        ):
            yield bytes([terms]) + feed(part) + bytes([2, 0, 70, 3, 2, 3, 2]) + feed(frames.close())


SEEDS: dict[str, Callable[[], Iterator[bytes]]] = {"h1": h1, "h2": h2, "h3": h3, "websocket": websocket}
