"""The command ``tricorn``: serving an application, developing it, and what other packages add.

Rules of this module: every failure that an operator can mend is one line on standard error and an exit status, 2 for
what was asked for wrongly and 1 for what failed to start. What a command needs is imported when it runs, because the
time from the command to the first answer counts. Commands that need the framework come by entry point.
"""

from __future__ import annotations

import argparse
import logging
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points, version
from pathlib import Path
from typing import Any, NoReturn, Protocol

from tricorn_transports import logs
from tricorn_transports.config import Bind, Config, Timeouts
from tricorn_transports.errors import ConfigError, TransportError
from tricorn_transports.settings import add_arguments, from_arguments, resolve
from tricorn_transports.sockets import BoundSocket

ENTRY_POINT_GROUP = "tricorn.commands"

_log = logging.getLogger("tricorn.server")

_APP_HELP = "the application: MODULE:ATTRIBUTE, or MODULE:FACTORY()"

_SOURCES = (
    "Each setting can also be given in the environment (TRICORN_DRAIN_TIMEOUT) and under [tool.tricorn] in "
    "pyproject.toml (drain_timeout). A flag beats the environment, which beats the file."
)


#: What flags of uvicorn, hypercorn and gunicorn are here.
_ELSEWHERE = {
    **dict.fromkeys(("--host", "--port"), "--bind HOST:PORT"),
    "-b": "--bind",
    "--uds": "--bind unix:PATH",
    "--fd": "--bind fd:N",
    "-w": "--workers",
    **dict.fromkeys(("-k", "--worker-class", "--loop"), "--runtime"),
    "--reload": "`tricorn dev`",
    "--factory": "MODULE:FACTORY()",
    **dict.fromkeys(("--certfile", "--ssl-certfile"), "--tls-cert"),
    **dict.fromkeys(("--keyfile", "--ssl-keyfile"), "--tls-key"),
    **dict.fromkeys(("--graceful-timeout", "--timeout-graceful-shutdown"), "--drain-timeout"),
    **dict.fromkeys(("--keep-alive", "--timeout-keep-alive"), "--keep-alive-timeout"),
    "--limit-concurrency": "--max-connections",
}


class Command(Protocol):
    """What an entry point in the group ``tricorn.commands`` names. ``run`` returns the exit status."""

    @property
    def name(self) -> str: ...
    @property
    def help(self) -> str: ...
    def configure(self, parser: argparse.ArgumentParser) -> None: ...
    def run(self, args: argparse.Namespace) -> int: ...


class _Parser(argparse.ArgumentParser):
    """Knows no abbreviations, which would change their meaning with every new flag, and errs in one line."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}; see {self.prog} --help")

    def refuse(self, arguments: Sequence[str]) -> NoReturn:
        """Says what is wrong with arguments that nobody knows."""
        flag = next((each.partition("=")[0] for each in arguments if each.startswith("-")), "")
        near = get_close_matches(flag, re.findall(r"--[a-z][a-z0-9-]+", self.format_help()), n=1)
        hint = f", did you mean {near[0]}?" if near else ""
        if flag in _ELSEWHERE:
            hint = f", here it is {_ELSEWHERE[flag]}"
        self.error(f"there is no flag {flag}{hint}" if flag else f"{arguments[0]!r} is one argument too many")


@dataclass(frozen=True, slots=True)
class _BuiltIn:
    name: str
    help: str
    configure: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit status."""
    _hold_standard_streams()
    argv = list(sys.argv[1:] if argv is None else argv)
    try:
        commands = _commands(argv)
        args, unknown = _parser(commands).parse_known_args(argv)
        if unknown:
            args.command_parser.refuse(unknown)
        status = commands[args.command].run(args)
        if sys.stdout is not None:  # closed when the process began
            sys.stdout.flush()
        return status
    except TransportError as error:
        print(f"tricorn: {error}", file=sys.stderr)
        return _exit_status(error)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever reads has read enough (`| head`); what the interpreter flushes at its end must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def _hold_standard_streams() -> None:
    """A socket that got the number of a closed standard stream would be sent what some library prints."""
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free


def _exit_status(error: TransportError) -> int:
    # A TransportNotFound is a LookupError: an engine or protocol that was asked for and is not there.
    return 2 if isinstance(error, (ConfigError, LookupError)) else 1


def _commands(argv: Sequence[str]) -> Mapping[str, Command]:
    """All commands; those of other packages only when one is asked for, or the overview."""
    found: dict[str, Command] = {command.name: command for command in _BUILT_IN}
    if any(argument in found for argument in argv[:1]):
        return found
    points = [point for point in entry_points(group=ENTRY_POINT_GROUP) if point.name not in found]
    wanted = [point for point in points if point.name in argv[:1]]
    for point in wanted or points:
        if command := _load(point, is_wanted=bool(wanted)):
            found[point.name] = command
    return found


def _load(point: EntryPoint, *, is_wanted: bool) -> Command | None:
    try:
        command: Command = point.load()
    except Exception as error:  # it is the code of another package
        if is_wanted:
            raise ConfigError(f"the command {point.name!r} cannot be loaded: {error}") from error
        print(f"tricorn: the command {point.name!r} cannot be loaded: {error}", file=sys.stderr)
        return None
    return command


def _parser(commands: Mapping[str, Command]) -> _Parser:
    parser = _Parser(prog="tricorn", description="Serves one application over HTTP/1.1, HTTP/2 and HTTP/3.")
    parser.add_argument("--version", action="version", version=f"tricorn {version('tricorn')}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in commands.items():
        subparser = subparsers.add_parser(name, help=command.help, description=command.help)
        subparser.set_defaults(command_parser=subparser)
        command.configure(subparser)
    return parser


# ---------------------------------------------------------------------------------------------------- run


def _configure_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("app", metavar="APP", help=_APP_HELP)
    parser.epilog = _SOURCES
    add_arguments(parser)


def _run(args: argparse.Namespace) -> int:
    config = _settle(args, Config())
    logs.configure(config.log_level)
    from tricorn_transports.server import announce, run
    from tricorn_transports.signals import ignore_stop_signals

    if config.workers > 1:
        from tricorn_transports.supervisor.pool import supervise

        supervise(args.app, config, lambda sockets: announce(args.app, config, sockets))
        ignore_stop_signals()
        return 0
    from tricorn_transports.loading import load_app
    from tricorn_transports.supervisor.worker import end_despite_threads

    app = load_app(args.app, config.interface)
    run(app, config, on_ready=lambda sockets: announce(args.app, config, sockets))
    ignore_stop_signals()
    end_despite_threads(0)
    return 0


def _settle(args: argparse.Namespace, defaults: Config) -> Config:
    return resolve(from_arguments(args), os.environ, Path("pyproject.toml"), defaults)


# ---------------------------------------------------------------------------------------------------- dev


_DEV_DEFAULTS = Config(
    bind=(Bind("ip", host="localhost", port=8443),),
    # Whoever presses Ctrl-C or saves a file does not want to wait for an open event stream.
    timeouts=Timeouts(drain_timeout=0.5, close_timeout=0.5, shutdown_timeout=5.0),
    verify_authority=False,  # a telephone in the same room calls this machine by an address of its own
)


def _configure_dev(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("app", metavar="APP", help=_APP_HELP)
    parser.add_argument(
        "--watch",
        metavar="DIR",
        action="append",
        type=Path,
        help="restart when code or templates below DIR change; may be given several times (default: .)",
    )
    parser.add_argument("--no-reload", action="store_true", help="do not restart when files change")
    parser.epilog = f"Listens on https://localhost:8443 unless told otherwise, with one worker. {_SOURCES}"
    add_arguments(parser)


def _dev(args: argparse.Namespace) -> int:
    from tricorn_transports.dev.reload import serve
    from tricorn_transports.server import announce

    config = _settle(args, _DEV_DEFAULTS)
    logs.configure(config.log_level, dev=True)
    notes: list[str] = []
    if not config.tls:
        config, notes = _with_dev_certificate(config)
    # One process is easier to follow, in the log as in a debugger.
    config = replace(config, workers=1)

    def ready(sockets: Sequence[BoundSocket]) -> None:
        announce(args.app, config, sockets)
        for note in notes:
            _log.info("%s", note)

    serve(args.app, config, watch=() if args.no_reload else args.watch or [Path()], on_ready=ready)
    return 0


def _with_dev_certificate(config: Config) -> tuple[Config, list[str]]:
    from tricorn_transports.dev.certificate import default_directory, ensure_certificate

    certificate = ensure_certificate(default_directory(), [bind.host for bind in config.bind])
    authority = os.path.relpath(certificate.authority)
    notes = [f"browsers trust it once {authority} is among their authorities; curl takes --cacert {authority}"]
    if certificate.is_new_authority:
        notes.insert(0, f"made a certificate for this machine in {os.path.relpath(certificate.cert.parent)}")
    return replace(config, tls_cert=str(certificate.cert), tls_key=str(certificate.key)), notes


# ---------------------------------------------------------------------------------------------------- transports


def _configure_transports(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "The engine with a star is the default; `run --engine TRANSPORT=ENGINE` takes another."


def _transports(args: argparse.Namespace) -> int:
    from tricorn_transports.registry import transports

    rows = [("TRANSPORT", "HTTP", "KIND", "ALPN", "ENGINES", "FEATURES")]
    for spec in transports().values():
        engines = [f"{name}*" if name == spec.default_engine else name for name in sorted(spec.engines)]
        rows.append(
            (spec.name, spec.version, spec.kind, ",".join(spec.alpn), ",".join(engines), ", ".join(spec.features))
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    return 0


_BUILT_IN: tuple[Command, ...] = (
    _BuiltIn("run", "serve an application", _configure_run, _run),
    _BuiltIn("dev", "serve an application while it is written: https, restarts, a readable log", _configure_dev, _dev),
    _BuiltIn("transports", "list the transports and their engines", _configure_transports, _transports),
)
