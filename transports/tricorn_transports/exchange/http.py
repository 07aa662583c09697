"""One HTTP request bound to one call of the application.

Rules of this module:
- The read path never waits for the application: what arrives is kept (within the engine's windows) until
  ``receive()`` takes it, and only then does the credit go back.
- ``send()`` returns when there is room for more, so an application can never run ahead of its client.
- ``receive()`` and ``send()`` suspend only where a wait is real.
- The head is held until the first body message, so that a small answer is one write.
- Early hints are held until the end of the turn: several are one 103, and clients look at the first 103 only. They may
  come after the head, which is held, and are dropped where it has left.
- A pushed response is nobody's wish yet: an error is taken back instead of sent, and the client asks for itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import inf
from typing import Any, cast

from tricorn_transports.abc import Feature, FileEngine, FileRegion, Message, Waiter
from tricorn_transports.errors import ClientDisconnected, LocalProtocolError
from tricorn_transports.events import AbortReason, RawHeaders, RequestStarted
from tricorn_transports.exchange.admission import refusal
from tricorn_transports.exchange.base import APPLICATION_ERRORS, StreamExchange, wake
from tricorn_transports.exchange.files import Opened, Region, open_file, read_region
from tricorn_transports.exchange.head import (
    ResponseHead,
    body_bytes,
    clean_fields,
    current_date,
    push_target,
    response_head,
    trailer_fields,
)
from tricorn_transports.exchange.host import Host, log
from tricorn_transports.exchange.pace import BodyPace
from tricorn_transports.exchange.push import Outcome, promise
from tricorn_transports.exchange.scope import http_scope
from tricorn_transports.exchange.states import ALLOWED, SendState, describe
from tricorn_transports.http.priority import DEFAULT, LEAST_URGENT, Priority, merge_priority
from tricorn_transports.http.status import status_phrase

_BODYLESS = (204, 205, 304)
_OVER = (SendState.DONE, SendState.ABORTED)
# Bytes that an application may send without giving others their turn.
_MAX_BURST = 262_144


class HttpExchange(StreamExchange):
    """Implements ``Exchange`` for HTTP requests.

    Args:
        host: The connection that the request came on.
        request: The request's head.
    """

    __slots__ = (
        "_body", "_body_size", "_bodyless", "_burst", "_copying", "_delivered", "_disconnect_callbacks", "_ended",
        "_expects_continue", "_head", "_hints", "_left", "_pace", "_peer_left", "_room", "_state", "_trailers",
        "_trailers_out",
    )  # fmt: skip

    def __init__(self, host: Host, request: RequestStarted) -> None:
        super().__init__(host, request)
        self._disconnect_callbacks: list[Callable[[], object]] = []
        # Inbound.
        self._expects_continue = request.expects_continue
        self._body: list[bytes] = []
        self._body_size = 0
        self._pace: BodyPace | None = None  # where the application had to wait
        self._ended = False
        self._delivered = False  # the application was given the body's end
        self._trailers: RawHeaders | None = None
        self._peer_left = False
        # Outbound.
        self._state = SendState.START
        self._head: ResponseHead | None = None  # taken from the application, not yet given to the engine
        self._hints: RawHeaders = []  # for a 103 at the end of the turn
        self._bodyless = False
        self._left: int | None = None  # of the announced content-length
        self._trailers_out: RawHeaders | None = None  # announced, and what came of them
        self._copying: FileRegion | None = None  # counted as sent already
        self._room = 0
        self._burst = 0  # bytes sent since the application last waited

    # ----------------------------------------------------------------------------------- what the connection calls

    def body_received(self, data: bytes, credit: int) -> None:
        self._credit += credit
        self._body_size += len(data)
        if self._state in _OVER:
            self._return_credit()
        elif self._body_size > self._host.worker.limits.max_body_bytes:
            self._refuse_body()
        else:
            self._body.append(data)
            wake(self._receivers)

    def request_ended(self, trailers: RawHeaders | None) -> None:
        self._ended = True
        self._trailers = trailers
        wake(self._receivers)

    def aborted(self) -> None:
        if self._state not in _OVER:
            self._give_up(self._status or 499)

    def peer_left(self) -> None:
        if not self._peer_left:
            self._peer_left = True
            self._tell_disconnect()

    def writable(self) -> None:
        wake(self._senders)

    def begin_shutdown(self) -> None:
        """A request that runs is finished as it is."""

    def handle_deadline(self, now: float) -> None:
        if now < self.deadline or self._state in _OVER:
            return
        self.deadline = inf
        if self._senders:
            room = self._engine.sendable(self.stream_id)
            if room > self._room or self._host.is_held_up():  # slow, but it moves, or is not this response's affair
                self._wait_until(now + self._host.worker.timeouts.write_timeout)
                self._room = room
            else:
                self._breach("the client takes nothing of the response", "write_timeout", 408)
                self._abort(AbortReason.TIMEOUT)
        elif self._receivers and not self._ended and not self._body:
            if self._pace is not None and now >= self._pace.due:
                self._breach("the client sends the body too slowly", "min_body_rate", 408)
            else:
                self._breach("the client sends nothing more of the body", "body_timeout", 408)
            self._answer_or_abort(408, AbortReason.TIMEOUT)

    # ------------------------------------------------------------------------------------------------- the ASGI call

    async def run(self) -> None:
        worker = self._host.worker
        worker.running.add(self)
        try:
            refused = refusal(worker, self._request)
            if self._state in _OVER:
                return  # it was answered, or taken back, before its turn came
            if refused is not None:
                worker.log_peer_error(refused, self._host.client, self._describe())
                self._answer_or_abort(refused.status_hint, AbortReason.LIMIT)
            else:
                # A local name: the scope leads back here, and a cycle would outlive each request.
                extensions = self._host.extensions()
                extensions["tricorn.disconnect"] = {"register": self._on_disconnect}
                if "tricorn.priority" in extensions:
                    extensions["tricorn.priority"] = {"get": self._get_priority, "set": self._set_priority}
                if self._request.pushed_from is not None:  # it neither promises nor hints (RFC 9113 section 8.4)
                    extensions.pop("http.response.push", None)
                    extensions.pop("http.response.early_hint", None)
                elif "http.response.push" in extensions:
                    extensions["tricorn.push"] = {"promise": self._promise}
                self._offer(extensions)
                scope = http_scope(self._host, self._request, extensions)
                await worker.app(scope, self.receive, self.send)
                self._application_returned()
        except BaseException as error:
            self._application_failed(error)
            if not isinstance(error, APPLICATION_ERRORS):
                raise
        finally:
            worker.running.discard(self)
            self._host.running -= 1

    def _offer(self, extensions: dict[str, Any]) -> None:
        """Adds the extensions of a special kind of request."""

    async def receive(self) -> Message:
        while True:
            if self._state in _OVER:
                return {"type": "http.disconnect"}
            if self._body or (self._ended and not self._delivered):
                return self._take_body()
            if self._peer_left:
                return {"type": "http.disconnect"}
            if not self._delivered:
                self._ask_for_body()
            await self._wait(self._receivers)
            if self._pace is not None:
                self._pace.resume(self._host.worker.runtime.now())

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if kind not in ALLOWED[self._state]:
            if self._state is SendState.ABORTED:
                raise ClientDisconnected("the client has disconnected")
            raise LocalProtocolError(f"{kind!r} was sent where {describe(self._state)} was expected")
        if kind == "http.response.body":
            await self._send_body(body_bytes(message), last=not message.get("more_body", False))
        elif kind == "http.response.start":
            self._start(message)
        elif kind == "http.response.early_hint":
            self._hint(clean_fields((b"link", link) for link in message.get("links", ())))
        elif kind == "http.response.push":
            self._promise(message["path"], message.get("headers", ()))
        elif kind == "http.response.trailers":
            self._send_trailers(message)
        else:
            try:
                if kind == "http.response.pathsend":
                    await self._send_path(message["path"])
                else:
                    await self._send_open_file(message)
            except ClientDisconnected:
                raise
            except OSError as error:  # which would tell the application that its client is gone (ASGI 2.4)
                raise LocalProtocolError(f"the file cannot be sent: {error}") from error

    # ------------------------------------------------------------------------------------------------------ inbound

    def _take_body(self) -> Message:
        body = self._body
        data = body[0] if len(body) == 1 else b"".join(body)
        body.clear()
        self._return_credit()
        self._delivered = self._ended
        message: Message = {"type": "http.request", "body": data, "more_body": not self._ended}
        if self._ended and self._trailers is not None:
            message["trailers"] = self._trailers
        return message

    def _ask_for_body(self) -> None:
        """The application waits for the body: the client is told to send it, and has a deadline."""
        if self._expects_continue:
            self._expects_continue = False
            if self._is_unanswered:
                self._engine.send_informational(self.stream_id, 100, [])
                self._host.flush()
        worker = self._host.worker
        now = worker.runtime.now()
        when = now + worker.timeouts.body_timeout
        if self._is_unanswered:
            # Once the response has begun the two are in a conversation, whose pace is their own.
            if self._pace is None:
                self._pace = BodyPace(worker.limits.min_body_rate, worker.timeouts.body_grace)
            when = min(when, self._pace.wait(now, self._body_size))
        self._wait_until(when)

    def _refuse_body(self) -> None:
        self._breach("the request's body is too large", "max_body_bytes", 413)
        self._answer_or_abort(413, AbortReason.LIMIT)

    def _on_disconnect(self, callback: Callable[[], object]) -> None:
        """The extension ``tricorn.disconnect``: calls ``callback()`` once, when the client goes away."""
        if self._state is SendState.ABORTED or self._peer_left:
            callback()
        else:
            self._disconnect_callbacks.append(callback)

    def _tell_disconnect(self) -> None:
        wake(self._receivers)
        callbacks, self._disconnect_callbacks = self._disconnect_callbacks, []
        for callback in callbacks:
            try:
                callback()
            except Exception:  # noqa: BLE001 - it is the application's, and the connection serves others too
                log.exception("%s: a callback of tricorn.disconnect failed", self._describe())

    def _get_priority(self) -> tuple[int, bool]:
        """The extension ``tricorn.priority``: urgency and incremental, as they are now."""
        return self._request.priority or DEFAULT

    def _set_priority(self, urgency: int, incremental: bool) -> None:
        """The extension ``tricorn.priority``: orders the response from now on, whatever the client says."""
        if urgency not in range(LEAST_URGENT + 1):
            raise LocalProtocolError(f"the urgency {urgency!r} is not 0 to {LEAST_URGENT}")
        self._request.priority = urgency, incremental
        self._engine.set_priority(self.stream_id, urgency, incremental)

    # ----------------------------------------------------------------------------------------------------- outbound

    @property
    def _is_unanswered(self) -> bool:
        """The client has nothing of the final response yet."""
        return self._state is SendState.START or self._head is not None

    def _hint(self, links: RawHeaders) -> None:
        if links and Feature.EARLY_HINTS in self._engine.features and self._request.pushed_from is None:
            if not self._hints:
                self._host.worker.runtime.call_soon(self._send_hints)
            self._hints += links

    def _send_hints(self) -> None:
        links, self._hints = self._hints, []
        if links and self._is_unanswered:
            self._engine.send_informational(self.stream_id, 103, links)
            self._host.flush()

    def _promise(self, path: str, headers: Iterable[Iterable[bytes]] = ()) -> Outcome:
        """The extension ``tricorn.push``, and what the message ``http.response.push`` does."""
        target, given = push_target(path), clean_fields(headers)
        if "http.response.push" not in ALLOWED[self._state]:
            return "refused"
        return promise(self._host, self._request, target, given)

    def _start(self, message: Message) -> None:
        head = response_head(message["status"], message.get("headers", ()), self._host.alt_svc)
        self._status = head.status
        if head.status >= 400 and self._request.pushed_from is not None:
            self._abort(AbortReason.CANCELLED)
            return
        self._head = head
        self._left = head.length
        if head.priority:
            self._set_priority(*merge_priority(Priority(*self._get_priority()), head.priority))
        self._bodyless = self._request.method == b"HEAD" or head.status in _BODYLESS
        self._trailers_out = [] if message.get("trailers", False) else None
        self._state = SendState.BODY

    def _send_head(self, head: ResponseHead, *, end: bool = False) -> None:
        self._send_hints()
        self._engine.send_headers(self.stream_id, head.status, head.headers, end=end)
        self._head = None  # not before: what the engine refuses is answered with 500 instead

    async def _send_body(self, data: bytes, *, last: bool) -> None:
        if self._bodyless:
            size, data = len(data), b""
        else:
            size = len(data)
            self._count(size, last)
        ends = last and self._trailers_out is None
        head = self._head
        if head is not None:
            if ends and head.length is None and head.status not in _BODYLESS and (size or not self._bodyless):
                # The whole body is known: say its length instead of framing it (RFC 9110 section 8.6).
                head.headers.append((b"content-length", b"%d" % size))
            self._send_head(head, end=ends and not data)
            ends = ends and bool(data)
            if data:
                self._engine.send_data(self.stream_id, data, end=ends)
        elif data or ends:
            self._engine.send_data(self.stream_id, data, end=ends)
        if not last:
            self._host.flush()
            await self._wait_for_room(size)
        elif self._trailers_out is not None:
            self._state = SendState.TRAILERS
        else:
            self._finish()

    def _count(self, size: int, last: bool) -> None:
        """Holds the body to its announced length, before any of it is sent."""
        if self._left is not None:
            self._left -= size
            if self._left < 0:
                raise LocalProtocolError(f"the body is {-self._left} bytes longer than its content-length")
            if last and self._left > 0:
                raise LocalProtocolError(f"the body is {self._left} bytes shorter than its content-length")
        self._sent += size

    def _send_trailers(self, message: Message) -> None:
        assert self._trailers_out is not None
        self._trailers_out += trailer_fields(message.get("headers", ()))
        if not message.get("more_trailers", False):
            self._engine.send_trailers(self.stream_id, self._trailers_out)
            self._finish()

    async def _send_path(self, path: str) -> None:
        runtime = self._host.worker.runtime
        file, first, size = await open_file(runtime, path)
        with file:
            if self._head is not None and self._head.length is None:
                self._head.headers.append((b"content-length", b"%d" % size))
                self._head.length = self._left = size
            elif self._left is not None and not self._bodyless:
                size = min(size, self._left)  # it has grown since it was announced
            if self._bodyless or first or not size:
                await self._send_body(first[:size], last=True)
            else:
                await self._send_region(Region(file.fileno(), 0, size), last=True)

    async def _send_open_file(self, message: Message) -> None:
        file, offset = Opened(message["file"]), message.get("offset")
        start = file.where() if offset is None else offset
        region = Region(file.fd, start, message.get("count"))
        sent = await self._send_region(region, last=not message.get("more_body", False))
        if offset is None:
            file.move(start + sent)

    async def _send_region(self, region: Region, *, last: bool) -> int:
        """Sends it, and returns how many bytes it was."""
        sent = 0
        if not self._bodyless:
            count = region.count() if Feature.FILES in self._engine.features else None
            if count is None:
                async for data in read_region(self._host.worker.runtime, region):
                    if self._state is SendState.ABORTED:
                        raise ClientDisconnected("the client has disconnected")
                    await self._send_body(data, last=False)
                    sent += len(data)
            elif count:
                sent = count
                await self._copy_region(FileRegion(region.fd, region.offset, count, self.stream_id))
        if last:
            await self._send_body(b"", last=True)
        return sent

    async def _copy_region(self, region: FileRegion) -> None:
        """Lets the connection copy a part of a file to its socket, and waits until it is out.

        The connection also sees to it that a client which takes nothing is not waited for: ``write_timeout``.
        """
        self._count(region.left, False)
        if self._head is not None:
            self._send_head(self._head)
        cast("FileEngine", self._engine).send_file(self.stream_id, region)
        self._copying = region
        try:
            self._host.flush()
            while region.left and region.error is None and self._state is not SendState.ABORTED:
                await self._wait(self._senders)
        finally:
            if region.left:  # broken off, or the application was cancelled and will close the file
                region.fd = -1
                if self._state is not SendState.ABORTED:
                    self._abort(AbortReason.INTERNAL_ERROR)
            self._copying = None
        if region.error is not None:
            raise region.error
        if region.left:
            raise ClientDisconnected("the client has disconnected")

    async def _wait_for_room(self, size: int) -> None:
        self._burst += size
        room = self._engine.sendable(self.stream_id)
        if room <= 0:
            self._burst = 0
        elif self._burst >= _MAX_BURST:
            self._burst = 0
            await self._give_way()
        while room <= 0:
            self._room = room
            self._wait_until(self._host.worker.runtime.now() + self._host.worker.timeouts.write_timeout)
            await self._wait(self._senders)
            if self._state is SendState.ABORTED:
                raise ClientDisconnected("the client has disconnected")
            room = self._engine.sendable(self.stream_id)

    async def _give_way(self) -> None:
        """Lets the loop run: a socket that takes all there is would keep an endless body from hearing of its end."""
        runtime = self._host.worker.runtime
        waiter = runtime.waiter()
        runtime.call_soon(waiter.wake)
        await waiter.wait()
        if self._state is SendState.ABORTED:
            raise ClientDisconnected("the client has disconnected")

    # ------------------------------------------------------------------------------------------------------- endings

    def _finish(self) -> None:
        self._state = SendState.DONE
        self._log_access(self._request.method.decode("latin-1"), self._status)
        self._release()

    def _release(self) -> None:
        self._body.clear()
        self._return_credit()
        self._engine.release(self.stream_id)
        self._host.exchange_over(self)
        wake(self._receivers)

    def _give_up(self, status: int) -> None:
        """The response cannot be completed; the application learns it as a disconnect."""
        self._state = SendState.ABORTED
        if self._copying is not None:
            self._sent -= self._copying.left
        self._log_access(self._request.method.decode("latin-1"), status)
        self._body.clear()
        self._return_credit()
        self._host.exchange_over(self)
        wake(self._senders)
        self._tell_disconnect()

    def _abort(self, reason: AbortReason) -> None:
        self._engine.abort(self.stream_id, reason)
        self._give_up(self._status or 500)
        self._host.flush()

    def _answer_or_abort(self, status: int, reason: AbortReason) -> None:
        """Answers for the application if nothing has been sent yet, else cuts the response off."""
        if not self._is_unanswered or self._request.pushed_from is not None:
            self._abort(reason)
            return
        body = f"{status} {status_phrase(status)}\n".encode("ascii")
        headers = [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", b"%d" % len(body)),
            (b"date", current_date()),
        ]
        if status == 408:
            headers.append((b"connection", b"close"))  # RFC 9110 section 15.5.9: who is late is not waited for again
        is_head = self._request.method == b"HEAD"
        self._engine.send_headers(self.stream_id, status, headers, end=is_head)
        if not is_head:
            self._engine.send_data(self.stream_id, body, end=True)
            self._sent = len(body)
        self._engine.release(self.stream_id)
        self._head = None
        self._give_up(status)

    def _application_returned(self) -> None:
        if self._state not in _OVER:
            if not self._peer_left:  # one that was told its client is gone has every reason to stop
                log.error("%s: the application returned before its response was complete", self._describe())
            self._answer_or_abort(500, AbortReason.INTERNAL_ERROR)

    def _application_failed(self, error: BaseException) -> None:
        self._log_failure(error)
        if self._state not in _OVER:
            self._answer_or_abort(500, AbortReason.INTERNAL_ERROR)

    # ------------------------------------------------------------------------------------------------------- helpers

    async def _wait(self, waiters: list[Waiter]) -> None:
        try:
            await super()._wait(waiters)
        finally:
            if not self._senders and not self._receivers:
                self.deadline = inf
