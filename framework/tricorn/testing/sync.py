"""The test client for tests without an event loop: ``with Client(app) as client``.

Rules of this module: nothing is done twice. The application and an ``AsyncClient`` run in an event loop in another
thread, and every call here is one call there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from types import TracebackType
from typing import Any, Literal, Self, Unpack

from anyio.from_thread import BlockingPortal, start_blocking_portal

from tricorn.testing.client import AsyncClient, ClientOptions, RequestOptions
from tricorn.testing.cookies import Cookies
from tricorn.testing.response import Response, StreamedResponse
from tricorn.testing.scope import HeaderInput, Params
from tricorn.testing.websocket import WebSocket
from tricorn.types import ASGIApp


class Client:
    """Calls an ASGI application in an event loop in another thread.

    Args:
        app: Any ASGI 3 application.
        backend: ``"asyncio"`` or ``"trio"``.
        options: See ``ClientOptions``.

    Attributes:
        cookies: What is sent, and was set by responses.

    Raises:
        LifespanFailed: On entering, when the application's startup failed; on leaving, when its shutdown did.
    """

    def __init__(
        self, app: ASGIApp, *, backend: Literal["asyncio", "trio"] = "asyncio", **options: Unpack[ClientOptions]
    ) -> None:
        self._inner = AsyncClient(app, **options)
        self._backend = backend
        self._stack = ExitStack()
        self._running: BlockingPortal | None = None

    @property
    def cookies(self) -> Cookies:
        return self._inner.cookies

    @property
    def state(self) -> dict[str, Any]:
        """The lifespan's state, once entered."""
        return self._inner.state

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            portal = stack.enter_context(start_blocking_portal(self._backend))
            stack.enter_context(portal.wrap_async_context_manager(self._inner))
            self._stack = stack.pop_all()
        self._running = portal
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._running = None
        self._stack.__exit__(kind, error, traceback)

    @property
    def _portal(self) -> BlockingPortal:
        if self._running is None:
            raise RuntimeError("the client is not open: use it in a with block")
        return self._running

    def request(self, method: str, url: str, **options: Unpack[RequestOptions]) -> Response:
        """See ``AsyncClient.request``."""
        return self._portal.call(partial(self._inner.request, method, url, **options))

    @contextmanager
    def stream(self, method: str, url: str, **options: Unpack[RequestOptions]) -> Iterator[StreamedResponse]:
        """See ``AsyncClient.stream``."""
        portal = self._portal
        with portal.wrap_async_context_manager(self._inner.stream(method, url, **options)) as response:
            yield StreamedResponse(response, portal)

    def get(self, url: str, **options: Unpack[RequestOptions]) -> Response:
        """``request("GET", ...)``."""
        return self.request("GET", url, **options)

    def head(self, url: str, **options: Unpack[RequestOptions]) -> Response:
        """``request("HEAD", ...)``."""
        return self.request("HEAD", url, **options)

    def options(self, url: str, **options: Unpack[RequestOptions]) -> Response:
        """``request("OPTIONS", ...)``."""
        return self.request("OPTIONS", url, **options)

    def post(self, url: str, **options: Unpack[RequestOptions]) -> Response:
        """``request("POST", ...)``."""
        return self.request("POST", url, **options)

    def put(self, url: str, **options: Unpack[RequestOptions]) -> Response:
        """``request("PUT", ...)``."""
        return self.request("PUT", url, **options)

    def patch(self, url: str, **options: Unpack[RequestOptions]) -> Response:
        """``request("PATCH", ...)``."""
        return self.request("PATCH", url, **options)

    def delete(self, url: str, **options: Unpack[RequestOptions]) -> Response:
        """``request("DELETE", ...)``."""
        return self.request("DELETE", url, **options)

    @contextmanager
    def websocket(
        self,
        url: str,
        *,
        subprotocols: Sequence[str] = (),
        headers: HeaderInput | None = None,
        params: Params | None = None,
    ) -> Iterator[WebSocket]:
        """See ``AsyncClient.websocket``."""
        portal = self._portal
        opened = self._inner.websocket(url, subprotocols=subprotocols, headers=headers, params=params)
        with portal.wrap_async_context_manager(opened) as websocket:
            yield WebSocket(websocket, portal)
