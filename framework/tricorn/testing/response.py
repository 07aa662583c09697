"""Responses as a test sees them: whole, or streamed while the application is still running.

Rules of this module: values and iteration; how an exchange runs is not known here. The asynchronous and the
blocking stream share their head and differ in nothing but how they wait.
"""

from __future__ import annotations

import json as json_module
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from email.message import Message as EmailMessage
from typing import Any

from anyio.from_thread import BlockingPortal

from tricorn.headers import Headers
from tricorn.testing.exchange import Exchange, Head, time_limit
from tricorn.testing.scope import HttpVersion
from tricorn_transports.http.status import status_phrase


@dataclass(frozen=True, slots=True)
class Push:
    """A resource that the application pushed (``http.response.push``)."""

    path: str
    headers: Headers


class ResponseHead:
    """What every kind of response has.

    Attributes:
        status: The status code.
        headers: The response's fields.
        url: The URL that was asked for, after redirects.
        http_version: The version that the scope said.
        history: The redirects that led here, the first one first.
    """

    def __init__(self, head: Head, url: str, http_version: HttpVersion, history: list[Response]) -> None:
        self._head = head
        self.status: int = head.status
        self.headers: Headers = Headers(head.headers)
        self.url = url
        self.http_version = http_version
        self.history = history

    @property
    def ok(self) -> bool:
        """Whether the status is below 400."""
        return self.status < 400

    @property
    def early_hints(self) -> list[list[str]]:
        """The ``Link`` values of each 103 response, in order."""
        return [[link.decode("latin-1") for link in links] for links in self._head.early_hints]

    @property
    def pushes(self) -> list[Push]:
        """What the application has pushed so far, in order."""
        return [Push(path, Headers(headers)) for path, headers in self._head.pushes]

    @property
    def trailers(self) -> Headers:
        """The trailer section; empty until the body has been read."""
        return Headers(self._head.trailers)

    @property
    def charset(self) -> str:
        """The content type's charset, UTF-8 if it names none."""
        message = EmailMessage()
        message["content-type"] = self.headers.get("content-type", "")
        return str(message.get_param("charset", "utf-8"))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} [{self.status} {status_phrase(self.status)}] {self.url}>"


class Response(ResponseHead):
    """A whole response.

    Attributes:
        body: Its content, as sent.
    """

    def __init__(self, head: Head, url: str, http_version: HttpVersion, history: list[Response], body: bytes) -> None:
        super().__init__(head, url, http_version, history)
        self.body = body

    @property
    def text(self) -> str:
        """The content as text. Raises ``UnicodeDecodeError`` when it is none."""
        return self.body.decode(self.charset)

    def json(self) -> Any:
        """The content as JSON; ``Any``, because a test knows what it expects. Raises ``ValueError`` otherwise."""
        return json_module.loads(self.body)


class AsyncStreamedResponse(ResponseHead):
    """A response whose body is read part by part: ``async for part in response``.

    The application's ``send()`` of a part returns when the part has been taken here.
    """

    def __init__(
        self, exchange: Exchange, url: str, http_version: HttpVersion, history: list[Response], timeout: float | None
    ) -> None:
        super().__init__(exchange.head, url, http_version, history)
        self._exchange = exchange
        self._timeout = timeout

    async def next_part(self) -> bytes | None:
        """The next part as the application sent it, ``None`` at the end.

        Raises:
            IncompleteResponse: The application ended before the body did.
            TimeoutError: Nothing came in time.
        """
        with time_limit(self._timeout, "no part of the response's body came"):
            return await self._exchange.next_part()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (part := await self.next_part()) is not None:
            yield part

    async def lines(self) -> AsyncIterator[str]:
        """The body's lines as they come, without their ends."""
        rest = ""
        async for part in self:
            *lines, rest = (rest + part.decode(self.charset)).split("\n")
            for line in lines:
                yield line.removesuffix("\r")
        if rest:
            yield rest

    async def read(self) -> bytes:
        """What is left of the body."""
        return b"".join([part async for part in self])

    def close(self) -> None:
        """The client goes away now: the application gets ``http.disconnect``, and its ``send()`` an ``OSError``."""
        self._exchange.disconnect()


class StreamedResponse(ResponseHead):
    """``AsyncStreamedResponse`` for a test without an event loop: ``for part in response``."""

    def __init__(self, inner: AsyncStreamedResponse, portal: BlockingPortal) -> None:
        super().__init__(inner._head, inner.url, inner.http_version, inner.history)
        self._inner = inner
        self._portal = portal

    def next_part(self) -> bytes | None:
        """See ``AsyncStreamedResponse.next_part``."""
        return self._portal.call(self._inner.next_part)

    def __iter__(self) -> Iterator[bytes]:
        while (part := self.next_part()) is not None:
            yield part

    def lines(self) -> Iterator[str]:
        """The body's lines as they come, without their ends."""
        lines = self._inner.lines()
        while (line := self._portal.call(_next_line, lines)) is not None:
            yield line

    def read(self) -> bytes:
        """What is left of the body."""
        return b"".join(self)

    def close(self) -> None:
        """See ``AsyncStreamedResponse.close``."""
        self._portal.call(self._inner.close)


async def _next_line(lines: AsyncIterator[str]) -> str | None:
    return await anext(lines, None)
