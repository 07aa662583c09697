"""Every error the transports raise, named by who erred.

Rules of this module: a *local* error is a caller's mistake (an application or one of our own layers used an
interface wrongly), a *remote* error is the peer's, and a *limit* is a remote error that a setting decides.
Library exceptions never cross a wrapper: they are translated into these with ``raise ... from``.
"""

from __future__ import annotations


class TransportError(Exception):
    """Base class of all errors of ``tricorn_transports``."""


class ProtocolError(TransportError):
    """A rule of HTTP, QUIC or ASGI was broken.

    Args:
        message: One line for a person, without a trailing full stop.
        status_hint: The HTTP status that answers the error best, where an answer can still be sent.
        stream_id: The stream that erred, or ``None`` when the whole connection did.
    """

    def __init__(self, message: str, *, status_hint: int = 500, stream_id: int | None = None) -> None:
        super().__init__(message)
        self.status_hint = status_hint
        self.stream_id = stream_id


class LocalProtocolError(ProtocolError):
    """Our side, most often the application, did what the protocol forbids."""


class RemoteProtocolError(ProtocolError):
    """The peer did what the protocol forbids."""

    def __init__(self, message: str, *, status_hint: int = 400, stream_id: int | None = None) -> None:
        super().__init__(message, status_hint=status_hint, stream_id=stream_id)


class LimitExceeded(RemoteProtocolError):
    """The peer went over a limit of ours.

    Args:
        limit: The name of the field of ``Limits`` or ``Timeouts`` that decided, for the log.
    """

    def __init__(self, message: str, *, limit: str, status_hint: int = 400, stream_id: int | None = None) -> None:
        super().__init__(message, status_hint=status_hint, stream_id=stream_id)
        self.limit = limit


class ClientDisconnected(TransportError, OSError):
    """The client is gone; what is sent now reaches nobody.

    An ``OSError``, as ASGI 2.4 asks of ``send()`` after a disconnect.
    """


class ConfigError(TransportError, ValueError):
    """A setting is wrong. The message is one line that names the setting or the file."""


class TransportNotFound(TransportError, LookupError):
    """No transport or engine of that name is registered."""
