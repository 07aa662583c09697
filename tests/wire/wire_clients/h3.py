"""An HTTP/3 client over aioquic and one UDP socket."""

from __future__ import annotations

import errno
import select
import socket
import time
from collections.abc import Iterable
from typing import Any

from aioquic.h3 import events as h3_events
from aioquic.h3.connection import ErrorCode, H3Connection
from aioquic.quic import events as quic_events
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from wire_clients.base import PATIENCE, Client, Headers, Response, status_of, without_pseudo


class _Http3(H3Connection):
    def _check_content_length(self, stream: Any) -> None:
        """Nothing: aioquic takes a HEAD's or a 304's content-length for a body that is missing."""


class H3Client(Client):
    """HTTP/3 over one UDP socket.

    Attributes:
        slow: Streams whose window stays closed once it is used up.
        goaways: The first stream that each GOAWAY refuses.
        terminated: The connection's end, as aioquic tells it.
    """

    version = "3"

    scheme = b"https"

    def __init__(
        self,
        address: tuple[str, int],
        ca: str,
        host: bytes = b"localhost",
        *,
        max_stream_data: int = 1 << 20,
        patience: float = PATIENCE,
    ) -> None:
        super().__init__()
        self.host = host
        self.slow: set[int] = set()
        self.goaways: list[int] = []
        self.terminated: quic_events.ConnectionTerminated | None = None
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.sock.connect(address)
        self.sock.setblocking(False)
        self._address = address
        configuration = QuicConfiguration(
            is_client=True, alpn_protocols=["h3"], server_name="localhost", max_stream_data=max_stream_data
        )
        configuration.load_verify_locations(ca)
        self.quic = QuicConnection(configuration=configuration)
        self._hold_windows_of_slow_streams()
        self.h3 = _Http3(self.quic)
        self._ready = False
        self.quic.connect(address, now=time.monotonic())
        self.wait(lambda: self._ready or self.closed, "the handshake", patience)

    def _hold_windows_of_slow_streams(self) -> None:
        """aioquic opens a stream's window as bytes arrive and has no way to hold it; so its hook is replaced."""
        write = self.quic._write_stream_limits

        def write_stream_limits(builder: Any, space: Any, stream: Any) -> None:
            if stream.stream_id not in self.slow:
                write(builder=builder, space=space, stream=stream)

        self.quic._write_stream_limits = write_stream_limits

    def open(
        self,
        method: str,
        path: str,
        headers: Iterable[tuple[bytes, bytes]] = (),
        *,
        end: bool = True,
        protocol: bytes | None = None,
    ) -> int:
        """See ``Client``; with ``protocol``, CONNECT is an extended one (RFC 8441, RFC 9220)."""
        stream = self.quic.get_next_available_stream_id()
        pseudo = [(b":method", method.encode()), (b":scheme", b"https"), (b":authority", self.host)]
        if protocol is not None:
            pseudo.append((b":protocol", protocol))
        self.responses[stream] = Response()
        self.h3.send_headers(stream, [*pseudo, (b":path", path.encode()), *headers], end_stream=end)
        self.flush()
        return stream

    def connect_to(self, authority: bytes, headers: Iterable[tuple[bytes, bytes]] = ()) -> int:
        stream = self.quic.get_next_available_stream_id()
        self.responses[stream] = Response()
        self.h3.send_headers(stream, [(b":method", b"CONNECT"), (b":authority", authority), *headers])
        self.flush()
        return stream

    def send(self, stream: int, data: bytes, *, end: bool = False) -> None:
        if self.responses[stream].reset is None:
            self.h3.send_data(stream, data, end)
        self.flush()

    def send_trailers(self, stream: int, trailers: Headers) -> None:
        self.h3.send_headers(stream, trailers, end_stream=True)
        self.flush()

    def sent(self, stream: int) -> int:
        state = self.quic._streams.get(stream)
        return state.sender.highest_offset if state is not None else 0

    def reset(self, stream: int) -> None:
        if not self.quic._streams[stream].sender.is_finished:
            self.quic.reset_stream(stream, ErrorCode.H3_REQUEST_CANCELLED)
        self.quic.stop_stream(stream, ErrorCode.H3_REQUEST_CANCELLED)
        self.flush()

    def close(self) -> None:
        if self.sock.fileno() >= 0:
            self.quic.close()
            self.flush()
            self.sock.close()

    @property
    def closed(self) -> bool:
        return self.terminated is not None

    def flush(self) -> None:
        for data, _ in self.quic.datagrams_to_send(now=time.monotonic()):
            try:
                self.sock.send(data)
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.ECONNREFUSED):
                    raise

    def poll(self, timeout: float = 0.05, *, read: bool = True) -> None:
        self.flush()
        timer = self.quic.get_timer()
        if timer is not None:
            timeout = max(0.0, min(timeout, timer - time.monotonic()))
        if not read:
            time.sleep(timeout)
        elif select.select([self.sock], [], [], timeout)[0]:
            for _ in range(64):
                try:
                    self.quic.receive_datagram(self.sock.recv(65_536), self._address, now=time.monotonic())
                except (BlockingIOError, ConnectionRefusedError):
                    break
        timer = self.quic.get_timer()
        if timer is not None and timer <= time.monotonic():
            self.quic.handle_timer(now=time.monotonic())
        while (event := self.quic.next_event()) is not None:
            self._on_quic(event)
        self.flush()

    def _on_quic(self, event: quic_events.QuicEvent) -> None:
        if isinstance(event, quic_events.HandshakeCompleted):
            self._ready = True
        elif isinstance(event, quic_events.StreamReset):
            answer = self.responses.get(event.stream_id)
            if answer is not None and not answer.ended:
                answer.reset = event.error_code
        elif isinstance(event, quic_events.ConnectionTerminated):
            self.terminated = event
            for answer in self.responses.values():
                if not answer.over:
                    answer.reset = -1
        elif isinstance(event, quic_events.StreamDataReceived) and event.stream_id % 4 == 3:
            self._find_goaway(event.data)
        for found in self.h3.handle_event(event):
            self._on_http(found)

    def _find_goaway(self, data: bytes) -> None:
        """aioquic reads control frames and drops GOAWAY, which is type 7 with a small number on the control stream."""
        if data[:1] == b"\x07" and len(data) == data[1] + 2:
            number = int.from_bytes(data[2:], "big")
            self.goaways.append(number & ((1 << (8 * data[1] - 2)) - 1))

    def _on_http(self, event: h3_events.H3Event) -> None:
        answer = self.responses.get(getattr(event, "stream_id", -1))
        if answer is None:
            return
        if isinstance(event, h3_events.HeadersReceived):
            if answer.status:
                answer.trailers = list(event.headers)
            elif status_of(event.headers) < 200:
                answer.informational.append((status_of(event.headers), without_pseudo(event.headers)))
            else:
                answer.status, answer.headers = status_of(event.headers), without_pseudo(event.headers)
        elif isinstance(event, h3_events.DataReceived):
            answer.body += event.data
        if getattr(event, "stream_ended", False):
            answer.ended = True
