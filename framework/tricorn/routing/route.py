"""A route: a path template, its methods and the handler, as one ASGI application.

Rules of this module: what can be decided when the route is made is decided then. A request that needs no cancel
scope gets none: a handler without ``await`` cannot be interrupted, one in a thread cannot either, and methods that
change something are finished unless the route asks otherwise. A generator runs to its first part before its response
begins, so that it can refuse, check preconditions and fail like any other handler.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from time import time
from typing import Any, Final, Unpack, cast

from tricorn.caching.rewrite import not_modified_fields
from tricorn.concurrency import ForeignReceive, call_in_thread, until_disconnect
from tricorn.exceptions import ClientDisconnect, NoRoute, NotModified, WebSocketDisconnect
from tricorn.headers import RawHeaders
from tricorn.policy import POLICY, CachePolicy, CachingOptions, add_missing, policy_for, vary_error
from tricorn.request import FAILED, Request
from tricorn.response.base import Response
from tricorn.response.convert import convert
from tricorn.response.stream import StreamingResponse
from tricorn.routing.handler import HandlerPlan, Kind
from tricorn.routing.pattern import PathPattern
from tricorn.types import ASGIApp, Handler, Middleware, MiddlewareLike, Receive, Scope, Send
from tricorn.url import URLPath
from tricorn.websocket import WebSocket
from tricorn_transports.http.fields import is_token

_NO_PARAMS: Mapping[str, Any] = {}

#: What servers log for a client that left before it was answered.
_CLIENT_GONE: Final = 499


def wrap(app: ASGIApp, middleware: Sequence[MiddlewareLike]) -> ASGIApp:
    """``app`` inside its middleware; the first of the list is the outermost.

    Raises:
        TypeError: One of them is no middleware.
    """
    for layer in reversed(middleware):
        app = Middleware.of(layer).wrap(app)
    return app


class BaseRoute:
    """What HTTP and WebSocket routes share.

    Attributes:
        path: The template.
        name: For ``url_for``; the handler's name unless another was given.
        app: The route as an ASGI application, its middleware included.
    """

    def __init__(self, path: str, plan: HandlerPlan, name: str | None, middleware: Sequence[MiddlewareLike]) -> None:
        self.path = path
        self.plan = plan
        self.handler: Handler = plan.handler
        self.pattern: PathPattern = PathPattern(path, plan.optional | plan.parameters)
        self.name: str = name if name is not None else plan.name
        self.app: ASGIApp = wrap(self.handle, middleware)

    def check(self, outer: frozenset[str]) -> None:
        """Checks the handler's signature against the path and the parameters that come from around it.

        Raises:
            TypeError: A parameter comes from nowhere.
        """
        self.plan.require(outer | self.pattern.converters.keys(), self.path)

    def url_for(self, name: str, params: Mapping[str, object]) -> URLPath | None:
        """The path of this route if the name is its own and the parameters are exactly those that it takes."""
        if name != self.name:
            return None
        if params.keys() != self.pattern.converters.keys():
            raise NoRoute(f"{name!r} is {self.path}, which takes other parameters than {sorted(params)}")
        return URLPath(self.pattern.build(params))

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        raise NotImplementedError


class Route(BaseRoute):
    """Answers HTTP requests.

    Args:
        path: The template, as ``/items/{id:int}``.
        handler: Its parameters are path parameters by name, and the request, by the name ``request`` or by an
            annotation. A path parameter without a converter in the template takes that of its annotation.
        methods: ``("GET",)`` if not given. GET brings HEAD with it, unless another route has that.
        cancel_on_disconnect: Whether the handler is cancelled when the client goes away. ``None``: for GET and HEAD.
            A plain ``def`` runs in a thread and cannot be cancelled.
        caching: ``cache``, ``etag``, ``last_modified``, ``vary`` and ``require_preconditions``; see
            ``tricorn.policy.CachingOptions``.

    Raises:
        TypeError: The handler's signature is impossible.
        ValueError: The template or a method is malformed.
    """

    def __init__(
        self,
        path: str,
        handler: Handler,
        *,
        methods: Iterable[str] | None = None,
        name: str | None = None,
        middleware: Sequence[MiddlewareLike] = (),
        cancel_on_disconnect: bool | None = None,
        **caching: Unpack[CachingOptions],
    ) -> None:
        plan = HandlerPlan(handler, Request, ("request",))
        super().__init__(path, plan, name, middleware)
        if isinstance(methods, str):
            raise TypeError(f"route {path}: methods is a list of methods, not the string {methods!r}")
        self.methods: frozenset[str] = frozenset(
            ("GET",) if methods is None else (method.upper() for method in methods)
        )
        if not self.methods or not all(map(is_token, self.methods)):
            raise ValueError(f"route {path}: methods {sorted(self.methods)} are not all tokens")
        self.cancel_on_disconnect = cancel_on_disconnect
        self.policy: CachePolicy | None = CachePolicy.declare(f"route {path}", caching)
        cancellable = plan.kind is not Kind.THREAD and plan.may_suspend and cancel_on_disconnect is not False
        self._guarded = (self.methods | {"HEAD"} if cancel_on_disconnect else {"GET", "HEAD"}) if cancellable else ()

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Calls the handler and sends what it returned."""
        plan = self.plan
        if "tricorn.disconnect" not in (scope.get("extensions") or _NO_PARAMS):
            receive = ForeignReceive(scope, receive)
        policy = policy_for(self.policy, scope) if self.policy is not None or POLICY in scope else None
        request = Request(scope, receive, send) if plan.wants_subject or policy is not None else None
        params = scope.get("path_params") or _NO_PARAMS
        response: Response | None = None
        try:
            try:
                if scope["method"] in self._guarded:

                    async def run() -> None:
                        nonlocal response
                        response = await self._response(request, params, policy)
                        await response.respond(scope, receive, send)

                    await until_disconnect(scope, receive, run)
                else:
                    if plan.kind is Kind.COROUTINE and request is None:  # without a method's call: most requests
                        response = convert(await plan.call(None, params), plan.name)  # type: ignore[misc]  # its kind
                    else:
                        response = await self._response(request, params, policy)
                    await response.respond(scope, receive, send)
            except ClientDisconnect:
                pass  # the client left while its request was read or answered: nobody is to be told
            if response is None:  # nobody is left to get one, but middleware may count on it, as Starlette's does
                await Response(b"", _CLIENT_GONE)(scope, receive, send)
            elif response.background is not None:
                await response.run_background()
        except Exception:
            if request is not None and FAILED in scope:
                scope[FAILED].append(request)
            raise
        finally:
            if request is not None and request.has_form:
                await request.close()

    async def _response(
        self, request: Request | None, params: Mapping[str, Any], policy: CachePolicy | None
    ) -> Response:
        plan = self.plan
        result: object = None
        try:
            unmodified = await policy.begin(request) if policy is not None and request is not None else None
            if unmodified is not None:
                response = _unmodified(unmodified)
            else:
                if plan.kind is Kind.THREAD:
                    result = await call_in_thread(plan.call, request, params)
                else:
                    result = plan.call(request, params)
                    if plan.kind is Kind.COROUTINE:
                        result = await result  # type: ignore[misc]  # so says its kind
                response = convert(result, plan.name)
                if plan.kind is Kind.GENERATOR:
                    await cast("StreamingResponse", response).begin()
        except NotModified as error:
            response = _unmodified(not_modified_fields(error.fields))
        except Exception:
            if request is not None and (policy is not None or request.policy is not None):
                vary_error(request.scope, policy, request.policy)
            raise
        if request is None or (policy is None and request.validators is None and request.policy is None):
            return response
        if isinstance(result, (Response, tuple)):  # a handler may return the same one again and again
            response = response.copy()
        _complete(response, request, policy)
        return response

    def __repr__(self) -> str:
        return f"Route({self.path!r}, {self.plan.name}, methods={sorted(self.methods)})"


def _unmodified(fields: RawHeaders) -> Response:
    response = Response(b"", 304)
    response.headers.raw.extend(fields)
    return response


def _complete(response: Response, request: Request, policy: CachePolicy | None) -> None:
    """Adds what the request, and what is declared, say to a response's fields."""
    status, raw = response.status, response.headers.raw
    if request.policy is not None:
        request.policy.apply(status, raw, None)
    if policy is not None:
        policy.apply(status, raw, request.validators)
    elif request.validators is not None and 200 <= status < 300:
        add_missing(raw, request.validators.fields(time()))


class WebSocketRoute(BaseRoute):
    """Answers WebSocket handshakes.

    Args:
        handler: An ``async def`` that takes path parameters by name and the WebSocket, by the name ``websocket``,
            ``ws`` or ``socket`` or by an annotation. When it returns, the WebSocket is closed with 1000; what it
            raises is answered by the application (a refusal before ``accept``, close code 1011 after it).

    Raises:
        TypeError: The handler is not a coroutine function or its signature is impossible.
    """

    def __init__(
        self, path: str, handler: Handler, *, name: str | None = None, middleware: Sequence[MiddlewareLike] = ()
    ) -> None:
        plan = HandlerPlan(handler, WebSocket, ("websocket", "ws", "socket"))
        if plan.kind is not Kind.COROUTINE:
            raise TypeError(f"handler {plan.name}(): a WebSocket's handler must be async def")
        super().__init__(path, plan, name, middleware)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Runs the handler and closes what it left open."""
        websocket = WebSocket(scope, receive, send)
        try:
            await self.plan.call(websocket, scope.get("path_params") or _NO_PARAMS)  # type: ignore[misc]  # see above
        except WebSocketDisconnect:
            return
        await websocket.close_quietly(1000)

    def __repr__(self) -> str:
        return f"WebSocketRoute({self.path!r}, {self.plan.name})"
