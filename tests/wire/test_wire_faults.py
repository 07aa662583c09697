"""A fault of the server's own costs one connection, on every loop."""

from __future__ import annotations

import pytest

from tricorn_transports.engines.h1_engine import Http1Engine
from tricorn_transports.engines.h2 import H2Engine


@pytest.mark.over("h1", "h1-tls", "h2")
@pytest.mark.parametrize("method", ["receive_data", "data_to_send"])
def test_an_engine_that_fails_ends_its_connection_only(net, answer, monkeypatch, method, eventually):
    async def app(scope, receive, send):
        if scope["type"] == "http":
            await answer(send)

    def fail(*_):
        raise ZeroDivisionError("injected")

    net.serve(app)
    client = net.connect()
    assert client.request("GET", "/").status == 200
    with monkeypatch.context() as patch:
        patch.setattr(Http1Engine if net.version == "1" else H2Engine, method, fail)
        other = net.connect()
        stream = other.open("GET", "/")
        assert other.response(stream).reset is not None
    assert net.connect().request("GET", "/").status == 200
