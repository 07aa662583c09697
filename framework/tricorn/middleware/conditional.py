"""Conditional requests and ranges for every response (RFC 9110 sections 13 and 14).

Rules of this module: it stands outside all other middleware, so that it judges the fields and the bytes that the client
would get. Only finished 2xx responses to GET and HEAD are judged: a handler that changes something has done so by
then, and must be kept from it earlier (``Request.check_preconditions``, declared validators). The judging itself is in
``judge``.
"""

from __future__ import annotations

from typing import Final

from tricorn.caching.rewrite import not_modified_fields
from tricorn.exceptions import NotModified
from tricorn.foreign import heard
from tricorn.middleware.judge import AutoETag, Judge, start_message
from tricorn.response.base import CONDITIONAL
from tricorn.types import ASGIApp, ExceptionHandlers, Receive, Scope, Send

#: Bytes of a body that is hashed for its ETag; it takes some half a millisecond.
MAX_HASHED_BYTES: Final = 1024 * 1024


class ConditionalMiddleware:
    """Answers 304, 412, 206 and 416 for an application that answers 200. ``App`` has it around everything.

    Args:
        auto_etag: What a response gets that is sent in one piece and has no ETag: a ``strong`` one by its content, a
            ``weak`` one for content that means the same in other bytes, or none. Never one for what
            nobody may store.
        max_hashed_bytes: No body larger than this is hashed.
        handlers: Of the application's exceptions; see ``ErrorsMiddleware``. 412 and 416 are among them.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        auto_etag: AutoETag = "strong",
        max_hashed_bytes: int = MAX_HASHED_BYTES,
        handlers: ExceptionHandlers | None = None,
    ) -> None:
        if auto_etag not in ("strong", "weak", None):
            raise ValueError(f"auto_etag {auto_etag!r} is not strong, weak or None")
        self._app = app
        self._auto_etag: AutoETag = auto_etag
        self._max_hashed = max_hashed_bytes if auto_etag is not None else -1
        self._handlers = handlers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or (scope["method"] != "GET" and scope["method"] != "HEAD"):
            await self._app(scope, receive, send)
            return
        if CONDITIONAL in scope:  # an application in an application: the outermost judges, by the inner one's rules
            judge = scope[CONDITIONAL]
            judge.auto_etag, judge.max_hashed = self._auto_etag, self._max_hashed
            judge.handlers = self._handlers or judge.handlers
            await self._app(scope, receive, send)
            return
        judge = scope[CONDITIONAL] = Judge(scope, send, self._auto_etag, self._max_hashed, self._handlers)
        try:
            # A method: Python calls an object with __call__ far slower.
            await self._app(scope, receive, heard(scope, judge.send))
        except NotModified as unmodified:  # of a middleware; routes answer it themselves
            if judge.has_begun():
                raise
            await send(start_message(304, not_modified_fields(unmodified.fields)))
            await send({"type": "http.response.body", "body": b""})
        except Exception as error:
            if not judge.is_cause(error):
                raise
        finally:
            scope.pop(CONDITIONAL, None)  # else both hold each other, and all of the request, until the next GC
