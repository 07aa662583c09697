"""Requests and answers: the same on every protocol and runtime."""

from __future__ import annotations


def test_smoke(net, answer):
    seen = []

    async def app(scope, receive, send):
        seen.append(scope)
        await answer(send)

    client = net.client(app)
    response = client.request("GET", "/a%20b?x=1")
    assert response.status == 200
    assert response.body == b"ok"
    assert seen[0]["http_version"] == {"1": "1.1"}.get(net.version, net.version)
