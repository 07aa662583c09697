"""The receiving side of HTTP/2: what the library read, made into events, and what of it is too much.

Rules of this module:
- One frame is handled at a time: an error costs no event that came before it, and it is known which stream it belongs
  to. An error of one stream resets that stream; the library alone would end the connection.
- Every frame that brings no request forward is paid for out of a budget (``_on_control``, ``_charge``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import inf
from typing import Any

from tricorn_transports.abc import EngineContext
from tricorn_transports.engines import h2_wire as wire
from tricorn_transports.engines.guard import Budget
from tricorn_transports.engines.h2_library import DenialOfServiceError, H2Library, H2ProtocolError, h2_events
from tricorn_transports.engines.h2_output import H2Output
from tricorn_transports.engines.h2_priority import Dependency
from tricorn_transports.engines.h2_tree import DEFAULT_WEIGHT
from tricorn_transports.engines.head import CONNECTION_FIELDS, parse_head, refusal_fields
from tricorn_transports.engines.stream import Stream
from tricorn_transports.errors import LimitExceeded, RemoteProtocolError
from tricorn_transports.events import (
    AbortReason,
    BodyReceived,
    Event,
    PeerClosing,
    PeerErred,
    PriorityChanged,
    RequestEnded,
    RequestStarted,
    StreamAborted,
)

_MAX_INBOUND_FRAME = 16_384
#: Frames with less than this that belong to no stream, or only to one that is over, are mere work.
_TINY = 128
_NOT_ADOPTED = CONNECTION_FIELDS | {b"http2-settings"}
SHUTDOWN_PING = b"goodbye\x00"


class H2Input(H2Output):
    """The half of an HTTP/2 engine that receives, on top of the one that sends.

    Args:
        context: Limits, deadlines, the scheme, and the time of creation.
    """

    __slots__ = ("_connection", "_resets", "_shutdown_at", "_shutdown_begun", "_unparsed")

    def __init__(self, context: EngineContext) -> None:
        limits = context.limits
        self._connection = H2Library(limits)
        super().__init__(self._connection, context)
        self._unparsed = 0
        self._resets = Budget(limits.max_resets, limits.max_resets / 10, context.now)
        self._shutdown_begun = False
        self._shutdown_at: float | None = None

    # ----------------------------------------------------------------------------------------------------- inwards

    def receive_data(self, data: bytes, now: float) -> list[Event]:
        self._now = now
        events: list[Event] = []
        connection = self._connection
        frames = connection.incoming_buffer
        self._unparsed += len(data)
        while not self._closed:
            frames.current = None
            try:
                received = connection.receive_data(data)
            except H2ProtocolError as error:
                self._on_error(error, events)
            else:
                for event in received:
                    handler = _HANDLERS.get(type(event))
                    if handler is not None:
                        handler(self, event, events)
                if not received:
                    self._on_nothing(frames.current, events)
            if frames.goaways:
                self._on_goaway(events)
            if frames.current is None:
                break
            if not self._settled and not self._closed:
                early = RemoteProtocolError("the first frame is not SETTINGS")
                self._end(wire.PROTOCOL_ERROR, AbortReason.PROTOCOL_ERROR, events, early)
            self._unparsed = 0
            if frames.left <= 0:
                break
            data = b""
        if self._unparsed > 2 * _MAX_INBOUND_FRAME + self._limits.max_head_bytes and not self._closed:
            # A header block in many frames, or one frame that is far too long: h2 holds either until it is whole.
            endless = LimitExceeded("a header block or a frame has no end", limit="max_head_bytes")
            self._end(wire.ENHANCE_YOUR_CALM, AbortReason.LIMIT, events, endless)
        return events

    def adopt(self, request: RequestStarted, settings: bytes, now: float) -> list[Event]:
        """Begins with a request that came over HTTP/1.1, as stream 1 (RFC 7540 section 3.2).

        Args:
            request: It is complete; its fields that belong to HTTP/1.1's connection are left out.
            settings: The payload of the client's first SETTINGS frame.

        Raises:
            RemoteProtocolError: The settings are invalid.
        """
        self._now = now
        try:
            self._connection.adopt(settings)
        except H2ProtocolError as error:
            raise RemoteProtocolError(f"HTTP2-Settings: {error}") from error
        headers = [field for field in request.headers if field[0] not in _NOT_ADOPTED]
        request = replace(request, stream_id=1, headers=headers, http_version="2", protocol=None)
        events: list[Event] = []
        self._open(request, None, events)
        self._streams[1].ended = True
        events.append(RequestEnded(1))
        return events

    def receive_eof(self, now: float) -> list[Event]:
        """What can still be answered is: complete requests, as far as the windows go that the peer has given."""
        self._now = now
        self._eof = True
        events: list[Event] = []
        streams = self._streams.values()
        for stream in [s for s in streams if not s.ended or s.stream_id in self._stalled]:
            self._kill(stream.stream_id, AbortReason.DISCONNECTED, events)
        self._close_if_done()
        return events

    def _on_request(self, event: h2_events.RequestReceived, events: list[Event]) -> None:
        stream_id, limits = event.stream_id, self._limits
        ended = event.stream_ended is not None
        if stream_id > self._last_stream_id or self._is_full():
            self._connection.reset_stream(stream_id, wire.REFUSED_STREAM)
            self._charge(events)
            return
        try:
            request = parse_head(stream_id, event.headers, limits=limits, scheme=self._scheme, http_version="2")
        except RemoteProtocolError as error:
            # No exchange will see it: it gets its status here, and its body is not wanted.
            fields = [self.status_field(error.status_hint), *refusal_fields(self._date)]
            self._connection.send_headers(stream_id, fields, True)
            if not ended:
                self._connection.reset_stream(stream_id, wire.NO_ERROR)
            events.append(PeerErred(error))
            self._charge(events)
            return
        if ended:
            request.expects_continue = False
        place = event.priority_updated
        self._open(request, None if place is None else _dependency(place), events)

    def _open(self, request: RequestStarted, place: Dependency | None, events: list[Event]) -> None:
        stream_id = request.stream_id
        self._idle_since = None
        self._streams[stream_id] = Stream(
            stream_id, request.authority, request.content_length, request.method == b"HEAD"
        )
        if request.priority is None and place is None and not self._priorities.is_spoken_of:
            self._scheduler.add(stream_id)
        else:
            request.priority = self._priorities.opened(stream_id, request.priority, place)
        events.append(request)

    def _is_full(self) -> bool:
        """Whether the peer has all the streams open that it may, or applications lag far behind closed ones."""
        limit = self._limits.max_concurrent_streams
        if len(self._streams) < limit:
            return False
        running = self._count_running()
        return running >= limit or len(self._streams) - running - self._pushes >= 10 * limit

    def _count_running(self) -> int:
        """The peer's streams that are not closed, which is not to say that their exchanges are over."""
        closed = sum(1 for stream in self._streams.values() if stream.ended and stream.end_sent)
        return len(self._streams) - closed - self._pushes

    def _on_data(self, event: h2_events.DataReceived, events: list[Event]) -> None:
        stream_id, data, credit = event.stream_id, event.data or b"", event.flow_controlled_length or 0
        stream = self._streams.get(stream_id)
        if stream is not None:
            stream.received += len(data)
        if stream is None or stream.released or not data:
            if credit:
                self._windows.dropped(stream if event.stream_ended is None else None, credit)
            if not data and event.stream_ended is None:
                self._on_control(event, events)  # RFC 9113 section 10.5: empty frames cost and bring nothing
            return
        self._windows.arrived(stream, credit, self._now)
        events.append(BodyReceived(stream_id, data, credit))

    def _on_trailers(self, event: h2_events.TrailersReceived, events: list[Event]) -> None:
        stream = self._streams.get(event.stream_id)
        if stream is None:
            return
        trailers = [(name, value) for name, value in event.headers or ()]
        if len(trailers) > self._limits.max_fields:
            self._kill(event.stream_id, AbortReason.LIMIT, events)
            error = LimitExceeded("too many trailer fields", limit="max_fields", stream_id=event.stream_id)
            events.append(PeerErred(error))
            return
        stream.trailers_received = trailers

    def _on_ended(self, event: h2_events.StreamEnded, events: list[Event]) -> None:
        stream = self._streams.get(event.stream_id)
        if stream is None:
            return
        if stream.content_length is not None and stream.received != stream.content_length:
            # h2 compares the two when DATA ends the stream, not when HEADERS do.
            self._break(event.stream_id, "the body is not as long as content-length says", events)
            return
        stream.ended = True
        events.append(RequestEnded(event.stream_id, stream.trailers_received))

    def _on_reset(self, event: h2_events.StreamReset, events: list[Event]) -> None:
        stream_id = event.stream_id
        stream = self._streams.get(stream_id)
        if not event.remote_reset:
            reason = AbortReason.PROTOCOL_ERROR
            broken = RemoteProtocolError("a frame that the stream's state forbids", stream_id=stream_id)
            events.append(PeerErred(broken))
        else:
            reason = wire.reason_of(int(event.error_code or 0))
        if stream is not None:
            self._drop(stream)
            if not stream.released:
                events.append(StreamAborted(stream_id, reason))
        if not event.remote_reset or (stream is not None and not stream.answered and stream_id % 2):
            self._charge(events)

    def _on_window(self, event: h2_events.WindowUpdated, events: list[Event]) -> None:
        self._on_control(event, events)
        if not event.stream_id:
            self._wake_all()
        elif event.stream_id in self._stalled:
            self._scheduler.ready(event.stream_id)

    def _on_settings(self, event: h2_events.RemoteSettingsChanged, events: list[Event]) -> None:
        if not self._settled:
            self._settled = True
            self._idle_since = self._now
            self._windows.asked(self._now)  # ours leave with the turn that brings the peer's
        self._on_control(event, events)
        setting = event.changed_settings.get(wire.NO_RFC7540_PRIORITIES)
        if setting is not None:
            if setting.new_value not in (0, 1):  # RFC 9218 section 2.1
                self._break_connection(wire.PROTOCOL_ERROR, "SETTINGS_NO_RFC7540_PRIORITIES is neither 0 nor 1", events)
            elif setting.new_value:
                self._priorities.understands_extensible()
        self._wake_all()

    def _on_settings_ack(self, event: h2_events.SettingsAcknowledged, events: list[Event]) -> None:
        self._on_control(event, events)
        self._windows.answered(self._now)

    def _on_ping_ack(self, event: h2_events.PingAckReceived, events: list[Event]) -> None:
        self._on_control(event, events)
        if self._shutdown_begun and event.ping_data == SHUTDOWN_PING and not self._closed:
            self._finish_shutdown()

    def _on_dependency(self, event: h2_events.PriorityUpdated, events: list[Event]) -> None:
        """A PRIORITY frame, or what a HEADERS frame says of priority, which belongs to the request."""
        if self._connection.incoming_buffer.current.type == wire.HEADERS:
            return
        self._on_control(event, events)
        stream_id = event.stream_id or 0
        if stream_id % 2 or stream_id in self._streams:
            is_idle = stream_id > self._connection.highest_inbound_stream_id
            self._priorities.depends(stream_id, _dependency(event), is_idle=is_idle)

    def _on_unknown(self, event: h2_events.UnknownFrameReceived, events: list[Event]) -> None:
        self._on_control(event, events)
        frame: Any = event.frame
        if frame.type == wire.PRIORITY_UPDATE and not self._closed:
            self._on_priority_update(frame, events)

    def _on_priority_update(self, frame: Any, events: list[Event]) -> None:
        """RFC 9218 section 7.1."""
        if len(frame.body) < wire.STREAM_ID_LENGTH:
            self._break_connection(wire.FRAME_SIZE_ERROR, "a PRIORITY_UPDATE frame without a stream", events)
            return
        stream_id, priority = wire.parse_priority_update(frame.body)
        self._priorities.understands_extensible()
        stream = self._streams.get(stream_id)
        is_idle = stream_id % 2 == 1 and stream_id > self._connection.highest_inbound_stream_id
        if frame.stream_id or not stream_id:
            self._break_connection(wire.PROTOCOL_ERROR, "a PRIORITY_UPDATE frame for the wrong stream", events)
        elif stream is not None:
            if not stream.is_prioritized:
                self._scheduler.prioritize(stream_id, *priority)
                events.append(PriorityChanged(stream_id, *priority))
        elif is_idle and not self._priorities.updated_early(stream_id, priority, self._count_running()):
            self._break_connection(wire.PROTOCOL_ERROR, "more streams prioritized than may be opened", events)

    def _on_goaway(self, events: list[Event]) -> None:
        goaways = self._connection.incoming_buffer.goaways
        last = goaways[-1]
        for goaway in goaways:
            self._on_control(goaway, events)
        goaways.clear()
        self._peer_is_closing = True
        events.append(PeerClosing(last.last_stream_id, wire.reason_of(last.error_code)))
        self._close_if_done()

    # ------------------------------------------------------------------------------------------------------ errors

    def _on_nothing(self, frame: Any, events: list[Event]) -> None:
        """A frame that h2 has nothing to tell of: a part of a header block, or one for a stream that is over."""
        if frame is not None and frame.type not in (wire.HEADERS, wire.CONTINUATION) and frame.body_len < _TINY:
            self._on_control(frame, events)

    def _on_control(self, _: object, events: list[Event]) -> None:
        """A frame that brings no request forward. Each frame of a response earns the peer some."""
        if not self._closed and not self._control.spend(self._now):
            error = LimitExceeded("too many frames that carry nothing", limit="max_control_frames")
            self._end(wire.ENHANCE_YOUR_CALM, AbortReason.LIMIT, events, error)

    def abort(self, stream_id: int, reason: AbortReason) -> None:
        super().abort(stream_id, reason)
        if reason is AbortReason.REFUSED:  # the peer asks for more than may run
            self._charge(self._events)

    def _charge(self, events: list[Event]) -> None:
        """A stream that the peer opened for nothing (CVE-2023-44487), or made us reset (CVE-2025-8671)."""
        if not self._closed and not self._resets.spend(self._now):
            error = LimitExceeded("too many streams were reset", limit="max_resets")
            self._end(wire.ENHANCE_YOUR_CALM, AbortReason.LIMIT, events, error)

    def _break_connection(self, code: int, message: str, events: list[Event]) -> None:
        """A connection error (RFC 9113 section 5.4.1)."""
        self._end(code, AbortReason.PROTOCOL_ERROR, events, RemoteProtocolError(message))

    def _break(self, stream_id: int, message: str, events: list[Event]) -> None:
        """A stream error (RFC 9113 section 5.4.2)."""
        if stream_id in self._streams:
            self._kill(stream_id, AbortReason.PROTOCOL_ERROR, events)
        else:
            self._reset(stream_id, wire.PROTOCOL_ERROR)
        events.append(PeerErred(RemoteProtocolError(message, stream_id=stream_id)))
        self._charge(events)

    def _on_error(self, error: H2ProtocolError, events: list[Event]) -> None:
        """The library has ended its connection and written a GOAWAY; where only a stream erred, both are taken back."""
        connection = self._connection
        written = connection.take_back_goaway()
        if written:
            self._out.append(written)
        frame = connection.broken_frame(error)
        if frame is not None:
            self._break(frame.stream_id, str(error), events)
            if frame.type == wire.DATA and not self._closed:
                self._windows.dropped(None, frame.flow_controlled_length)
            return
        report = RemoteProtocolError(str(error))
        if isinstance(error, DenialOfServiceError):
            report = LimitExceeded("the head is far too large", limit="max_head_bytes", status_hint=431)
        self._end(connection.code_of(error), AbortReason.PROTOCOL_ERROR, events, report)

    # ------------------------------------------------------------------------------------------------ the last words

    def _finish_shutdown(self) -> None:
        """The peer has seen the first GOAWAY, or had time enough."""
        self._shutdown_at = inf
        if self._last_stream_id == wire.MAX_STREAM_ID:
            self._last_stream_id = self._connection.highest_inbound_stream_id
            self._append(wire.goaway(self._last_stream_id, wire.NO_ERROR))
            self._close_if_done()

    def _end(
        self, code: int, reason: AbortReason, events: list[Event], error: RemoteProtocolError | None = None
    ) -> None:
        """Ends the connection with a GOAWAY; nothing that waits is sent any more."""
        self._append(wire.goaway(min(self._last_stream_id, self._connection.highest_inbound_stream_id), code))
        events.extend(
            StreamAborted(stream.stream_id, reason) for stream in self._streams.values() if not stream.released
        )
        if error is not None:
            events.append(PeerErred(error))
        self._closed = True
        self._forget_all()


def _dependency(event: h2_events.PriorityUpdated) -> Dependency:
    return Dependency(event.depends_on or 0, event.weight or DEFAULT_WEIGHT, bool(event.exclusive))


_HANDLERS: dict[type[h2_events.Event], Callable[[H2Input, Any, list[Event]], None]] = {
    h2_events.RequestReceived: H2Input._on_request,
    h2_events.DataReceived: H2Input._on_data,
    h2_events.TrailersReceived: H2Input._on_trailers,
    h2_events.StreamEnded: H2Input._on_ended,
    h2_events.StreamReset: H2Input._on_reset,
    h2_events.WindowUpdated: H2Input._on_window,
    h2_events.RemoteSettingsChanged: H2Input._on_settings,
    h2_events.PingReceived: H2Input._on_control,
    h2_events.PingAckReceived: H2Input._on_ping_ack,
    h2_events.PriorityUpdated: H2Input._on_dependency,
    h2_events.SettingsAcknowledged: H2Input._on_settings_ack,
    h2_events.UnknownFrameReceived: H2Input._on_unknown,
}
