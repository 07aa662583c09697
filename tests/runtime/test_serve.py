"""``serve()``: a server on a loop that is somebody else's."""

from __future__ import annotations

import asyncio
import http.client
from collections.abc import Callable
from contextlib import closing
from typing import Any

import anyio
import anyio.to_thread
import pytest

from tricorn_transports.config import Bind, Config, Timeouts
from tricorn_transports.server import StartupFailed, serve

CONFIG = Config(bind=(Bind.parse("127.0.0.1:0"),), access_log=False, timeouts=Timeouts(drain_timeout=20.0))


@pytest.fixture(params=["asyncio", "uvloop", "trio"])
def run(request: pytest.FixtureRequest) -> Callable[[Any], None]:
    """Runs a coroutine function on a loop of the test's own."""
    options = {"use_uvloop": True} if request.param == "uvloop" else {}
    backend = "trio" if request.param == "trio" else "asyncio"
    return lambda main: anyio.run(main, backend=backend, backend_options=options)


class Slow:
    """Answers in two parts; the second comes when ``go_on`` is set."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.begun, self.go_on = anyio.Event(), anyio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            try:
                for _ in range(2):
                    message = await receive()
                    self.told.append(message["type"])
                    await send({"type": f"{message['type']}.complete"})
            except BaseException:
                self.told.append("lifespan cancelled")
                raise
            return
        try:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"1", "more_body": True})
            self.begun.set()
            await self.go_on.wait()
            await send({"type": "http.response.body", "body": b"2"})
        except BaseException:
            self.told.append("request cancelled")
            raise


class Ports:
    """Where a server answers, once it does."""

    def __init__(self) -> None:
        self.ready, self.port = anyio.Event(), 0

    def __call__(self, sockets: Any) -> None:
        self.port = sockets[0].bind.port
        self.ready.set()

    async def get(self) -> bytes:
        def get() -> bytes:
            with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)) as client:
                client.request("GET", "/")
                try:
                    return client.getresponse().read()
                except http.client.IncompleteRead as error:
                    return error.partial

        await self.ready.wait()
        return await anyio.to_thread.run_sync(get)


def test_the_trigger_begins_a_drain(run: Any) -> None:
    async def main() -> None:
        app, ports, stop = Slow(), Ports(), anyio.Event()
        bodies = []

        async def client() -> None:
            bodies.append(await ports.get())

        async def end() -> None:
            await app.begun.wait()
            stop.set()
            app.go_on.set()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client)
            tasks.start_soon(end)
            await serve(app, CONFIG, on_ready=ports, shutdown_trigger=stop.wait)
        assert bodies == [b"12"]
        assert app.told == ["lifespan.startup", "lifespan.shutdown"]

    run(main)


def test_cancelled_it_leaves_nothing_behind(run: Any) -> None:
    async def main() -> None:
        app, ports = Slow(), Ports()
        bodies = []

        async def client() -> None:
            bodies.append(await ports.get())

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client)
            with anyio.CancelScope() as scope:

                async def end() -> None:
                    await app.begun.wait()
                    scope.cancel()

                tasks.start_soon(end)
                await serve(app, CONFIG, on_ready=ports)
        assert bodies == [b"1"]
        assert sorted(app.told) == ["lifespan cancelled", "lifespan.startup", "request cancelled"]
        assert [task.get_name() for task in all_tasks()] == []

    run(main)


def all_tasks() -> set[asyncio.Task[Any]]:
    try:
        return asyncio.all_tasks() - {asyncio.current_task()}  # type: ignore[arg-type]  # there is one
    except RuntimeError:
        return set()


def test_a_startup_that_fails_is_raised_as_it_is(run: Any) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    async def main() -> None:
        with pytest.raises(StartupFailed, match="no database"):
            await serve(app, CONFIG)

    run(main)


def test_a_startup_that_is_late_is_cancelled(run: Any) -> None:
    told = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            await anyio.sleep_forever()
        except BaseException:
            told.append("cancelled")
            raise

    async def main() -> None:
        with pytest.raises(StartupFailed, match="startup_timeout"):
            await serve(app, Config(bind=CONFIG.bind, timeouts=Timeouts(startup_timeout=0.01)))
        await anyio.wait_all_tasks_blocked()
        assert told == ["cancelled"]

    run(main)


def test_the_loop_is_left_as_it_was() -> None:
    async def main() -> None:
        loop, stop = asyncio.get_running_loop(), asyncio.Event()
        loop.set_exception_handler(handler)
        stop.set()
        await serve(Slow(), CONFIG, shutdown_trigger=stop.wait)
        assert loop.get_exception_handler() is handler

    def handler(loop: Any, context: Any) -> None:
        raise AssertionError(context)

    asyncio.run(main())
