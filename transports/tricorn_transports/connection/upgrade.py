"""From HTTP/1.1 in clear to HTTP/2 on the same connection: ``Upgrade: h2c`` (RFC 7540 section 3.2).

Rules of this module: RFC 9113 has given this way up, so it is off unless a setting turns it on, and nothing outside
this module knows of it. Whatever about a request is not as RFC 7540 has it leaves it where it is: it is optional to
switch. Only a connection's first request may, one without a body; ``h1_head`` gives such a request its ``protocol``.
"""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from tricorn_transports.abc import StreamEngine
from tricorn_transports.errors import RemoteProtocolError
from tricorn_transports.events import BodyReceived, Event, RequestStarted

#: Of SETTINGS: an identifier of two bytes and a value of four.
_SETTING = 6


@runtime_checkable
class Adopter(Protocol):
    """An HTTP/2 engine that can begin with somebody else's request."""

    def adopt(self, request: RequestStarted, settings: bytes, now: float) -> list[Event]:
        """Makes ``request``, which is complete, stream 1, before any byte was received.

        Args:
            settings: The payload of a SETTINGS frame, whole settings only.

        Raises:
            RemoteProtocolError: The settings are invalid; nothing was sent.
        """


def wanted_settings(events: Sequence[Event]) -> tuple[RequestStarted, bytes] | None:
    """The request that asks for h2c and the settings it came with, if ``events`` begin a connection with one."""
    request = events[0] if events else None
    if not isinstance(request, RequestStarted) or request.protocol != b"h2c" or request.stream_id != 1:
        return None
    given = [value for name, value in request.headers if name == b"http2-settings"]
    options = [value.lower() for name, value in request.headers if name == b"connection"]
    if len(given) != 1 or b"http2-settings" not in [option.strip() for option in b",".join(options).split(b",")]:
        return None
    try:
        settings = urlsafe_b64decode(given[0] + b"=" * (-len(given[0]) % 4))
    except binascii.Error:
        return None
    return (request, settings) if len(settings) % _SETTING == 0 else None


def switch(
    old: StreamEngine, new: StreamEngine, request: RequestStarted, settings: bytes, now: float
) -> tuple[list[bytes], list[Event]] | None:
    """Hands the connection over; gives the last bytes of ``old`` and the first events of ``new``.

    ``None`` where ``new`` does not take it, and everything stays as it was.
    """
    if not isinstance(new, Adopter):
        return None
    try:
        events = new.adopt(request, settings, now)
    except RemoteProtocolError:
        return None
    old.accept_tunnel(request.stream_id, [])
    output = [part for part in old.data_to_send(now) if isinstance(part, bytes)]
    for event in old.take_events():
        if isinstance(event, BodyReceived):  # the client did not wait for the 101
            events += new.receive_data(event.data, now)
    return output, events
