"""Every setting of the server: frozen values, one class per concern.

Rules of this module: units stand in the documentation of each field and, for times, are always seconds. Each field's
``help`` metadata is the one text from which the command line's help, the environment variables and the reference
are made. Nothing here opens a file.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, TypeAlias

from tricorn_transports.errors import ConfigError

#: What HTTP/2 can say of windows (RFC 9113 section 6.9.1); enough for whatever it says in 32 bits.
_WINDOW_MAX = (1 << 31) - 1

#: Seconds: the least that is a time at all, where no time would refuse everybody.
_MOMENT = 0.001


def setting(default: Any, help: str, *, metavar: str | None = None, least: float = 0, most: float = math.inf) -> Any:
    """A dataclass field that carries its own documentation, and the bounds of what makes sense."""
    return field(default=default, metadata={"help": help, "metavar": metavar, "least": least, "most": most})


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much a peer may ask of one worker: bytes and counts. Each breach is answered and logged once."""

    max_head_bytes: int = setting(
        65_536, "bytes of a request's head: 431, or the protocol's own error", least=1, most=_WINDOW_MAX
    )
    max_target_bytes: int = setting(16_384, "bytes of the request target: 414", least=1)
    max_fields: int = setting(128, "field lines in a head or a trailer section: 431", least=1)
    max_body_bytes: int = setting(1 << 30, "bytes of a request's body: 413")
    max_concurrent_streams: int = setting(
        100, "requests at once on one HTTP/2 or HTTP/3 connection", least=1, most=_WINDOW_MAX
    )
    max_connections: int = setting(10_000, "connections at once in one worker: 503 or a refusal", least=1)
    min_body_rate: int = setting(
        240, "bytes of a body per second of waiting for it, once body_grace is over: 408; 0 is no minimum"
    )
    min_response_rate: int = setting(
        240,
        "bytes of waiting output per second that a TCP client must take, over write_timeout: cut off; 0 is any byte",
    )
    max_pipelined_bytes: int = setting(65_536, "bytes of HTTP/1 requests held behind the one that runs")
    stream_receive_buffer: int = setting(
        262_144, "bytes of a request's body held until the application reads, at first", least=1, most=_WINDOW_MAX
    )
    connection_receive_buffer: int = setting(
        1_048_576,
        "the same for all requests of one connection; over HTTP/2 one alone grows to half of it",
        least=1,
        most=_WINDOW_MAX,
    )
    stream_send_buffer: int = setting(65_536, "bytes of a response held before send() waits", least=1)
    max_pushes: int = setting(20, "pushes under way at once on one connection")
    max_resets: int = setting(200, "streams a peer may cancel unanswered or break at once, a tenth more a second")
    max_control_frames: int = setting(
        1_000, "frames without a request's content at once, a tenth more a second", least=1
    )
    max_websocket_message_bytes: int = setting(16_777_216, "bytes of one WebSocket message: close 1009", least=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """How long the server waits for a peer or an application, in seconds."""

    handshake_timeout: float = setting(10.0, "seconds for the TLS or QUIC handshake", least=_MOMENT)
    header_timeout: float = setting(15.0, "seconds for a request's head, from its first byte: 408", least=_MOMENT)
    keep_alive_timeout: float = setting(75.0, "seconds a connection may idle between requests")
    body_timeout: float = setting(
        30.0, "seconds an application may wait for the next part of a body: 408", least=_MOMENT
    )
    body_grace: float = setting(20.0, "seconds an application waits for one body before min_body_rate counts")
    write_timeout: float = setting(60.0, "seconds a peer may take no byte of a waiting response", least=_MOMENT)
    half_close_grace: float = setting(
        3.0, "seconds that a request still runs undisturbed after its client closed its sending side"
    )
    close_timeout: float = setting(
        5.0, "seconds for the last bytes of a closing connection, and more while the peer takes them"
    )
    drain_timeout: float = setting(30.0, "seconds that running requests get after SIGTERM")
    startup_timeout: float = setting(60.0, "seconds for the application's lifespan startup", least=_MOMENT)
    shutdown_timeout: float = setting(30.0, "seconds for the application's lifespan shutdown")
    websocket_ping_interval: float = setting(20.0, "seconds of silence before a WebSocket is pinged; 0 is never")
    websocket_ping_timeout: float = setting(20.0, "seconds for the WebSocket's pong", least=_MOMENT)


@dataclass(frozen=True, slots=True)
class Bind:
    """Where to listen: an IP address and port, a Unix socket's path, or an inherited file descriptor."""

    kind: Literal["ip", "unix", "fd"]
    host: str = ""
    port: int = 0
    path: str = ""
    fd: int = -1

    @classmethod
    def parse(cls, text: str) -> Bind:
        """Reads ``127.0.0.1:8000``, ``[::1]:8000``, ``localhost:8000``, ``:8000``, ``unix:PATH`` or ``fd:N``.

        Raises:
            ConfigError: The text is none of these.
        """
        if text.startswith("unix:"):
            if not text[5:]:
                raise ConfigError(f"bind: {text!r} names no path")
            return cls("unix", path=text[5:])
        if text.startswith("fd:"):
            if not text[3:].isdecimal():
                raise ConfigError(f"bind: {text!r} needs a file descriptor's number")
            return cls("fd", fd=int(text[3:]))
        host, colon, port = text.rpartition(":")
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
        elif ":" in host and "/" not in host:
            raise ConfigError(f"bind: {text!r}: write an IPv6 address in brackets, as in [::1]:8000")
        if not colon or "/" in host or not port.isdecimal() or int(port) > 65_535:
            raise ConfigError(f"bind: {text!r} is not HOST:PORT, [IPV6]:PORT, unix:PATH or fd:N")
        return cls("ip", host=host, port=int(port))

    def __str__(self) -> str:
        if self.kind == "unix":
            return f"unix:{self.path}"
        if self.kind == "fd":
            return f"fd:{self.fd}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


Interface: TypeAlias = Literal["auto", "asgi", "wsgi"]
RuntimeName: TypeAlias = Literal["auto", "asyncio", "uvloop", "trio"]
LogLevel: TypeAlias = Literal["critical", "error", "warning", "info", "debug"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What ``serve()`` is told.

    Attributes:
        bind: Where to listen; TCP, and UDP for HTTP/3, on the same addresses.
        http: The transports to speak, by the names of ``--http``; ``None`` is all of them with TLS, else ``1.1, 2``.
        tls_cert, tls_key: Paths of PEM files; both or neither.
        root_path: Empty, or a path that begins with a slash and ends with none; one at its end is taken off.
        engines: Engine names by transport name, where not the default (``{"h1": "h11"}``).
    """

    bind: tuple[Bind, ...] = setting(
        (Bind("ip", host="127.0.0.1", port=8000),),
        "where to listen: HOST:PORT, [IPV6]:PORT, unix:PATH or fd:N; may be given several times",
        metavar="ADDRESS",
    )
    http: tuple[str, ...] | None = setting(
        None, "protocols to speak, any of 1.1,2,3; all of them with TLS, 1.1,2 without", metavar="VERSIONS"
    )
    tls_cert: str | None = setting(None, "PEM file of the certificate and its chain", metavar="FILE")
    tls_key: str | None = setting(None, "PEM file of the certificate's private key", metavar="FILE")
    engines: Mapping[str, str] = field(
        default_factory=dict,
        metadata={
            "help": "another engine for a transport (see `tricorn transports`); may be given several times",
            "metavar": "TRANSPORT=ENGINE",
            "name": "engine",
        },
    )
    verify_authority: bool = setting(
        True, "answer 421 to requests over TLS for a host that the certificate does not name"
    )
    h2c_upgrade: bool = setting(False, "let HTTP/1.1 clients in clear switch to HTTP/2 by Upgrade: h2c")
    # RUF009 takes setting() for a shared default where it does not know the type; it is a field of its own each time.
    interface: Interface = setting("auto", "what the application is; auto: by its signature")  # noqa: RUF009
    runtime: RuntimeName = setting("auto", "the event loop; auto: uvloop if installed, else asyncio")  # noqa: RUF009
    workers: int = setting(1, "processes that serve")
    access_log: bool = setting(True, "log every request")
    log_level: LogLevel = setting("info", "the least severe messages to log")  # noqa: RUF009
    root_path: str = setting("", "path under which a proxy has mounted the application", metavar="PATH")
    limits: Limits = field(default_factory=Limits)
    timeouts: Timeouts = field(default_factory=Timeouts)

    def __post_init__(self) -> None:
        if (self.tls_cert is None) != (self.tls_key is None):
            missing = "tls_key" if self.tls_key is None else "tls_cert"
            raise ConfigError(f"{missing}: a certificate and its key go together")
        if not self.bind:
            raise ConfigError("bind: no address to listen on")
        given = [bind for bind in self.bind if bind.kind == "fd"]
        if twice := next((bind for bind in given if given.count(bind) > 1), None):
            raise ConfigError(f"bind: {twice} is given twice")
        if self.root_path:
            if self.root_path[0] != "/":
                raise ConfigError(f"root_path: {self.root_path!r} does not begin with /")
            object.__setattr__(self, "root_path", self.root_path.rstrip("/"))  # what follows it begins with one
        if self.workers < 1:
            raise ConfigError(f"workers: {self.workers} is not 1 or more")
        for group in (self.limits, self.timeouts):
            for each in fields(group):
                value, least, most = getattr(group, each.name), each.metadata["least"], each.metadata["most"]
                if value < least:
                    raise ConfigError(f"{each.name}: {value} is not {least} or more")
                if value > most:
                    raise ConfigError(f"{each.name}: {value} is more than {most}")

    @property
    def tls(self) -> bool:
        """Whether a certificate was given."""
        return self.tls_cert is not None
