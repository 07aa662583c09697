"""Middleware of ours right around an application that writes field names as Django does."""

from __future__ import annotations

import gzip

import pytest

from tricorn.middleware import (
    CompressionMiddleware,
    ConditionalMiddleware,
    DigestMiddleware,
    ServerTimingMiddleware,
)

pytestmark = pytest.mark.anyio

TEXT = b"hello world " * 500
DIGEST = b"sha-256=:AA==:"


async def app(scope, receive, send):
    fields = [(b"Content-Type", b"text/plain"), (b"Content-Length", b"%d" % len(TEXT)), (b"ETag", b'"own"')]
    fields += [(b"Vary", b"Cookie"), (b"Repr-Digest", DIGEST)]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    await send({"type": "http.response.body", "body": TEXT})


async def answer(foreign, middleware, **headers):
    fields = [(name.replace("_", "-").encode(), value) for name, value in headers.items()]
    server = foreign(middleware(app), headers=fields)
    await server.run()
    names = [name for name, _ in server.sent[0]["headers"]]
    assert sorted(names) == sorted(set(names))
    return server


async def test_compression_sees_what_it_is(foreign):
    server = await answer(foreign, CompressionMiddleware, accept_encoding=b"gzip")
    assert gzip.decompress(server.body) == TEXT
    assert server.headers == {
        b"content-type": b"text/plain",
        b"vary": b"Cookie, Accept-Encoding",
        b"content-encoding": b"gzip",
        b"content-length": b"%d" % len(server.body),
        b"etag": b'W/"own"',
    }


async def test_its_tag_is_judged_and_not_another(foreign):
    assert (await answer(foreign, ConditionalMiddleware)).headers[b"etag"] == b'"own"'
    unmodified = await answer(foreign, ConditionalMiddleware, if_none_match=b'"own"')
    assert (unmodified.status, unmodified.headers) == (304, {b"etag": b'"own"', b"vary": b"Cookie"})
    part = await answer(foreign, ConditionalMiddleware, range=b"bytes=0-4")
    assert (part.status, part.body) == (206, b"hello")


async def test_its_digest_stays(foreign):
    assert (await answer(foreign, DigestMiddleware)).headers[b"repr-digest"] == DIGEST


async def test_its_length_leaves_no_room_for_trailers(foreign):
    async def in_parts(scope, receive, send):
        fields = [(b"Content-Length", b"2"), (b"Content-Type", b"text/plain")]
        await send({"type": "http.response.start", "status": 200, "headers": fields})
        await send({"type": "http.response.body", "body": b"a", "more_body": True})
        await send({"type": "http.response.body", "body": b"b"})

    server = foreign(ServerTimingMiddleware(in_parts), extensions={"http.response.trailers": {}})
    await server.run()
    assert server.headers[b"server-timing"].startswith(b"total;dur=")
    assert "trailers" not in server.sent[0]
