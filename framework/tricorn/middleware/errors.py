"""From an exception to a response, in two layers around an application.

``ExpectedExceptions`` stands innermost, right around the routes: what it answers (``HTTPException``, and whatever has
a handler of its own) is over, and the middleware in between sees an ordinary response that it can add to (CORS,
sessions). ``ErrorsMiddleware`` stands outermost and answers what is left: exceptions of middleware, of WebSockets'
handshakes, and those that nobody expected. The last are answered with a 500 and raised again, so that the server logs
them: once, in one place.

Rules of this module: when the response has begun nothing can be answered any more, and every exception is raised, so
that the server breaks the stream off. Nothing is buffered: both layers only note that the response has begun.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from tricorn.concurrency import call
from tricorn.connection import Connection
from tricorn.exceptions import ClientDisconnect, HTTPException, WebSocketDisconnect
from tricorn.headers import Headers
from tricorn.middleware.problem import PROBLEM_JSON, error_response, negotiate, problem
from tricorn.request import FAILED, Request
from tricorn.response.base import CONDITIONAL, HTMLResponse, PlainTextResponse, Response
from tricorn.response.convert import convert
from tricorn.response.denial import refuse
from tricorn.types import ASGIApp, ExceptionHandler, ExceptionHandlers, Message, Receive, Scope, Send

#: What may be sent before the response begins.
_PRELUDE = frozenset({"http.response.early_hint", "http.response.push", "http.response.debug"})


class ExpectedExceptions:
    """Answers the HTTP exceptions of ``app`` that are answers.

    That is the handler of the exception's class or nearest base class below ``Exception``; that of an
    ``HTTPException``'s status comes just before ``HTTPException``'s own. An ``HTTPException`` without a handler is
    plain text or, for clients that prefer JSON, a problem document (RFC 9457). A group of one exception counts as
    that exception.

    Args:
        handlers: By status or by class: ``(request, exception)``, asynchronous or not, to anything that a route's
            handler may return. Read anew for every exception.
    """

    def __init__(self, app: ASGIApp, handlers: ExceptionHandlers) -> None:
        self._app = app
        self._handlers = handlers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        watched: Any = getattr(send, "__self__", None)
        if watched is None or watched is not scope.get(CONDITIONAL):  # else the judge watches already
            watched = _WatchedSend(send)
            send = watched.pass_on
        try:
            await self._app(scope, receive, send)
        except Exception as raised:
            error = _unwrapped(raised)
            handler = _find_handler(self._handlers, error)
            if watched.has_begun() or (handler is None and not isinstance(error, HTTPException)):
                raise
            response = await _expected_response(handler, _request(scope, receive, send), error)
            await response(scope, receive, send)


class ErrorsMiddleware:
    """Answers exceptions of the application, of HTTP requests and of WebSockets' handshakes.

    What ``ExpectedExceptions`` answers is answered here in the same way. Another exception is answered by the handler
    of ``Exception`` or ``BaseException`` or of status 500, or else with a bare 500, and raised again.

    A WebSocket that is not open yet is refused with the response, an open one is closed with 1011.

    Args:
        debug: Whether the client gets the traceback in place of a bare 500.
        handlers: As those of ``ExpectedExceptions``.
    """

    def __init__(self, app: ASGIApp, *, debug: bool = False, handlers: ExceptionHandlers | None = None) -> None:
        self._app = app
        self._debug = debug
        self._handlers: ExceptionHandlers = {} if handlers is None else handlers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        watched = _WatchedSend(send)
        failed: list[Request] = []
        scope[FAILED] = failed
        try:
            await self._app(scope, receive, watched.pass_on)
        except Exception as raised:
            error = _unwrapped(raised)
            if isinstance(error, (ClientDisconnect, WebSocketDisconnect)):
                return  # nobody is left to be answered, and the application did nothing wrong
            if watched.last in ("websocket.accept", "websocket.send"):
                await _close(send)
            if watched.last or not await self._answer(error, scope, receive, send):
                raise
        finally:
            failed.clear()  # they have the scope, which has them

    async def _answer(self, error: Exception, scope: Scope, receive: Receive, send: Send) -> bool:
        """Sends a response; whether the exception is over with that.

        Raises:
            Exception: What a handler raised, after it was answered with a 500.
        """
        handler = _find_handler(self._handlers, error)
        is_over = handler is not None or isinstance(error, HTTPException)
        if not is_over:
            keys = (Exception, BaseException, 500)
            handler = next((self._handlers[key] for key in keys if key in self._handlers), None)
        request = _request(scope, receive, send) if scope["type"] == "http" else Connection(scope)
        try:
            if handler is None and not is_over:
                response = self._failure(error, scope)
            else:
                response = await _expected_response(handler, request, error)
        except Exception as second:
            await refuse(self._failure(second, scope), scope, receive, send)
            raise
        await refuse(response, scope, receive, send)
        return is_over

    def _failure(self, error: Exception, scope: Scope) -> Response:
        """The answer to an exception that nobody expected."""
        headers = Headers(scope["headers"])
        if not self._debug:
            return error_response(headers, 500)
        from tricorn.middleware.debug_page import CONTENT_SECURITY_POLICY, debug_html, debug_text

        response: Response
        offers = ("text/plain", "text/html", PROBLEM_JSON, "application/json")
        kind = negotiate(",".join(headers.getlist("accept")), offers)
        if kind == "text/html":
            response = HTMLResponse(debug_html(error, scope), 500)
            response.headers.set("content-security-policy", CONTENT_SECURITY_POLICY)
        elif kind == "text/plain":
            response = PlainTextResponse(debug_text(error), 500)
        else:
            text = f"{type(error).__name__}: {error}"
            response = problem(500, text, extensions={"traceback": debug_text(error).splitlines()})
        response.headers.add_vary("Accept")
        response.headers.set("cache-control", "no-store")
        return response


class _WatchedSend:
    """``send`` that remembers the type of the last message, but for those that may come before the response.

    Neither a coroutine of its own nor a ``__call__``, which Python calls slowly: it stands in every message's way.
    """

    __slots__ = ("last", "send")

    def __init__(self, send: Send) -> None:
        self.send = send
        self.last = ""

    def has_begun(self) -> bool:
        """Whether something of the response has come."""
        return self.last != ""

    def pass_on(self, message: Message) -> Awaitable[None]:
        if message["type"] not in _PRELUDE:
            self.last = message["type"]
        return self.send(message)


def _unwrapped(error: Exception) -> Exception:
    """The one exception of a group of one, which is what a task group makes of a failure inside it."""
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def _find_handler(handlers: ExceptionHandlers, error: Exception) -> ExceptionHandler | None:
    """The handler of an exception that is over with its answer; see ``ExpectedExceptions``."""
    for kind in type(error).__mro__:
        if kind is Exception:
            break
        if kind is HTTPException and isinstance(error, HTTPException) and error.status in handlers:
            return handlers[error.status]
        if kind in handlers:
            return handlers[kind]
    return None


def _request(scope: Scope, receive: Receive, send: Send) -> Request:
    """The request for an exception's handler: the very one that the route's handler had, with what was read of it.

    Whoever reads a body a second time from the server waits for the client's going away.
    """
    failed: list[Request] = scope.get(FAILED) or []
    return failed[-1] if failed else Request(scope, receive, send)


async def response_to(handlers: ExceptionHandlers, request: Connection, error: HTTPException) -> Response:
    """What answers an HTTP exception: its handler, or ``error`` itself where there is none."""
    return await _expected_response(_find_handler(handlers, error), request, error)


async def _expected_response(handler: ExceptionHandler | None, request: Connection, error: Exception) -> Response:
    """What a handler answers, or ``error`` itself, an ``HTTPException``, where there is none."""
    if handler is not None:
        try:
            return convert(await call(handler, request, error), getattr(handler, "__name__", None))
        except HTTPException as second:
            error = second
    assert isinstance(error, HTTPException)
    return error_response(request.headers, error.status, error.detail, headers=error.headers)


async def _close(send: Send) -> None:
    try:
        await send({"type": "websocket.close", "code": 1011, "reason": ""})
    except OSError:
        pass  # the client has gone first; the exception on its way to the server is what matters
