"""The decorators, for everything that has routes: ``App`` and ``Router``.

Rules of this module: a decorator makes a route, adds it, and gives the handler back as it was.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, TypeVar, Unpack

from tricorn.policy import CachingOptions
from tricorn.routing.mount import Host, Mount
from tricorn.routing.route import Route, WebSocketRoute
from tricorn.types import ASGIApp, Handler, MiddlewareLike, WSGIApp

if TYPE_CHECKING:
    from tricorn.routing.router import AnyRoute
    from tricorn.static.options import StaticOptions

H = TypeVar("H", bound=Handler)


class RouteOptions(CachingOptions, total=False):
    """What the decorators of every method take; see ``Route``.

    Attributes:
        name: For ``url_for``; the handler's name if not given.
        middleware: Around the route; the first is the outermost.
        cancel_on_disconnect: Whether the handler is cancelled when the client goes away. ``None``: for GET and HEAD.
    """

    name: str | None
    middleware: Sequence[MiddlewareLike]
    cancel_on_disconnect: bool | None


class Registrar(ABC):
    """Decorators and methods that add routes."""

    @abstractmethod
    def add(self, route: AnyRoute) -> None:
        """Adds a route, a mount or a host."""

    def route(
        self, path: str, *, methods: Iterable[str] | None = None, **options: Unpack[RouteOptions]
    ) -> Callable[[H], H]:
        """Makes the decorated function the handler of these methods (GET if none); see ``Route``.

        Raises:
            TypeError: There is no path: ``@app.get`` was written without its call.
        """
        _require_path(path)

        def register(handler: H) -> H:
            self.add(Route(path, handler, methods=methods, **options))
            return handler

        return register

    def get(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[H], H]:
        """``route`` for GET, and HEAD with it."""
        return self.route(path, methods=("GET",), **options)

    def head(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[H], H]:
        """``route`` for a HEAD that is cheaper than its GET."""
        return self.route(path, methods=("HEAD",), **options)

    def post(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[H], H]:
        """``route`` for POST."""
        return self.route(path, methods=("POST",), **options)

    def put(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[H], H]:
        """``route`` for PUT."""
        return self.route(path, methods=("PUT",), **options)

    def patch(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[H], H]:
        """``route`` for PATCH."""
        return self.route(path, methods=("PATCH",), **options)

    def delete(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[H], H]:
        """``route`` for DELETE."""
        return self.route(path, methods=("DELETE",), **options)

    def options(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[H], H]:
        """``route`` for an OPTIONS that says more than ``Allow``."""
        return self.route(path, methods=("OPTIONS",), **options)

    def websocket(
        self, path: str, *, name: str | None = None, middleware: Sequence[MiddlewareLike] = ()
    ) -> Callable[[H], H]:
        """Makes the decorated function the handler of a WebSocket; see ``WebSocketRoute``. Raises as ``route``."""
        _require_path(path)

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
        middleware: Sequence[MiddlewareLike] = (),
        **caching: Unpack[CachingOptions],
    ) -> None:
        """Puts an application under a path; see ``Mount``."""
        self.add(Mount(path, app, wsgi=wsgi, name=name, middleware=middleware, **caching))

    def static(
        self,
        path: str,
        directory: str | os.PathLike[str],
        *,
        name: str | None = None,
        middleware: Sequence[MiddlewareLike] = (),
        **options: Unpack[StaticOptions],
    ) -> None:
        """Serves the files of a directory under a path; see ``StaticFiles`` for the options, and ``Mount``."""
        from tricorn.static import StaticFiles

        self.add(Mount(path, StaticFiles(directory, **options), name=name, middleware=middleware))

    def host(
        self,
        host: str,
        app: ASGIApp | None = None,
        *,
        wsgi: WSGIApp | None = None,
        name: str | None = None,
        middleware: Sequence[MiddlewareLike] = (),
        **caching: Unpack[CachingOptions],
    ) -> None:
        """Puts an application under a host; see ``Host``."""
        self.add(Host(host, app, wsgi=wsgi, name=name, middleware=middleware, **caching))


def _require_path(path: object) -> None:
    """Else the function itself would be taken for a path, and silently never be registered."""
    if not isinstance(path, str):
        name = getattr(path, "__name__", repr(path))
        raise TypeError(f"{name} is not a path: a route is registered with one, as in @app.get('/path')")
