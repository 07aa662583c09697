"""``request.priority``: on our server, and where a server has no priorities."""

from __future__ import annotations

import pytest

from tricorn import App, Priority, Request

pytestmark = pytest.mark.anyio


async def ask(client_of, handler, **options):
    app = App()
    app.get("/")(handler)
    client = await client_of(app, http_version="2")
    return (await client.get("/", **options)).json()


async def test_what_the_client_wished(client_of):
    async def show(request: Request):
        return [*request.priority]

    assert await ask(client_of, show) == [3, False]
    assert await ask(client_of, show, headers={"priority": "u=1, i"}) == [1, True]
    assert await ask(client_of, show, headers=[("priority", "u=1"), ("priority", "i")]) == [1, True]
    assert await ask(client_of, show, headers={"priority": "%"}) == [3, False]


async def test_a_server_without_priorities_remembers(client_of):
    async def change(request: Request):
        request.priority = Priority(urgency=5)
        return [*Request(request.scope, request._receive).priority]

    assert await ask(client_of, change, headers={"priority": "u=1, i"}) == [5, False]


@pytest.mark.parametrize("urgency", [-1, 8, 1.5])
async def test_an_urgency_is_0_to_7(client_of, urgency):
    async def change(request: Request):
        request.priority = Priority(urgency)

    with pytest.raises(ValueError, match="0 to 7"):
        await ask(client_of, change)


async def test_the_servers_word_counts():
    said = []
    offer = {"get": lambda: (6, True), "set": lambda *priority: said.append(priority)}
    scope = {"type": "http", "headers": [(b"priority", b"u=1")], "extensions": {"tricorn.priority": offer}}
    request = Request(scope, None)
    assert request.priority == Priority(6, incremental=True)
    request.priority = Priority(0)
    assert said == [(0, False)]
