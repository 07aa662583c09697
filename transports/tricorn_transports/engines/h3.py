"""HTTP/3 (RFC 9114) over aioquic, which does QUIC, TLS, QPACK and the frames.

Rules of this module:
- aioquic's events are read and its commands given here; its private members are touched only in ``quic.aioquic``.
- One stream's error ends that stream; the connection ends only where RFC 9114 says so.
- aioquic sends what it can in one go, 17 datagrams at the most (its pacing), so ``datagrams_to_send`` needs no bound
  of its own.

What bounds memory, per connection: received bytes by the windows of ``Limits``, which move only as the application
reads; sent ones by what ``h3_responses`` holds and the congestion window in flight.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any, Final

from aioquic.h3 import events as h3_events
from aioquic.quic import events as quic_events

from tricorn_transports.abc import EngineContext, Feature, Path
from tricorn_transports.engines.guard import Budget
from tricorn_transports.engines.h3_codes import CLOSE_CODES, STREAM_CODES, reason_of
from tricorn_transports.engines.h3_fields import check_request, check_trailers
from tricorn_transports.engines.h3_responses import STATUS, Responses
from tricorn_transports.engines.h3_stream import Stream
from tricorn_transports.engines.head import parse_head
from tricorn_transports.errors import LimitExceeded, RemoteProtocolError
from tricorn_transports.events import (
    AbortReason,
    BodyReceived,
    Event,
    PeerErred,
    RawHeaders,
    RequestEnded,
    RequestStarted,
    StreamAborted,
    StreamWritable,
)
from tricorn_transports.quic.aioquic.connection import Connection
from tricorn_transports.quic.aioquic.http3 import Code, HeadTooLarge, Http3
from tricorn_transports.quic.aioquic.retry import RetryTokens
from tricorn_transports.quic.aioquic.settings import certificate_pem, configuration
from tricorn_transports.quic.endpoint import Endpoint, Opening, QuicEngine, Routes

_FEATURES: Final = Feature.MULTIPLEX | Feature.EARLY_HINTS | Feature.TRAILERS | Feature.TUNNEL

#: Addresses of one client that are remembered with the local address they reached; aioquic keeps as many.
_MAX_PATHS: Final = 8
#: TLS 1.3 (RFC 8446 section 4.1.2); QUIC has no other.
_TLS_VERSION: Final = 0x0304
#: RFC 9001 section 4.8: CRYPTO_ERROR with the alert no_application_protocol.
_NO_APPLICATION_PROTOCOL: Final = 0x100 + 120


def create_endpoint(context: EngineContext, *, cert: str, key: str) -> Endpoint:
    """Makes the endpoint of one UDP socket: ``abc.DatagramEndpointFactory``.

    Args:
        cert: Path of a PEM file: the certificate, then its chain.
        key: Path of a PEM file: the certificate's private key, without a password.

    Raises:
        ConfigError: A file is unreadable, or the two do not belong together.
    """
    settings = configuration(context.limits, context.timeouts, cert=cert, key=key)
    server_cert = certificate_pem(settings)

    def connect(opening: Opening, path: Path, now: float) -> QuicEngine:
        quic = Connection(settings, opening, max_streams=context.limits.max_concurrent_streams)
        return H3Engine(context, quic, opening.routes, server_cert=server_cert, path=path, now=now)

    return Endpoint(context, settings.supported_versions, connect, RetryTokens())


class H3Engine:
    """``abc.DatagramEngine`` for HTTP/3, the server's side.

    Args:
        quic: The connection, which has received nothing yet.
        server_cert: The certificate in PEM, for ``tls_info``.
        path: Where the first datagram came from.
        now: In seconds; the handshake's time counts from here.
    """

    http_version: Final = "3"
    features: Final = _FEATURES

    def __init__(
        self, context: EngineContext, quic: Connection, routes: Routes, *, server_cert: str, path: Path, now: float
    ) -> None:
        limits, timeouts = context.limits, context.timeouts
        self._limits = limits
        self._timeouts = timeouts
        self._scheme = context.scheme
        self._quic = quic
        self._h3: Http3 | None = None  # from the negotiation of ALPN on
        self._routes = routes
        self._server_cert = server_cert
        self._first_path = path
        self._paths: dict[tuple[str, int], Path] = {path.peer: path}
        self._events: list[Event] = []
        self._streams: dict[int, Stream] = {}
        self._responses: Responses | None = None  # as _h3
        self._unheard: set[int] = set()  # their requests still come, and nobody listens
        self._heads: dict[int, float] = {}  # requests whose head has begun, with the time
        self._next_stream_id = 0
        self._delivered = 0
        self._unread = 0
        self._resets = Budget(limits.max_resets, limits.max_resets / 10, now)
        self._now = now
        self._opened_at = now
        self._idle_since = now
        self._ping_at = inf
        self._established = False
        self._draining = False
        self._ending = False  # the end is told, or it was we who ended
        self._closed = False
        self._dirty = False
        self._last_datagram: bytes | None = None
        self._handlers: dict[type[quic_events.QuicEvent], Callable[[Any], None]] = {
            quic_events.StreamDataReceived: self._on_data,
            quic_events.StreamReset: self._on_reset,
            quic_events.StopSendingReceived: self._on_stop_sending,
            quic_events.ProtocolNegotiated: self._on_protocol,
            quic_events.HandshakeCompleted: self._on_handshake,
            quic_events.ConnectionIdIssued: lambda event: routes.issued(event.connection_id),
            quic_events.ConnectionIdRetired: lambda event: routes.retired(event.connection_id),
        }
        routes.issued(quic.host_cid)

    # ------------------------------------------------------------------------------------------------------- state

    @property
    def path(self) -> Path:
        peer = self._quic.get_peer_address() or self._first_path.peer
        return self._paths.get(peer) or Path(self._first_path.local, peer)

    @property
    def tls_info(self) -> dict[str, Any]:
        return {
            "server_cert": self._server_cert,
            "client_cert_chain": [],
            "client_cert_name": None,
            "client_cert_error": None,
            "tls_version": _TLS_VERSION,
            "cipher_suite": self._quic.cipher_suite,
        }

    def is_idle(self) -> bool:
        return not self._streams

    def is_closed(self) -> bool:
        return self._closed or self._quic.is_silent

    def closing_datagram(self) -> bytes | None:
        """The CONNECTION_CLOSE that was sent, for a peer that missed it (``quic.endpoint.QuicEngine``)."""
        return self._last_datagram

    def take_events(self) -> list[Event]:
        events = self._events
        if events:
            self._events = []
        return events

    # ------------------------------------------------------------------------------------------------------ inwards

    def receive_datagram(self, data: bytes, path: Path, now: float) -> list[Event]:
        self._now = now
        if self._closed:
            return []
        if path.peer in self._paths or len(self._paths) < _MAX_PATHS:
            self._paths[path.peer] = path
        self._dirty = True
        quic = self._quic
        try:
            quic.receive_datagram(data, path.peer, now)
            self._collect()
        except Exception as error:  # noqa: BLE001 - a fault of the library costs one connection, not the server
            self._events.append(PeerErred(RemoteProtocolError(f"aioquic failed on what the peer sent: {error!r}")))
            self.terminate(AbortReason.INTERNAL_ERROR)
        if not quic.began:
            self._closed = True  # the first packet was not for us, or not what it said it was
        elif self._established:
            self._ping_at = now + quic.idle_timeout / 2
        return self.take_events()

    def _collect(self) -> None:
        """Turns aioquic's events into ours."""
        quic, handlers = self._quic, self._handlers
        while (event := quic.next_event()) is not None:
            handler = handlers.get(type(event))
            if handler is not None:
                handler(event)
        if quic.ending is not None:
            self._tell_end()
        elif self._draining and not self._streams and not quic.has_unacknowledged():
            self._close(Code.NO_ERROR)

    def _on_protocol(self, event: quic_events.ProtocolNegotiated) -> None:
        if event.alpn_protocol != "h3":  # RFC 9114 section 3.1; aioquic lets a client offer nothing
            self._close(_NO_APPLICATION_PROTOCOL)
            return
        quic, limits = self._quic, self._limits
        self._h3 = Http3(quic, max_head_bytes=limits.max_head_bytes)
        self._responses = Responses(
            quic, self._h3, send_buffer=limits.stream_send_buffer, write_timeout=self._timeouts.write_timeout
        )
        self._streams = self._responses.streams

    def _on_handshake(self, event: quic_events.HandshakeCompleted) -> None:
        self._established = True
        self._idle_since = self._now
        self._routes.established()

    def _on_data(self, event: quic_events.StreamDataReceived) -> None:
        h3, stream_id, size = self._h3, event.stream_id, len(event.data)
        if h3 is None:
            return  # no protocol was agreed; the connection is closing
        self._delivered += size
        streams = self._streams
        if stream_id & 3 or stream_id in streams or self._is_wanted(stream_id):
            for found in h3.handle_event(event):
                self._on_http(found)
        if event.end_stream:
            self._heads.pop(stream_id, None)
            self._unheard.discard(stream_id)
        if size:
            stream = streams.get(stream_id)
            unread = 0 if stream is None else stream.unread
            if self._quic.opened(stream_id, unread, self._delivered - self._unread):
                self._dirty = True

    def _is_wanted(self, stream_id: int) -> bool:
        """Whether a request that has no record yet is read at all."""
        if stream_id in self._unheard:
            return False
        if stream_id >= self._next_stream_id:
            if self._draining:
                self._refuse(stream_id, Code.REQUEST_REJECTED)
                return False
            self._next_stream_id = stream_id + 4
        self._heads.setdefault(stream_id, self._now)
        return True

    def _on_http(self, event: h3_events.H3Event) -> None:
        if isinstance(event, h3_events.DataReceived):
            stream = self._streams.get(event.stream_id)
            if stream is not None:
                self._on_body(stream, event.data, event.stream_ended)
        elif isinstance(event, h3_events.HeadersReceived):
            self._heads.pop(event.stream_id, None)
            stream = self._streams.get(event.stream_id)
            try:
                if stream is not None:
                    self._on_trailers(stream, event)
                elif event.stream_id not in self._unheard:
                    self._on_head(event)
            except RemoteProtocolError as malformed:
                self._answer_error(event.stream_id, malformed, event.stream_ended)
        elif isinstance(event, HeadTooLarge):
            self._answer_error(
                event.stream_id, _over("the head is too large", "max_head_bytes", event.stream_id), False
            )

    def _on_head(self, event: h3_events.HeadersReceived) -> None:
        stream_id, ended = event.stream_id, event.stream_ended
        check_request(event.headers, stream_id)
        request = parse_head(
            stream_id, event.headers, limits=self._limits, scheme=self._scheme, http_version=self.http_version
        )
        if ended:
            if request.content_length:
                raise RemoteProtocolError(_WRONG_LENGTH, stream_id=stream_id)
            request.expects_continue = False
        assert self._responses is not None
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
            self._kill(stream, AbortReason.PROTOCOL_ERROR, RemoteProtocolError(_WRONG_LENGTH, stream_id=stream_id))
        elif ended:
            stream.ended = True
            self._events.append(RequestEnded(stream_id, stream.trailers_received))

    def _on_trailers(self, stream: Stream, event: h3_events.HeadersReceived) -> None:
        if len(event.headers) > self._limits.max_fields:
            raise _over("too many trailer fields", "max_fields", stream.stream_id)
        check_trailers(event.headers, stream.stream_id)
        stream.trailers_received = event.headers
        if event.stream_ended:
            self._on_body(stream, b"", True)

    def _answer_error(self, stream_id: int, error: RemoteProtocolError, ended: bool) -> None:
        """A request that no exchange will see gets its status here; one that runs already is cut off."""
        stream = self._streams.get(stream_id)
        is_limit = isinstance(error, LimitExceeded)
        if stream is not None:
            self._kill(stream, AbortReason.LIMIT if is_limit else AbortReason.PROTOCOL_ERROR, error)
            return
        assert self._h3 is not None
        self._h3.send_headers(stream_id, [STATUS[error.status_hint], (b"content-length", b"0")], end_stream=True)
        if not ended:
            self._stop_listening(stream_id, Code.NO_ERROR if is_limit else Code.MESSAGE_ERROR)
            self._h3.forget(stream_id)
        self._events.append(PeerErred(error))
        self._charge()

    def _on_reset(self, event: quic_events.StreamReset) -> None:
        stream_id = event.stream_id
        self._delivered += self._quic.skipped(stream_id)
        if stream_id & 3:
            self._on_critical(event)
        elif stream_id in self._unheard:
            self._unheard.discard(stream_id)
        else:
            stream = self._streams.get(stream_id)
            if stream is not None:
                stream.ended = True  # nothing more comes
            self._on_abandoned(stream_id, event.error_code)
            self._unheard.discard(stream_id)

    def _on_stop_sending(self, event: quic_events.StopSendingReceived) -> None:
        stream_id = event.stream_id
        if stream_id & 3:
            self._on_critical(event)
        elif stream_id not in self._unheard:
            self._on_abandoned(stream_id, event.error_code)

    def _on_critical(self, event: quic_events.QuicEvent) -> None:
        """The control and QPACK streams may not end (RFC 9114 section 6.2.1): aioquic closes the connection."""
        if self._h3 is not None:
            self._h3.handle_event(event)

    def _on_abandoned(self, stream_id: int, code: int) -> None:
        """The client does not want the answer, or will not finish the question (RFC 9114 section 4.1.1)."""
        stream = self._streams.get(stream_id)
        if stream is not None:
            self._cut(stream, Code.REQUEST_CANCELLED)
            if not stream.released:
                self._events.append(StreamAborted(stream_id, reason_of(code)))
        elif self._heads.pop(stream_id, None) is not None or stream_id >= self._next_stream_id:
            self._next_stream_id = max(self._next_stream_id, stream_id + 4)
            self._refuse(stream_id, Code.REQUEST_INCOMPLETE)
        else:
            return  # a response that is out already
        if stream is None or not stream.answered:
            self._charge()

    def _charge(self) -> None:
        """CVE-2023-44487: a request that is taken back before it is answered costs the client nothing else."""
        if not self._resets.spend(self._now):
            self._events.append(PeerErred(_over("too many streams were cancelled or broken", "max_resets", None)))
            self.terminate(AbortReason.LIMIT)

    # ----------------------------------------------------------------------------------------------------- outwards

    def send_headers(self, stream_id: int, status: int, headers: RawHeaders, *, end: bool = False) -> None:
        stream = self._streams.get(stream_id)
        if stream is not None and self._responses is not None:
            self._dirty = True
            self._responses.head(stream, status, headers, end, self._now)

    def send_informational(self, stream_id: int, status: int, headers: RawHeaders) -> None:
        self.send_headers(stream_id, status, headers)

    def send_data(self, stream_id: int, data: bytes, *, end: bool = False) -> None:
        stream = self._streams.get(stream_id)
        if stream is not None and self._responses is not None:
            self._dirty = True
            self._responses.body(stream, data, end, self._now)

    def send_trailers(self, stream_id: int, trailers: RawHeaders) -> None:
        stream = self._streams.get(stream_id)
        if stream is not None and self._responses is not None:
            self._dirty = True
            self._responses.trailers(stream, trailers, self._now)

    def accept_tunnel(self, stream_id: int, headers: RawHeaders) -> None:
        self.send_headers(stream_id, 200, headers)

    def push(self, stream_id: int, path: bytes, headers: RawHeaders) -> RequestStarted | None:
        return None

    def set_priority(self, stream_id: int, urgency: int, incremental: bool) -> None:
        if self._responses is not None:
            self._responses.prioritize(stream_id, urgency, incremental)

    def sendable(self, stream_id: int) -> int:
        return 1 << 62 if self._responses is None else self._responses.sendable(stream_id)

    def consumed(self, stream_id: int, credit: int) -> None:
        stream = self._streams.get(stream_id)
        if stream is None:
            return  # what it held was given back when it ended
        stream.unread -= credit
        self._unread -= credit
        if self._quic.opened(stream_id, stream.unread, self._delivered - self._unread):
            self._dirty = True

    def abort(self, stream_id: int, reason: AbortReason) -> None:
        stream = self._streams.get(stream_id)
        if stream is not None:
            self._cut(stream, STREAM_CODES[reason])

    def release(self, stream_id: int) -> None:
        stream = self._streams.get(stream_id)
        if stream is None:
            return
        if not stream.ending:
            self._cut(stream, Code.INTERNAL_ERROR)
            return
        stream.released = True
        if not stream.ended:
            self._stop_listening(stream_id, Code.NO_ERROR)
        if self._responses is None or stream_id not in self._responses.outgoing:
            self._drop(stream)

    def datagrams_to_send(self, now: float) -> list[tuple[bytes, Path]]:
        self._now = now
        quic, responses = self._quic, self._responses
        if not self._dirty or not quic.began:
            return []
        self._dirty = False
        if responses is not None and responses.outgoing:
            for stream_id in responses.hand_over():
                self._events.append(StreamWritable(stream_id))
        is_last = quic.ending is not None
        sent = quic.datagrams_to_send(now)
        if is_last and sent:
            self._last_datagram = sent[0][0]
        if responses is not None and responses.outgoing:
            for stream in responses.settle(now):
                self._drop(stream)
            if sent and responses.has_ready():
                self._dirty = True
        self._collect()  # new connection IDs must be routed before a packet that uses them can come
        paths = self._paths
        return [(data, paths.get(peer) or Path(self._first_path.local, peer)) for data, peer in sent]

    # ---------------------------------------------------------------------------------------------------- deadlines

    def deadline(self) -> float | None:
        if self.is_closed():
            return None
        timer, times, responses = self._quic.get_timer(), self._timeouts, self._responses
        due = inf if timer is None else timer
        if not self._established:
            due = min(due, self._opened_at + times.handshake_timeout)
        elif self._streams and responses is not None:
            due = min(due, self._ping_at, responses.deadline())
        elif not self._draining and not self._heads:
            due = min(due, self._idle_since + times.keep_alive_timeout)
        if self._heads:
            due = min(due, next(iter(self._heads.values())) + times.header_timeout)
        return None if due == inf else due

    def handle_deadline(self, now: float) -> list[Event]:
        self._now = now
        quic, times, responses = self._quic, self._timeouts, self._responses
        if not self.is_closed():
            self._dirty = True
            timer = quic.get_timer()
            if timer is not None and timer <= now:
                quic.handle_timer(now)
            self._collect()
        if self.is_closed():
            return self.take_events()
        if not self._established:
            if now >= self._opened_at + times.handshake_timeout:
                self._tell_end()
                self._closed = True  # a peer that never showed its address is owed no last word
        elif self._streams and responses is not None:
            if now >= self._ping_at:
                # The client waits for a slow application, which is no reason to call it lost (RFC 9000 10.1.2).
                quic.send_ping(0)
                self._ping_at = now + quic.idle_timeout / 2
            if now >= responses.deadline():
                for stream in responses.stalled(now):
                    error = _over("the peer takes no byte of the response", "write_timeout", stream.stream_id)
                    self._kill(stream, AbortReason.TIMEOUT, error)
        elif not self._draining and not self._heads and now >= self._idle_since + times.keep_alive_timeout:
            self._close(Code.NO_ERROR)
        for stream_id in [i for i, since in self._heads.items() if now >= since + times.header_timeout]:
            del self._heads[stream_id]
            self._answer_error(
                stream_id, _over("the head did not come in time", "header_timeout", stream_id, 408), False
            )
        return self.take_events()

    # ------------------------------------------------------------------------------------------------------ endings

    def begin_shutdown(self) -> None:
        if self._draining:
            return
        self._draining = self._dirty = True
        if not self._established or self._h3 is None:
            self._close(Code.NO_ERROR)
        else:
            self._h3.send_goaway(self._next_stream_id)

    def terminate(self, reason: AbortReason) -> None:
        self._close(CLOSE_CODES[reason])
        self._tell_end()

    def _close(self, code: int) -> None:
        self._ending = self._dirty = True
        if self._quic.began:
            self._quic.close(error_code=code)
        else:
            self._closed = True

    def _tell_end(self) -> None:
        """Every stream dies with the connection; an error of the peer's that aioquic found is told once."""
        quic = self._quic
        ending = quic.ending
        if ending is not None and not self._ending and not quic.is_silent:
            message = f"{ending.reason_phrase or 'protocol error'} (QUIC error {ending.error_code:#x})"
            self._events.append(PeerErred(RemoteProtocolError(message)))
        self._ending = True
        for stream in list(self._streams.values()):
            if not stream.released:
                self._events.append(StreamAborted(stream.stream_id, AbortReason.DISCONNECTED))
            self._drop(stream)
        self._heads.clear()

    def _kill(self, stream: Stream, reason: AbortReason, error: RemoteProtocolError) -> None:
        """The engine itself ends a stream over something that the peer did."""
        self._cut(stream, STREAM_CODES[reason])
        self._events.append(PeerErred(error))
        if not stream.released:
            self._events.append(StreamAborted(stream.stream_id, reason))

    def _cut(self, stream: Stream, code: Code) -> None:
        """Both directions end now."""
        self._dirty = True
        self._quic.reset_stream(stream.stream_id, code)
        if not stream.ended:
            self._stop_listening(stream.stream_id, code)
        self._drop(stream)

    def _refuse(self, stream_id: int, code: Code) -> None:
        """A request without a record is neither read nor answered."""
        self._quic.reset_stream(stream_id, code)
        self._stop_listening(stream_id, code)
        if self._h3 is not None:
            self._h3.forget(stream_id)

    def _stop_listening(self, stream_id: int, code: Code) -> None:
        """What still comes of the request is thrown away; the client is asked to stop."""
        self._dirty = True
        self._quic.stop_stream(stream_id, code)
        self._unheard.add(stream_id)

    def _drop(self, stream: Stream) -> None:
        """Forgets a stream; what the application did not read of it counts as read."""
        assert self._responses is not None
        assert self._h3 is not None
        self._responses.discard(stream.stream_id)
        self._unread -= stream.unread
        if not (stream.ended and stream.end_sent):
            self._h3.forget(stream.stream_id)
        if not self._streams:
            self._idle_since = self._now


_WRONG_LENGTH: Final = "the body is not as long as content-length says"


def _over(message: str, limit: str, stream_id: int | None, status: int = 431) -> LimitExceeded:
    return LimitExceeded(message, limit=limit, status_hint=status, stream_id=stream_id)
