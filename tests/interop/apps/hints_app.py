"""Pages that hint at their style sheet in each of the ways, and one that waits until it has been asked for."""

from __future__ import annotations

import anyio

from tricorn import App, Request
from tricorn.response import HTMLResponse, Response

app = App()
asked: dict[str, anyio.Event] = {}
cancelled: list[str] = []


def html(href: str, text: str = "page") -> HTMLResponse:
    return HTMLResponse(f'<!doctype html><link rel="stylesheet" href="{href}"><body><p id="text">{text}</p>')


@app.get("/")
async def hinted(request: Request) -> HTMLResponse:
    await request.hint("/app.css")
    return html("/app.css")


@app.get("/declared", hints="/app.css")
def declared() -> HTMLResponse:
    return html("/app.css")


@app.get("/linked")
def linked() -> HTMLResponse:
    response = html("/app.css")
    response.headers.add("link", "</app.css>; rel=preload; as=style, </other.css>; rel=preload; as=style; nopush")
    return response


@app.get("/app.css")
async def style() -> Response:
    return Response("p { color: rgb(1, 2, 3) }", media_type="text/css", headers={"cache-control": "max-age=60"})


@app.get("/early/{token}/")
async def early(request: Request, token: str) -> HTMLResponse:
    """Answers when the style sheet has been asked for, which only a hint can bring about."""
    event = asked[token] = anyio.Event()
    await request.hint(f"/early/{token}/style.css")
    with anyio.move_on_after(5) as patience:
        await event.wait()
    return html(f"/early/{token}/style.css", "too late" if patience.cancelled_caught else "asked for early")


@app.get("/early/{token}/style.css")
async def early_style(token: str) -> Response:
    if token in asked:
        asked[token].set()
    return await style()


@app.get("/endless")
async def endless(request: Request) -> str:
    await request.hint("/endless.css")
    return "page"


@app.get("/endless.css")
async def endless_style() -> str:
    try:
        await anyio.sleep_forever()
    finally:
        cancelled.append("endless.css")


@app.get("/cancelled")
async def show_cancelled() -> list[str]:
    with anyio.move_on_after(5):
        while not cancelled:
            await anyio.sleep(0.01)
    return cancelled
