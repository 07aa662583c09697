"""Files as responses.

Rules of this module: the file is looked at and read in worker threads only; its length is taken once, so that a
file that grows meanwhile cannot break the framing, and one that shrinks is an error and not a silent stop. Where the
server offers ``http.response.pathsend`` it is given the path and sends the file itself, and with
``http.response.zerocopysend`` a part of the open file. Every file has a strong ETag and Last-Modified.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from mimetypes import guess_type
from time import time
from typing import BinaryIO, Literal, cast
from urllib.parse import quote

from tricorn.caching.etag import ETag
from tricorn.caching.ranges import Slice
from tricorn.concurrency import run_in_thread, until_disconnect
from tricorn.exceptions import ClientDisconnect
from tricorn.headers import HeadersInit, MutableHeaders
from tricorn.response import offer
from tricorn.response.base import Background, Response, transmit
from tricorn.response.filetag import file_etag
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
        self.path: str = os.path.abspath(path)
        if media_type is None:
            media_type, encoding = guess_type(filename or self.path)
            if media_type is None or encoding is not None:  # page.html.gz is not a page
                media_type = "application/octet-stream"
        super().__init__(b"", status, headers, media_type=media_type, background=background)
        if filename is not None:
            self.headers.setdefault("content-disposition", content_disposition(filename, disposition))

    async def respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        fields = MutableHeaders(self._raw.copy())  # of the file as it is now; the response may be sent again
        file, info, tag = await run_in_thread(_open, self.path, "etag" not in fields and 200 <= self.status < 300)
        try:
            if tag is not None:
                fields.add("etag", str(tag))
            # Never later than the response itself (RFC 9110 section 8.8.2.1).
            fields.setdefault("last-modified", format_date(min(info.st_mtime, time())))
            size = info.st_size
            fields.set("content-length", str(size))
            start: Message = {"type": "http.response.start", "status": self.status, "headers": fields.raw}
            extensions = scope.get("extensions") or ()

            async def run() -> None:
                parts = await offer.start(scope, send, start, size)
                if parts is not None:
                    await offer.send_parts(parts, send, send_slice)
                elif scope.get("method") == "HEAD" or size == 0:
                    await transmit(send, {"type": "http.response.body", "body": b""})
                elif "http.response.pathsend" in extensions:
                    await transmit(send, {"type": "http.response.pathsend", "path": self.path})
                else:
                    await _send_chunks(file, Slice(0, size), send)

            async def send_slice(part: Slice, more: bool) -> None:
                if "http.response.zerocopysend" in extensions:
                    message = {"type": "http.response.zerocopysend", "file": file, "offset": part.start}
                    await transmit(send, {**message, "count": len(part), "more_body": more})
                else:
                    await _send_chunks(file, part, send, more)

            if not await until_disconnect(scope, receive, run):
                raise ClientDisconnect
        finally:
            file.close()


def _open(path: str, tagged: bool) -> tuple[BinaryIO, os.stat_result, ETag | None]:
    file = cast("BinaryIO", open(path, "rb", buffering=0))  # noqa: SIM115  the caller closes it when it is sent
    try:
        info = os.fstat(file.fileno())  # of what was opened, not of what the name means by now
        if not stat.S_ISREG(info.st_mode):
            raise IsADirectoryError(f"{path} is not a regular file")
        if not tagged:
            return file, info, None
        tag, info = file_etag(file.fileno())
    except BaseException:
        file.close()
        raise
    return file, info, tag


async def _send_chunks(file: BinaryIO, part: Slice, send: Send, more: bool = False) -> None:
    offset = part.start
    while offset < part.stop:
        chunk = await run_in_thread(os.pread, file.fileno(), min(CHUNK_BYTES, part.stop - offset), offset)
        if not chunk:
            left = part.stop - offset
            raise RuntimeError(f"{file.name} became shorter by {left} bytes while it was sent")
        offset += len(chunk)
        await transmit(send, {"type": "http.response.body", "body": chunk, "more_body": more or offset < part.stop})
