"""Asking a real application: which requests are sent, and what is read of their responses."""

from __future__ import annotations

import anyio
import pytest

from tricorn import App, Request, StreamingResponse
from tricorn.explain import Asked, explain, observe
from tricorn.headers import Headers
from tricorn.lifespan import LifespanFailed
from tricorn.response import Response

pytestmark = pytest.mark.anyio


def asked(method: str = "GET", target: str = "/", **fields: str) -> Asked:
    headers = [(name.replace("_", "-").encode(), value.encode()) for name, value in fields.items()]
    return Asked(method, target, Headers(headers))


@pytest.fixture
def requests() -> list[tuple[str, dict[str, str]]]:
    """What the application below was asked."""
    return []


@pytest.fixture
def app(requests: list[tuple[str, dict[str, str]]]) -> App:
    app = App()

    @app.route("/", methods=["GET", "POST"])
    def root(request: Request) -> Response:
        requests.append((request.method, dict(request.headers.items())))
        return Response(b"hello", headers={"set-cookie": "seen=yes", "cache-control": "no-cache"})

    @app.get("/endless")
    def endless() -> StreamingResponse:
        async def parts():
            while True:
                yield b"tick"
                await anyio.sleep(0.01)

        return StreamingResponse(parts())

    return app


async def test_a_get_is_repeated_revalidated_and_cut(app: App, requests: list[tuple[str, dict[str, str]]]) -> None:
    seen = await observe(app, asked(accept_language="de"))
    tag = seen.answer.headers["etag"]
    assert [method for method, _ in requests] == ["GET"] * 4
    assert [headers.get("if-none-match") for _, headers in requests] == [None, None, tag, None]
    assert [headers.get("range") for _, headers in requests] == [None, None, None, "bytes=0-0"]
    assert all(headers["accept-language"] == "de" for _, headers in requests)
    assert all("cookie" not in headers for _, headers in requests)
    assert seen.again is not None
    assert seen.again.body == seen.answer.body == b"hello"
    assert (seen.revalidated and seen.revalidated.status, seen.ranged and seen.ranged.status) == (304, 206)
    facts = explain(seen)
    assert facts.validators.origin == "content"
    assert facts.revalidation is not None
    assert (facts.revalidation.saved, facts.revalidation.missing) == (5, ())
    assert [found.code for found in facts.warnings] == ["set-cookie-shared"]


async def test_what_may_change_something_is_sent_once(app: App, requests: list[tuple[str, dict[str, str]]]) -> None:
    seen = await observe(app, asked("POST"))
    assert [method for method, _ in requests] == ["POST"]
    assert seen.again is seen.revalidated is seen.ranged is None


async def test_a_head_is_not_cut(app: App, requests: list[tuple[str, dict[str, str]]]) -> None:
    seen = await observe(app, asked("HEAD"))
    assert seen.ranged is None
    assert seen.revalidated is not None
    assert explain(seen).size == 5


async def test_a_request_with_conditions_of_its_own_is_not_revalidated(app: App) -> None:
    seen = await observe(app, asked(range="bytes=1-2"))
    assert (seen.answer.status, seen.answer.body) == (206, b"el")
    assert seen.revalidated is seen.ranged is None


async def test_a_stream_without_end_is_left(app: App) -> None:
    seen = await observe(app, asked(target="/endless"))
    assert seen.answer.status == 200
    assert not seen.answer.complete
    assert explain(seen).size is None


async def test_lifespan_runs_around_it() -> None:
    events: list[str] = []

    async def lifespan(app: App):
        events.append("up")
        yield {"word": "hi"}
        events.append("down")

    app = App(lifespan=lifespan)
    app.get("/")(lambda request: request.state.word)
    assert (await observe(app, asked())).answer.body == b"hi"
    assert events == ["up", "down"]


async def test_a_failure_comes_out_as_it_is() -> None:
    async def lifespan(app: App):
        raise OSError("no database")
        yield

    with pytest.raises(LifespanFailed, match="no database"):
        await observe(App(lifespan=lifespan), asked())

    app = App()

    @app.get("/")
    def fail() -> str:
        raise LookupError("nothing there")

    with pytest.raises(LookupError, match="nothing there"):
        await observe(app, asked())
