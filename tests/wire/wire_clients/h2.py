"""An HTTP/2 client over h2."""

from __future__ import annotations

import struct
from collections.abc import Iterable

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.settings
from wire_clients.base import Client, Headers, Response, Wire, status_of, without_pseudo


class H2Client(Client):
    """HTTP/2.

    Attributes:
        slow: Streams whose window stays closed once it is used up.
        goaways: Last stream and code of each GOAWAY.
    """

    version = "2"

    def __init__(self, wire: Wire, host: bytes = b"localhost", *, tls: bool = False, push: bool = False) -> None:
        super().__init__()
        self.wire = wire
        self.host = host
        self.scheme = b"https" if tls else b"http"
        self.slow: set[int] = set()
        self.goaways: list[tuple[int, int]] = []
        self._unparsed = bytearray()
        self._unsent: dict[int, tuple[bytearray, bool]] = {}
        self._sent: dict[int, int] = {}
        self.h2 = h2.connection.H2Connection(
            h2.config.H2Configuration(
                header_encoding=None, validate_outbound_headers=False, normalize_outbound_headers=False
            )
        )
        self.h2.local_settings = h2.settings.Settings(
            client=True, initial_values={h2.settings.SettingCodes.ENABLE_PUSH: int(push)}
        )
        self.h2.initiate_connection()
        self.h2.increment_flow_control_window(1 << 20)
        self.flush()

    def flush(self) -> None:
        self.wire.send(self.h2.data_to_send())

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
        stream = self.h2.get_next_available_stream_id()
        pseudo = [(b":method", method.encode()), (b":scheme", self.scheme), (b":path", path.encode())]
        if protocol is not None:
            pseudo.append((b":protocol", protocol))
        self.responses[stream] = Response()
        self._sent[stream] = 0
        self.h2.send_headers(stream, [*pseudo, (b":authority", self.host), *headers], end_stream=end)
        self.flush()
        return stream

    def connect_to(self, authority: bytes, headers: Iterable[tuple[bytes, bytes]] = ()) -> int:
        stream = self.h2.get_next_available_stream_id()
        self.responses[stream] = Response()
        self._sent[stream] = 0
        self.h2.send_headers(stream, [(b":method", b"CONNECT"), (b":authority", authority), *headers])
        self.flush()
        return stream

    def send(self, stream: int, data: bytes, *, end: bool = False) -> None:
        queue, _ = self._unsent.get(stream, (bytearray(), False))
        queue += data
        self._unsent[stream] = queue, end
        self._push_out()

    def _push_out(self) -> None:
        for stream, (queue, end) in list(self._unsent.items()):
            if self.responses[stream].reset is not None:
                del self._unsent[stream]
                continue
            while queue:
                room = min(self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size, len(queue))
                if room <= 0 or len(self.wire.unsent) > 1 << 20:
                    break
                self.h2.send_data(stream, bytes(queue[:room]))
                self._sent[stream] += room
                del queue[:room]
                self.flush()
            if not queue:
                del self._unsent[stream]
                if end:
                    self.h2.end_stream(stream)
        self.flush()

    def send_trailers(self, stream: int, trailers: Headers) -> None:
        self.wait(lambda: stream not in self._unsent, "the body's way out")
        self.h2.send_headers(stream, trailers, end_stream=True)
        self.flush()

    def sent(self, stream: int) -> int:
        return self._sent[stream]

    def reset(self, stream: int) -> None:
        self.h2.reset_stream(stream, h2.errors.ErrorCodes.CANCEL)
        self.flush()

    def half_close(self) -> None:
        self.wire.half_close()

    def close(self) -> None:
        self.wire.close()

    @property
    def closed(self) -> bool:
        return self.wire.eof or self.wire.close_notify

    def poll(self, timeout: float = 0.05, *, read: bool = True) -> None:
        data = self.wire.poll(timeout, read=read)
        for event in self.h2.receive_data(self._without_goaways(data)) if data else ():
            self._on_event(event)
        if self.closed:
            for answer in self.responses.values():
                if not answer.over:
                    answer.reset = -1
        else:
            self._push_out()

    def _without_goaways(self, data: bytes) -> bytes:
        """Takes them out: h2 holds that a GOAWAY ends its connection, and refuses what comes behind it."""
        self._unparsed += data
        frames = bytearray()
        while len(self._unparsed) >= 9:
            size = 9 + int.from_bytes(self._unparsed[:3], "big")
            if len(self._unparsed) < size:
                break
            frame = bytes(self._unparsed[:size])
            del self._unparsed[:size]
            if frame[3] == 7:
                last, code = struct.unpack_from("!II", frame, 9)
                self.goaways.append((last, code))
            else:
                frames += frame
        return bytes(frames)

    def _on_event(self, event: h2.events.Event) -> None:
        answer = self.responses.get(getattr(event, "stream_id", None) or 0, Response())
        if isinstance(event, h2.events.InformationalResponseReceived):
            answer.informational.append((status_of(event.headers), without_pseudo(event.headers)))
        elif isinstance(event, h2.events.ResponseReceived):
            answer.status, answer.headers = status_of(event.headers), without_pseudo(event.headers)
        elif isinstance(event, h2.events.DataReceived):
            answer.body += event.data
            if event.stream_id not in self.slow:
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.TrailersReceived):
            answer.trailers = without_pseudo(event.headers)
        elif isinstance(event, h2.events.StreamEnded):
            answer.ended = True
        elif isinstance(event, h2.events.StreamReset):
            if not answer.ended:
                answer.reset = int(event.error_code)
        elif isinstance(event, h2.events.PushedStreamReceived):
            self.responses[event.pushed_stream_id] = Response()
            self.responses[event.parent_stream_id].pushed.append((event.pushed_stream_id, list(event.headers)))
        self.flush()
