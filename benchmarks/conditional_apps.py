"""The applications of ``conditional.py``: the same routes, judged, judged without tags by content, and not judged.

Rules of this module: ``judged`` is what every author has. ``bare`` is the same application without the one middleware
that is measured; no setting leaves it out, as nobody should.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from tricorn import App, Request, StreamingResponse
from tricorn.middleware.conditional import ConditionalMiddleware
from tricorn.middleware.errors import ErrorsMiddleware
from tricorn.types import ASGIApp

SIZES = {"13 bytes": 13, "1 KiB": 1024, "16 KiB": 16 * 1024, "256 KiB": 256 * 1024}
_BODIES = {size: b"x" * size for size in SIZES.values()}
_ROWS = [{"id": number, "name": f"row {number}", "price": number * 1.5} for number in range(50)]


class Bare(App):
    """An application whose responses nobody judges."""

    def _build(self) -> ASGIApp:
        stack = super()._build()
        assert isinstance(stack, ErrorsMiddleware)
        assert isinstance(stack._app, ConditionalMiddleware)
        stack._app = stack._app._app
        return stack


def fill(app: App) -> App:
    """Adds the routes."""

    @app.get("/plain/{size:int}")
    async def plain(size: int) -> bytes:
        return _BODIES[size]

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            for _ in range(4):
                yield _BODIES[1024]

        return StreamingResponse(parts())

    @app.get("/declared/{size:int}", etag="v1")
    async def declared(size: int) -> bytes:
        return _BODIES[size]

    @app.get("/early/{size:int}")
    async def early(request: Request, size: int) -> bytes:
        request.check_preconditions(etag="v1")
        return _BODIES[size]

    @app.get("/rows", etag="v1")
    async def rows() -> list[dict[str, object]]:
        return _ROWS

    return app


judged = fill(App())
untagged = fill(App(auto_etag=None))
bare = fill(Bare())
APPS = {"judged": judged, "untagged": untagged, "bare": bare}
