"""Digest fields on responses and requests (RFC 9530); the values are those of its appendices where it has them."""

from __future__ import annotations

import gzip
from hashlib import sha256

import brotli
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse as StarletteText
from starlette.routing import Route as StarletteRoute

from tricorn import (
    App,
    FileResponse,
    HTTPException,
    Middleware,
    Mount,
    Request,
    Response,
    Route,
    StaticFiles,
    StreamingResponse,
)
from tricorn.caching.digest import Algorithm, digest_field, parse_digests
from tricorn.middleware import CompressionMiddleware, ConditionalMiddleware, DigestMiddleware
from tricorn.response import SeekableResponse
from tricorn.response.filetag import MAX_HASHED_BYTES

pytestmark = pytest.mark.anyio

HELLO = b'{"hello": "world"}\n'
SHA256 = "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:"
SHA512 = "sha-512=:YMAam51Jz/jOATT6/zvHrLVgOYTGFy1d6GJiOHTohq4yP+pgk4vf2aCsyRZOtw8MjkM7iw7yZ/WkppmM44T3qg==:"
EMPTY = "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:"
PART = "sha-256=:jjcgBDWNAtbYUXI37CVG3gRuGOAjaaDRGpIUFsdyepQ=:"
CODED = brotli.compress(HELLO)  # the bytes that appendix B.4 shows for it are not Brotli's, nor of its digest
TITLE = b'{"title": "New Title"}\n'
OF_TITLE = "sha-256=:mEkdbO7Srd9LIOegftO0aBX+VPTVz7/CSHes2Z27gc4=:"
BOTH = ("content-digest", "repr-digest")


def hello(status=200, body=HELLO, **headers):
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(body, status, fields, media_type="application/json")


def stream(*parts, **options):
    return StreamingResponse(parts or (HELLO[:8], HELLO[8:16], HELLO[16:]), media_type="application/json", **options)


def app_of(response, *, methods=("GET",), **options):
    async def handler():
        return response() if callable(response) and not isinstance(response, Response) else response

    return App([Route("/", handler, methods=methods)], middleware=[Middleware(DigestMiddleware, **options)])


def digests(fields):
    return {name: fields[name] for name in BOTH if name in fields}


# ------------------------------------------------------------------------------------------- bodies in one piece


async def test_the_full_representation(client_of):
    """Appendix B.1."""
    response = await (await client_of(app_of(hello(), unasked=BOTH))).get("/")
    assert digests(response.headers) == {"content-digest": SHA256, "repr-digest": SHA256}
    assert response.body == HELLO


async def test_no_representation(client_of):
    """Appendix B.2: a HEAD contains nothing, and tells of the representation all the same."""
    response = await (await client_of(app_of(hello(), unasked=BOTH))).head("/")
    assert digests(response.headers) == {"content-digest": EMPTY, "repr-digest": SHA256}
    assert (response.body, response.headers["content-length"]) == (b"", "19")


async def test_a_partial_representation(client_of):
    """Appendix B.3: inside of what cuts the whole, the whole is seen; outside, the part."""
    app = DigestMiddleware(app_of(hello(), unasked=BOTH), unasked=("content-digest",))
    response = await (await client_of(app)).get("/", headers={"range": "bytes=10-18"})
    assert response.status == 206
    assert digests(response.headers) == {"content-digest": PART, "repr-digest": SHA256}


async def test_a_coded_representation(client_of):
    """Appendices B.4 and B.6: both are of the bytes with their coding."""
    client = await client_of(app_of(hello(body=CODED, content_encoding="br"), unasked=BOTH))
    of_coded = digest_field(CODED)
    assert digests((await client.get("/")).headers) == {"content-digest": of_coded, "repr-digest": of_coded}


@pytest.mark.parametrize(
    ("status", "body", "digest"),
    [
        (
            201,
            b'{\n  "id": "123",\n  "title": "New Title"\n}\n',
            "uVSlinTTdQUwm2On4k8TJUikGN1bf/Ds8WPX4oe0h9I=",
        ),
        (
            201,
            b'{\n  "status": "created",\n  "id": "123",\n  "ts": 1569327729,\n  "instance": "/books/123"\n}\n',
            "yXIGDTN5VrfoyisKlXgRKUHHMs35SNtyC3szSz1dbO8=",
        ),
        (
            404,
            b'{\n  "title": "Not Found",\n  "detail": "Cannot PATCH a non-existent resource",\n  "status": 404\n}\n',
            "EXB0S2VF2H7ijkAVJkH1Sm0pBho0iDZcvVUHHXTTZSA=",
        ),
    ],
)
async def test_other_statuses(client_of, status, body, digest):
    """Appendices B.7 to B.10: the enclosed representation, whatever it is of."""
    client = await client_of(app_of(hello(status, body), methods=["POST"]))
    assert digests((await client.post("/")).headers) == {"repr-digest": f"sha-256=:{digest}:"}


@pytest.mark.parametrize("response", [hello(204, b""), hello(304, b""), hello(206, content_range="bytes 0-18/40")])
async def test_where_there_is_no_representation(client_of, response):
    assert digests((await (await client_of(app_of(response))).get("/")).headers) == {}


async def test_the_applications_own_stay(client_of):
    response = await (await client_of(app_of(hello(repr_digest="sha-256=:AA==:"), unasked=BOTH))).get("/")
    assert digests(response.headers) == {"content-digest": SHA256, "repr-digest": "sha-256=:AA==:"}


async def test_a_large_body(client_of):
    body = b"x" * 1_500_000
    response = await (await client_of(app_of(hello(body=body)))).get("/")
    assert response.headers["repr-digest"] == digest_field(body)


async def test_a_304_has_none(client_of):
    client = await client_of(app_of(hello(etag='"1"'), unasked=BOTH))
    response = await client.get("/", headers={"if-none-match": '"1"'})
    assert (response.status, digests(response.headers)) == (304, {})


# --------------------------------------------------------------------------------------------------------- preferences


@pytest.mark.parametrize(
    ("want", "sent"),
    [
        ("sha-256=1", SHA256),
        ("sha-512=3, sha-256=10, unixsum=0", SHA256),
        ("sha-512=10, sha-256=3", SHA512),
        ("sha-256=3, sha=10", SHA256),  # C.1: the least preferred
        ("sha=10", SHA256),  # C.2: one that the client did not ask for
        ("sha-256=0", SHA512),
        ("sha-256=0, sha-512=0", None),
        ("sha-256=11", SHA256),  # out of range, and so not said
        ("not a dictionary!", SHA256),
    ],
)
@pytest.mark.parametrize("field", BOTH)
async def test_what_is_wanted_is_sent(client_of, field, want, sent):
    client = await client_of(app_of(hello(), unasked=()))
    response = await client.get("/", headers={f"want-{field}": want})
    assert digests(response.headers) == ({} if sent is None else {field: sent})
    assert digests((await client.get("/")).headers) == {}


async def test_the_author_chooses_for_the_others(client_of):
    client = await client_of(app_of(hello(), algorithm="sha-512"))
    assert digests((await client.get("/")).headers) == {"repr-digest": SHA512}
    fields = {"want-repr-digest": "sha-256=1"}
    assert digests((await client.get("/", headers=fields)).headers) == {"repr-digest": SHA256}


@pytest.mark.parametrize("options", [{"unasked": ("digest",)}, {"algorithm": "md5"}])
def test_what_there_is_not(options):
    with pytest.raises(ValueError):
        DigestMiddleware(App(), **options)


# ------------------------------------------------------------------------------------------------------------- streams


@pytest.mark.parametrize("version", ["1.1", "2", "3"])
async def test_a_stream_has_trailers(client_of, version):
    """Appendix B.11."""
    client = await client_of(app_of(stream, unasked=BOTH), http_version=version)
    response = await client.get("/", headers={"want-content-digest": "sha-512=1"})
    assert response.headers["trailer"] == "Content-Digest, Repr-Digest"
    assert digests(response.headers) == {}
    assert digests(response.trailers) == {"content-digest": SHA512, "repr-digest": SHA256}
    assert response.body == HELLO


async def test_trailers_join_those_that_there_are(client_of):
    own = {"x-count": "3"}
    client = await client_of(app_of(lambda: stream(headers={"trailer": "X-Count"}, trailers=lambda: own)))
    response = await client.get("/")
    assert response.headers.getlist("trailer") == ["X-Count, Repr-Digest"]
    assert response.trailers.multi_items() == [("x-count", "3"), ("repr-digest", SHA256)]


async def test_a_trailer_of_the_application_stays(client_of):
    own = {"repr-digest": "sha-256=:AA==:"}
    response = await (await client_of(app_of(lambda: stream(trailers=lambda: own)))).get("/")
    assert response.trailers.multi_items() == [("repr-digest", "sha-256=:AA==:")]


async def test_an_empty_stream(client_of):
    assert (await (await client_of(app_of(lambda: stream(b"")))).get("/")).trailers["repr-digest"] == EMPTY


@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_without_room_for_trailers_a_stream_has_none(client_of, version):
    def response():
        return stream(headers={"content-length": "19"}) if version == "1.1" else stream()

    client = await client_of(app_of(response), http_version=version)
    answer = await client.get("/")
    assert (answer.body, answer.trailers.multi_items()) == (HELLO, [])
    assert "trailer" not in answer.headers


async def test_a_stream_that_is_not_wanted(client_of):
    client = await client_of(app_of(lambda: stream(headers={"etag": '"1"'})))
    response = await client.get("/", headers={"if-none-match": '"1"'})
    assert (response.status, response.trailers.multi_items()) == (304, [])


async def test_a_foreign_stream_that_is_not_wanted(client_of):
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"etag", b'"1"')]})
        await send({"type": "http.response.body", "body": HELLO, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    client = await client_of(ConditionalMiddleware(DigestMiddleware(app)))
    assert (await client.get("/")).trailers["repr-digest"] == SHA256
    response = await client.get("/", headers={"if-none-match": '"1"'})
    assert (response.status, response.trailers.multi_items()) == (304, [])


class Source:
    length = len(HELLO)

    async def read(self, offset, count):
        yield HELLO[offset : offset + count]


async def test_a_source_has_trailers_where_a_length_leaves_room(client_of):
    app = app_of(lambda: SeekableResponse(Source()))
    assert (await (await client_of(app)).get("/")).trailers.multi_items() == []
    client = await client_of(app, http_version="2")
    response = await client.get("/")
    assert (response.body, response.trailers.multi_items()) == (HELLO, [("repr-digest", SHA256)])
    assert response.headers["content-length"] == "19"
    part = await client.get("/", headers={"range": "bytes=10-18"})
    assert (part.status, part.body, part.trailers.multi_items()) == (206, HELLO[10:], [])


@pytest.fixture
def files(tmp_path):
    """A file, and one that was compressed before, as a response and as a static file."""
    path = tmp_path / "a.json"
    path.write_bytes(HELLO)
    (tmp_path / "a.json.br").write_bytes(CODED)
    routes = [Route("/response", lambda: FileResponse(path)), Mount("/static", StaticFiles(tmp_path, html=True))]
    return App(routes, middleware=[Middleware(DigestMiddleware, unasked=BOTH)])


@pytest.mark.parametrize("version", ["1.1", "2"])
async def test_of_a_file_they_are_known_before_it_is_sent(client_of, files, version):
    client = await client_of(files, http_version=version)
    for path in ("/response", "/static/a.json"):
        whole, head = await client.get(path), await client.head(path)
        assert digests(whole.headers) == {"content-digest": SHA256, "repr-digest": SHA256}
        assert digests(head.headers) == {"content-digest": EMPTY, "repr-digest": SHA256}
        part = await client.get(path, headers={"range": "bytes=10-18"})
        several = await client.get(path, headers={"range": "bytes=0-0,10-18"})
        for response in (part, several):
            assert (response.status, digests(response.headers)) == (206, {"repr-digest": SHA256})
        same = await client.get(path, headers={"if-none-match": whole.headers["etag"]})
        assert (same.status, digests(same.headers)) == (304, {})
        for response in (whole, head, part, several, same):
            assert response.trailers.multi_items() == []
    coded = await client.get("/static/a.json", headers={"accept-encoding": "br"})
    assert digests(coded.headers) == dict.fromkeys(BOTH, digest_field(CODED))


async def test_a_file_whose_digest_is_known_is_left_to_the_server(foreign, tmp_path):
    (tmp_path / "a").write_bytes(HELLO * 10_000)
    app = App([Mount("/", StaticFiles(tmp_path))], middleware=[DigestMiddleware])
    server = foreign(app, path="/a", extensions={"http.response.zerocopysend": {}})
    await server.run()
    assert server.headers[b"repr-digest"] == digest_field(HELLO * 10_000).encode()
    assert [message["type"] for message in server.sent[1:]] == ["http.response.zerocopysend"]


async def test_another_digest_of_a_file_than_the_known_one_is_a_trailer(client_of, files):
    client = await client_of(files, http_version="2")
    response = await client.get("/response", headers={"want-content-digest": "sha-512=1"})
    assert (digests(response.headers), response.body) == ({}, HELLO)
    assert digests(response.trailers) == {"content-digest": SHA512, "repr-digest": SHA256}


@pytest.mark.parametrize("times", [100, 10_000])
async def test_of_a_file_that_is_compressed_on_the_way_they_are_of_what_comes_out(client_of, tmp_path, times):
    (tmp_path / "a.txt").write_bytes(HELLO * times)
    app = App([Mount("/", StaticFiles(tmp_path))], middleware=[DigestMiddleware, CompressionMiddleware])
    client = await client_of(app, http_version="2")
    response = await client.get("/a.txt", headers={"accept-encoding": "gzip"})
    assert gzip.decompress(response.body) == HELLO * times
    assert digests(response.headers) | digests(response.trailers) == {"repr-digest": digest_field(response.body)}


async def test_a_large_file_is_not_read_for_its_digest(client_of, tmp_path):
    content = bytes(MAX_HASHED_BYTES + 1)
    (tmp_path / "large").write_bytes(content)
    client = await client_of(App([Mount("/", StaticFiles(tmp_path))], middleware=[DigestMiddleware]), http_version="2")
    assert digests((await client.head("/large")).headers) == {}
    response = await client.get("/large")
    assert digests(response.trailers) == {"repr-digest": digest_field(content)}


async def test_digests_are_of_what_was_compressed(client_of):
    async def whole():
        return Response(b"x" * 5000, media_type="text/plain")

    async def parts():
        return StreamingResponse([b"x" * 5000], media_type="text/plain")

    app = App([Route("/whole", whole), Route("/stream", parts)], middleware=[DigestMiddleware, CompressionMiddleware])
    client = await client_of(app)
    for path in ("/whole", "/stream"):
        response = await client.get(path, headers={"accept-encoding": "gzip"})
        assert gzip.decompress(response.body) == b"x" * 5000
        found = digests(response.headers) | digests(response.trailers)
        assert parse_digests(found["repr-digest"]) == {"sha-256": sha256(response.body).digest()}


async def test_the_wrong_order_gives_no_wrong_digests(client_of):
    app = App([Route("/", lambda: StreamingResponse([b"x" * 5000], media_type="text/plain"))])
    client = await client_of(CompressionMiddleware(DigestMiddleware(app, unasked=BOTH)))
    response = await client.get("/", headers={"accept-encoding": "gzip"})
    assert gzip.decompress(response.body) == b"x" * 5000
    assert digests(response.headers) | digests(response.trailers) == {}


# ------------------------------------------------------------------------------------------------------------ requests


@pytest.fixture
def upload(client_of):
    """Opens a client of an application that reads; ``upload.bodies`` has what it has read to the end."""
    bodies = []

    async def read(request: Request):
        bodies.append(await request.body())
        return "ok"

    async def open_client(**options):
        app = App([Route("/", read, methods=["POST"])], middleware=[Middleware(DigestMiddleware, check_requests=True)])
        return await client_of(app, **options)

    open_client.bodies = bodies
    return open_client


@pytest.mark.parametrize("field", BOTH)
@pytest.mark.parametrize("content", [TITLE, [TITLE[:5], TITLE[5:]]])
async def test_a_right_request_passes(upload, field, content):
    response = await (await upload()).post("/", content=content, headers={field: OF_TITLE})
    assert (response.status, upload.bodies) == (200, [TITLE])


@pytest.mark.parametrize("field", BOTH)
@pytest.mark.parametrize("content", [TITLE + b" ", TITLE[:-1], b"", [TITLE, b"more"]])
async def test_a_wrong_request_is_a_400(upload, field, content):
    response = await (await upload()).post(
        "/", content=content, headers={field: OF_TITLE, "accept": "application/json"}
    )
    assert (response.status, upload.bodies) == (400, [])
    assert response.json()["detail"] == f"the content is not what its {field} says"


@pytest.mark.parametrize(
    ("value", "status"),
    [
        (f"{OF_TITLE}, md5=:AAAA:", 200),  # not fit for use: neither believed nor held against it
        ("md5=:AAAA:", 200),
        ("unheard-of=:AAAA:", 200),
        ("malformed", 200),
        (OF_TITLE.replace("sha-256", "sha-512"), 400),
        (f"{OF_TITLE}, sha-512=:AAAA:", 400),  # all that can be checked have to be right
    ],
)
async def test_which_digests_count(upload, value, status):
    assert (await (await upload()).post("/", content=TITLE, headers={"content-digest": value})).status == status


async def test_a_part_is_not_the_representation(upload):
    fields = {"content-range": "bytes 0-22/99", "repr-digest": EMPTY, "content-digest": OF_TITLE}
    assert (await (await upload()).post("/", content=TITLE, headers=fields)).status == 200


@pytest.mark.parametrize(("value", "status"), [(OF_TITLE, 200), (EMPTY, 400)])
async def test_digests_in_trailers(upload, value, status):
    trailers = {"repr-digest": value}
    client = await upload()
    response = await client.post("/", content=[TITLE], headers={"trailer": "Repr-Digest"}, trailers=trailers)
    assert response.status == status


async def test_a_large_request(upload):
    body = b"x" * 1_000_000
    client = await upload()
    for sent, status in ((body, 200), (body + b"x", 400)):
        fields = {"content-digest": digest_field(body, ("sha-512",))}
        assert (await client.post("/", content=sent, headers=fields)).status == status


async def test_unless_asked_nothing_is_checked(client_of):
    async def read(request: Request):
        return await request.body()

    client = await client_of(App([Route("/", read, methods=["POST"])], middleware=[DigestMiddleware]))
    assert (await client.post("/", content=TITLE, headers={"content-digest": EMPTY})).body == TITLE


async def test_the_applications_handler_of_400_answers(client_of):
    async def read(request: Request):
        return await request.body()

    app = App([Route("/", read, methods=["POST"])], middleware=[Middleware(DigestMiddleware, check_requests=True)])

    @app.exception_handler(400)
    async def explain(request, error):
        return Response("own", 422)

    response = await (await client_of(app)).post("/", content=TITLE, headers={"content-digest": EMPTY})
    assert (response.status, response.body) == (422, b"own")


@pytest.mark.parametrize("raises", [True, False])
async def test_a_foreign_application_cannot_make_it_something_else(client_of, raises):
    """It answers 500 and raises the exception again, or takes no notice."""

    async def read(request):
        try:
            await request.body()
        except HTTPException:
            if raises:
                raise
        return StarletteText("done")

    foreign = Starlette(routes=[StarletteRoute("/", read, methods=["POST"])])
    client = await client_of(DigestMiddleware(foreign, check_requests=True))
    response = await client.post("/", content=TITLE, headers={"content-digest": EMPTY})
    assert (response.status, b"content-digest" in response.body) == (400, True)
    assert (await client.post("/", content=TITLE, headers={"content-digest": OF_TITLE})).body == b"done"


async def test_a_bare_application_need_not_answer(client_of):
    async def app(scope, receive, send):
        await receive()
        raise AssertionError("what is wrong has not come through")

    client = await client_of(DigestMiddleware(app, check_requests=True))
    assert (await client.post("/", content=TITLE, headers={"content-digest": EMPTY})).status == 400


async def test_a_response_that_has_begun_is_broken_off(client_of):
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"early", "more_body": True})
        await receive()

    client = await client_of(DigestMiddleware(app, check_requests=True))
    with pytest.raises(HTTPException):
        await client.post("/", content=TITLE, headers={"content-digest": EMPTY})


def test_the_vectors_are_of_what_they_say():
    assert digest_field(HELLO) == SHA256
    assert digest_field(HELLO, (Algorithm.SHA_512,)) == SHA512
