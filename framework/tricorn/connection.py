"""What an HTTP request, a WebSocket and a tunnel have in common: where they came from and what is known around them.

Rules of this module: nothing is parsed before it is asked for, and nothing twice.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote

from tricorn.cookies import parse_cookies
from tricorn.exceptions import HTTPException
from tricorn.headers import Headers
from tricorn.types import Scope
from tricorn.url import PATH_SAFE, URL, InvalidAuthority, QueryParams, URLPath

if TYPE_CHECKING:
    from tricorn.app import App


class State:
    """Values by attribute, kept in a mapping: the lifespan's state and what middleware adds to it."""

    __slots__ = ("_values",)

    def __init__(self, values: MutableMapping[str, Any] | None = None) -> None:
        object.__setattr__(self, "_values", {} if values is None else values)

    def __getattr__(self, name: str) -> Any:
        try:
            return self._values[name]
        except KeyError:
            raise AttributeError(f"state has no {name!r}") from None

    def __setattr__(self, name: str, value: Any) -> None:
        self._values[name] = value

    def __delattr__(self, name: str) -> None:
        try:
            del self._values[name]
        except KeyError:
            raise AttributeError(f"state has no {name!r}") from None

    def __contains__(self, name: object) -> bool:
        return name in self._values


class Connection:
    """What an HTTP request and a WebSocket have in common.

    Args:
        scope: The ASGI scope. ``scope`` stays accessible for what has no property here.
    """

    _headers: Headers | None = None
    _url: URL | None = None
    _query: QueryParams | None = None
    _cookies: dict[str, str] | None = None

    def __init__(self, scope: Scope) -> None:
        self.scope = scope

    @property
    def headers(self) -> Headers:
        """The fields."""
        if self._headers is None:
            self._headers = Headers(self.scope["headers"])
        return self._headers

    @property
    def url(self) -> URL:
        """The whole URL.

        Raises:
            HTTPException: 400, Host names no host.
        """
        if self._url is None:
            try:
                self._url = URL.from_scope(self.scope)
            except InvalidAuthority as error:
                raise HTTPException(400, f"Host: {error}") from error
        return self._url

    @property
    def path(self) -> str:
        """The decoded path, including what an outer mount has taken of it."""
        return cast("str", self.scope["path"])

    @property
    def query(self) -> QueryParams:
        """The query's fields, decoded."""
        if self._query is None:
            self._query = QueryParams.parse(self.scope.get("query_string", b"").decode("latin-1"))
        return self._query

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies, all ``Cookie`` lines taken together (HTTP/2 may split them, RFC 9113 section 8.2.3)."""
        if self._cookies is None:
            self._cookies = parse_cookies("; ".join(self.headers.getlist("cookie")))
        return self._cookies

    @property
    def client(self) -> tuple[str, int] | None:
        """The client's address and port, where the server knows them."""
        client = self.scope.get("client")
        return None if client is None else (client[0], client[1])

    @property
    def http_version(self) -> str:
        """``"1.0"``, ``"1.1"``, ``"2"`` or ``"3"``."""
        return cast("str", self.scope.get("http_version", "1.1"))

    @property
    def path_params(self) -> Mapping[str, Any]:
        """The parameters of the route's path and of the mounts and hosts around it, converted."""
        return cast("Mapping[str, Any]", self.scope.get("path_params", {}))

    @property
    def state(self) -> State:
        """The lifespan's state, this request's own copy of it."""
        return State(self.scope.setdefault("state", {}))

    @property
    def app(self) -> App:
        """The application that the route belongs to."""
        return cast("App", self.scope["app"])

    @property
    def session(self) -> MutableMapping[str, Any]:
        """The session.

        Raises:
            RuntimeError: No session middleware is in use.
        """
        try:
            return cast("MutableMapping[str, Any]", self.scope["session"])
        except KeyError:
            raise RuntimeError("request.session needs a session middleware in the app's middleware=[...]") from None

    def url_for(self, name: str, /, **params: object) -> URL:
        """The absolute URL of a route, by name, on this request's host.

        Names are those of the outermost application; a route in a named mount is ``"mount:route"``.

        Raises:
            NoRoute: There is none that takes exactly these parameters.
        """
        return self._path_for(name, params).absolute(self.url)

    def _path_for(self, name: str, params: Mapping[str, object]) -> URLPath:
        app, root_path = self.scope.get("tricorn.outer") or (self.scope["app"], self.scope.get("root_path", ""))
        path = cast("App", app).url_for(name, **params)
        return URLPath(quote(root_path, safe=PATH_SAFE) + path, path.host) if root_path else path

    def static_url(self, path: str, mount: str | None = None) -> str:
        """The URL of a static file with its content's hash in it: ``/assets/app.0123456789abcdef.css``.

        It is a path, of which pages, hints and ``Link`` fields can be made that are the same on every host; a whole URL
        where a ``Host`` route decides on the host. The hash is computed when it is first asked for, and again when the
        file has changed: see ``StaticFiles``.

        Args:
            path: Of the file, below the directory.
            mount: The name of the mount, ``"outer:inner"`` if it is in another; without one the first that has no name
                and has the file.

        Raises:
            NoRoute: There is no such file.
        """
        url = self._path_for("static" if mount is None else f"{mount}:static", {"path": path})
        return str(url.absolute(self.url)) if url.host else str(url)
