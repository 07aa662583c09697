"""Sessions in a signed cookie."""

from __future__ import annotations

import json

import pytest

from tricorn import App, Middleware
from tricorn.caching.privacy import is_for_one_client
from tricorn.middleware import SessionMiddleware
from tricorn.request import Request
from tricorn.response import PlainTextResponse
from tricorn.testing import Client


async def app(scope, receive, send):
    """``/set?json`` updates the session, ``/clear`` empties it, ``/show`` shows it, ``/`` leaves it alone."""
    if scope["type"] == "lifespan":
        raise RuntimeError("none")
    text = "ok"
    if scope["path"] == "/set":
        scope["session"].update(json.loads(Request(scope, receive).query["json"]))
    elif scope["path"] == "/deep":
        scope["session"]["list"].append(3)
    elif scope["path"] == "/clear":
        scope["session"].clear()
    elif scope["path"] == "/show":
        text = json.dumps(dict(Request(scope, receive).session))
    await PlainTextResponse(text)(scope, receive, send)


def client_of(*, base_url="http://testserver", cookies=None, **options):
    return Client(SessionMiddleware(app, **({"secret": "s1"} | options)), base_url=base_url, cookies=cookies)


def put(client, values):
    return client.get("/set", params={"json": json.dumps(values)})


def test_session_lasts_and_is_sent_only_when_it_changed():
    with client_of() as client:
        assert put(client, {"user": "ü", "list": [1, 2]}).headers["vary"] == "Cookie"
        shown = client.get("/show")
        assert shown.json() == {"user": "ü", "list": [1, 2]}
        assert (shown.headers["vary"], "set-cookie" in shown.headers) == ("Cookie", False)
        assert "set-cookie" not in put(client, {"user": "ü"}).headers
        assert "set-cookie" in client.get("/deep").headers
        assert client.get("/show").json()["list"] == [1, 2, 3]


@pytest.mark.parametrize(
    ("declared", "with_cookie"),
    [
        ({}, "private"),
        ({"cache-control": "public, max-age=60, s-maxage=600"}, "private, max-age=60"),
        ({"cache-control": "max-age=60", "cdn-cache-control": "max-age=600"}, "private, max-age=60"),
        ({"cache-control": "public, must-revalidate, stale-if-error=60"}, "private"),
        ({"cache-control": "public, max-age=60, no-store"}, "public, max-age=60, no-store"),
        ({"cache-control": 'private="x-user"'}, "private"),
        ({"cache-control": "no-store"}, "no-store"),
    ],
)
def test_a_response_with_the_cookie_is_for_one_client(declared, with_cookie):
    app = App(middleware=[Middleware(SessionMiddleware, secret="s1")])

    @app.get("/")
    async def page(request: Request):
        request.session["user"] = "Ada"
        return "page", declared

    with Client(app) as client:
        first, second = client.get("/"), client.get("/")
    assert "set-cookie" in first.headers
    assert first.headers.getlist("cache-control") == [with_cookie]
    assert is_for_one_client(200, first.headers.raw)
    assert "set-cookie" not in second.headers
    assert second.headers.get("cache-control") == declared.get("cache-control")


def test_untouched_session_leaves_no_trace():
    with client_of() as client:
        response = client.get("/")
    assert "vary" not in response.headers
    assert "set-cookie" not in response.headers


def test_cookie_attributes():
    with client_of(max_age=60) as client:
        cookie = put(client, {"a": 1}).headers["set-cookie"]
    assert cookie.startswith("session=")
    assert cookie.split("; ")[1:] == ["Max-Age=60", "Path=/", "HttpOnly", "SameSite=Lax"]
    with client_of(base_url="https://testserver", max_age=None, same_site="none", cookie="__Host-s") as client:
        cookie = put(client, {"a": 1}).headers["set-cookie"]
    assert cookie.split("; ")[1:] == ["Path=/", "Secure", "HttpOnly", "SameSite=None"]


def test_clearing_deletes_the_cookie():
    with client_of() as client:
        assert "set-cookie" not in client.get("/clear").headers
        put(client, {"a": 1})
        assert "Max-Age=0" in client.get("/clear").headers["set-cookie"]
        assert "session" not in client.cookies


def token_of(values, **options):
    with client_of(**options) as client:
        put(client, values)
        return client.cookies["session"]


def show(token, **options):
    with client_of(cookies={"session": token}, **options) as client:
        return client.get("/show").json()


def test_forged_and_foreign_cookies_are_no_session():
    token = token_of({"a": 1})
    assert show(token) == {"a": 1}
    assert show(token[:-2] + ("aa" if token[-2:] != "aa" else "bb")) == {}
    assert show("x" + token) == {}
    assert show("garbage") == {}
    assert show(token, secret="other") == {}


def test_keys_rotate():
    old = token_of({"a": 1}, secret="old")
    assert show(old, secret=["new", "old"]) == {"a": 1}
    new = token_of({"a": 1}, secret=["new", "old"])
    assert show(new, secret="new") == {"a": 1}
    assert show(new, secret="old") == {}


def test_session_ends(monkeypatch):
    from itsdangerous import TimestampSigner

    token = token_of({"a": 1}, max_age=60)
    now = TimestampSigner("x").get_timestamp()
    monkeypatch.setattr(TimestampSigner, "get_timestamp", lambda self: now + 120)
    assert show(token, max_age=60) == {}
    assert show(token, max_age=600) == {"a": 1}


def test_too_large_a_session_is_an_error():
    with client_of() as client, pytest.raises(ValueError, match="browsers keep"):
        put(client, {"noise": "".join(chr(0x4E00 + n * 7 % 20_000) for n in range(3000))})


@pytest.mark.parametrize("secret", ["", [], ["a", ""]])
def test_secret_must_not_be_empty(secret):
    with pytest.raises(ValueError, match="secret"):
        SessionMiddleware(app, secret=secret)


def test_websocket_has_a_session_too():
    async def sets(scope, receive, send):
        scope["session"]["seen"] = True
        await send({"type": "websocket.accept"})

    with Client(SessionMiddleware(sets, secret="s"), lifespan=False) as client, client.websocket("/") as ws:
        assert ws.headers["set-cookie"].startswith("session=")
        assert ws.headers["vary"] == "Cookie"
