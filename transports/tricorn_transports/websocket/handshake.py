"""The WebSocket opening handshake on any HTTP version (RFC 6455 section 4.2, RFC 8441, RFC 9220).

Rules of this module: pure; it needs no WebSocket library. What is wrong with a request is one ``HandshakeError`` that
carries the status and fields of the answer. The fields of the upgrade itself (101, ``upgrade``, ``connection``) belong
to the engine: HTTP/2 and 3 have none.
"""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from dataclasses import dataclass
from hashlib import sha1
from typing import NamedTuple

from tricorn_transports.errors import LocalProtocolError, RemoteProtocolError
from tricorn_transports.events import RawHeaders, RequestStarted
from tricorn_transports.http.fields import is_token, parse_parameters, split_list

#: RFC 6455 section 1.3.
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_VERSION = b"13"
#: zlib has no window of 256 bytes for raw deflate, so 8 cannot be agreed to.
_MIN_BITS, _MAX_BITS = 9, 15
#: Windows of 4 KiB: most of the compression for a tenth of the memory that a connection would hold with 32 KiB.
_OUR_BITS = 12
_DEFLATE_NAMES = frozenset(
    ("server_no_context_takeover", "client_no_context_takeover", "server_max_window_bits", "client_max_window_bits")
)


class HandshakeError(RemoteProtocolError):
    """The request is no valid WebSocket handshake.

    Attributes:
        status: Of the answer.
        headers: What that answer must carry.
    """

    def __init__(self, message: str, *, status: int = 400, headers: RawHeaders | None = None) -> None:
        super().__init__(message, status_hint=status)
        self.status = status
        self.headers: RawHeaders = headers or []


@dataclass(frozen=True, slots=True)
class Deflate:
    """permessage-deflate as agreed with one client (RFC 7692 section 7.1).

    Attributes:
        server_bits, client_bits: Size of each side's window, as a power of two: 9 to 15.
        server_takeover, client_takeover: Whether that side's window lives on from message to message.
    """

    server_bits: int = _MAX_BITS
    client_bits: int = _MAX_BITS
    server_takeover: bool = True
    client_takeover: bool = True

    def to_header(self) -> bytes:
        """The member of ``sec-websocket-extensions`` that tells the client."""
        parts = [b"permessage-deflate"]
        if not self.server_takeover:
            parts.append(b"server_no_context_takeover")
        if not self.client_takeover:
            parts.append(b"client_no_context_takeover")
        if self.server_bits != _MAX_BITS:
            parts.append(b"server_max_window_bits=%d" % self.server_bits)
        if self.client_bits != _MAX_BITS:
            parts.append(b"client_max_window_bits=%d" % self.client_bits)
        return b"; ".join(parts)


class Accepted(NamedTuple):
    """What the server agrees to.

    Attributes:
        headers: For ``HttpEngine.accept_tunnel``, beside the application's own.
    """

    headers: RawHeaders
    deflate: Deflate | None


@dataclass(frozen=True, slots=True)
class Handshake:
    """A valid request for a WebSocket.

    Attributes:
        key: ``sec-websocket-key``; ``None`` for an extended CONNECT, which needs no proof.
        subprotocols: What the client offers, best first, for the scope.
        deflate: What permessage-deflate could be, if the client offers it in terms that can be kept.
    """

    key: bytes | None
    subprotocols: list[str]
    deflate: Deflate | None

    @classmethod
    def read(cls, request: RequestStarted) -> Handshake:
        """Checks an Upgrade request of HTTP/1.1 or an extended CONNECT of HTTP/2 and 3.

        Raises:
            HandshakeError: RFC 6455 section 4.2.1 is broken (400), or the version is not 13 (426 with the one that is).
        """
        is_upgrade = request.http_version in ("1.0", "1.1")
        if request.protocol != b"websocket" or request.method != (b"GET" if is_upgrade else b"CONNECT"):
            raise HandshakeError("the request does not ask for a WebSocket")
        single: dict[bytes, bytes] = {}
        protocols: list[str] = []
        extensions: list[str] = []
        for name, value in request.headers:
            if name == b"sec-websocket-protocol":
                protocols += split_list(value.decode("latin-1"))
            elif name == b"sec-websocket-extensions":
                extensions += split_list(value.decode("latin-1"))
            elif name in (b"sec-websocket-key", b"sec-websocket-version"):
                if name in single:
                    raise HandshakeError(f"more than one {name.decode()} field")
                single[name] = value
        if single.get(b"sec-websocket-version") != _VERSION:
            raise HandshakeError("the WebSocket version is not 13", status=426, headers=_upgrade_required(is_upgrade))
        key = single.get(b"sec-websocket-key") if is_upgrade else None
        if is_upgrade and not _is_key(key):
            raise HandshakeError("sec-websocket-key is not 16 bytes in base64")
        if not all(map(is_token, protocols)) or len(set(protocols)) != len(protocols):
            raise HandshakeError("sec-websocket-protocol is no list of different tokens")
        return cls(key, protocols, _choose_deflate(extensions))

    def accept(self, subprotocol: str | None = None, *, compress: bool = True) -> Accepted:
        """Agrees to the WebSocket.

        Args:
            subprotocol: The application's choice among ``subprotocols``.
            compress: Whether to agree to ``deflate``, if there is one.

        Raises:
            LocalProtocolError: The client did not offer ``subprotocol`` (RFC 6455 section 4.2.2).
        """
        headers: RawHeaders = []
        if self.key is not None:
            headers.append((b"sec-websocket-accept", accept_token(self.key)))
        if subprotocol is not None:
            if subprotocol not in self.subprotocols:
                raise LocalProtocolError(f"the client does not offer the subprotocol {subprotocol!r}")
            headers.append((b"sec-websocket-protocol", subprotocol.encode("ascii")))
        deflate = self.deflate if compress else None
        if deflate is not None:
            headers.append((b"sec-websocket-extensions", deflate.to_header()))
        return Accepted(headers, deflate)


def accept_token(key: bytes) -> bytes:
    """``sec-websocket-accept`` for a key (RFC 6455 section 4.2.2, step 5)."""
    return b64encode(sha1(key + _GUID, usedforsecurity=False).digest())


def _upgrade_required(is_upgrade: bool) -> RawHeaders:
    """RFC 6455 section 4.4; RFC 9110 section 15.5.22 wants ``upgrade`` with a 426 where there is an Upgrade."""
    fields = [(b"sec-websocket-version", _VERSION)]
    return [*fields, (b"upgrade", b"websocket"), (b"connection", b"upgrade")] if is_upgrade else fields


def _is_key(key: bytes | None) -> bool:
    if key is None or len(key) != 24:
        return False
    try:
        return len(b64decode(key, validate=True)) == 16
    except binascii.Error:
        return False


def _choose_deflate(offers: list[str]) -> Deflate | None:
    """The first offer of permessage-deflate that can be kept; any other is declined by silence (RFC 7692 section 5)."""
    for offer in offers:
        name, parameters = parse_parameters(offer)
        if name.strip().lower() != "permessage-deflate" or len(parameters) != offer.count(";"):
            continue
        agreed = _agree(parameters)
        if agreed is not None:
            return agreed
    return None


def _agree(parameters: dict[str, str]) -> Deflate | None:
    """RFC 7692 section 7.1. The client's window may only be limited where it says that it can."""
    if not _DEFLATE_NAMES.issuperset(parameters):
        return None
    server_bits = client_bits = _MAX_BITS
    for name, value in parameters.items():
        if name.endswith("_no_context_takeover"):
            if value:
                return None
            continue
        if name == "client_max_window_bits" and not value:
            client_bits = _OUR_BITS
            continue
        if not value.isascii() or not value.isdecimal() or value[0] == "0" or not 8 <= int(value) <= _MAX_BITS:
            return None
        if name == "client_max_window_bits":
            # 8 is a promise that any larger window keeps, but the answer must not exceed what was offered.
            if int(value) < _MIN_BITS:
                return None
            client_bits = min(int(value), _OUR_BITS)
        else:
            server_bits = int(value)
    if server_bits < _MIN_BITS:
        return None
    return Deflate(
        min(server_bits, _OUR_BITS),
        client_bits,
        "server_no_context_takeover" not in parameters,
        "client_no_context_takeover" not in parameters,
    )
