"""aioquic's connection with bounded windows, a public view of its send buffers, and writes that never raise.

Rules of this module: it is the only one that touches private members of ``QuicConnection``, ``QuicStream`` and their
parts. What is changed, and why:

- Receive windows. The library doubles them on bytes *received*, without a ceiling, so that a slow application's
  memory is the client's to choose. Here a window moves only with what was handed on and read (``opened``).
- Concurrent streams are a constant in the library.
- ``send_stream_data`` raises for a stream that the peer has reset in the very datagram that is being handled.
- Stateless reset tokens are random in the library; here the endpoint derives them, so that it can still reset a
  connection that it has forgotten.
- The library's log lines are not kept: what matters of them comes out as events.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import (
    MAX_STREAM_DATA_FRAME_CAPACITY,
    Limit,
    QuicConnection,
    QuicConnectionState,
)
from aioquic.quic.events import ConnectionTerminated
from aioquic.quic.packet import QuicFrameType
from aioquic.quic.packet_builder import QuicPacketBuilder
from aioquic.quic.recovery import QuicPacketSpace
from aioquic.quic.stream import QuicStream, QuicStreamSender

from tricorn_transports.quic.endpoint import Opening

#: Unidirectional streams a client may have open. RFC 9114 section 6.2 asks for three; some open more as grease.
_MAX_UNIDIRECTIONAL = 16


class _Silent:
    """Takes the library's log lines and forgets them."""

    def debug(self, *_: object) -> None:
        """Nothing."""

    info = warning = error = debug


class _ReceiveLimit(Limit):
    """MAX_DATA, moved by ``raised`` only: the library's own ``value *= 2`` has no effect."""

    def __init__(self, value: int) -> None:
        self._value = value
        super().__init__(QuicFrameType.MAX_DATA, "max_data", value)

    @property
    def value(self) -> int:
        return self._value

    @value.setter
    def value(self, value: int) -> None:
        pass

    def raised(self, value: int) -> None:
        self._value = value


class Connection(QuicConnection):
    """The server's side of one QUIC connection."""

    def __init__(self, settings: QuicConfiguration, opening: Opening, *, max_streams: int) -> None:
        self._reset_token: Callable[[bytes], bytes] = opening.routes.reset_token
        super().__init__(
            configuration=settings,
            original_destination_connection_id=opening.original_destination,
            retry_source_connection_id=opening.retry_source,
        )
        self._logger = _Silent()
        self._host_cids[0].stateless_reset_token = self._reset_token(self.host_cid)
        for limit, value in (
            (self._local_max_streams_bidi, max_streams),
            (self._local_max_streams_uni, _MAX_UNIDIRECTIONAL),
        ):
            limit.value = limit.sent = value
        self._stream_window = settings.max_stream_data
        self._connection_window = settings.max_data
        self._local_max_data = _ReceiveLimit(settings.max_data)

    # ------------------------------------------------------------------------------------------------------- state

    @property
    def began(self) -> bool:
        """False until a packet was understood; there is nothing to send before."""
        return self._state is not QuicConnectionState.FIRSTFLIGHT

    @property
    def ending(self) -> ConnectionTerminated | None:
        """Why the connection closes, from the moment that either side has decided it."""
        return self._close_event

    @property
    def is_silent(self) -> bool:
        """It closes, and its CONNECTION_CLOSE (if one is to be sent) has been handed out."""
        if self._state is QuicConnectionState.TERMINATED:
            return True  # the timer fired before the CONNECTION_CLOSE was asked for; it will not be sent any more
        return self._close_event is not None and not self._close_pending

    @property
    def closed_by_peer(self) -> bool:
        """The peer sent a CONNECTION_CLOSE."""
        return self._state is QuicConnectionState.DRAINING

    @property
    def cipher_suite(self) -> int | None:
        """The TLS cipher suite's number, once it is chosen."""
        schedule = self.tls.key_schedule if self._spaces else None
        return None if schedule is None else int(schedule.cipher_suite)

    @property
    def idle_timeout(self) -> float:
        """The seconds of silence after which one of the two sides gives the connection up."""
        return self._idle_timeout()

    # ----------------------------------------------------------------------------------------------------- sending

    def send_stream_data(self, stream_id: int, data: bytes, end_stream: bool = False) -> None:
        """As in the library, but what can reach nobody any more is dropped."""
        stream = self._streams.get(stream_id)
        if stream is None:
            if not self._stream_is_discarded(stream_id):
                super().send_stream_data(stream_id, data, end_stream)
            return
        sender = stream.sender
        if (data or end_stream) and sender._reset_error_code is None and sender._buffer_fin is None:
            sender.write(data, end_stream)

    def sending(self, stream_id: int) -> tuple[int, int, int]:
        """What the library holds of a stream's output.

        Returns:
            Three numbers of bytes: those that wait for the network (not for the peer's stream window), those that
            the peer's stream window has room for beyond all that was handed over, and those that were ever sent.
        """
        stream = self._streams.get(stream_id)
        if stream is None or stream.sender._reset_error_code is not None:
            return 0, 0, 0
        sender = stream.sender
        stop, sent, limit = sender._buffer_stop, sender.highest_offset, stream.max_stream_data_remote
        return (stop if stop < limit else limit) - sent, limit - stop, sent

    def is_sent(self, stream_id: int) -> bool:
        """Whether all that was handed over has left at least once."""
        stream = self._streams.get(stream_id)
        if stream is None or stream.sender._reset_error_code is not None:
            return True
        return stream.sender.highest_offset == stream.sender._buffer_stop and not stream.sender._pending_eof

    def has_unacknowledged(self, *, responses_only: bool = False) -> bool:
        """Whether the peer has yet to confirm something that was sent, on any stream or on request streams."""
        return any(
            _is_unacknowledged(stream.sender)
            for stream_id, stream in self._streams.items()
            if stream_id & 3 == 0 or not responses_only
        )

    def is_acknowledged(self, stream_id: int) -> bool:
        """Whether the peer has confirmed all that was sent on a stream."""
        stream = self._streams.get(stream_id)
        return stream is None or not _is_unacknowledged(stream.sender)

    @property
    def max_requests(self) -> int:
        """How many request streams the peer may have opened over the connection's life."""
        return int(self._local_max_streams_bidi.value)

    @property
    def unanswered_probes(self) -> int:
        """Probes in a row that the peer left unanswered (RFC 9002 section 6.2); each waits twice as long."""
        return self._loss._pto_count

    def stop_stream(self, stream_id: int, error_code: int) -> None:
        """As in the library, but a stream that is complete or forgotten needs no stopping."""
        stream = self._streams.get(stream_id)
        if stream is not None and not stream.receiver.is_finished:
            stream.receiver.stop(error_code)

    # --------------------------------------------------------------------------------------------------- receiving

    def opened(self, stream_id: int, unread: int, taken: int) -> bool:
        """Moves the receive windows to what the application has read.

        Args:
            unread: Bytes of this stream that were handed on and not yet read.
            taken: Bytes of all streams that were handed on and read, or thrown away.

        Returns:
            Whether there is a new limit to tell the peer. Limits move in steps of half a window, the connection's
            also where that doubles what the peer has left.
        """
        moved = False
        total = self._local_max_data
        step = taken + self._connection_window - total.value
        # Nor may a step be waited for that others, who read nothing, leave no room for.
        if step >= self._connection_window >> 1 or (step > 0 and step >= total.value - total.used):
            total.raised(taken + self._connection_window)
            moved = True
        stream = self._streams.get(stream_id)
        if stream is not None and not stream.receiver.is_finished:
            limit = stream.receiver.starting_offset() - unread + self._stream_window
            if limit - stream.max_stream_data_local >= self._stream_window >> 1:
                stream.max_stream_data_local = limit
                moved = True
        return moved

    def skipped(self, stream_id: int) -> int:
        """Bytes of a stream that was reset which count against the connection's window but were never handed on."""
        stream = self._streams.get(stream_id)
        return 0 if stream is None else stream.receiver.highest_offset - stream.receiver.starting_offset()

    def _write_stream_limits(self, builder: QuicPacketBuilder, space: QuicPacketSpace, stream: QuicStream) -> None:
        if stream.max_stream_data_local_sent != stream.max_stream_data_local and not stream.receiver.is_finished:
            buffer = builder.start_frame(
                QuicFrameType.MAX_STREAM_DATA,
                capacity=MAX_STREAM_DATA_FRAME_CAPACITY,
                handler=self._on_max_stream_data_delivery,
                handler_args=(stream,),
            )
            assert stream.stream_id is not None
            buffer.push_uint_var(stream.stream_id)
            buffer.push_uint_var(stream.max_stream_data_local)
            stream.max_stream_data_local_sent = stream.max_stream_data_local

    def _replenish_connection_ids(self) -> None:
        super()._replenish_connection_ids()
        for connection_id in self._host_cids:
            if not connection_id.was_sent:
                connection_id.stateless_reset_token = self._reset_token(connection_id.cid)

    # The parent is not typed in full; these are what is used of it here.
    _logger: Any
    _local_max_data: Any


def _is_unacknowledged(sender: QuicStreamSender) -> bool:
    if sender._reset_error_code is not None or sender._buffer_fin is not None:
        return not sender.is_finished
    return sender._buffer_start != sender._buffer_stop
