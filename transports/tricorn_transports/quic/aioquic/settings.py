"""aioquic's configuration from ours, and the certificate files that it loads.

Rules of this module: files are read here, once per endpoint, and what is wrong with them is a ``ConfigError`` that
names the file. Session tickets stay off: with them aioquic always accepts 0-RTT, which may be a replay (RFC 8470).
"""

from __future__ import annotations

from aioquic.quic.configuration import QuicConfiguration
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509 import Certificate, load_pem_x509_certificates

from tricorn_transports.config import Limits, Timeouts
from tricorn_transports.errors import ConfigError
from tricorn_transports.quic.endpoint import CONNECTION_ID_SIZE

#: UDP payload bytes that pass on every path that carries QUIC at all (RFC 9000 section 14). aioquic does not look
#: for more.
_DATAGRAM_SIZE = 1200

#: A connection that is negotiated to idle less than this many seconds would not live through one lost packet.
_LEAST_IDLE = 5.0


def configuration(limits: Limits, timeouts: Timeouts, *, cert: str, key: str) -> QuicConfiguration:
    """The settings of every connection of one endpoint.

    Args:
        cert: Path of a PEM file with the certificate and its chain, the leaf first.
        key: Path of a PEM file with the leaf's private key.

    Raises:
        ConfigError: A file cannot be read, is not what it should be, or the two do not belong together.
    """
    chain = _certificates(cert)
    private_key = _private_key(key)
    if _public(private_key.public_key()) != _public(chain[0].public_key()):
        raise ConfigError(f"tls_key: {key} is not the key of the certificate in {cert}")
    return QuicConfiguration(
        is_client=False,
        alpn_protocols=["h3"],
        certificate=chain[0],
        certificate_chain=chain[1:],
        private_key=private_key,
        connection_id_length=CONNECTION_ID_SIZE,
        idle_timeout=max(timeouts.keep_alive_timeout, timeouts.handshake_timeout, _LEAST_IDLE),
        max_data=limits.connection_receive_buffer,
        max_stream_data=limits.stream_receive_buffer,
        max_datagram_size=_DATAGRAM_SIZE,
    )


def certificate_pem(settings: QuicConfiguration) -> str:
    """The leaf certificate, for the ``tls`` extension of the scope."""
    certificate: Certificate = settings.certificate
    return certificate.public_bytes(Encoding.PEM).decode("ascii")


def _certificates(path: str) -> list[Certificate]:
    try:
        return load_pem_x509_certificates(_read(path, "tls_cert"))
    except ValueError as error:
        raise ConfigError(f"tls_cert: {path} holds no PEM certificate") from error


def _private_key(path: str) -> PrivateKeyTypes:
    try:
        return load_pem_private_key(_read(path, "tls_key"), password=None)
    except TypeError as error:
        raise ConfigError(f"tls_key: {path} is encrypted; give a key without a password") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"tls_key: {path} holds no PEM private key") from error


def _read(path: str, setting: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise ConfigError(f"{setting}: {path} cannot be read: {error.strerror}") from error


def _public(key: object) -> bytes:
    encoded: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined]  # a union of key classes that all have it
    return encoded
