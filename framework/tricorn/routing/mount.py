"""Other applications under a path or a host.

Rules of this module: a mounted application gets a copy of the scope whose ``root_path`` has grown by what the
mount's template matched; ``path`` and ``raw_path`` stay as they are, as ASGI 2.5 has it. So ASGI and WSGI
applications of any origin build right URLs.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from inspect import signature
from typing import TYPE_CHECKING, Any, Protocol, Unpack, cast, runtime_checkable
from urllib.parse import quote

from tricorn.exceptions import NoRoute
from tricorn.policy import POLICY, CachePolicy, CachingOptions, Declared, policy_for
from tricorn.routing.pattern import ENCODED_SLASH, HostPattern, PathPattern, is_below
from tricorn.routing.route import wrap
from tricorn.types import ASGIApp, MiddlewareLike, Receive, Scope, Send, WSGIApp
from tricorn.url import PATH_SAFE, URLPath

if TYPE_CHECKING:
    from tricorn.routing.router import AnyRoute


@runtime_checkable
class Routed(Protocol):
    """An application with routes of ours below it: ``Router``."""

    def __call__(self, scope: Scope, receive: Receive, send: Send, /) -> Awaitable[None]: ...

    def resolve(self, name: str, params: Mapping[str, object]) -> URLPath: ...

    def attach(self, outer: frozenset[str]) -> None: ...

    def running(self, app: object, state: dict[str, Any] | None) -> AbstractAsyncContextManager[None]: ...


class _Outlet:
    """What ``Mount`` and ``Host`` share: the application behind them and its names."""

    def __init__(
        self,
        what: str,
        app: ASGIApp | None,
        routes: Iterable[AnyRoute] | None,
        wsgi: WSGIApp | None,
        name: str | None,
        middleware: Sequence[MiddlewareLike],
        caching: CachingOptions,
    ) -> None:
        if (app is not None) + (routes is not None) + (wsgi is not None) != 1:
            raise TypeError(f"{what}: give exactly one of app, routes and wsgi")
        if name is not None and ":" in name:
            raise ValueError(f"{what}: the name {name!r} has a colon in it")
        if routes is not None:
            from tricorn.routing.router import Router

            app = Router(routes)
        elif wsgi is not None:
            from tricorn_transports.wsgi import WSGIToASGI

            app = WSGIToASGI(wsgi)
        assert app is not None
        _require_asgi(what, app)
        self.name = name
        #: The application as it was given, without the middleware.
        self.inner: ASGIApp = app
        self.policy: CachePolicy | None = CachePolicy.declare(what, caching)
        self.app: ASGIApp = wrap(app if self.router is not None else Declared(app), middleware)

    @property
    def router(self) -> Routed | None:
        """The router behind this: the application itself, or an ``App``'s."""
        router = getattr(self.inner, "router", self.inner)
        return router if isinstance(router, Routed) else None

    def _check_inner(self, outer: frozenset[str]) -> None:
        if isinstance(self.inner, Routed):  # an App is checked for itself: it may be mounted anywhere
            self.inner.attach(outer)

    def _inner_name(self, name: str) -> str | None:
        """What ``name`` is below this: without our own name, which is not needed if we have none."""
        if self.name is None:
            return name
        own, colon, rest = name.partition(":")
        return rest if colon and own == self.name else None

    def _resolve_inner(self, name: str, params: Mapping[str, object]) -> URLPath | None:
        router = self.router
        inner = self._inner_name(name)
        if inner is None or router is None:
            return None
        return router.resolve(inner, params)

    def _child(self, scope: Scope, params: Mapping[str, object]) -> Scope:
        child = dict(scope)
        if "tricorn.outer" not in scope and "app" in scope:
            child["tricorn.outer"] = (scope["app"], scope.get("root_path") or "")
        if self.policy is not None:
            child[POLICY] = policy_for(self.policy, scope)
        if params:
            child["path_params"] = {**scope.get("path_params", {}), **params}
        return child


class Mount(_Outlet):
    """An application under a path.

    Args:
        path: The template of the prefix, as ``/admin`` or ``/{tenant}/shop``; ``/`` or ``""`` mounts below everything
            else that is registered before it.
        app: A ``Router``, an ``App``, or any ASGI application.
        routes: In place of ``app``: the routes of a router.
        wsgi: In place of ``app``: any WSGI application.
        name: For ``url_for``: routes below it are ``"name:route"``, and ``"name"`` with ``path=`` is a path below an
            application that has no routes of ours. Without a name the routes keep their own names.
        middleware: Around the mounted application; the first is the outermost.
        caching: What holds for all of it, as far as its routes do not say otherwise; see ``Route``.

    Raises:
        TypeError: Not exactly one of app, routes and wsgi was given, or app is no ASGI application.
        ValueError: The template is malformed.
    """

    def __init__(
        self,
        path: str,
        app: ASGIApp | None = None,
        *,
        routes: Iterable[AnyRoute] | None = None,
        wsgi: WSGIApp | None = None,
        name: str | None = None,
        middleware: Sequence[MiddlewareLike] = (),
        **caching: Unpack[CachingOptions],
    ) -> None:
        super().__init__(f"mount {path!r}", app, routes, wsgi, name, middleware, caching)
        self.path: str = path.rstrip("/")
        self.pattern: PathPattern = PathPattern(self.path, prefix=True)

    def check(self, outer: frozenset[str]) -> None:
        """Checks the signatures of the handlers below; see ``Route.check``."""
        self._check_inner(outer | self.pattern.converters.keys())

    def url_for(self, name: str, params: Mapping[str, object]) -> URLPath | None:
        """The path of a route below, or below the mounted application with ``path=``; see ``Route.url_for``."""
        own = {key: value for key, value in params.items() if key in self.pattern.converters}
        others = {key: value for key, value in params.items() if key not in own}
        if self.name is not None and name == self.name and others.keys() == {"path"}:
            rest = quote(str(others["path"]).lstrip("/"), safe=PATH_SAFE)
            return URLPath(f"{self.pattern.build(own)}/{rest}")
        inner = self._resolve_inner(name, others)
        return None if inner is None else URLPath(self.pattern.build(own) + inner, inner.host)

    async def forward(
        self, text: str, end: int, params: Mapping[str, object], scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Hands a request on.

        Args:
            text: The path below the scope's ``root_path``, in text form.
            end: How much of it the template matched.
        """
        child = self._child(scope, params)
        root = scope.get("root_path") or ""
        path = scope["path"]
        if root and not is_below(path, root):  # a server that leaves root_path out of path: put right for those below
            child["path"] = root + path
            if scope.get("raw_path") is not None:
                child["raw_path"] = quote(root, safe=PATH_SAFE).encode("ascii") + scope["raw_path"]
        child["root_path"] = root + text[:end].replace(ENCODED_SLASH, "/")
        await self.app(child, receive, send)

    def __repr__(self) -> str:
        return f"Mount({self.path!r}, {self.inner!r})"


class Host(_Outlet):
    """An application for a host, as ``api.example.com`` or ``{tenant}.example.com``.

    Hosts are looked at before all paths of their router. The arguments are those of ``Mount``.
    """

    def __init__(
        self,
        host: str,
        app: ASGIApp | None = None,
        *,
        routes: Iterable[AnyRoute] | None = None,
        wsgi: WSGIApp | None = None,
        name: str | None = None,
        middleware: Sequence[MiddlewareLike] = (),
        **caching: Unpack[CachingOptions],
    ) -> None:
        super().__init__(f"host {host!r}", app, routes, wsgi, name, middleware, caching)
        self.host = host
        self.pattern: HostPattern = HostPattern(host)

    def check(self, outer: frozenset[str]) -> None:
        """Checks the signatures of the handlers below; see ``Route.check``."""
        self._check_inner(outer | self.pattern.names)

    def url_for(self, name: str, params: Mapping[str, object]) -> URLPath | None:
        """The path and host of a route below; see ``Route.url_for``."""
        own = {key: value for key, value in params.items() if key in self.pattern.names}
        others = {key: value for key, value in params.items() if key not in own}
        inner = self._resolve_inner(name, others)
        if inner is None:
            return None
        if inner.host:
            raise NoRoute(f"{name!r} is below two hosts, {self.host} and {inner.host}")
        return URLPath(inner, self.pattern.build(own))

    async def forward(self, params: Mapping[str, object], scope: Scope, receive: Receive, send: Send) -> None:
        """Hands a request on."""
        await self.app(self._child(scope, params), receive, send)

    def __repr__(self) -> str:
        return f"Host({self.host!r}, {self.inner!r})"


def _require_asgi(what: str, app: object) -> None:
    """Else it would be the requests that fail, at a number of arguments."""
    try:
        signature(cast("Callable[..., object]", app)).bind(None, None, None)
    except ValueError:
        return  # built in: it has none
    except TypeError:
        message = f"{what}: {app!r} is no ASGI application (scope, receive, send); a WSGI one is mounted with wsgi="
        raise TypeError(message) from None
