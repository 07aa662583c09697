"""From what a test gives (``json=``, ``data=``, ``files=``, ``content=``) to a request's body and its type.

Rules of this module: a body of known length is ``bytes``; everything else is an asynchronous iterator, which the
exchange pulls as the application reads. A blocking iterable is advanced in a thread, so that a test may wait in it.
"""

from __future__ import annotations

import json as json_module
import mimetypes
import os
import secrets
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping
from typing import IO, TypeAlias
from urllib.parse import urlencode

import anyio.to_thread

Content: TypeAlias = str | bytes | Iterable[bytes] | AsyncIterable[bytes]
"""A body as it is, or streamed: every item is one ``http.request`` message."""

FormValue: TypeAlias = str | int | float
FormData: TypeAlias = Mapping[str, FormValue | Iterable[FormValue]] | Iterable[tuple[str, FormValue]]
FileContent: TypeAlias = bytes | str | IO[bytes]
File: TypeAlias = FileContent | tuple[str, FileContent] | tuple[str, FileContent, str]
"""What is uploaded: its content, or a tuple of file name, content and, if wanted, media type."""
Files: TypeAlias = Mapping[str, File] | Iterable[tuple[str, File]]

Body: TypeAlias = bytes | AsyncIterator[bytes]


def encode(
    content: Content | None, json: object, data: FormData | None, files: Files | None
) -> tuple[Body | None, str | None]:
    """The body and its media type; both ``None`` when nothing was given.

    Raises:
        TypeError: Two things were given that do not go together.
    """
    if sum((content is not None, json is not None, data is not None or files is not None)) > 1:
        raise TypeError("give only one of content=, json= and data=/files=")
    if json is not None:
        return json_module.dumps(json, ensure_ascii=False, separators=(",", ":")).encode(), "application/json"
    if files is not None:
        return _multipart(_pairs(data), files)
    if data is not None:
        return urlencode(_pairs(data)).encode(), "application/x-www-form-urlencoded"
    if content is None:
        return None, None
    if isinstance(content, str):
        return content.encode(), "text/plain; charset=utf-8"
    if isinstance(content, bytes):
        return content, None
    if isinstance(content, AsyncIterable):
        return aiter(content), None
    return _in_thread(iter(content)), None


async def _in_thread(chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    end = object()
    while (chunk := await anyio.to_thread.run_sync(next, chunks, end)) is not end:
        assert isinstance(chunk, bytes)
        yield chunk


def _pairs(data: FormData | None) -> list[tuple[str, str]]:
    if data is None:
        return []
    pairs: list[tuple[str, str]] = []
    for name, value in data.items() if isinstance(data, Mapping) else data:
        values = [value] if isinstance(value, (str, int, float)) else value
        pairs += [(name, str(item)) for item in values]
    return pairs


def _quoted(text: str) -> str:
    """A parameter's value the way browsers write it (WHATWG HTML, multipart/form-data encoding)."""
    return text.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


def _multipart(fields: list[tuple[str, str]], files: Files) -> tuple[bytes, str]:
    """multipart/form-data (RFC 7578)."""
    boundary = secrets.token_hex(16)
    parts: list[bytes] = []
    for name, value in fields:
        parts.append(f'--{boundary}\r\nContent-Disposition: form-data; name="{_quoted(name)}"\r\n\r\n'.encode())
        parts += [value.encode(), b"\r\n"]
    for name, file in files.items() if isinstance(files, Mapping) else files:
        filename, media_type, content = _file(name, file)
        parts.append(
            f'--{boundary}\r\nContent-Disposition: form-data; name="{_quoted(name)}"; '
            f'filename="{_quoted(filename)}"\r\nContent-Type: {media_type}\r\n\r\n'.encode()
        )
        parts += [content, b"\r\n"]
    parts.append(f"--{boundary}--\r\n".encode())
    return b"".join(parts), f"multipart/form-data; boundary={boundary}"


def _file(field: str, file: File) -> tuple[str, str, bytes]:
    given: FileContent
    media_type: str | None = None
    if isinstance(file, tuple):
        filename, given, *rest = file
        media_type = rest[0] if rest else None
    else:
        given = file
        filename = os.path.basename(str(getattr(file, "name", "") or field))
    content = given.encode() if isinstance(given, str) else given if isinstance(given, bytes) else given.read()
    return filename, media_type or mimetypes.guess_type(filename)[0] or "application/octet-stream", content
