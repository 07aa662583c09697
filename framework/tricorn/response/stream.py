"""Responses whose body is made while it is sent.

Rules of this module: the next part is asked for when the last one was taken by the server, so that a slow client
holds the iterator, sync or async. The head leaves at once, with an empty part. However a stream ends, its iterator
is closed: at once when the client goes away, even while the iterator waits.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from typing import TypeAlias

from tricorn.concurrency import close_iterator, iterate_in_thread, run_in_thread, until_disconnect
from tricorn.exceptions import ClientDisconnect
from tricorn.headers import HeadersInit, encode_headers
from tricorn.response import offer
from tricorn.response.base import Background, Response, has_no_content, transmit
from tricorn.types import Message, Receive, Scope, Send

Part: TypeAlias = str | bytes
Content: TypeAlias = AsyncIterable[Part] | Iterable[Part]
#: Called when the body is complete.
Trailers: TypeAlias = Callable[[], HeadersInit]


class StreamingResponse(Response):
    """A body from an iterator of ``str`` (as UTF-8) or ``bytes``.

    Args:
        content: A sync iterable is iterated in a worker thread, an async one in the request's task.
        media_type: ``Content-Type``, unless it is among ``headers``.
        trailers: Gives the trailer fields when the body is complete. They are sent where the server can
            (``http.response.trailers``) and dropped elsewhere, as RFC 9110 section 6.5.1 has it.

    An exception of the iterator goes to the server, which cuts the response off.
    """

    def __init__(
        self,
        content: Content,
        status: int = 200,
        headers: HeadersInit | None = None,
        *,
        media_type: str | None = None,
        trailers: Trailers | None = None,
        background: Background | Iterable[Background] | None = None,
    ) -> None:
        if isinstance(content, (str, bytes)):
            raise TypeError("StreamingResponse takes an iterable of parts; for a whole body there is Response")
        super().__init__(b"", status, headers, media_type=media_type, background=background)
        self.content = content
        self.trailers = trailers
        self._first: bytes | None = None  # the first part, if it is there before the head

    async def begin(self) -> None:
        """Runs the iterator to its first part, before anything is sent: what it raises until then is no broken stream.

        Raises:
            Exception: Whatever the iterator does.
            TypeError: The part is neither ``str`` nor ``bytes``.
        """
        self.content = parts = _iterate(self.content)
        try:
            self._first = _encode(await anext(parts))
        except StopAsyncIteration:
            pass  # an empty body
        except TypeError:
            await close_iterator(parts)
            raise

    async def respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        offered = "http.response.trailers" in (scope.get("extensions") or {})
        bodiless = scope.get("method") == "HEAD" or has_no_content(self.status)
        trailers = self.trailers if offered and not bodiless else None
        start: Message = {"type": "http.response.start", "status": self.status, "headers": self._raw.copy()}
        if trailers is not None:
            start["trailers"] = True

        async def run() -> None:
            if (await offer.start(scope, send, start, None)).parts is not None:
                await self.close_content()
                return
            if self._first is None:
                await transmit(send, {"type": "http.response.body", "body": b"", "more_body": True})
            await self.send_parts(send)
            await transmit(send, {"type": "http.response.body", "body": b""})
            if trailers is not None:
                fields = encode_headers(trailers())
                await transmit(send, {"type": "http.response.trailers", "headers": fields, "more_trailers": False})

        if bodiless:
            await transmit(send, start)
            await transmit(send, {"type": "http.response.body", "body": b""})
            await self.close_content()
        elif not await until_disconnect(scope, receive, run):
            raise ClientDisconnect

    async def send_parts(self, send: Send) -> None:
        """Sends the parts of the body, each with ``more_body``, and closes their iterator."""
        parts = _iterate(self.content)
        try:
            if self._first is not None:  # it takes the head along, also where it is empty
                await transmit(send, {"type": "http.response.body", "body": self._first, "more_body": True})
            async for part in parts:
                if data := _encode(part):  # an empty part means "flush", and the head is out already
                    await transmit(send, {"type": "http.response.body", "body": data, "more_body": True})
        finally:
            await close_iterator(parts)

    async def close_content(self) -> None:
        """Closes an iterator that will not be iterated."""
        if isinstance(self.content, AsyncIterable):
            await close_iterator(aiter(self.content))
        elif (close := getattr(self.content, "close", None)) is not None:
            await run_in_thread(close)


def _iterate(content: Content) -> AsyncIterator[Part]:
    return aiter(content) if isinstance(content, AsyncIterable) else iterate_in_thread(content)


def _encode(part: Part) -> bytes:
    data = part.encode() if isinstance(part, str) else part
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise TypeError(f"a stream yielded {type(data).__name__}; its parts are str or bytes")
    return data
