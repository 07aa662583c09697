"""The content codings that can be made on the fly, and the libraries that make them.

Rules of this module: nothing is imported before a coding is asked for, and a library that is absent makes its coding
absent, not an error. The levels and windows are chosen for answers that are made while a client waits: each step above
them costs more time than it saves on the wire. A window stays below what every decoder must accept: 8 MiB for ``zstd``
(RFC 9659), 16 MiB for ``br`` (RFC 7932).
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias, cast

Data: TypeAlias = bytes | bytearray | memoryview


class Coder(Protocol):
    """Codes one body in parts, which come in order."""

    def code(self, data: Data) -> bytes:
        """Takes a part; what comes out may be nothing yet."""

    def flush(self, data: Data) -> bytes:
        """Takes a part, and gives all that the client needs to decode everything so far."""

    def finish(self, data: Data) -> bytes:
        """Takes the last part, and gives all that is left."""


@dataclass(frozen=True, slots=True)
class Coding:
    """One content coding at one level.

    Attributes:
        name: As in ``Content-Encoding``.
        compress: Codes a whole body.
        coder: Makes a ``Coder``. An open one holds some 0.2 MiB (gzip, zstd) or 0.5 to 1.2 (br).
    """

    name: str
    compress: Callable[[Data], bytes]
    coder: Callable[[], Coder]


#: The codings in the order in which Tricorn prefers them, with the level that each has by default: about the same size
#: comes out of all of them, in 0.2, 0.6 and 0.9 ms for 64 KiB of JSON.
DEFAULT_LEVELS: Final[Mapping[str, int]] = {"zstd": 3, "br": 4, "gzip": 5}

_LEVELS: Final = {"zstd": range(1, 20), "br": range(12), "gzip": range(1, 10)}


def load_codings(names: Iterable[str], levels: Mapping[str, int]) -> dict[str, Coding]:
    """The codings of these names, in their order, without those whose library is not installed.

    Args:
        names: Of ``zstd``, ``br`` and ``gzip``.
        levels: By name; ``DEFAULT_LEVELS`` for those that are not in it. From 1 to 19, 0 to 11 and 1 to 9.

    Raises:
        ValueError: There is no such coding, or a level is out of its range.
    """
    codings: dict[str, Coding] = {}
    for name in (*names, *levels):
        if name not in _LEVELS:
            raise ValueError(f"there is no content coding {name!r}; there are {', '.join(_LEVELS)}")
    for name in names:
        level = levels.get(name, DEFAULT_LEVELS[name])
        if level not in _LEVELS[name]:
            raise ValueError(f"{name} has no level {level}; it has {_LEVELS[name].start} to {_LEVELS[name][-1]}")
        try:
            codings[name] = _LOADERS[name](level)
        except ImportError:
            continue
    return codings


# --- gzip (RFC 1952) --------------------------------------------------------------------------------------------------

_GZIP_WINDOW: Final = zlib.MAX_WBITS | 16  # with gzip's head, which zlib writes without a time or a name


class _GzipCoder:
    __slots__ = ("_compressor",)

    def __init__(self, level: int) -> None:
        self._compressor = zlib.compressobj(level, zlib.DEFLATED, _GZIP_WINDOW)

    def code(self, data: Data) -> bytes:
        return self._compressor.compress(data)

    def flush(self, data: Data) -> bytes:
        return self._compressor.compress(data) + self._compressor.flush(zlib.Z_SYNC_FLUSH)

    def finish(self, data: Data) -> bytes:
        return self._compressor.compress(data) + self._compressor.flush()


def _load_gzip(level: int) -> Coding:
    return Coding("gzip", lambda data: zlib.compress(data, level, _GZIP_WINDOW), lambda: _GzipCoder(level))


# --- br (RFC 7932) ----------------------------------------------------------------------------------------------------

#: 256 KiB: twice as much doubles what an open stream holds, and saves one byte in a hundred.
_BROTLI_WINDOW: Final = 18


class _BrotliCompressor(Protocol):
    def process(self, data: Data) -> bytes: ...
    def flush(self) -> bytes: ...
    def finish(self) -> bytes: ...


class _BrotliCoder:
    __slots__ = ("_compressor",)

    def __init__(self, compressor: _BrotliCompressor) -> None:
        self._compressor = compressor

    def code(self, data: Data) -> bytes:
        return self._compressor.process(data)

    def flush(self, data: Data) -> bytes:
        return self._compressor.process(data) + self._compressor.flush()

    def finish(self, data: Data) -> bytes:
        return self._compressor.process(data) + self._compressor.finish()


def _load_brotli(level: int) -> Coding:
    import brotli  # type: ignore[import-untyped]  # it has no types of its own

    make = cast("Callable[..., _BrotliCompressor]", brotli.Compressor)

    def coder() -> Coder:
        return _BrotliCoder(make(quality=level, lgwin=_BROTLI_WINDOW))

    return Coding("br", lambda data: coder().finish(data), coder)


# --- zstd (RFC 8878) --------------------------------------------------------------------------------------------------


def _load_zstd(level: int) -> Coding:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd

    parameter, compressor = zstd.CompressionParameter, zstd.ZstdCompressor
    # For a stream of unknown length it would take 0.8 MiB of tables; these take 0.2 for a tenth more bytes.
    options: dict[int, int] = {parameter.compression_level: level, parameter.window_log: 17}
    if level <= 3:
        options |= {parameter.hash_log: 14, parameter.chain_log: 14}

    class ZstdCoder:
        __slots__ = ("_compressor",)

        def __init__(self) -> None:
            self._compressor = compressor(options=options)

        def code(self, data: Data) -> bytes:
            return self._compressor.compress(data)

        def flush(self, data: Data) -> bytes:
            return self._compressor.compress(data, compressor.FLUSH_BLOCK)

        def finish(self, data: Data) -> bytes:
            return self._compressor.compress(data, compressor.FLUSH_FRAME)

    # In one call the length is known, and the tables are made for it.
    return Coding("zstd", lambda data: zstd.compress(data, level), ZstdCoder)


_LOADERS: Final[Mapping[str, Callable[[int], Coding]]] = {
    "zstd": _load_zstd,
    "br": _load_brotli,
    "gzip": _load_gzip,
}
