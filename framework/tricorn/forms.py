"""Forms: ``multipart/form-data`` (through python-multipart) and ``application/x-www-form-urlencoded``.

Rules of this module: a file never stands whole in memory; every quantity that the client decides has a limit; what
is malformed is a 400 that says what is wrong. python-multipart is imported here only, and only when a form comes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

import anyio

from tricorn.concurrency import run_in_thread
from tricorn.exceptions import HTTPException
from tricorn.headers import Headers, RawHeaders
from tricorn_transports.http.fields import parse_parameters

if TYPE_CHECKING:
    from tricorn.request import Request

#: Bytes of a file that stay in memory before it goes to disk.
SPOOL_BYTES = 1024 * 1024


class UploadFile:
    """A file of a form, in a temporary file that is closed when the route and its background work are done.

    Attributes:
        filename: As the client named it: to be shown, never to be used as a path.
        headers: The part's own fields.
        size: Bytes.
        file: The file itself, for code that runs in a thread.
    """

    __slots__ = ("file", "filename", "headers", "size")

    def __init__(self, filename: str, headers: Headers) -> None:
        self.filename: str = filename
        self.headers: Headers = headers
        self.size: int = 0
        self.file: SpooledTemporaryFile[bytes] = SpooledTemporaryFile(max_size=SPOOL_BYTES)  # noqa: SIM115  close()

    @property
    def content_type(self) -> str | None:
        """What the client says it is."""
        return self.headers.get("content-type")

    async def write(self, data: bytes) -> None:
        """Appends; in a thread once the file is on disk or about to go there."""
        if self.size + len(data) > SPOOL_BYTES:
            await run_in_thread(self.file.write, data)
        else:
            self.file.write(data)
        self.size += len(data)

    async def read(self, size: int = -1) -> bytes:
        """The next ``size`` bytes, or all that are left."""
        return await run_in_thread(self.file.read, size) if self.size > SPOOL_BYTES else self.file.read(size)

    async def seek(self, offset: int) -> None:
        """Sets where ``read`` goes on, in bytes from the start."""
        await run_in_thread(self.file.seek, offset) if self.size > SPOOL_BYTES else self.file.seek(offset)

    async def close(self) -> None:
        """Deletes the file."""
        await run_in_thread(self.file.close) if self.size > SPOOL_BYTES else self.file.close()

    def __repr__(self) -> str:
        return f"UploadFile({self.filename!r}, {self.size} bytes)"


class FormData(Mapping[str, "str | UploadFile"]):
    """A form's fields: several values to a name, the last one shown as a mapping."""

    __slots__ = ("_pairs", "_values")

    def __init__(self, pairs: Iterable[tuple[str, str | UploadFile]] = ()) -> None:
        self._pairs = tuple(pairs)
        self._values = dict(self._pairs)

    def __getitem__(self, name: str) -> str | UploadFile:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def getlist(self, name: str) -> list[str | UploadFile]:
        """All values of a name, in order."""
        return [value for key, value in self._pairs if key == name]

    def multi_items(self) -> list[tuple[str, str | UploadFile]]:
        """All pairs, in order."""
        return list(self._pairs)

    async def close(self) -> None:
        """Closes all files, also in a task that is being cancelled."""
        with anyio.CancelScope(shield=True):
            for _, value in self._pairs:
                if isinstance(value, UploadFile):
                    await value.close()

    def __repr__(self) -> str:
        return f"FormData({list(self._pairs)!r})"


async def read_form(
    request: Request, *, max_bytes: int | None, max_fields: int, max_files: int, max_field_bytes: int
) -> FormData:
    """Reads a request's form; see ``Request.form``."""
    media_type, parameters = parse_parameters(request.headers.get("content-type", ""))
    media_type = media_type.lower()
    if media_type == "application/x-www-form-urlencoded":
        return _parse_urlencoded(await request.body(max_bytes=max_bytes), max_fields)
    if media_type != "multipart/form-data":
        wanted = "multipart/form-data or application/x-www-form-urlencoded"
        raise HTTPException(415, f"a form is wanted ({wanted})", headers={"accept": wanted.replace(" or ", ", ")})
    boundary = parameters.get("boundary", "")
    if not 1 <= len(boundary) <= 70:
        raise HTTPException(400, "the form's Content-Type has no boundary of 1 to 70 characters (RFC 2046)")
    reader = _MultipartReader(boundary, max_fields, max_files, max_field_bytes)
    try:
        async for data in request.limited_stream(max_bytes):
            await reader.feed(data)
        return await reader.finish()
    except BaseException:
        await FormData(reader.pairs).close()
        raise


def _parse_urlencoded(body: bytes, max_fields: int) -> FormData:
    try:
        text = body.decode()  # curl -d and scripts leave UTF-8 as it is, and browsers read it so (WHATWG URL)
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=max_fields)
    except UnicodeDecodeError as error:
        raise HTTPException(400, "the form is malformed: it is not UTF-8") from error
    except ValueError as error:
        raise HTTPException(413, f"the form may have {max_fields} fields") from error
    return FormData(pairs)


class _MultipartReader:
    """python-multipart's callbacks, gathered into fields and files.

    The callbacks are synchronous and may be many to one chunk; what belongs to a file waits in ``_writes`` until the
    chunk is through, and is written then.
    """

    def __init__(self, boundary: str, max_fields: int, max_files: int, max_field_bytes: int) -> None:
        try:
            from python_multipart.multipart import MultipartParser
        except ImportError as error:
            raise RuntimeError("multipart forms need python-multipart: pip install 'tricorn[forms]'") from error
        self.pairs: list[tuple[str, str | UploadFile]] = []
        self._max_fields, self._max_files, self._max_field_bytes = max_fields, max_files, max_field_bytes
        self._fields = self._files = 0
        self._headers: RawHeaders = []
        self._header_name = self._header_value = b""
        self._name = ""
        self._value = bytearray()
        self._file: UploadFile | None = None
        self._writes: list[tuple[UploadFile, bytes]] = []
        self._ended = False
        self._parser = MultipartParser(
            boundary.encode("latin-1", "replace"),
            {
                "on_part_begin": self._part_begun,
                "on_header_field": self._header_field,
                "on_header_value": self._header_value_part,
                "on_header_end": self._header_ended,
                "on_headers_finished": self._headers_finished,
                "on_part_data": self._data,
                "on_part_end": self._part_ended,
                "on_end": self._end,
            },
        )

    async def feed(self, data: bytes) -> None:
        from python_multipart.exceptions import FormParserError

        try:
            self._parser.write(data)
        except FormParserError as error:
            raise HTTPException(400, f"the form is malformed: {error}") from error
        writes, self._writes = self._writes, []
        for file, part in writes:
            await file.write(part)

    async def finish(self) -> FormData:
        if not self._ended:
            raise HTTPException(400, "the form is malformed: it ends before its last boundary")
        form = FormData(self.pairs)
        for _, value in self.pairs:
            if isinstance(value, UploadFile):
                await value.seek(0)
        return form

    # -------------------------------------------------------------------------------------------------- callbacks

    def _part_begun(self) -> None:
        self._headers, self._value, self._file = [], bytearray(), None

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _header_value_part(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _header_ended(self) -> None:
        self._headers.append((self._header_name.lower(), self._header_value.strip()))
        self._header_name = self._header_value = b""

    def _headers_finished(self) -> None:
        headers = Headers(self._headers)
        raw = headers.get("content-disposition", "").encode("latin-1").decode("utf-8", "replace")
        kind, parameters = parse_parameters(_browser_escapes(raw))
        if kind.lower() != "form-data" or "name" not in parameters:
            raise HTTPException(400, "the form is malformed: a part has no Content-Disposition with a name")
        self._name = parameters["name"]
        filename = parameters.get("filename")
        if filename is None:
            self._fields += 1
            if self._fields > self._max_fields:
                raise HTTPException(413, f"the form may have {self._max_fields} fields")
            return
        self._files += 1
        if self._files > self._max_files:
            raise HTTPException(413, f"the form may have {self._max_files} files")
        self._file = UploadFile(filename, headers)
        self.pairs.append((self._name, self._file))

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._file is not None:
            self._writes.append((self._file, data[start:end]))
            return
        if len(self._value) + end - start > self._max_field_bytes:
            raise HTTPException(413, f"a field of the form may have {self._max_field_bytes} bytes")
        self._value += data[start:end]

    def _part_ended(self) -> None:
        if self._file is None:
            try:
                self.pairs.append((self._name, self._value.decode()))
            except UnicodeDecodeError as error:
                raise HTTPException(400, f"the form is malformed: field {self._name!r} is not UTF-8") from error

    def _end(self) -> None:
        self._ended = True


_LONE_BACKSLASH = re.compile(r"\\(?!\")")


def _browser_escapes(text: str) -> str:
    r"""Browsers percent-encode only ``"``, CR and LF in names and leave ``\`` as it is (HTML, form submission).

    Older clients write ``\"``, as RFC 2183 has it, so a backslash before a quote stays an escape.
    """
    text = _LONE_BACKSLASH.sub(r"\\\\", text)
    return text.replace("%22", '\\"').replace("%0D", "\r").replace("%0A", "\n")
