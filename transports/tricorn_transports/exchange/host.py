"""What an exchange is given: the worker it runs in, and the connection it belongs to.

Rules of this module: no behaviour beyond keeping values; the connection implements ``Host``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from tricorn_transports.abc import ASGIApp, HttpEngine, Runtime, Task
from tricorn_transports.certificates import ServedNames
from tricorn_transports.config import Limits, Timeouts
from tricorn_transports.errors import RemoteProtocolError
from tricorn_transports.events import RawHeaders, RequestStarted
from tricorn_transports.exchange.pool import Pool

#: client, method, target, http_version, status, bytes of body, seconds
AccessLogger: TypeAlias = Callable[[tuple[str, int] | None, str, str, str, int, int, float], None]

log = logging.getLogger("tricorn.server")


class Exchange(Protocol):
    """What a connection asks of any exchange."""

    stream_id: int
    #: The task of ``run``; kept here, because event loops keep only weak references.
    task: Task | None
    #: When ``handle_deadline`` wants to be called; infinity if never.
    deadline: float

    async def run(self) -> None:
        """Calls the application. Handles every exception of it."""

    def body_received(self, data: bytes, credit: int) -> None: ...
    def request_ended(self, trailers: RawHeaders | None) -> None: ...
    def aborted(self) -> None:
        """The stream is gone; nothing can be sent."""

    def peer_left(self) -> None:
        """The client closed its sending side a while ago: the application is told, and may still answer."""

    def writable(self) -> None: ...
    def priority_changed(self, urgency: int, incremental: bool) -> None: ...
    def handle_deadline(self, now: float) -> None: ...
    def begin_shutdown(self) -> None: ...


@dataclass(slots=True, kw_only=True)
class Worker:
    """What all connections of one worker share.

    Attributes:
        state: The lifespan state; each scope gets a shallow copy.
        names: What the certificate speaks for; ``None`` where there is none, or nothing shall be held to it.
        running: Every exchange whose application has not returned: what a drain waits for.
    """

    app: ASGIApp
    limits: Limits
    timeouts: Timeouts
    runtime: Runtime
    state: dict[str, Any] = field(default_factory=dict)
    root_path: str = ""
    access_log: AccessLogger | None = None
    names: ServedNames | None = None
    running: set[Exchange] = field(default_factory=set)
    draining: bool = False

    def log_peer_error(
        self, error: RemoteProtocolError, client: tuple[str, int] | None, request: str | None = None
    ) -> None:
        """One line for a breach by a peer; the setting's name is in it where a setting decided.

        Args:
            request: Method and target, where one request erred.
        """
        limit = getattr(error, "limit", None)
        who = f"{client[0]}:{client[1]}" if client else "client"
        log.warning("%s: %s%s%s", who, f"{request}: " if request else "", error, f" ({limit})" if limit else "")


class Host(Protocol):
    """What an exchange asks of its connection."""

    worker: Worker
    client: tuple[str, int] | None
    server: tuple[str, int | None] | None
    #: The Alt-Svc value that leads this connection's client to HTTP/3, if it is served where the client can reach it.
    alt_svc: bytes | None
    #: Hashes of what was pushed on this connection; see ``exchange.push``.
    pushed: set[int]
    #: What bounds this connection's WebSockets together.
    pool: Pool
    #: Applications of this connection that have not returned, whether or not anyone still wants their answer.
    running: int

    @property
    def engine(self) -> HttpEngine: ...

    def extensions(self) -> dict[str, Any]:
        """The scope extensions that this connection and its engine offer now, not to be changed."""

    def flush(self) -> None:
        """Lets what was queued leave: at once where it is alone, at the end of the turn where others may join."""

    def consumed(self, stream_id: int, credit: int) -> None:
        """Gives inbound credit back and lets the socket be read again."""

    def start_pushed(self, request: RequestStarted) -> None:
        """Answers a promised request like any other."""

    def is_held_up(self) -> bool:
        """The socket takes nothing of the one response that there is; the connection has a deadline for that."""

    def exchange_over(self, exchange: Exchange) -> None:
        """The exchange has sent all it will."""

    def want_deadline(self, when: float) -> None:
        """``Exchange.deadline`` has become ``when``."""
