"""Hints on the wire: who gets a promise, who a 103, who a Link field; and what becomes of a promise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import h2.events
import h2.settings
import pytest

from tricorn import App, Hinting, Request
from tricorn_transports.config import Limits

ENABLE_PUSH = h2.settings.SettingCodes.ENABLE_PUSH
CSS = "</app.css>; rel=preload; as=style"
PAGE = [(b"accept", b"text/html"), (b"accept-language", b"de"), (b"cookie", b"id=secret"), (b"authorization", b"x")]


def site(hinting: Any = "auto", **options: Any) -> App:
    app = App(hinting=hinting, **options)

    @app.get("/")
    async def page(request: Request) -> str:
        await request.hint("/app.css")
        return "page"

    @app.get("/app.css")
    async def css(request: Request) -> tuple[bytes, dict[str, str]]:
        return b"body {}", {"content-type": "text/css"}

    return app


def ways(answer: Any) -> tuple[list[str], list[str], list[str]]:
    """What the client was told: paths of promises, links of 103s, links of the response."""
    assert all(status == 103 for status, _ in answer.informational)
    assert all({name for name, _ in fields} == {b"link"} for _, fields in answer.informational)
    early = [value.decode() for _, fields in answer.informational for _, value in fields]
    linked = [value.decode() for name, value in answer.headers if name == b"link"]
    return [dict(fields)[b":path"].decode() for _, fields in answer.pushed], early, linked


@pytest.mark.parametrize("mode", ["auto", "push", "early", "link", "off"])
def test_modes_by_protocol(net: Any, mode: str) -> None:
    for push in (False, True) if net.version == "2" else (False,):
        client = net.client(site(mode), **({"push": True} if push else {}))
        told = ways(client.request("GET", "/", PAGE))
        if mode == "off":
            assert told == ([], [], [])
        elif push and mode in ("auto", "push"):
            assert told == (["/app.css"], [], [])
        elif net.version != "1" and mode in ("auto", "early"):
            assert told == ([], [CSS], [])
        else:
            assert told == ([], [], [CSS])


@pytest.mark.on("asyncio", "trio")
def test_a_103_comes_before_the_answer_is_made_and_is_one(net: Any, until: Callable[..., Any]) -> None:
    app = App(hinting=Hinting(early_versions=("1.1", "2", "3")))
    seen: list[bool] = []

    @app.get("/")
    async def page(request: Request) -> str:
        for name in ("a", "b", "c"):
            await request.hint(f"/{name}.css")
        await until(lambda: seen)
        await request.hint("/late.js", as_="script")
        return "page"

    client = net.client(app)
    stream = client.open("GET", "/", PAGE)
    answer = client.responses[stream]
    client.wait(lambda: answer.informational, "the 103")
    assert [len(fields) for _, fields in answer.informational] == [3]
    assert not answer.status
    seen.append(True)
    client.response(stream)
    assert [len(fields) for _, fields in answer.informational] == [3, 1]
    assert (answer.status, answer.body) == (200, b"page")


def test_a_navigation_is_what_gets_a_103(net: Any) -> None:
    client = net.client(site())
    for fields in ([(b"accept", b"*/*")], [*PAGE, (b"sec-fetch-mode", b"no-cors")]):
        assert ways(client.request("GET", "/", fields)) == ([], [], [CSS])


@pytest.mark.over("h2", "h2-tls")
def test_a_promise_repeats_negotiation_and_no_credentials(net: Any, answer: Any) -> None:
    scopes: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/":
            mine = [(b"Accept", b"image/*"), (b"X-Mine", b"1"), (b"Host", b"evil"), (b"connection", b"close")]
            await send({"type": "http.response.push", "path": "/a b?c=ä", "headers": mine})
            await send({"type": "http.response.push", "path": "/plain"})
        else:
            scopes.append(scope)
        await answer(send, scope["path"].encode())

    client = net.client(app, push=True)
    response = client.request("GET", "/", PAGE)
    (first, fields), (second, others) = response.pushed
    authority = b"localhost:%d" % net.server.port
    pseudo = [(b":method", b"GET"), (b":scheme", client.scheme), (b":authority", authority)]
    assert fields[:4] == [*pseudo, (b":path", b"/a%20b?c=%C3%A4")]
    assert sorted(fields[4:]) == [(b"accept", b"image/*"), (b"accept-language", b"de"), (b"x-mine", b"1")]
    assert sorted(others[4:]) == [(b"accept", b"text/html"), (b"accept-language", b"de")]
    assert bytes(client.response(first).body) == b"/a b"
    assert bytes(client.response(second).body) == b"/plain"
    for scope in scopes:  # what was promised promises nothing itself, and gets no interim response
        offered = set(scope["extensions"])
        assert not offered & {"http.response.push", "http.response.early_hint", "tricorn.push"}
        assert (b"host", authority) in scope["headers"]


@pytest.mark.over("h2", "h2-tls")
def test_the_promise_comes_before_what_refers_to_it(net: Any) -> None:
    app = site()

    @app.get("/linked")
    def linked() -> tuple[str, dict[str, str]]:
        return "page", {"link": CSS}

    for path in ("/", "/linked"):
        client = net.client(app, push=True)
        order: list[str] = []
        take = client._on_event

        def note(event: Any, take: Any = take, order: list[str] = order) -> None:
            order.append(
                f"{type(event).__name__}:{getattr(event, 'parent_stream_id', event.__dict__.get('stream_id'))}"
            )
            take(event)

        client._on_event = note
        assert ways(client.request("GET", path, PAGE)) == (["/app.css"], [], [])
        assert order.index("PushedStreamReceived:1") < order.index("ResponseReceived:1")


@pytest.mark.over("h2", "h2-tls")
@pytest.mark.on("asyncio", "trio")
def test_nothing_is_pushed_twice_on_a_connection(net: Any) -> None:
    client = net.client(site(), push=True)
    assert ways(client.request("GET", "/", PAGE)) == (["/app.css"], [], [])
    assert ways(client.request("GET", "/", PAGE)) == ([], [], []), "the client has it"
    assert ways(net.connect(push=True).request("GET", "/", PAGE)) == (["/app.css"], [], [])


@pytest.mark.over("h2", "h2-tls")
def test_a_client_may_switch_pushes_off_later(net: Any, until: Callable[..., Any]) -> None:
    app = site()
    switched: list[bool] = []

    @app.get("/slow")
    async def slow(request: Request) -> dict[str, bool]:
        await until(lambda: switched)
        return {"pushed": await request.push("/app.css")}

    client = net.client(app, push=True)
    stream = client.open("GET", "/slow", PAGE)  # its scope offers pushes still
    client.wait(lambda: client.h2.streams[stream], "the request")
    client.h2.update_settings({ENABLE_PUSH: 0})
    client.flush()
    client.wait(lambda: client.h2.local_settings.enable_push == 0, "the acknowledgement")
    switched.append(True)
    assert bytes(client.response(stream).body) == b'{"pushed":false}'
    assert ways(client.request("GET", "/", PAGE)) == ([], [CSS], [])


@pytest.mark.over("h2", "h2-tls")
@pytest.mark.on("asyncio", "trio")
@pytest.mark.parametrize("code", [8, 7])
def test_a_promise_that_is_reset_is_cancelled(net: Any, eventually: Callable[..., None], code: int) -> None:
    app = App()
    begun: list[str] = []
    ended: list[str] = []

    @app.get("/")
    async def page(request: Request) -> str:
        await request.hint("/app.css")
        return "page"

    @app.get("/app.css")
    async def css() -> str:
        begun.append("css")
        try:
            await anyio.sleep_forever()
        finally:
            ended.append("css")

    client = net.client(app, push=True)
    response = client.request("GET", "/", PAGE)
    ((promised, _),) = response.pushed
    eventually(lambda: begun)
    assert ended == []
    client.h2.reset_stream(promised, code)
    client.flush()
    eventually(lambda: ended)
    assert client.request("GET", "/", PAGE).status == 200, "the connection lives"


@pytest.mark.over("h2-tls")
@pytest.mark.on("asyncio")
@pytest.mark.parametrize("whose", ["own", "peer"])
def test_pushes_beyond_a_limit_are_hinted_in_the_next_best_way(net: Any, whose: str) -> None:
    app = App()
    paths = [f"/{number}.css" for number in range(5)]

    @app.get("/")
    async def page(request: Request) -> str:
        await request.hint_all(*paths)
        return "page"

    @app.get("/{name}")
    async def css(name: str) -> str:
        await anyio.sleep_forever()
        return name

    net.serve(app, limits=Limits(max_pushes=2 if whose == "own" else 20))
    client = net.connect(push=True)
    if whose == "peer":
        client.h2.update_settings({h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: 2})
        client.flush()
    pushed, early, linked = ways(client.request("GET", "/", PAGE))
    assert pushed == paths[:2]
    assert [link.partition(">")[0][1:] for link in early] == paths[2:]
    assert linked == []


@pytest.mark.over("h2", "h2-tls")
@pytest.mark.parametrize("path", ["/missing.css", "/broken.css"])
def test_a_pushed_error_is_taken_back(net: Any, path: str) -> None:
    app = App()

    @app.get("/")
    async def page(request: Request) -> str:
        await request.hint(path)
        return "page"

    @app.get("/broken.css")
    async def broken() -> None:
        raise RuntimeError("broken on purpose")

    client = net.client(app, push=True)
    response = client.request("GET", "/", PAGE)
    ((promised, _),) = response.pushed
    taken_back = client.response(promised)
    assert (taken_back.status, taken_back.reset) == (0, 8)  # CANCEL
    assert client.request("GET", path).status in (404, 500), "who asks gets the error"


@pytest.mark.over("h2", "h2-tls")
@pytest.mark.on("asyncio")
def test_a_promise_with_a_condition_is_answered_by_it(net: Any) -> None:
    app = App()

    @app.get("/")
    async def page(request: Request) -> str:
        await request.push("/new.css", {"if-none-match": '"old"'})
        await request.push("/app.css", {"if-none-match": '"v1"'})
        return "page"

    @app.get("/{name}.css", etag="v1")
    async def css(name: str) -> str:
        return name

    client = net.client(app, push=True)
    response = client.request("GET", "/", [*PAGE, (b"if-none-match", b'"v1"')])
    statuses = [client.response(promised).status for promised, _ in response.pushed]
    assert statuses == [200, 304]


@pytest.mark.over("h2", "h2-tls")
@pytest.mark.on("asyncio", "trio")
@pytest.mark.parametrize(("urgency", "first"), [(None, "page"), ("u=0", "css")])
def test_a_push_comes_after_its_page_unless_it_is_urgent(net: Any, urgency: str | None, first: str) -> None:
    app = App()
    size = 40_000

    @app.get("/")
    async def page(request: Request) -> bytes:
        await request.push("/app.css", {} if urgency is None else {"priority": urgency})
        return b"p" * size

    @app.get("/app.css")
    async def css() -> bytes:
        return b"c" * size

    client = net.client(app, push=True)
    client.h2.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 0})
    client.flush()
    stream = client.open("GET", "/", PAGE)
    client.wait(lambda: client.responses[stream].pushed, "the promise")
    ((promised, _),) = client.responses[stream].pushed
    client.wait(lambda: client.responses[stream].status and client.responses[promised].status, "both heads")
    order: list[int] = []
    take = client._on_event

    def note(event: Any) -> None:
        if isinstance(event, h2.events.DataReceived):
            order.append(event.stream_id)
        take(event)

    client._on_event = note
    client.h2.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: size})
    client.flush()
    client.response(stream)
    client.response(promised)
    ends = {"page": stream, "css": promised}
    assert order[0] == ends[first]
    assert order.index(ends["css" if first == "page" else "page"]) == order.count(ends[first])


@pytest.mark.over("h2", "h2-tls", "h3", "h1")
@pytest.mark.on("asyncio")
def test_the_server_says_what_became_of_a_push(net: Any, answer: Any) -> None:
    outcomes: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        offer = scope["extensions"].get("tricorn.push")
        if scope["path"] == "/" and offer is not None:
            outcomes.extend(offer["promise"]("/a", []) for _ in range(2))
        await answer(send)
        if scope["path"] == "/" and offer is not None:
            outcomes.append(offer["promise"]("/b", []))

    client = net.client(app, **({"push": True} if net.version == "2" else {}))
    client.request("GET", "/")
    client.request("GET", "/other")
    assert outcomes == (["promised", "known", "refused"] if net.version == "2" else [])
