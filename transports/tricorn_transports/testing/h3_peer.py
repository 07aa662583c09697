"""An HTTP/3 client in memory over the aioquic library.

Rules of this module: aioquic is imported here for the kit only, through its public interface. Its client opens its
windows by what arrives and cannot be told not to, so ``pause`` is not to be had.
"""

from __future__ import annotations

import ssl
from unittest import SkipTest

from aioquic.h3.connection import H3Connection
from aioquic.h3.events import DataReceived, H3Event, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.events import ConnectionTerminated, QuicEvent, StopSendingReceived, StreamReset

from tricorn_transports.testing.peers import Fields, Response

_SERVER = ("192.0.2.1", 443)


class H3Peer:
    """``peers.DatagramPeer`` for HTTP/3. It verifies no certificate."""

    knows_bodyless = False

    def __init__(self) -> None:
        configuration = QuicConfiguration(
            is_client=True, alpn_protocols=["h3"], server_name="test", verify_mode=ssl.CERT_NONE, idle_timeout=86_400.0
        )
        self.connection = QuicConnection(configuration=configuration)
        self.http = H3Connection(self.connection)
        self.responses: dict[int, Response] = {}
        #: Codes of streams that the server reset, or whose request body it stopped.
        self.resets: dict[int, int] = {}
        self.stopped: dict[int, int] = {}
        #: The code with which the connection ended.
        self.closed: int | None = None
        self._is_begun = False

    def request(
        self,
        method: bytes,
        target: bytes,
        headers: Fields = (),
        *,
        length: int | None = None,
        end: bool = True,
        protocol: bytes | None = None,
    ) -> int:
        number = self.connection.get_next_available_stream_id()
        fields = [
            (b":method", b"CONNECT" if protocol else method),
            (b":scheme", b"https"),
            (b":authority", b"test"),
            (b":path", target),
        ]
        if protocol is not None:
            fields.append((b":protocol", protocol))
            end = False
        if length is not None:
            fields.append((b"content-length", b"%d" % length))
        self.http.send_headers(number, [*fields, *headers], end_stream=end)
        self.responses[number] = Response()
        return number

    def send(self, number: int, data: bytes, *, end: bool = False, trailers: Fields = ()) -> None:
        if number in self.stopped:
            return
        self.http.send_data(number, data, end_stream=end and not trailers)
        if trailers:
            self.http.send_headers(number, list(trailers), end_stream=True)

    def take_datagrams(self, now: float) -> list[bytes]:
        if not self._is_begun:
            self._is_begun = True
            self.connection.connect(_SERVER, now)
        return [data for data, _ in self.connection.datagrams_to_send(now)]

    def receive_datagram(self, data: bytes, now: float) -> None:
        self.connection.receive_datagram(data, _SERVER, now)
        self._read()

    def handle_timer(self, now: float) -> None:
        due = self.connection.get_timer()
        if due is not None and due <= now:
            self.connection.handle_timer(now)
            self._read()

    def _read(self) -> None:
        while (event := self.connection.next_event()) is not None:
            self._on_quic_event(event)
            for told in self.http.handle_event(event):
                self._on_event(told)

    def _on_quic_event(self, event: QuicEvent) -> None:
        if isinstance(event, ConnectionTerminated):
            self.closed = event.error_code
            for response in self.responses.values():
                response.aborted = response.aborted or not response.ended
        elif isinstance(event, StreamReset):
            self.resets[event.stream_id] = event.error_code
            if event.stream_id in self.responses:
                self.responses[event.stream_id].aborted = True
        elif isinstance(event, StopSendingReceived):
            self.stopped[event.stream_id] = event.error_code

    def _on_event(self, event: H3Event) -> None:
        if isinstance(event, HeadersReceived):
            response = self.responses[event.stream_id]
            fields = [(bytes(name), bytes(value)) for name, value in event.headers]
            status = int(dict(fields).get(b":status", b"0"))
            fields = [field for field in fields if field[0] != b":status"]
            if 100 <= status < 200:
                response.informational.append((status, fields))
            elif status:
                response.status, response.headers = status, fields
            else:
                response.trailers = fields
        elif isinstance(event, DataReceived):
            response = self.responses[event.stream_id]
            response.body += event.data
        else:
            return
        response.ended = response.ended or event.stream_ended

    def pause(self, number: int) -> None:
        raise SkipTest("aioquic's client has no way not to read")

    def resume(self, number: int) -> None:
        raise SkipTest("aioquic's client has no way not to read")
