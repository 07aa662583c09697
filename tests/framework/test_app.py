"""The application: middleware, exceptions, lifespan, disconnects, and ``tricorn routes``."""

from __future__ import annotations

import argparse
import contextlib
import logging
import subprocess
import sys

import anyio
import pytest
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware

from tricorn import App, Host, HTTPException, Middleware, Mount, Route, Router, StreamingResponse
from tricorn.commands.routes import command, rows, table
from tricorn.middleware import CORSMiddleware
from tricorn.testing import AsyncClient, LifespanFailed, WebSocketDenied

pytestmark = pytest.mark.anyio


class DispatchMiddleware(BaseHTTPMiddleware):
    async def dispatch(self, request, call_next):
        return await call_next(request)


class Mark:
    """Adds its letter to x-mark, after whatever is further in."""

    def __init__(self, app, letter):
        self.app = app
        self.letter = letter

    async def __call__(self, scope, receive, send):
        async def mark(message):
            if message["type"] == "http.response.start":
                message["headers"].append((b"x-mark", self.letter.encode()))
            await send(message)

        await self.app(scope, receive, mark)


# ------------------------------------------------------------------------------------------------------ middleware


async def test_middleware_of_app_mount_and_route_in_order(client_of):
    route = Route("/", lambda: "x", middleware=[Middleware(Mark, "d"), Middleware(Mark, letter="e")])
    app = App(
        [Mount("/m", routes=[route], middleware=[Middleware(Mark, "c")])],
        middleware=[Middleware(Mark, "a"), Middleware(Mark, "b")],
    )
    app.add_middleware(Mark, "z")
    client = await client_of(app)
    assert (await client.get("/m/")).headers.getlist("x-mark") == ["e", "d", "c", "b", "a", "z"]
    assert (await client.get("/none")).headers.getlist("x-mark") == ["b", "a", "z"]  # expected errors are answers
    with pytest.raises(RuntimeError, match="has begun"):
        app.add_middleware(Mark, "y")
    assert repr(Middleware(Mark, "a", letter="b")) == "Middleware(Mark, 'a', letter='b')"


async def test_a_factory_alone_is_a_middleware_everywhere(client_of):
    seen = []

    class Layer:
        def __init__(self, app):
            self.app = app

        async def __call__(self, scope, receive, send):
            seen.append(scope["path"])
            await self.app(scope, receive, send)

    app = App(
        [Mount("/m", routes=[Route("/x", lambda: "x", middleware=[Layer])], middleware=[Layer])], middleware=[Layer]
    )
    await (await client_of(app)).get("/m/x")
    assert seen == ["/m/x"] * 3
    for make in (lambda: App(middleware=["x"]), lambda: Route("/", lambda: "x", middleware=["x"])):
        with pytest.raises(TypeError, match="'x' is neither a Middleware nor a factory"):
            make()


async def test_foreign_middleware_works(client_of):
    app = App([Route("/", lambda: "x" * 5000)], middleware=[Middleware(GZipMiddleware, minimum_size=10)])
    response = await (await client_of(app)).get("/", headers={"accept-encoding": "gzip"})
    assert response.headers["content-encoding"] == "gzip"
    assert len(response.body) < 200


@pytest.mark.parametrize("middleware", [GZipMiddleware, DispatchMiddleware])
@pytest.mark.parametrize("http_version", ["3", "2"])
async def test_hints_pass_middleware_that_does_not_know_them(client_of, middleware, http_version):
    async def page(request):
        await request.hint("/app.css", as_="style")
        return "page" * 1000

    app = App([Route("/", page, middleware=[Middleware(middleware)])], middleware=[middleware])
    headers = {"accept-encoding": "gzip", "accept": "text/html"}
    response = await (await client_of(app, http_version=http_version)).get("/", headers=headers)
    assert response.status == 200
    assert len(response.pushes) + len(response.early_hints) == 1


# ------------------------------------------------------------------------------------------------------ exceptions


class Teapot(HTTPException):
    def __init__(self):
        super().__init__(418)


async def test_exception_handlers(client_of):
    app = App(exception_handlers={404: lambda request, error: (f"no {request.path}", 404)})

    @app.exception_handler(LookupError, 409)
    async def lookup(request, error):
        return {"error": str(error)}, 400

    @app.exception_handler(Teapot)
    def teapot(request, error):
        return "tea", error.status

    @app.get("/{kind}")
    async def fail(kind):
        raise {
            "key": KeyError("k"),
            "conflict": HTTPException(409, "c"),
            "tea": Teapot(),
            "auth": HTTPException(401, "who?", headers={"www-authenticate": "Basic"}),
            "value": ValueError("secret"),
        }[kind]

    client = await client_of(app, raise_app_exceptions=False)
    missing = await client.get("/a/b")
    assert (missing.status, missing.text) == (404, "no /a/b")
    assert (await client.get("/key")).json() == {"error": "'k'"}
    assert (await client.get("/conflict")).json() == {"error": "409 Conflict: c"}
    assert (await client.get("/tea")).text == "tea"
    auth = await client.get("/auth", headers={"accept": "application/json"})
    assert (auth.status, auth.headers["www-authenticate"]) == (401, "Basic")
    assert auth.json() == {"type": "about:blank", "title": "Unauthorized", "status": 401, "detail": "who?"}
    failed = await client.get("/value")
    assert failed.status == 500
    assert "secret" not in failed.text
    with pytest.raises(TypeError):
        app.exception_handler("404")
    with pytest.raises(ValueError, match="not an error"):
        HTTPException(200)


@pytest.mark.parametrize("prefix", ["", "/mount"])
async def test_exception_handlers_get_the_request_that_failed(client_of, prefix):
    """What was read of it is there; to ask the server again would be to wait for the client's going away."""

    class Copying:
        def __init__(self, app):
            self.app = app

        async def __call__(self, scope, receive, send):
            await self.app({**scope}, receive, send)

    router = Router()

    @router.post("/{kind}", middleware=[Middleware(Copying)])
    async def fail(request, kind):
        await request.json()
        raise {"expected": KeyError("k"), "group": ExceptionGroup("", [KeyError("g")]), "other": ValueError("v")}[kind]

    async def answer(request, error):
        return {"kind": request.path_params["kind"], "body": await request.json(), "error": type(error).__name__}

    app = App([Mount(prefix, router)], exception_handlers={KeyError: answer, 500: answer}, middleware=[Copying])
    client = await client_of(app, raise_app_exceptions=False)
    for kind, error in (("expected", "KeyError"), ("group", "KeyError"), ("other", "ValueError")):
        response = await client.post(f"{prefix}/{kind}", json=[1])
        assert response.json() == {"kind": kind, "body": [1], "error": error}


async def test_handlers_may_be_registered_later_and_middleware_sees_what_they_answer(client_of):
    """Both layers that answer exceptions read one table, and know a group of one."""
    app = App(middleware=[Middleware(CORSMiddleware, allow_origins=["*"])])

    @app.get("/{status:int}")
    async def fail(status: int):
        raise ExceptionGroup("", [HTTPException(status)])

    @app.websocket("/{status:int}")
    async def refuse(websocket, status: int):
        raise HTTPException(status)

    client = await client_of(app)
    headers = {"origin": "https://example.com"}
    missing = await client.get("/404", headers=headers)
    assert (missing.status, missing.headers["access-control-allow-origin"]) == (404, "*")
    app.exception_handler(409)(lambda request, error: ("late", 409))
    assert (await client.get("/409")).text == "late"
    with pytest.raises(WebSocketDenied) as denied:
        async with client.websocket("/409"):
            pass
    assert denied.value.response.text == "late"


async def test_what_nobody_expected_goes_through_middleware_to_the_server(client_of):
    seen = []

    class Watch:
        def __init__(self, app):
            self.app = app

        async def __call__(self, scope, receive, send):
            try:
                await self.app(scope, receive, send)
            except ValueError as error:
                seen.append(error)
                raise

    def fail():
        raise ValueError("x")

    with pytest.raises(ValueError, match="x"):
        await (await client_of(App([Route("/", fail)], middleware=[Watch]))).get("/")
    assert len(seen) == 1


async def test_once_the_response_has_begun_an_http_exception_is_raised(client_of):
    async def parts():
        yield "a"
        raise HTTPException(404)

    with pytest.raises(HTTPException):
        await (await client_of(App([Route("/", lambda: StreamingResponse(parts()))]))).get("/")


# -------------------------------------------------------------------------------------------------------- lifespan


async def test_lifespans_nest_and_their_state_is_the_requests(client_of):
    log = []

    def lifespan(name):
        async def run(app):
            log.append(f"{name} up")
            yield {name: app.__class__.__name__}
            log.append(f"{name} down")

        return run

    @contextlib.asynccontextmanager
    async def foreign(app):
        log.append("foreign up")
        yield {"foreign": True}
        log.append("foreign down")

    inner = App(lifespan=lifespan("inner"))
    app = App(
        [
            Mount("/r", Router([Mount("/i", inner), Mount("/again", inner)], lifespan=lifespan("router"))),
            Host("x.org", Starlette(lifespan=foreign)),
            Mount("/wsgi", wsgi=lambda environ, start_response: []),
        ],
        lifespan=lifespan("outer"),
    )
    inner.get("/state")(lambda request: {name: getattr(request.state, name) for name in ("outer", "inner", "router")})
    async with AsyncClient(app) as client:
        assert (await client.get("/r/i/state")).json() == {"outer": "App", "inner": "App", "router": "App"}
        assert client.state["foreign"] is True
    assert log == [
        "outer up",
        "router up",
        "inner up",
        "foreign up",
        "foreign down",
        "inner down",
        "router down",
        "outer down",
    ]


@pytest.mark.parametrize("where", ["outer", "inner"])
async def test_a_failed_startup_is_told_and_logged(caplog, where):
    log = []

    async def fails(app):
        raise ConnectionError("no database")
        yield

    async def works(app):
        log.append("up")
        try:
            yield
        finally:
            log.append("down")

    if where == "outer":
        app = App(lifespan=fails)
    else:
        app = App([Mount("/x", App(lifespan=fails))], lifespan=works)
    with caplog.at_level(logging.ERROR), pytest.raises(LifespanFailed, match="no database"):
        async with AsyncClient(app):
            pass
    assert caplog.text.count("Traceback") == 1
    assert log == (["up", "down"] if where == "inner" else [])


async def test_state_needs_a_server_that_has_it():
    async def lifespan(app):
        yield {"a": 1}

    sent = []
    messages = iter([{"type": "lifespan.startup"}])

    async def receive():
        return next(messages)

    async def send(message):
        sent.append(message)

    await App(lifespan=lifespan)({"type": "lifespan", "asgi": {"version": "3.0"}}, receive, send)
    assert sent == [
        {
            "type": "lifespan.startup.failed",
            "message": "RuntimeError: lifespan: this server does not support lifespan state",
        }
    ]


# ----------------------------------------------------------------------------------------------------- disconnects


def waiting_app(methods, events, *, generator=False, **options):
    app = App()

    async def wait(request):
        if "read" in options.get("name", ""):
            await request.body()
        events["started"].set()
        try:
            await events["go"].wait()
        except BaseException:
            events["log"].append("cancelled")
            raise
        events["log"].append("finished")
        return "x"

    async def parts(request):
        yield await wait(request)

    app.route("/", methods=methods, **options)(parts if generator else wait)
    return app


@pytest.mark.parametrize("server_kind", ["ours", "foreign"])
@pytest.mark.parametrize(
    ("method", "options", "outcome"),
    [
        ("GET", {}, "cancelled"),
        ("GET", {"cancel_on_disconnect": False}, "finished"),
        ("POST", {"name": "read"}, "finished"),
        ("POST", {"name": "read", "cancel_on_disconnect": True}, "cancelled"),
    ],
)
@pytest.mark.parametrize("generator", [False, True])
async def test_handlers_are_cancelled_when_the_client_leaves(foreign, server_kind, method, options, outcome, generator):
    events = {"started": anyio.Event(), "go": anyio.Event(), "log": []}
    callbacks = []
    extensions = {"tricorn.disconnect": {"register": callbacks.append}} if server_kind == "ours" else None
    app = waiting_app([method], events, generator=generator, **options)
    server = foreign(app, method, parts=[b"a", b"b"] if method == "POST" else [b""], extensions=extensions)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.run)
            await events["started"].wait()
            server.gone.set()
            for callback in callbacks:
                callback()
            if outcome == "finished":
                events["go"].set()
    assert events["log"] == [outcome]
    assert server.sent == []


async def test_on_our_server_no_request_costs_a_task(foreign):
    counts = []

    async def handler():
        await anyio.lowlevel.checkpoint()
        counts.append(len(anyio.get_running_tasks()))
        return "x"

    app = App([Route("/", handler)])
    before = len(anyio.get_running_tasks())
    await foreign(app, extensions={"tricorn.disconnect": {"register": lambda callback: None}}).run()
    assert counts == [before]


async def test_a_foreign_server_is_listened_to_only_when_the_body_is_read(foreign):
    asked = []
    app = App()

    @app.post("/", cancel_on_disconnect=True)
    async def handler(request):
        for _ in range(5):
            await anyio.lowlevel.checkpoint()
        asked.append(server.asked)
        return await request.body()

    server = foreign(app, "POST", parts=[b"a", b"b"])
    await server.run()
    assert (asked, server.body) == ([0], b"ab")


async def test_a_get_that_has_a_body_after_all_loses_none_of_it(foreign):
    app = App()

    @app.get("/")
    async def handler(request):
        for _ in range(20):
            await anyio.lowlevel.checkpoint()
        asked = server.asked
        return await request.body() + b"%d" % asked

    server = foreign(app, parts=[b"a", b"b", b"c", b"d"], http_version="2")
    await server.run()
    assert server.body in (b"abcd2", b"abcd3")  # not more than two parts were read ahead


@pytest.mark.parametrize("offered", [True, False])
async def test_is_disconnected(foreign, offered):
    seen, callbacks = [], []
    app = App()

    @app.post("/")
    async def handler(request):
        await request.body()
        seen.append(await request.is_disconnected())
        server.gone.set()
        for callback in callbacks:
            callback()
        seen.append(await request.is_disconnected())

    extensions = {"tricorn.disconnect": {"register": callbacks.append}} if offered else None
    server = foreign(app, "POST", parts=[b"x"], extensions=extensions)
    await server.run()
    assert seen == [False, True]


async def test_is_disconnected_of_a_get_whose_empty_body_nobody_reads(foreign):
    seen = []
    app = App()

    @app.get("/", cancel_on_disconnect=False)
    async def handler(request):
        seen.append(await request.is_disconnected())
        seen.append(await request.is_disconnected())
        server.gone.set()
        seen.append(await request.is_disconnected())

    server = foreign(app)
    await server.run()
    assert seen == [False, False, True]


async def test_a_cancelled_exception_group_free_error_on_a_foreign_server(foreign):
    async def handler():
        await anyio.lowlevel.checkpoint()
        raise LookupError("plain")

    with pytest.raises(LookupError, match="plain"):
        await foreign(App([Route("/", handler)])).run()


# ---------------------------------------------------------------------------------------------------- and the rest


def test_routes_command(capsys, monkeypatch, tmp_path):
    (tmp_path / "routed_site.py").write_text(
        "from tricorn import *\n"
        "def home(): ...\n"
        "async def echo(websocket): ...\n"
        "app = App([Route('/', home), WebSocketRoute('/ws', echo),\n"
        "  Mount('/m/{t}', routes=[Route('/x', home, methods=['POST'], name='x')], name='m'),\n"
        "  Host('h.org', routes=[Route('/', home, name='h')]), Mount('/other', lambda s, r, t: None)])\n"
    )
    monkeypatch.chdir(tmp_path)
    parser = argparse.ArgumentParser()
    command.configure(parser)
    assert command.run(parser.parse_args(["routed_site:app"])) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines] == [
        ["METHODS", "PATH", "NAME", "HANDLER"],
        ["GET,HEAD", "/", "home", "routed_site.home"],
        ["WEBSOCKET", "/ws", "echo", "routed_site.echo"],
        ["POST", "/m/{t}/x", "m:x", "routed_site.home"],
        ["GET,HEAD", "//h.org/", "h", "routed_site.home"],
        ["*", "/other/*", "routed_site.<lambda>"],
    ]
    assert len({line.index(word) for line, word in zip(lines, ["PATH", "/ "] + ["/"] * 4, strict=True)}) == 1


def test_run_reports_a_wrong_setting_before_it_binds():
    with pytest.raises(ValueError, match="bind"):
        App().run(bind=["nonsense"])
    with pytest.raises(ValueError, match="workers"):
        App().run(bind="127.0.0.1:0", workers=0)


def test_wsgi_is_one_adapter():
    app = App()
    assert app.wsgi is app.wsgi


def test_importing_the_package_imports_nothing_else():
    code = "import sys, tricorn; print([m for m in sys.modules if m.split('.')[0] in ('anyio', 'tricorn_transports')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_public_names():
    import tricorn

    for name in tricorn.__all__:
        assert getattr(tricorn, name) is not None
    assert set(tricorn.__all__) <= set(dir(tricorn))
    with pytest.raises(AttributeError, match="nothing"):
        tricorn.nothing


def test_table_is_wide_enough():
    lines = table(rows([Route("/a-long-path", lambda: "")])).splitlines()
    assert lines[0].index("NAME") == lines[1].index("<lambda>")
