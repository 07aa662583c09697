"""The lifespan protocol, on both loops."""

from __future__ import annotations

import sys

import anyio
import pytest

from tricorn_transports.errors import LocalProtocolError
from tricorn_transports.exchange.lifespan import Lifespan, StartupFailed
from tricorn_transports.runtime.anyio import AnyioRuntime

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request):
    return request.param


@pytest.fixture
async def lifespan_of(anyio_backend):
    async with anyio.create_task_group() as tasks:
        runtime = AnyioRuntime(tasks, anyio_backend)
        yield lambda app, state=None: Lifespan(app, runtime, {} if state is None else state)
        tasks.cancel_scope.cancel()


async def test_both_ends_are_asked_and_state_is_kept(lifespan_of):
    told, state = [], {}

    async def app(scope, receive, send):
        assert scope["type"] == "lifespan"
        assert scope["asgi"] == {"version": "3.0", "spec_version": "2.0"}
        scope["state"]["key"] = "value"
        for _ in range(2):
            message = await receive()
            told.append(message["type"])
            await send({"type": message["type"] + ".complete"})

    lifespan = lifespan_of(app, state)
    await lifespan.startup(5)
    assert told == ["lifespan.startup"]
    await lifespan.shutdown(5)
    assert told == ["lifespan.startup", "lifespan.shutdown"]
    assert state == {"key": "value"}


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("no database", "no database"),
        ("", "the application's startup failed"),
        ("Traceback (most recent call last):\n  File x\nKeyError: 'a'\n", "KeyError: 'a'"),
    ],
)
async def test_a_failed_startup_says_why(lifespan_of, message, said):
    async def app(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.failed", "message": message})

    with pytest.raises(StartupFailed) as caught:
        await lifespan_of(app).startup(5)
    assert str(caught.value) == said


async def test_an_application_that_raises_does_not_speak_lifespan(lifespan_of, caplog):
    async def app(scope, receive, send):
        raise TypeError("what is a lifespan?")

    lifespan = lifespan_of(app)
    await lifespan.startup(5)
    await lifespan.shutdown(5)
    assert not [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")]


async def test_an_application_that_raises_in_its_startup_is_served_and_not_silently(lifespan_of, caplog):
    async def app(scope, receive, send):
        await receive()
        raise KeyError("database")

    lifespan = lifespan_of(app)
    await lifespan.startup(5)
    await lifespan.shutdown(5)
    (record,) = [record for record in caplog.records if record.levelname == "WARNING"]
    assert "database" in caplog.text
    assert "raised during its startup" in record.getMessage()


async def test_an_application_that_exits_in_its_startup_stops_the_server(lifespan_of):
    async def app(scope, receive, send):
        await receive()
        sys.exit("no database")

    with pytest.raises(StartupFailed, match=r"called sys\.exit\('no database'\)"):
        await lifespan_of(app).startup(5)


async def test_an_application_that_returns_is_served(lifespan_of):
    async def app(scope, receive, send):
        return

    lifespan = lifespan_of(app)
    await lifespan.startup(5)
    await lifespan.shutdown(5)


async def test_a_startup_that_hangs_is_given_up(lifespan_of):
    async def app(scope, receive, send):
        await anyio.sleep_forever()

    with pytest.raises(StartupFailed, match=r"0\.05 s \(startup_timeout\)"):
        await lifespan_of(app).startup(0.05)


async def test_a_startup_that_is_abandoned_is_cancelled(lifespan_of):
    ended = anyio.Event()

    async def app(scope, receive, send):
        try:
            await anyio.sleep_forever()
        finally:
            ended.set()

    lifespan = lifespan_of(app)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lifespan.startup, 1000)
        await anyio.wait_all_tasks_blocked()
        lifespan.abandon()
    await ended.wait()
    await lifespan.shutdown(1000)


async def test_a_startup_that_was_abandoned_before_is_not_begun(lifespan_of):
    async def app(scope, receive, send):
        raise AssertionError("it was begun")

    lifespan = lifespan_of(app)
    lifespan.abandon()
    await lifespan.startup(1000)


async def test_an_abandoned_shutdown_is_not_waited_for(lifespan_of, caplog):
    async def app(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.complete"})
        with anyio.CancelScope(shield=True):
            await stop_it.wait()

    stop_it = anyio.Event()
    lifespan = lifespan_of(app)
    await lifespan.startup(1000)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lifespan.shutdown, 1000)
        await anyio.wait_all_tasks_blocked()
        lifespan.abandon()
    assert "shutdown_timeout" not in caplog.text
    stop_it.set()


async def test_a_shutdown_that_hangs_or_fails_is_logged(lifespan_of, caplog):
    async def hangs(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await anyio.sleep_forever()

    async def fails(scope, receive, send):
        for end in ("startup.complete", "shutdown.failed"):
            await receive()
            await send({"type": f"lifespan.{end}", "message": "stuck"})

    for app in (hangs, fails):
        lifespan = lifespan_of(app)
        await lifespan.startup(5)
        await lifespan.shutdown(0.05)
    messages = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert len(messages) == 2
    assert "shutdown_timeout" in messages[0]
    assert "stuck" in messages[1]


async def test_a_shutdown_that_raises_is_logged(lifespan_of, caplog):
    async def app(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        raise ValueError("cannot close")

    lifespan = lifespan_of(app)
    await lifespan.startup(5)
    await lifespan.shutdown(5)
    assert "cannot close" in caplog.text


async def test_a_traceback_that_tells_of_the_shutdown_is_one_line(lifespan_of, caplog):
    async def app(scope, receive, send):
        for end in ("startup.complete", "shutdown.failed"):
            await receive()
            await send({"type": f"lifespan.{end}", "message": "Traceback (most recent call last):\n  x\nKeyError: 1\n"})

    lifespan = lifespan_of(app)
    await lifespan.startup(5)
    await lifespan.shutdown(5)
    assert [r.getMessage() for r in caplog.records if r.levelname == "ERROR"] == [
        "the application's shutdown failed: KeyError: 1"
    ]


@pytest.mark.parametrize(
    "messages",
    [("lifespan.shutdown.complete",), ("lifespan.startup.complete", "lifespan.startup.complete"), ("lifespan.begun",)],
)
async def test_only_the_question_is_answered_and_once(lifespan_of, messages):
    refused = []

    async def app(scope, receive, send):
        await receive()
        try:
            for kind in messages:
                await send({"type": kind})
        except LocalProtocolError as error:
            refused.append(str(error))

    await lifespan_of(app).startup(5)
    await anyio.wait_all_tasks_blocked()
    assert len(refused) == 1
    assert repr(messages[-1]) in refused[0]


async def test_an_application_that_dies_after_its_startup_is_logged(lifespan_of, caplog):
    async def app(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.complete"})
        raise ValueError("late")

    lifespan = lifespan_of(app)
    await lifespan.startup(5)
    await anyio.wait_all_tasks_blocked()
    assert "late" in caplog.text
    await lifespan.shutdown(5)


async def test_an_application_that_takes_it_for_a_request_does_not_speak_lifespan(lifespan_of, caplog):
    async def app(scope, receive, send):
        await receive()
        await send({"type": "http.response.start"})

    await lifespan_of(app).startup(5)
    assert not [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")]
