"""TRACE, for applications that opt in (RFC 9110 section 9.3.8): what a request looks like when it has arrived here.

Rules of this module: nothing is echoed that tells one party of a connection the other's secrets. Without this
middleware TRACE is a method like any other that no route has.
"""

from __future__ import annotations

from collections.abc import Iterable

from tricorn.headers import Headers
from tricorn.middleware.problem import error_response
from tricorn.response.base import Response
from tricorn.types import ASGIApp, Receive, Scope, Send

#: What proves who somebody is; a script that cannot read its own cookies could read their echo.
_SENSITIVE = frozenset(
    (
        *("authorization", "proxy-authorization", "cookie", "cookie2", "set-cookie", "authentication-info"),
        *("x-api-key", "x-auth-token", "x-csrf-token", "x-xsrf-token", "client-cert", "client-cert-chain"),
    )
)


class TraceMiddleware:
    """Answers TRACE with the request's head as ``message/http``, whatever the path.

    A TRACE with content is refused with 400: a client must not send any.

    Args:
        leave_out: Names of more fields that are not echoed, beside those that carry credentials.
    """

    def __init__(self, app: ASGIApp, *, leave_out: Iterable[str] = ()) -> None:
        if isinstance(leave_out, str):
            raise ValueError("leave_out is a list of field names, not one string")
        self._app = app
        self._left_out = frozenset(name.lower().encode("latin-1") for name in (*_SENSITIVE, *leave_out))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "TRACE":
            await self._app(scope, receive, send)
            return
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        if message.get("body") or message.get("more_body"):
            await error_response(Headers(scope["headers"]), 400, "TRACE has no content")(scope, receive, send)
            return
        headers = {"content-type": "message/http", "cache-control": "no-store", "x-content-type-options": "nosniff"}
        await Response(self._echo(scope), headers=headers)(scope, receive, send)

    def _echo(self, scope: Scope) -> bytes:
        target: bytes = scope.get("raw_path") or scope["path"].encode("utf-8")
        if scope.get("query_string"):
            target += b"?" + scope["query_string"]
        lines = [b"TRACE %b HTTP/%b" % (target, scope["http_version"].encode("ascii"))]
        lines += [b"%b: %b" % field for field in scope["headers"] if field[0].lower() not in self._left_out]
        return b"\r\n".join([*lines, b"", b""])
