"""The test client against small hand-written ASGI applications: it must act as a server does, on both backends."""

from __future__ import annotations

import json
import threading

import anyio
import pytest
from starlette.middleware.gzip import GZipMiddleware

from tricorn import App, FileResponse, Route
from tricorn.testing import ASGIViolation, AsyncClient, Client, IncompleteResponse, LifespanFailed


@pytest.fixture(params=["asyncio", "trio"])
def backend(request):
    return request.param


def answer(status=200, body=b"", headers=(), **start):
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": status, "headers": list(headers), **start})
        await send({"type": "http.response.body", "body": body})

    return app


def open_client(app, **options):
    """A client for an application without a lifespan of its own."""
    return Client(app, lifespan=False, **options)


async def read_all(receive):
    body, message = b"", {"more_body": True}
    while message.get("more_body"):
        message = await receive()
        assert message["type"] == "http.request"
        body += message["body"]
    return body, message


async def echo(scope, receive, send):
    body, last = await read_all(receive)
    seen = {
        "method": scope["method"],
        "path": scope["path"],
        "raw_path": scope["raw_path"].decode(),
        "query": scope["query_string"].decode(),
        "headers": [[name.decode(), value.decode()] for name, value in scope["headers"]],
        "body": body.decode("latin-1"),
        "http_version": scope["http_version"],
        "scheme": scope["scheme"],
        "extensions": sorted(scope["extensions"]),
        "trailers": [[name.decode(), value.decode()] for name, value in last.get("trailers", [])],
    }
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": json.dumps(seen).encode()})


def test_request_reaches_the_app_as_written(backend):
    with open_client(echo, backend=backend) as client:
        seen = client.get("/a%2Fb/ü?x=1", params={"y": ["2", "ä"]}, headers={"X-One": "1"}).json()
    assert (seen["path"], seen["raw_path"]) == ("/a/b/ü", "/a%2Fb/%C3%BC")
    assert seen["query"] == "x=1&y=2&y=%C3%A4"
    assert seen["headers"][0] == ["host", "testserver"]
    assert ["x-one", "1"] in seen["headers"]


@pytest.mark.parametrize(
    ("version", "scheme", "push"), [("1.0", "http", False), ("1.1", "http", False), ("2", "https", True)]
)
def test_scope_looks_like_its_protocol(version, scheme, push):
    with open_client(echo, http_version=version) as client:
        seen = client.get("/").json()
    assert (seen["http_version"], seen["scheme"]) == (version, scheme)
    assert ("http.response.push" in seen["extensions"]) is push
    assert ("http.response.trailers" in seen["extensions"]) is (version != "1.0")


def test_bodies():
    with open_client(echo) as client:
        sent = client.post("/", json={"a": "ü"}).json()
        assert sent["body"].encode("latin-1") == '{"a":"ü"}'.encode()
        assert ["content-type", "application/json"] in sent["headers"]
        assert client.post("/", data={"a": "1 2", "b": ["x", 1], "c": 2}).json()["body"] == "a=1+2&b=x&b=1&c=2"
        assert client.post("/", data=[("a", 1), ("a", 2)]).json()["body"] == "a=1&a=2"
        sent = client.post("/", data={"a": "1"}, files={"f": ("n.txt", b"hi")}).json()
        assert 'name="f"; filename="n.txt"\r\nContent-Type: text/plain\r\n\r\nhi\r\n' in sent["body"]
        assert 'name="a"\r\n\r\n1\r\n' in sent["body"]
        sent = client.post("/", content=iter([b"one", b"two"])).json()
        assert sent["body"] == "onetwo"
        assert ["transfer-encoding", "chunked"] in sent["headers"]
        with pytest.raises(TypeError):
            client.post("/", content=b"", json={})


def test_trailers_both_ways(backend):
    async def app(scope, receive, send):
        _, last = await read_all(receive)
        await send({"type": "http.response.start", "status": 200, "headers": [], "trailers": True})
        await send({"type": "http.response.body", "body": b"x"})
        await send({"type": "http.response.trailers", "headers": last["trailers"], "more_trailers": True})
        await send({"type": "http.response.trailers", "headers": [(b"b", b"2")]})

    with open_client(app, backend=backend) as client:
        response = client.post("/", content=iter([b"x"]), trailers={"A": "1"})
    assert response.trailers.multi_items() == [("a", "1"), ("b", "2")]


def test_pushes_and_hints_are_recorded():
    async def app(scope, receive, send):
        await send({"type": "http.response.early_hint", "links": [b"</a.css>; rel=preload"]})
        await send({"type": "http.response.push", "path": "/a.css", "headers": [(b"accept", b"text/css")]})
        await answer(200, b"x")(scope, receive, send)

    with open_client(app, http_version="2") as client:
        response = client.get("/")
    assert response.early_hints == [["</a.css>; rel=preload"]]
    assert [(push.path, push.headers["accept"]) for push in response.pushes] == [("/a.css", "text/css")]
    with open_client(app) as client, pytest.raises(ASGIViolation, match="does not offer"):
        client.get("/")


def test_app_waits_for_the_test_to_read(backend):
    sent = []

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for number in range(3):
            await send({"type": "http.response.body", "body": b"%d" % number, "more_body": True})
            sent.append(number)
        await send({"type": "http.response.body"})

    with open_client(app, backend=backend) as client, client.stream("GET", "/") as response:
        assert sent == []
        assert response.next_part() == b"0"
        assert response.next_part() == b"1"
        assert 2 not in sent
        assert response.read() == b"2"


def test_request_body_is_pulled_as_the_app_reads(backend):
    produced = []

    def body():
        for number in range(4):
            produced.append(number)
            yield b"%d" % number

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        more = True
        while more:
            message = await receive()
            more = message["more_body"]
            await send({"type": "http.response.body", "body": message["body"], "more_body": more})

    with open_client(app, backend=backend) as client, client.stream("POST", "/", content=body()) as response:
        assert response.next_part() == b"0"
        assert 3 not in produced
        assert response.read() == b"123"


def test_closing_a_stream_early_disconnects_the_app(backend):
    seen = []

    async def app(scope, receive, send):
        scope["extensions"]["tricorn.disconnect"]["register"](lambda: seen.append("callback"))
        await read_all(receive)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x", "more_body": True})
        seen.append((await receive())["type"])
        try:
            await send({"type": "http.response.body", "body": b"y", "more_body": True})
        except OSError:
            seen.append("OSError")
            raise

    with open_client(app, backend=backend) as client, client.stream("GET", "/") as response:
        assert response.next_part() == b"x"
    assert seen == ["callback", "http.disconnect", "OSError"]


def test_a_waiting_send_ends_with_oserror():
    seen = threading.Event()

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        try:
            await send({"type": "http.response.body", "body": b"x", "more_body": True})
        except OSError:
            seen.set()

    with open_client(app) as client, client.stream("GET", "/"):
        pass
    assert seen.is_set()


def test_request_that_times_out_is_a_disconnect(backend):
    seen = []

    async def app(scope, receive, send):
        await receive()
        seen.append((await receive())["type"])

    with open_client(app, backend=backend) as client, pytest.raises(TimeoutError):
        client.get("/", timeout=0.05)
    assert seen == ["http.disconnect"]


def test_failing_upload_is_a_disconnect():
    seen = []

    def body():
        yield b"x"
        raise ValueError("cable pulled")

    async def app(scope, receive, send):
        while (message := await receive())["type"] == "http.request":
            seen.append(message["body"])
        seen.append(message["type"])

    with open_client(app) as client, pytest.raises(ValueError, match="cable"):
        client.post("/", content=body())
    assert seen == [b"x", "http.disconnect"]


def test_after_the_response_receive_says_disconnect_and_background_work_ends():
    seen = []

    async def app(scope, receive, send):
        await read_all(receive)
        await answer(200, b"x")(scope, receive, send)
        seen.append((await receive())["type"])
        await anyio.sleep(0)
        seen.append("background")

    with open_client(app) as client:
        client.get("/")
    assert seen == ["http.disconnect", "background"]


def test_app_exceptions_reach_the_test(backend):
    async def app(scope, receive, send):
        raise KeyError("mine")

    with open_client(app, backend=backend) as client, pytest.raises(KeyError, match="mine"):
        client.get("/")
    with open_client(app, backend=backend, raise_app_exceptions=False) as client:
        assert client.get("/").status == 500


def test_app_that_breaks_off():
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x", "more_body": True})
        raise KeyError("mine")

    with open_client(app, raise_app_exceptions=False) as client, pytest.raises(IncompleteResponse):
        client.get("/")
    with open_client(app) as client, pytest.raises(KeyError):
        client.get("/")


START = {"type": "http.response.start", "status": 200, "headers": []}
BODY = {"type": "http.response.body", "body": b"x"}


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        ([BODY], "where http.response.start"),
        ([START, START], "where http.response.body"),
        ([START, BODY, BODY], "nothing more"),
        ([START], "returned before"),
        ([], "returned before"),
        ([START, {**BODY, "more_body": True}], "returned before"),
        ([{**START, "status": 100}], "final response"),
        ([{**START, "status": "200"}], "must be int"),
        ([{**START, "headers": {"a": "b"}}], "iterable of pairs"),
        ([{**START, "headers": [("a", "b")]}], "must be bytes"),
        ([{**START, "headers": [(b"A", b"b")]}], "lower case"),
        ([{**START, "headers": [(b"a b", b"b")]}], "not a field name"),
        ([{**START, "headers": [(b"a", b"b\r\nc: d")]}], "CR, LF"),
        ([{**START, "headers": [(b"content-length", b"2")]}, BODY], "content-length says 2"),
        ([{**START, "status": 304}, BODY], "has no body"),
        ([{**START, "status": 205}, BODY], "has no body"),
        ([START, {**BODY, "body": "x"}], "must be bytes"),
    ],
)
def test_violations_are_named_even_when_the_app_hides_them(messages, words):
    async def app(scope, receive, send):
        try:
            for message in messages:
                await send(dict(message))
        except AssertionError:
            pass

    with open_client(app, raise_app_exceptions=False) as client, pytest.raises(ASGIViolation, match=words):
        client.get("/")


def test_head_has_no_body():
    with open_client(answer(200, b"body", [(b"content-length", b"4")])) as client:
        response = client.head("/")
    assert (response.body, response.headers["content-length"]) == (b"", "4")


def test_redirects_and_their_methods():
    async def app(scope, receive, send):
        if scope["path"] != "/":
            return await echo(scope, receive, send)
        location = [(b"location", b"end?x=1"), (b"set-cookie", b"seen=1")]
        return await answer(int(scope["query_string"]), b"", location)(scope, receive, send)

    with open_client(app, follow_redirects=True) as client:
        response = client.post("/?303", json=1)
        assert (response.json()["method"], response.url) == ("GET", "http://testserver/end?x=1")
        assert ["cookie", "seen=1"] in response.json()["headers"]
        assert [step.status for step in response.history] == [303]
        seen = client.post("/?308", content=b"kept").json()
        assert (seen["method"], seen["body"]) == ("POST", "kept")
        assert client.post("/?308", follow_redirects=False).status == 308


def test_redirect_loop_ends():
    app = answer(302, b"", [(b"location", b"/")])
    with open_client(app, follow_redirects=True) as client, pytest.raises(RuntimeError, match="redirected more"):
        client.get("/")


def test_cookies_follow_their_rules():
    cookies = {
        "/set": [b"a=1; Path=/", b"b=2; Path=/deep", b"c=3; Secure", b"d=4; Domain=other.example"],
        "/unset": [b"a=; Max-Age=0; Path=/"],
    }

    async def app(scope, receive, send):
        headers = [(b"set-cookie", value) for value in cookies.get(scope["path"], [])]
        sent = dict(scope["headers"]).get(b"cookie", b"")
        await answer(200, sent, headers)(scope, receive, send)

    with open_client(app, cookies={"own": "0"}) as client:
        client.get("/set")
        assert client.get("/").text == "own=0; a=1"
        assert client.get("/deep/er").text == "b=2; own=0; a=1"
        assert client.get("/deeper").text == "own=0; a=1"
        assert client.cookies["b"] == "2"
        client.get("/unset")
        assert "a" not in client.cookies


def test_lifespan_and_state(backend):
    log = []

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            assert (await receive())["type"] == "lifespan.startup"
            scope["state"]["db"] = "open"
            await send({"type": "lifespan.startup.complete"})
            assert (await receive())["type"] == "lifespan.shutdown"
            log.append("closed")
            await send({"type": "lifespan.shutdown.complete"})
        else:
            scope["state"]["mine"] = 1
            await answer(200, ",".join(sorted(scope["state"])).encode())(scope, receive, send)

    with Client(app, backend=backend) as client:
        assert client.get("/").text == "db,mine"
        assert client.state == {"db": "open"}
        assert log == []
    assert log == ["closed"]


@pytest.mark.parametrize("when", ["startup", "shutdown"])
def test_lifespan_failure_is_raised(when):
    async def app(scope, receive, send):
        await receive()
        if when == "shutdown":
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": f"lifespan.{when}.failed", "message": "no database"})

    with pytest.raises(LifespanFailed, match="no database"), Client(app):
        pass


def test_app_without_lifespan_and_an_error_of_the_test(backend):
    async def app(scope, receive, send):
        assert scope["type"] == "http"
        await answer(200, b"x")(scope, receive, send)

    with pytest.raises(ZeroDivisionError), Client(app, backend=backend) as client:
        assert client.get("/").text == "x"
        1 / 0


def test_options_that_there_are_not():
    with pytest.raises(TypeError, match="'raise_server_exceptions'; did you mean 'raise_app_exceptions'"):
        Client(App(), raise_server_exceptions=False)
    with Client(App()) as client, pytest.raises(TypeError, match=r"no option 'auth' \(there are: params, headers,"):
        client.get("/", auth=("me", "secret"))


def test_client_must_be_open():
    with pytest.raises(RuntimeError, match="with block"):
        Client(echo).get("/")


@pytest.mark.anyio
async def test_async_client(anyio_backend):
    async def parts():
        yield b"one"
        yield b"two"

    async with AsyncClient(echo, lifespan=False) as client:
        assert (await client.post("/", content=parts())).json()["body"] == "onetwo"
        async with client.stream("GET", "/") as response:
            assert json.loads(await response.read())["method"] == "GET"
        with pytest.raises(ASGIViolation):
            async with AsyncClient(answer(100), lifespan=False) as other:
                await other.get("/")


@pytest.mark.anyio
async def test_cancelled_request_is_a_disconnect(anyio_backend):
    seen = anyio.Event()

    async def app(scope, receive, send):
        await receive()
        assert (await receive())["type"] == "http.disconnect"
        seen.set()

    async with AsyncClient(app, lifespan=False) as client:
        with anyio.move_on_after(0.02):
            await client.get("/")
        await seen.wait()


def test_lines_of_a_stream():
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for part in (b"a\r", b"\nb", b"c\n"):
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b"end"})

    with open_client(app) as client, client.stream("GET", "/") as response:
        assert list(response.lines()) == ["a", "bc", "end"]


def sends_path(path, *headers):
    async def app(scope, receive, send):
        assert "http.response.pathsend" in scope["extensions"]
        await send({"type": "http.response.start", "status": 200, "headers": list(headers)})
        await send({"type": "http.response.pathsend", "path": str(path)})

    return app


def test_file_sent_by_its_path(tmp_path, backend):
    file = tmp_path / "file"
    file.write_bytes(b"x" * 100_000)
    length = (b"content-length", b"100000")
    with open_client(sends_path(file, length), backend=backend) as client:
        assert client.get("/").body == b"x" * 100_000
        assert client.head("/").body == b""
    with open_client(sends_path(file, (b"content-length", b"7"))) as client, pytest.raises(ASGIViolation):
        client.get("/")
    with open_client(sends_path("relative")) as client, pytest.raises(ASGIViolation, match="absolute"):
        client.get("/")


def test_file_sent_in_parts(tmp_path, backend):
    path = tmp_path / "file"
    path.write_bytes(b"0123456789" * 60_000)

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        with path.open("rb") as file:
            message = {"type": "http.response.zerocopysend", "file": file}
            await send({**message, "offset": 3, "count": 4, "more_body": True})
            await send({"type": "http.response.body", "body": b"--", "more_body": True})
            await send({**message, "offset": 599_995})

    with open_client(app, backend=backend) as client:
        assert client.get("/").body == b"3456--56789"

    async def wrong(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.zerocopysend", "file": str(path)})

    with open_client(wrong) as client, pytest.raises(ASGIViolation, match="an open file"):
        client.get("/")


@pytest.mark.parametrize(
    ("middleware", "kind"), [([], "http.response.zerocopysend"), ([GZipMiddleware], "http.response.body")]
)
def test_files_are_sent_as_to_our_server(tmp_path, middleware, kind):
    """So that middleware which is in their way is seen in tests."""
    path = tmp_path / "file"
    path.write_bytes(b"x" * 100_000)
    kinds = []

    class Noting:
        def __init__(self, app):
            self.app = app

        async def __call__(self, scope, receive, send):
            async def send_noted(message):
                kinds.append(message["type"])
                await send(message)

            await self.app(scope, receive, send_noted)

    app = App([Route("/", lambda: FileResponse(path))], middleware=[Noting, *middleware])
    with open_client(app) as client:
        assert client.get("/").body == b"x" * 100_000
    assert set(kinds) == {"http.response.start", kind}
