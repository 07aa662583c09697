"""The folder named by ``BENCHMARK_FILES`` as static files: by sendfile where there is one, and read in any case."""

from __future__ import annotations

import os

from tricorn import App, Middleware, Mount, StaticFiles
from tricorn.types import ASGIApp, Receive, Scope, Send

FOLDER = os.environ["BENCHMARK_FILES"]
OFFERS = ("http.response.zerocopysend", "http.response.pathsend")


class WithoutOffers:
    """Takes away what a server offers for files."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        for name in OFFERS:
            (scope.get("extensions") or {}).pop(name, None)
        await self._app(scope, receive, send)


offered = App([Mount("/", StaticFiles(FOLDER))])
read = App([Mount("/", StaticFiles(FOLDER))], middleware=[Middleware(WithoutOffers)])
