"""Files as responses.

Rules of this module: the file is looked at and read in worker threads only; its length is taken once, so that a
file that grows meanwhile cannot break the framing, and one that shrinks is an error and not a silent stop. Where the
server offers ``http.response.zerocopysend`` it is given the open file: the very one whose tag and length were sent.
Only one that has no more than ``http.response.pathsend`` is given the path, which may mean another file by then.
Neither is sent where foreign middleware may be in the way that drops messages which it does not know, or fails at them.
A small file is read, whatever is offered: it leaves together with its head. Every file has a strong ETag and
Last-Modified.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Container, Iterable
from dataclasses import dataclass
from io import FileIO
from time import time
from typing import Final, Literal, Self
from urllib.parse import quote

from tricorn.caching.etag import ETag
from tricorn.caching.ranges import Slice
from tricorn.concurrency import disconnect_register, run_in_thread, until_disconnect
from tricorn.exceptions import ClientDisconnect
from tricorn.headers import HeadersInit, MutableHeaders
from tricorn.hints.hinter import HINTER
from tricorn.media_types import media_type_of
from tricorn.response import offer
from tricorn.response.base import CONDITIONAL, Background, Response, transmit
from tricorn.response.filetag import file_etag
from tricorn.types import Message, Receive, Scope, Send
from tricorn_transports.http.dates import format_date
from tricorn_transports.http.fields import quote as quote_string

#: Bytes read in one go, in a thread.
CHUNK_BYTES: Final = 256 * 1024
#: Bytes up to which a file is read while it is looked at, and sent in one message.
SMALL_BYTES: Final = 64 * 1024

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
        kind = media_type or media_type_of(filename or self.path)
        super().__init__(b"", status, headers, media_type=kind, background=background)
        if filename is not None:
            self.headers.setdefault("content-disposition", content_disposition(filename, disposition))

    async def respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        fields = MutableHeaders(self._raw.copy())  # of the file as it is now; the response may be sent again
        opened, tag = await run_in_thread(_open, self.path, "etag" not in fields and 200 <= self.status < 300)
        with opened.file:
            if tag is not None:
                fields.add("etag", str(tag))
            fields.setdefault("last-modified", opened.last_modified())
            fields.set("content-length", str(opened.info.st_size))
            start: Message = {"type": "http.response.start", "status": self.status, "headers": fields.raw}
            await send_file(opened, start, scope, receive, send)


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A file that is about to be sent.

    Attributes:
        file: Opened by its absolute path.
        info: Of what was opened, not of what the name means by now. No more than its size is sent.
        sha256: Of the content, in hexadecimal, if it is known.
        content: Of a small file, if it was read already.
    """

    file: FileIO
    info: os.stat_result
    sha256: str | None
    content: bytes | None

    @classmethod
    def of(cls, file: FileIO, info: os.stat_result, sha256: str | None) -> Self:
        """The file, read if it is a small one. Blocks."""
        size = info.st_size
        return cls(file, info, sha256, os.pread(file.fileno(), size, 0) if size <= SMALL_BYTES else None)

    def last_modified(self) -> str:
        """``Last-Modified``, never later than the response itself (RFC 9110 section 8.8.2.1)."""
        return format_date(min(self.info.st_mtime, time()))


async def send_file(opened: OpenFile, start: Message, scope: Scope, receive: Receive, send: Send) -> None:
    """Sends a file, whole or in the parts that the conditional middleware asks for, in whatever way the server has.

    Args:
        start: Its ``http.response.start``, with ``content-length``.

    Raises:
        ClientDisconnect: The client went away before the end.
        RuntimeError: The file became shorter.
    """
    file, size, content = opened.file, opened.info.st_size, opened.content
    can_copy = False

    async def run() -> None:
        nonlocal can_copy
        offered = await offer.start(scope, send, start, size, opened.sha256)
        parts = offered.parts
        extensions = _file_extensions(scope, send, offered.seen) if content is None else ()
        can_copy = "http.response.zerocopysend" in extensions
        if parts is None and (scope.get("method") == "HEAD" or size == 0):
            await transmit(send, {"type": "http.response.body", "body": b""})
        elif parts is None and "http.response.pathsend" in extensions and not can_copy:
            await transmit(send, {"type": "http.response.pathsend", "path": file.name})
        else:
            await offer.send_parts((Slice(0, size),) if parts is None else parts, send, send_slice)

    async def send_slice(part: Slice, more: bool) -> None:
        if content is not None:
            data = content[part.start : part.stop]
            if len(data) < len(part):
                raise _shrunk(file, len(part) - len(data))
            await transmit(send, {"type": "http.response.body", "body": data, "more_body": more})
        elif can_copy and len(part) > SMALL_BYTES:
            message = {"type": "http.response.zerocopysend", "file": file, "offset": part.start}
            await transmit(send, {**message, "count": len(part), "more_body": more})
        else:
            await _send_chunks(file, part, send, more)

    if content is not None:  # nothing to be interrupted
        await run()
    elif not await until_disconnect(scope, receive, run):
        raise ClientDisconnect


def _file_extensions(scope: Scope, send: Send, seen: bool) -> Container[str]:
    """The scope's extensions, if a message that sends a file will reach the server.

    Inside of the application nothing foreign is in the way if the conditional middleware has seen the start message's
    offer. Outside of it there is nothing if the application was given the server's own ``send``, which our server
    shows by ``tricorn.disconnect``: both are methods of one object. Of another server we do not know it.
    """
    register = disconnect_register(scope)
    if seen:
        send = (scope.get(HINTER) or scope[CONDITIONAL]).server_send
    if (register is None and not seen) or (register is not None and _owner(send) is not _owner(register)):
        return ()
    return scope.get("extensions") or ()


def _owner(method: object) -> object:
    return getattr(method, "__self__", method)


def _open(path: str, tagged: bool) -> tuple[OpenFile, ETag | None]:
    # A FIFO is opened without waiting for its writer, and then refused.
    file = FileIO(path, opener=lambda path, flags: os.open(path, flags | getattr(os, "O_NONBLOCK", 0)))
    try:
        info = os.fstat(file.fileno())
        if not stat.S_ISREG(info.st_mode):
            raise IsADirectoryError(f"{path} is not a regular file")
        tag = sha256 = None
        if tagged:
            tag, info, sha256 = file_etag(file.fileno())
        return OpenFile.of(file, info, sha256), tag
    except BaseException:
        file.close()
        raise


async def _send_chunks(file: FileIO, part: Slice, send: Send, more: bool) -> None:
    offset = part.start
    while offset < part.stop:
        chunk = await run_in_thread(os.pread, file.fileno(), min(CHUNK_BYTES, part.stop - offset), offset)
        if not chunk:
            raise _shrunk(file, part.stop - offset)
        offset += len(chunk)
        await transmit(send, {"type": "http.response.body", "body": chunk, "more_body": more or offset < part.stop})


def _shrunk(file: FileIO, missing: int) -> RuntimeError:
    return RuntimeError(f"{file.name!r} became shorter by {missing} bytes while it was sent")
