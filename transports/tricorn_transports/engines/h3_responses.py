"""The way out of an HTTP/3 connection: responses queued, ordered, and handed to QUIC as the network takes them.

Rules of this module:
- The QUIC library buffers without bound and knows no priorities, so bytes wait here, where ``sendable`` counts them
  and ``scheduler`` orders them; only ``_AHEAD`` of them go ahead of the network.
- A stream is *outgoing* from the command that gives it something to send until all of that has left at least once.
  A finished response that cannot leave is therefore found by ``stalled``.
- Heads go to the library at once: they are small, and a 103 or a 200 must not wait for another stream's body.
"""

from __future__ import annotations

from math import inf
from typing import Final

from tricorn_transports.engines.h3_stream import Stream
from tricorn_transports.engines.head import CONNECTION_FIELDS
from tricorn_transports.engines.scheduler import Scheduler
from tricorn_transports.errors import LocalProtocolError
from tricorn_transports.events import RawHeaders
from tricorn_transports.http.priority import DEFAULT
from tricorn_transports.quic.aioquic.connection import Connection
from tricorn_transports.quic.aioquic.http3 import Http3

#: Bytes handed over ahead of the network: more than the library sends in one go, so that it never runs dry.
_AHEAD: Final = 32_768
#: Bytes of one DATA frame: small enough that incremental responses take turns, large enough to cost little.
_SLICE: Final = 16_384
_UNLIMITED: Final = 1 << 62

STATUS: Final = {status: (b":status", b"%d" % status) for status in range(100, 1000)}


class Responses:
    """The streams of one connection and what is to be sent on them.

    Args:
        send_buffer: Bytes a stream may queue before its application must wait.
        write_timeout: Seconds in which a client must take at least one byte of a waiting response.

    Attributes:
        streams: All streams that are not forgotten, by ID.
        outgoing: Those of them with something that has not left.
    """

    __slots__ = ("_h3", "_low_water", "_moved_at", "_quic", "_scheduler", "_send_buffer", "_stalls_at",
                 "_write_timeout", "outgoing", "streams")  # fmt: skip

    def __init__(self, quic: Connection, h3: Http3, *, send_buffer: int, write_timeout: float) -> None:
        self._quic = quic
        self._h3 = h3
        self._send_buffer = send_buffer
        self._low_water = send_buffer // 2
        self._write_timeout = write_timeout
        self._scheduler = Scheduler()
        self._moved_at = -inf
        self._stalls_at = inf
        self.streams: dict[int, Stream] = {}
        self.outgoing: dict[int, Stream] = {}

    # ----------------------------------------------------------------------------------------------------- commands

    def add(self, stream: Stream, priority: tuple[int, bool] | None) -> None:
        """Takes a new stream in."""
        self.streams[stream.stream_id] = stream
        urgency, incremental = priority or DEFAULT
        self._scheduler.add(stream.stream_id, urgency, incremental)

    def discard(self, stream_id: int) -> None:
        """Forgets a stream and what it has queued."""
        self.streams.pop(stream_id, None)
        self.outgoing.pop(stream_id, None)
        self._scheduler.discard(stream_id)

    def prioritize(self, stream_id: int, urgency: int, incremental: bool) -> None:
        """Changes the place of a response among the others (RFC 9218)."""
        self._scheduler.prioritize(stream_id, urgency, incremental)

    def head(self, stream: Stream, status: int, headers: RawHeaders, end: bool, now: float) -> None:
        """Sends a final or an interim head."""
        if stream.answered:
            raise LocalProtocolError("the response's head was sent already", stream_id=stream.stream_id)
        if status >= 200:
            stream.answered = True
            stream.ending = stream.end_sent = end
            stream.bodyless = stream.bodyless or status in (204, 304)
        self._h3.send_headers(stream.stream_id, [STATUS[status], *_allowed(headers)], end)
        self._leaves(stream, now)

    def body(self, stream: Stream, data: bytes, end: bool, now: float) -> None:
        """Queues body bytes, or drops them where the response has no body."""
        if stream.ending or not stream.answered:
            raise LocalProtocolError("body bytes before the head or after the end", stream_id=stream.stream_id)
        if data and not stream.bodyless:
            stream.put(data)
        elif not end:
            return
        stream.ending = end
        self._leaves(stream, now)

    def trailers(self, stream: Stream, trailers: RawHeaders, now: float) -> None:
        """Ends the response with a trailer section."""
        if stream.ending or not stream.answered:
            raise LocalProtocolError("trailers before the head or after the end", stream_id=stream.stream_id)
        if not stream.bodyless:
            stream.trailers_to_send = _allowed(trailers)
        stream.ending = True
        self._leaves(stream, now)

    def sendable(self, stream_id: int) -> int:
        """Bytes that may be queued; a stream that is gone takes any number."""
        stream = self.streams.get(stream_id)
        if stream is None:
            return _UNLIMITED
        room = self._send_buffer - stream.queued
        if room <= 0:
            stream.waiting = True
        return room

    def _leaves(self, stream: Stream, now: float) -> None:
        if stream.stream_id not in self.outgoing:
            self.outgoing[stream.stream_id] = stream
            stream.moved_at = now
            self._stalls_at = min(self._stalls_at, now + self._write_timeout)

    # ----------------------------------------------------------------------------------------------- to the network

    def hand_over(self) -> list[int]:
        """Gives the library what it can send next, in the order of the priorities.

        Returns:
            The streams that were full and have room again.
        """
        quic, scheduler, ahead = self._quic, self._scheduler, 0
        writable: list[int] = []
        for stream_id, stream in self.outgoing.items():
            if stream.queued:
                waiting, room, _ = quic.sending(stream_id)
                ahead += waiting
                if room > 0:
                    scheduler.ready(stream_id)
            elif stream.ending and not stream.end_sent:
                scheduler.ready(stream_id)
            else:
                ahead += quic.sending(stream_id)[0]
        # An application that can go on does so before others of less urgency have their turn.
        while ahead < _AHEAD and not writable:
            next_id = scheduler.next()
            if next_id is None:
                break
            stream = self.streams[next_id]
            if stream.queued:
                room = quic.sending(next_id)[1]
                if room <= 0:
                    scheduler.idle(next_id)
                    continue
                data = stream.take(min(room, _SLICE))
                ahead += len(data)
                self._pass_on(stream, data)
            else:
                self._pass_on(stream, b"")
            if not stream.queued:
                scheduler.idle(next_id)
            if stream.waiting and stream.queued <= self._low_water:
                stream.waiting = False
                writable.append(next_id)
        return writable

    def _pass_on(self, stream: Stream, data: bytes) -> None:
        stream_id, trailers = stream.stream_id, stream.trailers_to_send
        end = stream.end_sent = stream.ending and not stream.queued
        if data:
            self._h3.send_data(stream_id, data, end and not trailers)
        elif end and not trailers:
            self._h3.end(stream_id)
        if end and trailers:
            self._h3.send_headers(stream_id, trailers, True)

    def has_ready(self) -> bool:
        """Whether more can be handed over once the library has sent what it has."""
        return len(self._scheduler) > 0

    def settle(self, now: float) -> list[Stream]:
        """Looks at what has left.

        Returns:
            The streams that nobody needs any more.
        """
        quic, oldest = self._quic, inf
        gone: list[Stream] = []
        for stream_id, stream in self.outgoing.items():
            if not stream.queued and stream.end_sent is stream.ending and quic.is_sent(stream_id):
                gone.append(stream)
                continue
            sent = quic.sending(stream_id)[2]
            if sent != stream.sent:
                stream.sent = sent
                stream.moved_at = self._moved_at = now
            oldest = min(oldest, stream.moved_at)
        self._stalls_at = oldest + self._write_timeout
        for stream in gone:
            del self.outgoing[stream.stream_id]
        return [stream for stream in gone if stream.released]

    # ---------------------------------------------------------------------------------------------------- deadlines

    def deadline(self) -> float:
        """When ``stalled`` is to be asked; infinity for never."""
        return self._stalls_at if self.outgoing else inf

    def stalled(self, now: float) -> list[Stream]:
        """The responses of which the client has taken no byte for too long.

        One that only waits for others of its connection is not among them: that is not the client's fault.
        """
        found: list[Stream] = []
        self._stalls_at = inf
        for stream in self.outgoing.values():
            has_window = self._quic.sending(stream.stream_id)[1] > 0
            moved_at = max(stream.moved_at, self._moved_at) if has_window else stream.moved_at
            if now >= moved_at + self._write_timeout:
                found.append(stream)
            else:
                self._stalls_at = min(self._stalls_at, moved_at + self._write_timeout)
        return found


def _allowed(headers: RawHeaders) -> RawHeaders:
    """The fields without those that RFC 9114 section 4.2 forbids."""
    for name, _ in headers:
        if name in CONNECTION_FIELDS:
            return [field for field in headers if field[0] not in CONNECTION_FIELDS]
    return headers
