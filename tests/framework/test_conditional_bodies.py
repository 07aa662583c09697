"""Bodies that can be cut: files, and sources of one's own. They keep to what was announced, or break off."""

from __future__ import annotations

import os
import time

import pytest

from tricorn import App, FileResponse, Route
from tricorn.response import SeekableResponse
from tricorn.response.filetag import MAX_HASHED_BYTES, file_etag

pytestmark = pytest.mark.anyio

DATA = bytes(range(256)) * 4000
RANGE = (b"range", b"bytes=10-600000")
SEVERAL = (b"range", b"bytes=0-9,500000-600000")


def app_of(response):
    async def handler():
        return response()

    return App([Route("/", handler)])


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "data.bin"
    path.write_bytes(DATA)
    return path


# ------------------------------------------------------------------------------------------------------------ files


async def test_how_a_file_is_sent(path, foreign):
    app = app_of(lambda: FileResponse(path))
    part = DATA[10:600_001]

    async def messages(*headers, **extensions):
        server = foreign(app, headers=headers, extensions={f"http.response.{name}": {} for name in extensions})
        await server.run()
        return server, [message["type"].rpartition(".")[2] for message in server.sent[1:]]

    read, kinds = await messages(RANGE)
    assert (read.status, read.body, set(kinds)) == (206, part, {"body"})
    assert all(len(message["body"]) <= 256 * 1024 for message in read.sent[1:])
    assert (await messages(pathsend=1))[1] == ["pathsend"]
    assert (await messages(pathsend=1, zerocopysend=1))[1] == ["zerocopysend"]
    assert set((await messages(RANGE, pathsend=1))[1]) == {"body"}
    copied, kinds = await messages(RANGE, zerocopysend=1)
    assert kinds == ["zerocopysend"]
    assert [copied.sent[1][key] for key in ("offset", "count", "more_body")] == [10, len(part), False]
    several, kinds = await messages(SEVERAL, zerocopysend=1)
    assert kinds == ["body", "body", "body", "zerocopysend", "body"]  # what is small is read
    assert [message["more_body"] for message in several.sent[1:]] == [True, True, True, True, False]


async def test_a_file_that_shrinks_breaks_a_range_off(path, foreign):
    server = foreign(app_of(lambda: FileResponse(path)), headers=[RANGE])

    async def send(message):
        server.sent.append(message)
        os.truncate(path, 300_000)

    with pytest.raises(RuntimeError, match="became shorter"):
        await server.app(server.scope, server.receive, send)
    assert server.sent[-1]["more_body"] is True
    assert server.body == DATA[10 : 10 + len(server.body)]


async def test_a_file_that_grows_is_sent_as_announced(path, foreign):
    server = foreign(app_of(lambda: FileResponse(path)))

    async def send(message):
        server.sent.append(message)
        with path.open("ab") as file:
            file.write(b"more")

    await server.app(server.scope, server.receive, send)
    assert server.body == DATA


async def test_a_response_that_is_sent_again_tells_of_the_file_as_it_is(path, client_of):
    shared = FileResponse(path)
    client = await client_of(app_of(lambda: shared))
    first = await client.get("/")
    os.utime(path, (784111777, 784111777))
    second = await client.get("/")
    assert second.headers["last-modified"] == "Sun, 06 Nov 1994 08:49:37 GMT"
    assert second.headers["etag"] == first.headers["etag"]  # of the same content
    path.write_bytes(b"new")
    third = await client.get("/", headers={"if-none-match": first.headers["etag"]})
    assert (third.status, third.body) == (200, b"new")


async def test_last_modified_is_never_in_the_future(path, client_of):
    os.utime(path, (2**31, 2**31))
    date = (await (await client_of(app_of(lambda: FileResponse(path)))).get("/")).headers["last-modified"]
    assert "2038" not in date


async def test_a_tag_of_one_s_own(path, client_of):
    client = await client_of(app_of(lambda: FileResponse(path, headers={"etag": '"own"'})))
    assert (await client.get("/")).headers.getlist("etag") == ['"own"']


@pytest.mark.parametrize("size", [0, 1000, MAX_HASHED_BYTES + 1])
def test_two_contents_never_share_a_strong_tag(tmp_path, size):
    """Not even where the size is the same and the times were set back."""
    path = tmp_path / "x"
    tags = []
    for filling in (b"a", b"b"):
        path.write_bytes(filling * size)
        os.utime(path, (1, 1))
        with path.open("rb") as file:
            tag, info, _ = file_etag(file.fileno())
            assert file_etag(file.fileno())[0] == tag
        assert not tag.weak
        assert info.st_mtime == 1
        tags.append(tag)
    assert (tags[0] == tags[1]) == (size == 0)


def test_a_tag_by_content_survives_a_copy_and_is_kept(tmp_path, monkeypatch):
    tags = []
    for name in ("one", "two"):
        path = tmp_path / name
        path.write_bytes(DATA)
        with path.open("rb") as file:
            tags.append(file_etag(file.fileno())[0])
    assert tags[0] == tags[1]
    later = time.time_ns() + 10_000_000_000  # the file is old enough for its state to be known by its times
    monkeypatch.setattr("tricorn.response.filetag.time_ns", lambda: later)
    with path.open("rb") as file:
        assert file_etag(file.fileno())[0] == tags[0]
        monkeypatch.setattr("tricorn.response.filetag.os.pread", None)  # it is not read again
        assert file_etag(file.fileno())[0] == tags[0]


def test_a_large_file_on_an_old_file_system_is_tagged_weakly_while_it_is_fresh(tmp_path, monkeypatch):
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(MAX_HASHED_BYTES + 1)
    with path.open("rb") as file:
        second = os.fstat(file.fileno()).st_ctime_ns // 1_000_000_000

        class Coarse:
            def __init__(self, info):
                self.info = info

            def __getattr__(self, name):
                return second * 1_000_000_000 if name == "st_ctime_ns" else getattr(self.info, name)

        fstat = os.fstat
        monkeypatch.setattr("tricorn.response.filetag.os.fstat", lambda fd: Coarse(fstat(fd)))
        for delay, weak in ((1.5, True), (2.5, False)):
            now = int((second + delay) * 1e9)
            monkeypatch.setattr("tricorn.response.filetag.time_ns", lambda now=now: now)
            assert file_etag(file.fileno())[0].weak is weak


# ---------------------------------------------------------------------------------------------------------- sources


class Source:
    """``DATA``, and what is asked of it; ``extra`` bytes more than asked for, or fewer."""

    length = len(DATA)

    def __init__(self, extra=0):
        self.extra = extra
        self.asked = []
        self.closed = 0

    async def read(self, offset, count):
        self.asked.append((offset, count))
        try:
            stop = offset + count + self.extra
            for start in range(offset, stop, 50_000):
                yield DATA[start : min(start + 50_000, stop)]
        finally:
            self.closed += 1


async def test_a_source_is_asked_for_what_is_sent(client_of):
    source = Source()
    client = await client_of(app_of(lambda: SeekableResponse(source, etag="v1")))
    for fields, status, asked in (
        ({}, 200, [(0, len(DATA))]),
        ({"range": "bytes=10-19"}, 206, [(10, 10)]),
        ({"range": "bytes=-5,0-3"}, 206, [(len(DATA) - 5, 5), (0, 4)]),
        ({"range": "bytes=0-3", "if-range": '"v0"'}, 200, [(0, len(DATA))]),
        ({"range": f"bytes={len(DATA)}-"}, 416, []),
        ({"if-none-match": '"v1"'}, 304, []),
        ({"if-match": '"v0"'}, 412, []),
    ):
        assert (await client.get("/", headers=fields)).status == status
        assert (source.asked, source.closed) == (asked, len(asked))
        source.asked, source.closed = [], 0
    head = await client.head("/")
    assert (head.headers["content-length"], head.headers["accept-ranges"]) == (str(len(DATA)), "bytes")
    assert source.asked == []


async def test_a_weakly_tagged_source_is_never_cut(client_of):
    client = await client_of(app_of(lambda: SeekableResponse(Source(), etag='W/"v1"')))
    response = await client.get("/", headers={"range": "bytes=0-9"})
    assert (response.status, response.headers.get("accept-ranges")) == (200, None)


@pytest.mark.parametrize(("extra", "match"), [(1, "1 bytes more"), (-1, "1 bytes before")])
@pytest.mark.parametrize("headers", [(), (RANGE,)])
async def test_a_source_that_gives_more_or_less_breaks_the_response_off(foreign, extra, match, headers):
    source = Source(extra)
    source.length = 700_000
    server = foreign(app_of(lambda: SeekableResponse(source)), headers=headers)
    with pytest.raises(RuntimeError, match=match):
        await server.run()
    assert source.closed == 1
    announced = int(server.headers[b"content-length"])
    assert len(server.body) == announced or (len(server.body) < announced and server.sent[-1]["more_body"])
    assert (len(server.body) == announced) <= (extra > 0)


def test_a_source_that_cannot_be_iterated_is_told_before_anything_is_sent():
    class Whole(Source):
        async def read(self, offset, count):
            return DATA[offset : offset + count]

    class Blocking(Source):
        def read(self, offset, count):
            yield DATA[offset : offset + count]

    for source in (Whole(), Blocking()):
        with pytest.raises(TypeError, match=rf"^{type(source).__name__}\.read\(\) has to be an async generator"):
            SeekableResponse(source)


async def test_a_source_is_closed_when_the_client_leaves(client_of):
    source = Source()
    client = await client_of(app_of(lambda: SeekableResponse(source)))
    async with client.stream("GET", "/") as response:
        await response.next_part()
        response.close()
    assert source.closed == 1
