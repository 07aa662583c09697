"""The request: its parts, its body, forms, and what is answered to a bad one."""

from __future__ import annotations

import contextvars

import anyio
import pytest

from tricorn import App, ClientDisconnect, EventSourceResponse, HTTPException, Request, Response, Route, forms

pytestmark = pytest.mark.anyio


async def test_parts(client_of):
    app = App()

    @app.get("/p/{x}")
    async def parts(request: Request):
        return {
            "method": request.method,
            "url": str(request.url),
            "path": request.path,
            "query": request.query.multi_items(),
            "cookies": request.cookies,
            "client": list(request.client),
            "version": request.http_version,
            "agent": request.headers["User-Agent"],
            "params": dict(request.path_params),
            "last": request.last_event_id,
            "app": request.app is app,
        }

    seen = (
        await (await client_of(app, http_version="2")).get(
            "/p/%C3%BC?a=1&a=2",
            headers=[
                ("host", "Example.com"),
                ("cookie", "a=1"),
                ("cookie", "b=2"),
                ("user-agent", "t"),
                ("last-event-id", "9"),
            ],
        )
    ).json()
    assert seen == {
        "method": "GET",
        "url": "https://example.com/p/%C3%BC?a=1&a=2",
        "path": "/p/ü",
        "query": [["a", "1"], ["a", "2"]],
        "cookies": {"a": "1", "b": "2"},
        "client": seen["client"],
        "version": "2",
        "agent": "t",
        "params": {"x": "ü"},
        "last": "9",
        "app": True,
    }


async def test_the_last_event_is_named_in_utf_8(client_of):
    """So the HTML standard has it for ``EventSource``."""
    app = App([Route("/", lambda request: [request.last_event_id])])
    sent = "ü-9".encode().decode("latin-1")
    assert (await (await client_of(app)).get("/", headers={"last-event-id": sent})).json() == ["ü-9"]
    assert (await (await client_of(app)).get("/")).json() == [None]


async def test_state_session_and_context_variables(client_of):
    variable = contextvars.ContextVar("variable", default="unset")

    class Sets:
        def __init__(self, app):
            self.app = app

        async def __call__(self, scope, receive, send):
            variable.set("set")
            scope.setdefault("state", {})["user"] = "me"
            await self.app(scope, receive, send)

    app = App(middleware=[Sets])

    @app.get("/thread")
    def in_a_thread(request):
        request.state.more = 1
        assert "more" in request.state
        assert not hasattr(request.state, "other")
        with pytest.raises(RuntimeError, match="session middleware"):
            request.session
        return [variable.get(), request.state.user, request.state.more]

    assert (await (await client_of(app)).get("/thread")).json() == ["set", "me", 1]


async def test_a_generator_in_threads_keeps_its_context_variables(client_of, anyio_backend):
    variable = contextvars.ContextVar("variable", default="unset")
    ended = []

    def parts():
        token = variable.set("mine")
        try:
            for _ in range(2):
                yield variable.get()
                anyio.run(anyio.sleep, 0, backend=anyio_backend)  # in the thread no event loop seems to run
        finally:
            variable.reset(token)
            ended.append(variable.get())

    def whole():
        yield from parts()

    app = App([Route("/whole", whole), Route("/events", lambda: EventSourceResponse(parts()))])
    client = await client_of(app)
    assert (await client.get("/whole")).text == "minemine"
    assert (await client.get("/events")).text.count("data: mine") == 2
    async with client.stream("GET", "/whole") as response:
        assert await response.next_part() == b"mine"
    assert ended == ["unset"] * 3


def body_app(**settings):
    app = App(**settings)

    @app.post("/body")
    async def body(request):
        return await request.body() + await request.body()

    @app.post("/json")
    async def json(request):
        return {"got": await request.json()}

    @app.post("/stream")
    async def stream(request):
        sizes = [len(part) async for part in request.stream()]
        with pytest.raises(RuntimeError, match="already"):
            await request.body()
        return {"sizes": sizes, "trailers": request.trailers and request.trailers.multi_items()}

    @app.post("/form")
    async def form(request):
        form = await request.form(max_fields=2, max_files=2, max_field_bytes=100_000)
        found = []
        for name, value in form.multi_items():
            if isinstance(value, str):
                found.append([name, value])
            else:
                data = await value.read()
                assert len(data) == value.size
                found.append([name, value.filename, value.content_type, value.size, data[:4].decode()])
        app.state.form = form
        return found

    return app


async def test_body_stream_and_trailers(client_of):
    client = await client_of(body_app())
    assert (await client.post("/body", content=iter([b"a", b"b"]))).body == b"abab"
    streamed = await client.post("/stream", content=iter([b"ab", b"", b"c"]), trailers={"digest": "x"})
    assert streamed.json() == {"sizes": [2, 1], "trailers": [["digest", "x"]]}


async def test_too_long_bodies_are_413(client_of, foreign):
    app = body_app(max_body_bytes=4)
    client = await client_of(app)
    assert (await client.post("/body", content=b"1234")).status == 200
    assert (await client.post("/body", content=iter([b"123", b"45"]))).status == 413
    announced = foreign(app, "POST", "/body", headers=[(b"content-length", b"5")], parts=[b"12345"])
    await announced.run()
    assert (announced.status, announced.asked) == (413, 0)  # no 100 (Continue) was provoked
    absurd = foreign(app, "POST", "/body", headers=[(b"content-length", b"9" * 5000)], parts=[b"12345"])
    await absurd.run()
    assert absurd.status == 413
    assert (await client.post("/stream", content=iter([b"123", b"45"]))).status == 200


@pytest.mark.parametrize("method", ["body", "json", "form"])
async def test_a_call_may_have_a_limit_of_its_own(client_of, method):
    app = App(max_body_bytes=4)

    @app.post("/{limit:int}")
    async def read(request, limit):
        await getattr(request, method)(max_bytes=limit)
        if method != "form":
            with pytest.raises(HTTPException, match=r"413 .*the body may have 7 bytes"):
                await request.body(max_bytes=7)

    client = await client_of(app)
    headers = {"content-type": "application/x-www-form-urlencoded"}
    for limit, status in ((8, 204), (7, 413)):
        assert (await client.post(f"/{limit}", content=b"11111111", headers=headers)).status == status
    if method == "form":
        for limit, status in ((1000, 204), (100, 413)):
            assert (await client.post(f"/{limit}", files={"f": b"x" * 50})).status == status


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b'{"a" 1}', "line 1, column 6"),
        (b"", "Expecting value at line 1, column 1"),
        (b'"\xff"', "not UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b"9" * 5_000, "digits"),
    ],
)
async def test_malformed_json_is_400_and_says_where(client_of, body, complaint):
    client = await client_of(body_app())
    assert (await client.post("/json", content=b'{"a": "\xc3\xbc"}')).json() == {"got": {"a": "ü"}}
    refused = await client.post("/json", content=body)
    assert refused.status == 400
    assert complaint in refused.text


async def test_urlencoded_forms(client_of):
    client = await client_of(body_app())
    assert (await client.post("/form", data={"a": "1 &ü", "b": ""})).json() == [["a", "1 &ü"], ["b", ""]]
    headers = {"content-type": "application/x-www-form-urlencoded"}
    unescaped = await client.post("/form", content="ü=José%C3%A9".encode(), headers=headers)
    assert unescaped.json() == [["ü", "Joséé"]]
    for body, status in {b"a=%FF": 400, b"\xff": 400, b"a=1&b=2&c=3": 413}.items():
        assert (await client.post("/form", content=body, headers=headers)).status == status


async def test_multipart_forms_are_spooled_and_closed(client_of):
    app = body_app()
    big = b"text" * 600_000  # over the spool's size: it goes to disk
    sent = await (await client_of(app)).post(
        "/form", data={"a": "ü"}, files={"f": ("n.txt", b"text", "text/plain"), "g": ("b.bin", big, "x/y")}
    )
    assert sent.json() == [
        ["a", "ü"],
        ["f", "n.txt", "text/plain", 4, "text"],
        ["g", "b.bin", "x/y", len(big), "text"],
    ]
    assert all(app.state.form[name].file.closed for name in "fg")


async def test_files_of_a_form_that_is_not_read_to_its_end_are_closed(foreign, monkeypatch):
    files = []

    class Noted(forms.UploadFile):
        def __init__(self, *args):
            super().__init__(*args)
            files.append(self)

    monkeypatch.setattr(forms, "UploadFile", Noted)
    app = App()

    @app.post("/", cancel_on_disconnect=True)
    async def upload(request: Request):
        await request.form()

    callbacks = []
    server = foreign(
        app,
        "POST",
        headers=[(b"content-type", b"multipart/form-data; boundary=B")],
        parts=[part(b'form-data; name="f"; filename="f"', b"x" * 2_000_000)],
        extensions={"tricorn.disconnect": {"register": callbacks.append}},
    )

    async def receive():
        message = await server.receive() if server.parts else await leave()
        return {**message, "more_body": True}

    async def leave():
        callbacks[0]()
        await anyio.sleep_forever()

    await app(server.scope, receive, server.send)
    assert [file.file.closed for file in files] == [True]


async def test_background_work_may_read_the_files(client_of):
    app = App()
    read = []

    @app.post("/")
    async def upload(request: Request):
        file = (await request.form())["f"]

        async def work():
            read.append(await file.read())

        app.state.file = file
        return Response("", background=work)

    await (await client_of(app)).post("/", files={"f": ("n.txt", b"text")})
    assert read == [b"text"]
    assert app.state.file.file.closed


def part(disposition, body=b"x", boundary=b"B"):
    return b"--%b\r\nContent-Disposition: %b\r\n\r\n%b\r\n" % (boundary, disposition, body)


@pytest.mark.parametrize(
    ("disposition", "name", "filename"),
    [
        (rb'form-data; name="a"; filename="C:\dir\n.txt"', "a", r"C:\dir\n.txt"),
        (b'form-data; name="a%22b"; filename="\xc3\xbc;.txt"', 'a"b', "ü;.txt"),
        (rb'form-data; name="a"; filename="q\"q.txt"', "a", 'q"q.txt'),
    ],
)
async def test_file_names_as_browsers_and_curl_write_them(client_of, disposition, name, filename):
    sent = await (await client_of(body_app())).post(
        "/form", content=part(disposition) + b"--B--\r\n", headers={"content-type": "multipart/form-data; boundary=B"}
    )
    assert sent.json() == [[name, filename, None, 1, "x"]]


FIELD = part(b'form-data; name="a"')


@pytest.mark.parametrize(
    ("content_type", "body", "status", "complaint"),
    [
        ("text/plain", b"", 415, "a form is wanted"),
        ("multipart/form-data", FIELD, 400, "boundary"),
        ("multipart/form-data; boundary=B", FIELD, 400, "ends before its last boundary"),
        ("multipart/form-data; boundary=B", b"nonsense", 400, "malformed"),
        ("multipart/form-data; boundary=B", part(b"form-data") + b"--B--", 400, "with a name"),
        ("multipart/form-data; boundary=B", part(b'form-data; name="a"', b"\xff") + b"--B--", 400, "not UTF-8"),
        ("multipart/form-data; boundary=B", FIELD * 3 + b"--B--", 413, "2 fields"),
        ("multipart/form-data; boundary=B", part(b'form-data; name="a"; filename="f"') * 3, 413, "2 files"),
        ("multipart/form-data; boundary=B", part(b'form-data; name="a"', b"x" * 100_001), 413, "100000 bytes"),
    ],
)
async def test_bad_forms(client_of, content_type, body, status, complaint):
    refused = await (await client_of(body_app())).post("/form", content=body, headers={"content-type": content_type})
    assert refused.status == status
    assert complaint in refused.text


async def test_a_body_that_breaks_off_ends_the_request_quietly(foreign):
    seen = []
    app = App()

    @app.post("/")
    async def read(request):
        try:
            await request.body()
        except ClientDisconnect:
            seen.append(await request.is_disconnected())
            raise

    server = foreign(app, "POST", parts=[])
    server.gone.set()
    await server.run()
    assert (seen, server.sent) == ([True], [])


async def test_hints_choose_the_best_way_and_only_one(client_of):
    app = App()

    @app.get("/")
    async def page(request):
        await request.hint("/app.css", as_="style")
        return "page"

    link = "</app.css>; rel=preload; as=style"
    pushed = await (await client_of(app, http_version="2")).get("/", headers={"accept-language": "de"})
    assert [push.path for push in pushed.pushes] == ["/app.css"]
    assert ("accept-language", "de") in pushed.pushes[0].headers.multi_items()
    assert (pushed.early_hints, pushed.headers.get("link")) == ([], None)
    hinted = await (await client_of(app, http_version="3")).get("/", headers={"sec-fetch-mode": "navigate"})
    assert (hinted.pushes, hinted.early_hints, hinted.headers.get("link")) == ([], [[link]], None)
    linked = await (await client_of(app, http_version="1.1")).get("/")
    assert (linked.early_hints, linked.headers.getlist("link")) == ([], [link])
    app.get("/wrapped")(lambda request: page(request))  # a plain function that gives the coroutine of another
    wrapped = await (await client_of(app, http_version="1.0")).get("/wrapped")
    assert wrapped.headers.getlist("link") == [link]


async def test_push_says_whether_it_can(client_of):
    app = App()

    @app.get("/")
    async def page(request):
        with pytest.raises(ValueError, match="does not begin with /"):
            await request.push("https://elsewhere/")
        with pytest.raises(ValueError, match="not a token"):
            await request.hint("/a", as_="style>")
        return {"pushed": await request.push("/a")}

    assert (await (await client_of(app, http_version="2")).get("/")).json() == {"pushed": True}
    assert (await (await client_of(app, http_version="1.1")).get("/")).json() == {"pushed": False}
