"""Files as responses.

Rules of this module: the file is looked at and read in worker threads only; its length is taken once, so that a
file that grows meanwhile cannot break the framing, and one that shrinks is an error and not a silent stop. Where the
server offers ``http.response.pathsend`` it is given the path and sends the file itself.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from mimetypes import guess_type
from typing import BinaryIO, Literal
from urllib.parse import quote

from tricorn.concurrency import run_in_thread, until_disconnect
from tricorn.exceptions import ClientDisconnect
from tricorn.headers import HeadersInit
from tricorn.response.base import Background, Response, transmit
from tricorn.types import Message, Receive, Scope, Send
from tricorn_transports.http.dates import format_date
from tricorn_transports.http.fields import quote as quote_string

#: Bytes read in one go, in a thread.
CHUNK_BYTES = 256 * 1024

#: RFC 8187 section 3.2.1: attr-char.
_ATTR_CHARS = "!#$&+-.^_`|~"


def content_disposition(filename: str, kind: Literal["attachment", "inline"] = "attachment") -> str:
    """``Content-Disposition`` with a file name (RFC 6266).

    A name that is not plain ASCII goes as ``filename*`` in UTF-8 (RFC 8187), with an ASCII stand-in before it for
    old clients.
    """
    name = "".join(char for char in filename if char.isprintable())
    plain = name.encode("ascii", "replace").decode("ascii").replace("?", "_")
    value = f"{kind}; filename={quote_string(plain)}"
    # A percent sign or a backslash is read differently by different browsers in the plain form.
    if plain != name or "%" in name or "\\" in name:
        value += f"; filename*=UTF-8''{quote(name, safe=_ATTR_CHARS)}"
    return value


class FileResponse(Response):
    """A file of the local file system.

    Args:
        path: Where it is. Never build it from a request's text without checking what it then names.
        media_type: ``Content-Type``; guessed from ``filename`` or ``path`` if not given.
        filename: What the client saves it as; with it ``Content-Disposition`` is sent.
        disposition: ``attachment`` to be saved, ``inline`` to be shown.

    Raises:
        FileNotFoundError, PermissionError: When it is sent.
        IsADirectoryError: ``path`` names no regular file.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        status: int = 200,
        headers: HeadersInit | None = None,
        *,
        media_type: str | None = None,
        filename: str | None = None,
        disposition: Literal["attachment", "inline"] = "attachment",
        background: Background | Iterable[Background] | None = None,
    ) -> None:
        self.path = os.path.abspath(path)
        if media_type is None:
            media_type, encoding = guess_type(filename or self.path)
            if media_type is None or encoding is not None:  # page.html.gz is not a page
                media_type = "application/octet-stream"
        super().__init__(b"", status, headers, media_type=media_type, background=background)
        if filename is not None:
            self.headers.setdefault("content-disposition", content_disposition(filename, disposition))

    async def respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        file, info = await run_in_thread(_open, self.path)
        try:
            self.headers.setdefault("last-modified", format_date(info.st_mtime))
            self.headers.set("content-length", str(info.st_size))
            start: Message = {"type": "http.response.start", "status": self.status, "headers": self._raw.copy()}
            if scope.get("method") == "HEAD" or info.st_size == 0:
                await transmit(send, start)
                await transmit(send, {"type": "http.response.body", "body": b""})
            elif "http.response.pathsend" in (scope.get("extensions") or {}):
                await transmit(send, start)
                await transmit(send, {"type": "http.response.pathsend", "path": self.path})
            else:

                async def run() -> None:
                    await transmit(send, start)
                    await _send_chunks(file, info.st_size, send)

                if not await until_disconnect(scope, receive, run):
                    raise ClientDisconnect
        finally:
            file.close()


def _open(path: str) -> tuple[BinaryIO, os.stat_result]:
    file = open(path, "rb")  # noqa: SIM115  the caller closes it when it is sent
    info = os.fstat(file.fileno())  # of what was opened, not of what the name means by now
    if not stat.S_ISREG(info.st_mode):
        file.close()
        raise IsADirectoryError(f"{path} is not a regular file")
    return file, info


async def _send_chunks(file: BinaryIO, size: int, send: Send) -> None:
    left = size
    while left:
        chunk = await run_in_thread(file.read, min(CHUNK_BYTES, left))
        if not chunk:
            raise RuntimeError(f"{file.name} became shorter by {left} bytes while it was sent")
        left -= len(chunk)
        await transmit(send, {"type": "http.response.body", "body": chunk, "more_body": left > 0})
