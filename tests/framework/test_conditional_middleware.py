"""What the conditional middleware does to responses, ours and foreign ones; the matrix itself is tested beside."""

from __future__ import annotations

import gc
import gzip
import weakref
from types import FunctionType

import anyio
import pytest
from starlette.applications import Starlette
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import Response as StarletteResponse
from starlette.responses import StreamingResponse as StarletteStream
from starlette.routing import Route as StarletteRoute

from tricorn import App, FileResponse, HTTPException, Middleware, Mount, Response, Route, StreamingResponse
from tricorn.caching.etag import ETag
from tricorn.middleware import CompressionMiddleware
from tricorn.middleware.conditional import MAX_HASHED_BYTES, ConditionalMiddleware
from tricorn.response import SeekableResponse

pytestmark = pytest.mark.anyio

BIG = b"0123456789" * 5000


def app_of(response, **options):
    async def handler():
        return response() if isinstance(response, FunctionType) else response

    return App([Route("/", handler)], **options)


# ------------------------------------------------------------------------------------------------- tags by content


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_body_in_one_piece_is_tagged_by_its_content(client_of, method):
    client = await client_of(app_of("hello"))
    response = await client.request(method, "/")
    assert response.headers["etag"] == str(ETag.of(b"hello"))
    assert response.headers["content-length"] == "5"
    assert response.body == (b"hello" if method == "GET" else b"")
    saved = await client.request(method, "/", headers={"if-none-match": response.headers["etag"]})
    assert (saved.status, saved.body) == (304, b"")
    assert saved.headers.multi_items() == [("etag", response.headers["etag"])]


@pytest.mark.parametrize(
    ("response", "options", "tag"),
    [
        (Response("x", headers={"etag": '"own"'}), {}, '"own"'),
        (Response("x", headers={"etag": "malformed"}), {}, "malformed"),
        (Response("x"), {"auto_etag": "weak"}, str(ETag.of(b"x", weak=True))),
        (Response("x"), {"auto_etag": None}, None),
        (Response("x"), {"etag": False}, None),
        (Response("x", headers={"cache-control": "private, No-Store"}), {}, None),
        (Response("x", headers=[("cache-control", "private"), ("cache-control", "no-store")]), {}, None),
        (
            Response("x", headers={"cache-control": "no-store", "cdn-cache-control": "max-age=9"}),
            {},
            str(ETag.of(b"x")),
        ),
        (Response("x", headers={"cache-control": "must-understand, no-store, max-age=9"}), {}, str(ETag.of(b"x"))),
        (Response("x", 201), {}, None),
        (Response("x", 404), {}, None),
        (Response(b"x" * MAX_HASHED_BYTES), {}, str(ETag.of(b"x" * MAX_HASHED_BYTES))),
        (Response(b"x" * (MAX_HASHED_BYTES + 1)), {}, None),
        (lambda: StreamingResponse([b"x"]), {}, None),
    ],
)
async def test_which_bodies_are_tagged(client_of, response, options, tag):
    client = await client_of(app_of(response, **options))
    for method in ("GET", "HEAD"):
        answer = await client.request(method, "/")
        assert answer.headers.get("etag") == tag
        assert len(answer.headers.getlist("etag")) == (tag is not None)


async def test_other_methods_are_left_alone(client_of):
    async def handler():
        return "done"

    client = await client_of(App([Route("/", handler, methods=("POST",))]))
    response = await client.post("/", headers={"if-none-match": "*", "if-match": '"x"'})
    assert (response.status, response.headers.get("etag")) == (200, None)  # it is too late to refuse


async def test_a_message_that_is_sent_again_stays_as_it_is(client_of):
    """An application may keep its messages and their lists."""
    start = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]}
    bodies = iter((b"one", b"two", b"x" * 20_000))

    async def app(scope, receive, send):
        await send(start)
        await send({"type": "http.response.body", "body": next(bodies)})

    client = await client_of(ConditionalMiddleware(app))
    tags = [(await client.get("/")).headers.getlist("etag") for _ in range(3)]
    assert tags == [[str(ETag.of(body))] for body in (b"one", b"two", b"x" * 20_000)]
    assert start["headers"] == [(b"content-type", b"text/plain")]


@pytest.mark.parametrize("headers", [[], [(b"if-none-match", b"*")], [(b"range", b"bytes=0-0")]])
async def test_a_request_is_freed_at_once(foreign, tmp_path, headers):
    """A reference cycle in every request would give a server's garbage collector half as much work again."""

    class Token:
        pass

    async def send(message):
        pass

    path = tmp_path / "file"
    path.write_bytes(b"content")
    for response in (Response("x"), lambda: FileResponse(path), lambda: StreamingResponse([b"x"])):
        app = App([Mount("/mount", app_of(response))])
        token = Token()
        gone = weakref.ref(token)
        scope = foreign(app, path="/mount/", headers=headers, token=token).scope
        del token
        gc.disable()
        try:
            await app(scope, anyio.sleep_forever, send)
            del scope
            await anyio.wait_all_tasks_blocked()  # the loop lets go of a task in the turn after its end
            assert gone() is None
        finally:
            gc.enable()


# ----------------------------------------------------------------------------------------------------- what is kept


async def test_what_a_304_and_a_412_keep(client_of):
    fields = {
        "etag": '"1"', "last-modified": "Sun, 06 Nov 1994 08:49:37 GMT", "cache-control": "max-age=5", "vary": "Origin",
        "expires": "Sun, 06 Nov 1994 08:50:37 GMT", "content-location": "/a", "cdn-cache-control": "max-age=9",
        "set-cookie": "a=b", "access-control-allow-origin": "*", "content-language": "de", "link": "</a>; rel=preload",
        "content-security-policy": "script-src 'nonce-1'", "content-disposition": "inline", "content-digest": "x",
    }  # fmt: skip
    client = await client_of(app_of(Response("x", headers=fields, media_type="text/plain")))
    saved = await client.get("/", headers={"if-none-match": '"1"'})
    assert saved.status == 304
    kept = {"etag", "cache-control", "vary", "expires", "content-location", "cdn-cache-control"}
    assert set(saved.headers) == kept | {"set-cookie", "access-control-allow-origin"}
    failed = await client.get("/", headers={"if-match": '"2"', "accept": "application/json"})
    assert failed.status == failed.json()["status"] == 412
    assert failed.headers["content-type"] == "application/problem+json"
    assert failed.headers["vary"] == "Accept, Origin"
    others = {"content-type", "content-length", "vary", "content-security-policy"}
    assert set(failed.headers) == others | {"set-cookie", "access-control-allow-origin"}


@pytest.mark.parametrize("inside", [False, True])
async def test_a_412_and_a_416_are_answered_by_the_application_s_handlers(client_of, tmp_path, inside):
    path = tmp_path / "file"
    path.write_bytes(BIG)
    fields = {"etag": '"1"', "access-control-allow-origin": "*", "cache-control": "max-age=5"}
    app = app_of(lambda: FileResponse(path, headers=fields))
    app.add(Route("/whole", lambda: Response(BIG, headers=fields)))

    @app.exception_handler(HTTPException)
    async def failed(request, error):
        return {"error": error.detail, "path": request.path}, error.status, {"x-own": "1"}

    @app.exception_handler(412)
    async def conflict(request, error):
        return StreamingResponse([b"first get ", b"it again"], 412)

    outer = App([Mount("/inner", app)]) if inside else app
    prefix = "/inner" if inside else ""
    client = await client_of(outer)
    for place in ("/", "/whole"):
        for method in ("GET", "HEAD"):
            stale = await client.request(method, prefix + place, headers={"if-match": '"2"'})
            assert (stale.status, stale.body) == (412, b"first get it again" if method == "GET" else b"")
            assert stale.headers["access-control-allow-origin"] == "*"
            assert not {"etag", "cache-control", "last-modified"} & set(stale.headers)
        beyond = await client.get(prefix + place, headers={"range": "bytes=50000-"})
        assert (beyond.status, beyond.headers["content-range"]) == (416, "bytes */50000")
        assert beyond.json() == {"error": "there are 50000 bytes", "path": prefix + place}
        assert (beyond.headers["x-own"], beyond.headers["access-control-allow-origin"]) == ("1", "*")
    client = await client_of(app_of(lambda: FileResponse(path), exception_handlers={416: lambda *_: 1 / 0}))
    with pytest.raises(ZeroDivisionError):
        await client.get("/", headers={"range": "bytes=50000-"})


async def test_last_modified_stands_in_for_a_tag(client_of):
    date = "Sun, 06 Nov 1994 08:49:37 GMT"
    client = await client_of(app_of(lambda: StreamingResponse([b"x"], headers={"last-modified": date})))
    saved = await client.get("/", headers={"if-modified-since": date})
    assert (saved.status, saved.headers.multi_items()) == (304, [("last-modified", date)])


# ---------------------------------------------------------------------------------------------------------- streams


async def test_a_stream_that_is_not_wanted_never_starts(client_of):
    events = []

    class Parts:
        def __aiter__(self):
            return self

        async def __anext__(self):
            events.append("asked")
            return b"x"

        async def aclose(self):
            events.append("closed")

    client = await client_of(app_of(lambda: StreamingResponse(Parts(), headers={"etag": '"1"'})))
    for fields, status in (({"if-none-match": '"1"'}, 304), ({"if-match": '"2"'}, 412)):
        assert (await client.get("/", headers=fields)).status == status
        assert events == ["closed"]
        events.clear()


async def test_a_stream_is_not_held_back(client_of):
    go = anyio.Event()

    async def parts():
        yield b"first"
        await go.wait()
        yield b"second"

    client = await client_of(app_of(lambda: StreamingResponse(parts(), headers={"etag": '"1"'})))
    async with client.stream("GET", "/", headers={"if-none-match": '"2"', "range": "bytes=0-1"}) as response:
        assert response.status == 200
        part = await response.next_part()
        assert (part or await response.next_part()) == b"first"
        go.set()
        assert await response.read() == b"second"


async def test_an_endless_foreign_stream_is_ended(client_of):
    count = 0

    async def endless():
        nonlocal count
        while True:
            count += 1
            yield b"x"

    foreign = Starlette(routes=[StarletteRoute("/", lambda _: StarletteStream(endless(), headers={"etag": '"1"'}))])
    client = await client_of(App([Mount("/", foreign)]))
    assert (await client.get("/", headers={"if-none-match": '"1"'})).status == 304
    assert count < 5


async def test_a_failure_after_a_304_is_no_secret(client_of):
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"etag", b'"1"')]})
        await send({"type": "http.response.body", "body": b"x", "more_body": True})
        raise LookupError("of its own")

    client = await client_of(ConditionalMiddleware(app))
    with pytest.raises(LookupError):
        await client.get("/", headers={"if-none-match": '"1"'})


# ------------------------------------------------------------------------------------------------- other middleware


async def test_foreign_responses_are_judged_too(client_of):
    async def page(_):
        return StarletteResponse(BIG, headers={"etag": '"1"'})

    client = await client_of(App([Mount("/", Starlette(routes=[StarletteRoute("/", page)]))]))
    part = await client.get("/", headers={"range": "bytes=5-9"})
    assert (part.status, part.body, part.headers["content-length"]) == (206, b"56789", "5")
    assert (await client.get("/", headers={"if-none-match": '"1"'})).status == 304


async def test_the_bytes_that_the_client_gets_are_tagged(client_of):
    class Shout:
        def __init__(self, app):
            self.app = app

        async def __call__(self, scope, receive, send):
            async def louder(message):
                if message["type"] == "http.response.body":
                    message = {**message, "body": message["body"].upper()}
                await send(message)

            await self.app(scope, receive, louder)

    client = await client_of(app_of("hello", middleware=[Shout]))
    response = await client.get("/")
    assert (response.body, response.headers["etag"]) == (b"HELLO", str(ETag.of(b"HELLO")))


async def test_no_ranges_of_what_trailers_speak_of(client_of):
    async def foreign(scope, receive, send):
        headers = [(b"content-length", b"50000")]
        await send({"type": "http.response.start", "status": 200, "headers": headers, "trailers": True})
        await send({"type": "http.response.body", "body": BIG})
        await send({"type": "http.response.trailers", "headers": [(b"x-sum", b"1")]})

    client = await client_of(App([Mount("/", foreign)]))
    whole = await client.get("/", headers={"range": "bytes=0-9"})
    assert (whole.status, whole.body, dict(whole.trailers)) == (200, BIG, {"x-sum": "1"})
    assert "accept-ranges" not in whole.headers
    saved = await client.get("/", headers={"if-none-match": whole.headers["etag"]})
    assert (saved.status, saved.body) == (304, b"")


@pytest.mark.parametrize("middleware", [[], [CompressionMiddleware]])
async def test_no_ranges_where_the_application_says_so(client_of, tmp_path, middleware):
    path = tmp_path / "data.txt"
    path.write_bytes(BIG)
    said = {"accept-ranges": "none"}
    for response in (
        lambda: Response(BIG, media_type="text/plain", headers=said),
        lambda: Response(BIG[:10], media_type="text/plain", headers=said),
        lambda: FileResponse(path, headers=said),
    ):
        client = await client_of(app_of(response, middleware=middleware))
        plain = await client.get("/")
        assert plain.headers["accept-ranges"] == "none"
        size = len(plain.body)
        for asked in ({"range": "bytes=0-0"}, {"range": "bytes=0-0", "accept-encoding": "gzip"}):
            whole = await client.get("/", headers=asked)
            body = gzip.decompress(whole.body) if "content-encoding" in whole.headers else whole.body
            assert (whole.status, len(body)) == (200, size)


async def test_no_ranges_over_a_coding_on_the_fly(client_of, tmp_path):
    """Starlette's middleware holds the start back, and sends the same message with other fields."""

    class Source:
        length = len(BIG)

        async def read(self, offset, count):
            yield BIG[offset : offset + count]

    path = tmp_path / "page.html"
    path.write_bytes(BIG)
    for response in (
        lambda: SeekableResponse(Source(), etag="1"),
        lambda: FileResponse(path),
        Response(BIG),
        lambda: StreamingResponse([BIG]),
    ):
        client = await client_of(app_of(response, middleware=[Middleware(GZipMiddleware)]))
        coded = await client.get("/", headers={"accept-encoding": "gzip", "range": "bytes=0-9"})
        assert (coded.status, coded.headers["content-encoding"]) == (200, "gzip")
        assert "accept-ranges" not in coded.headers
        assert gzip.decompress(coded.body) == BIG


async def test_an_application_in_an_application_is_judged_once_and_by_its_own_rules(client_of):
    inner = app_of("inner", auto_etag=None)
    client = await client_of(App([Mount("/inner", inner), Mount("/other", app_of("other", auto_etag="weak"))]))
    assert "etag" not in (await client.get("/inner/")).headers
    assert (await client.get("/other/")).headers["etag"] == str(ETag.of(b"other", weak=True))


async def test_an_error_before_the_body_is_answered(client_of):
    """The start that was held back is forgotten."""

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise HTTPException(503)

    client = await client_of(App([Mount("/", app)]), raise_app_exceptions=False)
    assert (await client.get("/")).status == 503


def test_options_are_checked():
    with pytest.raises(ValueError, match="auto_etag"):
        ConditionalMiddleware(app_of("x"), auto_etag="md5")
