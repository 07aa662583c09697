"""The WSGI adapter: under wsgiref's validator, and behind real servers in processes and threads of their own."""

from __future__ import annotations

import contextlib
import http.client
import io
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from wsgiref.simple_server import WSGIRequestHandler, make_server
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest

from tricorn import App, FileResponse, HTMLResponse, RedirectResponse, Response
from tricorn.lifespan import LifespanFailed
from tricorn.wsgi import WSGIAdapter

TEXT = [(b"content-type", b"text/plain")]


async def read_all(receive):
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message["body"]
        more = message["more_body"]
    return body


async def echo(scope, receive, send):
    """Answers with what it got; the lifespan's messages are kept in ``LOG``."""
    if scope["type"] == "lifespan":
        scope["state"]["log"] = []
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    scope["state"]["log"].append(scope["path"])
    body = await read_all(receive)
    text = f"{scope['method']} {scope['path']} {scope['raw_path'].decode()} {len(scope['state']['log'])} ".encode()
    await send({"type": "http.response.start", "status": 200, "headers": [*TEXT, (b"connection", b"close")]})
    await send({"type": "http.response.body", "body": text, "more_body": True})
    await send({"type": "http.response.body", "body": body})


@contextlib.contextmanager
def adapted(app, **options):
    adapter = WSGIAdapter(app, **options)
    try:
        yield adapter
    finally:
        adapter.close()


def environ_of(method="GET", path="/", body=None, **more):
    environ = {"REQUEST_METHOD": method, "SCRIPT_NAME": "", "PATH_INFO": path, "QUERY_STRING": "", **more}
    if body is not None:
        environ |= {"CONTENT_LENGTH": str(len(body)), "wsgi.input": io.BytesIO(body)}
    setup_testing_defaults(environ)
    return environ


class Call:
    """One call of a WSGI application, as a server makes it."""

    def __init__(self, app, environ):
        self.status, self.headers, self.exc_info = "", [], None
        self.iterable = app(environ, self._start_response)

    def _start_response(self, status, headers, exc_info=None):
        self.status, self.headers, self.exc_info = status, headers, exc_info
        return lambda data: None

    def read(self):
        try:
            return b"".join(self.iterable)
        finally:
            self.iterable.close()


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_validator_finds_no_fault(backend):
    with adapted(echo, backend=backend) as adapter:
        checked = validator(adapter)
        call = Call(checked, environ_of("POST", "/a", b"body" * 50_000))
        assert call.read().startswith(b"POST /a /a 1 bodybody")
        assert call.status == "200 OK"
        assert call.headers == [("content-type", "text/plain")]
        assert Call(checked, environ_of()).read() == b"GET / / 2 "
        assert Call(checked, environ_of("HEAD")).read() == b""


def test_validator_finds_no_fault_in_any_kind_of_response(tmp_path):
    app = App(debug=True)
    file = tmp_path / "f.bin"
    file.write_bytes(b"f" * 100_000)
    answers = {
        "/redirect": lambda: RedirectResponse("/text"),
        "/text": lambda: "text",
        "/json": lambda: {"a": 1},
        "/none": lambda: None,
        "/bytes": lambda: Response(b"no type"),
        "/empty": lambda: Response(b"", 404),
        "/not-modified": lambda: HTMLResponse("", 304),
        "/stream": lambda: iter(["a", "", "b"]),
        "/file": lambda: FileResponse(file),
        "/fails": lambda: 1 / 0,
    }
    for path, answer in answers.items():
        app.get(path, name=path)(answer)
    with adapted(app) as adapter:
        checked = validator(adapter)
        for path in (*answers, "/text/", "/nowhere"):
            for method in ("GET", "HEAD", "POST"):
                call = Call(checked, environ_of(method, path))
                body = call.read()
                assert not (body and method == "HEAD")


def test_a_length_that_is_none_is_refused():
    with adapted(echo) as adapter:
        for length in ("-1", "1_0", "٣", "9" * 5000):
            assert Call(adapter, environ_of("POST", CONTENT_LENGTH=length)).status == "400 Bad Request"


@pytest.mark.parametrize(
    ("more", "path", "raw_path", "root_path"),
    [
        ({"PATH_INFO": "/\u00c3\u00bc b"}, "/ü b", b"/%C3%BC%20b", ""),
        ({"SCRIPT_NAME": "/api", "PATH_INFO": "/x"}, "/api/x", b"/api/x", "/api"),
        ({"PATH_INFO": "/a/b", "RAW_URI": "/a%2Fb?x=1"}, "/a/b", b"/a%2Fb", ""),
        ({"PATH_INFO": "/a/b", "REQUEST_URI": "http://h/a%2fb"}, "/a/b", b"/a%2fb", ""),
        ({"PATH_INFO": "/rewritten", "REQUEST_URI": "/a%2Fb"}, "/rewritten", b"/rewritten", ""),
    ],
)
def test_paths(more, path, raw_path, root_path):
    seen = {}

    async def app(scope, receive, send):
        assert scope["type"] == "http"
        seen.update(scope)
        await send({"type": "http.response.start", "status": 204})
        await send({"type": "http.response.body"})

    with adapted(app) as adapter:
        Call(adapter, environ_of(**more, SERVER_PROTOCOL="HTTP/2.0", HTTP_X_ONE="1")).read()
    assert (seen["path"], seen["raw_path"], seen["root_path"]) == (path, raw_path, root_path)
    assert seen["http_version"] == "2"
    assert (b"x-one", b"1") in seen["headers"]


class SlowInput:
    """``wsgi.input`` that counts what was read of it."""

    def __init__(self, parts):
        self.parts = list(parts)

    def read(self, size=-1):
        return self.parts.pop(0) if self.parts else b""


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_bodies_flow_both_ways_without_being_held(backend):
    sent = []

    async def app(scope, receive, send):
        assert scope["type"] == "http"
        await send({"type": "http.response.start", "status": 200, "headers": TEXT})
        more = True
        while more:
            message = await receive()
            more = message["more_body"]
            await send({"type": "http.response.body", "body": message["body"], "more_body": more})
            sent.append(message["body"])

    body = SlowInput([b"1" * 10, b"2" * 10, b"3" * 10])
    environ = environ_of("POST", **{"wsgi.input": body, "CONTENT_LENGTH": "30"})
    with adapted(app, backend=backend, buffer=10) as adapter:
        call = Call(adapter, environ)
        assert (len(body.parts), sent) == (2, [])  # the first send() waits: its ten bytes fill the buffer
        assert next(call.iterable) == b"1" * 10
        assert next(call.iterable) == b"2" * 10
        assert len(body.parts) == 1
        assert call.read() == b"3" * 10


def test_chunked_body_needs_a_server_that_ends_it():
    with adapted(echo) as adapter:
        terminated = {"wsgi.input": SlowInput([b"a", b"b"]), "wsgi.input_terminated": True}
        assert Call(adapter, environ_of("POST", HTTP_TRANSFER_ENCODING="chunked", **terminated)).read()[-2:] == b"ab"
        refused = []
        adapter(environ_of("POST", HTTP_TRANSFER_ENCODING="chunked"), lambda status, headers: refused.append(status))
        assert refused == ["411 Length Required"]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_close_before_the_end_is_a_disconnect(backend):
    seen = []
    done = threading.Event()

    async def app(scope, receive, send):
        assert scope["type"] == "http"
        scope["extensions"]["tricorn.disconnect"]["register"](lambda: seen.append("callback"))
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": TEXT})
        try:
            while True:
                await send({"type": "http.response.body", "body": b"x" * 1000, "more_body": True})
        except OSError:
            seen.append((await receive())["type"])
            done.set()

    with adapted(app, backend=backend) as adapter:
        call = Call(adapter, environ_of())
        assert next(call.iterable)
        call.iterable.close()
        assert done.wait(5)
    assert sorted(seen) == ["callback", "http.disconnect"]


def test_body_that_ends_early_is_a_disconnect():
    seen = []

    async def app(scope, receive, send):
        assert scope["type"] == "http"
        seen.append(await read_all(receive))

    with adapted(app) as adapter, pytest.raises(OSError, match="before its Content-Length"):
        Call(adapter, environ_of("POST", **{"wsgi.input": io.BytesIO(b"abc"), "CONTENT_LENGTH": "5"}))
    assert seen == [None]


def failing(*messages):
    async def app(scope, receive, send):
        assert scope["type"] == "http"
        for message in messages:
            await send(message)
        raise KeyError("mine")

    return app


START = {"type": "http.response.start", "status": 200, "headers": TEXT}


def test_failure_before_the_response_goes_to_the_server():
    with adapted(failing()) as adapter, pytest.raises(KeyError):
        Call(adapter, environ_of())


def test_failure_before_the_first_byte_replaces_the_response(caplog):
    with adapted(failing(START, {"type": "http.response.body", "more_body": True})) as adapter:
        call = Call(adapter, environ_of())
        assert call.read() == b"Internal Server Error"
    assert call.status.startswith("500")
    assert call.exc_info[0] is KeyError
    assert [record.name for record in caplog.records] == ["tricorn.error"]


def test_failure_in_the_middle_breaks_the_response_off():
    with adapted(failing(START, {"type": "http.response.body", "body": b"x", "more_body": True})) as adapter:
        call = Call(adapter, environ_of())
        assert next(call.iterable) == b"x"
        with pytest.raises(KeyError):
            next(call.iterable)


def test_failure_after_the_response_is_logged(caplog):
    caplog.set_level(logging.ERROR, "tricorn.error")
    with adapted(failing(START, {"type": "http.response.body", "body": b"x"})) as adapter:
        assert Call(adapter, environ_of()).read() == b"x"
    assert "KeyError" in caplog.text


def test_failed_startup_is_raised():
    async def app(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    with adapted(app) as adapter, pytest.raises(LifespanFailed, match="no database"):
        Call(adapter, environ_of())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_forked_child_starts_its_own_loop():
    with adapted(echo) as adapter:
        assert Call(adapter, environ_of()).read() == b"GET / / 1 "
        child = os.fork()
        if child == 0:
            answer = Call(adapter, environ_of()).read()
            os._exit(0 if answer == b"GET / / 1 " else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert Call(adapter, environ_of()).read() == b"GET / / 2 "


class QuietHandler(WSGIRequestHandler):
    def log_message(self, format, *args):
        pass


def exchange(port, method, path, body=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, path, body)
    response = connection.getresponse()
    answer = response.status, response.read()
    connection.close()
    return answer


def test_under_simple_server():
    with (
        adapted(echo) as adapter,
        make_server("127.0.0.1", 0, validator(adapter), handler_class=QuietHandler) as server,
    ):
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            assert exchange(server.server_port, "POST", "/p", b"body") == (200, b"POST /p /p 1 body")
            assert exchange(server.server_port, "GET", "/a%20b") == (200, b"GET /a b /a%20b 2 ")
        finally:
            server.shutdown()
            thread.join()


APPLICATION = """
from tricorn.wsgi import WSGIAdapter

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        print("application shut down", flush=True)
        await send({"type": "lifespan.shutdown.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": scope["raw_path"] + b" ", "more_body": True})
    more = True
    while more:
        message = await receive()
        more = message["more_body"]
        await send({"type": "http.response.body", "body": message["body"], "more_body": more})

application = WSGIAdapter(app)
"""


@pytest.mark.interop
@pytest.mark.parametrize("worker", ["sync", "gthread"])
def test_under_gunicorn(worker, tmp_path):
    (tmp_path / "hosted.py").write_text(APPLICATION)
    (tmp_path / "gunicorn.conf.py").write_text("control_socket_disable = True\n")  # older versions ignore it
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        command = [sys.executable, "-m", "gunicorn", "--preload", "-k", worker, "-b", f"fd://{listener.fileno()}"]
        with (tmp_path / "log").open("wb") as log:
            process = subprocess.Popen(
                [*command, "hosted:application"],
                cwd=tmp_path, pass_fds=[listener.fileno()], stdout=log, stderr=log,
            )  # fmt: skip
    try:
        assert exchange(port, "GET", "/a%2Fb") == (200, b"/a%2Fb ")
        body = os.urandom(1 << 20)
        assert exchange(port, "POST", "/", body) == (200, b"/ " + body)
        assert exchange(port, "POST", "/", iter([b"chunk", b"ed"])) == (200, b"/ chunked")
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        finally:
            process.kill()
    assert "application shut down" in (tmp_path / "log").read_text()
