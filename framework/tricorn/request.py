"""The request as a handler sees it.

Rules of this module: nothing is parsed before it is asked for, and nothing twice. Whatever a client can get wrong
(Host, JSON, a form, too large a body) raises ``HTTPException`` with a sentence that says what is wrong.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any, Final, Unpack, cast

from tricorn.caching.conditional import Validators
from tricorn.concurrency import ForeignReceive, disconnect_register
from tricorn.connection import Connection
from tricorn.exceptions import ClientDisconnect, HTTPException, NotModified
from tricorn.headers import Headers, HeadersInit, encode_headers
from tricorn.json_codec import InvalidJSON, decode_json
from tricorn.policy import CachePolicy, judge
from tricorn.types import Receive, Scope, Send

if TYPE_CHECKING:
    from datetime import datetime

    from tricorn.caching.control import CacheControl
    from tricorn.caching.etag import ETag
    from tricorn.forms import FormData
    from tricorn.hints.link import Hint, HintAttributes
    from tricorn.priority import Priority

#: In the scope: a list, to which a route adds the request that its handler failed with, for exception handlers.
FAILED: Final = "tricorn.failed"

#: Bytes that ``body()``, ``json()`` and ``form()`` take where the application sets no other limit.
MAX_BODY_BYTES = 16 * 1024 * 1024

#: No length has more digits; int() refuses more than 4300.
_MAX_LENGTH_DIGITS = 20


class Request(Connection):
    """One HTTP request.

    Args:
        scope: An ASGI ``http`` scope.
        receive: The server's, or a middleware's around it.
        send: Needed for ``push``, ``hint`` and ``hint_all`` only.
    """

    _body: bytes | None = None
    _form: FormData | None = None
    _consumed = False
    _trailers: Headers | None = None
    _gone: bool | None = None
    #: For the final response's head, from ``check_preconditions()``.
    validators: Validators | None = None
    policy: CachePolicy | None = None

    def __init__(self, scope: Scope, receive: Receive, send: Send | None = None) -> None:
        self.scope = scope
        self._receive = receive
        self._send = send

    @property
    def method(self) -> str:
        """The method. Methods are case-sensitive."""
        return cast("str", self.scope["method"])

    @property
    def content_length(self) -> int | None:
        """The body's length in bytes as announced, or ``None``."""
        text = self.headers.get("content-length")
        if text is None or not text.isdecimal():
            return None
        return int(text.lstrip("0")[:_MAX_LENGTH_DIGITS] or "0")

    @property
    def last_event_id(self) -> str | None:
        """``Last-Event-ID``: the last event that a reconnecting ``EventSource`` has seen (in UTF-8, as it sends it)."""
        value = self.headers.get("last-event-id", "")
        return value.encode("latin-1").decode("utf-8", "replace") or None

    @property
    def priority(self) -> Priority:
        """How urgent the response is (RFC 9218): what the client wished, and changes, or what was set here.

        Setting it orders the response among the others of its connection at once, whatever the client says later; on a
        server without ``tricorn.priority`` it is only remembered. A ``Priority`` field in the response does the same,
        and tells proxies too.

        Raises:
            ValueError: Set to an urgency that is not 0 to 7.
        """
        from tricorn.priority import get_priority

        return get_priority(self.scope)

    @priority.setter
    def priority(self, priority: Priority) -> None:
        from tricorn.priority import set_priority

        set_priority(self.scope, priority)

    @property
    def trailers(self) -> Headers | None:
        """The fields after the body, once it has been read to its end (RFC 9110 section 6.5).

        ``None`` before that, where none came, and on servers without ``tricorn.request_trailers``.
        """
        return self._trailers

    async def stream(self) -> AsyncIterator[bytes]:
        """The body in parts, as they arrive, without a limit but the server's own.

        Raises:
            ClientDisconnect: The client went away before the body's end.
            RuntimeError: The body was streamed before.
        """
        if self._body is not None:
            if self._body:
                yield self._body
            return
        if self._consumed:
            raise RuntimeError("the request's body has been streamed already")
        self._consumed = True
        more = True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self._gone = True
                raise ClientDisconnect
            more = message.get("more_body", False)
            trailers = message.get("trailers")
            if trailers is not None:
                self._trailers = Headers(trailers)
            data = message.get("body", b"")
            if data:
                yield data

    async def body(self, *, max_bytes: int | None = None) -> bytes:
        """The whole body.

        Args:
            max_bytes: In place of the application's ``max_body_bytes``.

        Raises:
            HTTPException: 413, it is longer.
            ClientDisconnect: The client went away before the body's end.
        """
        if self._body is None:
            self._body = b"".join([part async for part in self.limited_stream(max_bytes)])
        elif max_bytes is not None and len(self._body) > max_bytes:
            raise _too_large(max_bytes)
        return self._body

    async def limited_stream(self, max_bytes: int | None = None) -> AsyncIterator[bytes]:
        """``stream()`` that raises 413 over ``max_bytes`` (the application's ``max_body_bytes``).

        A body that is announced to be too long is refused before any of it is asked for.
        """
        app = self.scope.get("app")
        limit: int = max_bytes if max_bytes is not None else getattr(app, "max_body_bytes", MAX_BODY_BYTES)
        announced = self.content_length
        if announced is not None and announced > limit:
            raise HTTPException(413, f"the body may have {limit} bytes, and {announced} are announced")
        size = 0
        async for part in self.stream():
            size += len(part)
            if size > limit:
                raise _too_large(limit)
            yield part

    async def json(self, *, max_bytes: int | None = None) -> Any:
        """The body as JSON (RFC 8259), whatever ``Content-Type`` says.

        Args:
            max_bytes: Of the body, in place of the application's ``max_body_bytes``.

        Raises:
            HTTPException: 400 for what is not JSON, 413 for what is too long.
        """
        body = await self.body(max_bytes=max_bytes)
        try:
            return decode_json(body)
        except InvalidJSON as error:
            raise HTTPException(400, f"the body {error}") from error

    async def form(
        self,
        *,
        max_bytes: int | None = None,
        max_fields: int = 1000,
        max_files: int = 1000,
        max_field_bytes: int = 1024 * 1024,
    ) -> FormData:
        """The body as a form: ``multipart/form-data`` or ``application/x-www-form-urlencoded``.

        Files are spooled to disk and closed when the route and its background work are done.

        Args:
            max_bytes: Of the whole body, in place of the application's ``max_body_bytes``.
            max_fields: How many fields that are no files.
            max_files: How many files.
            max_field_bytes: Bytes of one field's value that is no file.

        Raises:
            HTTPException: 415 for another content type, 400 for a malformed form, 413 for what is too long.
        """
        if self._form is None:
            from tricorn.forms import read_form

            self._form = await read_form(
                self,
                max_bytes=max_bytes,
                max_fields=max_fields,
                max_files=max_files,
                max_field_bytes=max_field_bytes,
            )
        return self._form

    def check_preconditions(
        self,
        *,
        etag: ETag | str | None = None,
        last_modified: datetime | float | None = None,
        exists: bool = True,
        cache: CacheControl | str | None = None,
        vary: str | Sequence[str] = (),
    ) -> None:
        """Ends the request here if its preconditions say so, before any expensive work (RFC 9110 section 13.2).

        A GET or HEAD whose client has this version already ends with 304; else the response gets the validators,
        unless it has its own. A change that is meant for another version ends with 412: check and write in one
        transaction, or the version may change in between. With ``require_preconditions`` a change that these
        validators cannot guard ends with 428.

        Args:
            etag: The resource's tag now: an ``ETag``, a field value, or just what identifies the version.
            last_modified: A moment with a time zone, or seconds since the epoch.
            exists: Whether there is such a resource. ``False`` lets ``If-None-Match: *`` create it, and a GET or HEAD
                be answered with 404, whatever its conditions are.
            cache: ``Cache-Control`` of the response, unless it has its own, and of the 304 in its place, which has to
                say the same (section 15.4.5). It comes before what is declared.
            vary: Request fields that the response depends on, likewise; they are added to those declared.

        Raises:
            NotModified: 304. To be let out of the handler.
            HTTPException: 412, or 428.
            ValueError: The tag cannot be one, the moment has no time zone, or the policy contradicts itself.
            RuntimeError: The response has begun, as it has after a generator's first part.
        """
        validators = Validators.of(etag, last_modified)
        if cache is not None or vary:
            self.policy = CachePolicy.declare("check_preconditions()", {"cache": cache, "vary": vary})
        unmodified = judge(self, validators, exists)
        if unmodified is not None:
            if self.policy is not None:
                self.policy.apply(304, unmodified, None)
            raise NotModified(unmodified)

    async def is_disconnected(self) -> bool:
        """Whether the client is known to be gone. Waits for a few turns of the event loop at most."""
        if self._gone is None:
            register = disconnect_register(self.scope)
            if register is not None:
                self._gone = False
                register(self._mark_gone)
        if not self._gone and isinstance(self._receive, ForeignReceive):
            self._gone = await self._receive.poll()
        return bool(self._gone)

    def _mark_gone(self) -> None:
        self._gone = True

    async def push(self, path: str, headers: HeadersInit = ()) -> bool:
        """Asks the server to push the answer to a GET of ``path`` (HTTP/2), before or while the response is sent.

        Returns whether the client is sent it, or has it; never, where the application's ``hinting`` allows no push.

        Args:
            path: A path on this host, with its query, escaped or not.
            headers: Fields of the request that is promised. Without them it has this request's ``Accept`` and
                ``User-Agent`` and their like; credentials and preconditions it has only if they are given here.

        Raises:
            ValueError: It is not a path, or a field is not allowed.
        """
        from tricorn.hints.hinter import Hinter

        return await Hinter.of(self.scope, self._require_send()).push(path, encode_headers(headers))

    async def hint(self, url: str, **attributes: Unpack[HintAttributes]) -> None:
        """Tells the client early that it will need ``url``, in the best way that there is.

        That is a push, else a 103 response, else a ``Link`` field in the final response; never two of them, and never
        twice. Once the response has begun nothing is sent any more. See ``tricorn.hints.Hint`` for the arguments.

        Args:
            url: A URI reference; only what is on this host can be pushed.

        Raises:
            ValueError: It cannot be said in a ``Link`` field.
        """
        from tricorn.hints import Hint

        await self.hint_all(Hint(url, **attributes))

    async def hint_all(self, *hints: Hint | str) -> None:
        """``hint()`` for several resources, in one 103 on every server."""
        from tricorn.hints.hinter import Hinter
        from tricorn.hints.link import Hint

        await Hinter.of(self.scope, self._require_send()).hint([Hint.of(hint) for hint in hints])

    @property
    def has_form(self) -> bool:
        """Whether a form was read, and has to be closed."""
        return self._form is not None

    async def close(self) -> None:
        """Closes the form's files. Routes do it."""
        if self._form is not None:
            await self._form.close()

    def _require_send(self) -> Send:
        if self._send is None:
            raise RuntimeError("this Request was made without send")
        return self._send

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.path}>"


def _too_large(limit: int) -> HTTPException:
    return HTTPException(413, f"the body may have {limit} bytes")
