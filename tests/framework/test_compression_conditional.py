"""Compression together with conditional requests and ranges (RFC 9110 sections 8.8.3.3, 13 and 14), in either order."""

from __future__ import annotations

import gzip

import brotli
import pytest

from tricorn import App, FileResponse, Middleware, Request, Response, Route, SeekableResponse, StreamingResponse
from tricorn.caching.etag import ETag
from tricorn.middleware.compression import CompressionMiddleware
from tricorn.middleware.conditional import ConditionalMiddleware

pytestmark = pytest.mark.anyio

TEXT = b"".join(b"line %d of a text that is worth it\n" % number for number in range(200))
DATE = "Sun, 06 Nov 1994 08:49:37 GMT"


class Source:
    """A seekable source that remembers what was read."""

    length = len(TEXT)

    def __init__(self):
        self.read_bytes = 0

    async def read(self, offset, count):
        self.read_bytes += count
        yield TEXT[offset : offset + count]


def whole(**headers):
    return Response(TEXT, headers=headers, media_type="text/plain")


def stream(**headers):
    return StreamingResponse([TEXT], headers=headers, media_type="text/plain")


def seekable(**headers):
    return SeekableResponse(Source(), headers=headers, media_type="text/plain")


KINDS = [whole, stream, seekable]
every_kind = pytest.mark.parametrize("kind", KINDS)
cuttable = pytest.mark.parametrize("kind", [whole, seekable])


def inside(app):
    """As in an application's list of middleware: the conditional middleware judges what is coded."""
    return App([Route("/", app)], middleware=[CompressionMiddleware])


def outside(app):
    """Around the application: what was judged is coded."""
    return CompressionMiddleware(App([Route("/", app)]))


def twice(app):
    return CompressionMiddleware(inside(app))


either_order = pytest.mark.parametrize("order", [inside, outside, twice])


@pytest.fixture
def opened(client_of):
    async def open_client(order, kind, **fields):
        async def handler():
            return kind(**fields)

        return await client_of(order(handler))

    return open_client


# ----------------------------------------------------------------------------------------------------------------- tags


@either_order
@every_kind
async def test_the_coded_response_has_a_weak_tag(opened, order, kind):
    client = await opened(order, kind, etag='"1"')
    coded = await client.get("/", headers={"accept-encoding": "gzip"})
    assert coded.headers.getlist("etag") == ['W/"1"']
    assert (coded.headers.getlist("content-encoding"), gzip.decompress(coded.body)) == (["gzip"], TEXT)
    plain = await client.get("/")
    assert (plain.headers["etag"], plain.body) == ('"1"', TEXT)
    assert coded.headers["vary"] == plain.headers["vary"] == "Accept-Encoding"


@either_order
@every_kind
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("named", ['W/"1"', '"0", W/"1"', "*"])
async def test_the_weak_tag_is_not_modified(opened, order, kind, method, named):
    """And the 304 has the tag of the copy that the client has, or no cache would use it (RFC 9111 section 4.3.4)."""
    client = await opened(order, kind, etag='"1"')
    saved = await client.request(method, "/", headers={"accept-encoding": "gzip", "if-none-match": named})
    assert (saved.status, saved.body) == (304, b"")
    if named != "*":
        assert saved.headers["etag"] == 'W/"1"'
    assert saved.headers["vary"] == "Accept-Encoding"
    assert "content-encoding" not in saved.headers


@either_order
@every_kind
async def test_the_strong_tag_is_not_modified_without_a_coding(opened, order, kind):
    client = await opened(order, kind, etag='"1"')
    saved = await client.get("/", headers={"if-none-match": '"1"'})
    assert (saved.status, saved.headers["etag"], saved.headers["vary"]) == (304, '"1"', "Accept-Encoding")


@either_order
async def test_a_cache_that_has_both_is_told_which(opened, order):
    client = await opened(order, whole, etag='"1"')
    both = '"1", W/"1"'
    assert (await client.get("/", headers={"if-none-match": both})).headers["etag"] == '"1"'
    coded = await client.get("/", headers={"if-none-match": both, "accept-encoding": "br"})
    assert (coded.status, coded.headers["etag"]) == (304, 'W/"1"')


@either_order
async def test_another_tag_is_answered_in_full(opened, order):
    client = await opened(order, whole, etag='"1"')
    fields = {"accept-encoding": "br", "if-none-match": 'W/"2", "3"'}
    assert brotli.decompress((await client.get("/", headers=fields)).body) == TEXT


@either_order
async def test_a_date_is_enough(opened, order):
    client = await opened(order, whole, **{"last-modified": DATE})
    fields = {"accept-encoding": "br", "if-modified-since": DATE}
    saved = await client.get("/", headers=fields)
    assert (saved.status, saved.headers["vary"]) == (304, "Accept-Encoding")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_content_is_tagged_before_it_is_coded(opened, method):
    """A revalidation costs a hash and no compression, and HEAD knows the tag too."""
    client = await opened(inside, whole)
    tag = str(ETag.of(TEXT, weak=True))
    fields = {"accept-encoding": "gzip"}
    assert (await client.request(method, "/", headers=fields)).headers["etag"] == tag
    saved = await client.request(method, "/", headers={**fields, "if-none-match": tag})
    assert (saved.status, saved.headers.multi_items()) == (304, [("etag", tag), ("vary", "Accept-Encoding")])


@pytest.mark.parametrize(
    ("fields", "options"),
    [
        ({"cache-control": "no-store"}, {}),
        ({"etag": "malformed"}, {}),
        ({}, {"etag": False}),
        ({}, {"auto_etag": None}),
    ],
)
async def test_content_is_not_tagged_where_it_would_not_be(client_of, fields, options):
    async def handler():
        return whole(**fields)

    client = await client_of(App([Route("/", handler)], middleware=[CompressionMiddleware], **options))
    coded = await client.get("/", headers={"accept-encoding": "gzip"})
    assert coded.headers["content-encoding"] == "gzip"
    assert coded.headers.get("etag") == fields.get("etag")


async def test_content_that_only_some_caches_may_store_is_tagged(client_of):
    fields = {"cache-control": "no-store", "cdn-cache-control": "max-age=60"}
    client = await client_of(App([Route("/", lambda: whole(**fields))], middleware=[CompressionMiddleware]))
    coded = await client.get("/", headers={"accept-encoding": "gzip"})
    assert (coded.headers["content-encoding"], coded.headers["etag"]) == ("gzip", str(ETag.of(TEXT, weak=True)))


@pytest.mark.parametrize("order", [inside, outside])
async def test_an_early_exit_in_the_handler_names_the_weak_tag(client_of, order):
    ran = []

    async def handler(request: Request):
        request.check_preconditions(etag="1")
        ran.append(True)
        return TEXT.decode()

    client = await client_of(order(handler))
    fields = {"accept-encoding": "gzip"}
    tag = (await client.get("/", headers=fields)).headers["etag"]
    assert tag == 'W/"1"'
    saved = await client.get("/", headers={**fields, "if-none-match": tag})
    assert (saved.status, saved.headers["etag"], saved.headers["vary"]) == (304, tag, "Accept-Encoding")
    assert len(ran) == 1
    assert (await client.get("/", headers={"if-none-match": '"1"'})).headers["etag"] == '"1"'


async def test_no_transform_on_a_304_means_that_there_is_no_coded_copy(client_of):
    async def app(scope, receive, send):
        headers = [(b"etag", b'"1"'), (b"cache-control", b"no-transform")]
        await send({"type": "http.response.start", "status": 304, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    client = await client_of(CompressionMiddleware(app))
    saved = await client.get("/", headers={"if-none-match": 'W/"1"', "accept-encoding": "gzip"})
    assert saved.headers.multi_items() == [("etag", '"1"'), ("cache-control", "no-transform")]


# ------------------------------------------------------------------------------------------------------------- If-Match


async def test_a_weak_tag_never_matches_if_match(client_of):
    """Neither for a change nor for a read (RFC 9110 section 13.1.1)."""
    done = []

    async def change():
        done.append(True)
        return "changed"

    async def read():
        return whole()

    routes = [Route("/", read, etag='"1"'), Route("/", change, methods=["PUT"], etag='"1"')]
    client = await client_of(App(routes, middleware=[CompressionMiddleware]))
    coding = {"accept-encoding": "gzip"}
    tag = (await client.get("/", headers=coding)).headers["etag"]
    assert tag == 'W/"1"'
    assert (await client.put("/", headers={**coding, "if-match": tag})).status == 412
    assert (await client.get("/", headers={**coding, "if-match": tag})).status == 412
    assert not done
    strong = (await client.get("/")).headers["etag"]
    assert (await client.put("/", headers={**coding, "if-match": strong})).status == 200
    assert done == [True]


@either_order
@every_kind
async def test_a_reader_that_names_the_strong_tag_gets_these_very_bytes(opened, order, kind):
    client = await opened(order, kind, etag='"1"')
    response = await client.get("/", headers={"accept-encoding": "gzip", "if-match": '"1"'})
    assert response.status == 200
    if order is inside:
        assert (response.headers["etag"], response.body) == ('"1"', TEXT)
    else:  # it was judged before it was coded
        assert (response.headers["etag"], gzip.decompress(response.body)) == ('W/"1"', TEXT)


# --------------------------------------------------------------------------------------------------------------- ranges


@either_order
@cuttable
async def test_a_range_is_of_the_bytes_without_a_coding(opened, order, kind):
    client = await opened(order, kind, etag='"1"')
    fields = {"accept-encoding": "gzip", "range": "bytes=5-9"}
    for condition in ({}, {"if-range": '"1"'}, {"if-match": '"1"'}):
        part = await client.get("/", headers={**fields, **condition})
        assert (part.status, part.body, part.headers["etag"]) == (206, TEXT[5:10], '"1"')
        assert part.headers["content-range"] == f"bytes 5-9/{len(TEXT)}"
        assert part.headers["vary"] == "Accept-Encoding"
        assert "content-encoding" not in part.headers


@either_order
@cuttable
async def test_parts_of_a_coded_copy_are_not_to_be_had(opened, order, kind):
    """The client would put bytes of two representations together."""
    client = await opened(order, kind, etag='"1"')
    coded = await client.get("/", headers={"accept-encoding": "gzip"})
    assert "accept-ranges" not in coded.headers
    fields = {"accept-encoding": "gzip", "range": "bytes=5-9", "if-range": coded.headers["etag"]}
    again = await client.get("/", headers=fields)
    assert (again.status, gzip.decompress(again.body)) == (200, TEXT)


@either_order
async def test_a_stream_has_no_ranges_and_is_coded(opened, order):
    client = await opened(order, stream, etag='"1"')
    response = await client.get("/", headers={"accept-encoding": "gzip", "range": "bytes=5-9"})
    assert (response.status, gzip.decompress(response.body)) == (200, TEXT)


@cuttable
async def test_a_client_that_refuses_identity_gets_the_whole_coded(opened, kind):
    client = await opened(inside, kind, etag='"1"')
    fields = {"accept-encoding": "gzip, identity;q=0", "range": "bytes=5-9"}
    response = await client.get("/", headers=fields)
    assert (response.status, gzip.decompress(response.body)) == (200, TEXT)


@either_order
@cuttable
async def test_a_range_that_cannot_be_is_a_416(opened, order, kind):
    client = await opened(order, kind, etag='"1"')
    response = await client.get("/", headers={"accept-encoding": "gzip", "range": "bytes=99999-"})
    assert (response.status, response.headers["content-range"]) == (416, f"bytes */{len(TEXT)}")


async def test_several_ranges(opened):
    client = await opened(inside, whole, etag='"1"')
    response = await client.get("/", headers={"accept-encoding": "gzip", "range": "bytes=0-1,5-9"})
    assert response.status == 206
    assert response.headers["content-type"].startswith("multipart/byteranges")
    assert "content-encoding" not in response.headers


# --------------------------------------------------------------------------------------------------- what is not done


@pytest.mark.parametrize("fields", [{"if-none-match": 'W/"1"'}, {"if-match": '"2"'}])
async def test_a_source_is_not_read_for_a_304_or_a_412(client_of, fields):
    source = Source()

    async def handler():
        return SeekableResponse(source, media_type="text/plain", etag="1")

    client = await client_of(inside(handler))
    response = await client.get("/", headers={"accept-encoding": "gzip", **fields})
    assert response.status in (304, 412)
    assert source.read_bytes == 0


async def test_a_file_is_conditional_as_ever(client_of, tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(TEXT)

    async def handler():
        return FileResponse(path)

    client = await client_of(inside(handler))
    tag = (await client.get("/")).headers["etag"]
    coding = {"accept-encoding": "gzip"}
    assert (await client.get("/", headers={**coding, "if-none-match": tag})).status == 304
    part = await client.get("/", headers={**coding, "range": "bytes=5-9", "if-range": tag})
    assert (part.status, part.body) == (206, TEXT[5:10])


async def test_what_is_not_judged_after_all_is_right_as_it_is(foreign):
    """A middleware in between may keep the conditional middleware from it; then the whole comes, without a coding."""

    class Renumber:
        def __init__(self, app):
            self.app = app

        async def __call__(self, scope, receive, send):
            async def other(message):
                if message["type"] == "http.response.start":
                    message = {**message, "status": 404}
                await send(message)

            await self.app(scope, receive, other)

    async def handler():
        return whole(etag='"1"')

    app = App([Route("/", handler)], middleware=[Renumber, CompressionMiddleware])
    server = foreign(app, headers=[(b"accept-encoding", b"gzip"), (b"if-none-match", b'W/"1"')])
    await server.run()
    assert (server.status, server.body) == (404, TEXT)
    assert b"content-encoding" not in server.headers


async def test_a_foreign_application_between_both(client_of):
    """The conditional middleware alone, with compression right inside it."""

    async def app(scope, receive, send):
        headers = [(b"content-type", b"text/plain"), (b"etag", b'"1"')]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for data in (TEXT, TEXT):
            await send({"type": "http.response.body", "body": data, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    client = await client_of(ConditionalMiddleware(CompressionMiddleware(app)))
    coded = await client.get("/", headers={"accept-encoding": "gzip"})
    assert (gzip.decompress(coded.body), coded.headers["etag"]) == (TEXT * 2, 'W/"1"')
    saved = await client.get("/", headers={"accept-encoding": "gzip", "if-none-match": 'W/"1"'})
    assert (saved.status, saved.headers["etag"]) == (304, 'W/"1"')


async def test_a_middleware_of_a_route(client_of):
    async def handler():
        return whole(etag='"1"')

    client = await client_of(App([Route("/", handler, middleware=[Middleware(CompressionMiddleware)])]))
    coded = await client.get("/", headers={"accept-encoding": "gzip"})
    assert gzip.decompress(coded.body) == TEXT
