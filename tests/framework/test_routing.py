"""Which route answers: methods, slashes, mounts, hosts, and names back to paths."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse as StarletteJSON
from starlette.routing import Route as StarletteRoute

from tricorn import App, Host, Mount, NoRoute, Response, Route, Router, StaticFiles, WebSocketRoute

pytestmark = pytest.mark.anyio


def answer(text):
    async def handler():
        return text

    return handler


def show(request):
    return {
        "params": dict(request.path_params),
        "root_path": request.scope.get("root_path"),
        "path": request.scope["path"],
        "raw_path": request.scope["raw_path"].decode(),
    }


async def test_static_paths_come_first_and_templates_in_order(client_of):
    app = App(
        [
            Route("/{x}", answer("any"), name="any"),
            Route("/{x:int}", answer("int"), name="int"),
            Route("/me", answer("me"), name="me"),
            Route("/a/{x}", answer("a"), name="a"),
            Route("/{x}/{y}", answer("two"), name="two"),
        ]
    )
    client = await client_of(app)
    for path, text in {"/me": "me", "/7": "any", "/a/b": "a", "/b/b": "two"}.items():
        assert (await client.get(path)).text == text


async def test_an_encoded_slash_cannot_change_the_route(client_of):
    app = App([Route("/files/{name}", show), Route("/files/secret/key", answer("secret"), name="secret")])
    client = await client_of(app)
    assert (await client.get("/files/secret/key")).text == "secret"
    assert (await client.get("/files/secret%2Fkey")).json()["params"] == {"name": "secret/key"}
    assert (await client.get("/files/secret%252Fkey")).json()["params"] == {"name": "secret%2Fkey"}
    assert (await client.get("/files%2Fx")).status == 404


async def test_methods(client_of):
    app = App([Route("/x", answer("get")), Route("/x", answer("post"), methods=["post", "PUT"], name="p")])
    client = await client_of(app)
    head = await client.head("/x")
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", "3")
    assert (await client.put("/x")).text == "post"
    refused = await client.delete("/x")
    assert (refused.status, refused.headers["allow"]) == (405, "GET, HEAD, OPTIONS, POST, PUT")
    options = await client.options("/x")
    assert (options.status, options.headers["allow"]) == (204, "GET, HEAD, OPTIONS, POST, PUT")
    assert (await client.options("*")).headers["allow"] == "GET, HEAD, OPTIONS, POST, PUT"
    assert (await client.options("/y")).status == 404
    assert (await client.request("FROB", "/x")).status == 501


async def test_another_path_with_the_method_is_looked_for_before_405(client_of):
    app = App([Route("/me", answer("me")), Route("/{x}", answer("posted"), methods=["POST"], name="p")])
    client = await client_of(app)
    assert (await client.post("/me")).text == "posted"
    assert (await client.put("/me")).headers["allow"] == "GET, HEAD, OPTIONS, POST"


async def test_own_methods_heads_and_options(client_of):
    app = App([Mount("/m", routes=[Route("/x", answer("frob"), methods=["FROB"])])])
    app.get("/x")(answer("get"))
    app.head("/x", name="h")(lambda: Response(headers={"x-head": "1"}))
    app.options("/x", name="o")(lambda: "mine")
    client = await client_of(app)
    assert (await client.request("FROB", "/m/x")).text == "frob"
    assert (await client.request("FROB", "/x")).status == 405
    assert (await client.head("/x")).headers["x-head"] == "1"
    assert (await client.options("/x")).text == "mine"


async def test_slash_policies(client_of):
    routes = [
        Route("/leaf", answer("leaf"), methods=["GET", "POST"]),
        Route("/dir/", answer("dir")),
        Mount("/m", routes=[Route("/", answer("m"))]),
    ]
    client = await client_of(App(routes))
    moved = await client.get("/leaf/?a=1&b=%20")
    assert (moved.status, moved.headers["location"]) == (308, "/leaf?a=1&b=%20")
    assert (await client.post("/leaf/")).status == 307
    assert (await client.get("/dir")).headers["location"] == "/dir/"
    assert (await client.get("/m")).headers["location"] == "/m/"
    assert (await client.get("/m/")).text == "m"
    strict = await client_of(App(routes, trailing_slash="strict"))
    assert [(await strict.get(path)).status for path in ("/leaf/", "/dir", "/m")] == [404, 404, 404]
    ignoring = await client_of(App(routes, trailing_slash="ignore"))
    assert [(await ignoring.get(path)).text for path in ("/leaf/", "/dir", "/m")] == ["leaf", "dir", "m"]


@pytest.mark.parametrize("policy", ["redirect", "ignore", "strict"])
async def test_a_request_for_a_websocket_is_404_whatever_the_slash(client_of, policy):
    async def echo(websocket): ...

    app = App([WebSocketRoute("/ws", echo), WebSocketRoute("/ws/", echo)], trailing_slash=policy)
    app.websocket("/any/{rest:path}")(echo)
    client = await client_of(app)
    assert [(await client.get(path)).status for path in ("/ws", "/ws/", "/any/x", "/any/x/")] == [404] * 4


async def test_a_slash_redirect_never_leads_to_another_host(client_of, foreign):
    app = App([Route("/{p:path}/", answer("x"))])
    server = foreign(app, path="//evil.example")
    await server.run()
    assert (server.status, server.headers[b"location"]) == (308, b"/.//evil.example/")


async def test_mounts_grow_root_path_and_keep_path(client_of):
    app = App([Mount("/api/{version:int}", routes=[Mount("/ü", routes=[Route("/{x}", show)])])])
    seen = (await (await client_of(app, root_path="/root")).get("/api/2/%C3%BC/a%2Fb")).json()
    assert seen["params"] == {"version": 2, "x": "a/b"}
    assert seen["root_path"] == "/root/api/2/ü"
    assert seen["path"] == "/root/api/2/ü/a/b"
    assert seen["raw_path"] == "/root/api/2/%C3%BC/a%2Fb"


async def test_a_server_that_leaves_root_path_out_of_path(foreign):
    app = App([Mount("/m", routes=[Route("/x", show)])])
    server = foreign(app, path="/m/x", root_path="/root")
    await server.run()
    assert b'"root_path":"/root/m","path":"/root/m/x","raw_path":"/root/m/x"' in server.body


async def test_mounted_starlette(client_of):
    async def where(request):
        return StarletteJSON({"path": request.url.path, "url": str(request.url_for("where")), **request.path_params})

    inner = Starlette(routes=[StarletteRoute("/w/{x}", where), StarletteRoute("/w", where, name="where")])
    app = App([Mount("/star", inner)])
    seen = (await (await client_of(app)).get("/star/w/1")).json()
    assert seen == {"path": "/star/w/1", "url": "http://testserver/star/w", "x": "1"}


async def test_mounted_wsgi(client_of):
    def wsgi(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [f"{environ['SCRIPT_NAME']}|{environ['PATH_INFO']}".encode()]

    app = App([Mount("/old", wsgi=wsgi)])
    assert (await (await client_of(app)).get("/old/shop/1")).text == "/old|/shop/1"


def test_what_cannot_be_mounted_is_told_at_once():
    def wsgi(environ, start_response): ...

    for app in (wsgi, StaticFiles, "app"):
        with pytest.raises(TypeError, match=r"^mount '/old': .* is no ASGI application .*wsgi="):
            Mount("/old", app)
    with pytest.raises(TypeError, match=r"^host 'a.b': "):
        App().host("a.b", wsgi)
    for app in (Starlette(), App(), Router().__call__):
        Mount("/new", app)


async def test_hosts_come_before_paths(client_of):
    def tenant_home(tenant):
        return tenant

    app = App(
        [
            Route("/", answer("default"), name="default"),
            Host("api.example.com", routes=[Route("/", answer("api"), name="home")], name="api"),
            Host("{tenant}.example.com", routes=[Route("/", tenant_home)]),
        ]
    )
    client = await client_of(app)
    for host, text in {
        "API.example.com:8000": "api",
        "acme.example.com": "acme",
        "example.com": "default",
        "not a host": "default",
    }.items():
        assert (await client.get("/", headers={"host": host})).text == text


async def test_names(client_of):
    inner = App([Route("/i/{x}", answer("i"), name="i")])
    app = App(
        [
            Route("/items/{id:int}", show, name="item"),
            Mount("/shop/{tenant}", inner, name="shop"),
            Mount("/plain", routes=[Route("/p", answer("p"), name="p")]),
            Mount("/files", Starlette(), name="files"),
            Host("{t}.example.com", routes=[Route("/h", answer("h"), name="h")], name="host"),
        ]
    )
    assert app.url_for("item", id=3) == "/items/3"
    assert app.url_for("shop:i", tenant="ä", x="a/b") == "/shop/%C3%A4/i/a%2Fb"
    assert app.url_for("p") == "/plain/p"
    assert app.url_for("files", path="/a b.css") == "/files/a%20b.css"
    host = app.url_for("host:h", t="acme")
    assert (host, host.host) == ("/h", "acme.example.com")
    for name, params in [
        ("nothing", {}),
        ("item", {}),
        ("item", {"id": "x"}),
        ("item", {"id": 1, "y": 2}),
        ("shop:i", {}),
    ]:
        with pytest.raises(NoRoute):
            app.url_for(name, **params)


async def test_absolute_urls_from_inside_a_mount(client_of):
    def links(request):
        return [str(request.url_for(name)) for name in ("home", "m:here")] + [str(request.url_for("host:h", t="a"))]

    app = App(
        [
            Route("/", answer("home"), name="home"),
            Mount("/m", App([Route("/here", links, name="here")]), name="m"),
            Host("{t}.example.com", routes=[Route("/h", answer("h"), name="h")], name="host"),
        ]
    )
    client = await client_of(app, root_path="/r ü")
    assert (await client.get("/m/here", headers={"host": "x.org:81"})).json() == [
        "http://x.org:81/r%20%C3%BC/",
        "http://x.org:81/r%20%C3%BC/m/here",
        "http://a.example.com:81/r%20%C3%BC/h",
    ]
    assert (await client.get("/m/here", headers={"host": "x y"})).status == 400


async def test_two_templates_that_convert_in_their_own_way_do_not_shadow_each_other(client_of):
    router = Router()

    @router.get("/{id}", name="number")
    def number(id: int):
        return {"number": id}

    @router.get("/{id}", name="word")
    def word(id: str):
        return {"word": id}

    client = await client_of(App([Mount("/", router)]))
    assert (await client.get("/5")).json() == {"number": 5}
    assert (await client.get("/five")).json() == {"word": "five"}


def test_mount_takes_exactly_one_application():
    for arguments in ({}, {"app": App(), "routes": []}):
        with pytest.raises(TypeError, match="exactly one"):
            Mount("/x", **arguments)
    with pytest.raises(ValueError, match="colon"):
        Mount("/x", App(), name="a:b")
    with pytest.raises(TypeError, match="is not a Route"):
        App(["/x"])
    with pytest.raises(ValueError, match="trailing_slash"):
        App(trailing_slash="maybe")
