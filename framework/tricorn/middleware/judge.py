"""The judge of one response: what a request's conditions and ranges make of it (RFC 9110 sections 13 and 14).

Rules of this module: nothing is buffered. A start message is held until the first body message, and a stream that is
not wanted is ended. What is no business of this module passes through a function call, not a coroutine.
"""

from __future__ import annotations

from collections.abc import Awaitable
from enum import Enum, auto
from os import urandom
from time import time
from typing import Final, Literal, TypeAlias

from tricorn.caching.conditional import Outcome, Preconditions, evaluate, has_conditions, is_revalidation
from tricorn.caching.etag import content_tag
from tricorn.caching.ranges import ByteRanges, ContentRange, Slice, resolve
from tricorn.caching.rewrite import error_fields, multipart_fields, not_modified_fields, partial_fields
from tricorn.concurrency import nothing
from tricorn.exceptions import HTTPException
from tricorn.headers import MutableHeaders, RawHeaders, encode_headers
from tricorn.middleware.errors import response_to
from tricorn.middleware.response_fields import ResponseFields, is_unstorable
from tricorn.policy import PRECONDITION_FAILED, add_missing
from tricorn.request import Request
from tricorn.response.offer import OFFER, Offer, Parts
from tricorn.types import ExceptionHandlers, Message, Scope, Send

#: How a response without an ETag gets one.
AutoETag: TypeAlias = Literal["strong", "weak"] | None

#: Bytes from which on a body of a dynamic response says that it can be asked for in parts. A smaller one can, too.
_WORTH_RESUMING: Final = 16 * 1024

#: Fields that can keep a small body from being tagged.
_TELLING = frozenset({b"etag", b"content-length", b"cache-control"})
_BODY_TYPES = frozenset({"http.response.body", "http.response.pathsend", "http.response.zerocopysend"})


class Ended(OSError):
    """Tells an application that its stream is not wanted, as ASGI 2.4 has it for a client that has gone."""


def _comes_from(error: BaseException | None, cause: BaseException) -> bool:
    """Whether an exception is ``cause``, or was raised because of it, or is a group of such."""
    while error is not None:
        if error is cause:
            return True
        if isinstance(error, BaseExceptionGroup):
            return all(_comes_from(inner, cause) for inner in error.exceptions)
        error = error.__cause__ or error.__context__
    return False


class _State(Enum):
    WAITING = auto()
    """Nothing of the response has come."""
    HELD = auto()
    """The start has come and waits for the first of the body."""
    PASSING = auto()
    """Judged, or no business of ours."""
    OVER = auto()
    """Answered in the application's place."""


_WAITING, _HELD, _PASSING, _OVER = _State


class Judge:
    """One request's ``send``, and what it knows.

    Attributes:
        auto_etag, max_hashed, handlers: See ``ConditionalMiddleware``; the innermost application and route decide.
        ended: Once it has answered: what the application was told to stop its stream with, if it was.
        vary: Request fields that an error depends on, as its route has declared.
    """

    # What is not set in the constructor is set when the state is reached in which it is used.
    __slots__ = (
        "_conditions", "_held", "_scope", "_send", "_state", "auto_etag", "ended", "handlers", "max_hashed", "vary",
    )  # fmt: skip

    _conditions: Preconditions | None
    _held: Message
    ended: Ended | None

    def __init__(
        self, scope: Scope, send: Send, auto_etag: AutoETag, max_hashed: int, handlers: ExceptionHandlers | None
    ) -> None:
        self._scope = scope
        self._send = send
        self._state = _WAITING
        self.auto_etag: AutoETag = auto_etag
        self.max_hashed = max_hashed
        self.handlers = handlers
        self.vary: tuple[str, ...] = ()

    @property
    def server_send(self) -> Send:
        """What ``ConditionalMiddleware`` was given as ``send``: the server's, if no ``App`` stands around it."""
        return self._send

    def send(self, message: Message) -> Awaitable[None]:
        """Takes a message from the application."""
        state = self._state
        if state is _PASSING:
            return self._send(message)
        kind = message["type"]
        if state is _WAITING:
            if kind != "http.response.start":
                return self._send(message)
            if not 200 <= message["status"] < 300:
                self._state = _PASSING
                return self._send(self._varied(message) if self.vary else message)
            headers = self._scope["headers"]
            self._conditions = Preconditions.from_raw(headers) if has_conditions(headers) else None
            if OFFER in message:
                offer = message.pop(OFFER)
                if offer.open:
                    offer.seen = True
                    self._state = _PASSING
                    if offer.length is None and self._conditions is None:
                        return self._send(message)
                    return self._judge_offer(ResponseFields(message), offer)
            self._held = message
            self._state = _HELD
            return nothing()
        if state is _HELD:
            if kind not in _BODY_TYPES:
                return self._send(message)
            self._state = _PASSING
            if kind != "http.response.body" or message.get("more_body", False):
                return self._judge_stream(ResponseFields(self._held), message)
            size = len(message.get("body", b""))
            if self._conditions is None and size < _WORTH_RESUMING and self._scope["method"] == "GET":
                return self._send_tagged(self._held, message, size)
            return self._judge_whole(ResponseFields(self._held), message)
        if message.get("more_body", False):
            self.ended = Ended("the response is complete: the client has what it asked for")
            raise self.ended
        return nothing()

    async def respond(self, status: int, headers: RawHeaders, body: bytes) -> None:
        """Sends a response whose body is whole, as two calls of ``send`` would: the short way of most responses.

        A response takes it that was handed the very ``send`` of the judge, so that nothing stands in between that
        could change what it says.

        Args:
            headers: A list that is not used again by the caller.
        """
        start: Message = {"type": "http.response.start", "status": status, "headers": headers}
        message: Message = {"type": "http.response.body", "body": body}
        if self._state is not _WAITING:
            await self.send(start)
            await self.send(message)
            return
        self._state = _PASSING
        if 200 <= status < 300:
            size = len(body)
            if self._is_to_be_tagged(status, headers, size):
                headers.append((b"etag", self._tag(body)))
            asked: RawHeaders = self._scope["headers"]
            is_conditional = has_conditions(asked)
            if is_conditional and is_revalidation(asked, dict(headers).get(b"etag")):
                await self._send_not_modified(headers)
                return
            if is_conditional or self._scope["method"] == "HEAD":
                self._conditions = Preconditions.from_raw(asked)
                await self._judge_whole(ResponseFields(start), message)
                return
            if size >= _WORTH_RESUMING and status == 200:
                fields = ResponseFields(start)
                if fields.is_cuttable(self.auto_etag) and fields.get(b"content-length") == b"%d" % size:
                    fields.accept_ranges()
                    start = fields.start
        elif self.vary:
            start = self._varied(start)
        await self._send(start)
        await self._send(message)

    def has_begun(self) -> bool:
        """Whether something of the response has come."""
        return self._state is not _WAITING

    def _varied(self, start: Message) -> Message:
        raw = list(start.get("headers", ()))
        MutableHeaders(raw).add_vary(*self.vary)
        return {**start, "headers": raw}

    def is_cause(self, error: Exception) -> bool:
        """Whether an exception of the application comes from being told that its stream is not wanted."""
        return self._state is _OVER and self.ended is not None and _comes_from(error, self.ended)

    # -------------------------------------------------------------------------------------------- kinds of bodies

    async def _send_tagged(self, start: Message, message: Message, size: int) -> None:
        """What most responses are: a small body in one piece, to a request without conditions."""
        headers = start.get("headers", ())
        if self._is_to_be_tagged(start["status"], headers, size):
            # A message of our own: an application may send the same one, or its list, again and again.
            start = {**start, "headers": [*headers, (b"etag", self._tag(message.get("body", b"")))]}
        await self._send(start)
        await self._send(message)

    def _is_to_be_tagged(self, status: int, headers: RawHeaders, size: int) -> bool:
        """Whether a response in one piece gets an ETag by its content."""
        if size > self.max_hashed or status != 200:
            return False
        for name, value in headers:
            if name in _TELLING and (
                name == b"etag"
                or (name == b"content-length" and value != b"%d" % size)
                or (name == b"cache-control" and b"no-store" in value.lower() and is_unstorable(headers))
            ):
                return False
        return True

    def _tag(self, body: bytes) -> bytes:
        tag = f'"{content_tag(body)}"'
        return (f"W/{tag}" if self.auto_etag == "weak" else tag).encode("ascii")

    async def _judge_whole(self, fields: ResponseFields, message: Message) -> None:
        """A body in one piece: it gets an ETag, and can be cut."""
        body: bytes = message.get("body", b"")
        is_head = self._scope["method"] == "HEAD"
        stated = fields.get(b"content-length")
        is_whole = fields.start["status"] == 200 and (
            b"%d" % len(body) == stated if stated is not None else bool(body) or not is_head
        )
        # What trailers say, they say of the whole.
        cuttable = is_whole and fields.is_cuttable(self.auto_etag) and not fields.start.get("trailers", False)
        if is_whole and len(body) <= self.max_hashed and fields.get(b"etag") is None and not is_unstorable(fields.raw):
            fields.add(b"etag", self._tag(body))
        if cuttable and len(body) >= _WORTH_RESUMING:
            fields.accept_ranges()
        if self._conditions is not None:
            parts = await self._decide(fields, self._conditions, len(body) if cuttable else None)
            if parts is not None:
                if parts:
                    view = memoryview(body)
                    cut = b"".join(view[part.start : part.stop] if isinstance(part, Slice) else part for part in parts)
                    await self._send({"type": "http.response.body", "body": cut})
                return
        if is_head and body:  # not every server leaves a body out by itself
            if stated is None:
                fields.add(b"content-length", b"%d" % len(body))
            message = {"type": "http.response.body", "body": b""}
        await self._send(fields.start)
        await self._send(message)

    async def _judge_stream(self, fields: ResponseFields, message: Message) -> None:
        """A stream of unknown origin, or a file by its path: it can be left out, not cut."""
        if self._conditions is not None and await self._decide(fields, self._conditions, None) is not None:
            return
        await self._send(fields.start)
        await self._send(message)

    async def _judge_offer(self, fields: ResponseFields, offer: Offer) -> None:
        """A body that asks what is wanted of it."""
        length = None
        is_strong = not (fields.get(b"etag") or b"").startswith(b"W/")
        if is_strong and not fields.refuses_ranges() and offer.is_as_made(fields.start["status"], fields.get):
            length = offer.length
            fields.accept_ranges()
        if self._conditions is not None:
            offer.parts = await self._decide(fields, self._conditions, length)
        if offer.parts is None:
            await self._send(fields.start)

    # --------------------------------------------------------------------------------------------------- decision

    async def _decide(self, fields: ResponseFields, conditions: Preconditions, length: int | None) -> Parts | None:
        """Judges a response by its validators.

        Args:
            length: Of the body, if it can be cut.

        Returns:
            ``None``: the response is to be sent as it is. No parts: another one was sent in its place. Parts: the
            start of a 206 was sent, and these are its body.
        """
        if is_revalidation(self._scope["headers"], fields.get(b"etag")):
            outcome = Outcome.NOT_MODIFIED
        else:
            outcome = evaluate(self._scope["method"], conditions, fields.validators(), now=time())
        if outcome is Outcome.NOT_MODIFIED:
            await self._send_not_modified(fields.raw)
            return ()
        if outcome is Outcome.PRECONDITION_FAILED:
            await self._refuse(412, PRECONDITION_FAILED, fields.raw)
            return ()
        if outcome is not Outcome.PROCEED_WITH_RANGE or length is None:
            return None
        resolved = resolve(conditions.range, length)
        if resolved.status == 200:
            return None
        if resolved.status == 416:
            content_range = str(ContentRange(None, length))
            await self._refuse(416, f"there are {length} bytes", fields.raw, {"content-range": content_range})
            return ()
        if len(resolved.parts) == 1:
            part = resolved.parts[0]
            await self._send(start_message(206, partial_fields(fields.raw, ContentRange(part, length), len(part))))
            return resolved.parts
        # What stands between the parts is not coded, and a client that undoes the coding first finds that it is broken.
        if fields.get(b"content-encoding") is not None:
            return None
        multipart = ByteRanges.of(resolved.parts, length, fields.get(b"content-type"), urandom(12).hex())
        await self._send(start_message(206, multipart_fields(fields.raw, multipart.boundary, multipart.length)))
        pairs = zip(multipart.heads, resolved.parts, strict=True)
        return [*(piece for pair in pairs for piece in pair), multipart.tail]

    async def _send_not_modified(self, raw: RawHeaders) -> None:
        self._answer()
        await self._send(start_message(304, not_modified_fields(raw)))
        await self._send({"type": "http.response.body", "body": b""})

    def _answer(self) -> None:
        self._state = _OVER
        self.ended = None

    async def _refuse(self, status: int, detail: str, raw: RawHeaders, headers: dict[str, str] | None = None) -> None:
        """Sends an error in the response's place."""
        self._answer()
        error = HTTPException(status, detail, headers=headers)

        def send(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                own = list(message["headers"])
                add_missing(own, encode_headers(error.headers))
                message = {**message, "headers": error_fields(raw, own)}
            return self._send(message)

        response = await response_to(self.handlers or {}, Request(self._scope, _receive_nothing, send), error)
        await response(self._scope, _receive_nothing, send)


async def _receive_nothing() -> Message:
    """The request was answered already: whatever it had for a body is not to be read again."""
    return {"type": "http.request", "body": b"", "more_body": False}


def start_message(status: int, headers: RawHeaders) -> Message:
    return {"type": "http.response.start", "status": status, "headers": headers}
