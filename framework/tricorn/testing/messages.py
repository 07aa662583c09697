"""What an application may send, and when: ASGI's rules as tables.

A server has to be lenient with some of these mistakes and a test must not be, so the rules are checked here and
every breach is an ``ASGIViolation`` with a sentence that says what was wrong. Rules of this module: no IO and no
waiting; a checker is told of each message before anything is done with it.
"""

from __future__ import annotations

import os.path
from collections.abc import Iterable, Mapping
from enum import Enum, auto
from typing import TypeAlias

from tricorn.types import Message
from tricorn_transports.http.fields import is_safe_value, is_token_bytes

RawHeaders: TypeAlias = list[tuple[bytes, bytes]]


class ASGIViolation(AssertionError):
    """The application broke a rule of the ASGI specification."""


class Phase(Enum):
    """How far an application has come with its answer."""

    START = auto()
    BODY = auto()
    TRAILERS = auto()
    CONNECTING = auto()
    OPEN = auto()
    DENYING = auto()
    DONE = auto()


#: Message type to the extension that it needs, by phase. What is not listed is not allowed.
_HTTP: Mapping[Phase, Mapping[str, str | None]] = {
    Phase.START: {
        "http.response.start": None,
        "http.response.early_hint": "http.response.early_hint",
        "http.response.push": "http.response.push",
    },
    Phase.BODY: {
        "http.response.body": None,
        "http.response.pathsend": "http.response.pathsend",
        "http.response.zerocopysend": "http.response.zerocopysend",
        "http.response.push": "http.response.push",
    },
    Phase.TRAILERS: {"http.response.trailers": "http.response.trailers"},
    Phase.DONE: {},
}

_WEBSOCKET: Mapping[Phase, Mapping[str, str | None]] = {
    Phase.CONNECTING: {
        "websocket.accept": None,
        "websocket.close": None,
        "websocket.http.response.start": "websocket.http.response",
    },
    Phase.OPEN: {"websocket.send": None, "websocket.close": None},
    Phase.DENYING: {"websocket.http.response.body": "websocket.http.response"},
    Phase.DONE: {},
}

#: RFC 6455 section 7.4.1: these say what happened and never stand in a close frame.
_RESERVED_CLOSE_CODES = frozenset({1004, 1005, 1006, 1015})


def raw_headers(headers: object, where: str) -> RawHeaders:
    """A message's ``headers``, checked: pairs of bytes, names lower-case tokens, values free of CR, LF and NUL.

    Raises:
        ASGIViolation: They are anything else; ``where`` begins the sentence.
    """
    if not isinstance(headers, Iterable) or isinstance(headers, (str, bytes, Mapping)):
        raise ASGIViolation(f"{where}: headers must be an iterable of pairs, not {type(headers).__name__}")
    checked: RawHeaders = []
    for pair in headers:
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise ASGIViolation(f"{where}: {pair!r} is not a pair of a name and a value")
        name, value = pair
        if not isinstance(name, bytes) or not isinstance(value, bytes):
            raise ASGIViolation(f"{where}: the header {name!r}: {value!r} must be bytes on both sides")
        if not is_token_bytes(name):
            raise ASGIViolation(f"{where}: {name!r} is not a field name")
        if name != name.lower():
            raise ASGIViolation(f"{where}: the field name {name!r} must be lower case")
        if not is_safe_value(value):
            raise ASGIViolation(f"{where}: the value of {name!r} has a CR, LF or NUL in it: {value!r}")
        checked.append((name, value))
    return checked


class _Checker:
    """Which message may come now; subclasses know what it must hold."""

    _table: Mapping[Phase, Mapping[str, str | None]]

    def __init__(self, phase: Phase, extensions: Iterable[str]) -> None:
        self.phase = phase
        self._extensions = frozenset(extensions)

    def _allow(self, message: Message) -> str:
        kind = message.get("type")
        if not isinstance(kind, str):
            raise ASGIViolation(f"a message needs a type of str: {message!r}")
        allowed = self._table[self.phase]
        if kind not in allowed:
            expected = " or ".join(allowed) or "nothing more"
            raise ASGIViolation(f"{kind!r} was sent where {expected} may come")
        needed = allowed[kind]
        if needed is not None and needed not in self._extensions:
            raise ASGIViolation(f"{kind!r} was sent, but the scope does not offer the extension {needed!r}")
        return kind


def _field(message: Message, name: str, kind: type, default: object) -> object:
    value = message.get(name, default)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ASGIViolation(f"{message['type']}: {name!r} must be {kind.__name__}, not {value!r}")
    return value


class HttpChecker(_Checker):
    """The messages of one HTTP response, of a request with this ``method``."""

    _table = _HTTP

    def __init__(self, method: str, extensions: Iterable[str]) -> None:
        super().__init__(Phase.START, extensions)
        self._method = method
        self._status = 0
        self._declared: int | None = None
        self._sent = 0
        self._trailers = False

    def check(self, message: Message) -> None:
        """Moves on by one message.

        Raises:
            ASGIViolation: It may not come now, or not like this.
        """
        kind = self._allow(message)
        if kind == "http.response.start":
            self._start(message)
        elif kind == "http.response.body":
            self._body(message)
        elif kind == "http.response.trailers":
            raw_headers(message.get("headers", ()), kind)
            if not _field(message, "more_trailers", bool, False):
                self.phase = Phase.DONE
        elif kind == "http.response.push":
            path = _field(message, "path", str, None)
            if not str(path).startswith("/"):
                raise ASGIViolation(f"{kind}: the path {path!r} must begin with '/'")
            raw_headers(message.get("headers", ()), kind)
        elif kind == "http.response.pathsend":
            path = _field(message, "path", str, None)
            if not os.path.isabs(str(path)) or self._sent:
                raise ASGIViolation(f"{kind}: the whole body must come from an absolute path, not {path!r}")
        elif kind == "http.response.zerocopysend":
            file = message.get("file")
            if not isinstance(file, int) and not hasattr(file, "fileno"):
                raise ASGIViolation(f"{kind}: 'file' must be an open file, not {file!r}")
            for name in ("offset", "count"):
                if message.get(name) is not None:
                    _field(message, name, int, None)
        else:
            for link in message.get("links", ()):
                if not isinstance(link, bytes) or not is_safe_value(link):
                    raise ASGIViolation(f"{kind}: the link {link!r} must be bytes without CR, LF and NUL")

    def _start(self, message: Message) -> None:
        status = _field(message, "status", int, None)
        assert isinstance(status, int)
        if not 200 <= status <= 999:
            raise ASGIViolation(f"http.response.start: {status} is not the status of a final response")
        headers = raw_headers(message.get("headers", ()), "http.response.start")
        lengths = {value for name, value in headers if name == b"content-length"}
        if len(lengths) > 1 or not all(value.isdigit() for value in lengths):
            raise ASGIViolation(f"http.response.start: content-length {sorted(lengths)!r} is not one number")
        self._status = status
        self._declared = int(lengths.pop()) if lengths else None
        self._trailers = bool(_field(message, "trailers", bool, False))
        if self._trailers and "http.response.trailers" not in self._extensions:
            raise ASGIViolation("http.response.start: trailers are promised, but the scope does not offer them")
        self.phase = Phase.BODY

    def _body(self, message: Message) -> None:
        body = _field(message, "body", bytes, b"")
        assert isinstance(body, bytes)
        if body and self._status in (204, 205, 304):
            raise ASGIViolation(f"http.response.body: a response with status {self._status} has no body")
        self.count(len(body), last=not _field(message, "more_body", bool, False))

    def count(self, length: int, *, last: bool) -> None:
        """Takes a part of the body into account, one of a file that is sent by its path too.

        Raises:
            ASGIViolation: The body is not as long as ``Content-Length`` says.
        """
        self._sent += length
        if last:
            self.phase = Phase.TRAILERS if self._trailers else Phase.DONE
        if self._declared is None or self._method == "HEAD" or self._status == 304:
            return
        if self._sent > self._declared or (last and self._sent < self._declared):
            raise ASGIViolation(f"content-length says {self._declared} bytes, but the body has {self._sent}")


class WebSocketChecker(_Checker):
    """The messages of one WebSocket whose client offered these ``subprotocols``."""

    _table = _WEBSOCKET

    def __init__(self, subprotocols: Iterable[str], extensions: Iterable[str]) -> None:
        super().__init__(Phase.CONNECTING, extensions)
        self._subprotocols = tuple(subprotocols)

    def check(self, message: Message) -> None:
        """Moves on by one message.

        Raises:
            ASGIViolation: It may not come now, or not like this.
        """
        kind = self._allow(message)
        if kind == "websocket.accept":
            self._accept(message)
        elif kind == "websocket.send":
            text, data = message.get("text"), message.get("bytes")
            if (text is None) == (data is None):
                raise ASGIViolation("websocket.send: exactly one of 'text' and 'bytes' must be given")
            _field(message, "text" if data is None else "bytes", str if data is None else bytes, None)
        elif kind == "websocket.close":
            self._close(message)
        elif kind == "websocket.http.response.start":
            status = _field(message, "status", int, None)
            raw_headers(message.get("headers", ()), f"{kind} with status {status}")
            self.phase = Phase.DENYING
        else:
            _field(message, "body", bytes, b"")
            if not _field(message, "more_body", bool, False):
                self.phase = Phase.DONE

    def _accept(self, message: Message) -> None:
        chosen = message.get("subprotocol")
        if chosen is not None and chosen not in self._subprotocols:
            raise ASGIViolation(f"websocket.accept: the client did not offer the subprotocol {chosen!r}")
        names = [name for name, _ in raw_headers(message.get("headers", ()), "websocket.accept")]
        if b"sec-websocket-protocol" in names:
            raise ASGIViolation("websocket.accept: the subprotocol belongs in 'subprotocol', not in the headers")
        self.phase = Phase.OPEN

    def _close(self, message: Message) -> None:
        code = _field(message, "code", int, 1000)
        assert isinstance(code, int)
        if not 1000 <= code <= 4999 or code in _RESERVED_CLOSE_CODES:
            raise ASGIViolation(f"websocket.close: {code} cannot be sent as a close code (RFC 6455 section 7.4)")
        if message.get("reason") is not None:
            reason = _field(message, "reason", str, "")
            if len(str(reason).encode()) > 123:
                raise ASGIViolation("websocket.close: the reason is longer than 123 bytes (RFC 6455 section 5.5)")
        self.phase = Phase.DONE
