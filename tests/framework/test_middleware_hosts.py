"""Trusted hosts and the redirect to https."""

from __future__ import annotations

import pytest

from tricorn.middleware import HTTPSRedirectMiddleware, TrustedHostsMiddleware
from tricorn.response import PlainTextResponse
from tricorn.testing import Client, WebSocketDenied


async def app(scope, receive, send):
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
    elif scope["type"] == "http":
        await PlainTextResponse("ok")(scope, receive, send)
    else:
        raise RuntimeError("no lifespan here")


def client_of(middleware, *, base_url="http://testserver", **options):
    return Client(middleware(app, **options), base_url=base_url)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("example.com", 200),
        ("EXAMPLE.com:8000", 200),
        ("example.com.", 200),
        ("a.b.tenant.example", 200),
        ("[::1]:8000", 200),
        ("tenant.example", 400),
        ("eviltenant.example", 400),
        ("example.com.evil", 400),
        ("example.com@evil", 400),
        ("example.com/x", 400),
        ("", 400),
    ],
)
def test_hosts(host, status):
    with client_of(TrustedHostsMiddleware, allowed_hosts=["example.com", "*.tenant.example", "[::1]"]) as client:
        assert client.get("/", headers={"host": host}).status == status


def test_two_hosts_are_refused_even_when_all_are_allowed():
    with client_of(TrustedHostsMiddleware, allowed_hosts=["*"]) as client:
        assert client.get("/").status == 200
        assert client.get("/", headers=[("host", "a"), ("host", "a")]).status == 400


def test_websocket_of_another_host_is_refused():
    with client_of(TrustedHostsMiddleware, allowed_hosts=["example.com"]) as client:
        with pytest.raises(WebSocketDenied) as denied, client.websocket("/"):
            pass
        assert denied.value.response.status == 400
        with client.websocket("/", headers={"host": "example.com"}):
            pass


@pytest.mark.parametrize("hosts", [["a.*"], ["*a.example"], "example.com"])
def test_bad_patterns(hosts):
    with pytest.raises(ValueError, match="allowed_hosts"):
        TrustedHostsMiddleware(app, allowed_hosts=hosts)


def test_redirect_keeps_method_path_and_query():
    with client_of(HTTPSRedirectMiddleware) as client:
        response = client.post("/a%2Fb?x=1", headers={"host": "example.com:8000"})
        assert (response.status, response.headers["location"]) == (308, "https://example.com/a%2Fb?x=1")
        assert client.get("/", headers={"host": "a b"}).status == 400
    with client_of(HTTPSRedirectMiddleware, port=8443) as client:
        assert client.get("/").headers["location"] == "https://testserver:8443/"


def test_secure_clients_stay():
    with client_of(HTTPSRedirectMiddleware, base_url="https://testserver") as client:
        assert client.get("/").text == "ok"
        with client.websocket("/"):
            pass


def test_websocket_without_tls_is_told_where():
    client = client_of(HTTPSRedirectMiddleware)
    with client, pytest.raises(WebSocketDenied) as denied, client.websocket("/ws"):
        pass
    assert denied.value.response.headers["location"] == "wss://testserver/ws"
