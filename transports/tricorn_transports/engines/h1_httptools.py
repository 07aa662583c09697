"""The HTTP/1.1 engine over httptools (Node's llhttp), which parses a head in a fraction of h11's time.

The only file that imports httptools. Everything but the reading of field lines is ``Http1Engine``, whatever the parser.

Rule of this module: the request line, which is held to the grammar already, is not shown to llhttp: it knows some
methods and versions only, and goes by them. Nor is anything behind the head.
"""

from __future__ import annotations

from tricorn_transports.abc import EngineContext
from tricorn_transports.engines.h1_engine import Http1Engine
from tricorn_transports.errors import ConfigError, RemoteProtocolError
from tricorn_transports.events import RawHeaders

try:
    from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
except ImportError as _missing:
    raise ConfigError('engine: h1=httptools needs httptools: pip install "tricorn[fast]"') from _missing

_ANY_REQUEST_LINE = b"GET / HTTP/1.1\r\n"


class HttptoolsEngine(Http1Engine):
    """A ``StreamEngine`` of HTTP/1.1 for speed."""

    __slots__ = ()

    def __init__(self, context: EngineContext) -> None:
        super().__init__(context, parse_head)


class _FieldLines(list[tuple[bytes, bytes]]):
    """What the parser calls back."""

    __slots__ = ()

    def on_header(self, name: bytes, value: bytes) -> None:
        self.append((name, value.rstrip(b" \t")))


def parse_head(head: bytes) -> tuple[bytes, bytes, bytes, RawHeaders]:
    """See ``h1_reader.HeadParser``."""
    request_line, _, field_lines = head.partition(b"\r\n")
    method, target, version = request_line.split(b" ")
    fields = _FieldLines()
    try:
        HttpRequestParser(fields).feed_data(_ANY_REQUEST_LINE + field_lines)
    except HttpParserUpgrade:
        pass  # the head is whole, and what comes behind it is not llhttp's
    except HttpParserError as error:
        raise RemoteProtocolError(str(error)) from error
    return method, target, version[5:], fields
