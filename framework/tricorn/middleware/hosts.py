"""Which hosts are served, and the way to https.

Rules of this module: what is built from a Host field is checked first; a request whose Host is missing, doubled or
malformed is refused with 400, because whatever stands behind may build links and cache keys from it.
"""

from __future__ import annotations

from collections.abc import Iterable

from tricorn.headers import Headers
from tricorn.middleware.problem import error_response
from tricorn.response.denial import refuse
from tricorn.response.redirect import RedirectResponse
from tricorn.types import ASGIApp, Receive, Scope, Send
from tricorn.url import InvalidAuthority, host_of, raw_path


def _host(scope: Scope) -> str:
    """The host that a request names, without a root dot.

    Raises:
        InvalidAuthority: It names none, or more than one.
    """
    named = host_of(scope["headers"])
    if named is None:
        raise InvalidAuthority("the request has none")
    return named[0].removesuffix(".")


async def _refuse(detail: str, scope: Scope, receive: Receive, send: Send) -> None:
    await refuse(error_response(Headers(scope["headers"]), 400, detail), scope, receive, send)


class TrustedHostsMiddleware:
    """Serves only the hosts it is told, to HTTP and WebSocket clients alike; others get 400.

    Args:
        allowed_hosts: Names without ports; ``*.example.com`` is every subdomain, at any depth, but not the domain
            itself; ``*`` is every well-formed host.

    Raises:
        ValueError: A pattern has its ``*`` anywhere else.
    """

    def __init__(self, app: ASGIApp, *, allowed_hosts: Iterable[str]) -> None:
        if isinstance(allowed_hosts, str):
            raise ValueError("allowed_hosts is a list of hosts, not one string")
        self._app = app
        self._exact: set[str] = set()
        suffixes: list[str] = []
        self._any = False
        for pattern in allowed_hosts:
            name = pattern.lower().removesuffix(".")
            if name == "*":
                self._any = True
            elif name.startswith("*.") and "*" not in name[1:]:
                suffixes.append(name[1:])
            elif "*" in name:
                raise ValueError(f"allowed_hosts: {pattern!r} may have a '*' only as its first label")
            else:
                self._exact.add(name)
        self._suffixes = tuple(suffixes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        try:
            host = _host(scope)
        except InvalidAuthority as error:
            await _refuse(f"Host: {error}", scope, receive, send)
            return
        if self._any or host in self._exact or host.endswith(self._suffixes):
            await self._app(scope, receive, send)
        else:
            await _refuse("This host is not served here", scope, receive, send)


class HTTPSRedirectMiddleware:
    """Sends clients that came without TLS to the same URL with ``https`` or ``wss``: 308, which keeps the method.

    Args:
        port: The port of ``https``, where it is not 443.
    """

    def __init__(self, app: ASGIApp, *, port: int | None = None) -> None:
        self._app = app
        self._port = "" if port in (None, 443) else f":{port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        secure = {"http": "https", "ws": "wss"}
        if scope["type"] not in ("http", "websocket") or scope.get("scheme", "http") not in secure:
            await self._app(scope, receive, send)
            return
        try:
            host = _host(scope)
        except InvalidAuthority as error:
            await _refuse(f"Host: {error}", scope, receive, send)
            return
        path = raw_path(scope)
        if not path.startswith("/"):  # OPTIONS *
            path = "/"
        query = scope.get("query_string", b"").decode("latin-1")
        scheme = secure[scope.get("scheme", "http")]
        location = f"{scheme}://{host}{self._port}{path}{f'?{query}' if query else ''}"
        await refuse(RedirectResponse(location, 308), scope, receive, send)
