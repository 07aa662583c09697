"""Where the server's own log lines go: standard error, in a plain form or in a developer's.

Rules of this module: the root logger is the application's and stays untouched; only the logger ``tricorn`` (above
``tricorn.server``, ``tricorn.error`` and ``tricorn.access``) gets a level and a handler, and no handler where the
host application has configured one already. A line of text from outside never reaches rich's markup.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

#: The parent of ``tricorn.server``, ``tricorn.error`` and ``tricorn.access``.
LOGGER_NAME = "tricorn"

LEVELS = {
    "critical": logging.CRITICAL,
    "error": logging.ERROR,
    "warning": logging.WARNING,
    "info": logging.INFO,
    "debug": logging.DEBUG,
}


def configure(level: str = "info", dev: bool = False) -> None:
    """Sets the level of the server's loggers and, where nobody else has, sends them to standard error.

    Args:
        level: A name of ``LEVELS``.
        dev: Columns and colours for a person (with rich, from the extra ``dev``), instead of plain lines with date
            and process number.
    """
    logger = logging.getLogger(LOGGER_NAME)
    logger.setLevel(LEVELS[level])
    if logger.hasHandlers():
        return
    logger.propagate = False
    logger.addHandler(_dev_handler() if dev else _plain_handler())


def _plain_handler() -> logging.Handler:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(PlainFormatter())
    return handler


def _dev_handler() -> logging.Handler:
    try:
        from rich.console import Console
    except ImportError:
        return _plain_handler()
    # Without a terminal (a pipe, a file) the lines must not be cut or wrapped at 80 columns.
    return ConsoleHandler(Console(stderr=True, soft_wrap=True, highlight=False))


class PlainFormatter(logging.Formatter):
    """``2025-01-31 12:00:00 [4711] INFO message``, the date formatted once a second."""

    def __init__(self) -> None:
        super().__init__()
        self._second = -1
        self._date = ""

    def format(self, record: logging.LogRecord) -> str:
        second = int(record.created)
        if second != self._second:
            self._date = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(second))
            self._second = second
        line = f"{self._date} [{record.process}] {record.levelname} {record.getMessage()}"
        if record.exc_info:
            line = f"{line}\n{self.formatException(record.exc_info)}"
        return line


class ConsoleHandler(logging.Handler):
    """Access records as columns, with status and protocol in colour; everything else as a line."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        try:
            fields = record.__dict__
            if "http_version" in fields:
                self._access(record)
            else:
                self._line(record)
        except Exception:  # noqa: BLE001  # the handler's contract: logging decides what its own failures do
            self.handleError(record)

    def _access(self, record: logging.LogRecord) -> None:
        from rich.text import Text

        fields = record.__dict__
        status, version = fields["status"], str(fields["http_version"])
        self._console.print(
            Text.assemble(
                (time.strftime("%H:%M:%S ", time.localtime(record.created)), "dim"),
                (
                    f"h{version.removesuffix('.0'):<4}" if version in ("2", "3") else "h1   ",
                    _PROTOCOL_STYLE.get(version, ""),
                ),
                (f"{status or '---'} ", _status_style(status)),
                (f"{duration_text(fields['duration']):>8} ", "dim"),
                (f"{size_text(fields['size']):>9}  ", "dim"),
                (f"{fields['method']:<7} ", "bold"),
                fields["target"],
            )
        )

    def _line(self, record: logging.LogRecord) -> None:
        from rich.text import Text

        self._console.print(
            Text.assemble(
                (time.strftime("%H:%M:%S ", time.localtime(record.created)), "dim"),
                (
                    f"{record.levelname.lower()}: " if record.levelno != logging.INFO else "",
                    _level_style(record.levelno),
                ),
                record.getMessage(),
            )
        )
        if record.exc_info and record.exc_info[0] is not None and record.exc_info[1] is not None:
            from rich.traceback import Traceback

            kind, error, trace = record.exc_info
            self._console.print(Traceback.from_exception(kind, error, trace, suppress=[os.path.dirname(__file__)]))


_PROTOCOL_STYLE = {"1.0": "yellow", "1.1": "yellow", "2": "cyan", "3": "magenta"}


def _status_style(status: int) -> str:
    if status < 200:
        return "dim"
    return ("", "", "green", "blue", "yellow", "bold red")[min(status // 100, 5)]


def _level_style(level: int) -> str:
    return "bold red" if level >= logging.ERROR else "yellow" if level >= logging.WARNING else "dim"


def duration_text(seconds: float) -> str:
    """``0.4ms``, ``12ms``, ``3.2s``."""
    if seconds >= 1:
        return f"{seconds:.1f}s"
    return f"{seconds * 1000:.1f}ms" if seconds < 0.01 else f"{seconds * 1000:.0f}ms"


def size_text(size: int) -> str:
    """``13 B``, ``4.5 KiB``, ``1.2 MiB``."""
    if size < 1024:
        return f"{size} B"
    return f"{size / 1024:.1f} KiB" if size < 1 << 20 else f"{size / (1 << 20):.1f} MiB"
