"""Which way a hint goes: by mode, by what the server offers, and by what the client can use; and never two ways."""

import pytest

from tricorn import App, Request
from tricorn.hints import Hint, Hinting

pytestmark = pytest.mark.anyio

LINK = "</app.css>; rel=preload; as=style"
PAGE = {"accept": "text/html,*/*;q=0.8"}
NAVIGATION = {"sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}


def site(hinting="auto", *, url="/app.css", **attributes):
    app = App(hinting=hinting)

    @app.route("/", methods=["GET", "POST"])
    async def page(request: Request):
        await request.hint(url, **attributes)
        return "page"

    return app


def ways(response):
    """What the client was told: pushed paths, links of 103s, links of the response."""
    pushed = [push.path for push in response.pushes]
    return pushed, [link for links in response.early_hints for link in links], response.headers.getlist("link")


PUSHED, EARLY, LINKED, SILENT = (["/app.css"], [], []), ([], [LINK], []), ([], [], [LINK]), ([], [], [])


@pytest.mark.parametrize(
    ("mode", "expected"),
    [  # HTTP/1.0, 1.1, 2 and 3
        ("auto", (LINKED, LINKED, PUSHED, EARLY)),
        ("push", (LINKED, LINKED, PUSHED, LINKED)),
        ("early", (LINKED, LINKED, EARLY, EARLY)),
        ("link", (LINKED, LINKED, LINKED, LINKED)),
        ("off", (SILENT, SILENT, SILENT, SILENT)),
        (Hinting(early_versions=("1.1", "2")), (LINKED, EARLY, PUSHED, LINKED)),
    ],
)
async def test_modes_by_version(client_of, mode, expected):
    app = site(mode)
    for version, outcome in zip(("1.0", "1.1", "2", "3"), expected, strict=True):
        response = await (await client_of(app, http_version=version)).get("/", headers=PAGE)
        assert ways(response) == outcome, version


@pytest.mark.parametrize(
    ("headers", "outcome"),
    [
        (PAGE, EARLY),
        (NAVIGATION, EARLY),
        ({"sec-fetch-mode": "navigate"}, EARLY),
        ({}, LINKED),
        ({"accept": "*/*"}, LINKED),
        ({**PAGE, "sec-fetch-mode": "cors"}, LINKED),
        ({**PAGE, "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"}, LINKED),
    ],
)
async def test_a_103_is_for_navigations(client_of, headers, outcome):
    client = await client_of(site(), http_version="3")
    assert ways(await client.get("/", headers=headers)) == outcome
    anyone = await client_of(site(Hinting(navigations_only=False)), http_version="3")
    assert ways(await anyone.get("/", headers=headers)) == EARLY


async def test_head_and_post_get_a_link_only(client_of):
    for version in ("2", "3"):
        client = await client_of(site(), http_version=version)
        assert ways(await client.head("/", headers=PAGE)) == LINKED
        assert ways(await client.post("/", headers=PAGE)) == LINKED


@pytest.mark.parametrize(
    ("url", "attributes", "path"),
    [
        ("/app.css", {}, "/app.css"),
        ("app.css?v=1#top", {"as_": "style"}, "/app.css?v=1"),
        ("https://testserver/å b.css", {}, "/%C3%A5%20b.css"),
        ("/m.js", {"rel": "modulepreload"}, "/m.js"),
        ("//testserver/app.css", {}, "/app.css"),
        ("//elsewhere/app.css", {}, None),
        ("https://testserver:444/app.css", {}, None),
        ("http://testserver/app.css", {}, None),
        ("https://testserver", {"rel": "preconnect"}, None),
        ("/print.css", {"media": "print"}, None),
    ],
)
async def test_only_what_is_on_this_host_and_surely_wanted_is_pushed(client_of, url, attributes, path):
    client = await client_of(site(url=url, **attributes), http_version="2", base_url="https://testserver")
    response = await client.get("/", headers=PAGE)
    assert [push.path for push in response.pushes] == ([path] if path else [])
    assert len(response.early_hints) == (0 if path else 1)


async def test_a_relation_that_is_nothing_for_a_103_is_a_link(client_of):
    client = await client_of(site(url="/next", rel="prefetch"), http_version="3")
    assert ways(await client.get("/", headers=PAGE)) == ([], [], ["</next>; rel=prefetch"])


@pytest.mark.parametrize("version", ["1.1", "2", "3"])
async def test_one_resource_is_told_of_once(client_of, version):
    app = App()

    @app.get("/", hints="/app.css")
    async def page(request: Request):
        await request.hint("/app.css", as_="style")
        await request.hint_all("app.css", Hint("/./app.css#x"))
        return "page", {"link": '</app.css>; rel="preload"; as=style, </next>; rel=next'}

    response = await (await client_of(app, http_version=version)).get("/", headers=PAGE)
    pushed, early, linked = ways(response)
    assert linked.pop(0) == "</next>; rel=next"
    assert len(pushed) + len(early) + len(linked) == 1


async def test_a_promise_has_what_the_client_would_have_sent(client_of):
    app = App()

    @app.get("/")
    async def page(request: Request):
        await request.hint("/app.css", fetchpriority="high")
        await request.hint("/data", as_="fetch", type="application/json")
        await request.push("/own", {"accept-language": "sv", "cookie": "a=1", "if-none-match": '"x"', "host": "evil"})
        return "page"

    sent = {
        **PAGE,
        "accept-language": "de",
        "accept-encoding": "br",
        "user-agent": "test",
        "cookie": "secret=1",
        "authorization": "Basic c2VjcmV0",
        "if-none-match": '"page"',
        "range": "bytes=0-1",
        "referer": "https://testserver/",
    }
    response = await (await client_of(app, http_version="2")).get("/", headers=sent)
    style, data, own = (dict(push.headers) for push in response.pushes)
    parent = {"accept-language": "de", "accept-encoding": "br", "user-agent": "test"}
    assert style == {**parent, "accept": "text/css,*/*;q=0.1", "priority": "u=2"}
    assert data == {**parent, "accept": "application/json,*/*;q=0.1"}
    assert own == {**parent, **PAGE, "accept-language": "sv", "cookie": "a=1", "if-none-match": '"x"'}


async def test_links_of_the_response_are_pushed_unless_they_refuse(client_of):
    link = "</a.css>; rel=preload; as=style, </b.js>; rel=preload; nopush, <https://cdn.test/c.js>; rel=preload"
    app = App()

    @app.get("/{status:int}")
    def page(status: int):
        return "page", status, [("link", link), ("link", "</>; rel=canonical"), ("link", "</d.js>;rel=preload")]

    pushing = await client_of(app, http_version="2")
    response = await pushing.get("/200", headers=PAGE)
    kept = ["</b.js>; rel=preload; nopush, <https://cdn.test/c.js>; rel=preload", "</>; rel=canonical"]
    assert ways(response) == (["/a.css", "/d.js"], [], kept)
    as_it_was = ([], [], [link, "</>; rel=canonical", "</d.js>;rel=preload"])
    assert ways(await pushing.head("/200", headers=PAGE)) == as_it_was
    assert ways(await pushing.get("/404", headers=PAGE)) == as_it_was
    assert ways(await (await client_of(app, http_version="3")).get("/200", headers=PAGE)) == as_it_was
    for mode in ("link", "early", "off"):
        app.hinting = Hinting(mode=mode)
        assert ways(await pushing.get("/200", headers=PAGE)) == as_it_was, mode


@pytest.mark.parametrize("version", ["1.1", "2", "3"])
async def test_a_hint_after_the_start_does_nothing(client_of, version):
    app = App()

    @app.get("/")
    async def page(request: Request):
        yield "a"
        await request.hint("/app.css", as_="style")
        yield "b"

    response = await (await client_of(app, http_version=version)).get("/", headers=PAGE)
    assert (ways(response), response.text) == (SILENT, "ab")


async def test_a_304_has_no_link(client_of):
    client = await client_of(site(), http_version="1.1")
    etag = (await client.get("/")).headers["etag"]
    response = await client.get("/", headers={"if-none-match": etag})
    assert (response.status, ways(response)) == (304, SILENT)


@pytest.mark.parametrize("version", ["1.1", "2", "3"])
async def test_an_error_after_a_hint_is_an_ordinary_error(client_of, version):
    app = App()

    @app.get("/")
    async def page(request: Request):
        await request.hint("/app.css", as_="style")
        request.query["missing"]

    client = await client_of(app, http_version=version, raise_app_exceptions=False)
    assert (await client.get("/", headers=PAGE)).status == 500


async def test_middleware_and_inner_applications_hint_too(client_of):
    inner = App(hinting="off")

    @inner.get("/")
    async def page(request: Request):
        await request.hint("/inner.css")
        return "page"

    class Adds:
        def __init__(self, app):
            self.app = app

        async def __call__(self, scope, receive, send):
            await Request(scope, receive, send).hint("/outer.css")
            await self.app(scope, receive, send)

    app = App(middleware=[Adds])
    app.mount("/in", inner)
    response = await (await client_of(app, http_version="1.1")).get("/in/")
    links = ["</outer.css>; rel=preload; as=style", "</inner.css>; rel=preload; as=style"]
    assert ways(response) == ([], [], links), "the outer application's choice holds"


async def test_a_foreign_server_without_extensions_gets_links(foreign):
    server = foreign(site(), headers=[(b"accept", b"text/html")], http_version="2")
    await server.run()
    assert server.headers[b"link"] == LINK.encode()
    server = foreign(site(), headers=[(b"accept", b"text/html")], http_version="2", extensions={})
    await server.run()
    assert server.headers[b"link"] == LINK.encode()


async def test_several_hints_are_one_message_for_any_server(foreign):
    app = App()

    @app.get("/", hints=["/a.css", "/b.js"])
    async def page(request: Request):
        await request.hint_all("/c.css", "/d.css")
        return "page"

    offers = {"http.response.early_hint": {}}
    server = foreign(app, headers=[(b"accept", b"text/html")], http_version="2", extensions=offers)
    await server.run()
    hints = [message["links"] for message in server.sent if message["type"] == "http.response.early_hint"]
    assert [[link.split(b">")[0] for link in links] for links in hints] == [
        [b"</a.css", b"</b.js"],
        [b"</c.css", b"</d.css"],
    ]


@pytest.mark.parametrize(
    ("extra", "kind"),
    [
        ([], "http.response.push"),
        ([(b"sec-fetch-mode", b"navigate")], "http.response.early_hint"),
    ],
)
async def test_a_server_that_cannot_say_what_became_of_a_push_makes_none_to_a_browser(foreign, extra, kind):
    offers = {"http.response.push": {}, "http.response.early_hint": {}}
    server = foreign(site(), headers=[(b"accept", b"text/html"), *extra], http_version="2", extensions=offers)
    await server.run()
    assert [message["type"] for message in server.sent][:2] == [kind, "http.response.start"]


@pytest.mark.parametrize("outcome", ["promised", "known", "refused"])
async def test_a_server_that_says_is_believed(foreign, outcome):
    asked = []

    def promise(path, headers):
        asked.append((path, dict(headers)[b"accept"]))
        return outcome

    offers = {"http.response.push": {}, "http.response.early_hint": {}, "tricorn.push": {"promise": promise}}
    fields = [(b"accept", b"text/html"), (b"sec-fetch-mode", b"navigate")]
    server = foreign(site(), headers=fields, http_version="2", extensions=offers)
    await server.run()
    assert asked == [("/app.css", b"text/css,*/*;q=0.1")]
    hinted = [message for message in server.sent if message["type"] == "http.response.early_hint"]
    assert len(hinted) == (1 if outcome == "refused" else 0)
    assert not any(message["type"] == "http.response.push" for message in server.sent)


async def test_a_client_that_left_is_hinted_in_vain(foreign):
    server = foreign(
        site(), headers=[(b"accept", b"text/html")], http_version="2", extensions={"http.response.push": {}}
    )
    server.gone.set()
    await server.run()
    assert server.sent == []


@pytest.mark.parametrize(("argument", "complaint"), [("fast", "mode"), (Hinting, "mode")])
def test_there_is_no_other_mode(argument, complaint):
    with pytest.raises(ValueError, match=complaint):
        App(hinting=argument)


def test_http_1_0_never_gets_a_103():
    with pytest.raises(ValueError, match=r"HTTP/1\.0"):
        Hinting(early_versions={"1.0", "2"})
