"""``tricorn explain``: what it prints of real applications, and one line with a status for each mistake."""

from __future__ import annotations

import json
import os
import pty
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from tricorn.explain.findings import CODES

SITE = """
    from tricorn import App, Request
    from tricorn.response import Response

    started = False

    async def lifespan(app):
        global started
        started = True
        yield

    app = App(lifespan=lifespan)

    @app.get("/", cache="public, max-age=600, stale-while-revalidate=60", vary="Accept-Language")
    def home(request: Request):
        return f"{started} {request.headers.get('accept-language')}"

    @app.post("/")
    def change():
        return "changed"

    @app.get("/guess")
    def guess():
        return "hello"

    @app.get("/fail")
    def fail():
        raise ValueError("no\\nluck")
"""

STARLETTE = """
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    async def home(request):
        return PlainTextResponse("hello", headers={"etag": '"v1"', "cache-control": "no-cache"})

    async def fail(request):
        return PlainTextResponse(1 // 0)

    app = Starlette(routes=[Route("/", home), Route("/fail", fail)])
"""

FLASK = """
    from flask import Flask, request

    app = Flask(__name__)

    @app.get("/")
    def home():
        response = app.make_response("hello")
        response.add_etag()
        response.cache_control.max_age = 60
        return response.make_conditional(request)

    @app.get("/fail")
    def fail():
        return str(1 // 0)
"""

DJANGO = """
    import django
    from django.conf import settings
    from django.core.asgi import get_asgi_application
    from django.http import HttpResponse
    from django.urls import path
    from django.views.decorators.cache import cache_control

    settings.configure(
        DEBUG=True,
        ROOT_URLCONF=__name__,
        SECRET_KEY="secret",
        MIDDLEWARE=["django.middleware.http.ConditionalGetMiddleware"],
    )

    @cache_control(max_age=60)
    def home(request):
        return HttpResponse("hello")

    def fail(request):
        return HttpResponse(str(1 // 0))

    urlpatterns = [path("", home), path("fail", fail)]
    app = get_asgi_application()
"""


@pytest.fixture
def project(directory: Path) -> Path:
    for name, source in {"site_": SITE, "star": STARLETTE, "web": FLASK, "dj": DJANGO}.items():
        (directory / f"{name}.py").write_text(dedent(source))
    return directory


@pytest.fixture
def explained(launch: Any, project: Path) -> Any:
    """``explained(*arguments)``: what ``tricorn explain`` printed; it must have succeeded."""

    def run(*arguments: str) -> str:
        command = launch("explain", *arguments)
        status = command.wait()
        assert (status, command.errors) == (0, "")
        return command.output()

    return run


def test_a_tricorn_application_is_explained(explained: Any) -> None:
    text = explained("site_:app", "/", "-H", "Accept-Language: de", "--header", "X-More: 1")
    assert text.startswith("GET /\n200 OK, text/html; charset=utf-8, 7 bytes\n")
    for expected in (
        "Cache-Control   public, max-age=600, stale-while-revalidate=60\n",
        "Any cache       stored: public (RFC 9111, 5.2.2.9)\n",
        "fresh for 10 minutes (max-age: RFC 9111, 5.2.2.1), then served\n",
        ", strong, made by Tricorn\n",
        "Revalidation    got 304 Not Modified: 7 bytes saved,",
        "Varies on       Accept-Language (here: de)\n",
        "No warnings\n",
    ):
        assert expected in text
    assert max(map(len, text.splitlines())) <= 80
    assert "\x1b" not in text


def test_a_starlette_application_that_ignores_its_own_tag_is_told(explained: Any) -> None:
    text = explained("star", "/")
    assert 'ETag "v1", strong, the application\'s own\n' in text
    assert "Revalidation    got 200 OK: all of it again\n" in text
    assert "revalidation-ignored" in text


@pytest.mark.parametrize("flags", [[], ["--interface", "wsgi"]])
def test_a_flask_application_is_explained(explained: Any, flags: list[str]) -> None:
    text = explained("web:app", "/", *flags)
    assert "Revalidation    got 304 Not Modified: 5 bytes saved" in text
    assert "No warnings\n" in text


def test_a_django_application_is_explained(explained: Any) -> None:
    text = explained("dj:app", "/")
    assert "Revalidation    got 304 Not Modified: 5 bytes saved" in text
    assert "No warnings\n" in text


def test_json_has_the_same_facts(explained: Any) -> None:
    document = json.loads(explained("site_:app", "/", "--json", "-H", "accept-language: de"))
    assert document["version"] == 1
    assert (document["method"], document["target"], document["status"]) == ("GET", "/", 200)
    assert [cache["freshness"]["lifetime"] for cache in document["caches"]] == [600, 600]
    assert document["revalidation"]["status"] == 304
    assert document["varies"]["fields"] == [{"name": "Accept-Language", "value": "de"}]
    assert document["warnings"] == []


def test_another_method_is_sent_once_and_invalidates(explained: Any) -> None:
    text = explained("site_:app", "http://example.org/", "-X", "post")
    assert text.startswith("POST http://example.org/\n")
    assert "Invalidates     what caches have stored of http://example.org/ (RFC 9111, 4.4)\n" in text


@pytest.mark.parametrize(("path", "status"), [("/", 0), ("/guess", 1)])
def test_strict_fails_on_warnings(launch: Any, project: Path, path: str, status: int) -> None:
    command = launch("explain", "site_:app", path, "--strict")
    assert command.wait() == status
    assert command.errors == ""
    assert ("heuristic-freshness" in command.output()) is (status == 1)


MISTAKES = {
    "module": (["nope:app", "/"], 2, "app: there is no module 'nope' here"),
    "syntax": (["broken:app", "/"], 2, "app: importing 'broken' failed: SyntaxError: "),
    "header": (["site_:app", "/", "-H", "Accept"], 2, "-H: 'Accept' is not 'NAME: VALUE': there is no colon"),
    "header name": (["site_:app", "/", "-H", "a b: c"], 2, "-H: 'a b: c' is not 'NAME: VALUE': "),
    "header value": (["site_:app", "/", "-H", "a: b\nc: d"], 2, r"-H: 'a: b\nc: d' is not 'NAME: VALUE': "),
    "method": (["site_:app", "/", "-X", "G T"], 2, "-X: 'G T' is not a method"),
    "path": (["site_:app", "home"], 2, "path: 'home' is neither a path that begins with / nor an http URL"),
    "url": (["site_:app", "http://"], 2, "path: 'http://' is neither a path nor an http"),
    "handler": (["site_:app", "/fail"], 1, "explain: GET /fail failed: ValueError: no luck (site_.py, line 28)"),
    "starlette": (["star:app", "/fail"], 1, "explain: GET /fail failed: ZeroDivisionError: "),
    "flask": (["web:app", "/fail"], 1, "explain: GET /fail failed: ZeroDivisionError: "),
    "django": (["dj:app", "/fail"], 1, "explain: GET /fail failed: ZeroDivisionError: "),
    "startup": (["unwilling:app", "/"], 1, "explain: the application's lifespan failed: OSError: no database"),
    "exit": (["unwilling:leave", "/"], 1, "explain: GET / failed: SystemExit: 3 (unwilling.py, line 7)"),
    "exit at startup": (["unwilling:go", "/"], 1, "explain: GET / failed: SystemExit: 4 (unwilling.py, line 10)"),
    "tasks": (["unwilling:group", "/"], 1, "explain: GET / failed: ValueError: no luck (unwilling.py, line 13)"),
    "no response": (["silent:app", "/"], 1, "explain: GET / failed: ASGIViolation: "),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_and_a_status(launch: Any, project: Path, mistake: str) -> None:
    (project / "broken.py").write_text("def (\n")
    (project / "unwilling.py").write_text(
        "from tricorn import App\n"
        "async def up(app):\n"
        "    raise OSError('no database')\n"
        "    yield\n"
        "app = App(lifespan=up)\n"
        "async def leave(scope, receive, send):\n"
        "    raise SystemExit(3)\n"
        "async def go(scope, receive, send):\n"
        "    await receive()\n"
        "    raise SystemExit(4)\n"
        "async def fail():\n"
        "    import anyio; await anyio.sleep(0)\n"
        "    raise ValueError('no luck')\n"
        "async def group(scope, receive, send):\n"
        "    import anyio\n"
        "    async with anyio.create_task_group() as tasks:\n"
        "        tasks.start_soon(fail)\n"
    )
    (project / "silent.py").write_text("async def app(scope, receive, send): pass\n")
    arguments, status, message = MISTAKES[mistake]
    command = launch("explain", *arguments)
    assert command.wait() == status
    assert command.errors.startswith(f"tricorn: {message}")
    assert command.errors.count("\n") == 1
    assert command.output() == ""


def test_on_a_terminal_it_is_in_colour(project: Path) -> None:
    read = b""
    pid, terminal = pty.fork()
    if pid == 0:  # in the terminal
        os.chdir(project)
        environ = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "80"}
        environ.pop("NO_COLOR", None)
        os.execve(
            sys.executable, [sys.executable, "-m", "tricorn_transports", "explain", "site_:app", "/guess"], environ
        )
    try:
        while part := os.read(terminal, 65_536):
            read += part
    except OSError:  # how Linux says that the other end has gone
        pass
    finally:
        os.close(terminal)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert b"\x1b[36mValidators" in read
    assert b"\x1b[33m  heuristic-freshness\x1b[0m (RFC 9111, 4.2.2)" in read


def test_the_reference_has_every_code_with_its_clause_and_every_key(explained: Any) -> None:
    page = (Path(__file__).parents[2] / "docs/reference/explain.md").read_text(encoding="utf-8")
    for code, clause in CODES.items():
        assert f"| `{code}` | {clause} |" in page
    assert page.count("| RFC 9") + page.count("| RFC 8") == len(CODES)

    def keys(value: Any) -> set[str]:
        if isinstance(value, dict):
            return set(value).union(*map(keys, value.values()))
        return set().union(*map(keys, value)) if isinstance(value, list) else set()

    found = keys(json.loads(explained("site_:app", "/", "--json"))) | {"code", "text"}
    assert "stale_if_error" in found
    assert [key for key in sorted(found) if f"`{key}`" not in page] == []
