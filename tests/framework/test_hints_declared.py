"""Hints that stand at a route, a mount or the application."""

import pytest

from tricorn import App, Mount, Request, Route, Router
from tricorn.hints import Hint

pytestmark = pytest.mark.anyio

PAGE = {"accept": "text/html"}


def pushed(response):
    return [push.path for push in response.pushes]


async def test_they_add_up_from_the_outside_in(client_of):
    app = App(
        [
            Route("/page", lambda: "page", hints=["/page.css", "/app.css"]),
            Route("/plain", lambda: "plain"),
            Mount("/shop", Router([Route("/", lambda: "shop", hints=Hint("/shop.css"))]), hints="/mount.css"),
        ],
        hints="/app.css",
    )
    client = await client_of(app, http_version="2")
    assert pushed(await client.get("/page", headers=PAGE)) == ["/app.css", "/page.css"]
    assert pushed(await client.get("/plain", headers=PAGE)) == ["/app.css"]
    assert pushed(await client.get("/shop/", headers=PAGE)) == ["/app.css", "/mount.css", "/shop.css"]


async def test_they_are_one_103_before_the_handler(client_of):
    app = App()
    order = []

    @app.get("/", hints=["/a.css", Hint("https://cdn.test", rel="preconnect")])
    async def page(request: Request):
        order.append("handler")
        return "page"

    class Watch:
        def __init__(self, app):
            self.app = app

        async def __call__(self, scope, receive, send):
            async def watch(message):
                order.append(message["type"])
                await send(message)

            await self.app(scope, receive, watch)

    response = await (await client_of(Watch(app), http_version="3")).get("/", headers=PAGE)
    assert response.early_hints == [["</a.css>; rel=preload; as=style", "<https://cdn.test>; rel=preconnect"]]
    assert order[:2] == ["http.response.early_hint", "handler"]


async def test_parts_of_pages_and_changes_are_told_nothing(client_of):
    app = App([Route("/", lambda: "x", methods=["GET", "POST"], hints="/a.css")])
    client = await client_of(app, http_version="2")
    assert pushed(await client.get("/", headers={"sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"})) == []
    response = await client.post("/")
    assert (pushed(response), response.headers.get("link")) == ([], None)
    assert pushed(await client.get("/")) == ["/a.css"]
    assert (await client.head("/")).headers["link"] == "</a.css>; rel=preload; as=style"


async def test_a_client_that_has_the_page_is_not_told_what_it_has(client_of):
    app = App([Route("/", lambda: "page", hints="/a.css", etag="v1")])
    client = await client_of(app, http_version="2")
    response = await client.get("/", headers={"if-none-match": '"v1"'})
    assert (response.status, pushed(response)) == (304, [])
    response = await client.get("/", headers={"if-none-match": '"v0"'})
    assert (response.status, pushed(response)) == (200, ["/a.css"])


async def test_they_hold_for_mounted_foreign_applications(client_of):
    async def foreign(scope, receive, send):
        headers = [(b"content-type", b"text/html"), (b"link", b"</own.css>; rel=preload; as=style")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"page"})

    app = App([Mount("/legacy", foreign, hints="/a.css")])
    response = await (await client_of(app, http_version="2")).get("/legacy/", headers=PAGE)
    assert pushed(response) == ["/a.css", "/own.css"]
    assert "link" not in response.headers


def test_under_wsgi_they_are_link_fields():
    app = App([Route("/", lambda: "page", hints=["/a.css", "/b.js"])])
    head = {}

    def start_response(status, headers, exc_info=None):
        head.update(status=status, links=[value for name, value in headers if name.lower() == "link"])

    environ = {
        "REQUEST_METHOD": "GET", "PATH_INFO": "/", "SERVER_NAME": "x", "SERVER_PORT": "80", "wsgi.input": None,
        "wsgi.url_scheme": "http", "SERVER_PROTOCOL": "HTTP/1.1", "HTTP_ACCEPT": "text/html",
    }  # fmt: skip
    try:
        assert b"".join(app.wsgi(environ, start_response)) == b"page"
    finally:
        app.wsgi.close()
    assert head["links"] == ["</a.css>; rel=preload; as=style", "</b.js>; rel=preload; as=script"]


@pytest.mark.parametrize("hints", [[Hint], "http://[", [7]])
def test_a_wrong_declaration_is_refused_at_once(hints):
    with pytest.raises((ValueError, TypeError, AttributeError)):
        Route("/", lambda: "", hints=hints)
