"""Finding the route of a request.

Rules of this module: the order is hosts, then static paths (one look-up in a dictionary), then templates and mounts
as they were registered, of which only those are tried whose first segment fits. A path that matches with another
method is remembered for ``Allow`` while the search goes on. Only what finds nothing costs more.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Literal, TypeAlias
from urllib.parse import quote

from tricorn.exceptions import HTTPException, NoRoute
from tricorn.lifespan import Lifespan, add_state, answer_lifespan, as_context, run_lifespan
from tricorn.response.base import Response
from tricorn.response.redirect import RedirectResponse
from tricorn.routing.mount import Host, Mount, Routed
from tricorn.routing.pattern import PathPattern, is_below, text_form
from tricorn.routing.registrar import Registrar
from tricorn.routing.route import Route, WebSocketRoute
from tricorn.types import Receive, Scope, Send
from tricorn.url import PATH_SAFE, InvalidAuthority, URLPath, host_of, raw_path

AnyRoute: TypeAlias = Route | WebSocketRoute | Mount | Host
TrailingSlash: TypeAlias = Literal["redirect", "strict", "ignore"]

#: The IANA HTTP Method Registry (RFC 9110 section 16.1.1). Any other method is 501 unless a route has it.
REGISTERED_METHODS = frozenset(
    {
        "ACL", "BASELINE-CONTROL", "BIND", "CHECKIN", "CHECKOUT", "CONNECT", "COPY", "DELETE", "GET", "HEAD",
        "LABEL", "LINK", "LOCK", "MERGE", "MKACTIVITY", "MKCALENDAR", "MKCOL", "MKREDIRECTREF", "MKWORKSPACE",
        "MOVE", "OPTIONS", "ORDERPATCH", "PATCH", "POST", "PRI", "PROPFIND", "PROPPATCH", "PUT", "QUERY",
        "REBIND", "REPORT", "SEARCH", "TRACE", "UNBIND", "UNCHECKOUT", "UNLINK", "UNLOCK", "UPDATE",
        "UPDATEREDIRECTREF", "VERSION-CONTROL",
    }
)  # fmt: skip


class Resource:
    """All routes of one template."""

    __slots__ = ("methods", "pattern", "websocket")

    def __init__(self, pattern: PathPattern) -> None:
        self.pattern: PathPattern = pattern
        self.methods: dict[str, Route] = {}
        self.websocket: WebSocketRoute | None = None

    def add(self, route: Route | WebSocketRoute) -> None:
        """Adds a route.

        Raises:
            ValueError: Another route has its method already: it would never be reached.
        """
        if isinstance(route, WebSocketRoute):
            if self.websocket is not None:
                raise ValueError(f"route {route.path}: the WebSocket is {self.websocket.plan.name}() already")
            self.websocket = route
            return
        for method in sorted(route.methods):
            known = self.methods.get(method)
            if known is not None and method in known.methods:
                raise ValueError(f"route {route.path}: {method} is {known.plan.name}() already")
            self.methods[method] = route
        if "GET" in route.methods:
            self.methods.setdefault("HEAD", route)

    def answers(self, kind: str) -> bool:
        """Whether there is a route for scopes of this type at all."""
        return bool(self.methods) if kind == "http" else self.websocket is not None

    def find(self, scope: Scope) -> Route | WebSocketRoute | None:
        """The route for a request to this resource."""
        return self.methods.get(scope["method"]) if scope["type"] == "http" else self.websocket


class Router(Registrar):
    """Routes, as an ASGI application that stands in an ``App`` (behind a ``Mount`` or a ``Host``).

    Args:
        routes: What to begin with.
        lifespan: Runs while the application does; see ``App``.
        trailing_slash: What a path gets that would match with a slash more or less at its end: ``redirect``, ``strict``
            (404) or ``ignore`` (the same answer). ``None``: as the application has it.
    """

    def __init__(
        self,
        routes: Iterable[AnyRoute] = (),
        *,
        lifespan: Lifespan | None = None,
        trailing_slash: TrailingSlash | None = None,
    ) -> None:
        if trailing_slash not in ("redirect", "strict", "ignore", None):
            raise ValueError(f"trailing_slash {trailing_slash!r} is not redirect, strict or ignore")
        self.routes: list[AnyRoute] = []
        self.lifespan = lifespan
        self.trailing_slash = trailing_slash
        self._static: dict[str, Resource] = {}
        self._dynamic: list[Resource | Mount] = []
        self._index: dict[str | None, list[Resource | Mount]] | None = None
        self._hosts: list[Host] = []
        self._outer: frozenset[str] | None = None
        for route in routes:
            self.add(route)

    def add(self, route: AnyRoute) -> None:
        """Adds a route, a mount or a host.

        Raises:
            TypeError: It is none of them, or its handler's signature is impossible.
            ValueError: A route with the same path and method is there already.
        """
        if self._outer is not None and isinstance(route, (Route, WebSocketRoute, Mount, Host)):
            route.check(self._outer)
        if isinstance(route, Host):
            self._hosts.append(route)
        elif isinstance(route, Mount):
            self._dynamic.append(route)
        elif isinstance(route, (Route, WebSocketRoute)):
            self._resource(route.pattern).add(route)
        else:
            raise TypeError(f"{route!r} is not a Route, WebSocketRoute, Mount or Host")
        self._index = None
        self.routes.append(route)

    def _resource(self, pattern: PathPattern) -> Resource:
        if pattern.is_static:
            return self._static.setdefault(pattern.template, Resource(pattern))
        for entry in self._dynamic:
            # Handlers of one template may convert by annotation, each in its own way; then they are two resources.
            if (
                isinstance(entry, Resource)
                and entry.pattern.template == pattern.template
                and entry.pattern.converters == pattern.converters
            ):
                return entry
        resource = Resource(pattern)
        self._dynamic.append(resource)
        return resource

    def attach(self, outer: frozenset[str]) -> None:
        """Says which path parameters come from around this router, and checks all handlers for it.

        Raises:
            TypeError: A handler has a parameter that comes from nowhere.
        """
        self._outer = outer
        for route in self.routes:
            route.check(outer)

    # ---------------------------------------------------------------------------------------------------- requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind == "lifespan":
            await answer_lifespan(self.running(scope.get("app"), scope.get("state")), receive, send)
            return
        raw = scope.get("raw_path")
        if scope.get("root_path") or (raw is not None and b"%" in raw):
            text = text_form(scope)
        else:
            text = scope["path"]
        if kind == "http" and not self._hosts:  # the shortest way for the most frequent case
            resource = self._static.get(text)
            if resource is not None:
                route = resource.methods.get(scope["method"])
                if route is not None:
                    scope["route"] = route
                    await route.app(scope, receive, send)
                    return
        await self._search(text, scope, receive, send)

    async def _search(self, text: str, scope: Scope, receive: Receive, send: Send) -> None:
        if self._hosts:
            name = _host(scope)
            for host in self._hosts:
                found = host.pattern.match(name)
                if found is not None:
                    await host.forward(found, scope, receive, send)
                    return
        allowed: set[str] = set()
        resource = self._static.get(text)
        if resource is not None:
            route = resource.find(scope)
            if route is not None:
                scope["route"] = route
                await route.app(scope, receive, send)
                return
            allowed.update(resource.methods)
        for entry in self._candidates(text):
            match = entry.pattern.match(text)
            if match is None:
                continue
            params, end = match
            if isinstance(entry, Mount):
                await entry.forward(text, end, params, scope, receive, send)
                return
            route = entry.find(scope)
            if route is not None:
                outer = scope.get("path_params")
                scope["path_params"] = {**outer, **params} if outer else params
                scope["route"] = route
                await route.app(scope, receive, send)
                return
            allowed.update(entry.methods)
        await self._answer_unmatched(text, allowed, scope, receive, send)

    def _candidates(self, text: str) -> list[Resource | Mount]:
        """The templates and mounts whose first segment fits, in order."""
        index = self._index
        if index is None:
            index = {None: []}
            for entry in self._dynamic:
                first = entry.pattern.first
                if first is not None and first not in index:
                    index[first] = index[None].copy()
                for key in index if first is None else (first,):
                    index[key].append(entry)
            self._index = index
        first = text[1:].partition("/")[0]
        return index[first] if first in index else index[None]

    def _matches(self, text: str, kind: str) -> bool:
        """Whether something here answers this path, for a scope of this type."""
        resource = self._static.get(text)
        return (resource is not None and resource.answers(kind)) or any(
            (isinstance(entry, Mount) or entry.answers(kind)) and entry.pattern.match(text) is not None
            for entry in self._candidates(text)
        )

    # ----------------------------------------------------------------------------------------- what matches nothing

    async def _answer_unmatched(self, text: str, allowed: set[str], scope: Scope, receive: Receive, send: Send) -> None:
        app = scope.get("app")
        if not allowed and text != "/":
            policy = self.trailing_slash or getattr(app, "trailing_slash", "redirect")
            other = text[:-1] if text.endswith("/") else text + "/"
            if policy != "strict" and self._matches(other, scope["type"]):
                if policy == "ignore":
                    await self._search(other, scope, receive, send)
                    return
                if scope["type"] == "http":
                    await _slash_redirect(scope)(scope, receive, send)
                    return
        if scope["type"] == "websocket":
            raise HTTPException(404)
        method = scope["method"]
        top = getattr(app, "router", self)
        if method == "OPTIONS" and text == "*":  # RFC 9110 section 9.3.7: of the server as a whole
            await Response(b"", 204, {"allow": _allow(top.methods())})(scope, receive, send)
        elif method not in REGISTERED_METHODS and method not in top.methods():
            raise HTTPException(501, f"the method {method} is not known here")
        elif method == "CONNECT" and not text.startswith("/"):  # for App.connect, and there is none
            raise HTTPException(501, "no tunnels lead through here")
        elif not allowed:
            raise HTTPException(404)
        elif method == "OPTIONS":
            await Response(b"", 204, {"allow": _allow(allowed)})(scope, receive, send)
        else:
            raise HTTPException(405, headers={"allow": _allow(allowed)})

    def methods(self) -> set[str]:
        """All methods that any route here or below has."""
        found: set[str] = set()
        for route in self.routes:
            if isinstance(route, Route):
                found |= route.methods | ({"HEAD"} if "GET" in route.methods else set())
            elif isinstance(route, (Mount, Host)) and isinstance(route.router, Router):
                found |= route.router.methods()
        return found

    # --------------------------------------------------------------------------------------------- names, lifespan

    def resolve(self, name: str, params: Mapping[str, object]) -> URLPath:
        """The path of the route with this name that takes exactly these parameters.

        Raises:
            NoRoute: There is none.
        """
        failure: NoRoute | None = None
        for route in self.routes:
            try:
                path = route.url_for(name, params)
            except NoRoute as error:
                failure = failure if failure is not None and isinstance(route, (Mount, Host)) else error
            else:
                if path is not None:
                    return path
        raise failure or NoRoute(f"there is no route named {name!r}")

    @asynccontextmanager
    async def running(self, app: object, state: dict[str, Any] | None) -> AsyncIterator[None]:
        """Runs this router's lifespan and then those of all that is mounted; adds their states to ``state``."""
        async with AsyncExitStack() as stack:
            if self.lifespan is not None:
                add_state(state, await stack.enter_async_context(as_context(self.lifespan, app)))
            done: set[int] = set()
            for route in self.routes:
                if not isinstance(route, (Mount, Host)) or id(route.inner) in done:
                    continue
                done.add(id(route.inner))
                if isinstance(route.inner, Routed):
                    await stack.enter_async_context(route.inner.running(app, state))
                else:
                    add_state(state, await stack.enter_async_context(run_lifespan(route.inner)))
            yield


def _allow(methods: Iterable[str]) -> str:
    return ", ".join(sorted({*methods, "OPTIONS"}))


def _host(scope: Scope) -> str:
    """The request's host without its port; ``""`` where there is none that could be matched."""
    try:
        named = host_of(scope["headers"])
    except InvalidAuthority:
        return ""
    return named[0] if named is not None else ""


def _slash_redirect(scope: Scope) -> Response:
    """To the same path with a slash more or less, query kept.

    308 for GET and HEAD, which caches may keep; 307 for the others, so that a client sends its body again.
    """
    path = raw_path(scope)
    root = scope.get("root_path") or ""
    if root and not is_below(scope["path"], root):
        path = quote(root, safe=PATH_SAFE) + path
    path = path[:-1] if path.endswith("/") else path + "/"
    if path.startswith("//"):
        path = "/." + path  # else "//evil.example/" would be read as another host (RFC 3986 section 4.2)
    query = scope.get("query_string", b"").decode("latin-1")
    status = 308 if scope["method"] in ("GET", "HEAD") else 307
    # Without a policy browsers keep a 308 for good, and the next deployment may have a route there.
    return RedirectResponse(f"{path}?{query}" if query else path, status, {"cache-control": "no-cache"})
