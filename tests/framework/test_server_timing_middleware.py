"""Server-Timing: what is measured where, and how it is sent."""

from __future__ import annotations

import threading

import anyio
import pytest
from starlette.applications import Starlette
from starlette.responses import StreamingResponse as StarletteStream
from starlette.routing import Route as StarletteRoute

from tricorn import App, FileResponse, Middleware, Mount, Response, Route, StreamingResponse
from tricorn.caching.timing import parse_server_timing
from tricorn.middleware import ServerTimingMiddleware
from tricorn.timing import MAX_MEASURES, Timings, collecting, measure, record

pytestmark = pytest.mark.anyio


def app_of(handler, **options):
    return App([Route("/", handler)], middleware=[Middleware(ServerTimingMiddleware, **options)])


def names(fields):
    return [metric.name for metric in parse_server_timing(fields.get("server-timing", ""))]


# ------------------------------------------------------------------------------------------------------------ measures


def test_times_of_one_name_add_up():
    now = iter([0.0, 1.0, 1.5, 2.0, 2.25]).__next__
    timings = Timings(now)
    with collecting(timings):
        for _ in range(2):
            with measure("db"):
                pass
        record("db", 1.0, description="another")
        record("miss")
    assert [str(metric) for metric in timings.take()] == ["db;dur=750", "db;dur=1000;desc=another", "miss"]
    assert timings.take() == []


def test_a_block_that_fails_is_measured():
    timings = Timings(iter([0.0, 1.0, 3.0]).__next__)
    with collecting(timings), pytest.raises(LookupError), measure("db", description="lost rows"):
        raise LookupError
    assert str(timings.take()[0]) == 'db;dur=2000;desc="lost rows"'


def test_outside_of_a_request_nothing_happens():
    with measure("db"):
        record("hit")


@pytest.mark.parametrize(
    "call",
    [
        lambda: measure("two words"),
        lambda: measure("x", description="\n"),
        lambda: record("\u00e4"),
        lambda: record("x", -1.0),
    ],
)
def test_what_cannot_be_sent_fails_where_it_is_said(call):
    with pytest.raises(ValueError):
        call()


def test_a_loop_does_not_fill_the_head():
    timings = Timings()
    with collecting(timings):
        for number in range(1000):
            record(f"row{number}")
        record("row0", 1.0)
    metrics = timings.take()
    assert len(metrics) == MAX_MEASURES
    assert metrics[0].duration == 1000


def test_inner_timings_are_put_away_again():
    outer, inner = Timings(), Timings()
    with collecting(outer):
        with collecting(inner):
            record("inner")
        record("outer")
    assert [metric.name for metric in outer.take()] == ["outer"]
    assert [metric.name for metric in inner.take()] == ["inner"]


def test_threads_lose_no_time():
    timings = Timings()

    def work():
        for _ in range(5000):
            timings.add("db", 1.0)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert timings.take()[0].duration == 20_000_000


# ----------------------------------------------------------------------------------------------------------- responses


async def test_a_response_in_one_piece(client_of):
    async def handler():
        with measure("db", description="all rows"):
            pass
        record("cache", description="hit")
        return "ok"

    response = await (await client_of(app_of(handler))).get("/")
    db, cache, total = parse_server_timing(response.headers["server-timing"])
    assert (db.name, db.description, cache.name, cache.description, total.name) == (
        "db",
        "all rows",
        "cache",
        "hit",
        "total",
    )
    assert total.duration >= db.duration >= 0
    assert cache.duration is None


async def test_measures_in_threads_and_tasks_belong_to_their_request(client_of):
    def sync():
        with measure("thread"):
            return "ok"

    async def with_tasks():
        async def work():
            with measure("task"):
                await anyio.sleep(0)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(work)
        return "ok"

    app = App([Route("/sync", sync), Route("/tasks", with_tasks)], middleware=[ServerTimingMiddleware])
    client = await client_of(app)
    found = {}

    async def ask(path):
        found[path] = names((await client.get(path)).headers)

    async with anyio.create_task_group() as tasks:
        for path in ("/sync", "/tasks"):
            tasks.start_soon(ask, path)
    assert found == {"/sync": ["thread", "total"], "/tasks": ["task", "total"]}


@pytest.mark.parametrize(("total", "sent"), [("app", ["app"]), (None, [])])
async def test_the_total_has_the_authors_name(client_of, total, sent):
    assert names((await (await client_of(app_of(lambda: "ok", total=total))).get("/")).headers) == sent


async def test_the_author_says_for_whom(client_of):
    def asks(scope):
        return any(name == b"x-debug" for name, _ in scope["headers"])

    client = await client_of(app_of(lambda: "ok", when=asks))
    assert "server-timing" not in (await client.get("/")).headers
    assert names((await client.get("/", headers={"x-debug": "1"})).headers) == ["total"]


def test_a_total_that_cannot_be():
    with pytest.raises(ValueError):
        ServerTimingMiddleware(App(), total="two words")


@pytest.mark.parametrize("version", ["1.1", "2", "3"])
async def test_a_stream_says_the_rest_in_its_trailers(client_of, version):
    async def handler():
        record("before")

        async def parts():
            for part in (b"one", b"two"):
                with measure("part"):
                    yield part

        return StreamingResponse(parts())

    response = await (await client_of(app_of(handler), http_version=version)).get("/")
    assert response.body == b"onetwo"
    assert (names(response.headers), names(response.trailers)) == (["before"], ["part", "total"])
    assert response.headers["trailer"] == "Server-Timing"


async def test_a_stream_without_trailers_says_what_it_knows(client_of):
    async def handler():
        record("before")
        return StreamingResponse([b"one"])

    response = await (await client_of(app_of(handler), http_version="1.0")).get("/")
    assert (names(response.headers), response.body) == (["before", "total"], b"one")
    assert "trailer" not in response.headers


async def test_a_foreign_stream(client_of):
    async def parts():
        for part in (b"one", b"two"):
            record("part")
            yield part

    foreign = Starlette(routes=[StarletteRoute("/", lambda _: StarletteStream(parts()))])
    client = await client_of(App([Mount("/", foreign)], middleware=[ServerTimingMiddleware]))
    response = await client.get("/")
    assert (response.body, names(response.trailers)) == (b"onetwo", ["part", "total"])


@pytest.mark.parametrize("version", ["1.1", "2"])
async def test_a_file_keeps_its_ranges_and_is_left_to_the_server(client_of, tmp_path, version):
    path = tmp_path / "a"
    path.write_bytes(b"0123456789")
    client = await client_of(app_of(lambda: FileResponse(path)), http_version=version)
    for fields, status, body in (({}, 200, b"0123456789"), ({"range": "bytes=2-3"}, 206, b"23")):
        response = await client.get("/", headers=fields)
        assert (response.status, response.body, names(response.headers)) == (status, body, ["total"])


@pytest.mark.parametrize(("method", "fields"), [("HEAD", {}), ("GET", {"if-none-match": '"1"'})])
async def test_what_has_no_content_has_no_trailers(client_of, method, fields):
    client = await client_of(app_of(lambda: StreamingResponse([b"one"], headers={"etag": '"1"'})))
    response = await client.request(method, "/", headers=fields)
    assert response.trailers.multi_items() == []
    assert response.body == b""


async def test_the_applications_own_stays(client_of):
    response = await (await client_of(app_of(lambda: Response("x", headers={"server-timing": "own;dur=1"})))).get("/")
    assert [names({"server-timing": value}) for value in response.headers.getlist("server-timing")] == [
        ["own"],
        ["total"],
    ]
