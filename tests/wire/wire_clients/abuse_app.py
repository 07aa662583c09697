"""The application that is attacked, in the tests' process or in one of its own (``wire_clients.abuse_app:app``)."""

from __future__ import annotations

from typing import Any

import anyio


class App:
    """``/hold`` reads nothing and answers nothing until it is released; ``/large`` sends 4 MiB, ``/page`` 1 KiB.

    A WebSocket at ``/hold`` reads nothing, any other takes all that comes.

    Attributes:
        running: Calls that have not returned; ``most`` is the most there were at once.
    """

    def __init__(self) -> None:
        self.running = self.most = self.calls = 0
        self.released = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            raise RuntimeError("nothing to start")
        self.calls += 1
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await (self._talk if scope["type"] == "websocket" else self._answer)(scope, receive, send)
        except OSError:
            return
        finally:
            self.running -= 1

    async def _hold(self, scope: Any) -> None:
        while scope["path"] == "/hold" and not self.released:
            await anyio.sleep(0.01)

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        await self._hold(scope)
        size = {"/large": 4 << 20, "/page": 1024}.get(scope["path"], 2)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for start in range(0, size, 65_536):
            part = min(65_536, size - start)
            await send({"type": "http.response.body", "body": b"x" * part, "more_body": start + part < size})

    async def _talk(self, scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await self._hold(scope)
        while (await receive())["type"] == "websocket.receive":
            pass


app = App()
