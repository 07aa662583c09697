"""Exceptions that are answers: ``HTTPException``, and whatever has a handler of its own.

Rules of this module: it stands innermost, right around the routes, so that middleware sees an ordinary response and
can add to it (CORS, sessions). What nobody expected goes through it, and through all middleware, to the errors
middleware, which stands outermost. A response that has begun cannot be replaced: then the exception goes on too.
"""

from __future__ import annotations

from collections.abc import Awaitable

from tricorn.concurrency import call
from tricorn.exceptions import HTTPException
from tricorn.middleware.problem import error_response
from tricorn.request import Request
from tricorn.response.base import Response
from tricorn.response.convert import convert
from tricorn.types import ASGIApp, ExceptionHandler, ExceptionHandlers, Message, Receive, Scope, Send


class _WatchedSend:
    """``send`` that remembers whether it was used. Not a coroutine of its own: it stands in every request's way."""

    __slots__ = ("send", "started")

    def __init__(self, send: Send) -> None:
        self.send = send
        self.started = False

    def __call__(self, message: Message) -> Awaitable[None]:
        if message["type"] == "http.response.start":
            self.started = True
        return self.send(message)


class ExpectedExceptions:
    """ASGI middleware that answers the exceptions of ``app`` that are answers.

    Args:
        handlers: By status code (of an ``HTTPException``) or class; read anew for every exception. Those for 500,
            ``Exception`` and ``BaseException`` are the errors middleware's.
    """

    def __init__(self, app: ASGIApp, handlers: ExceptionHandlers) -> None:
        self.app = app
        self.handlers = handlers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        watched = _WatchedSend(send)
        try:
            await self.app(scope, receive, watched)
        except Exception as error:
            if watched.started:
                raise
            handler = self._find(error)
            request = Request(scope, receive, send)
            if handler is not None:
                response = convert(await call(handler, request, error))
            elif isinstance(error, HTTPException):
                response = _answer(request, error)
            else:
                raise
            await response(scope, receive, send)

    def _find(self, error: Exception) -> ExceptionHandler | None:
        """The handler of the nearest class; that of an HTTPException's status comes just before HTTPException's own."""
        for kind in type(error).__mro__:
            if kind is Exception:
                return None
            if kind is HTTPException and isinstance(error, HTTPException) and error.status in self.handlers:
                return self.handlers[error.status]
            if kind in self.handlers:
                return self.handlers[kind]
        return None


def _answer(request: Request, error: HTTPException) -> Response:
    return error_response(request.headers, error.status, error.detail, headers=error.headers)
