"""Conditional requests and ranges for every response (RFC 9110 sections 13 and 14).

Rules of this module: it stands outside all other middleware, so that it judges the fields and the bytes that the client
would get. Only finished 2xx responses to GET and HEAD are judged: a handler that changes something has done so by
then, and must be kept from it earlier (``Request.check_preconditions``, declared validators). Nothing is buffered: a
start message is held until the first body message, and a stream that is not wanted is ended. What is no business of
this module passes through a function call, not a coroutine.
"""

from __future__ import annotations

from collections.abc import Awaitable
from enum import Enum, auto
from os import urandom
from time import time
from typing import Final, Literal, TypeAlias

from tricorn.caching.conditional import Outcome, Preconditions, Validators, evaluate
from tricorn.caching.etag import ETag, content_tag
from tricorn.caching.ranges import ByteRanges, ContentRange, Slice, resolve
from tricorn.caching.rewrite import error_fields, multipart_fields, not_modified_fields, partial_fields
from tricorn.headers import Headers, RawHeaders
from tricorn.middleware.problem import error_response
from tricorn.response.offer import CONDITIONAL, OFFER, Offer, Parts
from tricorn.types import ASGIApp, Message, Receive, Scope, Send
from tricorn_transports.http.dates import parse_date

#: How a response without an ETag gets one.
AutoETag: TypeAlias = Literal["strong", "weak"] | None

#: Bytes of a body that is hashed for its ETag; it takes some half a millisecond.
MAX_HASHED_BYTES: Final = 1024 * 1024
#: Bytes from which on a body of a dynamic response says that it can be asked for in parts. A smaller one can, too.
_WORTH_RESUMING: Final = 16 * 1024

_PRECONDITION_FAILED = "the resource is not in the state that the request's preconditions name"
_BODY_TYPES = frozenset({"http.response.body", "http.response.pathsend", "http.response.zerocopysend"})


class Ended(OSError):
    """Tells an application that its stream is not wanted, as ASGI 2.4 has it for a client that has gone."""


class ConditionalMiddleware:
    """Answers 304, 412, 206 and 416 for an application that answers 200. ``App`` has it around everything.

    Args:
        auto_etag: What a response gets that is sent in one piece and has no ETag: a ``strong`` one by its content, a
            ``weak`` one for content that means the same in other bytes, or none. Never one for ``no-store``.
        max_hashed_bytes: No body larger than this is hashed.
    """

    def __init__(
        self, app: ASGIApp, *, auto_etag: AutoETag = "strong", max_hashed_bytes: int = MAX_HASHED_BYTES
    ) -> None:
        if auto_etag not in ("strong", "weak", None):
            raise ValueError(f"auto_etag {auto_etag!r} is not strong, weak or None")
        self._app = app
        self._auto_etag: AutoETag = auto_etag
        self._max_hashed = max_hashed_bytes if auto_etag is not None else -1

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        judge = scope.get(CONDITIONAL)
        if isinstance(judge, Judge):  # an application in an application: the outermost judges, by the inner one's rules
            judge.auto_etag, judge.max_hashed = self._auto_etag, self._max_hashed
            await self._app(scope, receive, send)
            return
        judge = scope[CONDITIONAL] = Judge(scope, receive, send, self._auto_etag, self._max_hashed)
        try:
            await self._app(scope, receive, judge)
        except Exception as error:
            if judge.ended is None or not _comes_from(error, judge.ended):
                raise


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


async def _nothing() -> None:
    pass


class Judge:
    """One request's ``send``.

    Attributes:
        auto_etag, max_hashed: See ``ConditionalMiddleware``; the innermost application and route decide.
        ended: What the application was told to stop its stream with, if it was.
    """

    __slots__ = ("_held", "_receive", "_scope", "_send", "_state", "auto_etag", "ended", "max_hashed")

    def __init__(self, scope: Scope, receive: Receive, send: Send, auto_etag: AutoETag, max_hashed: int) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._state = _WAITING
        self._held: Message | None = None
        self.auto_etag = auto_etag
        self.max_hashed = max_hashed
        self.ended: Ended | None = None

    def __call__(self, message: Message) -> Awaitable[None]:
        state = self._state
        if state is _PASSING:
            return self._send(message)
        kind = message["type"]
        if state is _WAITING:
            if kind != "http.response.start":
                return self._send(message)
            method = self._scope["method"]
            if not 200 <= message["status"] < 300 or (method != "GET" and method != "HEAD"):
                self._state = _PASSING
                return self._send(message)
            if OFFER in message:
                offer = message.pop(OFFER)
                if offer.open:
                    return self._judge_offer(message, offer)
            self._held = message
            self._state = _HELD
            return _nothing()
        if state is _HELD:
            held = self._held
            if kind not in _BODY_TYPES or held is None:
                return self._send(message)
            self._held = None
            self._state = _PASSING
            if kind == "http.response.body" and not message.get("more_body", False):
                return self._judge_whole(held, message)
            return self._judge_stream(held, message)
        if message.get("more_body", False):
            self.ended = self.ended or Ended("the response is complete: the client has what it asked for")
            raise self.ended
        return _nothing()

    # -------------------------------------------------------------------------------------------- kinds of bodies

    async def _judge_whole(self, start: Message, message: Message) -> None:
        """A body in one piece: it gets an ETag, and can be cut."""
        body: bytes = message.get("body", b"")
        fields = _Fields(start)
        is_head = self._scope["method"] == "HEAD"
        length = fields.length
        if length is None and (body or not is_head):
            length = len(body)
        is_whole = length == len(body) and start["status"] == 200
        cuttable = is_whole and fields.is_strong(self.auto_etag)
        if (
            is_whole
            and fields.etag is None
            and len(body) <= self.max_hashed
            and not fields.is_private_to_one_response()
        ):
            tag = ETag(content_tag(body), self.auto_etag == "weak")
            fields.raw.append((b"etag", str(tag).encode("ascii")))
            fields.etag = tag
        if cuttable and len(body) >= _WORTH_RESUMING:
            fields.accept_ranges()
        conditions = Preconditions.from_raw(self._scope["headers"])
        parts: Parts | None = None
        if conditions is not None:
            parts = await self._decide(fields, conditions, length if cuttable else None)
            if parts is not None and not parts:
                return
        if is_head and body:  # not every server leaves a body out by itself
            if fields.length is None:
                fields.raw.append((b"content-length", b"%d" % len(body)))
            message = {"type": "http.response.body", "body": b""}
        elif parts is not None:
            view = memoryview(body)
            cut = b"".join(view[part.start : part.stop] if isinstance(part, Slice) else part for part in parts)
            message = {"type": "http.response.body", "body": cut}
        if parts is None:
            await self._send(fields.start)
        await self._send(message)

    async def _judge_stream(self, start: Message, message: Message) -> None:
        """A stream of unknown origin, or a file by its path: it can be left out, not cut."""
        conditions = Preconditions.from_raw(self._scope["headers"])
        if conditions is not None:
            fields = _Fields(start)
            if await self._decide(fields, conditions, None) is not None:
                return
        await self._send(start)
        await self._send(message)

    async def _judge_offer(self, start: Message, offer: Offer) -> None:
        """A body that asks what is wanted of it."""
        self._state = _PASSING
        fields = _Fields(start)
        length = offer.length
        if length is not None:
            is_same = length == fields.length and offer.coding == fields.coding and start["status"] == 200
            if is_same and (fields.etag is None or not fields.etag.weak):
                fields.accept_ranges()
            else:
                length = None
        conditions = Preconditions.from_raw(self._scope["headers"])
        if conditions is not None:
            offer.parts = await self._decide(fields, conditions, length)
        if offer.parts is None:
            await self._send(fields.start)

    # --------------------------------------------------------------------------------------------------- decision

    async def _decide(self, fields: _Fields, conditions: Preconditions, length: int | None) -> Parts | None:
        """Judges a response by its validators.

        Args:
            length: Of the body, if it can be cut.

        Returns:
            ``None``: the response is to be sent as it is. No parts: another one was sent in its place. Parts: the
            start of a 206 was sent, and these are its body.
        """
        outcome = evaluate(
            self._scope["method"], conditions, Validators(fields.etag, fields.last_modified()), now=time()
        )
        if outcome is Outcome.NOT_MODIFIED:
            self._state = _OVER
            await self._send(_start(304, not_modified_fields(fields.raw)))
            await self._send({"type": "http.response.body", "body": b""})
            return ()
        if outcome is Outcome.PRECONDITION_FAILED:
            await self._refuse(412, _PRECONDITION_FAILED, fields.raw)
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
            await self._send(_start(206, partial_fields(fields.raw, ContentRange(part, length), len(part))))
            return resolved.parts
        multipart = ByteRanges.of(resolved.parts, length, fields.media_type, urandom(12).hex())
        await self._send(_start(206, multipart_fields(fields.raw, multipart.boundary, multipart.length)))
        pairs = zip(multipart.heads, resolved.parts, strict=True)
        return [*(piece for pair in pairs for piece in pair), multipart.tail]

    async def _refuse(self, status: int, detail: str, raw: RawHeaders, headers: dict[str, str] | None = None) -> None:
        """Sends an error in the response's place."""
        self._state = _OVER
        error = error_response(Headers(self._scope["headers"]), status, detail, headers=headers)

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = error_fields(raw, message["headers"])
            await self._send(message)

        await error.respond(self._scope, self._receive, send)


def _start(status: int, headers: RawHeaders) -> Message:
    return {"type": "http.response.start", "status": status, "headers": headers}


class _Fields:
    """What is looked at of a response's fields, and a copy of its start message to add to."""

    __slots__ = ("_modified", "_stored", "coding", "etag", "length", "media_type", "raw", "start")

    def __init__(self, start: Message) -> None:
        self.raw: RawHeaders = list(start.get("headers", ()))
        #: A message of our own: applications may send the same one, or the same list, again and again.
        self.start: Message = {**start, "headers": self.raw}
        self.etag: ETag | None = None
        self.coding: bytes | None = None
        self.length: int | None = None
        self.media_type: bytes | None = None
        self._modified: bytes | None = None
        self._stored = True
        for name, value in self.raw:
            if name == b"content-type":
                self.media_type = value
            elif name == b"content-length":
                self.length = int(value) if value.isdigit() else None
            elif name == b"etag":
                self.etag = ETag.parse(value.decode("latin-1"))
            elif name == b"last-modified":
                self._modified = value
            elif name == b"content-encoding":
                self.coding = value
            elif name == b"cache-control" and b"no-store" in value.lower():
                self._stored = False

    def last_modified(self) -> float | None:
        """Seconds since the epoch."""
        return None if self._modified is None else parse_date(self._modified.decode("latin-1"))

    def is_private_to_one_response(self) -> bool:
        """Whether nobody may store the response, so that a validator were in vain."""
        return not self._stored

    def is_strong(self, auto_etag: AutoETag) -> bool:
        """Whether two answers of the same tag have the same bytes, so that parts of them fit together.

        A coding without an ETag of its own was made on the fly, and may come out in other bytes the next time.
        """
        if self.etag is not None:
            return not self.etag.weak
        return self.coding is None and auto_etag != "weak"

    def accept_ranges(self) -> None:
        """Says that parts can be asked for (RFC 9110 section 14.3)."""
        if not any(name == b"accept-ranges" for name, _ in self.raw):
            self.raw.append((b"accept-ranges", b"bytes"))
