"""What a WSGI application is given: the environment, the request's body as a file, and the file wrapper.

Rules of this module: no threads and no event loop; reading blocks in a callable that the bridge hands in. WSGI's
strings are bytes in disguise (latin-1); they are made from the bytes of the wire, never from text that somebody has
decoded on the way, where those bytes are known.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, MutableMapping
from typing import Any, Protocol
from urllib.parse import quote, unquote_to_bytes

from tricorn_transports.abc import Message, Scope, WSGIEnvironment
from tricorn_transports.errors import ClientDisconnected


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class Input:
    """``wsgi.input``: the request's body as a file that blocks until the client has sent what is asked for.

    Args:
        receive: Gives the next ASGI message, blocking.
        length: Bytes of the body, where it is known; no message is waited for after that many.
    """

    def __init__(self, receive: Callable[[], Message], *, length: int | None) -> None:
        self._receive = receive
        self._left = length
        self._chunk = b""
        self._at = 0
        self.is_ended = length == 0

    def read(self, size: int | None = -1, /) -> bytes:
        """``size`` bytes, fewer only at the end of the body; all of it without a size.

        Raises:
            ClientDisconnected: The client went away before the end.
        """
        if size is None or size < 0:
            size = sys.maxsize
        parts: list[bytes] = []
        while size > 0 and self._fill():
            part = self._chunk[self._at : self._at + size] if self._at or size < len(self._chunk) else self._chunk
            self._at += len(part)
            size -= len(part)
            parts.append(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def readline(self, size: int | None = -1, /) -> bytes:
        """The next line with its end, or its first ``size`` bytes."""
        if size is None or size < 0:
            size = sys.maxsize
        parts: list[bytes] = []
        while size > 0 and self._fill():
            newline = self._chunk.find(b"\n", self._at, self._at + size)
            stop = newline + 1 if newline >= 0 else min(len(self._chunk), self._at + size)
            parts.append(self._chunk[self._at : stop])
            size -= stop - self._at
            self._at = stop
            if newline >= 0:
                break
        return b"".join(parts)

    def readlines(self, hint: int | None = -1, /) -> list[bytes]:
        """Lines until the end, or until they have ``hint`` bytes."""
        lines: list[bytes] = []
        total = 0
        for line in self:
            lines.append(line)
            total += len(line)
            if hint is not None and 0 < hint <= total:
                break
        return lines

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.readline, b"")

    def _fill(self) -> bool:
        """Makes sure that there is a byte to read; ``False`` at the end."""
        while self._at >= len(self._chunk):
            if self.is_ended:
                self._chunk, self._at = b"", 0
                return False
            message = self._receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnected("the client went away before the end of the request's body")
            self._chunk, self._at = message.get("body", b""), 0
            if self._left is not None:
                self._left -= len(self._chunk)
            self.is_ended = not message.get("more_body", False) or (self._left is not None and self._left <= 0)
        return True


class FileWrapper:
    """``wsgi.file_wrapper``: a file as an iterable of blocks."""

    def __init__(self, file: _Readable, block_size: int = 65_536) -> None:
        self._file = file
        self._block_size = block_size

    def __iter__(self) -> Iterator[bytes]:
        return iter(lambda: self._file.read(self._block_size), b"")

    def close(self) -> None:
        """Closes the file, if it can be closed."""
        close = getattr(self._file, "close", None)
        if close is not None:
            close()


def body_length(scope: Scope, environ: WSGIEnvironment) -> int | None:
    """Bytes of the request's body, where its head tells."""
    length = environ.get("CONTENT_LENGTH", "")
    if length.isdecimal():
        return int(length)
    # HTTP/1 frames every body (RFC 9112 section 6.3): with neither field there is none.
    if scope["http_version"] in ("1.0", "1.1") and "HTTP_TRANSFER_ENCODING" not in environ:
        return 0
    return None


def build_environ(scope: Scope) -> WSGIEnvironment:
    """The environment of PEP 3333 for an ASGI HTTP scope, without ``wsgi.input``.

    Field names that hold an underscore are left out: they would be taken for the same name with a hyphen, which a
    proxy in front may have checked. So is ``Proxy``, which CGI-style code would take for the variable HTTP_PROXY.
    """
    script, path, target = _split_path(scope)
    query = scope.get("query_string", b"").decode("latin-1")
    scheme = scope.get("scheme", "http")
    environ: WSGIEnvironment = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": script,
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "RAW_URI": f"{target}?{query}" if query else target,
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scheme,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        "wsgi.file_wrapper": FileWrapper,
        "wsgi.input_terminated": True,
    }
    for raw_name, raw_value in scope["headers"]:
        if b"_" in raw_name or raw_name == b"proxy":
            continue
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        key = _CGI_NAMES.get(name) or f"HTTP_{name.upper().replace('-', '_')}"
        if key in environ:
            separator = "; " if key == "HTTP_COOKIE" else ","
            value = f"{environ[key]}{separator}{value}"
        environ[key] = value
    _add_addresses(environ, scope, "443" if scheme == "https" else "80")
    return environ


_CGI_NAMES = {"content-type": "CONTENT_TYPE", "content-length": "CONTENT_LENGTH"}


def _split_path(scope: Scope) -> tuple[str, str, str]:
    """SCRIPT_NAME, PATH_INFO and the path as it was sent."""
    path: str = scope["path"]
    raw: bytes | None = scope.get("raw_path")
    decoded = path.encode("utf-8", "surrogateescape")
    if raw and "\ufffd" in path:
        # Bytes that are not UTF-8 were replaced; the raw path still has them.
        decoded = unquote_to_bytes(raw)
    root = scope.get("root_path", "").rstrip("/").encode("utf-8", "surrogateescape")
    if root and (decoded == root or decoded.startswith(root + b"/")):
        decoded = decoded[len(root) :]
    target = raw.decode("latin-1") if raw else quote(path, safe="/!$&'()*+,;=:@~")
    return root.decode("latin-1"), decoded.decode("latin-1"), target


def _add_addresses(environ: MutableMapping[str, Any], scope: Scope, default_port: str) -> None:
    server, client = scope.get("server"), scope.get("client")
    if server and server[1] is not None:
        environ["SERVER_NAME"], environ["SERVER_PORT"] = server[0], str(server[1])
    else:
        # A Unix socket has neither; the Host field is the best there is.
        host, _, port = environ.get("HTTP_HOST", "").rpartition(":")
        if not port.isdecimal():
            host, port = environ.get("HTTP_HOST", ""), default_port
        environ["SERVER_NAME"], environ["SERVER_PORT"] = host or "localhost", port
    environ["REMOTE_ADDR"] = client[0] if client else ""
    if client:
        environ["REMOTE_PORT"] = str(client[1])
