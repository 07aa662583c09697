"""Speaks ASGI's lifespan protocol with the application: startup, state, shutdown.

An application that raises before it answers the startup does not know the protocol and is served without it, as every
ASGI server does; one that answers ``lifespan.startup.failed``, or calls ``sys.exit()``, stops the server. Whatever else
goes wrong once the application has taken part is logged, because nobody else hears of it.

Source: ASGI lifespan specification 2.0.
"""

from __future__ import annotations

from typing import Any

from tricorn_transports.abc import ASGIApp, Message, Runtime, Task, Waiter
from tricorn_transports.errors import LocalProtocolError, TransportError
from tricorn_transports.exchange.base import APPLICATION_ERRORS
from tricorn_transports.exchange.host import log


class StartupFailed(TransportError):
    """The application's startup failed; the server must not serve it. The message is the application's."""


class Lifespan:
    """One application's life in one worker.

    Args:
        state: Filled by the application during startup; each scope gets a shallow copy of it.
    """

    def __init__(self, app: ASGIApp, runtime: Runtime, state: dict[str, Any]) -> None:
        self._app = app
        self._runtime = runtime
        self._state = state
        self._question = ""
        self._is_asked = False  # and the application has not taken the question yet
        self._takes_part = False
        self._waiters: list[Waiter] = []
        self._answer: Message | None = None
        self._running = False
        self._is_abandoned = False
        self._error: BaseException | None = None
        self._task: Task | None = None

    async def startup(self, timeout: float) -> None:
        """Runs the startup, unless it is abandoned.

        Raises:
            StartupFailed: The application said so, or did not answer within ``timeout`` seconds.
        """
        if self._is_abandoned:
            return
        self._ask("lifespan.startup")
        self._running = True
        self._task = self._runtime.spawn(self._run)
        answer = await self._wait_for_answer(timeout)
        if answer is None and self._running and not self._is_abandoned:
            raise StartupFailed(f"the application's startup took longer than {timeout:g} s (startup_timeout)")
        if answer is None and isinstance(self._error, SystemExit):
            raise StartupFailed(f"the application's startup called sys.exit({self._error.code!r})")
        if answer is None and self._error is not None:
            if self._takes_part:
                log.warning("the application raised during its startup and is served without", exc_info=self._error)
            else:
                log.debug("the application does not speak lifespan", exc_info=self._error)
        if answer is not None and answer["type"] == "lifespan.startup.failed":
            raise StartupFailed(_last_line(answer.get("message", "")) or "the application's startup failed")

    async def shutdown(self, timeout: float) -> None:
        """Runs the shutdown, if the application is still there to hear of it. Failures are logged."""
        if not self._running or self._is_abandoned:
            return
        self._ask("lifespan.shutdown")
        answer = await self._wait_for_answer(timeout)
        if answer is None and self._running and not self._is_abandoned:
            log.error("the application's shutdown took longer than %g s (shutdown_timeout)", timeout)
        elif answer is not None and answer["type"] == "lifespan.shutdown.failed":
            log.error("the application's shutdown failed: %s", _last_line(answer.get("message", "")))

    def abandon(self) -> None:
        """Nobody waits for the application any more: what it is about is cancelled."""
        self._is_abandoned = True
        if self._task is not None:
            self._task.cancel()
        self._wake()

    def _ask(self, question: str) -> None:
        self._question, self._answer, self._is_asked = question, None, True
        self._wake()

    async def _wait_for_answer(self, timeout: float) -> Message | None:
        is_late = False

        def give_up() -> None:
            nonlocal is_late
            is_late = True
            self._wake()

        # The timer's word decides, not the clock: uvloop's fires up to a millisecond early.
        timer = self._runtime.call_at(self._runtime.now() + timeout, give_up)
        try:
            while self._answer is None and self._running and not is_late and not self._is_abandoned:
                await self._wait()
        finally:
            timer.cancel()
        return self._answer

    async def _run(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self._state}
        try:
            await self._app(scope, self._receive, self._send)
        except APPLICATION_ERRORS as error:
            self._error = error
            if self._answer is not None or self._question == "lifespan.shutdown":
                log.error("the application's lifespan failed", exc_info=error)
        finally:
            self._running = False
            self._wake()

    async def _receive(self) -> Message:
        self._takes_part = True
        while not self._is_asked:
            await self._wait()
        self._is_asked = False
        return {"type": self._question}

    async def _send(self, message: Message) -> None:
        kind = message["type"]
        self._takes_part = kind.startswith("lifespan.")
        expected = (f"{self._question}.complete", f"{self._question}.failed") if self._answer is None else ()
        if kind not in expected:
            raise LocalProtocolError(f"{kind!r} was sent where {' or '.join(expected) or 'nothing'} was expected")
        self._answer = message
        self._wake()

    async def _wait(self) -> None:
        waiter = self._runtime.waiter()
        self._waiters.append(waiter)
        try:
            await waiter.wait()
        finally:
            self._waiters.remove(waiter)

    def _wake(self) -> None:
        for waiter in self._waiters:
            waiter.wake()


def _last_line(message: str) -> str:
    """Frameworks send a whole traceback as the message; its last line says what went wrong."""
    message = message.strip()
    if not message.startswith("Traceback"):
        return message
    log.debug("%s", message)
    return message.splitlines()[-1].strip()
