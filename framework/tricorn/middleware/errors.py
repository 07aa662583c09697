"""From an exception to a response.

Rules of this module: an expected exception (``HTTPException``, or one with a handler of its own) is answered and is
over. Every other one is answered with a 500 and raised again, so that the server logs it: once, in one place. When
the response has begun nothing can be answered any more, and every exception is raised, so that the server breaks the
stream off. Nothing is buffered: the middleware only notes that the response has begun.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from tricorn.concurrency import call
from tricorn.exceptions import ClientDisconnect, HTTPException, WebSocketDisconnect
from tricorn.headers import Headers
from tricorn.middleware.debug_page import CONTENT_SECURITY_POLICY, debug_html, debug_text
from tricorn.middleware.denial import refuse
from tricorn.middleware.problem import PROBLEM_JSON, error_response, negotiate, problem
from tricorn.request import Connection, Request
from tricorn.response.base import HTMLResponse, PlainTextResponse, Response
from tricorn.types import ASGIApp, ExceptionHandler, ExceptionHandlers, Message, Receive, Scope, Send

#: What may be sent before the response begins.
_PRELUDE = frozenset({"http.response.early_hint", "http.response.push", "http.response.debug"})

#: Handlers for these see every failure; it stays a failure, and is raised again after their answer.
_CATCH_ALL = (Exception, BaseException)


class ErrorsMiddleware:
    """Answers exceptions of the application, of HTTP requests and of WebSockets' handshakes.

    An ``HTTPException`` is answered by the handler of its status, or else of its class or the nearest base class
    below ``Exception``, or else with plain text or, for clients that prefer JSON, a problem document (RFC 9457).
    Another exception is answered by the handler of its class or of the nearest base class; if that is
    ``Exception``, or only a handler for 500 is there, the exception is raised again afterwards, as it is without
    any. A group of one exception counts as that exception.

    A WebSocket that is not open yet is refused with the response, an open one is closed with 1011.

    Args:
        debug: Whether the client gets the traceback in place of a bare 500.
        handlers: By status or by class; ``(request, exception)``, asynchronous or not, to a value for ``convert``.
        convert: Makes a response of a handler's value.
    """

    def __init__(
        self, app: ASGIApp, *, debug: bool, handlers: ExceptionHandlers, convert: Callable[[object], Response]
    ) -> None:
        self._app = app
        self._debug = debug
        self._by_class = {key: handler for key, handler in handlers.items() if isinstance(key, type)}
        self._by_status = {key: handler for key, handler in handlers.items() if isinstance(key, int)}
        self._convert = convert

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        last_sent = ""

        def watched_send(message: Message) -> Awaitable[None]:  # no coroutine of its own: every message goes this way
            nonlocal last_sent
            if message["type"] not in _PRELUDE:
                last_sent = message["type"]
            return send(message)

        try:
            await self._app(scope, receive, watched_send)
        except Exception as raised:
            error = _unwrapped(raised)
            if isinstance(error, (ClientDisconnect, WebSocketDisconnect)):
                return  # nobody is left to be answered, and the application did nothing wrong
            if last_sent in ("websocket.accept", "websocket.send"):
                await _close(send)
                raise
            if last_sent:
                raise
            if not await self._answer(error, scope, receive, send):
                raise

    async def _answer(self, error: Exception, scope: Scope, receive: Receive, send: Send) -> bool:
        """Sends a response; whether the exception is over with that.

        Raises:
            Exception: What a handler raised, after it was answered with a 500.
        """
        handler, is_over = self._handler(error)
        if handler is None:
            await refuse(self._default(error, scope), scope, receive, send)
            return is_over
        request = Request(scope, receive, send) if scope["type"] == "http" else Connection(scope)
        try:
            response = self._convert(await call(handler, request, error))
        except HTTPException as second:
            response = self._default(second, scope)
        except Exception as second:
            await refuse(self._default(second, scope), scope, receive, send)
            raise
        await refuse(response, scope, receive, send)
        return is_over

    def _handler(self, error: Exception) -> tuple[ExceptionHandler | None, bool]:
        """The handler for an exception, and whether the exception is over with its answer."""
        if isinstance(error, HTTPException) and error.status in self._by_status:
            return self._by_status[error.status], True
        for cls in type(error).__mro__:
            if cls in self._by_class and cls not in _CATCH_ALL:
                return self._by_class[cls], True
        if isinstance(error, HTTPException):
            return None, True
        catch_all = (self._by_class[cls] for cls in _CATCH_ALL if cls in self._by_class)
        return next(catch_all, self._by_status.get(500)), False

    def _default(self, error: Exception, scope: Scope) -> Response:
        headers = Headers(scope["headers"])
        if isinstance(error, HTTPException):
            return error_response(headers, error.status, error.detail, headers=error.headers)
        if not self._debug:
            return error_response(headers, 500)
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


def _unwrapped(error: Exception) -> Exception:
    """The one exception of a group of one, which is what a task group makes of a failure inside it."""
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


async def _close(send: Send) -> None:
    try:
        await send({"type": "websocket.close", "code": 1011, "reason": ""})
    except OSError:
        pass  # the client has gone first; the exception on its way to the server is what matters
