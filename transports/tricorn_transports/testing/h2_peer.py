"""An HTTP/2 client in memory over the h2 library.

Rules of this module: h2 is imported here for the kit only, with all its checks on, so that what it refuses of a server
is that server's fault. Bodies are sent as far as the server's windows let them, and the rest when they open.
"""

from __future__ import annotations

from collections import deque

from h2 import events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.settings import SettingCodes

from tricorn_transports.testing.peers import Fields, Response


class H2Peer:
    """``peers.StreamPeer`` for HTTP/2.

    Args:
        settings: The client's SETTINGS beside the defaults.
        window: How far the connection's window is opened beyond 65,535 at the start, in bytes.
    """

    knows_bodyless = True

    def __init__(self, settings: dict[SettingCodes | int, int] | None = None, *, window: int = 0) -> None:
        #: The library's connection, for what the kit has no word for.
        self.connection = H2Connection(H2Configuration(client_side=True, header_encoding=None))
        if settings:
            self.connection.local_settings.update(settings)
            self.connection.local_settings.acknowledge()
        self.connection.initiate_connection()
        if window:
            self.connection.increment_flow_control_window(window)
        self.responses: dict[int, Response] = {}
        #: The last GOAWAY, and the last stream numbers of all.
        self.goaway: events.ConnectionTerminated | None = None
        self.goaways: list[int] = []
        self.resets: dict[int, int] = {}
        self._in = bytearray()
        self._out = bytearray()
        self._bodies: dict[int, deque[tuple[bytes, bool, Fields]]] = {}
        self._paused: dict[int, int] = {}  # credit kept back

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
            (b":scheme", b"http"),
            (b":authority", b"test"),
            (b":path", target),
        ]
        if protocol is not None:
            fields.append((b":protocol", protocol))
            end = False
        if length is not None:
            fields.append((b"content-length", b"%d" % length))
        self.connection.send_headers(number, [*fields, *headers], end_stream=end)
        self.responses[number] = Response()
        return number

    def send(self, number: int, data: bytes, *, end: bool = False, trailers: Fields = ()) -> None:
        self._bodies.setdefault(number, deque()).append((data, end, trailers))
        self._send_bodies()

    def _send_bodies(self) -> None:
        for number, parts in list(self._bodies.items()):
            while parts and number not in self.resets:
                data, end, trailers = parts[0]
                room = min(self.connection.local_flow_control_window(number), self.connection.max_outbound_frame_size)
                if data and room <= 0:
                    break
                is_last = len(data) <= room or not data
                self.connection.send_data(number, data[:room], end_stream=is_last and end and not trailers)
                if not is_last:
                    parts[0] = (data[room:], end, trailers)
                    continue
                parts.popleft()
                if trailers:
                    self.connection.send_headers(number, list(trailers), end_stream=True)
            if not parts or number in self.resets:
                del self._bodies[number]

    def take(self) -> bytes:
        self._send_bodies()
        data = bytes(self._out) + self.connection.data_to_send()
        self._out.clear()
        return data

    def receive(self, data: bytes) -> None:
        self._in += data
        while len(self._in) >= 9 and len(self._in) >= (size := 9 + int.from_bytes(self._in[:3], "big")):
            frame = bytes(self._in[:size])
            del self._in[:size]
            self._out += self.connection.data_to_send()
            state = self.connection.state_machine.state
            self._on_frame(frame)
            if self.goaway is not None and not self.goaway.error_code:
                # RFC 9113 section 6.8: what runs goes on after a GOAWAY, but the library takes it for the end.
                self.connection.state_machine.state = state

    def _on_frame(self, frame: bytes) -> None:
        for event in self.connection.receive_data(frame):
            if isinstance(event, events.ConnectionTerminated):
                self.goaway = event
                self.goaways.append(event.last_stream_id or 0)
            elif isinstance(event, events.PushedStreamReceived):
                path = dict(event.headers or ())[b":path"]
                self.responses[event.parent_stream_id or 0].promised.append((event.pushed_stream_id or 0, bytes(path)))
                self.responses[event.pushed_stream_id or 0] = Response()
            else:
                self._on_stream_event(event)

    def _on_stream_event(self, event: events.Event) -> None:
        response = self.responses.get(getattr(event, "stream_id", None) or 0)
        if response is None:
            return
        if isinstance(event, events.InformationalResponseReceived):
            fields = [(bytes(name), bytes(value)) for name, value in event.headers or ()]
            response.informational.append((int(fields[0][1]), fields[1:]))
        elif isinstance(event, events.ResponseReceived):
            fields = [(bytes(name), bytes(value)) for name, value in event.headers or ()]
            response.status, response.headers = int(fields[0][1]), fields[1:]
        elif isinstance(event, events.DataReceived):
            response.body += event.data or b""
            credit = event.flow_controlled_length or 0
            if event.stream_id in self._paused:
                self._paused[event.stream_id] += credit
            elif credit:
                self.connection.acknowledge_received_data(credit, event.stream_id)
        elif isinstance(event, events.TrailersReceived):
            response.trailers = [(bytes(name), bytes(value)) for name, value in event.headers or ()]
        elif isinstance(event, events.StreamEnded):
            response.ended = True
        elif isinstance(event, events.StreamReset):
            self.resets[event.stream_id] = int(event.error_code or 0)
            response.aborted = not response.ended

    def receive_eof(self) -> None:
        for response in self.responses.values():
            response.aborted = response.aborted or not response.ended

    def reset(self, number: int, code: int = 0x8) -> None:
        """RST_STREAM, CANCEL unless another code is given."""
        self._bodies.pop(number, None)
        self.resets[number] = code
        self.connection.reset_stream(number, code)

    def pause(self, number: int) -> None:
        self._paused.setdefault(number, 0)

    def resume(self, number: int) -> None:
        credit = self._paused.pop(number)
        if credit:
            self.connection.acknowledge_received_data(credit, number)
