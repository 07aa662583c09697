"""Builds ASGI scopes from requests: the only place where wire bytes become the application's strings.

Source: ASGI HTTP and WebSocket specification 2.5.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from tricorn_transports.abc import Feature
from tricorn_transports.events import RawHeaders, RequestStarted
from tricorn_transports.exchange.host import Host

SPEC_VERSION = "2.5"
_ASGI = {"version": "3.0", "spec_version": SPEC_VERSION}
_METHODS = {name.encode(): name for name in ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "CONNECT")}
_WEBSOCKET_SCHEMES = {"http": "ws", "https": "wss"}


def http_extensions(features: Feature, tls_info: dict[str, Any] | None) -> dict[str, Any]:
    """The extensions that an HTTP scope offers on an engine with these features."""
    extensions: dict[str, Any] = {
        "http.response.pathsend": {},
        "http.response.zerocopysend": {},
        "tricorn.request_trailers": {},
    }
    if Feature.MULTIPLEX in features:
        extensions["tricorn.priority"] = {}  # each exchange puts its own functions there
    if Feature.TRAILERS in features:
        extensions["http.response.trailers"] = {}
    if Feature.EARLY_HINTS in features:
        extensions["http.response.early_hint"] = {}
    if Feature.PUSH in features:
        extensions["http.response.push"] = {}
    if tls_info is not None:
        extensions["tls"] = tls_info
    return extensions


def http_scope(host: Host, request: RequestStarted, extensions: dict[str, Any]) -> dict[str, Any]:
    """The scope of one request."""
    scope = _scope("http", host, request, request.scheme.decode("ascii"), extensions)
    scope["method"] = _METHODS.get(request.method) or request.method.decode("ascii")
    return scope


def websocket_scope(
    host: Host, request: RequestStarted, subprotocols: list[str], extensions: dict[str, Any]
) -> dict[str, Any]:
    """The scope of one WebSocket, over any protocol."""
    scheme = _WEBSOCKET_SCHEMES[request.scheme.decode("ascii")]
    return _scope("websocket", host, request, scheme, extensions) | {"subprotocols": subprotocols}


def _scope(kind: str, host: Host, request: RequestStarted, scheme: str, extensions: dict[str, Any]) -> dict[str, Any]:
    raw_path, _, query = request.target.partition(b"?")
    if b"%" in raw_path or not raw_path.isascii():
        path = unquote_to_bytes(raw_path).decode("utf-8", "replace")
    else:
        path = raw_path.decode("ascii")
    worker = host.worker
    root_path = worker.root_path
    if root_path and path.startswith("/"):  # "*" and CONNECT's authority are nowhere below it
        path = root_path + path
        raw_path = _encoded(root_path) + raw_path
    if request.authority:
        _set_host(request.headers, request.authority)
    return {
        "type": kind,
        "asgi": _ASGI,
        "http_version": request.http_version,
        "scheme": scheme,
        "path": path,
        "raw_path": raw_path,
        "query_string": query,
        "root_path": root_path,
        "headers": request.headers,
        "client": host.client,
        "server": host.server,
        "state": worker.state.copy(),
        "extensions": extensions,
    }


@lru_cache(maxsize=1)
def _encoded(root_path: str) -> bytes:
    """As a client would have sent it."""
    return quote(root_path, safe="/!$&'()*+,;=:@~").encode("ascii")


def _set_host(headers: RawHeaders, authority: bytes) -> None:
    """Makes ``host`` say what the request line or ``:authority`` said (RFC 9112 3.2.2, RFC 9113 8.3.1)."""
    for index, (name, value) in enumerate(headers):
        if name == b"host":
            if value != authority:
                headers[index] = (name, authority)
            return
    headers.insert(0, (b"host", authority))
