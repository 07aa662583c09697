"""Early exit, and what is declared for routes, mounts and applications."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route as StarletteRoute

from tricorn import App, Host, HTTPException, Mount, Request, Response, Route, Router
from tricorn.caching import CacheControl, ETag
from tricorn.response import SeekableResponse
from tricorn_transports.http.dates import format_date, parse_date

pytestmark = pytest.mark.anyio

MOMENT = datetime(1994, 11, 6, 8, 49, 37, 250_000, tzinfo=UTC)
DATE = "Sun, 06 Nov 1994 08:49:37 GMT"

# ------------------------------------------------------------------------------------------------------- early exit


@pytest.mark.parametrize("sync", [False, True])
async def test_early_exit(client_of, sync):
    ran = []

    async def page(request: Request):
        request.check_preconditions(etag="v1", last_modified=MOMENT)
        ran.append(request.method)
        return "expensive"

    def in_thread(request: Request):
        request.check_preconditions(etag="v1", last_modified=MOMENT)
        ran.append(request.method)
        return "expensive"

    client = await client_of(App([Route("/", in_thread if sync else page)]))
    whole = await client.get("/")
    assert (whole.headers["etag"], whole.headers["last-modified"]) == ('"v1"', DATE)
    assert ran == ["GET"]
    for fields in ({"if-none-match": '"v1"'}, {"if-modified-since": DATE}):
        for method in ("GET", "HEAD"):
            saved = await client.request(method, "/", headers=fields)
            assert (saved.status, saved.headers.multi_items()) == (304, [("etag", '"v1"')])
    assert (await client.get("/", headers={"if-match": '"v2"'})).status == 412
    assert ran == ["GET"]
    assert (await client.get("/", headers={"if-none-match": '"v2"'})).body == b"expensive"


@pytest.mark.parametrize("declared", [False, True])
async def test_with_a_date_alone_there_is_no_tag_that_clients_would_name_instead(client_of, declared):
    ran = []

    async def page(request: Request):
        if not declared:
            request.check_preconditions(last_modified=MOMENT)
        ran.append(request.method)
        return "expensive"

    client = await client_of(App([Route("/", page, **({"last_modified": MOMENT} if declared else {}))]))
    whole = await client.get("/")
    assert (whole.headers["last-modified"], "etag" in whole.headers) == (DATE, False)
    assert (await client.get("/", headers={"if-modified-since": whole.headers["last-modified"]})).status == 304
    assert ran == ["GET"]
    part = await client.get("/", headers={"range": "bytes=0-1", "if-range": DATE})
    assert (part.status, part.body) == (206, b"ex")


@pytest.mark.parametrize("said", ["checked", "declared", "source"])
async def test_last_modified_is_never_in_the_future(client_of, said):
    """Section 8.8.2.1: a clock that runs ahead must not keep clients from what changes meanwhile."""
    ahead = time.time() + 100_000

    class Source:
        length = 1

        async def read(self, offset, count):
            yield b"x"

    async def page(request: Request):
        if said == "checked":
            request.check_preconditions(last_modified=ahead)
        return SeekableResponse(Source(), last_modified=ahead) if said == "source" else "x"

    client = await client_of(App([Route("/", page, **({"last_modified": ahead} if said == "declared" else {}))]))
    for fields in ({}, {"if-modified-since": format_date(ahead)}):
        response = await client.get("/", headers=fields)
        assert parse_date(response.headers["last-modified"]) <= time.time()


@pytest.mark.parametrize("more", [(), (200,)], ids=["alone", "with a status"])
async def test_a_response_s_own_validators_win_and_a_shared_one_is_not_changed(client_of, more):
    shared = Response("x")
    versions = iter(("one", "two"))

    async def page(request: Request):
        request.check_preconditions(etag=next(versions))
        return (shared, *more) if more else shared

    async def own(request: Request):
        request.check_preconditions(etag="checked")
        return Response("x", headers={"etag": '"own"'})

    client = await client_of(App([Route("/", page), Route("/own", own)]))
    assert [(await client.get("/")).headers.getlist("etag") for _ in range(2)] == [['"one"'], ['"two"']]
    assert (await client.get("/own")).headers.getlist("etag") == ['"own"']


@pytest.mark.parametrize("declared", [{}, {"cache": "max-age=9", "vary": "Origin"}])
async def test_a_304_says_of_caching_what_the_200_says(client_of, declared):
    """RFC 9110 section 15.4.5, also where the handler decides on it and does not run to its end."""

    async def page(request: Request, name: str):
        if name == "own":
            request.check_preconditions(etag="v1", cache="no-cache", vary="Cookie")
            return "x", {"cache-control": "private", "vary": "Cookie, Accept"}
        policy = CacheControl.private(max_age=60) if name == "mine" else CacheControl.public(max_age=60)
        request.check_preconditions(etag="v1", cache=policy, vary=("Cookie", "accept"))
        return ("gone", 410) if name == "gone" else "x"

    client = await client_of(App([Route("/{name}", page, **declared)]))
    vary = "Cookie, accept" + (", Origin" if declared else "")
    for name, policy in (("mine", "private, max-age=60"), ("ours", "public, max-age=60")):
        for fields, status in (({}, 200), ({"if-none-match": '"v1"'}, 304)):
            response = await client.get(f"/{name}", headers=fields)
            caching = response.headers.getlist("cache-control"), response.headers.getlist("vary")
            assert (response.status, *caching) == (status, [policy], [vary])
    gone = await client.get("/gone")
    assert (gone.headers.get("cache-control"), gone.headers["vary"]) == (None, vary)
    own = await client.get("/own")
    assert own.headers.getlist("cache-control") == ["private"]
    assert own.headers.getlist("vary") == ["Cookie, Accept" + (", Origin" if declared else "")]


async def test_what_is_checked_is_held_to_what_may_be_declared(client_of):
    async def page(request: Request):
        request.check_preconditions(cache="no-store, max-age=5")

    client = await client_of(App([Route("/", page)]))
    with pytest.raises(ValueError, match="no-store contradicts max-age"):
        await client.get("/")


@pytest.mark.parametrize("fields", [{}, {"if-none-match": '"v1"'}])
async def test_checks_of_generators(client_of, fields):
    """Before the first part they are as good as any; behind it the head is out, and a 304 would be a broken 200."""

    async def late(request: Request):
        yield "x"
        request.check_preconditions(etag="v1")

    async def generator(request: Request):
        request.check_preconditions(etag="v1")
        yield "x"

    async def page(request: Request):
        request.check_preconditions(etag="v1")

        async def parts():
            yield "x"

        return parts()

    client = await client_of(App([Route("/late", late), Route("/generator", generator), Route("/page", page)]))
    with pytest.raises(RuntimeError, match=r"too late.*declare etag="):
        await client.get("/late", headers=fields)
    for path in ("/generator", "/page"):
        response = await client.get(path, headers=fields)
        assert (response.status, response.headers["etag"]) == (304 if fields else 200, '"v1"')


async def test_changes(client_of):
    item = {"version": 1}

    async def change(request: Request):
        request.check_preconditions(etag=f"v{item.get('version')}", exists=bool(item))
        item["version"] = item.get("version", 0) + 1
        return "changed"

    client = await client_of(App([Route("/", change, methods=("PUT",))]))
    assert (await client.put("/", headers={"if-match": '"v0"'})).status == 412
    changed = await client.put("/", headers={"if-match": '"v1"'})
    assert (changed.status, changed.headers.get("etag")) == (200, None)  # that of before would be wrong
    assert (await client.put("/", headers={"if-none-match": "*"})).status == 412
    item.clear()
    assert (await client.put("/", headers={"if-none-match": "*"})).status == 200


async def test_a_check_in_a_middleware(client_of):
    class Checked:
        def __init__(self, app):
            self.app = app

        async def __call__(self, scope, receive, send):
            Request(scope, receive, send).check_preconditions(etag="deploy-7", cache="no-cache", vary="Accept")
            await self.app(scope, receive, send)

    async def page():
        return "x"

    client = await client_of(App([Route("/", page)], middleware=[Checked]))
    saved = await client.get("/", headers={"if-none-match": '"deploy-7"'})
    assert (saved.status, saved.headers["etag"]) == (304, '"deploy-7"')
    assert (saved.headers["cache-control"], saved.headers["vary"]) == ("no-cache", "Accept")
    assert (await client.get("/", headers={"if-match": '"deploy-6"'})).status == 412


# --------------------------------------------------------------------------------------------------------- declared


async def tag(request: Request):
    return request.path_params.get("version")


def moment(request: Request):
    return MOMENT


@pytest.mark.parametrize(
    ("options", "fields"),
    [
        ({"etag": "v1"}, {"etag": '"v1"'}),
        ({"etag": ETag("v1", weak=True)}, {"etag": 'W/"v1"'}),
        ({"etag": tag}, {"etag": '"v1"'}),
        ({"etag": lambda request: 'W/"v1"'}, {"etag": 'W/"v1"'}),
        ({"last_modified": MOMENT}, {"last-modified": DATE}),
        ({"last_modified": MOMENT.timestamp()}, {"last-modified": DATE}),
        ({"last_modified": moment}, {"last-modified": DATE}),
        ({"cache": "no-cache"}, {"cache-control": "no-cache"}),
        ({"vary": "Accept-Language"}, {"vary": "Accept-Language"}),
        ({"vary": ["Origin", "Cookie"]}, {"vary": "Origin, Cookie"}),
    ],
)
@pytest.mark.parametrize("where", ["route", "mount", "host", "app", "foreign", "router"])
async def test_where_things_are_declared(client_of, options, fields, where):
    async def page():
        return "x"

    async def foreign_page(request):
        return PlainTextResponse("x")

    foreign = Starlette(routes=[StarletteRoute("/{version}", foreign_page)])
    path = "/{version}"
    routes = {
        "route": [Route(path, page, **options)],
        "mount": [Mount("", routes=[Route(path, page)], **options)],
        "host": [Host("testserver", routes=[Route(path, page)], **options)],
        "router": [Mount("", Router([Route(path, page, **options)]))],
        "app": [Route(path, page)],
        "foreign": [Mount("", foreign, **(options if options.get("etag") is not tag else {"etag": "v1"}))],
    }[where]
    client = await client_of(App(routes, **(options if where == "app" else {})))
    response = await client.get("/v1")
    assert response.body == b"x"
    for name, value in fields.items():
        assert response.headers.getlist(name) == [value]
    condition = {"etag": "if-none-match", "last-modified": "if-modified-since"}
    for name in fields.keys() & condition.keys():
        assert (await client.get("/v1", headers={condition[name]: fields[name]})).status == 304


async def test_the_innermost_decides_and_vary_adds_up(client_of):
    async def page():
        return "x"

    async def own():
        return Response("x", headers={"cache-control": "private", "vary": "Accept"})

    routes = [
        Route("/inner", page, cache="max-age=1", etag="inner", vary="Cookie"),
        Route("/outer", page),
        Route("/own", own),
        Route("/nothing", page, cache=CacheControl()),
        Route("/gone", lambda: Response("x", 410)),
    ]
    app = App([Mount("/m", routes=routes, cache="max-age=2", vary=("Origin", "cookie"))], cache="max-age=3", etag="app")
    client = await client_of(app)

    async def fields(path):
        headers = (await client.get(path)).headers
        return headers.get("cache-control"), headers.get("etag"), headers.get("vary")

    assert await fields("/m/inner") == ("max-age=1", '"inner"', "Origin, cookie")
    assert await fields("/m/outer") == ("max-age=2", '"app"', "Origin, cookie")
    assert await fields("/m/own") == ("private", '"app"', "Accept, Origin, cookie")
    assert await fields("/m/nothing") == (None, '"app"', "Origin, cookie")
    assert await fields("/m/gone") == (None, None, "Origin, cookie")  # an error is nothing to keep
    saved = await client.get("/m/outer", headers={"if-none-match": '"app"'})
    assert (saved.status, saved.headers["cache-control"], saved.headers["vary"]) == (304, "max-age=2", "Origin, cookie")
    assert (await client.get("/m/none", headers={"if-none-match": '"app"'})).status == 404


async def test_errors_that_are_raised_vary_as_the_response_would_have(client_of):
    """A cache keeps a 404, too, and it may be in the language of whoever asked first."""

    class Sold(Exception):
        pass

    async def page(request: Request, name: str):
        if name == "checked":
            request.check_preconditions(etag="v1", vary="Cookie")
        if name == "sold":
            raise Sold
        raise HTTPException(404, headers={"vary": "Accept"})

    app = App([Mount("/m", routes=[Route("/{name}", page, vary="Accept-Language")], vary="Origin")])

    @app.exception_handler(Sold)
    async def sold(request, error):
        return "sold", 410

    client = await client_of(app)
    declared = "Origin, Accept-Language"
    for name, status, vary in (
        ("gone", 404, f"Accept, {declared}"),
        ("checked", 404, f"Accept, {declared}, Cookie"),
        ("sold", 410, declared),
    ):
        response = await client.get(f"/m/{name}")
        assert (response.status, response.headers["vary"]) == (status, vary)


async def test_declared_validators_are_judged_before_the_handler(client_of):
    ran = []

    async def page(request: Request):
        ran.append(request.method)
        return "x"

    client = await client_of(App([Route("/{version}", page, methods=("GET", "PUT"), etag=tag)]))
    assert (await client.get("/v1", headers={"if-none-match": '"v1"'})).status == 304
    assert (await client.put("/v1", headers={"if-match": '"v2"'})).status == 412
    assert ran == []
    assert (await client.put("/v1", headers={"if-match": '"v1"'})).status == 200
    assert ran == ["PUT"]


async def test_validators_are_asked_for_only_where_something_is_made_of_them(client_of):
    asked = []

    def version(request: Request):
        asked.append(request.method)
        return "v1"

    async def page(request: Request):
        return "x"

    client = await client_of(App([Route("/", page, methods=("GET", "PUT"), etag=version)]))
    for method, fields, status in (
        ("PUT", {}, 200),
        ("PUT", {"if-match": '"v1"'}, 200),
        ("PUT", {"if-match": '"v2"'}, 412),
        ("GET", {}, 200),
    ):
        assert (await client.request(method, "/", headers=fields)).status == status
    assert asked == ["PUT", "PUT", "GET"]


async def test_a_resource_that_is_not_there(client_of):
    """RFC 9110 section 13.2.1: what would be a 404 stays one; to be created it must be absent."""

    async def page(request: Request):
        if request.method == "GET":
            raise HTTPException(404)
        return "made"

    async def checked(request: Request):
        request.check_preconditions(exists=False)
        return await page(request)

    methods = ("GET", "PUT")
    routes = [Route("/", page, methods=methods, etag=lambda request: None), Route("/checked", checked, methods=methods)]
    client = await client_of(App(routes))
    for path in ("/", "/checked"):
        assert (await client.get(path, headers={"if-match": '"x"', "if-none-match": "*"})).status == 404
        assert (await client.put(path, headers={"if-match": "*"})).status == 412
        assert (await client.put(path, headers={"if-none-match": "*"})).status == 200


async def test_required_preconditions(client_of):
    ran = []

    async def handler(request: Request):
        ran.append(request.method)
        return "x"

    methods = ("GET", "POST", "QUERY")

    async def foreign(request):
        ran.append(request.method)
        return PlainTextResponse("x")

    app = App(
        [
            Route("/", handler, methods=methods),
            Route("/free", handler, methods=methods, require_preconditions=False),
            Mount("/foreign", Starlette(routes=[StarletteRoute("/", foreign, methods=["POST"])])),
        ],
        require_preconditions=True,
    )
    client = await client_of(app)
    for path in ("/", "/foreign/"):
        refused = await client.post(path)
        assert refused.status == 428
        assert "If-Match" in refused.text
        assert (await client.post(path, headers={"if-modified-since": DATE})).status == 428
        assert (await client.post(path, headers={"if-unmodified-since": "soon"})).status == 428
    assert ran == []
    for path, method, fields in (
        ("/free", "POST", {}), ("/", "GET", {}), ("/", "QUERY", {}), ("/", "OPTIONS", {}),
        ("/", "POST", {"if-match": '"x"'}), ("/", "POST", {"if-unmodified-since": DATE}),
        ("/foreign/", "POST", {"if-match": '"x"'}),
    ):  # fmt: skip
        assert (await client.request(method, path, headers=fields)).status in (200, 204)


async def test_a_date_that_guards_nothing_is_no_precondition(client_of):
    async def change(request: Request):
        request.check_preconditions(etag="v1")
        return "changed"

    client = await client_of(App([Route("/", change, methods=("PUT",), require_preconditions=True)]))
    assert (await client.put("/", headers={"if-unmodified-since": DATE})).status == 428
    assert (await client.put("/", headers={"if-match": '"v1"'})).status == 200


@pytest.mark.parametrize("declared", [{}, {"cache": "public, max-age=60", "etag": '"ours"', "vary": "Accept"}])
async def test_a_foreign_application_s_field_names_are_read_in_whatever_case(client_of, declared):
    async def django(scope, receive, send):
        fields = [(b"ETag", b'"own"'), (b"Cache-Control", b"no-store"), (b"Vary", b"Cookie")]
        await send({"type": "http.response.start", "status": 200, "headers": fields})
        await send({"type": "http.response.body", "body": b"x"})

    client = await client_of(App([Mount("/", django, **declared)]))
    whole = await client.get("/")
    assert [whole.headers.getlist(name) for name in ("etag", "cache-control")] == [['"own"'], ["no-store"]]
    assert whole.headers["vary"] == ("Cookie, Accept" if declared else "Cookie")
    assert (await client.get("/", headers={"if-none-match": '"own"'})).status == 304


def test_declarations_are_checked():
    async def page():
        return "x"

    for options, error, match in (
        ({"etags": "x"}, TypeError, "no option 'etags'"),
        ({"etag": 'a"b'}, ValueError, "entity tag"),
        ({"vary": "a b"}, ValueError, "no field name"),
        ({"cache": "a\nb"}, ValueError, "CR, LF"),
        ({"cache": "public, max-age=60, no-store"}, ValueError, "no-store contradicts public"),
        ({"last_modified": datetime(2024, 1, 1)}, ValueError, "time zone"),
        ({"cache": "max_age=60"}, ValueError, "is max-age meant"),
        ({"cache": "max-age=1h"}, ValueError, "no number of seconds"),
        ({"cache": "public; max-age=60"}, ValueError, "no directive's name"),
        ({"cache": "max-age=5, max-age=6"}, ValueError, "caches may take either"),
        ({"cache": {"max_age": 60}}, TypeError, "a CacheControl or its text"),
        ({"cache": 60}, TypeError, "a CacheControl or its text"),
        ({"last_modified": DATE}, TypeError, "a datetime or seconds"),
        ({"etag": 7}, TypeError, "an entity tag is text"),
    ):
        with pytest.raises(error, match=match):
            Route("/", page, **options)
