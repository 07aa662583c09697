"""Responses from Jinja2 templates."""

from __future__ import annotations

import jinja2
import pytest

from tricorn.request import Request
from tricorn.templates import Templates
from tricorn.testing import Client


@pytest.fixture
def directory(tmp_path):
    (tmp_path / "page.html").write_text("<p>{{ name }} {{ request.path }}</p>")
    (tmp_path / "note.txt").write_text("{{ name }}")
    (tmp_path / "part.html.j2").write_text("{{ name }}{{ site }}")
    (tmp_path / "odd").write_text("{{ name }}")
    (tmp_path / "app.js.j2").write_text("{{ name }}")
    return tmp_path


def get(templates, name, **arguments):
    async def app(scope, receive, send):
        request = Request(scope, receive, send)
        response = templates.response(request, name, {"name": "<b>"}, **arguments)
        await response(scope, receive, send)

    with Client(app, lifespan=False) as client:
        return client.get("/p")


def test_html_is_escaped_and_has_the_request(directory):
    response = get(Templates(directory), "page.html", status=201, headers={"x-a": "1"})
    assert (response.status, response.text) == (201, "<p>&lt;b&gt; /p</p>")
    assert (response.headers["content-type"], response.headers["x-a"]) == ("text/html; charset=utf-8", "1")


@pytest.mark.parametrize(
    ("name", "text", "media_type"),
    [
        ("note.txt", "<b>", "text/plain; charset=utf-8"),
        ("part.html.j2", "&lt;b&gt;", "text/html; charset=utf-8"),
        ("odd", "&lt;b&gt;", "text/html; charset=utf-8"),
        ("app.js.j2", "&lt;b&gt;", "text/javascript; charset=utf-8"),
    ],
)
def test_name_decides_on_type_and_escaping(directory, name, text, media_type):
    response = get(Templates(directory), name)
    assert (response.text, response.headers["content-type"]) == (text, media_type)


def test_context_processors_and_own_environment(directory):
    templates = Templates(directory, context_processors=[lambda request: {"site": request.path, "name": "lost"}])
    assert get(templates, "part.html.j2").text == "&lt;b&gt;/p"
    env = jinja2.Environment(loader=jinja2.DictLoader({"x": "own {{ name }}"}))
    assert Templates(env=env).render("x", {"name": "<b>"}) == "own <b>"


def test_first_directory_wins(directory, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    (other / "odd").write_text("other")
    assert Templates([other, directory]).render("odd") == "other"


def test_mistakes(directory):
    with pytest.raises(ValueError, match="either"):
        Templates()
    with pytest.raises(jinja2.TemplateNotFound):
        Templates(directory).render("none.html")
