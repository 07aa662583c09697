"""A certificate for this machine, signed by an authority that exists nowhere else.

Rules of this module: private keys are written with mode 0600 and never leave the directory, which ignores itself in
git. The authority may sign for private names only (RFC 5280 section 4.2.1.10), so that its key, stolen after a
developer has trusted it, opens no public site's name. The leaf is no authority: browsers refuse one that is, for
HTTP/3 above all.
"""

from __future__ import annotations

import getpass
import ipaddress
import os
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tricorn_transports.errors import ConfigError

_CA_LIFE = timedelta(days=3650)
# Apple's limit for certificates from an authority that the user added is 825 days.
_LEAF_LIFE = timedelta(days=397)
_RENEW_BEFORE = timedelta(days=30)
# A clock that was set back a little must not make a new certificate a future one.
_BACKDATED = timedelta(days=1)

_LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")

_PERMITTED_NAMES = ("localhost", "local", "test", "internal", "home.arpa")
_PERMITTED_NETWORKS = (
    "127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16",
    "::1/128", "fc00::/7", "fe80::/10",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class DevCertificate:
    """Paths of PEM files.

    Attributes:
        cert: The leaf with its authority after it.
        authority: What a developer tells the browser to trust.
        is_new_authority: It was made just now, and nobody can have trusted it yet.
    """

    cert: Path
    key: Path
    authority: Path
    is_new_authority: bool


def default_directory() -> Path:
    """``.tricorn`` in the current directory, or the user's cache directory where that cannot be written."""
    here = Path.cwd()
    if os.access(here, os.W_OK):
        return here / ".tricorn"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tricorn"


def ensure_certificate(directory: Path, hosts: Iterable[str] = (), *, now: datetime | None = None) -> DevCertificate:
    """The certificate in ``directory``: the one that is there while it is good, else a new one.

    Args:
        hosts: Names and addresses beyond localhost; public ones are left out, as the authority may not sign them.
        now: The time to judge expiry by.

    Raises:
        ConfigError: The directory cannot be written.
    """
    now = now or datetime.now(UTC)
    result = DevCertificate(
        directory / "localhost.pem", directory / "localhost-key.pem", directory / "authority.pem", False
    )
    wanted = _names([*_LOCAL_HOSTS, *hosts])
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        (directory / ".gitignore").write_text("*\n")
        authority, is_new = _authority(directory, now)
        if is_new or not _is_good(result, authority[0], wanted, now):
            _make_leaf(result, authority, wanted, now)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ConfigError(f"dev: the certificate cannot be kept in {directory}: {reason}") from error
    return DevCertificate(result.cert, result.key, result.authority, is_new)


_Authority = tuple[x509.Certificate, ec.EllipticCurvePrivateKey]


def _authority(directory: Path, now: datetime) -> tuple[_Authority, bool]:
    cert_path, key_path = directory / "authority.pem", directory / "authority-key.pem"
    loaded = _load(cert_path, key_path)
    # It has to outlive the leaves that it signs.
    if loaded is not None and loaded[0].not_valid_after_utc > now + _LEAF_LIFE:
        return loaded, False
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Tricorn development authority"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"Tricorn development ({_owner()})"),
        ]
    )
    # Names only: BoringSSL, in many HTTP/3 clients, refuses a chain in which addresses are constrained.
    permitted: list[x509.GeneralName] = [x509.DNSName(each) for each in _PERMITTED_NAMES]
    cert = (
        _builder(name, name, key.public_key(), now, _CA_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(x509.NameConstraints(permitted, None), critical=True)
        .sign(key, hashes.SHA256())
    )
    _write(key_path, _pem(key))
    _write(cert_path, cert.public_bytes(Encoding.PEM))
    return (cert, key), True


def _make_leaf(paths: DevCertificate, authority: _Authority, names: list[x509.GeneralName], now: datetime) -> None:
    issuer, issuer_key = authority
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    cert = (
        _builder(subject, issuer.subject, key.public_key(), now, _LEAF_LIFE)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )
    _write(paths.key, _pem(key))
    _write(paths.cert, cert.public_bytes(Encoding.PEM) + issuer.public_bytes(Encoding.PEM))


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, life: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + life - _BACKDATED)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _is_good(paths: DevCertificate, issuer: x509.Certificate, names: list[x509.GeneralName], now: datetime) -> bool:
    loaded = _load(paths.cert, paths.key)
    if loaded is None or loaded[0].not_valid_after_utc <= now + _RENEW_BEFORE:
        return False
    try:
        loaded[0].verify_directly_issued_by(issuer)
        present = loaded[0].extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, TypeError, x509.ExtensionNotFound, _invalid_signature()):
        return False
    return set(names) <= set(present)


def _invalid_signature() -> type[Exception]:
    from cryptography.exceptions import InvalidSignature

    return InvalidSignature


def _load(cert_path: Path, key_path: Path) -> _Authority | None:
    """A certificate and its key, or ``None`` when they are absent, damaged or do not belong together."""
    try:
        cert = x509.load_pem_x509_certificate(cert_path.read_bytes())
        key = load_pem_private_key(key_path.read_bytes(), None)
    except (FileNotFoundError, ValueError, TypeError):
        return None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != cert.public_key():
        return None
    return cert, key


def _names(hosts: Iterable[str]) -> list[x509.GeneralName]:
    names: dict[x509.GeneralName, None] = {}
    for host in hosts:
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            if any(host == name or host.endswith(f".{name}") for name in _PERMITTED_NAMES):
                names[x509.DNSName(host)] = None
            continue
        networks = map(ipaddress.ip_network, _PERMITTED_NETWORKS)
        if any(address.version == network.version and address in network for network in networks):
            names[x509.IPAddress(address)] = None
    return list(names)


def _owner() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a user number without a name, as in containers
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"[:40]


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _write(path: Path, data: bytes) -> None:
    """Writes in one step, readable by the owner only."""
    new = path.with_suffix(f".{os.getpid()}.new")
    new.unlink(missing_ok=True)
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
    new.replace(path)
