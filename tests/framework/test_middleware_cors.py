"""CORS: what browsers of other origins are told (WHATWG Fetch)."""

from __future__ import annotations

import pytest

from tricorn.middleware import CORSMiddleware
from tricorn.response import PlainTextResponse
from tricorn.testing import Client

ORIGIN = "https://app.example"


async def app(scope, receive, send):
    headers = {"vary": "Accept", "access-control-allow-origin": "https://forged.example"}
    await PlainTextResponse("ok", headers=headers)(scope, receive, send)


def ask(method="GET", headers=None, **options):
    with Client(CORSMiddleware(app, **options), lifespan=False) as client:
        return client.request(method, "/", headers=headers or {})


def preflight(method="PUT", origin=ORIGIN, more=None, **options):
    headers = {"origin": origin, "access-control-request-method": method, **(more or {})}
    return ask("OPTIONS", headers, **options)


def allowed(response):
    return response.headers.get("access-control-allow-origin")


def test_allowed_origin_is_named():
    response = ask(headers={"origin": ORIGIN}, allow_origins=[ORIGIN], expose_headers=["X-A", "X-B"])
    assert (response.text, allowed(response)) == ("ok", ORIGIN)
    assert response.headers.getlist("access-control-allow-origin") == [ORIGIN]
    assert response.headers["access-control-expose-headers"] == "X-A, X-B"
    assert response.headers["vary"] == "Accept, Origin"
    assert "access-control-allow-credentials" not in response.headers


@pytest.mark.parametrize("headers", [{}, {"origin": "https://app.example.evil"}, {"origin": "null"}])
def test_others_are_not_but_caches_are_told(headers):
    response = ask(headers=headers, allow_origins=[ORIGIN])
    assert (response.status, allowed(response)) == (200, None)
    assert response.headers["vary"] == "Accept, Origin"


def test_all_origins():
    response = ask(headers={"origin": ORIGIN}, allow_origins=["*"])
    assert (allowed(response), response.headers["vary"]) == ("*", "Accept")
    with pytest.raises(ValueError, match="credentials"):
        CORSMiddleware(app, allow_origins=["*"], allow_credentials=True)


@pytest.mark.parametrize(
    ("origin", "is_allowed"),
    [("https://a.example", True), ("https://a.example.evil", False), ("xhttps://a.example", False)],
)
def test_expression_matches_the_whole_origin(origin, is_allowed):
    response = ask(headers={"origin": origin}, allow_origin_regex=r"https://[a-z]+\.example", allow_credentials=True)
    assert allowed(response) == (origin if is_allowed else None)
    assert ("access-control-allow-credentials" in response.headers) is is_allowed


def test_preflight():
    response = preflight(
        more={"access-control-request-headers": "X-Token, content-type"},
        allow_origins=[ORIGIN],
        allow_methods=["PUT"],
        allow_headers=["X-Token"],
        allow_credentials=True,
        max_age=60,
    )
    assert (response.status, response.body, allowed(response)) == (204, b"", ORIGIN)
    assert response.headers["access-control-allow-methods"] == "GET, HEAD, POST, PUT"
    assert "x-token" in response.headers["access-control-allow-headers"]
    assert response.headers["access-control-allow-credentials"] == "true"
    assert response.headers["access-control-max-age"] == "60"
    assert response.headers["vary"] == "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"


@pytest.mark.parametrize(
    ("arguments", "refused"),
    [
        ({"origin": "https://evil.example"}, "origin"),
        ({"method": "DELETE"}, "method"),
        ({"more": {"access-control-request-headers": "x-other"}}, "headers"),
        ({"more": {"access-control-request-private-network": "true"}}, "private network"),
    ],
)
def test_preflight_says_what_is_refused(arguments, refused):
    response = preflight(**arguments, allow_origins=[ORIGIN], allow_methods=["PUT"])
    assert (response.status, response.text) == (403, f"CORS: refused {refused}\n")
    assert allowed(response) is None
    assert "Origin" in response.headers["vary"]


def test_preflight_of_everything():
    response = preflight(
        "PURGE",
        more={"access-control-request-headers": "authorization", "access-control-request-private-network": "true"},
        allow_origins=[ORIGIN],
        allow_methods=["*"],
        allow_headers=["*"],
        allow_private_network=True,
    )
    assert response.status == 204
    assert "PURGE" in response.headers["access-control-allow-methods"]
    assert "authorization" in response.headers["access-control-allow-headers"]
    assert response.headers["access-control-allow-private-network"] == "true"


def test_plain_options_reaches_the_app():
    assert ask("OPTIONS", {"origin": ORIGIN}, allow_origins=[ORIGIN]).text == "ok"


def test_websocket_and_lifespan_pass_through():
    seen = []

    async def records(scope, receive, send):
        seen.append(scope["type"])
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})

    with Client(CORSMiddleware(records)) as client, client.websocket("/", headers={"origin": "https://evil.example"}):
        pass
    assert seen == ["lifespan", "websocket"]
