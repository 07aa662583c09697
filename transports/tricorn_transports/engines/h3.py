"""HTTP/3 (RFC 9114) over aioquic, which does QUIC, TLS, QPACK and the frames.

Rules of this module:
- Here is the connection: datagrams, time and endings. ``h3_requests`` reads, ``h3_responses`` writes.
- aioquic's events are read and its commands given; its private members are touched only in ``quic.aioquic``.
- aioquic sends what it can in one go, 20 datagrams at the most (its pacing), so ``datagrams_to_send`` needs no bound
  of its own.
- Every command marks the connection as having output; without that a flush costs one comparison.

What bounds memory, per connection: received bytes by the windows of ``Limits``, which move only as the application
reads; sent ones by what ``h3_responses`` holds and the congestion window in flight.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any, Final

from aioquic.quic import events as quic_events

from tricorn_transports.abc import EngineContext, Feature, Path
from tricorn_transports.engines.h3_codes import CLOSE_CODES
from tricorn_transports.engines.h3_requests import Requests, over
from tricorn_transports.engines.h3_responses import Responses
from tricorn_transports.engines.h3_stream import Stream
from tricorn_transports.errors import RemoteProtocolError
from tricorn_transports.events import AbortReason, Event, PeerErred, RawHeaders, RequestStarted, StreamWritable
from tricorn_transports.quic.aioquic.connection import Connection
from tricorn_transports.quic.aioquic.http3 import MAX_REQUEST_STREAM, Code, Http3
from tricorn_transports.quic.aioquic.refusal import refusal
from tricorn_transports.quic.aioquic.retry import RetryTokens
from tricorn_transports.quic.aioquic.settings import certificate_pem, configuration
from tricorn_transports.quic.endpoint import Endpoint, Opening, QuicEngine, Routes

_FEATURES: Final = Feature.MULTIPLEX | Feature.EARLY_HINTS | Feature.TRAILERS | Feature.TUNNEL

#: Addresses of one client that are remembered with the local address they reached; aioquic keeps as many.
_MAX_PATHS: Final = 8
#: TLS 1.3 (RFC 8446 section 4.1.2); QUIC has no other.
_TLS_VERSION: Final = 0x0304
#: RFC 9001 section 4.8: CRYPTO_ERROR with the alert no_application_protocol, for a CRYPTO frame.
_NO_APPLICATION_PROTOCOL: Final = 0x100 + 120
_CRYPTO_FRAME: Final = 0x06
#: A drained connection whose peer leaves so many probes in a row unanswered is closed: about a second after the last
#: packet, or thirty round trips on slow paths. A client that only its caller drives (libcurl) acknowledges nothing
#: between two requests, and would otherwise hold every drain to its end.
_MAX_DRAIN_PROBES: Final = 5


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

    return Endpoint(context, settings.supported_versions, connect, RetryTokens(), refusal)


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
        self._context = context
        self._timeouts = context.timeouts
        self._quic = quic
        self._routes = routes
        self._server_cert = server_cert
        self._first_path = path
        self._paths: dict[tuple[str, int], Path] = {path.peer: path}
        self._events: list[Event] = []
        self._streams: dict[int, Stream] = {}
        self._now = now
        self._opened_at = now
        self._ping_every = inf
        self._ping_at = inf
        self._is_established = False
        self._end_is_told = False
        self._is_dead = False  # without a word on the wire
        self._has_output = False
        self._last_datagram: bytes | None = None
        self._announced_at: float | None = None  # the first GOAWAY, until the second
        # These three come into being when the client has agreed to speak HTTP/3.
        self._h3: Http3 | None = None
        self._requests: Requests | None = None
        self._responses: Responses | None = None
        self._handlers: dict[type[quic_events.QuicEvent], Callable[[Any], None]] = {
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
        is_open = bool(self._streams) or (self._requests is not None and bool(self._requests.heads))
        return not is_open and not self._quic.has_unacknowledged(responses_only=True)

    def is_closed(self) -> bool:
        return self._is_dead or self._quic.is_silent

    def closing_datagram(self) -> bytes | None:
        """The CONNECTION_CLOSE that was sent, for a peer that missed it (``quic.endpoint.QuicEngine``)."""
        return self._last_datagram

    def take_events(self) -> list[Event]:
        if not self._events:
            return []
        events = self._events.copy()
        self._events.clear()  # the list itself is shared with the requests
        return events

    def _set_now(self, now: float) -> None:
        self._now = now
        if self._requests is not None:
            self._requests.now = now

    # --------------------------------------------------------------------------------------------------- datagrams

    def receive_datagram(self, data: bytes, path: Path, now: float) -> list[Event]:
        if self._is_dead:
            return []
        self._set_now(now)
        if path.peer in self._paths or len(self._paths) < _MAX_PATHS:
            self._paths[path.peer] = path
        self._has_output = True
        quic = self._quic
        try:
            quic.receive_datagram(data, path.peer, now)
            self._collect()
        except Exception as error:  # noqa: BLE001 - a fault of the library costs one connection, not the server
            self._events.append(PeerErred(RemoteProtocolError(f"aioquic failed on what the peer sent: {error!r}")))
            self.terminate(AbortReason.INTERNAL_ERROR)
        if not quic.began:
            self._is_dead = True  # the first packet was not for us, or not what it said it was
        self._ping_at = now + self._ping_every
        return self.take_events()

    def datagrams_to_send(self, now: float) -> list[tuple[bytes, Path]]:
        quic, requests, responses = self._quic, self._requests, self._responses
        if not self._has_output or not quic.began or self._events:
            return []
        self._set_now(now)
        self._has_output = False
        if responses is not None and responses.outgoing:
            for stream_id in responses.hand_over():
                self._events.append(StreamWritable(stream_id))
        is_last = quic.ending is not None
        sent = quic.datagrams_to_send(now)
        if is_last and sent:
            self._last_datagram = sent[0][0]
        if responses is not None and requests is not None and responses.outgoing:
            for stream in responses.settle(now):
                requests.drop(stream)
            self._has_output = bool(sent) and responses.has_ready()
        self._collect()  # new connection IDs must be routed before a packet that uses them can come
        paths = self._paths
        return [(data, paths.get(peer) or Path(self._first_path.local, peer)) for data, peer in sent]

    def _collect(self) -> None:
        """Turns aioquic's events into ours."""
        quic, handlers = self._quic, self._handlers
        while (event := quic.next_event()) is not None:
            handler = handlers.get(type(event))
            if handler is not None:
                handler(event)
        if quic.ending is not None:
            self._tell_end()
        elif self._announced_at is not None or self._is_draining:
            self._go_on_draining()

    def _on_protocol(self, event: quic_events.ProtocolNegotiated) -> None:
        if event.alpn_protocol != "h3":  # RFC 9114 section 3.1; aioquic lets a client offer nothing
            self._close(_NO_APPLICATION_PROTOCOL, frame_type=_CRYPTO_FRAME)
            return
        quic, limits = self._quic, self._context.limits
        h3 = self._h3 = Http3(quic, max_head_bytes=limits.max_head_bytes)
        responses = self._responses = Responses(
            quic, h3, send_buffer=limits.stream_send_buffer, write_timeout=self._timeouts.write_timeout
        )
        requests = self._requests = Requests(
            quic, h3, responses, self._events, self.terminate, context=self._context, now=self._now
        )
        self._streams = responses.streams
        self._handlers[quic_events.StreamDataReceived] = requests.on_data
        self._handlers[quic_events.StreamReset] = requests.on_reset
        self._handlers[quic_events.StopSendingReceived] = requests.on_stop_sending

    def _on_handshake(self, event: quic_events.HandshakeCompleted) -> None:
        self._is_established = True
        self._ping_every = self._quic.idle_timeout / 2
        self._routes.established()

    # ---------------------------------------------------------------------------------------------------- commands

    def send_headers(self, stream_id: int, status: int, headers: RawHeaders, *, end: bool = False) -> None:
        stream = self._streams.get(stream_id)
        if stream is not None and self._responses is not None:
            self._has_output = True
            self._responses.head(stream, status, headers, end, self._now)

    def send_informational(self, stream_id: int, status: int, headers: RawHeaders) -> None:
        self.send_headers(stream_id, status, headers)

    def send_data(self, stream_id: int, data: bytes, *, end: bool = False) -> None:
        stream = self._streams.get(stream_id)
        if stream is not None and self._responses is not None:
            self._has_output = True
            self._responses.body(stream, data, end, self._now)

    def send_trailers(self, stream_id: int, trailers: RawHeaders) -> None:
        stream = self._streams.get(stream_id)
        if stream is not None and self._responses is not None:
            self._has_output = True
            self._responses.trailers(stream, trailers, self._now)

    def accept_tunnel(self, stream_id: int, headers: RawHeaders) -> None:
        self.send_headers(stream_id, 200, headers)

    def push(self, stream_id: int, path: bytes, headers: RawHeaders) -> RequestStarted | None:
        return None

    def set_priority(self, stream_id: int, urgency: int, incremental: bool) -> None:
        stream = self._streams.get(stream_id)
        if stream is not None and self._responses is not None:
            stream.is_prioritized = True
            self._responses.prioritize(stream_id, urgency, incremental)

    def sendable(self, stream_id: int) -> int:
        return 1 << 62 if self._responses is None else self._responses.sendable(stream_id)

    def consumed(self, stream_id: int, credit: int) -> None:
        stream = self._streams.get(stream_id)  # what one that is gone held was given back when it went
        if stream is not None and self._requests is not None and self._requests.consumed(stream, credit):
            self._has_output = True

    def abort(self, stream_id: int, reason: AbortReason) -> None:
        stream = self._streams.get(stream_id)
        if stream is not None and self._requests is not None:
            self._has_output = True
            self._requests.abort(stream, reason)

    def release(self, stream_id: int) -> None:
        stream = self._streams.get(stream_id)
        if stream is not None and self._requests is not None:
            self._has_output = True
            self._requests.release(stream)

    # --------------------------------------------------------------------------------------------------- deadlines

    def deadline(self) -> float | None:
        if self.is_closed():
            return None
        timer, times, requests = self._quic.get_timer(), self._timeouts, self._requests
        due = inf if timer is None else timer
        if not self._is_established or requests is None or self._responses is None:
            return min(due, self._opened_at + times.handshake_timeout)
        if self._streams:
            due = min(due, self._ping_at, self._responses.deadline())
        elif not requests.heads and not requests.draining:
            due = min(due, requests.idle_since + times.keep_alive_timeout)
        if self._announced_at is not None:
            due = min(due, self._announced_at + times.close_timeout)
        if requests.heads:
            due = min(due, next(iter(requests.heads.values())) + times.header_timeout)
        return due

    def handle_deadline(self, now: float) -> list[Event]:
        self._set_now(now)
        if self.is_closed():
            return self.take_events()
        self._has_output = True
        timer = self._quic.get_timer()
        if timer is not None and timer <= now:
            self._quic.handle_timer(now)
        self._collect()
        if not self.is_closed():
            self._handle_timeouts(now)
        return self.take_events()

    def _handle_timeouts(self, now: float) -> None:
        times, requests, responses = self._timeouts, self._requests, self._responses
        if not self._is_established or requests is None or responses is None:
            if now >= self._opened_at + times.handshake_timeout:
                self._is_dead = True  # a peer that never showed its address is owed no last word
            return
        if self._announced_at is not None and now >= self._announced_at + times.close_timeout:
            self._refuse_requests()
        if self._streams:
            if now >= self._ping_at:
                # The client waits for a slow application, which is no reason to call it lost (RFC 9000
                # section 10.1.2).
                self._quic.send_ping(0)
                self._ping_at = now + self._ping_every
            if now >= responses.deadline():
                for stream in responses.stalled(now):
                    error = over("the peer takes no byte of the response", "write_timeout", stream.stream_id)
                    requests.kill(stream, AbortReason.TIMEOUT, error)
        elif not requests.heads and not requests.draining and now >= requests.idle_since + times.keep_alive_timeout:
            self._close(Code.NO_ERROR)
        for stream_id in [i for i, since in requests.heads.items() if now >= since + times.header_timeout]:
            del requests.heads[stream_id]
            error = over("the head did not come in time", "header_timeout", stream_id, 408)
            requests.answer_error(stream_id, error, False)

    # ----------------------------------------------------------------------------------------------------- endings

    @property
    def _is_draining(self) -> bool:
        return self._requests is not None and self._requests.draining

    def begin_shutdown(self) -> None:
        """Two GOAWAYs (RFC 9114 section 5.2): requests that are already under way to us are still answered."""
        if not self._is_established or self._requests is None or self._h3 is None:
            self._close(Code.NO_ERROR)
        elif self._announced_at is None and not self._requests.draining:
            self._has_output = True
            self._announced_at = self._now
            self._h3.send_goaway(MAX_REQUEST_STREAM)

    def _go_on_draining(self) -> None:
        quic = self._quic
        is_deaf = quic.unanswered_probes >= _MAX_DRAIN_PROBES
        if self._announced_at is not None and self._h3 is not None and (is_deaf or self._h3.goaway_is_known):
            self._refuse_requests()
        if self._is_draining and not self._streams and (is_deaf or not quic.has_unacknowledged()):
            self._close(Code.NO_ERROR)

    def _refuse_requests(self) -> None:
        """The client has seen the first GOAWAY, or had time enough."""
        assert self._requests is not None
        assert self._h3 is not None
        self._announced_at = None
        self._has_output = self._requests.draining = True
        self._h3.send_goaway(self._requests.next_stream_id)

    def terminate(self, reason: AbortReason) -> None:
        self._close(CLOSE_CODES[reason])
        if self._requests is not None:
            self._requests.end_all()

    def _close(self, code: int, *, frame_type: int | None = None) -> None:
        self._has_output = self._end_is_told = True  # we know why, and who calls with streams open ends them
        if self._quic.began:
            self._quic.close(error_code=code, frame_type=frame_type)
        else:
            self._is_dead = True

    def _tell_end(self) -> None:
        """The connection is ending: its streams end, and an error of the peer's that aioquic found is told."""
        if self._end_is_told:
            return
        self._end_is_told = True
        ending = self._quic.ending
        if ending is not None and not self._quic.is_silent:
            message = f"{ending.reason_phrase or 'protocol error'} (QUIC error {ending.error_code:#x})"
            self._events.append(PeerErred(RemoteProtocolError(message)))
        if self._requests is not None:
            self._requests.end_all()
