"""Bodies that can be read from any place: an object in a store, a part of a database, a generated file.

Rules of this module: a source is asked for the bytes that are sent and for no others, and is held to what it gives:
neither more nor less than was announced.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from datetime import datetime
from inspect import iscoroutinefunction, isgeneratorfunction
from time import time
from typing import Protocol

from tricorn.caching.conditional import Validators
from tricorn.caching.etag import ETag
from tricorn.caching.ranges import Slice
from tricorn.concurrency import close_iterator, until_disconnect
from tricorn.exceptions import ClientDisconnect
from tricorn.headers import HeadersInit
from tricorn.response import offer
from tricorn.response.base import Background, Response, transmit
from tricorn.types import Message, Receive, Scope, Send


class Seekable(Protocol):
    """A source of bytes.

    Attributes:
        length: In bytes.
    """

    @property
    def length(self) -> int: ...

    def read(self, offset: int, count: int) -> AsyncIterator[bytes]:
        """Yields the ``count`` bytes from ``offset`` on, in parts of any size: an ``async def`` with ``yield``.

        It is asked only for what lies inside of ``length``. The iterator is closed however the response ends.
        """


class SeekableResponse(Response):
    """A body from a ``Seekable``, whole or in the ranges that the client asks for.

    Args:
        source: Asked when the response is sent; for a HEAD or a 304 it is not.
        media_type: ``Content-Type``, unless it is among ``headers``.
        etag: The version of the bytes; without a strong one no client can resume safely.
        last_modified: A moment with a time zone, or seconds since the epoch.

    Raises:
        ValueError: A validator or a field is malformed.
        TypeError: The source's ``read()`` gives no async iterator.
    """

    media_type = "application/octet-stream"

    def __init__(
        self,
        source: Seekable,
        status: int = 200,
        headers: HeadersInit | None = None,
        *,
        media_type: str | None = None,
        etag: ETag | str | None = None,
        last_modified: datetime | float | None = None,
        background: Background | Iterable[Background] | None = None,
    ) -> None:
        super().__init__(b"", status, headers, media_type=media_type, background=background)
        if iscoroutinefunction(source.read) or isgeneratorfunction(source.read):
            raise TypeError(f"{type(source).__name__}.read() has to be an async generator: async def, with yield")
        self.source = source
        self._raw += Validators.of(etag, last_modified).fields(time())

    async def respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        length = self.source.length
        headers = [*self._raw, (b"content-length", b"%d" % length)]
        start: Message = {"type": "http.response.start", "status": self.status, "headers": headers}

        async def run() -> None:
            parts = (await offer.start(scope, send, start, length)).parts
            if parts is None:
                parts = (b"",) if scope.get("method") == "HEAD" or length == 0 else (Slice(0, length),)
            await offer.send_parts(parts, send, send_slice)

        async def send_slice(part: Slice, more: bool) -> None:
            left = len(part)
            source = self.source.read(part.start, left)
            try:
                async for data in source:
                    left -= len(data)
                    if left < 0:
                        raise RuntimeError(f"{self.source!r} gave {-left} bytes more than it was asked for")
                    if data:
                        message = {"type": "http.response.body", "body": data, "more_body": more or left > 0}
                        await transmit(send, message)
            finally:
                await close_iterator(source)
            if left:
                raise RuntimeError(f"{self.source!r} ended {left} bytes before what it was asked for")

        if not await until_disconnect(scope, receive, run):
            raise ClientDisconnect
