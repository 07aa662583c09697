"""Middleware around whole applications: ours in their places, and others, which know nothing of us."""

from __future__ import annotations

import gzip
import threading

import anyio
import pytest
import starlette.middleware.base
import starlette.middleware.cors
import starlette.middleware.gzip
import starlette.middleware.sessions
from opentelemetry import trace
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tricorn import App, HTTPException, Middleware
from tricorn.middleware import CORSMiddleware, SessionMiddleware
from tricorn.templates import Templates
from tricorn.testing import Client
from tricorn.wsgi import WSGIAdapter

ORIGIN = {"origin": "https://app.example"}


@pytest.fixture(params=["asyncio", "trio"])
def backend(request):
    return request.param


def make(**options):
    app = App(**options)

    @app.get("/")
    async def index():
        return "x" * 2000

    @app.get("/stream")
    async def stream():
        async def parts():
            for number in range(3):
                yield f"{number};"
                await anyio.sleep(0)

        return parts()

    @app.get("/refused")
    async def refused():
        raise HTTPException(403, "not yours")

    @app.get("/count")
    def count(request):
        request.session["count"] = request.session.get("count", 0) + 1
        return {"count": request.session["count"]}

    @app.get("/fails")
    async def fails():
        raise KeyError("mine")

    return app


def test_starlettes_gzip_around_and_inside(backend):
    gzipped = Middleware(starlette.middleware.gzip.GZipMiddleware, minimum_size=100)
    outside = starlette.middleware.gzip.GZipMiddleware(make(), minimum_size=100)
    for app in (make(middleware=[gzipped]), outside):
        with Client(app, backend=backend, headers={"accept-encoding": "gzip"}) as client:
            response = client.get("/")
            assert response.headers["content-encoding"] == "gzip"
            assert gzip.decompress(response.body) == b"x" * 2000
            assert gzip.decompress(client.get("/stream").body) == b"0;1;2;"


def test_starlettes_cors(backend):
    cors = Middleware(starlette.middleware.cors.CORSMiddleware, allow_origins=["https://app.example"])
    with Client(make(middleware=[cors]), backend=backend) as client:
        assert client.get("/", headers=ORIGIN).headers["access-control-allow-origin"] == "https://app.example"
        preflight = client.options("/", headers={**ORIGIN, "access-control-request-method": "GET"})
        assert preflight.status == 200


def test_starlettes_base_class_and_sessions():
    class Stamp(starlette.middleware.base.BaseHTTPMiddleware):
        async def dispatch(self, request, call_next):
            response = await call_next(request)
            response.headers["x-stamp"] = request.url.path
            return response

    sessions = Middleware(starlette.middleware.sessions.SessionMiddleware, secret_key="s")
    with Client(make(middleware=[Middleware(Stamp), sessions])) as client:
        assert client.get("/count").json() == {"count": 1}
        response = client.get("/count")
        assert (response.json(), response.headers["x-stamp"]) == ({"count": 2}, "/count")
        with pytest.raises(KeyError):
            client.get("/fails")


@pytest.mark.parametrize("place", ["inside", "outside"])
def test_opentelemetry(backend, place, caplog):
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    traced = Middleware(OpenTelemetryMiddleware, tracer_provider=provider)
    app = make(middleware=[traced] if place == "inside" else ())
    current = []

    @app.get("/thread")
    def in_a_thread():
        current.append(trace.get_current_span().get_span_context())

    @app.get("/parts")
    def parts():
        for _ in range(2):
            current.append(trace.get_current_span().get_span_context())
            yield "x"

    @app.websocket("/socket")
    async def socket(websocket):
        await websocket.accept()
        current.append(trace.get_current_span().get_span_context())
        await websocket.send_text(await websocket.receive_text())

    parent = {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01"}
    served = app if place == "inside" else traced.wrap(app)
    with Client(served, backend=backend, headers=parent, raise_app_exceptions=False) as client:
        for path, status in {"/": 200, "/stream": 200, "/refused": 403, "/fails": 500, "/thread": 204}.items():
            assert client.get(path).status == status
        assert client.get("/parts").text == "xx"
        with client.websocket("/socket") as websocket:
            websocket.send("ahoy")
            assert websocket.receive_text() == "ahoy"
    servers = [span for span in exporter.get_finished_spans() if span.kind is trace.SpanKind.SERVER]
    failed = 500 if place == "outside" else None  # what nobody expected is answered outside of all middleware
    assert [span.attributes.get("http.status_code") for span in servers[:6]] == [200, 200, 403, failed, 204, 200]
    assert [span.status.is_ok for span in servers] == [True, True, True, False, True, True, True]
    assert len(servers) == 7
    assert {span.context.trace_id for span in servers} == {int("a" * 32, 16)}
    ids = [span.context.span_id for span in servers]
    assert [context.span_id for context in current] == [ids[4], ids[5], ids[5], ids[6]]
    assert not [record for record in caplog.records if record.name.startswith("opentelemetry")]


def test_our_own_in_their_places(backend):
    middleware = [
        Middleware(CORSMiddleware, allow_origins=["https://app.example"], allow_credentials=True),
        Middleware(SessionMiddleware, secret="s"),
    ]
    with Client(make(middleware=middleware), backend=backend, headers=ORIGIN) as client:
        assert client.get("/count").json() == {"count": 1}
        assert client.get("/count").json() == {"count": 2}
        refused = client.get("/refused", headers={"accept": "application/json"})
        assert (refused.status, refused.json()["detail"]) == (403, "not yours")
        assert refused.headers["access-control-allow-origin"] == "https://app.example"
        assert client.get("/nowhere").status == 404


def test_failures_are_answered_and_seen():
    with Client(make(), raise_app_exceptions=False) as client:
        assert client.get("/fails").text == "500 Internal Server Error\n"
    with Client(make(debug=True), raise_app_exceptions=False) as client:
        assert "KeyError" in client.get("/fails", headers={"accept": "text/html"}).text
    with Client(make()) as client, pytest.raises(KeyError):
        client.get("/fails")


def test_templates_know_the_routes(tmp_path):
    (tmp_path / "page.html").write_text('<a href="{{ url_for("item", id=7) }}">{{ text }}</a>')
    templates = Templates(tmp_path)
    app = App()

    @app.get("/items/{id:int}", name="item")
    async def item(request, id: int):
        return templates.response(request, "page.html", {"text": f"<{id}>"})

    with Client(app, base_url="https://example.com") as client:
        assert client.get("/items/1").text == '<a href="https://example.com/items/7">&lt;1&gt;</a>'


def test_handler_is_cancelled_when_the_client_goes(backend):
    cancelled = threading.Event()
    app = App()

    @app.get("/")
    async def waits():
        try:
            await anyio.sleep(60)
        except anyio.get_cancelled_exc_class():
            cancelled.set()
            raise

    with Client(app, backend=backend) as client, pytest.raises(TimeoutError):
        client.get("/", timeout=0.05)
    assert cancelled.is_set()


def test_the_apps_wsgi_callable():
    app = make()
    assert isinstance(app.wsgi, WSGIAdapter)
    assert app.wsgi is app.wsgi
    answers = []
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/stream",
        "SERVER_NAME": "testserver",
        "SERVER_PORT": "80",
        "wsgi.url_scheme": "http",
        "wsgi.input": None,
    }
    try:
        body = app.wsgi(environ, lambda status, headers: answers.append(status))
        assert b"".join(body) == b"0;1;2;"
        assert answers == ["200 OK"]
    finally:
        app.wsgi.close()
