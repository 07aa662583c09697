"""The application: routes, middleware, exception handlers and lifespan as one ASGI 3 callable.

Rules of this module: it only puts together. From the outside in: errors middleware, the middleware of the list in its
order, the expected exceptions, the router. The stack is built at the first call, so that everything may be registered
in any order before; after it middleware can no longer be added. What a process may never need (the server, the WSGI
adapter) is imported when it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar, Unpack

from tricorn.connection import State
from tricorn.hints.hinter import HINTER, Hinter
from tricorn.hints.settings import Hinting, HintMode
from tricorn.lifespan import Lifespan
from tricorn.middleware.conditional import ConditionalMiddleware
from tricorn.middleware.errors import ErrorsMiddleware, ExpectedExceptions
from tricorn.middleware.judge import AutoETag
from tricorn.policy import POLICY, CachePolicy, CachingOptions, policy_for
from tricorn.request import MAX_BODY_BYTES
from tricorn.routing.registrar import Registrar
from tricorn.routing.route import wrap
from tricorn.routing.router import AnyRoute, Router, TrailingSlash
from tricorn.types import (
    ASGIApp,
    Encoder,
    ExceptionHandler,
    ExceptionHandlers,
    Handler,
    Middleware,
    MiddlewareLike,
    Receive,
    Scope,
    Send,
)
from tricorn.url import URLPath

if TYPE_CHECKING:
    from tricorn.wsgi import WSGIAdapter

P = ParamSpec("P")
E = TypeVar("E", bound=ExceptionHandler)
H = TypeVar("H", bound=Handler)


class App(Registrar):
    """A web application.

    Args:
        routes: ``Route``, ``WebSocketRoute``, ``Mount`` and ``Host`` objects; the decorators add more.
        middleware: Around everything, the first outermost: ``Middleware(factory, ...)``, or a factory alone.
        exception_handlers: By status code or exception class: ``(request, exception)`` to whatever a handler may
            return.
        lifespan: Called with the application; an async context manager (or an async generator function) that is
            entered at startup. What it yields, a mapping or ``None``, is ``request.state``.
        debug: Shows exceptions to clients. Never in production.
        max_body_bytes: Bytes that ``request.body()``, ``json()`` and ``form()`` take: 413 above.
        trailing_slash: What a path gets that would match with a slash more or less at its end: ``redirect`` (308, or
            307 for other methods than GET and HEAD), ``strict`` (404) or ``ignore`` (the same answer).
        json_encoder: Makes JSON of what handlers return; ``tricorn.response.encode_json`` if not given.
        auto_etag: What a response gets that is sent in one piece and has no ETag: a ``strong`` one by its content, a
            ``weak`` one, or ``None``.
        hinting: How clients are told early of what they will need: ``Hinting(...)``, or its mode alone, ``auto``,
            ``push``, ``early``, ``link`` or ``off``. Of an application in an application the outer one's holds.
        caching: What holds for all routes, as far as they do not say otherwise; see ``Route``.

    Attributes:
        state: Values for the whole application, by attribute.

    Raises:
        TypeError: A handler's signature is impossible.
        ValueError: An argument is.
    """

    def __init__(
        self,
        routes: Iterable[AnyRoute] = (),
        *,
        middleware: Sequence[MiddlewareLike] = (),
        exception_handlers: ExceptionHandlers | None = None,
        lifespan: Lifespan | None = None,
        debug: bool = False,
        max_body_bytes: int = MAX_BODY_BYTES,
        trailing_slash: TrailingSlash = "redirect",
        json_encoder: Encoder | None = None,
        auto_etag: AutoETag = "strong",
        hinting: Hinting | HintMode = "auto",
        **caching: Unpack[CachingOptions],
    ) -> None:
        if max_body_bytes < 0:
            raise ValueError(f"max_body_bytes {max_body_bytes} is negative")
        self.debug = debug
        self.max_body_bytes = max_body_bytes
        self.trailing_slash: TrailingSlash = trailing_slash
        self.json_encoder = json_encoder
        self.auto_etag: AutoETag = auto_etag
        self.hinting: Hinting = Hinting.of(hinting)
        self.policy: CachePolicy | None = CachePolicy.declare("app", caching)
        self.state: State = State()
        self.router: Router = Router(routes, lifespan=lifespan, trailing_slash=trailing_slash)
        self.router.attach(frozenset())
        self._middleware = [Middleware.of(layer) for layer in middleware]
        self._exception_handlers: dict[int | type[BaseException], ExceptionHandler] = dict(exception_handlers or {})
        self._stack: ASGIApp | None = None
        self._tunnel_handler: Handler | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one ASGI connection: a request, a WebSocket, or the lifespan."""
        scope["app"] = self
        if scope["type"] == "http" and HINTER not in scope:
            hinter = scope[HINTER] = Hinter(self.hinting, scope, send)
            send = hinter.send  # a method: Python calls an object with __call__ far slower
        if self.policy is not None:
            scope[POLICY] = policy_for(self.policy, scope)
        await (self._stack or self._build())(scope, receive, send)

    def _build(self) -> ASGIApp:
        handlers = self._exception_handlers
        routes: ASGIApp = self.router
        if self._tunnel_handler is not None:
            from tricorn.tunnel import TunnelRoute

            routes = TunnelRoute(routes, self._tunnel_handler)
        inner = wrap(ExpectedExceptions(routes, handlers), self._middleware)
        judged = ConditionalMiddleware(inner, auto_etag=self.auto_etag, handlers=handlers)
        self._stack = ErrorsMiddleware(judged, debug=self.debug, handlers=handlers)
        return self._stack

    @property
    def routes(self) -> list[AnyRoute]:
        """What was registered, in order."""
        return self.router.routes

    def add(self, route: AnyRoute) -> None:
        """Adds a ``Route``, ``WebSocketRoute``, ``Mount`` or ``Host``.

        Raises:
            TypeError: Its handler's signature is impossible.
            ValueError: A route with the same path and method is there already.
        """
        self.router.add(route)

    def add_middleware(
        self, factory: Callable[Concatenate[ASGIApp, P], ASGIApp], *args: P.args, **kwargs: P.kwargs
    ) -> None:
        """Puts a middleware around those there are: the last one added is the outermost.

        Raises:
            RuntimeError: The application has begun to answer.
        """
        if self._stack is not None:
            raise RuntimeError("middleware cannot be added once the application has begun to answer")
        self._middleware.insert(0, Middleware(factory, *args, **kwargs))

    def connect(self, handler: H) -> H:
        """Makes the decorated function the handler of CONNECT: the application becomes a proxy.

        Without one, CONNECT is a 501. The handler decides which tunnels there are and where they lead; see
        ``tricorn.Tunnel``.

        Raises:
            RuntimeError: There is a handler already, or the application has begun to answer.
            TypeError: It is no ``async def``, or takes something else than the tunnel.
        """
        from tricorn.tunnel import TunnelRoute

        if self._stack is not None or self._tunnel_handler is not None:
            raise RuntimeError("CONNECT has a handler already, or the application has begun to answer")
        TunnelRoute(self.router, handler)  # for what it raises
        self._tunnel_handler = handler
        return handler

    def exception_handler(self, *keys: int | type[BaseException]) -> Callable[[E], E]:
        """Makes the decorated ``(request, exception)`` function the handler for these statuses and classes."""
        if not keys or not all(isinstance(key, (int, type)) for key in keys):
            raise TypeError("exception_handler takes status codes and exception classes")

        def register(handler: E) -> E:
            self._exception_handlers.update(dict.fromkeys(keys, handler))
            return handler

        return register

    def url_for(self, name: str, /, **params: object) -> URLPath:
        """The path of a route, by name, below the application's root.

        A route in a named mount is ``"mount:route"``. ``Request.url_for`` gives the whole URL.

        Raises:
            NoRoute: There is none that takes exactly these parameters.
        """
        return self.router.resolve(name, params)

    @property
    def wsgi(self) -> WSGIAdapter:
        """The application as a PEP 3333 callable, always the same one."""
        adapter: WSGIAdapter | None = self.__dict__.get("_wsgi")
        if adapter is None:
            from tricorn.wsgi import WSGIAdapter

            adapter = self.__dict__["_wsgi"] = WSGIAdapter(self)
        return adapter

    def run(self, **settings: Any) -> None:
        """Serves the application in this process until a signal ends it, and logs as ``tricorn run`` does.

        Args:
            settings: As ``tricorn run`` takes them, by the names of docs/guides/settings.md:
                ``app.run(bind=["127.0.0.1:8443", "[::1]:8443"], tls_cert="cert.pem", tls_key="key.pem")``.
                The environment and ``pyproject.toml`` are not read.

        Raises:
            ConfigError: A setting is wrong, a file unreadable, an address taken. It is a ``ValueError``.
        """
        from tricorn_transports import logs
        from tricorn_transports.errors import ConfigError
        from tricorn_transports.server import announce, run
        from tricorn_transports.settings import from_values

        config = from_values(settings)
        if config.workers > 1:
            raise ConfigError("workers: app.run() serves in this process; `tricorn run` starts several")
        logs.configure(config.log_level)
        run(self, config, on_ready=lambda sockets: announce("the application", config, sockets))
