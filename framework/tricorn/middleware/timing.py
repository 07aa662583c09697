"""Server-Timing (W3C Server Timing) of what ``tricorn.timing`` measures.

Rules of this module: a response says in its header section what was measured before it began; a stream says the rest
in its trailer section, where there can be one. What a server does is nobody's business but its owner's: the middleware
is put in by whoever wants it, and can be told for which requests.
"""

from __future__ import annotations

from collections.abc import Callable

from tricorn.caching.timing import Metric, format_server_timing
from tricorn.foreign import heard
from tricorn.headers import RawHeaders
from tricorn.middleware.trailing import TrailingResponse
from tricorn.response.offer import OFFER
from tricorn.timing import Timings, collecting
from tricorn.types import ASGIApp, Message, Receive, Scope, Send
from tricorn_transports.http.fields import is_token


class ServerTimingMiddleware:
    """Sends ``Server-Timing`` with what the request's ``measure`` and ``record`` say.

    Args:
        total: The name of the time from the request to the response's start, or to the end of a stream that has
            trailers; ``None`` for none.
        when: Which requests it is sent for, by their scope: all of them if not given. Times tell strangers something
            (whether a name exists, what is in a cache), so that in production it is better asked.

    Raises:
        ValueError: ``total`` is no token.
    """

    def __init__(
        self, app: ASGIApp, *, total: str | None = "total", when: Callable[[Scope], bool] | None = None
    ) -> None:
        if total is not None and not is_token(total):
            raise ValueError(f"Server-Timing: {total!r} is not a token")
        self._app = app
        self._total = total
        self._when = when

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or (self._when is not None and not self._when(scope)):
            await self._app(scope, receive, send)
            return
        timings = Timings()
        with collecting(timings):
            await self._app(scope, receive, heard(scope, _Response(scope, send, timings, self._total).send))


class _Response(TrailingResponse):
    __slots__ = ("_timings", "_total")

    def __init__(self, scope: Scope, send: Send, timings: Timings, total: str | None) -> None:
        super().__init__(scope, send)
        self._timings = timings
        self._total = total

    def begin(self, start: Message) -> Message | None:
        offer = start.get(OFFER)
        has_length = any(name == b"content-length" for name, _ in start.get("headers", ()))
        if not has_length and (offer is None or offer.length is None):
            return None  # a stream, or a body that has yet to show whether it is one
        return {**start, "headers": [*start.get("headers", ()), *self._fields()]}

    async def header_fields(self, start: Message, body: bytes | None) -> RawHeaders:
        return self._fields()

    def early_fields(self) -> RawHeaders:
        return _format(self._timings.take())

    def trailer_names(self) -> list[str]:
        return ["Server-Timing"]

    def trailer_fields(self) -> RawHeaders:
        return self._fields()

    def _fields(self) -> RawHeaders:
        metrics = self._timings.take()
        if self._total is not None:
            metrics.append(Metric(self._total, duration=self._timings.elapsed() * 1000))
        return _format(metrics)


def _format(metrics: list[Metric]) -> RawHeaders:
    return [(b"server-timing", format_server_timing(metrics).encode("latin-1"))] if metrics else []
