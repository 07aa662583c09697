"""Asks an application in this process what a browser and a cache would ask, and keeps what it answers.

Rules of this module: it judges nothing. A request that changes something is sent once and never repeated; of a
response that does not end only the beginning is read. Cookies that the application sets are not sent back, so that a
request that is repeated is the same one.
"""

from __future__ import annotations

from time import time
from typing import Final

import anyio

from tricorn.explain.facts import Answer, Asked, Observed
from tricorn.foreign import lower_cased
from tricorn.headers import Headers
from tricorn.testing import AsyncClient
from tricorn.types import ASGIApp, Receive, Scope, Send

#: What a host name means that nobody gave. Frameworks that check it let this one through while they debug.
BASE_URL: Final = "http://localhost"

#: Bytes of a response that are read, and seconds for which it is.
MAX_BYTES: Final = 8 * 1024 * 1024
MAX_SECONDS: Final = 2.0

#: Fields that make a request another one than that for the whole response.
_CONDITIONAL: Final = frozenset(
    {"if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range", "range"}
)


async def observe(app: ASGIApp, asked: Asked, *, timeout: float = 10.0) -> Observed:
    """Starts an application up, sends it a request and what follows from its response, and shuts it down.

    A GET or HEAD is sent once more as it is; a 200 is revalidated, if it has validators; of a GET's one byte is asked
    for. The application runs under asyncio.

    Args:
        asked: The target is a path on ``http://localhost``, or a whole URL.
        timeout: Seconds that the application may take for a step.

    Raises:
        LifespanFailed: The startup or the shutdown failed.
        ASGIViolation: What the application sent is not ASGI.
        TimeoutError: The application took too long.
        ValueError: The target cannot be one.
        Exception: What the application raised.
    """
    async with AsyncClient(_with_lower_names(app), base_url=BASE_URL, timeout=timeout) as client:
        answer = await _send(client, asked)
        now = time()
        again = revalidated = ranged = None
        if asked.method in ("GET", "HEAD"):
            again = await _send(client, asked, whole=answer.complete)
            if answer.status == 200 and _CONDITIONAL.isdisjoint(asked.headers):
                conditions = _conditions(answer.headers)
                if conditions:
                    revalidated = await _send(client, asked, *conditions, whole=False)
                if asked.method == "GET" and answer.complete and answer.body:
                    ranged = await _send(client, asked, ("range", "bytes=0-0"), whole=False)
        return Observed(asked, answer, now, again, revalidated, ranged)


def _with_lower_names(app: ASGIApp) -> ASGIApp:
    async def with_lower_names(scope: Scope, receive: Receive, send: Send) -> None:
        await app(scope, receive, lower_cased(send))

    return with_lower_names


def _conditions(headers: Headers) -> list[tuple[str, str]]:
    """What a cache asks with that has stored a response with these fields (RFC 9111 section 4.3.1)."""
    pairs = (("if-none-match", "etag"), ("if-modified-since", "last-modified"))
    return [(condition, headers[validator]) for condition, validator in pairs if validator in headers]


async def _send(client: AsyncClient, asked: Asked, *more: tuple[str, str], whole: bool = True) -> Answer:
    """One request; without ``whole`` only the head of the response is wanted."""
    for name in list(client.cookies):
        del client.cookies[name]
    parts: list[bytes] = []
    complete, size = False, 0
    headers = [*asked.headers.multi_items(), *more]
    async with client.stream(asked.method, asked.target, headers=headers) as response:
        if whole:
            with anyio.move_on_after(MAX_SECONDS):
                while size <= MAX_BYTES and not complete:
                    part = await response.next_part()
                    if part is None:
                        complete = True
                    else:
                        parts.append(part)
                        size += len(part)
    return Answer(response.status, response.headers, b"".join(parts), complete)
