"""HTTP/2 (RFC 9113) over the h2 library, which parses, validates and keeps the protocol's state.

Rules of this module: here is the connection's life, which is its deadlines and its endings. ``h2_input`` receives,
``h2_output`` sends, and ``h2_library`` is the one module that knows the library.
"""

from __future__ import annotations

from math import inf

from tricorn_transports.abc import EngineContext
from tricorn_transports.engines import h2_wire as wire
from tricorn_transports.engines.h2_input import SHUTDOWN_PING, H2Input
from tricorn_transports.errors import LimitExceeded
from tricorn_transports.events import AbortReason, Event, PeerErred

_MAX_UNSENT = 262_144


class H2Engine(H2Input):
    """``abc.StreamEngine`` for HTTP/2, the server's side.

    Args:
        context: Limits, deadlines, the scheme, and the time of creation.
    """

    __slots__ = ("_timeouts",)

    def __init__(self, context: EngineContext) -> None:
        super().__init__(context)
        self._timeouts = context.timeouts

    # ---------------------------------------------------------------------------------------------- the connection

    def is_idle(self) -> bool:
        return not self._streams

    def is_closed(self) -> bool:
        return self._closed

    def wants_data(self) -> bool:
        """While the peer takes what it makes us send: heads and answers to its frames, which no window bounds.

        What applications have not read is bounded by the windows, which only reading opens.
        """
        return self._connection.unsent < _MAX_UNSENT

    def data_to_send(self, now: float) -> list[bytes]:
        if self._shutdown_begun and self._shutdown_at is None:
            self._shutdown_at = now
        return super().data_to_send(now)

    def deadline(self) -> float | None:
        if self._closed:
            return None
        when = inf
        if self._idle_since is not None:
            times = self._timeouts
            when = self._idle_since + (times.keep_alive_timeout if self._settled else times.header_timeout)
        if self._stalled:
            when = min(when, next(iter(self._stalled.values())) + self._timeouts.write_timeout)
        if self._shutdown_at is not None:
            when = min(when, self._shutdown_at + self._timeouts.close_timeout)
        return None if when == inf else when

    def handle_deadline(self, now: float) -> list[Event]:
        self._now = now
        events: list[Event] = []
        if self._closed:
            return events
        times, idle = self._timeouts, self._idle_since
        for stream_id in [i for i, since in self._stalled.items() if now >= since + times.write_timeout]:
            self._kill(stream_id, AbortReason.TIMEOUT, events)
            slow = LimitExceeded("the peer takes no byte of the response", limit="write_timeout", stream_id=stream_id)
            events.append(PeerErred(slow))
        if self._shutdown_at is not None and now >= self._shutdown_at + times.close_timeout:
            self._finish_shutdown()
        elif idle is not None and self._settled and now >= idle + times.keep_alive_timeout:
            self._end(wire.NO_ERROR, AbortReason.NO_ERROR, events)
        elif idle is not None and not self._settled and now >= idle + times.header_timeout:
            late = LimitExceeded("the connection's preface did not come in time", limit="header_timeout")
            self._end(wire.NO_ERROR, AbortReason.TIMEOUT, events, late)
        return events

    def begin_shutdown(self) -> None:
        """Two GOAWAYs (RFC 9113 section 6.8): requests that are already under way to us are still answered."""
        if self._shutdown_begun or self._closed:
            return
        self._shutdown_begun = True
        self._append(wire.goaway(wire.MAX_STREAM_ID, wire.NO_ERROR))
        self._connection.ping(SHUTDOWN_PING)

    def terminate(self, reason: AbortReason) -> None:
        if not self._closed:
            self._end(wire.CONNECTION_CODES[reason], reason, self._events)
