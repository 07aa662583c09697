"""Responses compressed on the fly (RFC 9110 sections 8.4 and 12.5.3).

Rules of this module: a stream is never held back; each part of it leaves decodable. What is coded is said to be so:
``Vary`` on every response that would be coded for another client, a weak ETag (the bytes depend on the library and on
how the body was cut), no range and no digest of other bytes. Where the client would get a 304, a 412 or a part, the
response passes as it is, for the conditional middleware to judge. What is no business of this module passes through a
function call, not a coroutine.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from enum import Enum, auto
from time import time
from typing import Final

from tricorn.caching.conditional import Outcome, Preconditions, Validators, evaluate
from tricorn.caching.control import CacheControl
from tricorn.caching.etag import ETag, ETagList, content_tag
from tricorn.codings import DEFAULT_LEVELS, Coder, Coding, load_codings
from tricorn.concurrency import nothing
from tricorn.foreign import heard
from tricorn.headers import MutableHeaders, RawHeaders
from tricorn.middleware.bodies import BODY_MESSAGES, FILE_MESSAGES, SLICE_BYTES, compute, read_file_message
from tricorn.middleware.judge import Judge
from tricorn.middleware.response_fields import is_unstorable
from tricorn.negotiation import accepts_identity, choose_coding
from tricorn.response.base import CONDITIONAL
from tricorn.response.offer import OFFER
from tricorn.types import ASGIApp, Message, Receive, Scope, Send
from tricorn_transports.http.dates import parse_date

#: Bytes of a body below which nothing is coded: with its head it fits into one packet in any case.
MINIMUM_SIZE: Final = 1024
#: Bytes of a body in one piece that is coded whole, so that its length is known; a longer one becomes a stream.
MAX_WHOLE_BYTES: Final = 1024 * 1024
#: Bytes that are coded on the event loop: half a millisecond at most, of which a thread would cost a fifth more.
_INLINE_BYTES: Final = 32 * 1024

#: Media types that are worth it beside ``text/*``, ``+json``, ``+xml`` and ``+yaml``.
_COMPRESSIBLE: Final = frozenset(
    """
    application/javascript application/x-javascript application/ecmascript application/json application/jsonl
    application/json5 application/json-seq application/x-ndjson application/graphql application/xml
    application/xml-dtd application/yaml application/x-yaml application/toml application/sql application/rtf
    application/n-triples application/n-quads application/trig application/postscript application/wasm
    application/x-www-form-urlencoded application/vnd.apple.mpegurl application/vnd.ms-fontobject application/x-sh
    application/x-httpd-php application/x-tex application/x-subrip application/geo+json-seq application/xhtml+xml
    font/ttf font/otf font/collection font/sfnt image/bmp image/svg+xml image/x-icon image/vnd.microsoft.icon
    image/x-ms-bmp model/obj model/mtl model/stl model/gltf+json message/rfc822
    """.split()  # noqa: SIM905  forty quoted strings are harder to read
)
_SUFFIXES: Final = ("+json", "+xml", "+yaml")

#: What holds for the bytes before they were coded. RFC 9530 has both its digests over what is coded.
_OF_OTHER_BYTES: Final = frozenset(
    {b"accept-ranges", b"content-digest", b"content-length", b"content-md5", b"digest", b"repr-digest"}
)
_MAX_REMEMBERED: Final = 256


def is_compressible(media_type: str) -> bool:
    """Whether compression makes content of this type smaller: text in any form, and the few binary formats without.

    Args:
        media_type: In lower case, without parameters.
    """
    return media_type.startswith("text/") or media_type in _COMPRESSIBLE or media_type.endswith(_SUFFIXES)


class CompressionMiddleware:
    """Codes responses with ``zstd``, ``br`` or ``gzip``, whichever the client likes best.

    Args:
        codings: Which may be chosen, the preferred first. One whose library is not installed never is; the extra
            ``tricorn[compression]`` has them.
        levels: How hard to try, by coding: ``{"gzip": 6}``. Those of ``DEFAULT_LEVELS`` suit responses that are made
            while somebody waits.
        minimum_size: Bytes of a body in one piece below which it is left as it is.
        compressible: Which media types are worth it (lower case, without parameters).

    Raises:
        ValueError: There is no such coding or level, or the size is negative.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        codings: Sequence[str] = tuple(DEFAULT_LEVELS),
        levels: Mapping[str, int] | None = None,
        minimum_size: int = MINIMUM_SIZE,
        compressible: Callable[[str], bool] = is_compressible,
    ) -> None:
        if minimum_size < 0:
            raise ValueError(f"minimum_size {minimum_size} is negative")
        self._app = app
        self._compressible = compressible
        self._remembered: dict[bytes, bool] = {}
        self.minimum_size = minimum_size
        self.codings: Mapping[str, Coding] = load_codings(codings, levels or {})
        self.names: Sequence[str] = tuple(self.codings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self.names:
            send = heard(scope, _Response(self, scope, send).send)
        await self._app(scope, receive, send)

    def is_worth_it(self, content_type: bytes) -> bool:
        """Whether a response with this ``Content-Type`` may be coded."""
        known = self._remembered.get(content_type)
        if known is None:
            media_type = content_type.partition(b";")[0].strip(b" \t").lower().decode("latin-1")
            known = self._compressible(media_type)
            if len(self._remembered) < _MAX_REMEMBERED:  # a type may have a parameter that is new every time
                self._remembered[content_type] = known
        return known


class _State(Enum):
    WAITING = auto()
    """Nothing of the response has come."""
    HELD = auto()
    """The start has come and waits for the first of the body."""
    CODING = auto()
    """The start of a coded response has been sent."""
    PASSING = auto()
    """No business of ours, or no longer."""


_WAITING, _HELD, _CODING, _PASSING = _State


class _Response:
    """One response on its way out."""

    # What is not set in the constructor is set when the state is reached in which it is used.
    __slots__ = ("_coder", "_coding", "_judging", "_left", "_rules", "_scope", "_send", "_start", "_state")

    _coder: Coder | None
    _coding: Coding
    _left: int | None
    _start: Message

    def __init__(self, rules: CompressionMiddleware, scope: Scope, send: Send) -> None:
        self._rules = rules
        self._scope = scope
        self._send = send
        self._judging: Judge | None = scope.get(CONDITIONAL)  # now: one further in shows up in the same scope
        self._state = _WAITING

    def send(self, message: Message) -> Awaitable[None]:
        """Takes a message from the application."""
        state = self._state
        if state is _PASSING:
            return self._send(message)
        kind = message["type"]
        if state is _WAITING:
            return self._judge(message) if kind == "http.response.start" else self._send(message)
        if state is _HELD:
            return self._begin(message) if kind in BODY_MESSAGES else self._send(message)
        if kind == "http.response.body":
            return self._code(message.get("body", b""), message.get("more_body", False))
        if kind in FILE_MESSAGES:
            return self._code_file(message)
        if kind == "http.response.trailers":
            fields = [pair for pair in message.get("headers", ()) if pair[0] not in _OF_OTHER_BYTES]
            return self._send({**message, "headers": fields})
        return self._send(message)

    # ------------------------------------------------------------------------------------------------- what to do

    def _judge(self, start: Message) -> Awaitable[None]:
        """Decides by the start message alone, as far as that goes."""
        self._state = _PASSING
        fields = dict(start.get("headers", ()))
        kind = fields.get(b"content-type")
        status = start["status"]
        if kind is None or not self._rules.is_worth_it(kind):
            return self._send(self._not_modified(start) if status == 304 and kind is None else start)
        length = _length(fields)
        is_part = status == 206 or b"content-range" in fields
        if (
            b"content-encoding" in fields
            or status < 200
            or status in (204, 205)
            or (length is not None and length < self._rules.minimum_size and not is_part)
            or (b"cache-control" in fields and _has_directive(start, b"no-transform"))
        ):
            return self._send(start)
        if status == 304:
            return self._send(self._not_modified(start))
        name = choose_coding(self._accepted(), self._rules.names)
        if name is None or is_part:
            return self._send(_varied(start))
        self._coding = self._rules.codings[name]
        offer = start.get(OFFER)
        if offer is not None and offer.open:
            plain = self._plain(start, _tag(fields), cuttable=offer.length is not None)
            if plain is not None:
                return self._send(plain)
            if offer.length is None:
                return self._send(self._coded(start))
        self._start = start
        self._state = _HELD
        return nothing()

    async def _begin(self, message: Message) -> None:
        """Takes the first of the body."""
        start, self._state = self._start, _PASSING
        more = message.get("more_body", False)
        if message["type"] == "http.response.body" and not more:
            await self._begin_whole(start, message)
            return
        plain = self._plain(start, _tag(dict(start["headers"])), cuttable=False)
        if plain is not None:
            await self._send(plain)
            await self._send(message)
        elif self._scope["method"] == "HEAD":
            await self._send(self._coded(start))
            self._state = _PASSING
            await self._send({"type": "http.response.body", "body": b"", "more_body": more})
        else:
            await self._send(self._coded(start))
            await self.send(message)

    async def _begin_whole(self, start: Message, message: Message) -> None:
        """Takes a body in one piece."""
        body = message.get("body", b"")
        size = len(body)
        is_head = self._scope["method"] == "HEAD"
        fields = dict(start["headers"])
        stated = _length(fields)
        if (size < self._rules.minimum_size or stated not in (None, size)) and not (is_head and not size):
            await self._send(start)  # a length that is wrong is for the server to find
            await self._send(message)
            return
        tag = _tag(fields) or self._content_tag(start, body)
        plain = self._plain(start, tag, cuttable=True)
        if plain is not None:
            await self._send(plain)
            await self._send(message)
        elif is_head:  # whose length would have to be found out (RFC 9110 section 9.3.2)
            await self._send(self._coded(start, tag))
            await self._send({**message, "body": b""})
        elif size > MAX_WHOLE_BYTES:
            await self._send(self._coded(start, tag))
            await self._code(body, False)
        else:
            coding = self._coding
            coded = coding.compress(body) if size <= _INLINE_BYTES else await compute(coding.compress, body)
            await self._send(self._coded(start, tag, None if stated is None else len(coded)))
            await self._send({**message, "body": coded})

    def _plain(self, start: Message, tag: ETag | None, *, cuttable: bool) -> Message | None:
        """The start of a response that is better not coded, because of what the request's conditions will make of it.

        Whether or not the conditional middleware then does, it is right.

        Args:
            tag: Of the response as it is.
            cuttable: Whether a part of it can be sent.
        """
        if self._judging is None or not 200 <= start["status"] < 300:
            return None
        conditions = Preconditions.from_raw(self._scope["headers"])
        if conditions is None:
            return None
        fields = dict(start["headers"])
        modified = fields.get(b"last-modified")
        cuttable = cuttable and fields.get(b"accept-ranges") != b"none"
        validators = Validators(tag, None if modified is None else parse_date(modified.decode("latin-1")))
        outcome = evaluate(self._scope["method"], conditions, validators, now=time())
        if outcome is Outcome.NOT_MODIFIED:  # with the tag that the 200 would have had (section 15.4.5)
            return _varied(start, None if tag is None else tag.weakened())
        is_for_bytes = conditions.if_match is not None or (cuttable and outcome is Outcome.PROCEED_WITH_RANGE)
        if outcome is Outcome.PRECONDITION_FAILED or (is_for_bytes and accepts_identity(self._accepted())):
            return _varied(start)
        return None

    def _not_modified(self, start: Message) -> Message:
        """A 304 that something inside made, which does not know that the client's copy is a coded one.

        It has to name the validator that the copy has, or no cache will use it (RFC 9111 section 4.3.4).
        """
        fields = dict(start.get("headers", ()))
        if b"content-encoding" in fields or _has_directive(start, b"no-transform"):
            return start
        tag = _tag(fields)
        if tag is not None and not tag.weak:
            named = ETagList.parse(",".join(self._values(b"if-none-match"))).tags
            weak = tag.weakened()
            coded = tag not in named or choose_coding(self._accepted(), self._rules.names) is not None
            if weak in named and coded:
                return _varied(start, weak)
        return _varied(start)

    def _content_tag(self, start: Message, body: bytes) -> ETag | None:
        """The tag by content that the conditional middleware would give the response, had it not been coded."""
        judge = self._judging
        if judge is None or start["status"] != 200 or not 0 < len(body) <= judge.max_hashed:
            return None
        if any(name == b"etag" for name, _ in start["headers"]) or is_unstorable(start["headers"]):
            return None
        return ETag(content_tag(body), judge.auto_etag == "weak")

    def _accepted(self) -> list[str]:
        return self._values(b"accept-encoding")

    def _values(self, wanted: bytes) -> list[str]:
        return [value.decode("latin-1") for name, value in self._scope["headers"] if name == wanted]

    # ----------------------------------------------------------------------------------------------------- coding

    def _coded(self, start: Message, tag: ETag | None = None, length: int | None = None) -> Message:
        """The start of a coded response; from now on the body is coded.

        Args:
            tag: That of the response as it was, if it is not in the fields.
            length: Of the coded body, if it is known.
        """
        self._state = _CODING
        fields = dict(start["headers"])
        tag = tag or _tag(fields)
        self._coder = self._coding.coder() if length is None and self._scope["method"] != "HEAD" else None
        self._left = _length(fields)
        raw = [pair for pair in start["headers"] if pair[0] not in _OF_OTHER_BYTES]
        raw.append((b"content-encoding", self._coding.name.encode("ascii")))
        if length is not None:
            raw.append((b"content-length", b"%d" % length))
        return _varied({**start, "headers": raw}, None if tag is None else tag.weakened())

    async def _code(self, data: bytes, more: bool) -> None:
        """Codes a part of the body and sends it, with all that the client needs to decode it."""
        coder = self._coder
        if coder is None or (more and not data):  # a message too much is for the server to refuse
            await self._send({"type": "http.response.body", "body": data, "more_body": more})
            return
        if self._left is not None:
            self._left -= len(data)
            if self._left < 0 or (self._left > 0 and not more):
                raise RuntimeError(f"the body differs from its content-length by {abs(self._left)} bytes")
        end = coder.flush if more else coder.finish
        if len(data) <= _INLINE_BYTES:
            coded = end(data)
        else:
            view = memoryview(data)
            while len(view) > SLICE_BYTES:
                coded = await compute(coder.code, view[:SLICE_BYTES])
                if coded:
                    await self._send({"type": "http.response.body", "body": coded, "more_body": True})
                view = view[SLICE_BYTES:]
            coded = await compute(end, view)
        if not more:
            self._coder = None  # its memory
        await self._send({"type": "http.response.body", "body": coded, "more_body": more})

    async def _code_file(self, message: Message) -> None:
        """Codes what the server would have sent by itself."""
        async with aclosing(read_file_message(message)) as parts:
            async for part in parts:
                await self._code(part, True)
        if not message.get("more_body", False):
            await self._code(b"", False)


def _length(fields: Mapping[bytes, bytes]) -> int | None:
    text = fields.get(b"content-length", b"")
    return int(text) if text.isdigit() and len(text) < 20 else None


def _tag(fields: Mapping[bytes, bytes]) -> ETag | None:
    value = fields.get(b"etag")
    return None if value is None else ETag.parse(value.decode("latin-1"))


def _has_directive(start: Message, directive: bytes) -> bool:
    """Whether ``Cache-Control`` has it; nearly always a look is enough to see that it has not."""
    values = [value for name, value in start.get("headers", ()) if name == b"cache-control"]
    if not any(directive in value.lower() for value in values):
        return False
    return directive.decode("ascii") in CacheControl.parse(b", ".join(values).decode("latin-1")).directives


def _varied(start: Message, tag: ETag | None = None) -> Message:
    """A start message of our own (an application may send the same one again) with ``Vary`` and this tag."""
    raw: RawHeaders = list(start.get("headers", ()))
    if tag is not None:
        raw = [pair for pair in raw if pair[0] != b"etag"]
        raw.append((b"etag", str(tag).encode("latin-1")))
    if any(name == b"vary" for name, _ in raw):
        MutableHeaders(raw).add_vary("Accept-Encoding")
    else:
        raw.append((b"vary", b"Accept-Encoding"))
    return {**start, "headers": raw}
