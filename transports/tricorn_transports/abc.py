"""The Protocols of every seam: ASGI above, engines below, the runtime beside.

Rules of this module: types only, no behaviour and no IO. Time is always an argument called ``now``, in seconds of
a monotonic clock. An exchange sees only ``HttpEngine``; a connection sees ``StreamEngine`` or ``DatagramEngine``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterable, MutableMapping, Sequence
from dataclasses import dataclass
from enum import Flag, auto
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:  # an application that another server serves needs neither
    from tricorn_transports.config import Limits, Timeouts
    from tricorn_transports.events import AbortReason, Event, RawHeaders, RequestStarted

# ---------------------------------------------------------------------------------------------------- ASGI 3

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

# ---------------------------------------------------------------------------------------------------- WSGI

ExcInfo: TypeAlias = tuple[type[BaseException], BaseException, TracebackType | None]
WSGIEnvironment: TypeAlias = dict[str, Any]


class StartResponse(Protocol):
    """PEP 3333's ``start_response``."""

    def __call__(
        self, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None, /
    ) -> Callable[[bytes], object]: ...


WSGIApp: TypeAlias = Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]]

# ---------------------------------------------------------------------------------------------------- engines


class Feature(Flag):
    """What an engine can do, for a request that begins now."""

    NONE = 0
    MULTIPLEX = auto()
    """Several exchanges at once on one connection."""
    PUSH = auto()
    """``push()`` works and this client accepts pushes."""
    EARLY_HINTS = auto()
    """``send_informational()`` works for this client."""
    TRAILERS = auto()
    """``send_trailers()`` works for this client."""
    TUNNEL = auto()
    """``accept_tunnel()`` works."""
    FILES = auto()
    """``send_file()`` works: the engine is a ``FileEngine``, and its connection can copy files to the socket."""


@dataclass(frozen=True, slots=True)
class EngineContext:
    """What every engine is made with.

    Attributes:
        scheme: ``b"https"`` when the bytes come out of TLS, else ``b"http"``.
        now: The time of creation, from which the first deadline counts.
        sends_files: Whether the connection takes a ``FileRegion`` among its output.
        date: The value of a Date field, now, for what the engine answers by itself; ``None`` is a server without a
            clock, which sends none (RFC 9110 section 6.6.1).
    """

    limits: Limits
    timeouts: Timeouts
    scheme: bytes
    now: float
    sends_files: bool = False
    date: Callable[[], bytes] | None = None


@dataclass(slots=True, eq=False)
class FileRegion:
    """A part of an open file that goes to the socket without coming into this process (``sendfile(2)``).

    Who hands it over keeps the file open until ``left`` is 0, or withdraws the descriptor.

    Attributes:
        fd: The file's descriptor; -1 once it must not be used any more: the response cannot be completed.
        offset: In bytes; it moves on with what is sent.
        left: Bytes that are still to be sent.
        stream_id: Whose part of a body it is: that exchange is told when ``left`` has become 0, or of an ``error``.
        error: Why the file could not be sent to its end.
    """

    fd: int
    offset: int
    left: int
    stream_id: int
    error: OSError | None = None

    def __len__(self) -> int:
        return self.left


class HttpEngine(Protocol):
    """All that an exchange ever sees of HTTP/1.1, HTTP/2 or HTTP/3.

    Commands append to the engine's output; nothing is written before the connection asks for it. A command that
    breaks the protocol raises ``LocalProtocolError``; a command for a stream that is already gone (aborted by
    the peer, say) does nothing, because the application cannot know yet.
    """

    @property
    def http_version(self) -> str:
        """``"1.1"``, ``"2"`` or ``"3"``."""

    @property
    def features(self) -> Feature:
        """What works for this client now."""

    def take_events(self) -> list[Event]:
        """Events made by commands or by sending: ``StreamWritable``, or HTTP/1's next pipelined request.

        The connection takes them after every flush, until there are none.
        """

    def send_headers(self, stream_id: int, status: int, headers: RawHeaders, *, end: bool = False) -> None:
        """Sends the final response's head, and with ``end`` nothing after it.

        The names are lower case and the values are free of CR, LF and NUL; the exchange has checked both. The
        engine adds what its protocol's framing needs (``transfer-encoding``, ``connection``) and leaves out what
        it forbids (HTTP/2 and 3: ``connection``, ``keep-alive``, ``transfer-encoding``, ``upgrade``).
        """

    def send_informational(self, stream_id: int, status: int, headers: RawHeaders) -> None:
        """Sends an interim response, 100 or 103."""

    def send_data(self, stream_id: int, data: bytes, *, end: bool = False) -> None:
        """Queues a part of the body, or of the tunnel's bytes; ``end`` ends the response (the tunnel's side).

        ``sendable()`` says how much may be queued; an engine takes more than that, and it is the caller who must
        wait. For HEAD, 204 and 304 the engine drops the bytes.
        """

    def send_trailers(self, stream_id: int, trailers: RawHeaders) -> None:
        """Ends the response with a trailer section (without one where the protocol cannot carry it)."""

    def accept_tunnel(self, stream_id: int, headers: RawHeaders) -> None:
        """Turns the stream into a two-way byte pipe.

        HTTP/1 sends 101 (2xx to CONNECT), HTTP/2 and 3 send 200; ``BodyReceived`` and ``send_data`` carry raw
        bytes from then on.
        """

    def push(self, stream_id: int, path: bytes, headers: RawHeaders) -> RequestStarted | None:
        """Promises a response to a GET of ``path`` on the parent stream.

        Returns the promised request, to be answered like any other, or ``None`` when the client takes no (more)
        pushes. ``headers`` are the promised request's own fields, without pseudo-header fields.
        """

    def set_priority(self, stream_id: int, urgency: int, incremental: bool) -> None:
        """Sets the response's priority (RFC 9218): urgency 0 (first) to 7 (last)."""

    def sendable(self, stream_id: int) -> int:
        """How many more bytes the stream's send buffer has room for; 0 or less means wait.

        The wait ends with ``StreamWritable`` or ``StreamAborted``. For a stream that is gone it is a large number:
        nothing waits for what will never come.
        """

    def consumed(self, stream_id: int, credit: int) -> None:
        """The application has read ``credit`` bytes: the peer may send as many more."""

    def abort(self, stream_id: int, reason: AbortReason) -> None:
        """Ends the stream at once: RST_STREAM or RESET_STREAM, on HTTP/1 the connection's end."""

    def release(self, stream_id: int) -> None:
        """The exchange is over and has sent all; the engine forgets the stream when its output is out.

        What is still to come of the request's body is not wanted: it is skipped within bounds or stopped.
        """

    def begin_shutdown(self) -> None:
        """Takes no new requests and finishes what runs: GOAWAY, or HTTP/1's ``Connection: close``."""

    def terminate(self, reason: AbortReason) -> None:
        """Ends the whole connection now, with a last word (GOAWAY, CONNECTION_CLOSE) where there is one."""

    def deadline(self) -> float | None:
        """When ``handle_deadline()`` wants to be called, or ``None``. It may be called earlier."""

    def handle_deadline(self, now: float) -> list[Event]:
        """Does what is due at ``now``."""

    def is_idle(self) -> bool:
        """True while no request is under way and nothing of a response waits for the peer."""

    def is_closed(self) -> bool:
        """True once nothing more will be read, and nothing sent but what ``data_to_send`` still holds."""


class StreamEngine(HttpEngine, Protocol):
    """An engine over one ordered byte stream (TCP, TLS, a Unix socket)."""

    def receive_data(self, data: bytes, now: float) -> list[Event]:
        """Takes bytes from the peer. Never raises for what a peer can send."""

    def receive_eof(self, now: float) -> list[Event]:
        """The peer has closed its side; requests that are complete are still answered."""

    def wants_data(self) -> bool:
        """False while what was received and not read by applications fills the bounds: stop reading the socket."""

    def data_to_send(self, now: float) -> Sequence[bytes | FileRegion]:
        """The next output, in order, ``b""``-free. At most some 256 KiB a call; empty when there is none now.

        It is called only while the socket takes bytes, so what waits stays in the engine, where priorities order it.
        An engine that multiplexes ends its output with a ``StreamWritable``, and gives no more of any body until that
        was taken: the application that can go on may be the most urgent one.
        A ``FileRegion``, of any length, comes last, and only where the context says ``sends_files``.
        """


class FileEngine(StreamEngine, Protocol):
    """What an engine with ``Feature.FILES`` can do besides."""

    def send_file(self, stream_id: int, region: FileRegion) -> None:
        """Queues a part of the body, as ``send_data()`` does, that the connection takes from a file."""


@dataclass(frozen=True, slots=True)
class Path:
    """A network path as a datagram saw it. Addresses are ``(host, port)``."""

    local: tuple[str, int]
    peer: tuple[str, int]
    ecn: int = 0


class DatagramEngine(HttpEngine, Protocol):
    """An engine over one QUIC connection."""

    def receive_datagram(self, data: bytes, path: Path, now: float) -> list[Event]:
        """Takes one UDP payload. Never raises for what a peer can send."""

    def datagrams_to_send(self, now: float) -> list[tuple[bytes, Path]]:
        """The next datagrams, each with where it goes. ``[]`` when there are none now."""

    @property
    def path(self) -> Path:
        """The path in use, for the scope's ``client`` and ``server``."""

    @property
    def tls_info(self) -> dict[str, Any]:
        """The ``tls`` extension of the scope (ASGI TLS extension 0.2)."""


class DatagramEndpoint(Protocol):
    """One UDP socket's side of QUIC: which datagram belongs to which connection."""

    def accept(self, data: bytes, path: Path, now: float) -> DatagramEngine | None:
        """The connection that ``data`` belongs to, known or new; ``None`` for one that is dropped or replied to.

        The caller hands ``data`` to the engine's ``receive_datagram``; this method only routes.

        Raises:
            LimitExceeded: A new connection was refused for it.
        """

    def replies(self) -> list[tuple[bytes, Path]]:
        """Datagrams that belong to no connection: version negotiation, Retry, refusals, stateless reset."""

    def forget(self, engine: DatagramEngine) -> None:
        """The connection is over; its connection IDs are no longer routed."""

    def begin_shutdown(self) -> None:
        """Takes no new connections; ``accept`` routes to the known ones only."""


StreamEngineFactory: TypeAlias = Callable[[EngineContext], StreamEngine]


class DatagramEndpointFactory(Protocol):
    """Makes the endpoint of one UDP socket. ``cert`` and ``key`` are the paths of PEM files."""

    def __call__(self, context: EngineContext, *, cert: str, key: str) -> DatagramEndpoint: ...


# ---------------------------------------------------------------------------------------------------- runtime


class Waiter(Protocol):
    """A one-shot wake-up."""

    def wake(self) -> None:
        """Lets the waiting task go on. May be called again."""

    def wait(self) -> Awaitable[None]: ...


class Timer(Protocol):
    def cancel(self) -> object: ...


class Task(Protocol):
    def cancel(self) -> object: ...


class Runtime(Protocol):
    """The few things a connection needs of an event loop."""

    def now(self) -> float:
        """Seconds of a monotonic clock."""

    def waiter(self) -> Waiter: ...

    def spawn(self, func: Callable[[], Coroutine[Any, Any, None]]) -> Task:
        """Starts a task. ``func`` must handle its own exceptions, and the caller keep the task while it runs."""

    def call_soon(self, callback: Callable[[], object]) -> object: ...

    def call_at(self, when: float, callback: Callable[[], object]) -> Timer: ...

    async def run_sync(self, func: Callable[[], Any]) -> Any:
        """Runs a blocking function in a thread."""
