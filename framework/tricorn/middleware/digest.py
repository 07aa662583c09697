"""Digest fields (RFC 9530) on responses, and requests held to theirs.

Rules of this module: what is hashed are the bytes that leave, with their content coding, so that it belongs outside of
whatever changes bodies (compression) and inside of the conditional middleware, which makes parts and 304s of the whole
and knows which of the two fields still holds. A body is hashed as it passes. Of a request nothing is believed before
its end: the last part is withheld from the application until the digests are found right.
"""

from __future__ import annotations

from collections.abc import Iterable
from hmac import compare_digest
from typing import ClassVar, Final, Literal, TypeAlias

from tricorn.caching.digest import (
    Algorithm,
    Digester,
    choose_algorithm,
    digest_field,
    format_digests,
    parse_digests,
    parse_want,
)
from tricorn.exceptions import HTTPException
from tricorn.foreign import heard
from tricorn.headers import Headers, RawHeaders
from tricorn.middleware.bodies import compute
from tricorn.middleware.problem import error_response
from tricorn.middleware.trailing import TrailingResponse
from tricorn.response.offer import OFFER
from tricorn.types import ASGIApp, Message, Receive, Scope, Send
from tricorn_transports.http.fields import split_list

DigestField: TypeAlias = Literal["content-digest", "repr-digest"]

#: Both, with the field by which each is asked for (section 4).
_WANTED_BY: Final[dict[DigestField, str]] = {
    "content-digest": "want-content-digest",
    "repr-digest": "want-repr-digest",
}

#: Bytes that are hashed on the event loop: half a millisecond where the processor has instructions for SHA-256.
_INLINE_BYTES: Final = 512 * 1024


class DigestMiddleware:
    """Adds ``Content-Digest`` and ``Repr-Digest``: as header fields if the body is there in one piece, else as trailer
    fields, where server and protocol have room for them. That of a file which its ETag was made of is a header field.

    Whoever asks for a field by ``Want-Content-Digest`` or ``Want-Repr-Digest`` gets it, with the algorithm that it
    likes best.

    Args:
        unasked: The fields that everybody gets.
        algorithm: What is used for those who state no preference that can be met.
        check_requests: Whether a request whose body is not what its digest fields say ends with 400. Those with
            algorithms that are not fit for use, or without the fields, pass.

    Raises:
        ValueError: There is no such field or algorithm.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        unasked: Iterable[DigestField] = ("repr-digest",),
        algorithm: Algorithm | str = Algorithm.SHA_256,
        check_requests: bool = False,
    ) -> None:
        self._app = app
        self._unasked = frozenset(unasked)
        if unknown := self._unasked - _WANTED_BY.keys():
            raise ValueError(f"{sorted(unknown)[0]!r} is neither content-digest nor repr-digest")
        first = Algorithm(algorithm)
        self._algorithms = (first, *(other for other in Algorithm if other is not first))
        self._checks_requests = check_requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        wanted = self._wanted(Headers(scope["headers"]))
        if wanted:
            send = heard(scope, _Response(scope, send, wanted).send)
        if self._checks_requests and (check := _Check.of(scope, receive, send)) is not None:
            await check.run(self._app)
        else:
            await self._app(scope, receive, send)

    def _wanted(self, headers: Headers) -> dict[DigestField, Algorithm]:
        """The fields of the response, with their algorithms."""
        wanted: dict[DigestField, Algorithm] = {}
        for field, asking in _WANTED_BY.items():
            text = ",".join(headers.getlist(asking))
            if text:
                algorithm = choose_algorithm(text, self._algorithms) or self._other(text)
                if algorithm is not None:
                    wanted[field] = algorithm
            elif field in self._unasked:
                wanted[field] = self._algorithms[0]
        return wanted

    def _other(self, text: str) -> Algorithm | None:
        """For who likes none that there is: another one, as appendix C.2 has it, if it is not refused."""
        preferences = parse_want(text)
        return next((algorithm for algorithm in self._algorithms if preferences.get(algorithm) != 0), None)


class _Response(TrailingResponse):
    __slots__ = ("_digester", "_wanted")

    reads_files: ClassVar[bool] = True

    def __init__(self, scope: Scope, send: Send, wanted: dict[DigestField, Algorithm]) -> None:
        super().__init__(scope, send)
        self._wanted = wanted
        self._digester: Digester | None = None

    def begin(self, start: Message) -> Message | None:
        names = {name for name, _ in start.get("headers", ())}
        is_part = start["status"] == 206 or b"content-range" in names
        self._wanted = {
            field: algorithm
            for field, algorithm in self._wanted.items()
            if field.encode("ascii") not in names and not (is_part and field == "repr-digest")
        }
        is_empty = start["status"] < 200 or start["status"] in (204, 205, 304)
        if is_empty or not self._wanted:
            return start
        known = self._known_fields(start)
        return {**start, "headers": [*start.get("headers", ()), *known]} if known else None

    def _known_fields(self, start: Message) -> RawHeaders:
        """The fields of a body whose digest is known before it is read."""
        offer = start.get(OFFER)
        if (
            offer is None
            or not offer.open
            or offer.sha256 is None
            or set(self._wanted.values()) != {Algorithm.SHA_256}
            or not offer.is_as_made(start["status"], dict(start["headers"]).get)
        ):
            return []
        value = format_digests({Algorithm.SHA_256: bytes.fromhex(offer.sha256)})
        of_nothing = digest_field(b"")  # of which a response to HEAD consists (appendix B.2)
        is_head = self.scope["method"] == "HEAD"
        return [_pair(field, of_nothing if is_head and field == "content-digest" else value) for field in self._wanted]

    async def header_fields(self, start: Message, body: bytes | None) -> RawHeaders:
        if body is None:
            return []
        fields: RawHeaders = []
        is_head = self.scope["method"] == "HEAD"
        for field, algorithm in self._wanted.items():
            content = body
            if is_head and field == "content-digest":
                content = b""  # that is what a response to HEAD contains (appendix B.2)
            elif is_head and not body:
                continue  # the representation is not to be seen
            if len(content) <= _INLINE_BYTES:
                value = digest_field(content, (algorithm,))
            else:
                value = await compute(digest_field, content, (algorithm,))
            fields.append(_pair(field, value))
        return fields

    def trailer_names(self) -> list[str]:
        return ["-".join(word.capitalize() for word in field.split("-")) for field in self._wanted]

    async def take(self, data: bytes) -> None:
        if self._digester is None:
            self._digester = Digester(set(self._wanted.values()))
        if len(data) <= _INLINE_BYTES:
            self._digester.update(data)
        else:
            await compute(self._digester.update, data)

    def trailer_fields(self) -> RawHeaders:
        digests = (self._digester or Digester(set(self._wanted.values()))).digests()
        return [
            _pair(field, format_digests({algorithm: digests[algorithm]})) for field, algorithm in self._wanted.items()
        ]


def _pair(field: DigestField, value: str) -> tuple[bytes, bytes]:
    return field.encode("ascii"), value.encode("ascii")


# --- requests ---------------------------------------------------------------------------------------------------------


class _Check:
    """One request, held to its digests.

    Args:
        fields: The digest fields that count here, with their values in the header section.
        digester: Of every algorithm that may be needed.
    """

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, fields: dict[DigestField, str], digester: Digester
    ) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._fields = fields
        self._digester = digester
        self._failure: HTTPException | None = None
        self._has_begun = False
        self._is_answered = False

    @classmethod
    def of(cls, scope: Scope, receive: Receive, send: Send) -> _Check | None:
        """``None`` for a request without a digest that could be checked."""
        headers = Headers(scope["headers"])
        fields: dict[DigestField, str] = {"content-digest": ",".join(headers.getlist("content-digest"))}
        if "content-range" not in headers:  # else the representation is more than what is enclosed
            fields["repr-digest"] = ",".join(headers.getlist("repr-digest"))
        announced = {name.lower() for name in split_list(",".join(headers.getlist("trailer")))}
        named = {name for text in fields.values() for name in parse_digests(text)}
        algorithms = tuple(a for a in Algorithm if a in named or not announced.isdisjoint(fields))
        return cls(scope, receive, send, fields, Digester(algorithms)) if algorithms else None

    async def run(self, app: ASGIApp) -> None:
        try:
            await app(self._scope, self.receive, self.send)
        except HTTPException as error:
            if error is not self._failure:
                raise
            if not self._has_begun:
                await self._answer(error)
            elif not self._is_answered:
                raise

    async def receive(self) -> Message:
        """Passes the request on.

        Raises:
            HTTPException: 400, this would have been the end of a body that is not what was sent.
        """
        message = await self._receive()
        if message["type"] != "http.request":
            return message
        data = message.get("body", b"")
        if len(data) <= _INLINE_BYTES:
            self._digester.update(data)
        else:
            await compute(self._digester.update, data)
        if not message.get("more_body", False):
            trailers = Headers(message.get("trailers", ()))
            for field, text in self._fields.items():
                if not self._is_right(",".join([text, *trailers.getlist(field)] if text else trailers.getlist(field))):
                    self._failure = HTTPException(400, f"the content is not what its {field} says")
                    raise self._failure
        return message

    def _is_right(self, text: str) -> bool:
        expected = parse_digests(text)
        computed = self._digester.digests()
        return all(compare_digest(computed[a], expected[a]) for a in computed if a in expected)

    async def send(self, message: Message) -> None:
        """Passes the response on; one that takes the failure for none, or for the server's, is not the client's."""
        if self._is_answered:
            return
        if message["type"] == "http.response.start":
            self._has_begun = True
            if self._failure is not None and not 400 <= message["status"] < 500:
                await self._answer(self._failure)
                return
        await self._send(message)

    async def _answer(self, failure: HTTPException) -> None:
        self._has_begun = self._is_answered = True
        await error_response(Headers(self._scope["headers"]), failure.status, failure.detail)(
            self._scope, self._receive, self._send
        )
