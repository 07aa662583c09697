"""The WSGI-to-ASGI bridge, driven as an ASGI server drives it, on asyncio and on trio."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from wsgiref.validate import validator

import anyio
import flask
import pytest

from tricorn_transports.abc import ExcInfo, Message, Scope, StartResponse, WSGIApp, WSGIEnvironment
from tricorn_transports.errors import ClientDisconnected, LocalProtocolError
from tricorn_transports.wsgi import WSGIToASGI

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def http_scope(**changes: Any) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "http_version": "2",
        "method": "GET",
        "scheme": "https",
        "path": "/",
        "raw_path": b"/",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"example.com")],
        "client": ("192.0.2.7", 4711),
        "server": ("127.0.0.1", 8443),
        **changes,
    }


class Client:
    """The server's side of one request: what it feeds in and what came out.

    ``messages`` are received in order; after them the client stays connected and silent.
    """

    def __init__(self, app: WSGIApp, *, threads: int = 40) -> None:
        self.bridge = WSGIToASGI(app, threads=threads)
        self.sent: list[Message] = []
        self.messages: list[Message] = []
        self.received = 0

    async def request(self, body: Iterable[bytes] = (), **changes: Any) -> Client:
        parts = list(body)
        self.messages += [{"type": "http.request", "body": part, "more_body": True} for part in parts]
        self.messages.append({"type": "http.request", "body": b"", "more_body": False})
        await self.run(http_scope(**changes))
        return self

    async def run(self, scope: Scope) -> None:
        await self.bridge(scope, self.receive, self.send)

    async def receive(self) -> Message:
        if self.received == len(self.messages):
            await anyio.sleep_forever()
        self.received += 1
        return self.messages[self.received - 1]

    async def send(self, message: Message) -> None:
        await anyio.lowlevel.checkpoint()
        self.sent.append(message)

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        return list(self.sent[0]["headers"])

    @property
    def body(self) -> bytes:
        assert [m["type"] for m in self.sent] == ["http.response.start"] + ["http.response.body"] * (len(self.sent) - 1)
        assert [m["more_body"] for m in self.sent[1:]] == [True] * (len(self.sent) - 2) + [False]
        return b"".join(m["body"] for m in self.sent[1:])


OK_TEXT = ("200 OK", [("Content-Type", "text/plain")])


def answering(make: Callable[[WSGIEnvironment], Iterable[bytes]]) -> WSGIApp:
    """An application that answers 200 with what ``make`` makes of the environment."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response(*OK_TEXT)
        return make(environ)

    return app


# ------------------------------------------------------------------------------------------------ the response


async def test_one_part_is_the_whole_response() -> None:
    client = await Client(answering(lambda environ: [b"hello"])).request()
    assert (client.status, client.headers, client.body) == (200, [(b"content-type", b"text/plain")], b"hello")
    assert len(client.sent) == 2


async def test_a_body_of_the_declared_length_needs_no_further_message() -> None:
    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Length", "4")])
        yield b"ab"
        yield b"cd"

    client = await Client(app).request()
    assert client.body == b"abcd"
    assert len(client.sent) == 3


async def test_what_goes_over_the_declared_length_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Length", "3")])
        return [b"abcdef"]

    assert (await Client(app).request()).body == b"abc"
    assert "longer than its Content-Length" in caplog.text


async def test_an_empty_body_is_a_response() -> None:
    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("204 No Content", [])
        return []

    client = await Client(app).request()
    assert (client.status, client.body) == (204, b"")


async def test_duplicate_fields_stay_apart_and_hop_by_hop_fields_go() -> None:
    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("Set-Cookie", "a=1"), ("Connection", "close"), ("Set-Cookie", "b=\xe9")])
        return [b"x"]

    client = await Client(app).request()
    assert client.headers == [(b"set-cookie", b"a=1"), (b"set-cookie", b"b=\xe9")]


async def test_write_sends_before_the_iterable() -> None:
    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        write = start_response(*OK_TEXT)
        write(b"one ")
        write(b"two ")
        return [b"three"]

    client = await Client(app).request()
    assert client.body == b"one two three"
    assert len(client.sent) == 4


async def test_a_part_is_taken_only_after_the_one_before_was_sent() -> None:
    taken: list[int] = []

    def parts(environ: WSGIEnvironment) -> Iterator[bytes]:
        for number in range(3):
            taken.append(number)
            yield b"x"

    seen: list[list[int]] = []

    class Slow(Client):
        async def send(self, message: Message) -> None:
            await anyio.sleep(0.01)
            seen.append(taken[:])
            await super().send(message)

    client = await Slow(answering(parts)).request()
    assert client.body == b"xxx"
    assert seen == [[0], [0], [0, 1], [0, 1, 2], [0, 1, 2]]  # the head goes with the first part


async def test_head_sends_the_fields_and_takes_no_endless_body() -> None:
    def endless(environ: WSGIEnvironment) -> Iterator[bytes]:
        while True:
            yield b"x"

    client = await Client(answering(endless)).request(method="HEAD")
    assert (client.status, client.sent[-1]["more_body"]) == (200, False)


async def test_file_wrapper_gives_blocks_and_closes_the_file() -> None:
    file = io.BytesIO(b"0123456789")
    client = await Client(answering(lambda environ: environ["wsgi.file_wrapper"](file, 4))).request()
    assert [m["body"] for m in client.sent[1:]] == [b"0123", b"4567", b"89", b""]
    assert file.closed


class Body:
    """An iterable that notes its end."""

    def __init__(self, parts: Iterable[bytes] = (), error: Exception | None = None) -> None:
        self.parts, self.error, self.closes = parts, error, 0

    def __iter__(self) -> Iterator[bytes]:
        yield from self.parts
        if self.error is not None:
            raise self.error

    def close(self) -> None:
        self.closes += 1


async def test_close_is_called_after_the_body() -> None:
    body = Body([b"x"])
    await Client(answering(lambda environ: body)).request()
    assert body.closes == 1


async def test_an_exception_of_the_body_is_raised_and_closes() -> None:
    body = Body([b"x"], RuntimeError("broken"))
    with pytest.raises(RuntimeError, match="broken"):
        await Client(answering(lambda environ: body)).request()
    assert body.closes == 1


async def test_an_exception_before_the_response_is_raised_with_nothing_sent() -> None:
    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        raise RuntimeError("broken")

    client = Client(app)
    with pytest.raises(RuntimeError, match="broken"):
        await client.request()
    assert client.sent == []


def failing(fail_after: int) -> WSGIApp:
    """Calls start_response again with ``exc_info``, before or after the first part."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [("X-Try", "1")])
        yield from [b"x"] * fail_after
        try:
            raise RuntimeError("broken")
        except RuntimeError as error:
            info: ExcInfo = (RuntimeError, error, error.__traceback__)
            start_response("500 Sorry", [("X-Try", "2")], info)
        yield b"sorry"

    return app


async def test_exc_info_replaces_a_head_that_is_not_sent() -> None:
    client = await Client(failing(0)).request()
    assert (client.status, client.headers, client.body) == (500, [(b"x-try", b"2")], b"sorry")


async def test_exc_info_is_raised_when_the_head_is_sent() -> None:
    client = Client(failing(1))
    with pytest.raises(RuntimeError, match="broken"):
        await client.request()
    assert (client.status, client.sent[-1]["more_body"]) == (200, True)


@pytest.mark.parametrize(
    ("calls", "body", "message"),
    [
        ([("200 OK", []), ("200 OK", [])], [b"x"], "called twice"),
        ([("OK", [])], [b"x"], "is not a status"),
        ([("200 OK", [])], ["text"], "made of bytes, not str"),
        ([], [b"x"], "before it called start_response"),
    ],
)
async def test_an_application_that_breaks_pep_3333_is_told(
    calls: list[tuple[str, list[tuple[str, str]]]], body: list[Any], message: str
) -> None:
    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        for call in calls:
            start_response(*call)
        return body

    with pytest.raises(LocalProtocolError, match=message):
        await Client(app).request()


# ------------------------------------------------------------------------------------------------ the request's body


async def test_input_reads_as_a_file() -> None:
    seen: list[object] = []

    def reading(environ: WSGIEnvironment) -> list[bytes]:
        file = environ["wsgi.input"]
        seen.extend([file.read(3), file.readline(), file.readline(2), file.readline(), next(iter(file))])
        seen.extend([file.readlines(1), file.read(0), file.read(), file.read(), file.readline(), file.readlines()])
        return [b"x"]

    await Client(answering(reading)).request([b"ab", b"cdef\ngh", b"ij\nk\nl\n", b"mno"])
    assert seen == [b"abc", b"def\n", b"gh", b"ij\n", b"k\n", [b"l\n"], b"", b"mno", b"", b"", []]


async def test_the_body_is_waited_for_only_as_it_is_read() -> None:
    received: list[int] = []

    def reading(environ: WSGIEnvironment) -> Iterator[bytes]:
        for _ in range(3):
            received.append(client.received)
            yield environ["wsgi.input"].read(2)

    client = Client(answering(reading))
    await client.request([b"ab", b"cd", b"ef"])
    assert received == [0, 1, 2]
    assert client.body == b"abcdef"


async def test_reading_stops_at_the_content_length_without_another_message() -> None:
    client = Client(answering(lambda environ: [environ["wsgi.input"].read()]))
    client.messages = [{"type": "http.request", "body": b"abc", "more_body": True}]
    await client.run(http_scope(method="POST", headers=[(b"content-length", b"3")]))
    assert client.body == b"abc"


async def test_a_client_that_leaves_ends_the_read() -> None:
    body = Body()
    raised: list[BaseException] = []

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        try:
            environ["wsgi.input"].read()
        except OSError as error:
            raised.append(error)
        start_response(*OK_TEXT)
        return body

    client = Client(app)
    client.messages = [{"type": "http.request", "body": b"a", "more_body": True}, {"type": "http.disconnect"}]
    await client.run(http_scope(method="POST"))
    assert isinstance(raised[0], ClientDisconnected)
    assert body.closes == 1


async def test_a_client_that_leaves_ends_the_response() -> None:
    taken: list[int] = []

    def endless() -> Iterator[bytes]:
        while True:
            taken.append(1)
            yield b"x"

    class Leaving(Client):
        async def send(self, message: Message) -> None:
            if len(self.sent) == 3:
                raise ClientDisconnected("gone")
            await super().send(message)

    body = Body(endless())
    await Leaving(answering(lambda environ: body)).request()
    assert (len(taken), body.closes) == (3, 1)


async def test_a_client_that_leaves_an_older_server_ends_the_response() -> None:
    """Before ASGI 2.4 ``send()`` kept quiet after a disconnect; only ``receive()`` told."""
    left = threading.Event()

    def endless() -> Iterator[bytes]:
        yield b"x"
        yield b"x"
        assert left.wait(5)
        while True:
            yield b"x"

    class Quiet(Client):
        async def receive(self) -> Message:
            if self.received == len(self.messages):
                left.set()
                return {"type": "http.disconnect"}
            return await super().receive()

    body = Body(endless())
    client = Quiet(answering(lambda environ: body))
    with anyio.fail_after(5):
        await client.request(asgi={"version": "3.0", "spec_version": "2.3"}, http_version="1.1")
    assert body.closes == 1


async def test_an_exception_under_an_older_server_is_no_group() -> None:
    body = Body([b"x"], RuntimeError("broken"))
    with pytest.raises(RuntimeError, match="broken"):
        await Client(answering(lambda environ: body)).request(asgi={"version": "3.0"})


# ------------------------------------------------------------------------------------------------ the environment


async def environ_of(**changes: Any) -> WSGIEnvironment:
    found: list[WSGIEnvironment] = []
    await Client(answering(lambda environ: found.append(environ) or [b"x"])).request(**changes)  # type: ignore[func-returns-value]  # append's None is what lets the list through
    return found[0]


async def test_the_environment() -> None:
    environ = await environ_of(
        method="PUT",
        path="/app/a b",
        raw_path=b"/app/a%20b",
        root_path="/app",
        query_string=b"q=%20",
        headers=[
            (b"host", b"example.com:1"),
            (b"content-type", b"text/plain"),
            (b"content-length", b"0"),
            (b"x-one", b"\xe9"),
            (b"accept", b"a"),
            (b"accept", b"b"),
            (b"cookie", b"c=1"),
            (b"cookie", b"d=2"),
        ],
    )
    expected = {
        "REQUEST_METHOD": "PUT",
        "SCRIPT_NAME": "/app",
        "PATH_INFO": "/a b",
        "RAW_URI": "/app/a%20b?q=%20",
        "QUERY_STRING": "q=%20",
        "CONTENT_TYPE": "text/plain",
        "CONTENT_LENGTH": "0",
        "HTTP_HOST": "example.com:1",
        "HTTP_X_ONE": "\xe9",
        "HTTP_ACCEPT": "a,b",
        "HTTP_COOKIE": "c=1; d=2",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8443",
        "SERVER_PROTOCOL": "HTTP/2",
        "REMOTE_ADDR": "192.0.2.7",
        "wsgi.url_scheme": "https",
    }
    assert {key: environ[key] for key in expected} == expected
    assert "HTTP_CONTENT_LENGTH" not in environ


@pytest.mark.parametrize(
    ("changes", "path_info"),
    [
        ({"path": "/é", "raw_path": b"/%C3%A9"}, "/\xc3\xa9"),
        ({"path": "/\ufffd", "raw_path": b"/%FF"}, "/\xff"),
        ({"path": b"/\xff".decode(errors="surrogateescape"), "raw_path": b"/%FF"}, "/\xff"),
        ({"path": "/é", "raw_path": None}, "/\xc3\xa9"),
        ({"path": "/app", "root_path": "/app"}, ""),
        ({"path": "/apple", "root_path": "/app"}, "/apple"),
        ({"path": "/", "root_path": "/app"}, "/"),
    ],
)
async def test_path_info_is_the_bytes_below_the_mount(changes: dict[str, Any], path_info: str) -> None:
    assert (await environ_of(**changes))["PATH_INFO"] == path_info


async def test_names_that_could_pass_for_others_are_left_out() -> None:
    environ = await environ_of(headers=[(b"x_user", b"root"), (b"proxy", b"http://evil")])
    assert not {"HTTP_X_USER", "HTTP_PROXY"} & set(environ)


async def test_a_unix_socket_has_a_server_name_all_the_same() -> None:
    environ = await environ_of(server=("/run/app.sock", None), client=None)
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"], environ["REMOTE_ADDR"]) == ("example.com", "443", "")


async def test_wsgiref_finds_nothing_to_complain_of() -> None:
    @validator
    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        data = environ["wsgi.input"].read(100)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [data, b"!"]

    client = await Client(app).request([b"abc"], method="POST", path="/x")  # type: ignore[arg-type]  # typeshed's own WSGI types
    assert client.body == b"abc!"


# ------------------------------------------------------------------------------------------------ around HTTP


async def test_no_more_requests_at_once_than_threads() -> None:
    lock = threading.Lock()
    running: list[int] = [0, 0]

    def counting(environ: WSGIEnvironment) -> list[bytes]:
        with lock:
            running[0] += 1
            running[1] = max(running)
        environ["wsgi.input"].read()
        with lock:
            running[0] -= 1
        return [b"x"]

    client = Client(answering(counting), threads=2)

    async def one() -> None:
        other = Client(answering(counting))
        other.bridge = client.bridge
        await other.request([b"a"])

    async with anyio.create_task_group() as group:
        for _ in range(8):
            group.start_soon(one)
    assert running[1] == 2


async def test_lifespan_is_answered() -> None:
    client = Client(answering(lambda environ: []))
    client.messages = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    await client.run({"type": "lifespan"})
    assert [m["type"] for m in client.sent] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


async def test_websockets_are_refused() -> None:
    client = Client(answering(lambda environ: []))
    client.messages = [{"type": "websocket.connect"}]
    await client.run({"type": "websocket", "path": "/"})
    assert client.sent == [{"type": "websocket.close"}]


async def wait_for(event: threading.Event) -> None:
    with anyio.fail_after(5):
        while not event.is_set():
            await anyio.sleep(0.005)


async def test_a_cancelled_request_ends_a_thread_that_waits_for_the_client() -> None:
    body = Body()
    raised: list[BaseException] = []
    waits, ended = threading.Event(), threading.Event()

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        try:
            waits.set()
            environ["wsgi.input"].read()
        except OSError as error:
            raised.append(error)
        ended.set()
        return body

    async with anyio.create_task_group() as group:
        group.start_soon(Client(app).run, http_scope(method="POST"))
        await wait_for(waits)
        group.cancel_scope.cancel()
    await wait_for(ended)
    assert isinstance(raised[0], ClientDisconnected)


async def test_a_cancelled_request_does_not_wait_for_a_busy_thread_whose_place_stays_taken() -> None:
    starts, goes_on = threading.Semaphore(0), threading.Event()
    events: list[str] = []

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        events.append("began")
        starts.release()
        assert goes_on.wait(5)
        events.append("ended")
        start_response(*OK_TEXT)
        return [b"x"]

    client = Client(app, threads=1)
    async with anyio.create_task_group() as group:
        group.start_soon(client.run, http_scope())
        while not starts.acquire(blocking=False):
            await anyio.sleep(0.005)
        group.cancel_scope.cancel()
    assert events == ["began"]
    with anyio.move_on_after(0.05) as scope:
        await client.run(http_scope())
    assert scope.cancelled_caught
    assert events == ["began"]
    goes_on.set()
    await client.run(http_scope())
    assert events == ["began", "ended", "began", "ended"]


@pytest.mark.parametrize("turns", range(8))
async def test_whenever_a_request_is_cancelled_its_place_comes_back(turns: int) -> None:
    """After this many turns of the loop it waits for its place, for its thread, or for the response."""
    client = Client(answering(lambda environ: [b"x"]), threads=1)
    async with anyio.create_task_group() as group:
        group.start_soon(Client.request, client)
        for _ in range(turns):
            await anyio.lowlevel.checkpoint()
        group.cancel_scope.cancel()
    other = Client(client.bridge.app)
    other.bridge = client.bridge
    with anyio.fail_after(5):
        await other.request()
    assert other.body == b"x"


# ------------------------------------------------------------------------------------------------ Flask


@pytest.fixture
def site() -> flask.Flask:
    app = flask.Flask("site")

    @app.post("/echo")
    def echo() -> dict[str, object]:
        return {"form": flask.request.form.to_dict(), "url": flask.request.url}

    @app.post("/upload")
    def upload() -> str:
        return str(sum(len(part) for part in iter(lambda: flask.request.stream.read(4096), b"")))

    @app.get("/stream")
    def stream() -> flask.Response:
        return flask.Response((f"{n}\n" for n in range(3)), mimetype="text/plain")

    @app.get("/cookies")
    def cookies() -> flask.Response:
        response = flask.make_response("ok")
        response.set_cookie("a", "1")
        response.set_cookie("b", "2")
        return response

    return app


async def test_flask_reads_a_form(site: flask.Flask) -> None:
    client = await Client(site.wsgi_app).request(
        [b"a=1&", b"b=%C3%A9"],
        method="POST",
        path="/echo",
        raw_path=b"/echo",
        headers=[(b"host", b"example.com"), (b"content-type", b"application/x-www-form-urlencoded")],
    )
    assert flask.json.loads(client.body) == {"form": {"a": "1", "b": "é"}, "url": "https://example.com/echo"}


async def test_flask_streams_both_ways(site: flask.Flask) -> None:
    up = await Client(site.wsgi_app).request([b"x" * 65_536] * 16, method="POST", path="/upload")
    assert up.body == b"1048576"
    down = await Client(site.wsgi_app).request(path="/stream")
    assert [m["body"] for m in down.sent[1:]] == [b"0\n", b"1\n", b"2\n", b""]


async def test_flask_sets_two_cookies_and_answers_in_one_go(site: flask.Flask) -> None:
    client = await Client(site.wsgi_app).request(path="/cookies")
    assert [value for name, value in client.headers if name == b"set-cookie"] == [b"a=1; Path=/", b"b=2; Path=/"]
    assert len(client.sent) == 2
