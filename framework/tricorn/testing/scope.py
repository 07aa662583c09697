"""From a URL and options to an ASGI scope that looks as a server of each HTTP version makes it.

Rules of this module: pure; the scope follows ASGI's HTTP and WebSocket specification 2.5. The path goes in as the
test wrote it, escapes and all, and only what may not stand in a request line is quoted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias
from urllib.parse import quote, unquote, urlencode, urlsplit

HttpVersion: TypeAlias = Literal["1.0", "1.1", "2", "3"]
Params: TypeAlias = Mapping[str, object] | Iterable[tuple[str, object]]
HeaderInput: TypeAlias = Mapping[str, str] | Iterable[tuple[str, str]]

#: What may stand in a path or query as it is (RFC 3986 section 3.3 and 3.4), and the escape's own sign.
_SAFE = "/:@!$&'()*+,;=~-._%"

_EVERY_VERSION = ("http.response.pathsend", "http.response.zerocopysend", "tricorn.request_trailers")

#: What the server of this project offers with each version; a message of another extension is a violation.
HTTP_EXTENSIONS: Mapping[str, tuple[str, ...]] = {
    "1.0": _EVERY_VERSION,
    "1.1": (*_EVERY_VERSION, "http.response.early_hint", "http.response.trailers"),
    "2": (*_EVERY_VERSION, "http.response.early_hint", "http.response.trailers", "http.response.push"),
    "3": (*_EVERY_VERSION, "http.response.early_hint", "http.response.trailers"),
}


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request goes, in its validated parts. ``path`` and ``query`` are escaped."""

    scheme: str
    host: str
    port: int | None
    path: str
    query: str

    @classmethod
    def resolve(cls, url: str, base: Target | None, params: Params | None = None) -> Target:
        """Reads an absolute URL, or a path, which is taken on ``base``'s origin, or ``*``.

        Raises:
            ValueError: The URL is relative and there is no base, or it is of another kind.
        """
        if url.startswith("/") or url in ("*", ""):
            if base is None:
                raise ValueError(f"{url!r} is not an absolute URL")
            path, _, query = url.partition("#")[0].partition("?")
            target = replace(base, path=quote(path, safe=_SAFE) or base.path, query=quote(query, safe=_SAFE + "?"))
        else:
            parts = urlsplit(url)
            if parts.scheme not in ("http", "https", "ws", "wss") or not parts.hostname:
                if base is not None and not parts.scheme and not parts.netloc:
                    return cls.resolve(f"{base.path.rpartition('/')[0]}/{url}", base, params)
                raise ValueError(f"{url!r} is neither a path nor an http or ws URL")
            path = quote(parts.path, safe=_SAFE) or "/"
            target = cls(parts.scheme, parts.hostname, parts.port, path, quote(parts.query, safe=_SAFE + "?"))
        if params is not None:
            more = urlencode(list(params.items()) if isinstance(params, Mapping) else list(params), doseq=True)
            target = replace(target, query=f"{target.query}&{more}" if target.query else more)
        return target

    @property
    def is_secure(self) -> bool:
        return self.scheme in ("https", "wss")

    @property
    def origin(self) -> tuple[bool, str, int]:
        """What two URLs share that are of one origin (RFC 6454), http and ws taken as one."""
        return self.is_secure, self.host, self.effective_port

    @property
    def effective_port(self) -> int:
        return self.port if self.port is not None else 443 if self.is_secure else 80

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"

    def __str__(self) -> str:
        query = f"?{self.query}" if self.query else ""
        return f"{self.scheme}://{self.authority}{self.path}{query}"


def header_pairs(headers: HeaderInput | None) -> list[tuple[bytes, bytes]]:
    """What a test gave as ``headers=``, as the wire has it: lower-case names, values in Latin-1."""
    if headers is None:
        return []
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    return [(name.lower().encode("ascii"), value.encode("latin-1")) for name, value in pairs]


def base_scope(
    kind: Literal["http", "websocket"],
    target: Target,
    headers: list[tuple[bytes, bytes]],
    *,
    http_version: HttpVersion,
    root_path: str,
    client: tuple[str, int] | None,
    state: Mapping[str, Any],
) -> dict[str, Any]:
    """What both kinds of scope have in common. ``state`` is copied shallowly, as the specification asks."""
    return {
        "type": kind,
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "http_version": http_version,
        "scheme": target.scheme,
        "path": unquote(target.path),
        "raw_path": target.path.encode("ascii"),
        "query_string": target.query.encode("ascii"),
        "root_path": root_path,
        "headers": headers,
        "client": client,
        "server": (target.host, target.effective_port),
        "state": dict(state),
        "extensions": {},
    }
