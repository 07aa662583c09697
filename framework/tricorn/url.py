"""URLs and query strings, built from what a request really said.

Rules of this module: values that never change. A URL holds its parts as they stand on the wire (percent-encoded);
whoever wants text decodes it. An authority is checked against RFC 3986 before anything is built from it, because a
forged Host that slips into a link is an attack (password-reset mails, cache poisoning).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from tricorn.types import Scope

_AUTHORITY = re.compile(
    r"(?P<host>\[[0-9A-Fa-f:.]+(?:%25[A-Za-z0-9._~-]+)?\]|(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+)"
    r"(?::(?P<port>[0-9]{0,5}))?\Z"
)
_DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}

#: What may stand unencoded in a path (RFC 3986 section 3.3).
PATH_SAFE = "/!$&'()*+,;=:@~"


class InvalidAuthority(ValueError):
    """A Host field or an authority that names no host."""


def parse_authority(text: str) -> tuple[str, int | None]:
    """Host (lower case, IPv6 with its brackets) and port of ``host[:port]`` (RFC 3986 section 3.2).

    Raises:
        InvalidAuthority: It has another shape, or its port is above 65535.
    """
    match = _AUTHORITY.match(text)
    if match is None:
        raise InvalidAuthority(f"{text!r} is not a host")
    port = int(match["port"]) if match["port"] else None
    if port is not None and port > 65_535:
        raise InvalidAuthority(f"{text!r} has no valid port")
    return match["host"].lower(), port


def host_of(headers: Iterable[tuple[bytes, bytes]]) -> tuple[str, int | None] | None:
    """Host and port that a request's Host field names; ``None`` where it names none (RFC 9112 section 3.2).

    Raises:
        InvalidAuthority: It has another shape, or there are two of them.
    """
    values = [value for name, value in headers if name == b"host"]
    if len(values) > 1:
        raise InvalidAuthority("there is more than one Host")
    return parse_authority(values[0].decode("latin-1")) if values and values[0] else None


class QueryParams(Mapping[str, str]):
    """The fields of a query string or of a form: several values to a name.

    As a mapping it shows the *last* value of each name; ``getlist`` has all.

    Args:
        pairs: Decoded names and values, in order.
    """

    __slots__ = ("_pairs", "_values")

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        self._pairs = tuple(pairs)
        self._values = dict(self._pairs)

    @classmethod
    def parse(cls, query: str) -> QueryParams:
        """Of ``a=1&b=2``, percent-encoded UTF-8, without the question mark."""
        return cls(parse_qsl(query, keep_blank_values=True))

    def __getitem__(self, name: str) -> str:
        return self._values[name]

    def getlist(self, name: str) -> list[str]:
        """All values of a name, in order."""
        return [value for key, value in self._pairs if key == name]

    def multi_items(self) -> list[tuple[str, str]]:
        """All pairs, in order."""
        return list(self._pairs)

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __eq__(self, other: object) -> bool:
        return self._pairs == other._pairs if isinstance(other, QueryParams) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._pairs)

    def __str__(self) -> str:
        return urlencode(self._pairs)

    def __repr__(self) -> str:
        return f"QueryParams({list(self._pairs)!r})"


@dataclass(frozen=True, slots=True)
class URL:
    """A URL in parts.

    Attributes:
        scheme: Lower case; ``""`` in a relative reference.
        host: Lower case, IPv6 with brackets; ``""`` in a relative reference.
        port: As given, ``None`` where it was left out.
        path, query, fragment: Percent-encoded, without their ``?`` and ``#``.
    """

    scheme: str = ""
    host: str = ""
    port: int | None = None
    path: str = ""
    query: str = ""
    fragment: str = ""

    @classmethod
    def parse(cls, text: str) -> URL:
        """Reads an absolute or relative reference. User information is dropped.

        Raises:
            ValueError: The authority names no host.
        """
        parts = urlsplit(text)
        host, port = parse_authority(parts.netloc.rpartition("@")[2]) if parts.netloc else ("", None)
        return cls(parts.scheme, host, port, parts.path, parts.query, parts.fragment)

    @classmethod
    def from_scope(cls, scope: Scope) -> URL:
        """The URL that an ASGI request or WebSocket was made for (RFC 9110 section 7.1).

        The host is the request's own (Host, or what the server made of ``:authority``); a request without one gets
        the server's address. The path of ``OPTIONS *`` and of CONNECT is empty.

        Raises:
            InvalidAuthority: Host names no host, or there are two of them.
        """
        scheme = scope.get("scheme") or ("ws" if scope["type"] == "websocket" else "http")
        named = host_of(scope["headers"])
        if named is not None:
            host, port = named
        else:
            server = scope.get("server")
            if server is None or server[1] is None:  # a Unix socket: nothing is known
                host, port = "localhost", None
            else:
                host, port = (f"[{server[0]}]" if ":" in server[0] else server[0]), server[1]
        if port == _DEFAULT_PORTS.get(scheme):
            port = None
        path = raw_path(scope)
        if not path.startswith("/"):
            path = ""
        return cls(scheme, host, port, path, scope.get("query_string", b"").decode("latin-1"))

    @property
    def authority(self) -> str:
        """``host[:port]``."""
        return self.host if self.port is None else f"{self.host}:{self.port}"

    @property
    def origin(self) -> str:
        """``scheme://host[:port]``, as the ``Origin`` field has it."""
        return f"{self.scheme}://{self.authority}"

    @property
    def is_secure(self) -> bool:
        """Whether the scheme is one over TLS."""
        return self.scheme in ("https", "wss")

    @property
    def params(self) -> QueryParams:
        """The query, decoded."""
        return QueryParams.parse(self.query)

    def replace(
        self,
        *,
        scheme: str | None = None,
        host: str | None = None,
        path: str | None = None,
        query: str | None = None,
        fragment: str | None = None,
    ) -> URL:
        """A copy with other parts. For another port give ``host`` as ``host:port``."""
        changes: dict[str, str | int | None] = {
            name: value
            for name, value in (("scheme", scheme), ("path", path), ("query", query), ("fragment", fragment))
            if value is not None
        }
        if host is not None:
            changes["host"], changes["port"] = parse_authority(host)
        return replace(self, **changes)  # type: ignore[arg-type]  # each value has its own field's type

    def include_query(self, **params: object) -> URL:
        """A copy whose query has these fields in place of those of the same names."""
        kept = [(name, value) for name, value in self.params.multi_items() if name not in params]
        return replace(self, query=urlencode(kept + [(name, str(value)) for name, value in params.items()]))

    def __str__(self) -> str:
        text = f"{self.scheme}:" if self.scheme else ""
        if self.host:
            text += f"//{self.authority}"
        text += self.path
        if self.query:
            text += f"?{self.query}"
        if self.fragment:
            text += f"#{self.fragment}"
        return text


def raw_path(scope: Scope) -> str:
    """The request's path, percent-encoded; quoted anew where the server does not give it as it was."""
    raw = scope.get("raw_path")
    if raw:
        return quote(raw, safe=PATH_SAFE + "%")  # a lenient server may have let through what cannot stand in a URL
    return quote(scope["path"], safe=PATH_SAFE)


class URLPath(str):
    """A path made by ``url_for``, percent-encoded, with the host where a ``Host`` route decides it."""

    __slots__ = ("host",)
    host: str

    def __new__(cls, path: str, host: str = "") -> URLPath:
        made = super().__new__(cls, path)
        made.host = host
        return made

    def absolute(self, base: URL) -> URL:
        """The whole URL, on the scheme and (without a host of its own) the authority of ``base``."""
        scheme = {"ws": "http", "wss": "https"}.get(base.scheme, base.scheme)
        if not self.host:
            return URL(scheme, base.host, base.port, str(self))
        host, port = parse_authority(self.host)
        return URL(scheme, host, port if port is not None else base.port, str(self))
