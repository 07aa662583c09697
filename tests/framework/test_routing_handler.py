"""Handlers: what they may look like, and what is refused when they are registered."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Annotated, Any, NewType
from uuid import UUID

import pytest

from tricorn import App, Mount, Request, Route, Router, WebSocketRoute
from tricorn.routing.handler import HandlerPlan, Kind
from tricorn.testing import Client

if TYPE_CHECKING:
    from tricorn.request import Request as LaterRequest


def plan_of(handler):
    return HandlerPlan(handler, Request, ("request",))


def test_kinds():
    async def coroutine(): ...
    def plain(): ...
    def generator():
        yield

    async def async_generator():
        yield

    class Called:
        async def __call__(self): ...

    assert [plan_of(h).kind for h in (coroutine, functools.partial(coroutine), Called())] == [Kind.COROUTINE] * 3
    assert plan_of(plain).kind is Kind.THREAD
    assert [plan_of(h).kind for h in (generator, async_generator)] == [Kind.GENERATOR] * 2


def test_only_handlers_that_await_can_be_waiting():
    async def never():
        return "x"

    async def awaits():
        await never()

    async def loops(items):
        async for _ in items:
            ...

    async def enters(block):
        async with block:
            ...

    assert [plan_of(h).may_suspend for h in (never, awaits, loops, enters)] == [False, True, True, True]


@pytest.mark.parametrize(
    ("handler", "expected"),
    [
        (lambda: (), ()),
        (lambda request: request, "REQ"),
        (lambda *, request: request, "REQ"),
        (lambda a, request: (a, request), (1, "REQ")),
        (lambda a, b: (a, b), (1, 2)),
        (lambda request, /, a: (request, a), ("REQ", 1)),
        (lambda a, c=3: (a, c), (1, 3)),
        (lambda b=5: b, 2),
        (lambda **all: all, {"a": 1, "b": 2}),
        (lambda request, **all: (request, all), ("REQ", {"a": 1, "b": 2})),
    ],
)
def test_arguments(handler, expected):
    assert plan_of(handler).call("REQ", {"a": 1, "b": 2}) == expected


def test_the_request_is_found_by_annotation():
    def here(r: Request): ...
    def later(r: LaterRequest): ...
    def named(r: "Request"): ...  # noqa: UP037  a string in a string

    assert all(plan_of(handler).wants_subject for handler in (here, named))
    with pytest.raises(TypeError, match=r"later\(\): parameter 'r' is not in the path '/x'"):
        App().get("/x")(later)


def test_impossible_signatures_are_refused_when_registered():
    def handler(what): ...
    def two(request, other: Request): ...

    with pytest.raises(TypeError, match=r"handler handler\(\): parameter 'what' is not in the path '/x/\{id\}'"):
        App().get("/x/{id}")(handler)
    with pytest.raises(TypeError, match="both the Request"):
        App().get("/x")(two)
    with pytest.raises(TypeError, match="not a function"):
        Route("/x", "nothing")
    with pytest.raises(TypeError, match="not a function"):
        Route("/x", dict)
    with pytest.raises(TypeError, match="must be async def"):
        WebSocketRoute("/x", handler)
    with pytest.raises(TypeError, match="not the string"):
        Route("/x", lambda: "", methods="GET")
    with pytest.raises(ValueError, match="tokens"):
        Route("/x", lambda: "", methods=["G T"])
    with pytest.raises(ValueError, match="uuid here and int"):

        def number(id: int): ...

        App().get("/{id:uuid}")(number)


def test_parameters_may_come_from_mounts_around():
    def handler(tenant, id: UUID): ...

    app = App([Mount("/{tenant}", routes=[Route("/{id}", handler)])])
    assert app.url_for("handler", tenant="t", id=UUID(int=1)) == f"/t/{UUID(int=1)}"
    with pytest.raises(TypeError, match="'tenant'"):
        App([Mount("/x", routes=[Route("/{id}", handler)])])
    router = Router()
    mounted = App([Mount("/{tenant}", router)])
    router.get("/{id}")(handler)
    with pytest.raises(TypeError, match="'other'"):
        router.get("/y")(lambda other: "")
    assert len(router.routes) == 1
    assert mounted.url_for("handler", tenant="t", id=UUID(int=2))


def test_a_route_that_could_never_be_reached_is_refused():
    app = App()
    app.get("/x")(lambda: "")
    with pytest.raises(ValueError, match="/x: GET is"):
        app.route("/x", methods=["POST", "GET"])(lambda: "")
    app.post("/x")(lambda: "")
    app.head("/x")(lambda: "")
    with pytest.raises(ValueError, match="HEAD is"):
        app.head("/x")(lambda: "")


UserId = NewType("UserId", int)


@pytest.mark.parametrize("annotation", [int, Annotated[int, "of the item"], int | None, UserId, "UserId"])
def test_annotations_that_mean_a_type_convert(annotation):
    def show(x):
        return {"x": x}

    show.__annotations__["x"] = annotation
    with Client(App([Route("/{x}", show)])) as client:
        assert client.get("/7").json() == {"x": 7}
        assert client.get("/seven").status == 404


def test_any_means_text():
    def show(x: Any):
        return {"x": x}

    with Client(App([Route("/{x}", show)])) as client:
        assert client.get("/7").json() == {"x": "7"}


def test_a_decorator_without_its_path_is_told_of():
    async def home(): ...

    for decorator in (App().get, Router().post, App().route, App().websocket):
        with pytest.raises(TypeError, match="home is not a path"):
            decorator(home)
