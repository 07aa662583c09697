"""The order in which a worker ends: what runs, then the application."""

from __future__ import annotations

import http.client
import sys
from contextlib import closing
from types import ModuleType

import anyio
import pytest
import trustme

from tricorn_transports.config import Timeouts
from tricorn_transports.errors import ConfigError

pytestmark = pytest.mark.parametrize("runtime", ["asyncio", "uvloop", "trio"])


class Recorder:
    """Writes down its lifespan, and runs requests until they are cut off."""

    def __init__(self):
        self.told = []

    async def __call__(self, scope, receive, send):
        if scope["type"] == "lifespan":
            while True:
                message = await receive()
                self.told.append(message["type"])
                await send({"type": message["type"] + ".complete"})
                if message["type"] == "lifespan.shutdown":
                    return
        try:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"begun", "more_body": True})
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.1)
            self.told.append("cleaned up")


def test_requests_that_are_cut_off_clean_up_before_the_shutdown(serve, runtime):
    app = Recorder()
    server = serve(app, runtime=runtime, timeouts=Timeouts(drain_timeout=0.05))
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)) as client:
        client.request("GET", "/")
        assert client.getresponse().read(5) == b"begun"
        server.stop()
    assert app.told == ["lifespan.startup", "cleaned up", "lifespan.shutdown"]


def test_a_shutdown_that_hangs_ends_with_the_second_signal(serve, runtime):
    told = []

    async def app(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.complete"})
        told.append((await receive())["type"])
        try:
            await anyio.sleep_forever()
        finally:
            told.append("cancelled")

    server = serve(app, runtime=runtime, timeouts=Timeouts(shutdown_timeout=1000))
    server.begin_stop()
    while not told:
        server._thread.join(0.01)
    server.stop(at_once=True)
    assert told == ["lifespan.shutdown", "cancelled"]


@pytest.fixture
def unwilling_engine(tmp_path, monkeypatch):
    """An engine for HTTP/3, ``h3=unwilling``, that finds something wrong with its settings."""

    def create(context, *, cert, key):
        raise ConfigError("not with these settings")

    (tmp_path / "unwilling-1.dist-info").mkdir()
    (tmp_path / "unwilling-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: unwilling\nVersion: 1\n")
    entry_point = "[tricorn.engines]\nh3.unwilling = unwilling_engine:create\n"
    (tmp_path / "unwilling-1.dist-info" / "entry_points.txt").write_text(entry_point)
    module = ModuleType("unwilling_engine")
    module.create = create
    monkeypatch.setitem(sys.modules, "unwilling_engine", module)
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.mark.usefixtures("unwilling_engine")
def test_an_application_is_shut_down_when_the_server_cannot_listen(serve, runtime):
    app = Recorder()
    with pytest.raises(ConfigError, match="not with these settings"):
        serve(app, runtime=runtime, tls=True, engines={"h3": "unwilling"})
    assert app.told == ["lifespan.startup", "lifespan.shutdown"]


@pytest.mark.parametrize("http", [("3",), ("1.1", "2"), None], ids=str)
def test_a_wrong_key_is_told_of_before_the_application_starts(serve, runtime, certificate, tmp_path, http):
    other = tmp_path / "key.pem"
    trustme.CA().issue_cert("localhost").private_key_pem.write_to_path(other)
    app = Recorder()
    with pytest.raises(ConfigError, match="is not the key"):
        serve(app, runtime=runtime, http=http, tls_cert=certificate.cert, tls_key=str(other))
    assert app.told == []
