"""The files of a directory as an application: ``Mount("/assets", StaticFiles("assets"))``.

Rules of this module: it says what is true of a file (type, tag, caching) and lets the conditional middleware judge the
rest, as for any response. A file that nobody has asked for in a while is looked up in a worker thread. One that was
asked for just now is looked up on the event loop: the kernel has it in memory, and the hop to a thread costs three
times as much as the whole look-up (some 60 µs against 20). What has to be read to be known is always read in a thread.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from fnmatch import translate
from re import Pattern
from re import compile as compile_pattern
from time import monotonic
from typing import Any, Final
from urllib.parse import quote

from tricorn.concurrency import ForeignReceive, run_in_thread
from tricorn.exceptions import ClientDisconnect, HTTPException, NoRoute
from tricorn.headers import Headers, MutableHeaders, RawHeaders
from tricorn.lifespan import answer_lifespan
from tricorn.media_types import media_type_of
from tricorn.middleware.conditional import ConditionalMiddleware
from tricorn.middleware.problem import error_response
from tricorn.policy import POLICY, CachePolicy, add_missing, cache_field
from tricorn.response.base import CONDITIONAL, Response, content_type
from tricorn.response.file import send_file
from tricorn.response.redirect import RedirectResponse
from tricorn.routing.pattern import text_form
from tricorn.static.fingerprint import without_hash
from tricorn.static.folder import Folder
from tricorn.static.lookup import Directory, Found, Lookup, MustBlock
from tricorn.static.names import names_of
from tricorn.static.options import CacheRules
from tricorn.types import Receive, Scope, Send
from tricorn.url import PATH_SAFE, URLPath

#: What ``url_for`` calls a file, with the parameter ``path``.
ROUTE_NAME: Final = "static"

#: Seconds for which a file that was looked at is taken to be in the kernel's memory.
HOT_SECONDS: Final = 30.0
_MAX_HOT: Final = 8192

_IMMUTABLE = b"public, max-age=31536000, immutable"
_REVALIDATED = b"no-cache"
_ALLOW: Final = {"allow": "GET, HEAD, OPTIONS"}


class StaticFiles:
    """Serves the files below a directory, for GET and HEAD (OPTIONS says so).

    They have strong ETags, Last-Modified and ranges. A file that was compressed before, ``app.css.br``, ``.zst`` or
    ``.gz`` beside ``app.css``, is sent to clients that take it, unless it is older than its file. ``static_url`` gives
    a file's URL with its content's hash in it, under which it is fresh for a year; where the hash is not (or no longer)
    the file's, there is nothing: the content of another version under that name would stay in caches for that year.

    Refused are all paths that could lead elsewhere on any system (``..``, backslashes, drives, devices, what is encoded
    twice), names that begin with a dot, and all that is not a regular file.

    Args:
        directory: It must be there.
        html: Whether ``/`` gives ``index.html`` and whatever is missing ``404.html``, where there are such files.
        cache: ``Cache-Control`` by pattern, as ``{"*.css": CacheControl.public(max_age=60)}``; or one for all.
            Patterns are those of ``fnmatch``, against the path below the directory (``*`` goes over slashes, too); the
            first that matches counts. Without any: what is declared around this application, else ``no-cache``: caches
            keep the file and ask each time whether it is still the same.
        media_types: ``Content-Type`` by suffix, without its dot, beside and before the table of ``media_types``.
        follow_symlinks: Whether symbolic links may lead out of the directory; else those that do lead nowhere.
        hidden: Whether names that begin with a dot are served, as ``.well-known`` and ``.git`` do.

    Raises:
        NotADirectoryError: There is no such directory.
        ValueError: A policy contradicts itself, or a media type cannot be sent.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        *,
        html: bool = False,
        cache: CacheRules | None = None,
        media_types: Mapping[str, str] | None = None,
        follow_symlinks: bool = False,
        hidden: bool = False,
    ) -> None:
        self._lookup = Lookup(Folder(directory, follow_symlinks=follow_symlinks), html=html, hidden=hidden)
        self._cache_rules = _compile(cache)
        self._media_types = {suffix.lower().lstrip("."): kind for suffix, kind in (media_types or {}).items()}
        for kind in self._media_types.values():
            content_type(kind)
        self._hot: dict[tuple[str, ...], float] = {}
        self._judged = ConditionalMiddleware(self._answer, auto_etag=None)

    @property
    def directory(self) -> str:
        """The absolute path of the directory."""
        return self._lookup.folder.path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await answer_lifespan(self.running(None, None), receive, send)
            return
        is_inside = CONDITIONAL in scope  # an App is around this one, and answers what is raised
        try:
            if scope["type"] != "http":
                raise HTTPException(404)
            await self._judged(scope, receive, send)
        except HTTPException as error:
            if is_inside or scope["type"] != "http":
                raise
            headers = Headers(scope["headers"])
            await error_response(headers, error.status, error.detail, headers=error.headers)(scope, receive, send)
        except ClientDisconnect:
            pass  # nobody is left to be answered

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "OPTIONS":  # as routes answer it
            await Response(b"", 204, _ALLOW)(scope, receive, send)
            return
        if scope["method"] not in ("GET", "HEAD"):
            raise HTTPException(405, headers=_ALLOW)
        names = names_of(text_form(scope), hidden=self._lookup.hidden)
        accept = [value.decode("latin-1") for name, value in scope["headers"] if name == b"accept-encoding"]
        found = await self._search(names, accept)
        if isinstance(found, Directory):
            await self._redirect(scope, receive, send)
            return
        # What is not there yet may come soon, in the middle of a deployment: no cache shall remember that it is not.
        is_awaited = without_hash(names[-1] if names else "") is not None
        if found is None:
            raise HTTPException(404, headers={"cache-control": "no-store"} if is_awaited else None)
        with found.opened.file:
            if found.missing:
                status, headers = 404, self._missing_fields(found, is_awaited, scope)
            else:
                status, headers = 200, self._fields(found, scope)
            start = {"type": "http.response.start", "status": status, "headers": headers}
            if "tricorn.disconnect" not in (scope.get("extensions") or ()):
                receive = ForeignReceive(scope, receive)
            await send_file(found.opened, start, scope, receive, send)

    async def _search(self, names: tuple[str, ...] | None, accept: Sequence[str]) -> Found | Directory | None:
        search, now = self._lookup.search, monotonic()
        if names is not None and self._hot.get(names, 0.0) > now:
            try:
                return search(names, accept, blocking=False)
            except MustBlock:
                pass
        if names is None and not self._lookup.html:
            return None
        found = await run_in_thread(search, names, accept, blocking=True)
        if isinstance(found, Found) and not found.missing and names is not None:
            if len(self._hot) >= _MAX_HOT:
                self._hot.clear()
            self._hot[names] = now + HOT_SECONDS
        return found

    def _fields(self, found: Found, scope: Scope) -> RawHeaders:
        raw = self._content_fields(found)
        raw.append((b"etag", str(found.tag).encode("ascii")))
        raw.append((b"last-modified", found.opened.last_modified().encode("ascii")))
        if found.fingerprinted:
            raw.append((b"cache-control", _IMMUTABLE))
        elif (rule := self._rule("/".join(found.names))) is not None:
            raw.append((b"cache-control", rule))
        return self._declared(200, raw, scope)

    def _missing_fields(self, found: Found, is_awaited: bool, scope: Scope) -> RawHeaders:
        """Of the page for what is not there: no validators, and none of the policies, which are for what is there."""
        raw = self._content_fields(found)
        if is_awaited:
            raw.append((b"cache-control", b"no-store"))
        return self._declared(404, raw, scope)

    def _content_fields(self, found: Found) -> RawHeaders:
        name, opened = found.names[-1], found.opened
        kind = self._media_types.get(name.rpartition(".")[2].lower()) or media_type_of(name)
        raw: RawHeaders = [content_type(kind), (b"content-length", b"%d" % opened.info.st_size)]
        if found.coding is not None:
            raw.append((b"content-encoding", found.coding.encode("ascii")))
        if found.varies:
            MutableHeaders(raw).add_vary("Accept-Encoding")
        return raw

    def _declared(self, status: int, raw: RawHeaders, scope: Scope) -> RawHeaders:
        """With what is declared around this application, and without that: ask each time."""
        policy: CachePolicy | None = scope.get(POLICY)
        if policy is not None:
            policy.apply(status, raw, None)
        add_missing(raw, [(b"cache-control", _REVALIDATED)])
        return raw

    def _rule(self, path: str) -> bytes | None:
        return next((value for pattern, value in self._cache_rules if pattern.match(path)), None)

    async def _redirect(self, scope: Scope, receive: Receive, send: Send) -> None:
        """To the same path with a slash at its end, as the links in an index need it."""
        # A relative reference stays right behind whatever prefix a proxy has taken away.
        last = quote(scope["path"].rpartition("/")[2], safe=PATH_SAFE)
        query = scope.get("query_string", b"").decode("latin-1")
        target = f"./{last}/?{query}" if query else f"./{last}/"
        # For now: without a policy browsers keep a 308 for good, and the directory may become a file one day.
        await RedirectResponse(target, 308, {"cache-control": "no-cache"})(scope, receive, send)

    # ----------------------------------------------------------------------- what a mounted router of ours is asked

    def resolve(self, name: str, params: Mapping[str, object]) -> URLPath:
        """The fingerprinted path of a file below this application: ``resolve("static", {"path": "app.css"})``.

        Raises:
            NoRoute: There is no such file.
        """
        if name != ROUTE_NAME:
            raise NoRoute(f"there is no route named {name!r}")
        if params.keys() != {"path"}:
            raise NoRoute(f"{name!r} takes a path, and not {sorted(params)}")
        return URLPath("/" + quote(self._lookup.fingerprinted(str(params["path"])), safe=PATH_SAFE))

    def attach(self, outer: frozenset[str]) -> None:
        """Parameters from around this application are none of its business."""

    @asynccontextmanager
    async def running(self, app: object, state: dict[str, Any] | None) -> AsyncIterator[None]:
        """There is nothing to start."""
        yield

    def __repr__(self) -> str:
        return f"StaticFiles({self.directory!r})"


def _compile(rules: CacheRules | None) -> list[tuple[Pattern[str], bytes]]:
    if rules is None:
        return []
    by_pattern = rules if isinstance(rules, Mapping) else {"*": rules}
    return [(compile_pattern(translate(pattern)), cache_field(policy)) for pattern, policy in by_pattern.items()]
