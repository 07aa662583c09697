"""The cookie that keeps pushes from being repeated, and the responses that it must never be on."""

import pytest

from tricorn import App, Request
from tricorn.caching.casper import HeldSet
from tricorn.caching.freshness import is_storable
from tricorn.caching.privacy import is_for_one_client
from tricorn.headers import Headers
from tricorn.hints import Hinting, PushCookie

pytestmark = pytest.mark.anyio


def site(cache="private", *, cookie=None, **attributes):
    app = App(hinting=Hinting(push_cookie=cookie or PushCookie()))

    @app.get("/", cache=cache)
    async def page(request: Request):
        await request.hint("/app.css", **attributes)
        return "page"

    return app


def pushed(response):
    return [push.path for push in response.pushes]


async def test_what_was_pushed_is_not_pushed_again(client_of):
    client = await client_of(site(), http_version="2", base_url="https://testserver")
    first = await client.get("/")
    assert pushed(first) == ["/app.css"]
    cookie = first.headers["set-cookie"]
    name, _, value = cookie.partition("; ")[0].partition("=")
    assert name == "__Host-pushed"
    assert HeldSet.decode(value).holds("/app.css")
    assert cookie.split("; ")[1:] == ["Max-Age=604800", "Path=/", "Secure", "HttpOnly", "SameSite=Lax"]
    again = await client.get("/")
    assert (pushed(again), again.early_hints, again.headers.get("link")) == ([], [], None)
    assert "set-cookie" not in again.headers, "there is nothing new to remember"


async def test_without_it_nothing_is_remembered(client_of):
    app = site()
    app.hinting = Hinting()
    client = await client_of(app, http_version="2")
    for _ in range(2):
        response = await client.get("/")
        assert (pushed(response), response.headers.get("set-cookie")) == (["/app.css"], None)


async def test_another_version_is_pushed(client_of):
    client = await client_of(site(etag="1"), http_version="2")
    await client.get("/")
    assert pushed(await client.get("/")) == []
    cookies = dict(client.cookies)
    newer = await client_of(site(etag="2"), http_version="2", cookies=cookies)
    assert pushed(await newer.get("/")) == ["/app.css"]


async def test_in_clear_the_cookie_is_an_ordinary_one(client_of):
    client = await client_of(site(cookie=PushCookie(name="h", max_age=60)), http_version="2", base_url="http://h")
    cookie = (await client.get("/")).headers["set-cookie"]
    assert cookie.startswith("h=")
    assert cookie.split("; ")[1:] == ["Max-Age=60", "Path=/", "HttpOnly", "SameSite=Lax"]


@pytest.mark.parametrize("value", ["", "x", '"quoted', "Dw8" * 100, "å", "Dwf_____"])
async def test_a_malformed_cookie_is_an_empty_one(client_of, value):
    client = await client_of(site(), http_version="2")
    response = await client.get("/", headers=[("cookie", f"__Host-pushed={value}".encode().decode("latin-1"))])
    assert (response.status, pushed(response)) == (200, ["/app.css"])
    assert "set-cookie" in response.headers


@pytest.mark.parametrize("version", ["1.1", "3"])
async def test_clients_without_push_get_no_cookie(client_of, version):
    response = await (await client_of(site(), http_version=version)).get("/", headers={"accept": "text/html"})
    assert "set-cookie" not in response.headers
    assert len(response.early_hints) + len(response.headers.getlist("link")) == 1


NEVER = [
    {},
    {"cache-control": "public, max-age=60"},
    {"cache-control": "max-age=60"},
    {"cache-control": "no-cache"},
    {"cache-control": 'private="x-field", max-age=60'},
    {"cache-control": "no-store, must-understand, max-age=9"},
    {"cache-control": "s-maxage=60"},
    {"expires": "Thu, 01 Jan 2099 00:00:00 GMT"},
    {"cache-control": "private", "cdn-cache-control": "max-age=60"},
    {"cache-control": "no-store", "acme-cache-control": "max-age=60"},
    {"cache-control": "private", "surrogate-control": 'max-age=60+9, content="ESI/1.0"'},
]
ONLY = [
    {"cache-control": "private"},
    {"cache-control": "no-store"},
    {"cache-control": "private, max-age=60, must-revalidate"},
    {"cache-control": "private", "cdn-cache-control": "no-store"},
]


@pytest.mark.parametrize("fields", NEVER)
async def test_no_shared_cache_ever_gets_the_cookie(client_of, fields):
    app = App(hinting=Hinting(push_cookie=PushCookie()))

    @app.get("/")
    async def page(request: Request):
        await request.hint("/app.css")
        return "page", fields

    response = await (await client_of(app, http_version="2")).get("/")
    assert pushed(response) == ["/app.css"]
    assert "set-cookie" not in response.headers


@pytest.mark.parametrize("fields", NEVER + ONLY)
@pytest.mark.parametrize("status", [200, 203, 206, 301, 304, 404, 500])
def test_the_rule_agrees_with_the_freshness_functions(fields, status):
    raw = [(name.encode(), value.encode()) for name, value in fields.items()]
    allowed = is_for_one_client(status, raw)
    assert allowed == (fields in ONLY and status not in (206, 304))
    if allowed:
        assert not is_storable("GET", status, Headers(raw), shared=True)


async def test_middleware_has_the_last_word_on_what_may_be_cached(client_of):
    class Public:
        def __init__(self, app):
            self.app = app

        async def __call__(self, scope, receive, send):
            async def publish(message):
                if message["type"] == "http.response.start":
                    message["headers"] = [(b"cache-control", b"public, max-age=60")]
                await send(message)

            await self.app(scope, receive, publish)

    app = site()
    app.add_middleware(Public)
    assert "set-cookie" not in (await (await client_of(app, http_version="2")).get("/")).headers


@pytest.mark.parametrize("options", [{"name": "a b"}, {"capacity": 100_000}, {"error_bits": 0}, {"max_age": 0}])
def test_impossible_cookies_are_refused(options):
    with pytest.raises(ValueError, match=r"cookie|max_age"):
        PushCookie(**options)
