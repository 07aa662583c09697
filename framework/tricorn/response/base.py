"""A response whose body is there whole, and what all responses share.

Rules of this module: a response is an ASGI application. It is made of checked fields and bytes, so that sending it
cannot fail for what it says; the small answers of ordinary handlers must cost little, hence the prepared field pairs.
``respond`` sends the response and nothing else; calling the response also swallows the client's going away, which
is no error of the application, and then runs the background work.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any, Final, Self, TypeAlias

from tricorn.concurrency import call
from tricorn.cookies import SameSite, format_cookie
from tricorn.exceptions import ClientDisconnect
from tricorn.headers import HeadersInit, MutableHeaders, RawHeaders, encode_headers, encode_value
from tricorn.types import Message, Receive, Scope, Send

#: Called without arguments after the response; sync ones run in a thread.
Background: TypeAlias = Callable[[], object]

#: In the scope: the conditional middleware is around this application (its ``Judge``).
CONDITIONAL: Final = "tricorn.conditional"

logger = logging.getLogger("tricorn.background")

_content_types: dict[str, tuple[bytes, bytes]] = {}


def content_type(media_type: str) -> tuple[bytes, bytes]:
    """The ``Content-Type`` pair of a media type; ``text/*`` without a charset gets ``charset=utf-8``."""
    pair = _content_types.get(media_type)
    if pair is None:
        text = media_type
        if text.startswith("text/") and "charset=" not in text.lower():
            text += "; charset=utf-8"
        pair = (b"content-type", encode_value("content-type", text))
        if len(_content_types) < 256:  # a media type may come from outside
            _content_types[media_type] = pair
    return pair


def has_no_content(status: int) -> bool:
    """Whether a response of this status has neither a body nor ``Content-Length`` (RFC 9110 section 8.6)."""
    return status in (204, 304) or status < 200


async def transmit(send: Send, message: Message) -> None:
    """Sends a message.

    Raises:
        ClientDisconnect: The client has gone (ASGI 2.4: ``send`` raises an ``OSError``).
    """
    try:
        await send(message)
    except OSError as error:
        raise ClientDisconnect from error


class Response:
    """A response with its whole body.

    Args:
        content: The body; ``str`` goes as UTF-8.
        status: The status code.
        headers: Fields, as a mapping or as pairs.
        media_type: ``Content-Type``, unless it is among ``headers``. Without one ``str`` is ``text/plain``, and
            nothing is said of ``bytes``.
        background: Work to do when the response is out: a callable without arguments, or several, done in order. Its
            exceptions are logged.

    Raises:
        TypeError: The content, or a field's value, is neither ``str`` nor (the content) ``bytes``.
        ValueError: A field's name or value is not allowed (CR, LF, NUL, or not latin-1).
    """

    #: The media type of this class of responses.
    media_type: str | None = None

    def __init__(
        self,
        content: str | bytes = b"",
        status: int = 200,
        headers: HeadersInit | None = None,
        *,
        media_type: str | None = None,
        background: Background | Iterable[Background] | None = None,
    ) -> None:
        self.status = status
        self.background = background
        kind = media_type or self.media_type
        if isinstance(content, str):
            content = content.encode()
            kind = kind or "text/plain"
        elif not isinstance(content, bytes):
            raise TypeError(f"{type(self).__name__}: the content is {type(content).__name__}, not str or bytes")
        self.body = content
        if headers is None:
            self._raw: RawHeaders = [] if kind is None else [content_type(kind)]
        else:
            self._raw = encode_headers(headers)
            if kind is not None and not any(name == b"content-type" for name, _ in self._raw):
                self._raw.insert(0, content_type(kind))

    @property
    def headers(self) -> MutableHeaders:
        """The fields, to be read and changed until the response is sent."""
        return MutableHeaders(self._raw)

    def set_cookie(
        self,
        name: str,
        value: str = "",
        *,
        max_age: int | timedelta | None = None,
        expires: datetime | float | None = None,
        path: str | None = "/",
        domain: str | None = None,
        secure: bool = False,
        httponly: bool = False,
        samesite: SameSite | None = "lax",
        partitioned: bool = False,
    ) -> None:
        """Adds a ``Set-Cookie``; see ``tricorn.cookies.format_cookie`` for the arguments and what is refused."""
        cookie = format_cookie(
            name,
            value,
            max_age=max_age,
            expires=expires,
            path=path,
            domain=domain,
            secure=secure,
            httponly=httponly,
            samesite=samesite,
            partitioned=partitioned,
        )
        self.headers.add("set-cookie", cookie)

    def delete_cookie(
        self,
        name: str,
        *,
        path: str | None = "/",
        domain: str | None = None,
        secure: bool = False,
        httponly: bool = False,
        samesite: SameSite | None = "lax",
        partitioned: bool = False,
    ) -> None:
        """Makes the browser forget a cookie. Path, domain and partitioned must be those it was set with."""
        self.set_cookie(
            name,
            max_age=0,
            expires=0,
            path=path,
            domain=domain,
            secure=secure,
            httponly=httponly,
            samesite=samesite,
            partitioned=partitioned,
        )

    async def respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the response. No background work.

        Raises:
            ClientDisconnect: The client went away before the end.
        """
        body = self.body
        headers = self._raw.copy()  # middleware may change the list of the message, and a response may be sent twice
        if self.status < 200 or self.status in (204, 205, 304):
            body = b""
        else:
            for name, _ in headers:
                if name == b"content-length":  # of a HEAD, whose body is elsewhere
                    break
            else:
                headers.append((b"content-length", b"%d" % len(body)))
        judge: Any = scope.get(CONDITIONAL)
        if scope.get("method") == "HEAD" and not (judge is not None and 200 <= self.status < 300):
            body = b""  # the conditional middleware wants to see it, for the ETag, and leaves it out itself
        try:
            if getattr(send, "__self__", None) is judge and judge is not None:  # nothing stands between it and us
                await judge.respond(self.status, headers, body)
                return
            await send({"type": "http.response.start", "status": self.status, "headers": headers})
            await send({"type": "http.response.body", "body": body})
        except OSError as error:
            raise ClientDisconnect from error

    def copy(self) -> Self:
        """A response with fields of its own, and with the same body."""
        cls = type(self)
        twin = cls.__new__(cls)
        twin.__dict__.update(self.__dict__)  # copy.copy() does the same, in four times the time
        twin._raw = self._raw.copy()
        return twin

    async def run_background(self) -> None:
        """Does the background work. An exception is logged and does not keep the next from running."""
        if self.background is None:
            return
        for task in (self.background,) if callable(self.background) else self.background:
            try:
                await call(task)
            except Exception:
                logger.exception("background work of a response failed")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the response, then does the background work, also when the client has gone."""
        try:
            await self.respond(scope, receive, send)
        except ClientDisconnect:
            pass  # nobody is left to be told, and the application did nothing wrong
        if self.background is not None:
            await self.run_background()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.status}>"


class HTMLResponse(Response):
    """``text/html; charset=utf-8``."""

    media_type = "text/html"


class PlainTextResponse(Response):
    """``text/plain; charset=utf-8``."""

    media_type = "text/plain"
