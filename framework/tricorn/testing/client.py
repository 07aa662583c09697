"""The test client for asynchronous tests: ``async with AsyncClient(app) as client``.

Rules of this module: the application runs in the client's task group, one task for each request, in the event loop
of the test. Whatever the application raises comes out of the call that waits for it, never as an exception group.
Every wait for the application has a limit, so that a fault in it fails a test and does not hang it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from difflib import get_close_matches
from types import TracebackType
from typing import Any, Self, TypedDict, Unpack
from urllib.parse import urljoin

import anyio
from anyio.abc import TaskGroup

from tricorn.lifespan import run_lifespan
from tricorn.testing.content import Body, Content, Files, FormData, encode
from tricorn.testing.cookies import Cookies
from tricorn.testing.exchange import Exchange, time_limit
from tricorn.testing.response import AsyncStreamedResponse, Response
from tricorn.testing.scope import (
    HTTP_EXTENSIONS,
    HeaderInput,
    HttpVersion,
    Params,
    Target,
    base_scope,
    header_pairs,
)
from tricorn.testing.websocket import AsyncWebSocket
from tricorn.types import ASGIApp

_MAX_REDIRECTS = 20
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class ClientOptions(TypedDict, total=False):
    """What both clients can be made with.

    Attributes:
        base_url: The origin of URLs that are only paths. By default ``http://testserver``, with ``https`` for
            HTTP/2 and 3, as browsers have it.
        http_version: Which server the scope looks like: ``"1.0"``, ``"1.1"`` (default), ``"2"`` or ``"3"``.
        headers: Sent with every request.
        cookies: Sent with every request; more are kept as they are set.
        follow_redirects: Whether redirects are followed (default: they are not).
        raise_app_exceptions: Whether exceptions of the application come out of the call (default), or the
            client sees what a real one would: a 500, or a response that breaks off.
        root_path: The scope's ``root_path``.
        client: The scope's ``client``.
        timeout: Seconds for every single wait for the application (default 10); ``None`` is for ever.
        lifespan: Whether the application is started up and shut down (default).
    """

    base_url: str | None
    http_version: HttpVersion
    headers: HeaderInput | None
    cookies: dict[str, str] | None
    follow_redirects: bool
    raise_app_exceptions: bool
    root_path: str
    client: tuple[str, int] | None
    timeout: float | None
    lifespan: bool


class RequestOptions(TypedDict, total=False):
    """What every request takes.

    Attributes:
        params: Added to the URL's query.
        headers: Sent besides the client's own, which they replace by name.
        content: The body: ``str``, ``bytes``, or an iterable of ``bytes``, asynchronous or not, each item of which
            is one message; if the iterable raises, the application sees a disconnect and the test the exception.
        json: Sent as JSON.
        data: Sent as a form.
        files: Sent as multipart/form-data, together with ``data``.
        trailers: The request's trailer section, on the last message under ``tricorn.request_trailers``.
        follow_redirects: In place of the client's setting.
        timeout: In place of the client's setting; when it runs out, the client disconnects.
    """

    params: Params | None
    headers: HeaderInput | None
    content: Content | None
    json: object
    data: FormData | None
    files: Files | None
    trailers: HeaderInput | None
    follow_redirects: bool
    timeout: float | None


class AsyncClient:
    """Calls an ASGI application in this event loop, asyncio's or trio's.

    Args:
        app: Any ASGI 3 application.
        options: See ``ClientOptions``.

    Attributes:
        cookies: What is sent, and was set by responses.
        state: The lifespan's state, once entered.

    Raises:
        TypeError: There is no such option.
        LifespanFailed: On entering, when the application's startup failed; on leaving, when its shutdown did.
    """

    def __init__(self, app: ASGIApp, **options: Unpack[ClientOptions]) -> None:
        _require_known(options, ClientOptions)
        self.app = app
        self.http_version: HttpVersion = options.get("http_version", "1.1")
        scheme = "https" if self.http_version in ("2", "3") else "http"
        self._base = Target.resolve(options.get("base_url") or f"{scheme}://testserver", None)
        self._headers = header_pairs(options.get("headers"))
        self._follow = options.get("follow_redirects", False)
        self._raise = options.get("raise_app_exceptions", True)
        self._root_path = options.get("root_path", "")
        self._client = options.get("client", ("127.0.0.1", 50_000))
        self._timeout = options.get("timeout", 10.0)
        self._lifespan = options.get("lifespan", True)
        self.cookies: Cookies = Cookies()
        self.cookies.update(options.get("cookies") or {})
        self.state: dict[str, Any] = {}
        self._stack = AsyncExitStack()
        self._tasks: TaskGroup | None = None

    async def __aenter__(self) -> Self:
        if self._lifespan:
            self.state = await self._stack.enter_async_context(run_lifespan(self.app))
        self._tasks = anyio.create_task_group()
        await self._tasks.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        assert self._tasks is not None
        tasks, self._tasks = self._tasks, None
        tasks.cancel_scope.cancel()
        if isinstance(error, Exception):  # kept from the task group, which would wrap it
            await tasks.__aexit__(None, None, None)
        else:
            await tasks.__aexit__(kind, error, traceback)
        return await self._stack.__aexit__(kind, error, traceback)

    # ----------------------------------------------------------------------------------------------- HTTP

    async def request(self, method: str, url: str, **options: Unpack[RequestOptions]) -> Response:
        """Sends a request, reads the whole response and lets the application end, background work and all.

        Args:
            url: A path on the client's base URL, an absolute URL, or ``*``. Escapes are sent as they are written.
            options: See ``RequestOptions``.

        Raises:
            TypeError: There is no such option, or two do not go together.
            ASGIViolation: What the application sent is not ASGI.
            IncompleteResponse: The response broke off (only without ``raise_app_exceptions``).
            TimeoutError: The application took too long.
            Exception: What the application raised.
        """
        async with self.stream(method, url, **options) as streamed:
            body = await streamed.read()
        return Response(streamed._head, streamed.url, self.http_version, streamed.history, body)

    @asynccontextmanager
    async def stream(
        self, method: str, url: str, **options: Unpack[RequestOptions]
    ) -> AsyncIterator[AsyncStreamedResponse]:
        """Sends a request and gives the response once its head is there; the body is read in the block.

        Leaving the block before the end of the body is a disconnect. Either way the application's end is waited
        for, and what it raised comes out. Raises what ``request()`` raises.
        """
        _require_known(options, RequestOptions)
        target = Target.resolve(url, self._base, options.get("params"))
        body, media_type = encode(
            options.get("content"), options.get("json"), options.get("data"), options.get("files")
        )
        headers = header_pairs(options.get("headers"))
        if media_type is not None and all(name != b"content-type" for name, _ in headers):
            headers.append((b"content-type", media_type.encode()))
        trailers = header_pairs(options["trailers"]) if options.get("trailers") is not None else None
        timeout = options.get("timeout", self._timeout)
        follow = options.get("follow_redirects", self._follow)
        history: list[Response] = []
        while True:
            exchange = self._start(method, target, headers, body, trailers)
            try:
                with time_limit(timeout, "the application did not begin to respond"):
                    await exchange.wait_head()
                self._keep_cookies(exchange, target)
                response = AsyncStreamedResponse(exchange, str(target), self.http_version, history, timeout)
                if not (follow and response.status in _REDIRECTS and "location" in response.headers):
                    yield response
                    break
                skipped = Response(exchange.head, str(target), self.http_version, [], await response.read())
            except Exception:
                exchange.disconnect()
                with anyio.move_on_after(timeout if timeout is not None else float("inf")):
                    await exchange.ended()
                raise
            except BaseException:  # cancelled: the client just goes away
                exchange.disconnect()
                raise
            await exchange.finish(timeout)
            history = [*history, skipped]
            if len(history) > _MAX_REDIRECTS:
                raise RuntimeError(f"{url} was redirected more than {_MAX_REDIRECTS} times")
            method, target, headers, body = _redirected(method, target, headers, body, skipped)
        await exchange.finish(timeout)

    async def get(self, url: str, **options: Unpack[RequestOptions]) -> Response:
        """``request("GET", ...)``."""
        return await self.request("GET", url, **options)

    async def head(self, url: str, **options: Unpack[RequestOptions]) -> Response:
        """``request("HEAD", ...)``."""
        return await self.request("HEAD", url, **options)

    async def options(self, url: str, **options: Unpack[RequestOptions]) -> Response:
        """``request("OPTIONS", ...)``."""
        return await self.request("OPTIONS", url, **options)

    async def post(self, url: str, **options: Unpack[RequestOptions]) -> Response:
        """``request("POST", ...)``."""
        return await self.request("POST", url, **options)

    async def put(self, url: str, **options: Unpack[RequestOptions]) -> Response:
        """``request("PUT", ...)``."""
        return await self.request("PUT", url, **options)

    async def patch(self, url: str, **options: Unpack[RequestOptions]) -> Response:
        """``request("PATCH", ...)``."""
        return await self.request("PATCH", url, **options)

    async def delete(self, url: str, **options: Unpack[RequestOptions]) -> Response:
        """``request("DELETE", ...)``."""
        return await self.request("DELETE", url, **options)

    def _start(
        self,
        method: str,
        target: Target,
        headers: list[tuple[bytes, bytes]],
        body: Body | None,
        trailers: list[tuple[bytes, bytes]] | None,
    ) -> Exchange:
        framing: list[tuple[bytes, bytes]] = []
        if isinstance(body, bytes):
            framing = [(b"content-length", b"%d" % len(body))]
        elif body is not None:
            if self.http_version == "1.0":
                raise ValueError("HTTP/1.0 cannot carry a body of unknown length")
            if self.http_version == "1.1":
                framing = [(b"transfer-encoding", b"chunked")]
        if any(name == b"content-length" for name, _ in headers):
            framing = []
        scope = base_scope(
            "http",
            target,
            self._all_headers(target, headers + framing),
            http_version=self.http_version,
            root_path=self._root_path,
            client=self._client,
            state=self.state,
        )
        scope["method"] = method.upper()
        scope["extensions"] = {name: {} for name in HTTP_EXTENSIONS[self.http_version]}
        exchange = Exchange(
            self.app,
            scope,
            b"" if body is None else body,
            trailers=trailers if self.http_version != "1.0" else None,
            raise_app_exceptions=self._raise,
        )
        self._spawner().start_soon(exchange.run)
        return exchange

    def _spawner(self) -> TaskGroup:
        if self._tasks is None:
            raise RuntimeError("the client is not open: use it in a with block")
        return self._tasks

    def _all_headers(self, target: Target, headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        given = {name for name, _ in headers}
        all_headers = [pair for pair in self._headers if pair[0] not in given] + headers
        given = {name for name, _ in all_headers}
        if b"cookie" not in given:
            cookie = self.cookies.header(host=target.host, path=target.path, secure=target.is_secure)
            if cookie:
                all_headers.append((b"cookie", cookie.encode("latin-1")))
        defaults = ((b"host", target.authority), (b"user-agent", "tricorn.testing"), (b"accept", "*/*"))
        return [(name, value.encode()) for name, value in defaults if name not in given] + all_headers

    def _keep_cookies(self, exchange: Exchange, target: Target) -> None:
        for name, value in exchange.head.headers:
            if name == b"set-cookie":
                self.cookies.store(value.decode("latin-1"), host=target.host, path=target.path, secure=target.is_secure)

    # ------------------------------------------------------------------------------------------ WebSocket

    @asynccontextmanager
    async def websocket(
        self,
        url: str,
        *,
        subprotocols: Sequence[str] = (),
        headers: HeaderInput | None = None,
        params: Params | None = None,
    ) -> AsyncIterator[AsyncWebSocket]:
        """Opens a WebSocket for the block; it is closed with 1000 at its end, unless it is closed already.

        Raises:
            WebSocketDenied: The application refused the handshake; the exception has its response.
            Exception: What the application raised.
        """
        target = Target.resolve(url, self._base, params)
        target = Target("wss" if target.is_secure else "ws", target.host, target.port, target.path, target.query)
        handshake = [(b"sec-websocket-version", b"13")]
        if self.http_version == "1.1":
            handshake += [
                (b"connection", b"Upgrade"),
                (b"upgrade", b"websocket"),
                (b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),
            ]
        if subprotocols:
            handshake.append((b"sec-websocket-protocol", ", ".join(subprotocols).encode("ascii")))
        scope = base_scope(
            "websocket",
            target,
            self._all_headers(target, header_pairs(headers) + handshake),
            http_version=self.http_version,
            root_path=self._root_path,
            client=self._client,
            state=self.state,
        )
        scope["subprotocols"] = list(subprotocols)
        scope["extensions"] = {"websocket.http.response": {}}
        websocket = AsyncWebSocket(
            self.app, scope, url=str(target), timeout=self._timeout, raise_app_exceptions=self._raise
        )
        self._spawner().start_soon(websocket.run)
        try:
            await websocket.connect()
            yield websocket
        except BaseException:
            websocket.close(1001)
            raise
        await websocket.finish()


def _require_known(options: Mapping[str, object], kind: type[ClientOptions | RequestOptions]) -> None:
    """A type checker tells of a wrong name; to whom has none it must not just do nothing."""
    for name in options:
        if name not in kind.__annotations__:
            near = get_close_matches(name, kind.__annotations__, 1)
            hint = f"; did you mean {near[0]!r}?" if near else f" (there are: {', '.join(kind.__annotations__)})"
            raise TypeError(f"the test client has no option {name!r}{hint}")


def _redirected(
    method: str, target: Target, headers: list[tuple[bytes, bytes]], body: Body | None, response: Response
) -> tuple[str, Target, list[tuple[bytes, bytes]], Body | None]:
    """The request that follows a redirect (RFC 9110 section 15.4)."""
    new_target = Target.resolve(urljoin(str(target), response.headers["location"]), None)
    if response.status == 303 or (response.status in (301, 302) and method == "POST"):
        method, body = "HEAD" if method == "HEAD" else "GET", None
        headers = [pair for pair in headers if pair[0] not in (b"content-type", b"content-length")]
    elif body is not None and not isinstance(body, bytes):
        raise RuntimeError(f"a streamed body cannot be sent again to {response.headers['location']!r}")
    if new_target.origin != target.origin:
        headers = [pair for pair in headers if pair[0] not in (b"authorization", b"cookie", b"host")]
    return method, new_target, headers, body
