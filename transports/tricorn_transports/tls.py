"""TLS as a layer of ours: ``ssl.SSLObject`` over memory buffers, between any socket and any connection.

asyncio's own TLS ignores half-close, cannot read a PROXY header before the handshake, and holds 256 KiB a connection;
a layer is also the same on asyncio, uvloop and trio.

Rules of this module: no IO but the reading of certificate files; no event loop; bytes in, bytes out.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tricorn_transports.errors import ConfigError, TransportError

# One TLS record holds at most this much (RFC 8446 section 5.1).
_RECORD = 16_384
_READ = 262_144

_VERSIONS = {"TLSv1.2": 0x0303, "TLSv1.3": 0x0304}


class TlsError(TransportError):
    """The handshake or the record layer failed.

    Attributes:
        is_plain_http: The client spoke HTTP in clear, and can be answered so.
    """

    def __init__(self, message: str, *, is_plain_http: bool = False) -> None:
        super().__init__(message)
        self.is_plain_http = is_plain_http


@dataclass(frozen=True, slots=True)
class TlsContext:
    """A server's side of TLS, loaded once.

    Attributes:
        certificate: The leaf in PEM, for the scope's ``tls`` extension.
        ciphers: IANA numbers by OpenSSL's names.
    """

    context: ssl.SSLContext
    certificate: str
    ciphers: dict[str, int]

    @classmethod
    def load(cls, cert: str, key: str, alpn: Sequence[str]) -> TlsContext:
        """Reads a certificate chain and its key, PEM files both.

        Raises:
            ConfigError: A file cannot be read or is not what it should be, or the two do not belong together.
        """
        chain = _read(cert, "tls_cert")
        private = _read(key, "tls_key")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        # RFC 9113 section 9.2.1: HTTP/2 allows neither compression nor renegotiation.
        context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
        try:
            context.load_cert_chain(cert, key, password=_no_password)
        except ssl.SSLError as error:
            raise ConfigError(_why_refused(error, cert, chain, key, private)) from error
        context.set_alpn_protocols(list(alpn))
        begin = chain.find("-----BEGIN CERTIFICATE-----")
        end = chain.find("-----END CERTIFICATE-----", begin)
        ciphers = {cipher["name"]: cipher["id"] & 0xFFFF for cipher in context.get_ciphers()}
        return cls(context, chain[begin : end + 25] + "\n", ciphers)


class TlsLayer:
    """One connection's TLS."""

    __slots__ = ("_closed", "_context", "_in", "_object", "_out", "is_connected", "is_eof")

    def __init__(self, context: TlsContext) -> None:
        self._context = context
        self._in = ssl.MemoryBIO()
        self._out = ssl.MemoryBIO()
        self._object = context.context.wrap_bio(self._in, self._out, server_side=True)
        self._closed = False
        self.is_connected = False
        """The handshake is complete."""
        self.is_eof = False
        """The peer sent its close_notify; we may still write (RFC 8446 section 6.1)."""

    def receive(self, data: bytes) -> list[bytes]:
        """Takes bytes from the socket and returns what they decrypt to.

        Raises:
            TlsError: The handshake failed or a record is bad. ``data_to_send`` may hold an alert.
        """
        if self.is_eof:
            return []
        self._in.write(data)
        parts: list[bytes] = []
        try:
            if not self.is_connected:
                self._object.do_handshake()
                self.is_connected = True
            while part := self._object.read(_READ):
                parts.append(part)
            self.is_eof = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.is_eof = True
        except ssl.SSLError as error:
            if error.reason == "HTTP_REQUEST":
                raise TlsError("plain HTTP on an HTTPS port", is_plain_http=True) from error
            raise TlsError(f"TLS failed: {(error.reason or str(error)).replace('_', ' ').lower()}") from error
        if self.is_eof:
            self._in.read()  # RFC 8446 section 6.1: what comes behind is ignored, and must not pile up here
        return parts

    def send(self, parts: Iterable[bytes]) -> None:
        """Encrypts. The result is in ``data_to_send``."""
        if self._closed:
            return
        pending: list[bytes] = []
        size = 0
        for part in parts:
            # Small parts share a record: each record costs some 30 bytes and one call.
            if size + len(part) > _RECORD and pending:
                self._object.write(b"".join(pending))
                pending.clear()
                size = 0
            if len(part) >= _RECORD:
                self._object.write(part)
            else:
                pending.append(part)
                size += len(part)
        if pending:
            self._object.write(pending[0] if len(pending) == 1 else b"".join(pending))

    def close(self) -> None:
        """Queues our close_notify; nothing can be sent after it."""
        if self._closed or not self.is_connected:
            return
        self._closed = True
        try:
            self._object.unwrap()
        except ssl.SSLError:
            # The peer's own close_notify has not come yet, which unwrap() would like to wait for; ours is queued.
            return

    def data_to_send(self) -> bytes:
        """What goes to the socket."""
        return self._out.read() if self._out.pending else b""

    @property
    def alpn(self) -> str | None:
        """The negotiated protocol ID."""
        return self._object.selected_alpn_protocol()

    def info(self) -> dict[str, Any]:
        """The ``tls`` extension of the scope (ASGI TLS extension 0.2)."""
        cipher = self._object.cipher()
        return {
            "server_cert": self._context.certificate,
            "client_cert_chain": (),
            "client_cert_name": None,
            "client_cert_error": None,
            "tls_version": _VERSIONS.get(self._object.version() or ""),
            "cipher_suite": self._context.ciphers.get(cipher[0]) if cipher else None,
        }


def _read(path: str, setting: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read()
    except OSError as error:
        raise ConfigError(f"{setting}: cannot read {path}: {error.strerror}") from error


#: What OpenSSL calls it when a key is another one's; the last where the two are not even of one kind.
_MISMATCHES = frozenset(("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED"))


def _why_refused(error: ssl.SSLError, cert: str, chain: str, key: str, private: str) -> str:
    """One line about a certificate and key; OpenSSL's own words ("PEM lib", "no certificate assigned") help nobody."""
    if "-----BEGIN CERTIFICATE-----" not in chain:
        return f"tls_cert: {cert} holds no certificate in PEM form"
    if "PRIVATE KEY-----" not in private:
        return f"tls_key: {key} holds no private key in PEM form"
    if error.reason in _MISMATCHES:
        return f"tls_key: {key} is not the key of the certificate in {cert}"
    if error.reason:  # a key that is too short, a signature with a hash that is too weak
        return f"tls_cert: OpenSSL refuses {cert}: {error.reason.replace('_', ' ').lower()}"
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=chain)
    except ssl.SSLError:
        return f"tls_cert: {cert} is damaged"
    return f"tls_key: {key} is damaged"


def _no_password() -> str:
    raise ConfigError("tls_key: the key is encrypted; give one without a passphrase")
