"""The decorators, for everything that has routes: ``App`` and ``Router``.

Rules of this module: a decorator makes a route, adds it, and gives the handler back as it was.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, TypeVar, Unpack

from tricorn.policy import CachingOptions
from tricorn.routing.mount import Host, Mount
from tricorn.routing.route import Route, WebSocketRoute
from tricorn.types import ASGIApp, Handler, Middleware, WSGIApp

if TYPE_CHECKING:
    from tricorn.routing.router import AnyRoute

H = TypeVar("H", bound=Handler)


class Registrar(ABC):
    """Decorators and methods that add routes."""

    @abstractmethod
    def add(self, route: AnyRoute) -> None:
        """Adds a route, a mount or a host."""

    def route(
        self,
        path: str,
        *,
        methods: Iterable[str] | None = None,
        name: str | None = None,
        middleware: Sequence[Middleware] = (),
        cancel_on_disconnect: bool | None = None,
        **caching: Unpack[CachingOptions],
    ) -> Callable[[H], H]:
        """Makes the decorated function the handler of these methods (GET if none); see ``Route``."""

        def register(handler: H) -> H:
            self.add(
                Route(
                    path,
                    handler,
                    methods=methods,
                    name=name,
                    middleware=middleware,
                    cancel_on_disconnect=cancel_on_disconnect,
                    **caching,
                )
            )
            return handler

        return register

    def get(
        self,
        path: str,
        *,
        name: str | None = None,
        middleware: Sequence[Middleware] = (),
        cancel_on_disconnect: bool | None = None,
        **caching: Unpack[CachingOptions],
    ) -> Callable[[H], H]:
        """``route`` for GET, and HEAD with it."""
        return self._shorthand("GET", path, name, middleware, cancel_on_disconnect, caching)

    def head(
        self,
        path: str,
        *,
        name: str | None = None,
        middleware: Sequence[Middleware] = (),
        cancel_on_disconnect: bool | None = None,
        **caching: Unpack[CachingOptions],
    ) -> Callable[[H], H]:
        """``route`` for a HEAD that is cheaper than its GET."""
        return self._shorthand("HEAD", path, name, middleware, cancel_on_disconnect, caching)

    def post(
        self,
        path: str,
        *,
        name: str | None = None,
        middleware: Sequence[Middleware] = (),
        cancel_on_disconnect: bool | None = None,
        **caching: Unpack[CachingOptions],
    ) -> Callable[[H], H]:
        """``route`` for POST."""
        return self._shorthand("POST", path, name, middleware, cancel_on_disconnect, caching)

    def put(
        self,
        path: str,
        *,
        name: str | None = None,
        middleware: Sequence[Middleware] = (),
        cancel_on_disconnect: bool | None = None,
        **caching: Unpack[CachingOptions],
    ) -> Callable[[H], H]:
        """``route`` for PUT."""
        return self._shorthand("PUT", path, name, middleware, cancel_on_disconnect, caching)

    def patch(
        self,
        path: str,
        *,
        name: str | None = None,
        middleware: Sequence[Middleware] = (),
        cancel_on_disconnect: bool | None = None,
        **caching: Unpack[CachingOptions],
    ) -> Callable[[H], H]:
        """``route`` for PATCH."""
        return self._shorthand("PATCH", path, name, middleware, cancel_on_disconnect, caching)

    def delete(
        self,
        path: str,
        *,
        name: str | None = None,
        middleware: Sequence[Middleware] = (),
        cancel_on_disconnect: bool | None = None,
        **caching: Unpack[CachingOptions],
    ) -> Callable[[H], H]:
        """``route`` for DELETE."""
        return self._shorthand("DELETE", path, name, middleware, cancel_on_disconnect, caching)

    def options(
        self,
        path: str,
        *,
        name: str | None = None,
        middleware: Sequence[Middleware] = (),
        cancel_on_disconnect: bool | None = None,
        **caching: Unpack[CachingOptions],
    ) -> Callable[[H], H]:
        """``route`` for an OPTIONS that says more than ``Allow``."""
        return self._shorthand("OPTIONS", path, name, middleware, cancel_on_disconnect, caching)

    def websocket(
        self, path: str, *, name: str | None = None, middleware: Sequence[Middleware] = ()
    ) -> Callable[[H], H]:
        """Makes the decorated function the handler of a WebSocket; see ``WebSocketRoute``."""

        def register(handler: H) -> H:
            self.add(WebSocketRoute(path, handler, name=name, middleware=middleware))
            return handler

        return register

    def mount(
        self,
        path: str,
        app: ASGIApp | None = None,
        *,
        wsgi: WSGIApp | None = None,
        name: str | None = None,
        middleware: Sequence[Middleware] = (),
        **caching: Unpack[CachingOptions],
    ) -> None:
        """Puts an application under a path; see ``Mount``."""
        self.add(Mount(path, app, wsgi=wsgi, name=name, middleware=middleware, **caching))

    def host(
        self,
        host: str,
        app: ASGIApp | None = None,
        *,
        wsgi: WSGIApp | None = None,
        name: str | None = None,
        middleware: Sequence[Middleware] = (),
        **caching: Unpack[CachingOptions],
    ) -> None:
        """Puts an application under a host; see ``Host``."""
        self.add(Host(host, app, wsgi=wsgi, name=name, middleware=middleware, **caching))

    def _shorthand(
        self,
        method: str,
        path: str,
        name: str | None,
        middleware: Sequence[Middleware],
        cancel_on_disconnect: bool | None,
        caching: CachingOptions,
    ) -> Callable[[H], H]:
        return self.route(
            path,
            methods=(method,),
            name=name,
            middleware=middleware,
            cancel_on_disconnect=cancel_on_disconnect,
            **caching,
        )
