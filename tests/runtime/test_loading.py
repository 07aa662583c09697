"""Finding the application: import strings, factories, interfaces, and one line for each mistake."""

from __future__ import annotations

import functools
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import flask
import pytest
import starlette.applications
from asgiref.wsgi import WsgiToAsgi

from tricorn_transports.errors import ConfigError
from tricorn_transports.loading import adapt, detect, load_app
from tricorn_transports.wsgi import WSGIToASGI

Project = Callable[..., None]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """A project directory that is the current one; its modules are forgotten at the end."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])
    before = set(sys.modules)

    def write(**files: str) -> None:
        for name, text in files.items():
            path = tmp_path / f"{name.replace('__', '/')}.py"
            path.parent.mkdir(exist_ok=True)
            path.write_text(dedent(text))

    yield write
    for name in set(sys.modules) - before:
        if name.startswith("proj"):
            del sys.modules[name]


ASGI = "async def app(scope, receive, send): ...\n"


@pytest.mark.parametrize("text", ["proj", "proj:app", "proj:holder.inner.app", "proj:create_app()"])
def test_an_import_string_finds_the_app(project: Project, text: str) -> None:
    project(
        proj=ASGI
        + """
class holder:
    class inner:
        app = app

def create_app():
    return app
"""
    )
    app = load_app(text)
    assert app is sys.modules["proj"].app


def test_a_module_in_a_package(project: Project) -> None:
    project(proj_pkg__web=ASGI)
    assert load_app("proj_pkg.web:app") is sys.modules["proj_pkg.web"].app


def complaint(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_app(text)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("proj_wbe:app", "app: there is no module 'proj_wbe' here; did you mean 'proj_web'?"),
        ("proj_web.deep:app", "app: there is no module 'proj_web.deep' here; did you mean 'proj_web'?"),
        ("proj_web:ap", "app: the module 'proj_web' has no attribute 'ap'; did you mean 'app'?"),
        ("proj_web:app.asgi", "app: the function object has no attribute 'asgi'"),
        ("proj_web:number", "app: proj_web:number is not an application: int objects are not callable"),
        ("proj_web:number()", "app: proj_web:number(): int objects are not callable"),
        ("proj_web:create('x')", "app: \"create('x')\" is neither an attribute nor a factory called without arguments"),
        ("proj_web.py", "app: 'proj_web.py' is not MODULE:ATTRIBUTE, as in 'proj_web:app'"),
        ("./web/proj.py:site", "app: './web/proj.py:site' is not MODULE:ATTRIBUTE, as in 'web.proj:site'"),
        (":app", "app: ':app' is not MODULE:ATTRIBUTE, as in 'app:app'"),
    ],
)
def test_a_wrong_import_string_is_one_line(project: Project, text: str, message: str) -> None:
    project(proj_web=ASGI + "number = 1")
    assert complaint(text).startswith(message)


def test_a_missing_import_inside_the_module_is_told_from_a_missing_module(project: Project) -> None:
    project(proj_bad="import os\nimport proj_not_installed\n")
    assert complaint("proj_bad:app") == (
        "app: importing 'proj_bad' failed: ModuleNotFoundError: "
        "No module named 'proj_not_installed' (proj_bad.py, line 2)"
    )


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("x = 1\ny = z\n", "NameError: name 'z' is not defined (proj_bad.py, line 2)"),
        ("def f(:\n", "SyntaxError: invalid syntax (proj_bad.py, line 1)"),
        ("import json\njson.loads('{')\n", "JSONDecodeError: "),
        ("raise SystemExit(3)\n", "SystemExit: 3 (proj_bad.py, line 1)"),
        ("raise RuntimeError('two\\nlines')\n", "RuntimeError: two lines (proj_bad.py, line 1)"),
    ],
)
def test_a_failure_inside_the_module_names_its_file_and_line(project: Project, source: str, message: str) -> None:
    project(proj_bad=source)
    assert complaint("proj_bad:app").startswith(f"app: importing 'proj_bad' failed: {message}")


def test_the_line_named_is_the_application_s_own(project: Project) -> None:
    project(proj_bad="import json\njson.loads('{')\n")
    assert complaint("proj_bad").endswith("(proj_bad.py, line 2)")


def test_a_factory_that_fails_names_its_line(project: Project) -> None:
    project(proj_bad="def create():\n    return {}['settings']\n")
    assert complaint("proj_bad:create()") == "app: proj_bad:create() failed: KeyError: 'settings' (proj_bad.py, line 2)"


@pytest.mark.filterwarnings("error")
def test_a_factory_is_no_coroutine_function(project: Project) -> None:
    project(proj_async="async def create():\n    return None\n")
    assert complaint("proj_async:create()") == "app: proj_async:create() is a coroutine; a factory is a plain function"


def test_an_attribute_after_a_dot_is_no_module(project: Project) -> None:
    project(proj_dotted="app = None\n")
    assert complaint("proj_dotted.app") == (
        "app: there is no module 'proj_dotted.app' here; did you mean 'proj_dotted:app'?"
    )


def test_the_traceback_is_there_at_level_debug(project: Project, caplog: pytest.LogCaptureFixture) -> None:
    project(proj_bad="1 / 0\n")
    with caplog.at_level(logging.DEBUG, "tricorn.error"):
        complaint("proj_bad")
    assert "ZeroDivisionError" in caplog.text
    assert "Traceback" in caplog.text


async def asgi3(scope: Any, receive: Any, send: Any) -> None: ...


def asgi3_plain(scope: Any, receive: Any, send: Any) -> Any: ...


def wsgi(environ: Any, start_response: Any) -> Any: ...


def wsgi_with_default(environ: Any, start_response: Any, extra: Any = None) -> Any: ...


class WSGIClass:
    def __call__(self, environ: Any, start_response: Any) -> Any: ...


class ASGIClass:
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...


async def with_settings(settings: Any, scope: Any, receive: Any, send: Any) -> None: ...


async def wide_open(*args: Any) -> None: ...


@pytest.mark.parametrize(
    ("app", "interface"),
    [
        (asgi3, "asgi"),
        (asgi3_plain, "asgi"),
        (ASGIClass(), "asgi"),
        (ASGIClass().__call__, "asgi"),
        (functools.partial(with_settings, {}), "asgi"),
        (wide_open, "asgi"),
        (starlette.applications.Starlette(), "asgi"),
        (WsgiToAsgi(wsgi), "asgi"),
        (wsgi, "wsgi"),
        (wsgi_with_default, "wsgi"),
        (WSGIClass(), "wsgi"),
        (functools.partial(wsgi_with_default, extra=1), "wsgi"),
        (flask.Flask("site"), "wsgi"),
        (flask.Flask("site").wsgi_app, "wsgi"),
    ],
)
def test_the_interface_is_told_from_the_signature(app: Any, interface: str) -> None:
    assert detect(app) == interface
    assert isinstance(adapt(app), WSGIToASGI) is (interface == "wsgi")


class ASGI2:
    def __init__(self, scope: Any) -> None: ...

    async def __call__(self, receive: Any, send: Any) -> None: ...


async def async_factory() -> Any: ...


@pytest.mark.parametrize(
    ("app", "message"),
    [
        (lambda scope: None, "as ASGI 2 had it"),
        (ASGI2, "is a class; serve an instance, or make one with 'site:app()'"),
        (lambda: None, "takes no arguments; if it makes the application, write 'site:app()'"),
        (lambda *args: None, "say --interface asgi or wsgi"),
        (lambda a, b, c, d: None, "neither ASGI's nor WSGI's"),
        (ASGI2("scope"), "does not take the three arguments of ASGI: scope, receive, send"),
        (async_factory, "takes no arguments; if it makes the application, write 'site:app()'"),
    ],
)
def test_what_is_no_application_is_refused(app: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=r"\Aapp: ") as caught:
        adapt(app, name="site:app")
    assert message in str(caught.value)


def test_a_said_interface_is_taken_at_its_word() -> None:
    def app(*args: object) -> None: ...

    assert adapt(app, "asgi") is app
    assert isinstance(adapt(app, "wsgi"), WSGIToASGI)
