"""Responses: what is sent, when, and what becomes of it when the client goes away."""

from __future__ import annotations

import datetime
import enum
import json
import logging
import threading
import uuid
from dataclasses import dataclass
from decimal import Decimal

import anyio
import pytest

from tricorn import (
    App,
    EventSourceResponse,
    FileResponse,
    HTMLResponse,
    HTTPException,
    JSONResponse,
    RedirectResponse,
    Response,
    ServerSentEvent,
    StreamingResponse,
)
from tricorn.response import content_disposition, convert

pytestmark = pytest.mark.anyio


def app_of(handler, **options):
    app = App(json_encoder=options.pop("json_encoder", None))
    app.get("/", **options)(handler)
    return app


# ------------------------------------------------------------------------------------------------------ plain ones


@pytest.mark.parametrize(
    ("value", "status", "media_type", "body"),
    [
        ("ü", 200, "text/html; charset=utf-8", "ü".encode()),
        (b"\xff", 200, "application/octet-stream", b"\xff"),
        (bytearray(b"x"), 200, "application/octet-stream", b"x"),
        ({"a": "ü"}, 200, "application/json", '{"a":"ü"}'.encode()),
        ([1, None], 200, "application/json", b"[1,null]"),
        (None, 204, None, b""),
        (("x", 201), 201, "text/html; charset=utf-8", b"x"),
        (({"a": 1}, {"content-type": "application/vnd.x+json"}), 200, "application/vnd.x+json", b'{"a":1}'),
        (("x", 204), 204, None, b""),
        ((None, 304), 304, None, b""),
        (("x", 400, [("x-a", "1")]), 400, "text/html; charset=utf-8", b"x"),
        (HTMLResponse("<p>", 202), 202, "text/html; charset=utf-8", b"<p>"),
        (Response("x", media_type="text/css"), 200, "text/css; charset=utf-8", b"x"),
        (Response("x"), 200, "text/plain; charset=utf-8", b"x"),
        (Response(b"x"), 200, None, b"x"),
    ],
)
async def test_what_handlers_return(client_of, value, status, media_type, body):
    async def handler():
        return value

    response = await (await client_of(app_of(handler))).get("/")
    assert (response.status, response.headers.get("content-type"), response.body) == (status, media_type, body)
    assert response.headers.get("content-length") == (None if status in (204, 304) else str(len(body)))


@pytest.mark.parametrize("make", [Response, HTMLResponse])
@pytest.mark.parametrize("content", [None, {"a": 1}, 3])
def test_content_that_is_none(make, content):
    with pytest.raises(TypeError, match=f"{make.__name__}: the content is {type(content).__name__}, not str or bytes"):
        make(content)


async def test_a_205_has_no_content(client_of):
    """RFC 9110 section 15.3.6."""
    response = await (await client_of(app_of(lambda: Response("x", 205)))).get("/")
    assert (response.status, response.body) == (205, b"")


async def test_iterators_are_streamed_as_html(client_of):
    response = await (await client_of(app_of(lambda: iter(["a", b"b"])))).get("/")
    assert (response.text, response.headers["content-type"]) == ("ab", "text/html; charset=utf-8")
    assert "content-length" not in response.headers


@pytest.mark.parametrize("value", [1, object(), (), ("x",), ("x", "y"), ("x", 200, {}, 1), {1, 2}])
def test_what_they_cannot_return(value):
    with pytest.raises(TypeError, match="a handler"):
        convert(value)


async def test_who_returned_it_is_said(client_of):
    """By then the handler is in no traceback."""

    def count():
        yield 1

    for returned, complaint in (
        (3, r"handler home\(\) returned int; it may return a Response"),
        (("x", "y"), r"handler home\(\) returned a tuple of str, str; it may return \(value, status\)"),
        (anyio.sleep(0), r"handler home\(\) returned something to be awaited \(coroutine\): await it there"),
    ):

        async def home(returned=returned):
            return returned

        with pytest.raises(TypeError, match=complaint):
            await (await client_of(app_of(home))).get("/")
    returned.close()  # the coroutine
    with pytest.raises(TypeError, match="a stream yielded int; its parts are str or bytes"):
        await (await client_of(app_of(count))).get("/")


async def test_cookies(client_of):
    def handler():
        response = Response(headers=[("set-cookie", "a=1"), ("set-cookie", "b=2")])
        response.set_cookie("c", "3", max_age=5)
        response.delete_cookie("d")
        response.delete_cookie("e", secure=True, partitioned=True)
        return response

    cookies = (await (await client_of(app_of(handler))).get("/")).headers.getlist("set-cookie")
    assert cookies[:2] == ["a=1", "b=2"]
    assert cookies[2] == "c=3; Max-Age=5; Path=/; SameSite=lax".replace("lax", "Lax")
    assert "Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT" in cookies[3]
    assert cookies[4].endswith("Secure; SameSite=Lax; Partitioned")


def test_fields_are_checked_when_they_are_written():
    with pytest.raises(ValueError, match="CR, LF or NUL"):
        Response(headers={"x": "a\r\nb"})
    with pytest.raises(ValueError, match="CR, LF or NUL"):
        Response(media_type="text/plain\r\nx: y")
    assert RedirectResponse("/ü \r\nset-cookie: x").headers["location"] == "/%C3%BC%20%0D%0Aset-cookie:%20x"
    with pytest.raises(ValueError, match="not a redirect"):
        RedirectResponse("/", 200)


async def test_a_response_can_be_sent_many_times(client_of):
    shared = Response("x", headers={"x-a": "1"})

    class AddsField:
        def __init__(self, app):
            self.app = app

        async def __call__(self, scope, receive, send):
            async def add(message):
                if message["type"] == "http.response.start":
                    message["headers"].append((b"x-b", b"2"))
                await send(message)

            await self.app(scope, receive, add)

    app = App(middleware=[AddsField])
    app.get("/")(lambda: shared)
    client = await client_of(app)
    for _ in range(2):
        assert (await client.get("/")).headers.getlist("x-b") == ["2"]


# ------------------------------------------------------------------------------------------------------------ JSON


@dataclass
class Point:
    x: int


class Colour(enum.Enum):
    RED = "red"


async def test_json_values_and_encoders(client_of):
    values = {
        "t": datetime.datetime(2030, 1, 2, tzinfo=datetime.UTC),
        "u": uuid.UUID(int=1),
        "d": Decimal("1.10"),
        "p": Point(1),
        "e": Colour.RED,
        "s": {1},
    }
    seen = (await (await client_of(app_of(lambda: values))).get("/")).json()
    assert seen == {
        "t": "2030-01-02T00:00:00+00:00",
        "u": str(uuid.UUID(int=1)),
        "d": "1.10",
        "p": {"x": 1},
        "e": "red",
        "s": [1],
    }
    upper = await client_of(app_of(lambda: {"a": 1}, json_encoder=lambda value: json.dumps(value).upper()))
    assert (await upper.get("/")).text == '{"A": 1}'
    own = await client_of(app_of(lambda: JSONResponse({}, encoder=lambda value: b"own"), json_encoder=json.dumps))
    assert (await own.get("/")).text == "own"


@pytest.mark.parametrize("value", [float("nan"), object()])
async def test_what_is_not_json_is_an_error_and_not_an_answer(client_of, value):
    client = await client_of(app_of(lambda: [value]), raise_app_exceptions=False)
    assert (await client.get("/")).status == 500


# ------------------------------------------------------------------------------------------------------- streaming


async def test_the_head_leaves_before_the_first_part(client_of):
    go = anyio.Event()

    async def parts():
        await go.wait()
        yield "a"

    async with (await client_of(app_of(lambda: StreamingResponse(parts(), media_type="text/plain")))).stream(
        "GET", "/"
    ) as r:
        assert r.status == 200
        go.set()
        assert await r.read() == b"a"


async def test_sync_iterators_run_in_a_thread_one_step_at_a_time(foreign):
    threads, made = set(), []

    def parts():
        for number in range(3):
            threads.add(threading.current_thread())
            made.append(number)
            yield str(number)

    app = app_of(lambda: parts())
    server = foreign(app)
    ahead = []

    async def send(message):
        ahead.append(len(made) - sum(bool(m.get("body")) for m in server.sent))
        server.sent.append(message)

    await app(server.scope, server.receive, send)
    assert server.body == b"012"
    assert max(ahead) == 1  # the next part is made when the last one was taken
    assert threading.current_thread() not in threads


def test_a_whole_body_is_no_stream():
    with pytest.raises(TypeError, match="iterable of parts"):
        StreamingResponse("text")


async def test_async_generator_handlers_are_streamed(client_of):
    async def handler(request):
        yield request.method
        yield b"!"

    assert (await (await client_of(app_of(handler))).get("/")).text == "GET!"


@pytest.mark.parametrize("kind", ["async", "sync"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_generator_handlers_answer_like_others_until_their_first_part(client_of, kind, method):
    closed = []

    def sync_handler(id: int):
        if id == 0:
            raise HTTPException(404, "nothing")
        if id == 1:
            raise LookupError("early")
        try:
            yield {2: "", 3: 7}.get(id, "a")
            yield "b"
        finally:
            closed.append(id)

    async def handler(id: int):
        parts = sync_handler(id)
        try:
            for part in parts:
                yield part
        finally:
            parts.close()

    app = App(exception_handlers={LookupError: lambda request, error: (str(error), 503)})
    app.get("/{id}")(handler if kind == "async" else sync_handler)
    client = await client_of(app)
    assert (await client.request(method, "/0")).status == 404
    assert (await client.request(method, "/1")).status == 503
    for id, text in ((2, "b"), (4, "ab")):
        response = await client.request(method, f"/{id}")
        assert (response.status, response.text) == (200, text if method == "GET" else "")
    with pytest.raises(TypeError, match="a stream yielded int"):
        await client.request(method, "/3")
    assert closed == [2, 4, 3]


@pytest.mark.parametrize("parts", [[], [""], ["", "a"]])
async def test_the_head_of_a_generator_handler_leaves_with_the_first_part(foreign, parts):
    async def handler():
        for part in parts:
            yield part

    server = foreign(app_of(handler))
    await server.run()
    bodies = [message["body"] for message in server.sent if message["type"] == "http.response.body"]
    assert bodies == ([part.encode() for part in parts] or [b""]) + [b""]


async def test_trailers(client_of):
    size = 0

    async def parts():
        nonlocal size
        for part in (b"ab", b"c"):
            size += len(part)
            yield part

    def handler():
        return StreamingResponse(parts(), trailers=lambda: {"x-size": str(size)})

    response = await (await client_of(app_of(handler))).get("/")
    assert response.trailers.multi_items() == [("x-size", "3")]
    old = await (await client_of(app_of(handler), http_version="1.0")).get("/")  # no trailers there: dropped
    assert old.body == b"abc"


async def test_head_does_not_run_the_iterator_but_closes_it(client_of):
    log = []

    class Parts:
        def __aiter__(self):
            return self

        async def __anext__(self):
            log.append("next")
            raise StopAsyncIteration

        async def aclose(self):
            log.append("closed")

    response = await (await client_of(app_of(lambda: StreamingResponse(Parts())))).head("/")
    assert (response.status, log) == (200, ["closed"])


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_an_iterator_that_waits_is_closed_when_the_client_leaves(client_of, foreign, method):
    waiting, closed = [], []

    async def parts():
        try:
            yield "a"
            waiting[-1].set()
            await anyio.sleep_forever()
        finally:
            closed.append(True)

    app = App()
    app.route("/", methods=[method])(lambda: StreamingResponse(parts()))
    waiting.append(anyio.Event())
    async with (await client_of(app)).stream(method, "/") as response:
        assert await response.next_part() == b"a"
        await waiting[-1].wait()
    assert closed == [True]
    # The same on a server that tells of it through receive() alone.
    waiting.append(anyio.Event())
    server = foreign(app, method)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.run)
            await waiting[-1].wait()
            if method == "GET":
                server.gone.set()
            else:  # the body was not read, so nobody may listen: only cancelling ends it
                tasks.cancel_scope.cancel()
    assert closed == [True, True]


async def test_a_sync_iterator_is_closed_when_sending_fails(foreign):
    closed = []

    def parts():
        try:
            while True:
                yield "a"
        finally:
            closed.append(threading.current_thread())

    server = foreign(app_of(parts))

    async def send(message):
        if message.get("body"):
            raise OSError("gone")

    await server.app(server.scope, server.receive, send)
    assert len(closed) == 1
    assert closed[0] is not threading.current_thread()


async def test_an_error_in_the_middle_breaks_the_response_off(client_of):
    async def parts():
        yield "a"
        raise LookupError("late")

    client = await client_of(app_of(lambda: StreamingResponse(parts())))
    with pytest.raises(LookupError, match="late"):
        await client.get("/")


# --------------------------------------------------------------------------------------------- server-sent events


def test_events_on_the_wire():
    assert ServerSentEvent("a\r\nb\rc\x85d").encode() == "data: a\ndata: b\ndata: c\x85d\n\n".encode()
    assert ServerSentEvent({"ü": 1}, event="e", id="7", retry=3).encode() == (
        'event: e\nid: 7\nretry: 3\ndata: {"ü":1}\n\n'.encode()
    )
    assert ServerSentEvent(comment="c").encode() == b": c\n\n"
    assert ServerSentEvent(id=7).encode() == b"id: 7\n\n"
    assert ServerSentEvent("").encode() == b"data: \n\n"
    for wrong in ({"event": "a\nb"}, {"id": "a\0"}):
        with pytest.raises(ValueError, match="line break"):
            ServerSentEvent("x", **wrong)


async def test_event_stream(client_of):
    async def events():
        yield "one"
        yield ServerSentEvent({"n": 2}, id="2")

    response = await (await client_of(app_of(lambda: EventSourceResponse(events(), retry=500)))).get("/")
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.headers["cache-control"] == "no-store"
    assert response.text == 'retry: 500\n\ndata: one\n\nid: 2\ndata: {"n":2}\n\n'
    sync = await (await client_of(app_of(lambda: EventSourceResponse(iter(["x"]), heartbeat=0)))).get("/")
    assert sync.text == "data: x\n\n"


async def test_heartbeats_fill_silence_and_do_not_disturb_the_source(client_of):
    go = anyio.Event()
    closed = []

    async def events():
        try:
            await go.wait()
            yield "late"
            await anyio.sleep_forever()
        finally:
            closed.append(True)

    client = await client_of(app_of(lambda: EventSourceResponse(events(), heartbeat=0.01)))
    async with client.stream("GET", "/") as response:
        seen = b""
        while b":\n\n:\n\n" not in seen:
            seen += await response.next_part()
        go.set()
        while b"data: late\n\n" not in seen:
            seen += await response.next_part()
    assert closed == [True]


async def test_an_error_of_an_event_source_comes_out_as_it_is(client_of):
    async def events():
        yield "x"
        raise LookupError("late")

    with pytest.raises(LookupError, match="late"):
        await (await client_of(app_of(lambda: EventSourceResponse(events())))).get("/")


# ----------------------------------------------------------------------------------------------------------- files


async def test_files_in_chunks_and_by_path(tmp_path, client_of, foreign):
    path = tmp_path / "page.html"
    data = b"0123456789" * 60_000
    path.write_bytes(data)
    app = app_of(lambda: FileResponse(path, filename="naïve page.html"))
    server = foreign(app)
    await server.run()
    assert server.body == data
    assert server.headers[b"content-length"] == b"600000"
    assert server.headers[b"content-type"] == b"text/html; charset=utf-8"
    assert server.headers[b"last-modified"].endswith(b" GMT")
    assert server.headers[b"content-disposition"] == (
        b"attachment; filename=\"na_ve page.html\"; filename*=UTF-8''na%C3%AFve%20page.html"
    )
    direct = foreign(app, extensions={"http.response.pathsend": {}})
    await direct.run()
    assert direct.sent[1] == {"type": "http.response.pathsend", "path": str(path)}
    assert direct.headers[b"content-length"] == b"600000"
    head = await (await client_of(app)).head("/")
    assert (head.headers["content-length"], head.body) == ("600000", b"")


async def test_what_is_no_file(tmp_path, client_of):
    for path, error in ((tmp_path, IsADirectoryError), (tmp_path / "none", FileNotFoundError)):
        client = await client_of(app_of(lambda path=path: FileResponse(path)))
        with pytest.raises(error):
            await client.get("/")


async def test_a_file_that_shrinks_breaks_the_response_off(tmp_path, foreign):
    path = tmp_path / "x.bin"
    path.write_bytes(b"x" * 600_000)
    server = foreign(app_of(lambda: FileResponse(path)))

    async def send(message):
        server.sent.append(message)
        path.write_bytes(b"x" * 300_000)

    with pytest.raises(RuntimeError, match="became shorter"):
        await server.app(server.scope, server.receive, send)
    assert server.sent[-1]["more_body"] is True


def test_media_types_and_names(tmp_path):
    assert FileResponse("a.tar.gz").headers["content-type"] == "application/octet-stream"
    assert FileResponse("a", media_type="x/y").headers["content-type"] == "x/y"
    assert content_disposition("plain.txt", "inline") == 'inline; filename="plain.txt"'
    assert content_disposition('a"\r\nb%.txt') == 'attachment; filename="a\\"b%.txt"; filename*=UTF-8\'\'a%22b%25.txt'


# ------------------------------------------------------------------------------------------------------ background


async def test_background_work_runs_after_the_response_also_for_a_client_that_left(client_of, foreign, caplog):
    log = []

    def sync():
        log.append("sync")

    async def fails():
        log.append("fails")
        raise LookupError("in the background")

    async def last():
        await anyio.lowlevel.checkpoint()
        log.append("last")

    app = app_of(lambda: Response("x", background=[sync, fails, last]))
    with caplog.at_level(logging.ERROR):
        assert (await (await client_of(app)).get("/")).text == "x"
    assert log == ["sync", "fails", "last"]
    assert "in the background" in caplog.text
    log.clear()
    server = foreign(app)
    server.gone.set()
    await server.run()
    assert (log, server.sent) == (["sync", "fails", "last"], [])
