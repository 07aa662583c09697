"""One worker: an application, its sockets, and a runtime, from startup to drained.

The order of a worker's life: the transports are chosen and the certificate read, the application starts (lifespan), the
sockets are served, a signal begins the drain (nothing new is accepted, HTTP/2 and 3 say GOAWAY, HTTP/1 says
``Connection: close``), what runs is finished within ``drain_timeout``, and the application stops.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec

from tricorn_transports.abc import ASGIApp, EngineContext
from tricorn_transports.accesslog import AccessLog
from tricorn_transports.certificates import ServedNames
from tricorn_transports.config import Bind, Config
from tricorn_transports.connection.base import Alarm, Connection
from tricorn_transports.connection.select import alpn_protocols
from tricorn_transports.connection.tcp import Listener, TcpConnection
from tricorn_transports.connection.udp import UdpSocket
from tricorn_transports.errors import ConfigError, TransportError
from tricorn_transports.events import AbortReason
from tricorn_transports.exchange.head import current_date
from tricorn_transports.exchange.host import Worker, log
from tricorn_transports.exchange.lifespan import Lifespan, StartupFailed
from tricorn_transports.registry import TransportSpec, choose, transports
from tricorn_transports.runtime.base import ServerRuntime, is_asyncio
from tricorn_transports.runtime.deadlines import Deadlines
from tricorn_transports.signals import STOP_SIGNALS, EchoFilter
from tricorn_transports.sockets import BoundSocket, bind_sockets, close_sockets
from tricorn_transports.tls import TlsContext

__all__ = ["Server", "StartupFailed", "run", "serve"]

# How often a drain looks whether everything has ended. Nobody waits for the exact moment.
_DRAIN_POLL = 0.05
# How long an idle connection may take to answer a goodbye, in seconds, before it is closed without.
_GOODBYE_TIME = 1.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What a configuration comes to: checked, loaded, and ready to be served.

    Attributes:
        tcp: The transports of TCP sockets, in the order of ``--http``.
        udp: The transport of UDP sockets, if one was chosen.
    """

    tcp: tuple[TransportSpec, ...]
    udp: TransportSpec | None
    tls: TlsContext | None

    @classmethod
    def of(cls, config: Config) -> Plan:
        """Chooses transports and reads the certificate.

        Raises:
            ConfigError: They do not fit together, or a file is wrong.
            TransportNotFound: A transport or engine is not registered.
        """
        available = transports()
        versions = config.http or (("1.1", "2", "3") if config.tls else ("1.1", "2"))
        specs = choose(versions, available)
        unknown = set(config.engines) - set(available)
        if unknown:
            raise ConfigError(f"engine: {unknown.pop()!r} is no transport (there are: {', '.join(available)})")
        for spec in specs:
            spec.create(config.engines.get(spec.name))
        tcp = tuple(spec for spec in specs if spec.kind == "tcp")
        udp = next((spec for spec in specs if spec.kind == "udp"), None)
        if udp is not None and not config.tls:
            raise ConfigError(f"http: HTTP/{udp.version} needs TLS; give tls_cert and tls_key")
        tls = None
        if (
            config.tls_cert is not None and config.tls_key is not None
        ):  # for UDP alone as well: what is wrong is told now
            tls = TlsContext.load(config.tls_cert, config.tls_key, alpn_protocols(tcp))
        return cls(tcp, udp, tls)

    @property
    def kinds(self) -> set[str]:
        """Which kinds of socket are wanted: ``tcp``, ``udp`` or both."""
        return {kind for kind, wanted in (("tcp", self.tcp), ("udp", self.udp)) if wanted}


class Server:
    """Serves one application on one runtime.

    Args:
        sockets: Listening sockets that the caller binds and closes; without them the server binds its own.
    """

    def __init__(
        self,
        app: ASGIApp,
        config: Config,
        runtime: ServerRuntime,
        *,
        sockets: Sequence[BoundSocket] | None = None,
    ) -> None:
        self._config = config
        self._runtime = runtime
        self._given_sockets = sockets
        self._plan = Plan.of(config)
        self._deadlines = Deadlines(runtime)
        self._connections: set[TcpConnection] = set()
        self._udp: list[UdpSocket] = []
        self._stop_asked = 0
        self._stopped = runtime.waiter()
        access_log = AccessLog()
        self._worker = Worker(
            app=app,
            limits=config.limits,
            timeouts=config.timeouts,
            runtime=runtime,
            root_path=config.root_path,
            access_log=access_log.write if config.access_log and access_log.enabled else None,
            names=ServedNames.load(config.tls_cert) if config.tls_cert and config.verify_authority else None,
        )
        self._lifespan = Lifespan(app, runtime, self._worker.state)
        self._has_started = False

    def stop(self) -> None:
        """Begins the drain; called again, or while the application still starts, ends everything at once."""
        self._stop_asked += 1
        self._stopped.wake()
        if self._stop_asked == 2:
            log.info("stopping at once")
        if self._stop_asked == 2 or not self._has_started:
            self._lifespan.abandon()

    async def serve(self, on_ready: Callable[[Sequence[BoundSocket]], None] | None = None) -> None:
        """Serves until ``stop``.

        Args:
            on_ready: Called once, with the sockets, when the server answers.

        Raises:
            ConfigError: A socket cannot be bound.
            StartupFailed: The application's startup failed.
        """
        config = self._config
        sockets = self._given_sockets
        if sockets is None:
            sockets = bind_sockets(config, self._plan.kinds)
        lifespan, timeouts = self._lifespan, config.timeouts
        try:
            await lifespan.startup(timeouts.startup_timeout)
            self._has_started = True
            if self._stop_asked:
                log.info("stopped before the application had started")
                return
            try:
                await self._listen(sockets)
            except TransportError:
                await lifespan.shutdown(timeouts.shutdown_timeout)  # what it opened, it may close
                raise
            if on_ready is not None:
                on_ready(sockets)
            await self._stopped.wait()
            await self._drain()
            await lifespan.shutdown(timeouts.shutdown_timeout)
        except BaseException:  # cancelled, or failed: nothing of it outlives this call
            lifespan.abandon()
            self._end_all()
            raise
        finally:
            self._runtime.close()
            self._deadlines.close()
            if self._given_sockets is None:
                close_sockets(sockets)

    async def _listen(self, sockets: Sequence[BoundSocket]) -> None:
        config, plan, worker = self._config, self._plan, self._worker
        listener = Listener(
            worker=worker,
            specs=plan.tcp,
            factories={spec.name: spec.create(config.engines.get(spec.name)) for spec in plan.tcp},
            tls=plan.tls,
            connections=self._connections,
            make_alarm=self._make_alarm,
            h2c_upgrade=config.h2c_upgrade,
        )
        for bound in sockets:
            if bound.kind == "tcp" and plan.tcp:
                await self._runtime.listen(bound.sock, replace(listener, alt_svc=self._alt_svc(bound, sockets)))
            elif bound.kind == "udp" and plan.udp is not None:
                self._serve_udp(bound, plan.udp)

    def _alt_svc(self, bound: BoundSocket, sockets: Sequence[BoundSocket]) -> bytes | None:
        """Where clients of one TCP socket find HTTP/3 (RFC 7838): at the same address, on its own port if possible."""
        ports = [other.bind.port for other in sockets if other.kind == "udp" and other.bind.host == bound.bind.host]
        if self._plan.udp is None or not ports:
            return None
        port = bound.bind.port if bound.bind.port in ports else ports[0]
        return f'{self._plan.udp.alpn[0]}=":{port}"; ma=86400'.encode("ascii")

    def _serve_udp(self, bound: BoundSocket, spec: TransportSpec) -> None:
        config, worker = self._config, self._worker
        context = EngineContext(config.limits, config.timeouts, b"https", self._runtime.now(), date=current_date)
        create = spec.create(config.engines.get(spec.name))
        endpoint = create(context, cert=config.tls_cert, key=config.tls_key)
        self._udp.append(
            self._runtime.read_datagrams(
                bound.sock,
                lambda want_write: UdpSocket(worker, bound.sock, endpoint, self._make_alarm, want_write),
            )
        )

    def _make_alarm(self, connection: Connection) -> Alarm:
        return self._deadlines.alarm(connection)

    async def _drain(self) -> None:
        worker, runtime = self._worker, self._runtime
        worker.draining = True
        runtime.stop_listening()
        for connection in list(self._connections):
            connection.begin_shutdown()
        for udp in self._udp:
            udp.begin_shutdown()
        begun = runtime.now()
        while self._is_busy() and self._stop_asked < 2:
            waited = runtime.now() - begun
            if waited >= self._config.timeouts.drain_timeout:
                break
            if waited >= _GOODBYE_TIME and not worker.running:
                # Some clients read nothing while they have nothing to ask: they would never hear the goodbye.
                self._terminate(lambda connection: connection.is_idle())
            await runtime.sleep(_DRAIN_POLL)
        if worker.running:
            log.warning("%d requests were cut off (drain_timeout)", len(worker.running))
        self._end_all()
        # Their `finally` blocks still use what the application's shutdown is about to close.
        end = runtime.now() + self._config.timeouts.close_timeout
        await runtime.sleep(0)
        while worker.running and runtime.now() < end and self._stop_asked < 2:
            await runtime.sleep(_DRAIN_POLL)

    def _end_all(self) -> None:
        self._terminate(lambda connection: True)
        for exchange in list(self._worker.running):
            if exchange.task is not None:
                exchange.task.cancel()

    def _all_connections(self) -> list[Connection]:
        return [*self._connections, *(connection for udp in self._udp for connection in udp.connections.values())]

    def _terminate(self, wanted: Callable[[Connection], bool]) -> None:
        for connection in filter(wanted, self._all_connections()):
            connection.terminate(AbortReason.NO_ERROR)

    def _is_busy(self) -> bool:
        return bool(self._worker.running or self._all_connections())


def announce(app: str, config: Config, sockets: Sequence[BoundSocket]) -> None:
    """Logs where the server listens and what it speaks there.

    Args:
        app: What the log shall call the application.
    """
    plan = Plan.of(config)
    spoken: dict[Bind, list[str]] = {}
    for bound in sockets:
        specs = plan.tcp if bound.kind == "tcp" else (plan.udp,) if plan.udp is not None else ()
        spoken.setdefault(bound.bind, []).extend(f"HTTP/{spec.version}" for spec in specs)
    workers = f" with {config.workers} workers" if config.workers > 1 else ""
    for bind, versions in spoken.items():
        where = str(bind) if bind.kind == "unix" else f"{'https' if config.tls else 'http'}://{bind}"
        log.info("serving %s on %s (%s)%s", app, where, ", ".join(versions), workers)


def choose_runtime(config: Config) -> str:
    """The runtime's name: uvloop where it is installed, unless the configuration says another.

    Raises:
        ConfigError: The configured one is not installed.
    """
    name = config.runtime
    if name == "auto":
        return "uvloop" if find_spec("uvloop") else "asyncio"
    if name != "asyncio" and find_spec(name) is None:
        extra = "fast" if name == "uvloop" else "trio"
        raise ConfigError(f'runtime: {name} is not installed; pip install "tricorn[{extra}]"')
    return name


async def serve(
    app: ASGIApp,
    config: Config,
    *,
    sockets: Sequence[BoundSocket] | None = None,
    on_ready: Callable[[Sequence[BoundSocket]], None] | None = None,
    shutdown_trigger: Callable[[], Awaitable[object]] | None = None,
) -> None:
    """Serves ``app`` on the running loop (asyncio, uvloop or trio), beside whatever else runs there.

    Signals are left to the caller. Cancelled, it cuts off what runs and the application's lifespan with it.

    Args:
        sockets, on_ready: As for ``run``.
        shutdown_trigger: Begins the drain when it returns; without it only cancelling ends the server.

    Raises:
        ConfigError: A setting is wrong, a file unreadable, an address taken.
        StartupFailed: The application's startup failed.
    """

    async def main(runtime: ServerRuntime) -> None:
        server = Server(app, config, runtime, sockets=sockets)

        async def wait() -> None:
            assert shutdown_trigger is not None
            try:
                await shutdown_trigger()
            finally:
                server.stop()

        waiting = runtime.spawn(wait) if shutdown_trigger is not None else None
        try:
            await server.serve(on_ready)
        finally:
            if waiting is not None:
                waiting.cancel()

    if is_asyncio():
        from tricorn_transports.runtime.asyncio import run_here as run_on_asyncio

        await run_on_asyncio(main)
    else:
        from tricorn_transports.runtime.anyio import run_here as run_on_anyio

        await run_on_anyio(main, "trio")


def run(
    app: ASGIApp,
    config: Config,
    *,
    sockets: Sequence[BoundSocket] | None = None,
    on_ready: Callable[[Sequence[BoundSocket]], None] | None = None,
) -> None:
    """Serves ``app`` in this process until SIGTERM or SIGINT has drained it; a second signal ends it at once.

    In another thread than the main one no signal is heard.

    Args:
        sockets: Listening sockets of the caller's; without them the server binds what ``config`` says.
        on_ready: Called once, with the sockets, when the server answers.

    Raises:
        ConfigError: A setting is wrong, a file unreadable, an address taken.
        StartupFailed: The application's startup failed.
    """
    name = choose_runtime(config)
    hears_signals = threading.current_thread() is threading.main_thread()

    async def main(runtime: ServerRuntime) -> None:
        server = Server(app, config, runtime, sockets=sockets)
        echoes = EchoFilter()

        def signalled(_: int) -> None:
            if not echoes.is_echo(runtime.now()):
                server.stop()

        if hears_signals:
            runtime.on_signals(STOP_SIGNALS, signalled)
        try:
            await server.serve(on_ready)
        finally:
            if hears_signals:
                runtime.ignore_signals(STOP_SIGNALS)

    before = {number: signal.getsignal(number) or signal.SIG_DFL for number in STOP_SIGNALS}
    try:
        if name == "trio":
            from tricorn_transports.runtime.anyio import run as run_anyio

            run_anyio(main, "trio")
        else:
            from tricorn_transports.runtime.asyncio import run as run_asyncio

            run_asyncio(main, uvloop=name == "uvloop")
    finally:
        if hears_signals:
            for number, handler in before.items():
                signal.signal(number, handler)
