"""The sending side of HTTP/2: the exchange's commands, and DATA frames made as the peer and the socket take them.

Rules of this module:
- No library: ``Library`` says what is asked of it.
- HEADERS and PUSH_PROMISE are written when they are commanded, DATA and trailers only when the connection asks for
  output. So windows, priorities and the socket's pace decide what goes, and what is commanded later still goes before
  the bytes that wait.
- A command for a stream that is gone does nothing; one that breaks HTTP raises ``LocalProtocolError``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from tricorn_transports.abc import EngineContext, Feature
from tricorn_transports.engines import h2_wire as wire
from tricorn_transports.engines.guard import Budget
from tricorn_transports.engines.h2_priority import Priorities
from tricorn_transports.engines.h2_windows import ReceiveWindows
from tricorn_transports.engines.head import CONNECTION_FIELDS
from tricorn_transports.engines.scheduler import Scheduler
from tricorn_transports.engines.stream import Stream
from tricorn_transports.errors import LocalProtocolError
from tricorn_transports.events import AbortReason, Event, RawHeaders, RequestStarted, StreamAborted, StreamWritable

_FLUSH_BYTES = 262_144
_MAX_FRAME = 65_536
_UNLIMITED = 1 << 62
#: Frames like WINDOW_UPDATE that a peer may send us for each frame of a response that it gets.
_EARNED = 8
_FEATURES = Feature.MULTIPLEX | Feature.EARLY_HINTS | Feature.TRAILERS | Feature.TUNNEL
_FEATURES_PUSH = _FEATURES | Feature.PUSH
_STATUS = {status: (b":status", b"%d" % status) for status in range(100, 1000)}


class Library(Protocol):
    """The part of an HTTP/2 implementation that sending needs. Frames go into its own buffer, in order."""

    max_outbound_frame_size: int
    remote_settings: Any  # .enable_push and .max_concurrent_streams; the library's own class has no public name here

    @property
    def streams(self) -> Mapping[int, Any]:
        """Streams by number, each with ``closed``."""

    def send_headers(self, stream_id: int, headers: Iterable[tuple[bytes, bytes]], end_stream: bool = ...) -> None: ...
    def send_data(self, stream_id: int, data: bytes, end_stream: bool = ...) -> None: ...
    def push_stream(self, stream_id: int, promised_stream_id: int, request_headers: RawHeaders) -> None: ...
    def get_next_available_stream_id(self) -> int: ...
    def reset_stream(self, stream_id: int, error_code: int = ...) -> None: ...
    def local_flow_control_window(self, stream_id: int) -> int: ...
    def increment_flow_control_window(self, increment: int, stream_id: int | None = ...) -> None: ...
    def data_to_send(self) -> bytes: ...


class H2Output:
    """The half of an HTTP/2 engine that sends; a subclass receives.

    Args:
        library: The protocol's state; its frames are this connection's.
    """

    __slots__ = (
        "_closed", "_control", "_date",
        "_eof", "_events", "_idle_since", "_last_stream_id", "_library", "_limits", "_now", "_out",
        "_peer_is_closing", "_priorities", "_pushes", "_scheduler", "_scheme", "_settled", "_stalled", "_streams",
        "_windows",
    )  # fmt: skip

    http_version = "2"

    def __init__(self, library: Library, context: EngineContext) -> None:
        self._library = library
        self._limits = context.limits
        self._scheme = context.scheme
        self._date = context.date
        self._now = context.now
        self._streams: dict[int, Stream] = {}
        self._scheduler = Scheduler()
        self._priorities = Priorities(self._scheduler, context.limits.max_concurrent_streams)
        self._windows = ReceiveWindows(context.limits, self._announce)
        self._stalled: dict[int, float] = {}  # streams that the peer's window stops, and since when: oldest first
        self._events: list[Event] = []
        self._out: list[bytes] = []  # goes before what the library holds
        self._pushes = 0
        self._control = Budget(context.limits.max_control_frames, context.limits.max_control_frames / 10, context.now)
        self._idle_since: float | None = context.now  # None while streams run, and until the next output after the last
        self._settled = False  # the peer's first SETTINGS are there
        self._closed = False
        self._eof = False
        self._peer_is_closing = False
        self._last_stream_id = wire.MAX_STREAM_ID  # streams above it are refused

    # ---------------------------------------------------------------------------------------------------- commands

    @property
    def features(self) -> Feature:
        if self._settled and self._library.remote_settings.enable_push and not self._peer_is_closing:
            return _FEATURES_PUSH
        return _FEATURES

    def take_events(self) -> list[Event]:
        events = self._events
        if events:
            self._events = []
        return events

    @staticmethod
    def status_field(status: int) -> tuple[bytes, bytes]:
        """The ``:status`` pseudo-header field."""
        return _STATUS[status]

    def send_headers(self, stream_id: int, status: int, headers: RawHeaders, *, end: bool = False) -> None:
        stream = self._streams.get(stream_id)
        if stream is None:
            return
        if stream.answered or status < 200:
            raise LocalProtocolError(f"status {status} is not the start of a response here", stream_id=stream_id)
        stream.answered = True
        if status in (204, 304):
            stream.bodyless = True
        end = end or stream.bodyless
        self._library.send_headers(stream_id, _fields(status, headers), end)
        if end:
            stream.ending = True
            self._end_was_sent(stream)

    def send_informational(self, stream_id: int, status: int, headers: RawHeaders) -> None:
        stream = self._streams.get(stream_id)
        if stream is None or stream_id % 2 == 0:  # a promised stream takes no interim response (RFC 9113 section 8.4.2)
            return
        if stream.answered or not 100 <= status < 200 or status == 101:
            raise LocalProtocolError(f"status {status} is not an interim response here", stream_id=stream_id)
        self._library.send_headers(stream_id, _fields(status, headers))

    def send_data(self, stream_id: int, data: bytes, *, end: bool = False) -> None:
        stream = self._streams.get(stream_id)
        if stream is None or not self._may_send(stream):
            return
        if data:
            stream.put(data)
        elif not end:
            return
        stream.ending = end
        if stream_id not in self._stalled:
            self._scheduler.ready(stream_id)

    def send_trailers(self, stream_id: int, trailers: RawHeaders) -> None:
        stream = self._streams.get(stream_id)
        if stream is None or not self._may_send(stream):
            return
        stream.ending = True
        stream.trailers_to_send = trailers or None
        if stream_id not in self._stalled:
            self._scheduler.ready(stream_id)

    def _may_send(self, stream: Stream) -> bool:
        """False where a body is dropped."""
        if not stream.answered:
            raise LocalProtocolError("a body before its response", stream_id=stream.stream_id)
        if stream.bodyless:
            return False
        if stream.ending:
            raise LocalProtocolError("a body after its end", stream_id=stream.stream_id)
        return True

    def accept_tunnel(self, stream_id: int, headers: RawHeaders) -> None:
        self.send_headers(stream_id, 200, headers)

    def push(self, stream_id: int, path: bytes, headers: RawHeaders) -> RequestStarted | None:
        """RFC 9113 section 8.4. The promise goes out before any byte of the parent that waits."""
        parent = self._streams.get(stream_id)
        library = self._library
        if parent is None or parent.end_sent or stream_id % 2 == 0 or not parent.authority:
            return None
        if Feature.PUSH not in self.features:
            return None
        if self._pushes >= min(self._limits.max_pushes, library.remote_settings.max_concurrent_streams):
            return None
        promised = library.get_next_available_stream_id()
        fields = [(b":method", b"GET"), (b":scheme", self._scheme), (b":authority", parent.authority), (b":path", path)]
        library.push_stream(stream_id, promised, fields + headers)
        self._pushes += 1
        stream = Stream(promised, parent.authority, None, False)
        stream.ended = True
        self._streams[promised] = stream
        self._priorities.pushed(promised, stream_id)
        return RequestStarted(
            promised, b"GET", path, self._scheme, parent.authority, headers, "2", pushed_from=stream_id
        )

    def set_priority(self, stream_id: int, urgency: int, incremental: bool) -> None:
        stream = self._streams.get(stream_id)
        if stream is not None:
            stream.is_prioritized = True
            self._scheduler.prioritize(stream_id, urgency, incremental)

    def sendable(self, stream_id: int) -> int:
        stream = self._streams.get(stream_id)
        if stream is None:
            return _UNLIMITED
        room = self._limits.stream_send_buffer - stream.queued
        if room <= 0:
            stream.waiting = True
        return room

    def consumed(self, stream_id: int, credit: int) -> None:
        stream = self._streams.get(stream_id)
        if stream is not None and (credit := min(credit, stream.unread)):  # release() has given it all back
            self._windows.read(stream, credit)

    def abort(self, stream_id: int, reason: AbortReason) -> None:
        stream = self._streams.get(stream_id)
        if stream is not None:
            self._reset(stream_id, wire.STREAM_CODES[reason])
            self._drop(stream)

    def release(self, stream_id: int) -> None:
        """Also returns the credit of what was not read: other streams share the connection's window."""
        stream = self._streams.get(stream_id)
        if stream is None:
            return
        stream.released = True
        if stream.unread:
            self._windows.read(stream, stream.unread)
        if stream.end_sent:
            self._finish(stream)
        elif not stream.ending:
            self.abort(stream_id, AbortReason.INTERNAL_ERROR)

    # ------------------------------------------------------------------------------------------------------ output

    def data_to_send(self, now: float) -> list[bytes]:
        self._now = now
        scheduler = self._scheduler
        budget = _FLUSH_BYTES
        # An application that can go on does so before others of less urgency have their turn; else every stream that
        # has something would get as much as the most urgent one.
        while budget > 0 and not self._events:
            stream_id = scheduler.next()
            if stream_id is None:
                break
            budget -= self._transmit(stream_id)
        if self._idle_since is None and not self._streams:
            self._idle_since = now
        data = self._library.data_to_send()
        if self._out:
            self._append(data)
            out, self._out = self._out, []
            return out
        return [data] if data else []

    def _transmit(self, stream_id: int) -> int:
        """Sends one frame of a ready stream, or finds that it may not. Gives the number of bytes."""
        stream = self._streams[stream_id]
        library = self._library
        size = 0
        if stream.queued:
            room = min(library.local_flow_control_window(stream_id), library.max_outbound_frame_size, _MAX_FRAME)
            if room <= 0 and self._eof:  # the window will never open again
                self._kill(stream_id, AbortReason.DISCONNECTED, self._events)
                return 0
            if room <= 0:
                self._scheduler.idle(stream_id)
                self._stalled.setdefault(stream_id, self._now)
                return 0
            self._control.earn(_EARNED)
            data = stream.take(room)
            size = len(data)
            is_last = stream.ending and not stream.queued and stream.trailers_to_send is None
            library.send_data(stream_id, data, is_last)
            if self._priorities.tree is not None:
                self._priorities.tree.sent(stream_id, size)
            if self._stalled:
                self._stalled.pop(stream_id, None)
            if stream.waiting and stream.queued < self._limits.stream_send_buffer:
                stream.waiting = False
                self._events.append(StreamWritable(stream_id))
        elif stream.trailers_to_send is None:
            library.send_data(stream_id, b"", True)
        if not stream.queued:
            self._scheduler.idle(stream_id)
            if stream.ending:
                if stream.trailers_to_send is not None:
                    library.send_headers(stream_id, _allowed(stream.trailers_to_send), True)
                self._end_was_sent(stream)
        return size + wire.FRAME_HEADER

    def _announce(self, size: int, stream_id: int | None) -> None:
        """Lets the peer send ``size`` more bytes, on one stream or on all together."""
        if stream_id is not None:
            stream = self._library.streams.get(stream_id)
            if stream is None or stream.closed:
                return
        if not self._closed:
            self._library.increment_flow_control_window(size, stream_id)

    def _append(self, data: bytes) -> None:
        """Puts bytes behind all that was written so far."""
        written = self._library.data_to_send()
        self._out += [part for part in (written, data) if part]

    def _wake_all(self) -> None:
        """The connection's window, or every stream's, has grown."""
        for stream_id in self._stalled:
            self._scheduler.ready(stream_id)

    # ----------------------------------------------------------------------------------------------------- endings

    def _end_was_sent(self, stream: Stream) -> None:
        stream.end_sent = True
        self._control.earn(_EARNED)
        if stream.released:
            self._finish(stream)

    def _finish(self, stream: Stream) -> None:
        """All is sent and the exchange is over. RFC 9113 section 8.1: the rest of a request can be declined."""
        if not stream.ended:
            self._reset(stream.stream_id, wire.NO_ERROR)
        self._drop(stream)

    def _kill(self, stream_id: int, reason: AbortReason, events: list[Event]) -> None:
        """Resets a stream from this side, and tells its exchange if there still is one."""
        stream = self._streams[stream_id]
        self._reset(stream_id, wire.STREAM_CODES[reason])
        self._drop(stream)
        if not stream.released:
            events.append(StreamAborted(stream_id, reason))

    def _reset(self, stream_id: int, code: int) -> None:
        stream = self._library.streams.get(stream_id)
        if stream is not None and not stream.closed:
            self._library.reset_stream(stream_id, code)

    def _drop(self, stream: Stream) -> None:
        """Forgets a stream; the connection's credit that it held goes back."""
        stream_id = stream.stream_id
        del self._streams[stream_id]
        self._scheduler.discard(stream_id)
        if self._priorities.tree is not None:
            self._priorities.tree.close(stream_id)
        self._stalled.pop(stream_id, None)
        if self._windows.streams:
            self._windows.closed(stream)
        if stream_id % 2 == 0:
            self._pushes -= 1
        if not self._streams:
            self._close_if_done()

    def _forget_all(self) -> None:
        self._streams.clear()
        self._stalled.clear()
        self._scheduler = Scheduler()
        self._priorities = Priorities(self._scheduler, self._limits.max_concurrent_streams)

    def _close_if_done(self) -> None:
        """Nothing runs, and nothing more will come."""
        if not self._streams and (self._eof or self._peer_is_closing or self._last_stream_id != wire.MAX_STREAM_ID):
            self._closed = True


def _allowed(headers: RawHeaders) -> RawHeaders:
    """Without HTTP/1's connection fields, and without outer white space (RFC 9113 sections 8.2.1 and 8.2.2)."""
    return [(name, value.strip(b" \t")) for name, value in headers if name not in CONNECTION_FIELDS]


def _fields(status: int, headers: RawHeaders) -> RawHeaders:
    return [_STATUS[status], *_allowed(headers)]
