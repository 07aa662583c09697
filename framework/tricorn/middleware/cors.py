"""Cross-origin resource sharing, the server's half (WHATWG Fetch, "CORS protocol").

Rules of this module: an origin is allowed because it was named, and only an allowed one is ever echoed; ``*`` never
goes together with credentials. Whenever the answer depends on the request's origin, every response says so in
``Vary``, those to requests without an origin too, because a shared cache sees both. WebSockets are not subject to
CORS and pass through.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from tricorn.headers import Headers, MutableHeaders
from tricorn.response.base import PlainTextResponse, Response
from tricorn.types import ASGIApp, Message, Receive, Scope, Send
from tricorn_transports.http.fields import is_token, split_list

#: What a script may always use without asking (Fetch, "CORS-safelisted").
_SAFE_METHODS = ("GET", "HEAD", "POST")
_SAFE_HEADERS = ("accept", "accept-language", "content-language", "content-type")


class CORSMiddleware:
    """Answers preflights, and tells browsers which responses other origins may read.

    Args:
        allow_origins: Origins as browsers write them (``https://example.com``, ``null``), or ``*`` for all.
        allow_origin_regex: Origins that match it as a whole are allowed too.
        allow_methods: Methods besides GET, HEAD and POST; ``*`` for all.
        allow_headers: Request fields besides the safelisted ones; ``*`` for all.
        allow_credentials: Whether cookies and HTTP authentication may go with the request.
        expose_headers: Response fields that scripts may read besides the safelisted ones.
        max_age: Seconds for which a browser may keep a preflight's answer.
        allow_private_network: Whether public sites may call this one on a private network.

    Raises:
        ValueError: ``*`` with credentials; name the origins, or use the expression.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        allow_origins: Iterable[str] = (),
        allow_origin_regex: str | None = None,
        allow_methods: Iterable[str] = (),
        allow_headers: Iterable[str] = (),
        allow_credentials: bool = False,
        expose_headers: Iterable[str] = (),
        max_age: int = 600,
        allow_private_network: bool = False,
    ) -> None:
        self._app = app
        self._origins = frozenset(allow_origins)
        self._any_origin = "*" in self._origins
        if self._any_origin and allow_credentials:
            raise ValueError("allow_origins: '*' cannot go together with credentials; name the origins")
        self._regex = re.compile(allow_origin_regex) if allow_origin_regex else None
        methods = (*_SAFE_METHODS, *allow_methods)
        self._any_method = "*" in methods
        self._methods = tuple(dict.fromkeys(method for method in methods if method != "*"))
        self._any_header = "*" in (names := [name.lower() for name in allow_headers])
        self._headers = tuple(dict.fromkeys([*_SAFE_HEADERS, *(name for name in names if name != "*")]))
        self._credentials = allow_credentials
        self._expose = ", ".join(expose_headers)
        self._max_age = max_age
        self._private_network = allow_private_network

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Headers(scope["headers"])
        origin = request.get("origin")
        if origin is not None and scope["method"] == "OPTIONS" and "access-control-request-method" in request:
            await self._preflight(origin, request)(scope, receive, send)
            return

        async def send_shared(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(list(message.get("headers", ())))
                self._share(origin, headers)
                message = {**message, "headers": headers.raw}
            await send(message)

        await self._app(scope, receive, send_shared)

    def is_allowed(self, origin: str) -> bool:
        """Whether scripts of this origin may read responses."""
        return (
            self._any_origin
            or origin in self._origins
            or (self._regex is not None and self._regex.fullmatch(origin) is not None)
        )

    def _share(self, origin: str | None, headers: MutableHeaders) -> None:
        """Adds what the response to a request of this origin must say; replaces what the application said."""
        headers.delete("access-control-allow-origin")
        headers.delete("access-control-allow-credentials")
        if not self._any_origin:
            headers.add_vary("Origin")
        if origin is None or not self.is_allowed(origin):
            return
        self._allow(origin, headers)
        if self._expose:
            headers.set("access-control-expose-headers", self._expose)

    def _allow(self, origin: str, headers: MutableHeaders) -> None:
        headers.set("access-control-allow-origin", "*" if self._any_origin else origin)
        if self._credentials:
            headers.set("access-control-allow-credentials", "true")

    def _preflight(self, origin: str, request: Headers) -> Response:
        """The answer to ``OPTIONS`` with ``Access-Control-Request-Method``: 204, or 403 that says what is refused."""
        method = request["access-control-request-method"]
        wanted = [name.lower() for name in split_list(",".join(request.getlist("access-control-request-headers")))]
        private = request.get("access-control-request-private-network") == "true"
        refused = []
        if not self.is_allowed(origin):
            refused.append("origin")
        if not is_token(method) or not (self._any_method or method in self._methods):
            refused.append("method")
        if not all(is_token(name) and (self._any_header or name in self._headers) for name in wanted):
            refused.append("headers")
        if private and not self._private_network:
            refused.append("private network")
        response: Response
        if refused:
            response = PlainTextResponse(f"CORS: refused {', '.join(refused)}\n", 403)
        else:
            response = Response(b"", 204)
        headers = response.headers
        headers.add_vary("Origin", "Access-Control-Request-Method", "Access-Control-Request-Headers")
        if private or self._private_network:
            headers.add_vary("Access-Control-Request-Private-Network")
        if refused:
            return response
        self._allow(origin, headers)
        methods = self._methods if method in self._methods else (*self._methods, method)
        headers.set("access-control-allow-methods", ", ".join(methods))
        headers.set("access-control-allow-headers", ", ".join(dict.fromkeys([*self._headers, *wanted])))
        headers.set("access-control-max-age", str(self._max_age))
        if private:
            headers.set("access-control-allow-private-network", "true")
        return response
