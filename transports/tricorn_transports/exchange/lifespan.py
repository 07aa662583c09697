"""Speaks ASGI's lifespan protocol with the application: startup, state, shutdown.

An application that raises before it answers the startup does not know the protocol and is served without it, as every
ASGI server does; one that answers ``lifespan.startup.failed`` stops the server.

Source: ASGI lifespan specification 2.0.
"""

from __future__ import annotations

from typing import Any

from tricorn_transports.abc import ASGIApp, Message, Runtime, Task, Waiter
from tricorn_transports.errors import LocalProtocolError, TransportError
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
        self._inbox: list[Message] = []
        self._waiters: list[Waiter] = []
        self._answer: Message | None = None
        self._running = False
        self._error: BaseException | None = None
        self._task: Task | None = None

    async def startup(self, timeout: float) -> None:
        """Runs the startup.

        Raises:
            StartupFailed: The application said so, or did not answer within ``timeout`` seconds.
        """
        self._running = True
        self._task = self._runtime.spawn(self._run)
        answer = await self._ask("lifespan.startup", timeout)
        if answer is None and self._running:
            raise StartupFailed(f"the application's startup took longer than {timeout:g} s (startup_timeout)")
        if answer is None and self._error is not None:
            log.debug("the application does not speak lifespan", exc_info=self._error)
        if answer is not None and answer["type"] == "lifespan.startup.failed":
            raise StartupFailed(_last_line(answer.get("message", "")) or "the application's startup failed")

    async def shutdown(self, timeout: float) -> None:
        """Runs the shutdown, if the application is still there to hear of it. Failures are logged."""
        if not self._running:
            return
        answer = await self._ask("lifespan.shutdown", timeout)
        if answer is None and self._running:
            log.error("the application's shutdown took longer than %g s (shutdown_timeout)", timeout)
        elif answer is not None and answer["type"] == "lifespan.shutdown.failed":
            log.error("the application's shutdown failed: %s", answer.get("message", ""))

    async def _ask(self, question: str, timeout: float) -> Message | None:
        self._answer = None
        self._inbox.append({"type": question})
        self._wake()
        is_late = False

        def give_up() -> None:
            nonlocal is_late
            is_late = True
            self._wake()

        # The timer's word decides, not the clock: uvloop's fires up to a millisecond early.
        timer = self._runtime.call_at(self._runtime.now() + timeout, give_up)
        try:
            while self._answer is None and self._running and not is_late:
                await self._wait()
        finally:
            timer.cancel()
        return self._answer

    async def _run(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self._state}
        try:
            await self._app(scope, self._receive, self._send)
        except Exception as error:  # noqa: BLE001 - an application may raise anything
            self._error = error
            if self._answer is not None:
                log.error("the application's lifespan failed", exc_info=error)
        finally:
            self._running = False
            self._wake()

    async def _receive(self) -> Message:
        while not self._inbox:
            await self._wait()
        return self._inbox.pop(0)

    async def _send(self, message: Message) -> None:
        kind = message["type"]
        if kind.removesuffix(".complete").removesuffix(".failed") not in ("lifespan.startup", "lifespan.shutdown"):
            raise LocalProtocolError(f"{kind!r} is no answer of the lifespan protocol")
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
    lines = [line for line in message.strip().splitlines() if line.strip()]
    if lines and lines[0].startswith("Traceback"):
        log.debug("%s", message)
        return lines[-1].strip()
    return message.strip()
