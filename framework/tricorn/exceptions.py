"""The exceptions that are part of the framework's interface.

Rules of this module: it imports nothing of the framework, so that every other module may import it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tricorn_transports.http.status import status_phrase


class HTTPException(Exception):
    """Ends a request with an error response.

    Args:
        status: The response's status code, 400 to 599.
        detail: One sentence that the client may read; the status's phrase stands alone without it.
        headers: Fields that the error response carries, as ``Allow`` or ``Retry-After``.

    Raises:
        ValueError: The status is not that of an error.
    """

    def __init__(self, status: int, detail: str | None = None, *, headers: Mapping[str, str] | None = None) -> None:
        if not 400 <= status <= 599:
            raise ValueError(f"HTTPException: status {status} is not an error (400 to 599)")
        super().__init__(status, detail)
        self.status = status
        self.detail = detail
        self.headers: Mapping[str, str] = headers or {}

    @property
    def phrase(self) -> str:
        """The status's reason phrase."""
        return status_phrase(self.status)

    def __str__(self) -> str:
        line = f"{self.status} {self.phrase}".rstrip()
        return f"{line}: {self.detail}" if self.detail else line

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.status}, {self.detail!r})"


class NotModified(Exception):
    """Ends a GET or HEAD with 304: the client has the representation already (RFC 9110 section 15.4.5).

    ``Request.check_preconditions`` raises it.

    Args:
        fields: What the 200 would have said of validators and caching, as raw pairs.
    """

    def __init__(self, fields: Sequence[tuple[bytes, bytes]] = ()) -> None:
        super().__init__("304 Not Modified")
        self.fields: list[tuple[bytes, bytes]] = list(fields)


class ClientDisconnect(Exception):
    """The client went away before its request or the response was complete.

    A route that lets it out simply ends: nobody is left to be answered.
    """


class WebSocketDisconnect(Exception):
    """The WebSocket was closed by the other side.

    Args:
        code: The close code (RFC 6455 section 7.4); 1005 when the peer gave none, 1006 when the connection broke.
        reason: The peer's reason.
    """

    def __init__(self, code: int = 1000, reason: str = "") -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


class NoRoute(LookupError):
    """``url_for`` knows no route of that name that takes exactly these parameters."""
