"""One line for each answered request, on the logger ``tricorn.access``.

Rules of this module: it runs once a request, so whether anybody listens is asked once, and the record is made without
the stack walk of ``Logger.info``. Nothing a client sends can end a line or look like another one: whatever is not
printable is escaped. The numbers also stand on the record as attributes (``client``, ``method``, ``target``,
``http_version``, ``status``, ``size``, ``duration``), for handlers that write JSON or columns.
"""

from __future__ import annotations

import logging
import re

LOGGER_NAME = "tricorn.access"

_SPECIAL = re.compile(r'["\\]')


class AccessLog:
    """Writes access records; made once a worker, after logging is configured."""

    __slots__ = ("_logger", "enabled")

    def __init__(self, *, enabled: bool = True) -> None:
        self._logger = logging.getLogger(LOGGER_NAME)
        self.enabled = enabled and self._logger.isEnabledFor(logging.INFO)

    def write(
        self,
        client: tuple[str, int] | None,
        method: str,
        target: str,
        http_version: str,
        status: int,
        size: int,
        duration: float,
    ) -> None:
        """Logs one request.

        Args:
            client: Host and port, ``None`` on a Unix socket.
            target: The request target as it was sent.
            http_version: ``1.0``, ``1.1``, ``2`` or ``3``.
            status: What was sent, 499 when the client was gone before an answer.
            size: Bytes of the body that were sent.
            duration: Seconds from the request's head to the response's end.
        """
        if not self.enabled:
            return
        if not target.isprintable() or _SPECIAL.search(target):
            target = escape(target)
        peer = (
            "-" if client is None else f"[{client[0]}]:{client[1]}" if ":" in client[0] else f"{client[0]}:{client[1]}"
        )
        record = logging.LogRecord(
            LOGGER_NAME,
            logging.INFO,
            "",
            0,
            f'{peer} "{method} {target} HTTP/{http_version}" {status} {size} {duration * 1000:.1f}ms',
            None,
            None,
        )
        fields = record.__dict__
        fields["client"] = peer
        fields["method"] = method
        fields["target"] = target
        fields["http_version"] = http_version
        fields["status"] = status
        fields["size"] = size
        fields["duration"] = duration
        self._logger.handle(record)


def escape(text: str) -> str:
    """``text`` with quotes, backslashes and everything unprintable written as escapes."""
    return "".join(
        f"\\{char}" if char in '"\\' else char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
        for char in text
    )
