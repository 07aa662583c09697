"""The way in of an HTTP/3 connection: QUIC streams made into requests, and the life of each stream to its end.

Rules of this module:
- One stream's error ends that stream; what ends the connection is found by the library or told to ``terminate``.
- A stream whose request nobody listens to any more is *unheard*: its bytes are dropped before the library's parser,
  until the client has ended or reset it. There are never more of them than the client may have streams.
- Received bytes are counted twice: *delivered* when they came in order, *unread* while an application holds them. The
  windows follow the difference, so that memory is bounded by the limits whatever the client does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tricorn_transports.abc import EngineContext
from tricorn_transports.engines.guard import Budget
from tricorn_transports.engines.h3_codes import STREAM_CODES, reason_of
from tricorn_transports.engines.h3_fields import check_request, check_trailers
from tricorn_transports.engines.h3_responses import STATUS, Responses
from tricorn_transports.engines.h3_stream import Stream
from tricorn_transports.engines.head import parse_head, refusal_fields
from tricorn_transports.errors import LimitExceeded, RemoteProtocolError
from tricorn_transports.events import (
    AbortReason,
    BodyReceived,
    Event,
    PeerErred,
    PriorityChanged,
    RequestEnded,
    StreamAborted,
)
from tricorn_transports.http.priority import Priority
from tricorn_transports.quic.aioquic.connection import Connection
from tricorn_transports.quic.aioquic.http3 import (
    Code,
    DataReceived,
    H3Event,
    HeadersReceived,
    HeadTooLarge,
    Http3,
    PriorityUpdated,
    StopSendingReceived,
    StreamDataReceived,
    StreamReset,
)

#: Frames without content that each request brings with it: reserved ones (RFC 9114 section 7.2.8), and priorities.
_EARNED = 8
_WRONG_LENGTH: Final = "the body is not as long as content-length says"


class Requests:
    """The request streams of one connection.

    Args:
        events: Where what happened is told, in order.
        terminate: Ends the connection.

    Attributes:
        now: The time, in seconds; whoever calls sets it.
        draining: New requests are refused.
        heads: Requests whose head has begun and is not whole, with the time; the oldest first.
        next_stream_id: The first request stream that the client has not used.
        idle_since: When the last stream went.
    """

    def __init__(
        self,
        quic: Connection,
        h3: Http3,
        responses: Responses,
        events: list[Event],
        terminate: Callable[[AbortReason], None],
        *,
        context: EngineContext,
        now: float,
    ) -> None:
        limits = context.limits
        self._quic = quic
        self._h3 = h3
        self._responses = responses
        self._events = events
        self._terminate = terminate
        self._limits = limits
        self._scheme = context.scheme
        self._date = context.date
        self._streams = responses.streams
        self._unheard: set[int] = set()
        self._delivered = 0
        self._unread = 0
        self._resets = Budget(limits.max_resets, limits.max_resets / 10, now)
        self._control = Budget(limits.max_control_frames, limits.max_control_frames / 10, now)
        self._has_ended = False
        self._early: dict[int, Priority] = {}  # of requests that have not come yet, the oldest first
        self.now = now
        self.draining = False
        self.heads: dict[int, float] = {}
        self.next_stream_id = 0
        self.idle_since = now

    # --------------------------------------------------------------------------------------------------- what comes

    def on_data(self, event: StreamDataReceived) -> None:
        """Bytes of any stream, in order."""
        stream_id, size = event.stream_id, len(event.data)
        self._delivered += size
        if stream_id & 3 or stream_id in self._streams or self._is_wanted(stream_id):
            for found in self._h3.handle_event(event):
                self._on_http(found)
            if self._h3.idle_frames and not self._has_ended:
                self._pay("frames that carry nothing")
        if event.end_stream:
            self.heads.pop(stream_id, None)
            self._unheard.discard(stream_id)
        if size:
            stream = self._streams.get(stream_id)
            unread = 0 if stream is None else stream.unread
            self._quic.opened(stream_id, unread, self._delivered - self._unread)

    def _is_wanted(self, stream_id: int) -> bool:
        """Whether a request that has no record yet is read at all."""
        if stream_id in self._unheard:
            return False
        if stream_id >= self.next_stream_id:
            if self.draining:
                self._refuse(stream_id, Code.REQUEST_REJECTED)
                return False
            self.next_stream_id = stream_id + 4
        self.heads.setdefault(stream_id, self.now)
        return True

    def _on_http(self, event: H3Event) -> None:
        if isinstance(event, DataReceived):
            stream = self._streams.get(event.stream_id)
            if stream is not None:
                self._on_body(stream, event.data, event.stream_ended)
        elif isinstance(event, HeadersReceived):
            self.heads.pop(event.stream_id, None)
            stream = self._streams.get(event.stream_id)
            try:
                if stream is not None:
                    self._on_trailers(stream, event)
                elif event.stream_id not in self._unheard:
                    self._on_head(event)
            except RemoteProtocolError as error:
                self.answer_error(event.stream_id, error, event.stream_ended)
        elif isinstance(event, PriorityUpdated):
            self._on_priority(event)
        elif isinstance(event, HeadTooLarge):
            self.heads.pop(event.stream_id, None)
            self.answer_error(event.stream_id, over("the head is too large", "max_head_bytes", event.stream_id), False)

    def _on_priority(self, event: PriorityUpdated) -> None:
        """RFC 9218 section 7.2. One that overtakes its request is kept for it."""
        stream_id, priority = event.stream_id, event.priority
        if self._has_ended:  # the rest of what came with the frame that was too much
            return
        self._h3.idle_frames += 1
        if not self._pay("PRIORITY_UPDATE frames"):
            return
        stream = self._streams.get(stream_id)
        if stream is not None:
            if not stream.is_prioritized:
                self._responses.prioritize(stream_id, *priority)
                self._events.append(PriorityChanged(stream_id, *priority))
        elif stream_id in self.heads or stream_id >= self.next_stream_id:
            self._early.pop(stream_id, None)
            self._early[stream_id] = priority
            if len(self._early) > self._limits.max_concurrent_streams:
                del self._early[next(iter(self._early))]

    def _on_head(self, event: HeadersReceived) -> None:
        stream_id, ended = event.stream_id, event.stream_ended
        check_request(event.headers, stream_id)
        request = parse_head(stream_id, event.headers, limits=self._limits, scheme=self._scheme, http_version="3")
        if ended:
            if request.content_length:
                raise RemoteProtocolError(_WRONG_LENGTH, stream_id=stream_id)
            request.expects_continue = False
        self._control.earn(_EARNED)
        if self._early:
            request.priority = self._early.pop(stream_id, request.priority)
        stream = Stream(stream_id, request.authority, request.content_length, request.method == b"HEAD")
        self._responses.add(stream, request.priority)
        self._events.append(request)
        if ended:
            stream.ended = True
            self._events.append(RequestEnded(stream_id))

    def _on_body(self, stream: Stream, data: bytes, ended: bool) -> None:
        stream_id, size, length = stream.stream_id, len(data), stream.content_length
        if size:
            stream.received += size
            stream.unread += size
            self._unread += size
            self._events.append(BodyReceived(stream_id, data, size))
        if length is not None and (stream.received > length or (ended and stream.received != length)):
            self.kill(stream, AbortReason.PROTOCOL_ERROR, RemoteProtocolError(_WRONG_LENGTH, stream_id=stream_id))
        elif ended:
            stream.ended = True
            self._events.append(RequestEnded(stream_id, stream.trailers_received))

    def _on_trailers(self, stream: Stream, event: HeadersReceived) -> None:
        if len(event.headers) > self._limits.max_fields:
            raise over("too many trailer fields", "max_fields", stream.stream_id)
        check_trailers(event.headers, stream.stream_id)
        stream.trailers_received = event.headers
        if event.stream_ended:
            self._on_body(stream, b"", True)

    def answer_error(self, stream_id: int, error: RemoteProtocolError, ended: bool) -> None:
        """A request that no exchange will see gets its status here; one that runs already is cut off."""
        stream = self._streams.get(stream_id)
        is_limit = isinstance(error, LimitExceeded)
        if stream is not None:
            self.kill(stream, AbortReason.LIMIT if is_limit else AbortReason.PROTOCOL_ERROR, error)
            return
        self._h3.send_headers(stream_id, [STATUS[error.status_hint], *refusal_fields(self._date)], end_stream=True)
        if not ended:
            self._stop_listening(stream_id, Code.NO_ERROR if is_limit else Code.MESSAGE_ERROR)
            self._h3.forget(stream_id)
        self._events.append(PeerErred(error))
        self._charge()

    def on_reset(self, event: StreamReset) -> None:
        """The client ends its side of a stream early."""
        stream_id = event.stream_id
        self._delivered += self._quic.skipped(stream_id)
        if stream_id & 3:
            self._h3.handle_event(event)  # of the critical streams: the library closes the connection
        elif stream_id not in self._unheard:
            stream = self._streams.get(stream_id)
            if stream is not None:
                stream.ended = True  # nothing more comes
            self._on_abandoned(stream_id, event.error_code)
        self._unheard.discard(stream_id)

    def on_stop_sending(self, event: StopSendingReceived) -> None:
        """The client takes no more of our side of a stream."""
        if event.stream_id & 3:
            self._h3.handle_event(event)
        elif event.stream_id not in self._unheard:
            self._on_abandoned(event.stream_id, event.error_code)

    def _on_abandoned(self, stream_id: int, code: int) -> None:
        """The client does not want the answer, or will not finish the question (RFC 9114 section 4.1.1)."""
        stream = self._streams.get(stream_id)
        if stream is not None:
            self._cut(stream, Code.REQUEST_CANCELLED)
            if not stream.released:
                self._events.append(StreamAborted(stream_id, reason_of(code)))
        elif self.heads.pop(stream_id, None) is not None or stream_id >= self.next_stream_id:
            self.next_stream_id = max(self.next_stream_id, stream_id + 4)
            self._refuse(stream_id, Code.REQUEST_INCOMPLETE)
        else:
            return  # a response that is out already
        if stream is None or not stream.answered:
            self._charge()

    def _pay(self, what: str) -> bool:
        """CVE-2019-9518 and its kin: frames that cost and bring nothing. Whether the connection lives on."""
        frames, self._h3.idle_frames = self._h3.idle_frames, 0
        for _ in range(frames):
            if not self._control.spend(self.now):
                self._events.append(PeerErred(over(f"too many {what}", "max_control_frames", None)))
                self._terminate(AbortReason.LIMIT)
                return False
        return True

    def _charge(self) -> None:
        """CVE-2023-44487: a request that is taken back before it is answered costs the client nothing else."""
        if not self._resets.spend(self.now):
            self._events.append(PeerErred(over("too many streams were cancelled or broken", "max_resets", None)))
            self._terminate(AbortReason.LIMIT)

    # ------------------------------------------------------------------------------------------- what is asked for

    def consumed(self, stream: Stream, credit: int) -> bool:
        """The application has read ``credit`` bytes; whether the peer is to be told of a new limit."""
        stream.unread -= credit
        self._unread -= credit
        return self._quic.opened(stream.stream_id, stream.unread, self._delivered - self._unread)

    def abort(self, stream: Stream, reason: AbortReason) -> None:
        """Ends a stream at once, in both directions."""
        self._cut(stream, STREAM_CODES[reason])
        if reason is AbortReason.REFUSED:  # the peer asks for more than may run
            self._charge()

    def release(self, stream: Stream) -> None:
        """The exchange is over: the rest of the request is not wanted, and the record goes when the output has."""
        if not stream.ending:
            self._cut(stream, Code.INTERNAL_ERROR)
            return
        stream.released = True
        if not stream.ended:
            self._stop_listening(stream.stream_id, Code.NO_ERROR)
        if stream.stream_id not in self._responses.outgoing:
            self.drop(stream)

    def end_all(self) -> None:
        """Every stream dies with the connection."""
        self._has_ended = True
        for stream in list(self._streams.values()):
            if not stream.released:
                self._events.append(StreamAborted(stream.stream_id, AbortReason.DISCONNECTED))
            self.drop(stream)
        self.heads.clear()

    # ------------------------------------------------------------------------------------------------------ endings

    def kill(self, stream: Stream, reason: AbortReason, error: RemoteProtocolError) -> None:
        """The engine itself ends a stream over something that the peer did."""
        self._cut(stream, STREAM_CODES[reason])
        self._events.append(PeerErred(error))
        if not stream.released:
            self._events.append(StreamAborted(stream.stream_id, reason))
        if reason is not AbortReason.TIMEOUT:
            self._charge()

    def _cut(self, stream: Stream, code: Code) -> None:
        self._quic.reset_stream(stream.stream_id, code)
        if not stream.ended:
            self._stop_listening(stream.stream_id, code)
        self.drop(stream)

    def _refuse(self, stream_id: int, code: Code) -> None:
        """A request without a record is neither read nor answered."""
        self._quic.reset_stream(stream_id, code)
        self._stop_listening(stream_id, code)
        self._h3.forget(stream_id)

    def _stop_listening(self, stream_id: int, code: Code) -> None:
        self._quic.stop_stream(stream_id, code)
        self._unheard.add(stream_id)

    def drop(self, stream: Stream) -> None:
        """Forgets a stream; what the application did not read of it counts as read."""
        self._responses.discard(stream.stream_id)
        self._unread -= stream.unread
        if not (stream.ended and stream.end_sent):
            self._h3.forget(stream.stream_id)
        if not self._streams:
            self.idle_since = self.now


def over(message: str, limit: str, stream_id: int | None, status: int = 431) -> LimitExceeded:
    """A limit's breach, for the log."""
    return LimitExceeded(message, limit=limit, status_hint=status, stream_id=stream_id)
