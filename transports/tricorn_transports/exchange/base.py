"""What a request and a WebSocket have in common: one stream, one call of the application, and waits between them.

Rules of this module: nothing here knows what is exchanged. A waiter is made when somebody waits; whoever is woken looks
again at what it waited for, so that a wake-up too many does no harm.
"""

from __future__ import annotations

from math import inf
from time import perf_counter

from tricorn_transports.abc import Task, Waiter
from tricorn_transports.errors import ClientDisconnected, LimitExceeded
from tricorn_transports.events import RequestStarted
from tricorn_transports.exchange.host import Host, log

#: What an application may raise and the worker lives on: one request must not end the others with ``sys.exit()``.
APPLICATION_ERRORS = (Exception, SystemExit)


class StreamExchange:
    """The state that every exchange has.

    Args:
        host: The connection that the request came on.
        request: The request's head.
    """

    __slots__ = (
        "_credit",
        "_engine",
        "_host",
        "_receivers",
        "_request",
        "_senders",
        "_sent",
        "_started_at",
        "_status",
        "deadline",
        "stream_id",
        "task",
    )

    def __init__(self, host: Host, request: RequestStarted) -> None:
        self._host = host
        self._engine = host.engine
        self._request = request
        self.stream_id = request.stream_id
        self.task: Task | None = None
        self.deadline = inf
        self._started_at = perf_counter()
        self._credit = 0  # of what was received and not read
        self._status = 0
        self._sent = 0  # bytes of the body, or of frames
        self._receivers: list[Waiter] = []
        self._senders: list[Waiter] = []

    def priority_changed(self, urgency: int, incremental: bool) -> None:
        """The client thinks otherwise now of how urgent it is; the engine has taken it up already."""
        self._request.priority = urgency, incremental

    def _return_credit(self) -> None:
        credit, self._credit = self._credit, 0
        if credit:
            self._host.consumed(self.stream_id, credit)

    def _wait_until(self, when: float) -> None:
        self.deadline = when
        self._host.want_deadline(when)

    async def _wait(self, waiters: list[Waiter]) -> None:
        waiter = self._host.worker.runtime.waiter()
        waiters.append(waiter)
        try:
            await waiter.wait()
        finally:
            waiters.remove(waiter)

    def _log_failure(self, error: BaseException) -> None:
        """An application that failed only because its client is gone has not failed."""
        if is_disconnect(error):
            log.debug("%s: the client left", self._describe())
        elif isinstance(error, APPLICATION_ERRORS):
            log.error("%s: the application failed", self._describe(), exc_info=error)

    def _describe(self) -> str:
        return f"{self._request.method.decode('latin-1')} {self._request.target.decode('latin-1')}"

    def _breach(self, what: str, limit: str, status: int) -> None:
        error = LimitExceeded(what, limit=limit, status_hint=status)
        self._host.worker.log_peer_error(error, self._host.client, self._describe())

    def _log_access(self, method: str, status: int) -> None:
        access_log = self._host.worker.access_log
        if access_log is not None:
            access_log(
                self._host.client,
                method,
                self._request.target.decode("latin-1"),
                self._request.http_version,
                status,
                self._sent,
                perf_counter() - self._started_at,
            )


def is_disconnect(error: BaseException) -> bool:
    """Whether an application failed only because its client is gone (task groups wrap what they raise)."""
    if isinstance(error, BaseExceptionGroup):
        return all(is_disconnect(inner) for inner in error.exceptions)
    return isinstance(error, ClientDisconnected)


def wake(waiters: list[Waiter]) -> None:
    """Lets all of them look again."""
    for waiter in waiters:
        waiter.wake()
