"""Priorities (RFC 9218) as a client sees them: the same order over HTTP/2 and HTTP/3, whoever decides it."""

from __future__ import annotations

import anyio
import pytest
from aioquic.buffer import encode_uint_var
from aioquic.h3.connection import encode_frame
from h2.settings import SettingCodes

from tricorn import App, Priority, Request

SIZE = 300_000

pytestmark = pytest.mark.over("h2", "h2-tls", "h3")


@pytest.fixture
def large(until):
    """An application that answers with ``SIZE`` bytes once as many requests run as ``large.together`` says.

    Attributes:
        before: What it does with a scope first, by path; its result are fields of the response.
        seen: The priority of each request, by path, as it was when all had come.
    """

    async def app(scope, receive, send):
        priority = scope["extensions"]["tricorn.priority"]
        app.known.append(priority)
        app.go_on = app.go_on or anyio.Event()
        if len(app.known) == app.together:
            app.go_on.set()
        await app.go_on.wait()
        await until(lambda: app.is_heard())
        app.seen[scope["path"]] = tuple(priority["get"]())
        fields = app.before.get(scope["path"], lambda _: [])(priority) or []
        await send({"type": "http.response.start", "status": 200, "headers": fields})
        await send({"type": "http.response.body", "body": bytes(SIZE)})

    app.together, app.known, app.go_on, app.before, app.seen = 3, [], None, {}, {}
    app.is_heard = lambda: True
    return app


class Race:
    """Requests of one client whose responses are all there before the first byte of any can leave."""

    def __init__(self, net, app):
        self.net = net
        self.app = app
        self.client = net.client(app)
        self.streams = {}
        if net.version == "2":
            self.client.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 0})
            self.client.flush()
            self.client.poll()

    def ask(self, path, priority=None):
        fields = [(b"priority", priority)] if priority else []
        self.streams[path] = self.client.open("GET", path, fields)

    def update(self, path, value):
        """A PRIORITY_UPDATE frame."""
        stream = self.streams[path]
        if self.net.version == "2":
            payload = stream.to_bytes(4, "big") + value
            self.client.wire.send(len(payload).to_bytes(3, "big") + b"\x10\0\0\0\0\0" + payload)
        else:
            frame = encode_frame(0xF0700, encode_uint_var(stream) + value)
            self.client.quic.send_stream_data(self.client.h3._local_control_stream_id, frame)
            self.client.flush()

    def run(self):
        """The paths in the order in which they were complete, each with what the others had by then."""
        client, answers = self.client, {path: self.client.responses[number] for path, number in self.streams.items()}
        if self.net.version == "2":
            client.wait(lambda: all(answer.status for answer in answers.values()), "the heads")
            client.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 1 << 20})
            client.flush()
        order = {}
        while len(order) < len(answers):
            client.poll()
            assert not client.closed
            for path, answer in answers.items():
                if path not in order and answer.ended:
                    assert len(answer.body) == SIZE
                    order[path] = {other: len(answers[other].body) for other in answers}
        return order


def test_the_urgent_comes_first(net, large):
    race = Race(net, large)
    for path, priority in (("/later", b"u=7"), ("/some", None), ("/now", b"u=0")):
        race.ask(path, priority)
    assert list(race.run()) == ["/now", "/some", "/later"]
    assert large.seen == {"/later": (7, False), "/some": (3, False), "/now": (0, False)}


def test_the_incremental_come_together(net, large):
    race = Race(net, large)
    large.together = 2
    for path in ("/a", "/b"):
        race.ask(path, b"i")
    assert min(next(iter(race.run().values())).values()) > SIZE * 2 // 3


def test_others_come_one_after_the_other(net, large):
    race = Race(net, large)
    large.together = 2
    for path in ("/a", "/b"):
        race.ask(path)
    order = race.run()
    assert list(order) == ["/a", "/b"]


def test_a_handler_may_change_it(net, large):
    race = Race(net, large)
    large.before = {"/third": lambda priority: priority["set"](0, False)}
    for path in ("/first", "/second", "/third"):
        race.ask(path)
    assert next(iter(race.run())) == "/third"


def test_a_response_may_say_it(net, large):
    race = Race(net, large)
    large.before = {"/first": lambda _: [(b"priority", b"u=6")], "/third": lambda _: [(b"Priority", b"u=1")]}
    for path in ("/first", "/second", "/third"):
        race.ask(path)
    assert list(race.run()) == ["/third", "/second", "/first"]
    answer = race.client.responses[race.streams["/third"]]
    assert answer.header(b"priority") == b"u=1", "proxies on the way want to know it too"


def test_a_client_may_change_its_mind(net, large):
    race = Race(net, large)
    large.together = 2
    large.is_heard = lambda: (1, True) in [tuple(priority["get"]()) for priority in large.known]
    for path in ("/first", "/second"):
        race.ask(path)
    race.update("/second", b"u=1, i")
    assert list(race.run()) == ["/second", "/first"]
    assert large.seen == {"/first": (3, False), "/second": (1, True)}


@pytest.mark.on("asyncio", "uvloop")  # trio wakes tasks in no order
def test_an_urgent_stream_is_not_held_by_one_for_later(net):
    """Both give their bytes piece by piece, as fast as they are taken; what comes of the other meanwhile is counted."""
    size = {"/now": 4_000_000, "/later": 60_000_000}

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(size[scope["path"]] // 40_000):
            await send({"type": "http.response.body", "body": bytes(40_000), "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    client = net.client(app)
    if net.version == "2":
        client.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 1 << 26})
        client.h2.increment_flow_control_window(1 << 26)
        client.flush()
    later = client.responses[client.open("GET", "/later", [(b"priority", b"u=7")])]
    client.wait(lambda: len(later.body) > 1_000_000)
    now = client.responses[client.open("GET", "/now", [(b"priority", b"u=0")])]
    client.wait(lambda: now.body)
    before = len(later.body)
    client.wait(lambda: now.ended)
    assert len(later.body) - before < len(now.body) // 8
    client.close()


@pytest.mark.over("h2", "h2-tls")
@pytest.mark.on("asyncio", "uvloop", "trio")
def test_an_urgent_answer_does_not_wait_behind_what_the_kernel_holds(net):
    """A client on a slow line asks for something urgent while much of another response is on its way."""

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(300 if scope["path"] == "/later" else 1):
            await send({"type": "http.response.body", "body": bytes(40_000), "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    client = net.client(app, receive_buffer=65_536)
    client.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 1 << 26})
    client.h2.increment_flow_control_window(1 << 26)
    client.flush()
    later = client.responses[client.open("GET", "/later", [(b"priority", b"u=7")])]
    client.wait(lambda: later.body)
    for _ in range(20):
        client.poll(0.02, read=False)  # the client reads nothing for a while, and everything on the way fills up
    before = len(later.body)
    now = client.responses[client.open("GET", "/now", [(b"priority", b"u=0")])]
    client.wait(lambda: now.ended)
    assert len(later.body) - before < 1_000_000


@pytest.mark.over("h1", "h1-tls")
@pytest.mark.on("asyncio")
def test_http_1_has_no_priorities(net, answer):
    seen = []

    async def app(scope, receive, send):
        seen.append("tricorn.priority" in scope["extensions"])
        await answer(send, headers=[(b"priority", b"u=1")])

    assert net.client(app).request("GET", "/", [(b"priority", b"u=1")]).status == 200
    assert seen == [False]


@pytest.mark.over("h2-tls", "h3")
@pytest.mark.on("asyncio", "trio")
def test_request_priority_reaches_the_server(net):
    app = App()
    seen = []

    @app.get("/")
    async def show(request: Request):
        seen.append(request.priority)
        request.priority = Priority(urgency=0)
        seen.append(request.scope["extensions"]["tricorn.priority"]["get"]())
        return "ok"

    assert net.client(app).request("GET", "/", [(b"priority", b"u=5, i")]).body == b"ok"
    assert seen == [(5, True), (0, False)]
