"""Memory stays bounded, whatever an application does not read and a client does not take."""

from __future__ import annotations

import tracemalloc

import pytest

TOTAL = 50 << 20
BOUND = 16 << 20  # buffers of both ends are in this process; what is not bounded would be 50 MiB


@pytest.fixture
def growth():
    """How many bytes of Python's memory were held at the peak since the test began."""
    tracemalloc.start(1)
    base = tracemalloc.get_traced_memory()[0]
    yield lambda: tracemalloc.get_traced_memory()[1] - base
    tracemalloc.stop()


@pytest.mark.on("asyncio", "trio")
def test_an_application_that_never_reads(net, growth, until, settled):
    go_on = []

    async def app(scope, receive, send):
        await until(lambda: go_on)

    client = net.client(app)
    stream = client.open("POST", "/", end=False)
    part, offered = b"x" * (1 << 20), 0
    # The client's own queue is in this process too: it is offered more only when it has got rid of most.
    for _ in range(TOTAL // len(part)):
        if offered - client.sent(stream) > 2 << 20:
            settled(lambda: client.sent(stream), lambda: client.poll(0.005), quiet=0.05)
            if offered - client.sent(stream) > 2 << 20:
                break
        client.send(stream, part)
        offered += len(part)
    settled(lambda: client.sent(stream), lambda: client.poll(0.005))
    assert growth() < BOUND
    assert client.sent(stream) < TOTAL
    go_on.append(True)


@pytest.mark.on("asyncio", "trio")
def test_a_client_that_never_reads(net, growth, settled):
    sent = [0]
    part = b"x" * 65_536

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(TOTAL // len(part)):
            await send({"type": "http.response.body", "body": part, "more_body": True})
            sent[0] += len(part)

    client = net.client(app, **({} if net.version == "3" else {"receive_buffer": 65_536}))
    client.open("GET", "/")
    client.poll(0)
    assert settled(lambda: sent[0]) < TOTAL
    assert growth() < BOUND
