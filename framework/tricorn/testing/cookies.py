"""The cookies that a test client keeps between its requests (RFC 6265 section 5).

Rules of this module: pure, apart from the clock of an expiry; what a browser would refuse to store or to send is
refused here too, so that a test sees the mistake in a cookie's attributes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass

from tricorn_transports.http.dates import parse_date
from tricorn_transports.http.fields import split_list


@dataclass(frozen=True, slots=True)
class Cookie:
    """One stored cookie. ``expires`` is in seconds since the epoch; ``None`` lasts as long as the client."""

    name: str
    value: str
    domain: str
    path: str
    host_only: bool = True
    secure: bool = False
    expires: float | None = None


def _default_path(request_path: str) -> str:
    """RFC 6265 section 5.1.4."""
    directory = request_path.rpartition("/")[0]
    return directory if directory.startswith("/") else "/"


def _path_matches(path: str, request_path: str) -> bool:
    return request_path == path or (
        request_path.startswith(path) and (path.endswith("/") or request_path[len(path)] == "/")
    )


class Cookies(MutableMapping[str, str]):
    """The cookie jar, which is also a mapping of cookie names to values.

    Setting an item makes a cookie that goes with every request of the client, whatever its host and path. Reading
    one finds it wherever it is stored, the most specific path first.
    """

    def __init__(self) -> None:
        self._stored: dict[tuple[str, str, str], Cookie] = {}

    def store(self, set_cookie: str, *, host: str, path: str, secure: bool) -> None:
        """Takes one ``Set-Cookie`` value of a response to a request of ``host`` and ``path`` (section 5.3).

        Args:
            secure: Whether the request went over https.
        """
        pair, *attributes = split_list(set_cookie, ";") or [""]
        name, equals, value = pair.partition("=")
        name = name.strip()
        if not equals or not name:
            return
        given: dict[str, str] = {}
        for attribute in attributes:
            key, _, argument = attribute.partition("=")
            given[key.strip().lower()] = argument.strip()
        domain = given.get("domain", "").lstrip(".").lower()
        if domain and host != domain and not host.endswith(f".{domain}"):
            return
        if "secure" in given and not secure:
            return
        cookie_path = given.get("path", "")
        if not cookie_path.startswith("/"):
            cookie_path = _default_path(path)
        expires = parse_date(given["expires"]) if "expires" in given else None
        age = given.get("max-age", "")
        if age.lstrip("-").isdecimal():
            expires = time.time() + int(age) if int(age) > 0 else 0.0
        cookie = Cookie(
            name,
            value.strip(),
            domain or host,
            cookie_path,
            host_only=not domain,
            secure="secure" in given,
            expires=expires,
        )
        self._stored[(cookie.domain, cookie_path, name)] = cookie

    def header(self, *, host: str, path: str, secure: bool) -> str:
        """The ``Cookie`` value for a request, ``""`` when none is to be sent (section 5.4)."""
        sent = []
        for cookie in self._live():
            same_host = not cookie.domain or host == cookie.domain
            if not same_host and (cookie.host_only or not host.endswith(f".{cookie.domain}")):
                continue
            if _path_matches(cookie.path, path) and (secure or not cookie.secure):
                sent.append(f"{cookie.name}={cookie.value}")
        return "; ".join(sent)

    def _live(self) -> list[Cookie]:
        now = time.time()
        for key, cookie in list(self._stored.items()):
            if cookie.expires is not None and cookie.expires <= now:
                del self._stored[key]
        return sorted(self._stored.values(), key=lambda cookie: -len(cookie.path))

    def __getitem__(self, name: str) -> str:
        for cookie in self._live():
            if cookie.name == name:
                return cookie.value
        raise KeyError(name)

    def __setitem__(self, name: str, value: str) -> None:
        self._stored[("", "/", name)] = Cookie(name, value, "", "/")

    def __delitem__(self, name: str) -> None:
        keys = [key for key in self._stored if key[2] == name]
        if not keys:
            raise KeyError(name)
        for key in keys:
            del self._stored[key]

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(cookie.name for cookie in self._live()))

    def __len__(self) -> int:
        return len(list(iter(self)))
