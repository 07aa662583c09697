"""Fields that are known only once a response is there: header fields of one in one piece, trailer fields of a stream.

Rules of this module: no stream is held back and no body is kept. A start message waits for the first body message only
where that has to show whether the body is whole; one that makes an offer is passed on at once, or the offer would be
void. Where the conditional middleware answers something else in its place, nothing is added.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable
from contextlib import aclosing
from enum import Enum, auto
from typing import ClassVar

from tricorn.concurrency import nothing
from tricorn.headers import RawHeaders
from tricorn.middleware.bodies import BODY_MESSAGES, FILE_MESSAGES, read_file_message
from tricorn.response.offer import OFFER
from tricorn.types import Message, Scope, Send


class _State(Enum):
    WAITING = auto()
    """Nothing of the response has come."""
    HELD = auto()
    """The start has come and waits for the first of the body."""
    TRAILING = auto()
    """Trailer fields have been announced."""
    PASSING = auto()
    """Nothing is to be added any more."""


_WAITING, _HELD, _TRAILING, _PASSING = _State


class TrailingResponse(ABC):
    """One response's ``send``; what is added to it, a subclass knows.

    Attributes:
        reads_files: Whether files are to be read here that the server would send by itself.
    """

    __slots__ = ("_has_trailers", "_send", "_start", "_state", "scope")

    reads_files: ClassVar[bool] = False

    _has_trailers: bool
    _start: Message

    def __init__(self, scope: Scope, send: Send) -> None:
        self.scope = scope
        self._send = send
        self._state = _WAITING

    # ------------------------------------------------------------------------------------- what a subclass says

    @abstractmethod
    def begin(self, start: Message) -> Message | None:
        """A start message to be passed on in this one's place, to which nothing is added later; else ``None``."""

    @abstractmethod
    async def header_fields(self, start: Message, body: bytes | None) -> RawHeaders:
        """What is added to the header section.

        Args:
            body: ``None`` for one that comes in parts and leaves no room for trailers.
        """

    def early_fields(self) -> RawHeaders:
        """What is added to the header section of a stream that has trailers."""
        return []

    @abstractmethod
    def trailer_names(self) -> list[str]:
        """The fields that will be in the trailer section."""

    async def take(self, data: bytes) -> None:  # noqa: B027  # most have no need to look
        """Looks at a part of a body that has trailers."""

    @abstractmethod
    def trailer_fields(self) -> RawHeaders:
        """What is added to the trailer section; the body is complete."""

    # ------------------------------------------------------------------------------------------------- messages

    def send(self, message: Message) -> Awaitable[None]:
        """Takes a message from the application."""
        state = self._state
        if state is _PASSING:
            return self._send(message)
        kind = message["type"]
        if state is _WAITING:
            return self._judge(message) if kind == "http.response.start" else self._send(message)
        if kind in BODY_MESSAGES:
            return self._begin_body(message) if state is _HELD else self._go_on(message)
        if kind == "http.response.trailers" and state is _TRAILING:
            return self._end(message)
        return self._send(message)

    def _judge(self, start: Message) -> Awaitable[None]:
        self._state = _PASSING
        passed = self.begin(start)
        if passed is not None:
            return self._send(passed)
        offer = start.get(OFFER)
        if offer is not None and offer.open:
            return self._trail(start) if can_have_trailers(self.scope, start) else self._send_head(start, None)
        self._start = start
        self._state = _HELD
        return nothing()

    async def _begin_body(self, message: Message) -> None:
        start, self._state = self._start, _PASSING
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            await self._send_head(start, message.get("body", b""))
            await self._send(message)
        elif can_have_trailers(self.scope, start):
            await self._trail(start)
            await self._go_on(message)
        else:
            await self._send_head(start, None)
            await self._send(message)

    async def _send_head(self, start: Message, body: bytes | None) -> None:
        fields = await self.header_fields(start, body)
        await self._send({**start, "headers": [*start.get("headers", ()), *fields]} if fields else start)

    async def _trail(self, start: Message) -> None:
        self._state = _TRAILING
        self._has_trailers = start.get("trailers", False)
        raw: RawHeaders = list(start.get("headers", ()))
        known = [value for name, value in raw if name == b"trailer"]
        raw = [pair for pair in raw if pair[0] != b"trailer"]
        raw.append((b"trailer", b", ".join([*known, *(name.encode("ascii") for name in self.trailer_names())])))
        raw += self.early_fields()
        await self._send({**start, "headers": raw, "trailers": True})
        offer = start.get(OFFER)
        if offer is not None and offer.parts is not None:  # what follows belongs to another message, without trailers
            self._state = _PASSING

    async def _go_on(self, message: Message) -> None:
        more = message.get("more_body", False)
        if message["type"] in FILE_MESSAGES and self.reads_files:
            async with aclosing(read_file_message(message)) as parts:
                async for data in parts:
                    await self.take(data)
                    await self._send({"type": "http.response.body", "body": data, "more_body": True})
            message = {"type": "http.response.body", "body": b"", "more_body": more}
        elif message["type"] not in FILE_MESSAGES:
            await self.take(message.get("body", b""))
        await self._send(message)
        if not more and not self._has_trailers:
            await self._end({"type": "http.response.trailers", "headers": [], "more_trailers": False})

    async def _end(self, message: Message) -> None:
        if not message.get("more_trailers", False):
            self._state = _PASSING
            raw: RawHeaders = list(message.get("headers", ()))
            names = {name for name, _ in raw}
            raw += [pair for pair in self.trailer_fields() if pair[0] not in names]
            message = {**message, "headers": raw}
        await self._send(message)


def can_have_trailers(scope: Scope, start: Message) -> bool:
    """Whether trailer fields can follow a response that begins so.

    The server has to offer ``http.response.trailers``, the response to have content, and the framing to have room:
    HTTP/1.1 has it in chunked content only (RFC 9112 section 7.1.2), which is what a body without a length becomes.
    """
    status = start["status"]
    if scope["method"] == "HEAD" or status < 200 or status in (204, 205, 304):
        return False
    if "http.response.trailers" not in (scope.get("extensions") or ()):
        return False
    return not scope["http_version"].startswith("1") or not any(
        name == b"content-length" for name, _ in start.get("headers", ())
    )
