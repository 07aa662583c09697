"""HTTP/2 in bare frames, for what no library would send."""

from __future__ import annotations

import struct
import time

import hpack
from wire_clients.base import PATIENCE, Wire

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
PRIORITY_UPDATE = 16
END_STREAM, ACK, END_HEADERS, PADDED = 1, 1, 4, 8
PROTOCOL_ERROR, REFUSED_STREAM, ENHANCE_YOUR_CALM = 1, 7, 11
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    return struct.pack("!I", len(payload))[1:] + bytes([kind, flags]) + struct.pack("!I", stream) + payload


def settings(**values: int) -> bytes:
    codes = {"header_table_size": 1, "enable_push": 2, "initial_window_size": 4, "max_frame_size": 5}
    return frame(SETTINGS, 0, 0, b"".join(struct.pack("!HI", codes[name], value) for name, value in values.items()))


def window_update(stream: int, size: int) -> bytes:
    return frame(WINDOW_UPDATE, 0, stream, struct.pack("!I", size))


def rst(stream: int, code: int = 8) -> bytes:
    return frame(RST_STREAM, 0, stream, struct.pack("!I", code))


class H2Raw:
    """One connection.

    Attributes:
        goaway: The code of the GOAWAY, when one has come.
        resets: Codes of RST_STREAM by stream.
        statuses: Of the responses, by stream.
        data: Bytes of DATA by stream.
        pings: Acknowledgements that came.
        windows: What each stream's WINDOW_UPDATEs have added; 0 is the connection.
    """

    def __init__(self, wire: Wire, scheme: bytes = b"http", first: bytes | None = None) -> None:
        self.wire = wire
        self.scheme = scheme
        self.goaway: int | None = None
        self.resets: dict[int, int] = {}
        self.statuses: dict[int, int] = {}
        self.data: dict[int, int] = {}
        self.ended: set[int] = set()
        self.pings = 0
        self.settings_acks = 0
        self.windows: dict[int, int] = {}
        self.next_stream = 1
        self._unread = bytearray()
        self._decoder = hpack.Decoder()
        self.wire.send(PREFACE + (frame(SETTINGS) if first is None else first))

    def head(self, method: bytes = b"GET", path: bytes = b"/", extra: bytes = b"") -> bytes:
        """A header block that uses no table."""
        fields = [(b":method", method), (b":scheme", self.scheme), (b":authority", b"localhost"), (b":path", path)]
        block = b""
        for name, value in fields:
            block += b"\x00" + _string(name) + _string(value)
        return block + extra

    def open(self, *, end: bool = True, head: bytes | None = None) -> bytes:
        """The HEADERS frame of the next request."""
        stream, self.next_stream = self.next_stream, self.next_stream + 2
        return frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), stream, self.head() if head is None else head)

    @property
    def last(self) -> int:
        """The stream of the last request."""
        return self.next_stream - 2

    @property
    def over(self) -> bool:
        return self.goaway is not None or self.wire.eof or self.wire.close_notify

    def send(self, data: bytes) -> None:
        self.wire.send(data)

    def poll(self, timeout: float = 0.0, *, read: bool = True) -> None:
        self._unread += self.wire.poll(timeout, read=read)
        while len(self._unread) >= 9:
            size = int.from_bytes(self._unread[:3], "big")
            if len(self._unread) < 9 + size:
                break
            kind, flags = self._unread[3], self._unread[4]
            stream = int.from_bytes(self._unread[5:9], "big")
            payload = bytes(self._unread[9 : 9 + size])
            del self._unread[: 9 + size]
            self._on_frame(kind, flags, stream, payload)

    def _on_frame(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == GOAWAY:
            self.goaway = struct.unpack_from("!I", payload, 4)[0]
        elif kind == RST_STREAM:
            self.resets[stream] = struct.unpack("!I", payload)[0]
        elif kind == HEADERS:
            fields = dict(self._decoder.decode(payload, raw=True))
            self.statuses[stream] = int(fields.get(b":status", b"0"))
        elif kind == DATA:
            self.data[stream] = self.data.get(stream, 0) + len(payload)
        elif kind == PING and flags & ACK:
            self.pings += 1
        elif kind == SETTINGS and flags & ACK:
            self.settings_acks += 1
        elif kind == WINDOW_UPDATE:
            self.windows[stream] = self.windows.get(stream, 0) + struct.unpack("!I", payload)[0]
        if kind in (DATA, HEADERS) and flags & END_STREAM:
            self.ended.add(stream)

    def wait(self, condition, timeout: float = PATIENCE) -> None:
        end = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < end, f"it did not happen: goaway={self.goaway} resets={len(self.resets)}"
            assert not self.wire.eof or condition(), "the connection ended"
            self.poll(0.05)

    def sync(self) -> None:
        """Waits until the server has read all that was sent, or has ended the connection."""
        before = self.pings
        self.send(frame(PING, 0, 0, b"in-order"))
        end = time.monotonic() + PATIENCE
        while self.pings == before and not self.over:
            assert time.monotonic() < end, "the server neither answers nor ends"
            self.poll(0.05)


def _string(data: bytes) -> bytes:
    """RFC 7541 section 5.2, without Huffman."""
    if len(data) < 127:
        return bytes([len(data)]) + data
    rest, digits = len(data) - 127, bytearray([127])
    while rest >= 128:
        digits.append(rest % 128 | 128)
        rest //= 128
    return bytes(digits) + bytes([rest]) + data


def literal(name: bytes, value: bytes, *, indexed: bool = False) -> bytes:
    """A literal field line; ``indexed`` puts it into the table."""
    return (b"\x40" if indexed else b"\x00") + _string(name) + _string(value)
