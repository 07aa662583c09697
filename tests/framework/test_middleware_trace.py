"""TRACE: opted into, without secrets, without content."""

from __future__ import annotations

import pytest

from tricorn import App, Middleware
from tricorn.middleware import TraceMiddleware
from tricorn.testing import Client


@pytest.fixture
def client():
    app = App(middleware=[Middleware(TraceMiddleware, leave_out=["X-Internal"])])

    @app.get("/")
    def index():
        return "index"

    with Client(app) as client:
        yield client


def test_the_head_comes_back_without_secrets(client):
    secrets = {
        "Authorization": "Basic c2VjcmV0",
        "Proxy-Authorization": "Basic c2VjcmV0",
        "Cookie": "id=c2VjcmV0",
        "X-Api-Key": "c2VjcmV0",
        "X-Internal": "c2VjcmV0",
    }
    response = client.request("TRACE", "/any/where%2F?q=1", headers={**secrets, "X-Probe": "yes"})
    assert response.status == 200
    assert response.headers["content-type"] == "message/http"
    first, *fields = response.body.split(b"\r\n")
    assert first.startswith(b"TRACE /any/where%2F?q=1 HTTP/")
    assert b"x-probe: yes" in fields
    assert fields[-2:] == [b"", b""]
    assert b"c2VjcmV0" not in response.body


def test_no_content(client):
    assert client.request("TRACE", "/", content=b"x").status == 400


def test_other_methods_pass(client):
    assert client.get("/").text == "index"


def test_who_does_not_opt_in_has_no_trace():
    app = App()

    @app.get("/")
    def index():
        return "index"

    with Client(app) as client:
        response = client.request("TRACE", "/")
    assert (response.status, "TRACE" in response.headers["allow"]) == (405, False)


def test_one_string_is_no_list():
    with pytest.raises(ValueError, match="not one string"):
        TraceMiddleware(App(), leave_out="x-internal")
