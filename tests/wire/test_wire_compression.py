"""Codings, digests and timings as clients get them, on every protocol."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import zlib

import brotli
import pytest
from backports import zstd

from tricorn import App, EventSourceResponse, FileResponse, Middleware, Response, StreamingResponse
from tricorn.caching.digest import digest_field
from tricorn.caching.timing import parse_server_timing
from tricorn.middleware import CompressionMiddleware, DigestMiddleware, ServerTimingMiddleware
from tricorn.timing import record

pytestmark = pytest.mark.on("asyncio", "trio")

TEXT = b"".join(b"line %d of a text that is worth it\n" % number for number in range(3000))
DECODE = {b"gzip": gzip.decompress, b"br": brotli.decompress, b"zstd": zstd.decompress}
DECODERS = {
    b"gzip": lambda: zlib.decompressobj(wbits=31).decompress,
    b"br": lambda: brotli.Decompressor().process,
    b"zstd": lambda: zstd.ZstdDecompressor().decompress,
}


def accept(coding, *fields):
    return [(b"accept-encoding", coding), *fields]


@pytest.fixture
def app(tmp_path):
    app = App(
        middleware=[
            ServerTimingMiddleware,
            Middleware(DigestMiddleware, unasked=("content-digest", "repr-digest")),
            CompressionMiddleware,
        ]
    )
    path = tmp_path / "file.txt"
    path.write_bytes(TEXT)

    @app.get("/whole")
    async def whole():
        record("before")
        return Response(TEXT, media_type="text/plain")

    @app.get("/stream")
    async def stream():
        async def parts():
            record("within")
            for start in range(0, len(TEXT), 10_000):
                yield TEXT[start : start + 10_000]

        return StreamingResponse(parts(), media_type="text/plain", headers={"etag": '"1"'})

    @app.get("/file")
    async def file():
        return FileResponse(path)

    return app


@pytest.mark.parametrize("coding", sorted(DECODE))
@pytest.mark.parametrize("path", ["/whole", "/stream", "/file"])
def test_what_is_coded_can_be_decoded(net, app, path, coding):
    response = net.client(app).request("GET", path, accept(coding))
    assert response.status == 200
    assert (response.header(b"content-encoding"), response.header(b"vary")) == (coding, b"Accept-Encoding")
    assert DECODE[coding](bytes(response.body)) == TEXT
    if path == "/whole":
        assert response.header(b"content-length") == b"%d" % len(response.body)


@pytest.mark.parametrize("coding", sorted(DECODE))
def test_an_event_arrives_before_the_next_is_made(net, until, coding):
    seen = []
    made = []

    async def events():
        for number in range(3):
            await until(lambda: len(seen) == number)  # noqa: B023  it is waited for at once
            made.append(number)
            yield {"number": number}
        await until(lambda: len(seen) == 3)

    app = App(middleware=[CompressionMiddleware])
    app.get("/")(lambda: EventSourceResponse(events()))
    client = net.client(app)
    stream = client.open("GET", "/", accept(coding))
    response, decode, taken = client.responses[stream], DECODERS[coding](), 0
    for number in range(3):
        event = b""
        while not event.endswith(b"\n\n"):
            client.wait(lambda: len(response.body) > taken, "an event")  # noqa: B023
            part = bytes(response.body[taken:])
            taken += len(part)
            event += decode(part)
        assert b'{"number":%d}' % number in event
        assert made == list(range(number + 1))
        assert not response.over
        seen.append(event)
    assert client.response(stream).ended
    assert response.header(b"content-encoding") == coding


def test_digests_and_times_of_what_is_whole_are_in_the_head(net, app):
    for coding in (b"br", b"identity"):
        response = net.client(app).request("GET", "/whole", accept(coding))
        digest = digest_field(bytes(response.body)).encode()
        assert (response.header(b"content-digest"), response.header(b"repr-digest")) == (digest, digest)
        metrics = parse_server_timing(response.header(b"server-timing").decode())
        assert [metric.name for metric in metrics] == ["before", "total"]
        assert not response.trailers


def test_digests_and_times_of_a_stream_are_in_its_trailers(net, app):
    for coding in (b"br", b"identity"):
        response = net.client(app).request("GET", "/stream", accept(coding))
        trailers = dict(response.trailers)
        digest = digest_field(bytes(response.body)).encode()
        assert (trailers[b"content-digest"], trailers[b"repr-digest"]) == (digest, digest)
        metrics = parse_server_timing(trailers[b"server-timing"].decode())
        assert [metric.name for metric in metrics] == ["within", "total"]
        assert response.header(b"trailer") == b"Content-Digest, Repr-Digest, Server-Timing"


def test_conditions_and_ranges(net, app):
    client = net.client(app)
    for path in ("/whole", "/stream", "/file"):
        tag = client.request("GET", path, accept(b"gzip")).header(b"etag")
        assert tag.startswith(b"W/")
        saved = client.request("GET", path, accept(b"gzip", (b"if-none-match", tag)))
        assert (saved.status, saved.header(b"etag"), saved.header(b"vary")) == (304, tag, b"Accept-Encoding")
        assert not saved.trailers
        part = client.request("GET", path, accept(b"gzip", (b"range", b"bytes=5-9")))
        if path == "/stream":
            assert (part.status, gzip.decompress(part.body)) == (200, TEXT)
        else:
            assert (part.status, part.body, part.header(b"content-encoding")) == (206, TEXT[5:10], None)
            assert part.header(b"repr-digest") in (digest_field(TEXT).encode(), None)
        assert client.request("HEAD", path, accept(b"gzip")).header(b"etag") == tag


def test_a_client_that_goes_away_ends_the_stream(net, eventually):
    closed = []

    async def parts():
        try:
            while True:
                yield os.urandom(1000).hex()
        finally:
            closed.append(True)

    app = App(middleware=[ServerTimingMiddleware, DigestMiddleware, CompressionMiddleware])
    app.get("/")(lambda: StreamingResponse(parts(), media_type="text/plain"))
    client = net.client(app)
    stream = client.open("GET", "/", accept(b"gzip"))
    client.wait(lambda: len(client.responses[stream].body) > 1000, "the beginning")
    client.reset(stream)
    eventually(lambda: closed)


@pytest.mark.parametrize("content", [b'{"hello": "world"}\n', b'{"hello": "World"}\n'])
def test_a_request_is_held_to_its_digest(net, content):
    app = App(middleware=[Middleware(DigestMiddleware, check_requests=True)])

    @app.post("/")
    async def upload(request):
        return {"bytes": len(await request.body())}

    digest = b"sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:"
    client = net.client(app)
    status = 200 if b"world" in content else 400
    assert client.request("POST", "/", [(b"content-digest", digest)], content).status == status
    stream = client.open("POST", "/", [(b"trailer", b"content-digest")], end=False)
    client.send(stream, content)
    client.send_trailers(stream, [(b"content-digest", digest)])
    assert client.response(stream).status == status


@pytest.mark.over("h1", "h1-tls", "h2", "h2-tls")
@pytest.mark.on("asyncio")
@pytest.mark.interop
@pytest.mark.parametrize("path", ["/whole", "/stream", "/file"])
def test_curl_decodes(net, app, path):
    curl = shutil.which("curl")
    if curl is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("curl is not installed")
    net.serve(app)
    version = {"h1": "--http1.1", "h2": "--http2-prior-knowledge"}[net.protocol[:2]]
    url = f"{'https' if net.tls else 'http'}://localhost:{net.server.port}{path}"
    command = [curl, "-sS", "--compressed", version, "--cacert", net.certificate.ca, "-D", "/dev/stderr", url]
    run = subprocess.run(command, capture_output=True, timeout=30, check=True)
    assert run.stdout == TEXT
    assert b"content-encoding: " in run.stderr.lower()
