"""A WebSocket client of bare frames: it sends whatever it is told, right or wrong, and reads what comes by itself.

Rule of this module: no WebSocket library. One would refuse to send most of what the tests are about.
"""

from __future__ import annotations

import struct
import zlib
from base64 import b64encode
from dataclasses import dataclass

from wire_clients.base import Client, Headers, Response

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
_MASK = b"\x37\xfa\x21\x3d"


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, masked: bool = True) -> bytes:
    """One frame; ``rsv`` is RSV1 (4), RSV2 (2) and RSV3 (1) together."""
    head, mask = bytes([fin << 7 | rsv << 4 | opcode]), 0x80 if masked else 0
    if len(payload) < 126:
        head += bytes([mask | len(payload)])
    elif len(payload) < 65_536:
        head += struct.pack("!BH", mask | 126, len(payload))
    else:
        head += struct.pack("!BQ", mask | 127, len(payload))
    if not masked:
        return head + payload
    key = (_MASK * (len(payload) // 4 + 1))[: len(payload)]
    scrambled = int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")
    return head + _MASK + scrambled.to_bytes(len(payload), "big")


def close(code: int | None = None, reason: bytes = b"") -> bytes:
    return frame(CLOSE, b"" if code is None else struct.pack("!H", code) + reason)


@dataclass
class Frame:
    """What the server sent."""

    opcode: int
    payload: bytes
    fin: bool = True
    rsv: int = 0

    @property
    def code(self) -> int | None:
        """Of a close frame."""
        assert self.opcode == CLOSE, self
        return int.from_bytes(self.payload[:2], "big") if self.payload else None


class FrameClient:
    """One WebSocket over a client of any protocol.

    Attributes:
        response: The handshake's answer.
    """

    def __init__(self, client: Client, path: str = "/", headers: Headers = ()) -> None:  # type: ignore[assignment]
        self.client = client
        fields = [(b"sec-websocket-version", b"13"), *headers]
        if client.version == "1":
            fields += [(b"upgrade", b"websocket"), (b"connection", b"Upgrade")]
            fields += [(b"sec-websocket-key", b64encode(b"0123456789abcdef"))]
            self.stream = client.open("GET", path, fields)
        else:
            self.stream = client.open("CONNECT", path, fields, end=False, protocol=b"websocket")
        self.response: Response = client.responses[self.stream]
        client.wait(lambda: self.response.status or self.response.over, "the handshake's answer")

    def send(self, *data: bytes) -> None:
        """Each part leaves by itself, up to the one that ends the tunnel."""
        for part in data:
            if self.response.over:
                return
            self.client.send_raw(self.stream, part)
            self.client.poll(0)

    def frame(self) -> Frame:
        """The next frame."""
        self.client.wait(lambda: self._size() is not None or self.response.over, "a frame")
        size = self._size()
        assert size is not None, "the tunnel ended without a frame"
        body = self.response.body
        first, head, length = body[0], size[0], size[1]
        payload = bytes(body[head : head + length])
        del body[: head + length]
        return Frame(first & 15, payload, bool(first & 128), first >> 4 & 7)

    def _size(self) -> tuple[int, int] | None:
        body = self.response.body
        if len(body) < 2:
            return None
        assert not body[1] & 128, "a server masks nothing"
        head, length = 2, body[1]
        if length > 125:
            head = 4 if length == 126 else 10
            length = int.from_bytes(body[2:head], "big")
        return (head, length) if len(body) >= head + length else None

    def frames_to_end(self) -> list[Frame]:
        """Everything up to the end of the server's side."""
        frames = []
        while True:
            self.client.wait(lambda: self._size() is not None or self.response.over, "the tunnel's end")
            if self._size() is None:
                assert not self.response.body, "a frame was cut off"
                return frames
            frames.append(self.frame())


class Deflater:
    """The client's half of permessage-deflate."""

    def __init__(self, *, bits: int = 15, takeover: bool = True) -> None:
        self._bits, self._takeover = bits, takeover
        self._out = self._in = None

    def compress(self, data: bytes) -> bytes:
        if self._out is None or not self._takeover:
            self._out = zlib.compressobj(9, wbits=-self._bits)
        return (self._out.compress(data) + self._out.flush(zlib.Z_SYNC_FLUSH))[:-4]

    def inflate(self, data: bytes, *, takeover: bool, bits: int = 15) -> bytes:
        if self._in is None or not takeover:
            self._in = zlib.decompressobj(-bits)
        return self._in.decompress(data + b"\x00\x00\xff\xff")
