"""The order in which a worker ends: what runs, then the application."""

from __future__ import annotations

import http.client
from contextlib import closing

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


def test_an_application_is_shut_down_when_the_server_cannot_listen(serve, runtime, certificate, tmp_path):
    other = tmp_path / "key.pem"
    trustme.CA().issue_cert("localhost").private_key_pem.write_to_path(other)
    app = Recorder()
    with pytest.raises(ConfigError, match="is not the key"):
        serve(app, runtime=runtime, http=("3",), tls_cert=certificate.cert, tls_key=str(other))
    assert app.told == ["lifespan.startup", "lifespan.shutdown"]
