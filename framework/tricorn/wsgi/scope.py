"""From a WSGI environment to an ASGI scope (PEP 3333 to ASGI HTTP 2.5).

Rules of this module: pure. WSGI hands the path over decoded, so the raw path is quoted anew, and what the client
escaped without need, or an escaped slash, cannot be told from the plain character any more; where the server
gives the request's target as well (``REQUEST_URI``, ``RAW_URI``) and it agrees with the path, that is used.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote_from_bytes, unquote_to_bytes

from tricorn_transports.abc import WSGIEnvironment

#: What stands in a path without need of escaping (RFC 3986 section 3.3).
_PATH_SAFE = "/:@!$&'()*+,;=~-._"


def _http_version(protocol: str) -> str:
    """``SERVER_PROTOCOL`` as ASGI writes it: ``1.0``, ``1.1``, ``2``, ``3``."""
    version = protocol.upper().removeprefix("HTTP/")
    return {"2.0": "2", "3.0": "3"}.get(version, version if version in ("1.0", "1.1", "2", "3") else "1.1")


def _raw_path(environ: WSGIEnvironment, path: bytes) -> bytes:
    """The escaped path: the server's, if it gives one that means ``path``, else quoted anew."""
    for name in ("REQUEST_URI", "RAW_URI"):
        target = str(environ.get(name, "")).partition("?")[0]
        if not target.startswith(("/", "*")):  # the absolute form, or nothing
            rest = target.partition("://")[2]
            target = rest[rest.find("/") :] if "/" in rest else ""
        raw = target.encode("latin-1", "replace")
        if raw and raw.isascii() and unquote_to_bytes(raw) == path:
            return raw
    return quote_from_bytes(path, safe=_PATH_SAFE).encode("ascii")


def _headers(environ: WSGIEnvironment) -> list[tuple[bytes, bytes]]:
    headers = [
        (name[5:].replace("_", "-").lower().encode("latin-1"), value.encode("latin-1"))
        for name, value in environ.items()
        if name.startswith("HTTP_") and name not in ("HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH")
    ]
    for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if value := environ.get(name):
            headers.append((name.replace("_", "-").lower().encode("ascii"), value.encode("latin-1")))
    return headers


def _port(text: object) -> int:
    return int(str(text)) if str(text).isdecimal() else 0


def scope_of(environ: WSGIEnvironment) -> dict[str, Any]:
    """The scope of a WSGI request, with ``state`` left to the caller and no extensions.

    The path is whole, ``SCRIPT_NAME`` included, and ``root_path`` is ``SCRIPT_NAME``, as ASGI has it.
    """
    root = environ.get("SCRIPT_NAME", "").encode("latin-1")
    path = root + environ.get("PATH_INFO", "").encode("latin-1") or b"/"
    client = environ.get("REMOTE_ADDR")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "http_version": _http_version(environ.get("SERVER_PROTOCOL", "")),
        "method": environ["REQUEST_METHOD"],
        "scheme": environ["wsgi.url_scheme"],
        "path": path.decode("utf-8", "replace"),
        "raw_path": _raw_path(environ, path),
        "query_string": environ.get("QUERY_STRING", "").encode("latin-1"),
        "root_path": root.decode("utf-8", "replace"),
        "headers": _headers(environ),
        "client": (client, _port(environ.get("REMOTE_PORT", 0))) if client else None,
        "server": (environ["SERVER_NAME"], _port(environ["SERVER_PORT"])),
        "extensions": {},
    }
