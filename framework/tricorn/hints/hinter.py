"""One request's hints: which way each goes, and what of them is still to be said when the response begins.

Rules of this module:
- A resource is told of once in a request, in one way: a promise, a 103, or a ``Link`` field of the response.
- What is sent is no part of the response, so it goes past the application's middleware straight to the server: much
  foreign middleware knows no message but the response's own, and drops the others or fails at them. For the same
  reason this stands outside of all middleware, where the response's head is what the client will get.
- A hint cannot fail a request: what is not to be had is left out, and a client that left is the response's business.
- Most responses have no hints, and pass through one function call.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import quote, urldefrag, urljoin, urlsplit

from tricorn.exceptions import ClientDisconnect
from tricorn.headers import RawHeaders
from tricorn.hints.link import EARLY, FETCHED, Hint, Link
from tricorn.hints.settings import Hinting
from tricorn.response.base import transmit
from tricorn.types import Message, Scope, Send
from tricorn_transports.http.promise import promised_fields

if TYPE_CHECKING:
    from tricorn.caching.casper import HeldSet

#: In the scope: the request's ``Hinter``.
HINTER: Final = "tricorn.hinter"

_PUSH: Final = "http.response.push"
_EARLY_HINT: Final = "http.response.early_hint"
#: What may stand in a URL as it is (RFC 3986 section 2), and the escape's own sign.
_URL: Final = "!$%&'()*+,/:;=?@[]~"


class Hinter:
    """Hints for one request, and the ``send`` around its response.

    Args:
        hinting: The application's choice.
        scope: The request's. It is not kept: it keeps this.
        send: The server's.
    """

    __slots__ = (
        "_begun", "_can_push", "_extensions", "_grew", "_headers", "_held", "_hinting", "_links", "_method", "_path",
        "_scheme", "_send", "_told", "_version",
    )  # fmt: skip

    def __init__(self, hinting: Hinting, scope: Scope, send: Send) -> None:
        self._hinting = hinting
        self._send = send
        self._extensions: dict[str, Any] = scope.get("extensions") or {}
        self._method: str = scope["method"]
        self._version: str = scope.get("http_version", "1.1")
        self._scheme: str = scope.get("scheme", "http")
        self._path: str = scope["path"]
        self._headers: RawHeaders = scope["headers"]
        self._can_push = _PUSH in self._extensions and hinting.pushes and self._is_honest()
        self._told: dict[str, None] = {}
        self._links: list[str] = []
        self._held: HeldSet | None = None
        self._grew = False  # the cookie is to be set anew
        self._begun = False

    @classmethod
    def of(cls, scope: Scope, send: Send) -> Hinter:
        """The request's. Without an ``App`` around it nobody adds ``Link`` fields, and pushes and 103s are all."""
        hinter: Hinter | None = scope.get(HINTER)
        if hinter is None:
            hinter = scope[HINTER] = cls(Hinting(), scope, send)
        return hinter

    @property
    def server_send(self) -> Send:
        """What the outermost application was given as ``send``."""
        return self._send

    # ---------------------------------------------------------------------------------------------------- telling

    async def hint(self, hints: Iterable[Hint]) -> None:
        """Tells of resources, those of them that need a 103 in one. After the response's start it does nothing."""
        if self._begun or self._hinting.mode == "off":
            return
        early: list[bytes] = []
        for hint in hints:
            key, path = self._resolve(hint.url, hint.rel)
            if key in self._told:
                continue
            self._told[key] = None
            if path is not None and hint.can_be_pushed and self._method == "GET" and await self._push(path, hint):
                continue
            if hint.rel in EARLY and self._takes_early_hints():
                early.append(hint.link.encode("ascii"))
            else:
                self._links.append(hint.link)
        if early and not self._begun:
            await self._tell({"type": _EARLY_HINT, "links": early})

    async def push(self, path: str, headers: RawHeaders) -> bool:
        """Has the server push ``path``. Returns whether the client has it or is sent it.

        Raises:
            ValueError: ``path`` is not an absolute path.
        """
        if not path.startswith("/"):
            raise ValueError(f"push: {path!r} does not begin with /")
        if path.startswith("//"):
            raise ValueError(f"push: {path!r} names a host")
        key, own = self._resolve(path, "preload")
        if own is None or not await self._push(own, Hint(path), headers):
            return False
        self._told[key] = None
        return True

    async def _push(self, path: str, hint: Hint, given: RawHeaders | None = None) -> bool:
        """Whether the client need not be told of ``path`` in another way."""
        cookie = self._hinting.push_cookie
        if not self._can_push:
            return False
        if cookie is not None:
            if self._held is None:
                self._held = cookie.read(self._headers, secure=self._scheme == "https")
            if self._held.holds(path, hint.etag):
                return True
        if not await self._promise(path, hint.request_fields if given is None else given):
            return False
        if self._held is not None:
            self._held.add(path, hint.etag)
            self._grew = True
        return True

    async def _promise(self, path: str, given: RawHeaders) -> bool:
        offer = self._extensions.get("tricorn.push")
        if offer is not None:
            promise = cast("Callable[[str, RawHeaders], str]", offer["promise"])
            return promise(path, given) != "refused"
        await self._tell({"type": _PUSH, "path": path, "headers": promised_fields(self._headers, given)})
        return True

    def _is_honest(self) -> bool:
        """Whether the offer of pushes is one. Ours is; others make it to every client of HTTP/2, and drop the push.

        Browsers, which take none, are the clients that send ``Sec-Fetch-Mode``.
        """
        return "tricorn.push" in self._extensions or all(name != b"sec-fetch-mode" for name, _ in self._headers)

    async def _tell(self, message: Message) -> None:
        try:
            await transmit(self._send, message)
        except ClientDisconnect:
            return  # the response will notice for itself

    def _takes_early_hints(self) -> bool:
        return (
            _EARLY_HINT in self._extensions
            and self._method == "GET"
            and self._hinting.takes_early_hints(self._version, self._headers)
        )

    def _resolve(self, url: str, rel: str) -> tuple[str, str | None]:
        """What a URI reference stands for in this request, for comparison; and its path if it is of this host."""
        host = next((value for name, value in self._headers if name == b"host"), b"").decode("latin-1").lower()
        origin = f"{self._scheme}://{host}"
        try:
            absolute = quote(urldefrag(urljoin(origin + quote(self._path), url)).url, safe=_URL)
            parts = urlsplit(absolute)
        except ValueError:  # the client's Host makes no URL
            return url, None
        own = f"{parts.scheme}://{parts.netloc.lower()}" == origin
        path = absolute[len(origin) :] or "/" if own else None
        return absolute if rel in FETCHED else f"{rel} {absolute}", path

    # ------------------------------------------------------------------------------------------------ the response

    def send(self, message: Message) -> Awaitable[None]:
        """Takes a message of the response."""
        if self._begun or message["type"] != "http.response.start":
            return self._send(message)
        self._begun = True
        if not self._told and not (self._can_push and self._method == "GET"):
            return self._send(message)
        return self._begin(message)

    async def _begin(self, message: Message) -> None:
        """Reads the ``Link`` fields of the response's head, and adds what is to be in it."""
        status: int = message["status"]
        fields: RawHeaders = []
        for name, value in message.get("headers", ()):
            if name.lower() == b"link":
                value = await self._read(value, status)
                if not value:
                    continue
            fields.append((name, value))
        if status != 304:  # RFC 9110 section 15.4.5
            fields += [(b"link", link.encode("ascii")) for link in self._links]
        cookie = self._hinting.push_cookie
        if self._grew and self._held and cookie is not None:
            from tricorn.caching.privacy import is_for_one_client  # few applications have the cookie

            if is_for_one_client(status, fields):
                fields.append(cookie.format(self._held, secure=self._scheme == "https"))
        await self._send({**message, "headers": fields})

    async def _read(self, value: bytes, status: int) -> bytes:
        """The ``Link`` field without what the client was told, or is now pushed.

        What stays in it is a hint that could not be said sooner: a 103 now would leave with the head itself.
        """
        left: list[str] = []
        members = list(Link.split(value.decode("latin-1")))
        for link in members:
            if not (link.is_preload and await self._replaces(link, status)):
                left.append(link.text)
        return value if len(left) == len(members) else ", ".join(left).encode("latin-1")

    async def _replaces(self, link: Link, status: int) -> bool:
        """Whether the client knows already what a ``rel=preload`` of the response says."""
        key, path = self._resolve(link.target or "", "preload")
        if key in self._told:
            return True
        hint = link.as_hint() if link.may_be_pushed else None
        if path is None or hint is None or self._method != "GET" or not 200 <= status < 300:
            return False
        if not await self._push(path, hint):
            return False
        self._told[key] = None
        return True
