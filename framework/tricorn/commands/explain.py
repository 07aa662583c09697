"""``tricorn explain module:app /path``: how browsers and shared caches will treat a response.

Rules of this module: it reads the command line and prints. Whatever goes wrong is one line on standard error: what the
application logs while it is asked is kept from the terminal, and only the failure that it names is told. What the
analysis needs is imported when the command runs.
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tricorn.explain import Asked, Explanation, Observed
    from tricorn.types import ASGIApp

_STYLES: Final = {"title": "bold", "label": "cyan", "warning": "yellow"}


class ExplainCommand:
    """``tricorn explain``."""

    name = "explain"
    help = "say how browsers and shared caches will treat a response"

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Declares the command's arguments."""
        parser.add_argument("app", metavar="APP", help="the application: MODULE:ATTRIBUTE, or MODULE:FACTORY()")
        parser.add_argument("path", metavar="PATH", help="what to ask it for: /path?query, or a whole URL")
        parser.add_argument(
            "-H", "--header", metavar="'NAME: VALUE'", action="append", default=[], help="a field of the request"
        )
        parser.add_argument("-X", "--method", default="GET", help="the request's method (default: GET)")
        parser.add_argument("--json", action="store_true", help="print the facts as JSON")
        parser.add_argument("--strict", action="store_true", help="exit with 1 if there are warnings")
        parser.add_argument(
            "--interface",
            choices=("auto", "asgi", "wsgi"),
            default="auto",
            help="what the application is, where its signature would not tell",
        )
        parser.epilog = (
            "The application is started, asked in this process without a server, and shut down. A GET or HEAD is sent "
            "several times (again, conditional, for a range); any other method once."
        )

    def run(self, args: argparse.Namespace) -> int:
        """Prints the explanation. Returns 1 if the application fails, and with ``--strict`` if there are warnings.

        Raises:
            ConfigError: The application cannot be loaded, or the request cannot be sent.
        """
        from tricorn.explain import explain
        from tricorn_transports.loading import load_app

        asked = _asked(args.method, args.path, args.header)
        with _logged_failures() as failures:
            app = load_app(args.app, args.interface)
            try:
                seen = _observe(app, asked)
            except (Exception, SystemExit) as error:  # noqa: BLE001  # whatever the application's own code raises
                print(f"tricorn: {_failed(asked, error, failures)}", file=sys.stderr)
                return 1
            if seen.answer.status >= 500 and failures:  # a framework that answers its handlers' failures itself
                print(f"tricorn: {_failed(asked, failures[0], failures)}", file=sys.stderr)
                return 1
        facts = explain(seen)
        if args.json:
            print(json.dumps(facts.to_json(), indent=2))
        else:
            _print(facts)
        return 1 if args.strict and facts.warnings else 0


def _asked(method: str, target: str, headers: list[str]) -> Asked:
    """The request; a browser's usual fields are added where they are not given."""
    from tricorn.explain import Asked
    from tricorn.explain.observe import BASE_URL
    from tricorn.headers import MutableHeaders
    from tricorn.testing.scope import Target
    from tricorn_transports.errors import ConfigError
    from tricorn_transports.http.fields import is_token

    if not is_token(method):
        raise ConfigError(f"-X: {method!r} is not a method")
    if not target.startswith(("/", "http://", "https://")) and target != "*":
        raise ConfigError(f"path: {target!r} is neither a path that begins with / nor an http URL")
    try:
        Target.resolve(target, Target.resolve(BASE_URL, None))
    except ValueError as error:
        raise ConfigError(f"path: {error}") from error
    fields = MutableHeaders()
    for header in headers:
        name, colon, value = header.partition(":")
        try:
            fields.add(name if colon else header, value)
        except ValueError as error:
            raise ConfigError(f"-H: {header!r} is not 'NAME: VALUE': {error}") from error
        if not colon:
            raise ConfigError(f"-H: {header!r} is not 'NAME: VALUE': there is no colon")
    fields.setdefault("user-agent", "tricorn-explain")
    fields.setdefault("accept", "*/*")
    return Asked(method.upper(), target, fields)


def _observe(app: ASGIApp, asked: Asked) -> Observed:
    import anyio

    from tricorn.explain import observe

    return anyio.run(observe, app, asked)


@contextmanager
def _logged_failures() -> Iterator[list[BaseException]]:
    """Takes what is logged from the terminal; gives the exceptions among it.

    Flask and Django log their handlers' exceptions, with handlers of their own, and answer 500, so that nothing is
    raised. So the records themselves are made too unimportant for any handler.
    """
    make = logging.getLogRecordFactory()
    errors: list[BaseException] = []

    def demoted(*args: object, **kwargs: object) -> logging.LogRecord:
        record = make(*args, **kwargs)
        if record.levelno >= logging.ERROR and record.exc_info and record.exc_info[1] is not None:
            errors.append(record.exc_info[1])
        record.levelno = logging.NOTSET - 1
        return record

    logging.setLogRecordFactory(demoted)
    try:
        yield errors
    finally:
        logging.setLogRecordFactory(make)


def _failed(asked: Asked, error: BaseException, logged: list[BaseException]) -> str:
    """One line about an application that failed, with the place in its own code if there is one."""
    from tricorn.lifespan import LifespanFailed
    from tricorn_transports.loading import where_raised

    where = where_raised(error, own_only=True)
    while isinstance(error, BaseExceptionGroup):  # of tasks: the first that has failed says more
        error = error.exceptions[0]
        where = where_raised(error, own_only=True) or where
    message = " ".join(str(error).split())
    if isinstance(error, LifespanFailed):
        where = where_raised(logged[0], own_only=True) if logged else ""
        return f"explain: the application's lifespan failed: {message}{where}"
    what = f"{type(error).__name__}: {message}" if message else type(error).__name__
    return f"explain: {asked.method} {asked.target} failed: {what}{where}"


def _print(facts: Explanation) -> None:
    """Prints the report; in colour on a terminal, if rich (from the extra ``dev``) is there."""
    from tricorn.explain.report import lines

    is_terminal = sys.stdout.isatty()
    width = min(shutil.get_terminal_size((80, 24)).columns, 100) if is_terminal else 80
    report = list(lines(facts, width))
    if is_terminal:
        try:
            from rich.console import Console
            from rich.text import Text
        except ImportError:
            pass
        else:
            console = Console(highlight=False, soft_wrap=True)
            for line in report:
                console.print(Text.assemble((line.head, _STYLES[line.style]), line.rest))  # text, and never markup
            return
    for line in report:
        print(line)


command: ExplainCommand = ExplainCommand()
