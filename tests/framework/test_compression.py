"""What the compression middleware does to responses: what is coded, what is said of it, and what is left alone."""

from __future__ import annotations

import gzip
import os
import sys
import threading
import tracemalloc
import zlib

import anyio
import brotli
import pytest
from backports import zstd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.responses import StreamingResponse as StarletteStream
from starlette.routing import Route as StarletteRoute

from tricorn import App, EventSourceResponse, FileResponse, Middleware, Mount, Response, Route, StreamingResponse
from tricorn.caching.etag import ETag
from tricorn.codings import DEFAULT_LEVELS, Coding, load_codings
from tricorn.middleware import DigestMiddleware
from tricorn.middleware.compression import MAX_WHOLE_BYTES, CompressionMiddleware, is_compressible
from tricorn.negotiation import choose_coding

pytestmark = pytest.mark.anyio

TEXT = b"".join(b"line %d of a text that is worth it\n" % number for number in range(200))
LONG = TEXT * 300
assert len(LONG) > MAX_WHOLE_BYTES

DECODERS = {
    "gzip": lambda: zlib.decompressobj(wbits=31).decompress,
    "br": lambda: brotli.Decompressor().process,
    "zstd": lambda: zstd.ZstdDecompressor().decompress,
}
DECODE = {"gzip": gzip.decompress, "br": brotli.decompress, "zstd": zstd.decompress, None: bytes}
FUZZING = {"deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture]}  # they hold no state
every_coding = pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])


def text(body=TEXT, status=200, media_type="text/plain", **headers):
    return Response(
        body, status, {name.replace("_", "-"): value for name, value in headers.items()}, media_type=media_type
    )


def app_of(response, methods=("GET",), **options):
    async def handler():
        return response() if callable(response) and not isinstance(response, Response) else response

    return App([Route("/", handler, methods=methods)], middleware=[Middleware(CompressionMiddleware, **options)])


def raw_app(*messages):
    """An application of somebody else, which sends just these messages."""

    async def app(scope, receive, send):
        for message in messages:
            await send(dict(message))

    return app


def start(**headers):
    fields = [
        (name.replace("_", "-").encode(), value) for name, value in {"content_type": b"text/plain", **headers}.items()
    ]
    return {"type": "http.response.start", "status": 200, "headers": fields}


def part(data=b"", more=False):
    return {"type": "http.response.body", "body": data, "more_body": more}


def accept(*codings, **headers):
    return {"accept-encoding": ", ".join(codings), **{name.replace("_", "-"): value for name, value in headers.items()}}


# ------------------------------------------------------------------------------------------------- bodies in one piece


@every_coding
@pytest.mark.parametrize("size", [1024, 5000, 40_000, 100_000, MAX_WHOLE_BYTES])
async def test_a_body_is_coded_whole(client_of, coding, size):
    body = LONG[:size]
    response = await (await client_of(app_of(text(body)))).get("/", headers=accept(coding))
    assert response.headers["content-encoding"] == coding
    assert response.headers["vary"] == "Accept-Encoding"
    assert int(response.headers["content-length"]) == len(response.body) < size
    assert DECODE[coding](response.body) == body


@every_coding
async def test_a_long_body_is_coded_in_parts(client_of, coding):
    client = await client_of(app_of(text(LONG)))
    async with client.stream("GET", "/", headers=accept(coding)) as response:
        assert "content-length" not in response.headers
        parts = [part async for part in response]
    assert DECODE[coding](b"".join(parts)) == LONG


@pytest.mark.parametrize(
    ("field", "coding"),
    [
        ("gzip", "gzip"),
        ("gzip, br", "br"),
        ("gzip, br, zstd", "zstd"),
        ("zstd;q=0.1, br;q=0.2", "br"),
        ("deflate", None),
    ],
)
async def test_the_client_chooses(client_of, field, coding):
    response = await (await client_of(app_of(text()))).get("/", headers=accept(field))
    assert response.headers.get("content-encoding") == coding
    assert response.headers["vary"] == "Accept-Encoding"
    assert DECODE[coding](response.body) == TEXT


async def test_without_accept_encoding_nothing_is_coded(client_of):
    response = await (await client_of(app_of(text()))).get("/")
    assert (response.body, response.headers["vary"]) == (TEXT, "Accept-Encoding")
    assert "content-encoding" not in response.headers


async def test_the_server_chooses_among_equals(client_of):
    client = await client_of(app_of(text(), codings=("gzip", "br")))
    assert (await client.get("/", headers=accept("br", "gzip", "zstd"))).headers["content-encoding"] == "gzip"


async def test_a_coding_without_its_library_is_never_chosen(client_of, monkeypatch):
    monkeypatch.setitem(sys.modules, "brotli", None)
    monkeypatch.setitem(sys.modules, "backports", None)
    assert list(load_codings(DEFAULT_LEVELS, {})) == ["gzip"]
    client = await client_of(app_of(text()))
    assert (await client.get("/", headers=accept("br", "zstd", "gzip;q=0.1"))).headers["content-encoding"] == "gzip"
    client = await client_of(app_of(text(), codings=("br",)))
    response = await client.get("/", headers=accept("br"))
    assert response.body == TEXT


@pytest.mark.parametrize(
    "options",
    [
        {"codings": ("deflate",)},
        {"levels": {"deflate": 1}},
        {"levels": {"gzip": 0}},
        {"levels": {"br": 12}},
        {"minimum_size": -1},
    ],
)
def test_what_cannot_be_is_refused(options):
    with pytest.raises(ValueError):
        CompressionMiddleware(raw_app(), **options)


async def test_a_higher_level_tries_harder(client_of):
    sizes = []
    for level in (1, 9):
        client = await client_of(app_of(text(LONG[:100_000]), levels={"gzip": level}))
        sizes.append(len((await client.get("/", headers=accept("gzip"))).body))
    assert sizes[1] < sizes[0]


# -------------------------------------------------------------------------------------------------- what is left alone


@pytest.mark.parametrize(
    ("response", "varies"),
    [
        (text(TEXT[:1023]), False),
        (text(media_type="image/png"), False),
        (text(media_type="application/octet-stream"), False),
        (Response(TEXT), False),
        (text(content_encoding="br"), False),
        (text(content_encoding="identity"), False),
        (text(cache_control="public, No-Transform"), False),
        (text(status=206, content_range="bytes 0-1/9"), True),
        (text(status=416, content_range="bytes */9"), True),
    ],
)
async def test_some_responses_are_left_alone(client_of, response, varies):
    answer = await (await client_of(app_of(response))).get("/", headers=accept("gzip"))
    assert answer.headers.get("content-encoding") == response.headers.get("content-encoding")
    assert answer.body == response.body
    assert answer.headers.get("vary") == ("Accept-Encoding" if varies else None)


@pytest.mark.parametrize("status", [200, 201, 404, 500])
async def test_any_status_with_content_is_coded(client_of, status):
    answer = await (await client_of(app_of(text(status=status), methods=["POST"]))).post("/", headers=accept("gzip"))
    assert (answer.status, gzip.decompress(answer.body)) == (status, TEXT)


async def test_an_extension_of_no_transform_is_not_it(client_of):
    client = await client_of(app_of(text(cache_control='x-no-transform, y="no-transform"')))
    assert (await client.get("/", headers=accept("gzip"))).headers["content-encoding"] == "gzip"


async def test_a_204_is_as_it_was(client_of):
    answer = await (await client_of(app_of(text(b"", 204)))).get("/", headers=accept("gzip"))
    assert (answer.status, answer.body) == (204, b"")
    assert "content-encoding" not in answer.headers


async def test_the_bounds_are_the_authors(client_of):
    def is_binary(media_type):
        return media_type == "application/x-own"

    client = await client_of(
        app_of(text(b"x" * 9, media_type="Application/X-Own; a=b"), minimum_size=9, compressible=is_binary)
    )
    assert gzip.decompress((await client.get("/", headers=accept("gzip"))).body) == b"x" * 9
    client = await client_of(app_of(text(), compressible=is_binary))
    assert (await client.get("/", headers=accept("gzip"))).body == TEXT


@pytest.mark.parametrize(
    ("media_type", "worth"),
    [
        ("text/html", True), ("text/event-stream", True), ("application/json", True), ("application/ld+json", True),
        ("image/svg+xml", True), ("application/wasm", True), ("font/ttf", True), ("font/woff2", False),
        ("image/jpeg", False), ("video/mp4", False), ("audio/ogg", False), ("application/zip", False),
        ("application/pdf", False), ("application/grpc+proto", False), ("application/octet-stream", False),
        ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", False), ("", False),
    ],
)  # fmt: skip
def test_which_types_are_worth_it(media_type, worth):
    assert is_compressible(media_type) is worth


async def test_types_are_not_remembered_without_bound():
    middleware = CompressionMiddleware(raw_app())
    for number in range(2000):
        assert middleware.is_worth_it(b"text/plain; boundary=%d" % number)
    assert len(middleware._remembered) <= 256


async def test_a_websocket_and_a_lifespan_pass(client_of):
    app = App(middleware=[CompressionMiddleware])

    @app.websocket("/")
    async def echo(websocket):
        await websocket.accept()
        await websocket.send_text("x" * 2000)
        await websocket.close()

    client = await client_of(app, lifespan=True)
    async with client.websocket("/") as websocket:
        assert await websocket.receive_text() == "x" * 2000


# -------------------------------------------------------------------------------------------------------------- fields


async def test_vary_is_merged(client_of):
    for vary, merged in (("Origin", "Origin, Accept-Encoding"), ("accept-encoding", "accept-encoding"), ("*", "*")):
        answer = await (await client_of(app_of(text(vary=vary)))).get("/", headers=accept("gzip"))
        assert answer.headers.getlist("vary") == [merged]


async def test_what_was_said_of_other_bytes_is_taken_back(client_of):
    digests = {"content_digest": "sha-256=:AA==:", "repr_digest": "sha-256=:AA==:", "digest": "x", "content_md5": "x"}
    fields = {"accept_ranges": "bytes", "content_language": "en", **digests}
    client = await client_of(app_of(text(**fields)))
    coded = await client.get("/", headers=accept("gzip"))
    assert {name.replace("_", "-") for name in fields} & set(coded.headers) == {"content-language"}
    plain = await client.get("/")
    assert {name.replace("_", "-") for name in fields} <= set(plain.headers)


async def test_a_message_that_is_sent_again_stays_as_it_is(foreign):
    """An application may keep its messages and their lists."""
    messages = [start(etag=b'"1"', content_length=b"%d" % len(TEXT)), part(TEXT)]
    before = [repr(message) for message in messages]

    async def app(scope, receive, send):
        for message in messages:
            await send(message)

    for coding in (b"gzip", b"", b"gzip"):
        await foreign(CompressionMiddleware(app), headers=[(b"accept-encoding", coding)]).run()
        assert [repr(message) for message in messages] == before


@pytest.mark.parametrize("body", [TEXT, b""])
async def test_head_says_what_get_says(foreign, body):
    """All but the length, which would cost as much as the GET."""
    fields = {"content_length": b"%d" % len(TEXT), "etag": b'"1"'}
    heads = []
    for method, sent in (("GET", TEXT), ("HEAD", body)):
        server = foreign(
            CompressionMiddleware(raw_app(start(**fields), part(sent))), method, headers=[(b"accept-encoding", b"br")]
        )
        await server.run()
        heads.append(server.headers)
    assert heads[0].pop(b"content-length")
    assert heads[0] == heads[1]
    assert (heads[1][b"content-encoding"], heads[1][b"etag"]) == (b"br", b'W/"1"')
    assert server.body == b""


async def test_head_of_a_stream(client_of):
    client = await client_of(app_of(lambda: StreamingResponse([TEXT], media_type="text/plain")))
    get, head = [await client.request(method, "/", headers=accept("br")) for method in ("GET", "HEAD")]
    assert head.headers == get.headers
    assert (brotli.decompress(get.body), head.body) == (TEXT, b"")


# ------------------------------------------------------------------------------------------------------------- streams


@every_coding
async def test_each_part_of_a_stream_can_be_decoded_at_once(client_of, coding):
    go = anyio.Event()

    async def parts():
        yield "first"
        await go.wait()
        yield "second"

    client = await client_of(app_of(lambda: StreamingResponse(parts(), media_type="text/plain")))
    decode = DECODERS[coding]()
    async with client.stream("GET", "/", headers=accept(coding)) as response:
        assert response.headers["content-encoding"] == coding
        assert "content-length" not in response.headers
        received = b""
        while received != b"first":
            received += decode(await response.next_part())
        go.set()
        rest = b"".join([decode(data) async for data in response])
    assert rest == b"second"


@every_coding
async def test_each_event_arrives_before_the_next_is_made(client_of, coding):
    made, seen = [], []

    async def events():
        for number in range(5):
            while len(seen) < number:  # for ever, if the client could not decode them yet
                await anyio.sleep(0.001)
            made.append(number)
            yield {"number": number}

    client = await client_of(app_of(lambda: EventSourceResponse(events())))
    decode = DECODERS[coding]()
    async with client.stream("GET", "/", headers=accept(coding)) as response:
        while len(seen) < 5:
            if event := decode(await response.next_part()):
                seen.append(event)
    assert made == [0, 1, 2, 3, 4]
    assert all(b'{"number":%d}' % number in event for number, event in zip(made, seen, strict=True))


async def test_the_head_of_a_stream_leaves_at_once(client_of):
    async def parts():
        await anyio.sleep_forever()
        yield b""

    client = await client_of(app_of(lambda: StreamingResponse(parts(), media_type="text/plain")))
    async with client.stream("GET", "/", headers=accept("gzip")) as response:
        assert response.headers["content-encoding"] == "gzip"


@settings(max_examples=60, **FUZZING)
@given(
    st.sampled_from(["gzip", "br", "zstd"]),
    st.lists(
        st.one_of(st.binary(max_size=200), st.integers(0, 700_000).map(lambda size: LONG[:size])),
        min_size=1,
        max_size=6,
    ),
)
def test_any_parts_come_out_as_they_went_in(foreign_run, coding, parts):
    messages = [start(), *(part(data, True) for data in parts), part()]
    sent = foreign_run(CompressionMiddleware(raw_app(*messages)), coding)
    bodies = [message["body"] for message in sent[1:]]
    assert [message["more_body"] for message in sent[1:]] == [True] * (len(bodies) - 1) + [False]
    assert DECODE[coding](b"".join(bodies)) == b"".join(parts)


@pytest.fixture
def foreign_run(foreign):
    def run(app, coding):
        server = foreign(app, headers=[(b"accept-encoding", coding.encode())])
        anyio.run(server.run)
        return server.sent

    return run


async def test_a_foreign_stream_is_coded(client_of):
    async def parts():
        for data in (b"one", b"two"):
            yield data

    foreign = Starlette(routes=[StarletteRoute("/", lambda _: StarletteStream(parts(), media_type="text/html"))])
    client = await client_of(App([Mount("/", foreign)], middleware=[CompressionMiddleware]))
    response = await client.get("/", headers=accept("zstd"))
    assert (response.headers["content-encoding"], zstd.decompress(response.body)) == ("zstd", b"onetwo")


@pytest.mark.parametrize(("stated", "parts"), [(b"5000", [b"x" * 4999, b""]), (b"5000", [b"x" * 4999, b"xx"])])
async def test_a_stream_is_held_to_its_length(foreign, stated, parts):
    """The server cannot any more: the field is gone."""
    messages = [start(content_length=stated), part(parts[0], True), part(parts[1])]
    server = foreign(CompressionMiddleware(raw_app(*messages)), headers=[(b"accept-encoding", b"gzip")])
    with pytest.raises(RuntimeError, match="differs from its content-length by 1 bytes"):
        await server.run()


async def test_a_wrong_length_is_for_the_server_to_find(foreign):
    messages = [start(content_length=b"5000"), part(TEXT)]
    server = foreign(CompressionMiddleware(raw_app(*messages)), headers=[(b"accept-encoding", b"gzip")])
    await server.run()
    assert server.headers[b"content-length"] == b"5000"
    assert server.body == TEXT


async def test_memory_is_bounded(foreign):
    """Ten times the input makes no difference to what is held."""
    noise = os.urandom(1 << 20)
    peaks = []

    for count in (4, 40):

        async def app(scope, receive, send, count=count):
            await send(start())
            for _ in range(count):
                await send(part(noise, True))
            await send(part())

        server = foreign(CompressionMiddleware(app), headers=[(b"accept-encoding", b"br")])

        async def discard(message):
            pass

        server.send = discard
        tracemalloc.start()
        await server.run()
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 500_000
    assert peaks[1] < 3_000_000


@pytest.mark.parametrize(("size", "is_in_thread"), [(20_000, False), (100_000, True), (MAX_WHOLE_BYTES + 1, True)])
async def test_large_bodies_are_coded_in_threads(foreign, size, is_in_thread):
    """The event loop runs meanwhile: it is what lets the coding go on."""
    go = threading.Event()
    threads = []

    class Slow:
        def work(self, data):
            threads.append(threading.current_thread() is not threading.main_thread())
            assert not threads[-1] or go.wait(10)
            return bytes(data)

        code = flush = finish = work

    middleware = CompressionMiddleware(raw_app(start(), part(LONG[:size])))
    middleware.codings = {"gzip": Coding("gzip", Slow().work, Slow)}
    middleware.names = ("gzip",)
    server = foreign(middleware, headers=[(b"accept-encoding", b"gzip")])
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(server.run)
        while not threads:
            await anyio.sleep(0.001)
        go.set()
    assert server.body == LONG[:size]
    assert set(threads) == {is_in_thread}


# --------------------------------------------------------------------------------------------------- files and trailers


@pytest.mark.parametrize("content", [TEXT, LONG])
@pytest.mark.parametrize("extensions", [None, "http.response.pathsend", "http.response.zerocopysend"])
async def test_a_file_is_coded_however_it_would_be_sent(foreign, tmp_path, content, extensions):
    path = tmp_path / "a.txt"
    path.write_bytes(content)
    for method in ("GET", "HEAD"):
        server = foreign(app_of(lambda: FileResponse(path)), method, headers=[(b"accept-encoding", b"gzip")],
                         extensions=extensions and {extensions: {}})  # fmt: skip
        await server.run()
        assert {message["type"] for message in server.sent} == {"http.response.start", "http.response.body"}
        assert server.headers[b"content-encoding"] == b"gzip"
        assert server.headers[b"etag"].startswith(b'W/"')
        assert b"accept-ranges" not in server.headers
        assert gzip.decompress(server.body) == (content if method == "GET" else b"")


async def test_a_file_of_another_kind_is_left_to_the_server(foreign, tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(LONG)
    server = foreign(
        app_of(lambda: FileResponse(path)),
        headers=[(b"accept-encoding", b"gzip")],
        extensions={"http.response.pathsend": {}},
    )
    await server.run()
    assert server.sent[1] == {"type": "http.response.pathsend", "path": str(path)}


@pytest.mark.parametrize("how", ["path", "file", "region"])
async def test_a_file_within_a_coded_stream_is_coded(foreign, tmp_path, how):
    path = tmp_path / "a.txt"
    path.write_bytes(LONG)
    with open(path, "rb") as file:
        message = {
            "path": {"type": "http.response.pathsend", "path": str(path)},
            "file": {"type": "http.response.zerocopysend", "file": file},
            "region": {"type": "http.response.zerocopysend", "file": file.fileno(), "offset": 5, "count": 300_000},
        }[how]
        app = raw_app(start(), part(b"before", True), message)
        server = foreign(CompressionMiddleware(app), headers=[(b"accept-encoding", b"br")])
        await server.run()
    assert brotli.decompress(server.body) == b"before" + (LONG[5:300_005] if how == "region" else LONG)


@pytest.mark.parametrize("middleware", [CompressionMiddleware, DigestMiddleware])
async def test_a_file_is_closed_when_the_client_goes_away(foreign, tmp_path, middleware):
    path = tmp_path / "a.txt"
    path.write_bytes(LONG)
    app = raw_app(start(), part(b"before", True), {"type": "http.response.pathsend", "path": str(path)})
    server = foreign(middleware(app), headers=[(b"accept-encoding", b"br")], extensions={"http.response.trailers": {}})
    keep = server.send

    async def send(message):
        await keep(message)
        if len(server.sent) == 3:
            server.gone.set()

    def open_files():
        return [name for name in os.listdir("/proc/self/fd") if os.path.realpath(f"/proc/self/fd/{name}") == str(path)]

    server.send = send
    with pytest.raises(OSError, match="gone"):
        await server.run()
    assert open_files() == []


async def test_a_file_that_is_too_short_breaks_the_stream_off(foreign, tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(TEXT)
    with open(path, "rb") as file:
        message = {"type": "http.response.zerocopysend", "file": file, "offset": 0, "count": len(TEXT) + 1}
        server = foreign(
            CompressionMiddleware(raw_app(start(), part(b"x", True), message)), headers=[(b"accept-encoding", b"br")]
        )
        with pytest.raises(RuntimeError, match="shorter by 1 bytes"):
            await server.run()


async def test_trailers_pass_without_digests_of_other_bytes(client_of):
    def response():
        trailers = {"x-count": "2", "repr-digest": "sha-256=:AA==:"}
        return StreamingResponse([b"one", b"two"], media_type="text/plain", trailers=lambda: trailers)

    client = await client_of(app_of(response))
    coded = await client.get("/", headers=accept("gzip"))
    assert (gzip.decompress(coded.body), coded.trailers.multi_items()) == (b"onetwo", [("x-count", "2")])
    assert set((await client.get("/")).trailers) == {"x-count", "repr-digest"}


async def test_early_hints_and_pushes_pass(foreign):
    hint = {"type": "http.response.early_hint", "links": [b"</a>; rel=preload"]}
    push = {"type": "http.response.push", "path": "/a", "headers": []}
    server = foreign(
        CompressionMiddleware(raw_app(hint, start(), push, part(TEXT))), headers=[(b"accept-encoding", b"gzip")]
    )
    await server.run()
    assert sorted(message["type"][14:] for message in server.sent) == ["body", "early_hint", "push", "start"]
    assert gzip.decompress(server.sent[-1]["body"]) == TEXT


# ------------------------------------------------------------------------------------------------------ unusual clients


@settings(max_examples=100, **FUZZING)
@given(st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\0"), max_size=60))
def test_any_accept_encoding_gets_an_answer_that_it_allows(foreign, field):
    server = foreign(
        CompressionMiddleware(raw_app(start(), part(TEXT))), headers=[(b"accept-encoding", field.encode("latin-1"))]
    )
    anyio.run(server.run)
    coding = server.headers.get(b"content-encoding", b"").decode() or None
    assert coding == choose_coding([field], ("zstd", "br", "gzip"))
    assert DECODE[coding](server.body) == TEXT


async def test_content_is_tagged_the_same_in_every_coding(client_of):
    client = await client_of(app_of(text()))
    tags = [(await client.get("/", headers=accept(coding))).headers["etag"] for coding in ("", "gzip", "br", "zstd")]
    assert tags == [str(ETag.of(TEXT)), *[str(ETag.of(TEXT, weak=True))] * 3]
