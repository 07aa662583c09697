"""Which authorities a certificate speaks for (RFC 9110 section 4.3.4, RFC 9525).

Rules of this module: it reads a file once and answers from memory after that. Only subject alternative names count;
browsers have long ceased to look at the common name.
"""

from __future__ import annotations

from ipaddress import ip_address

from tricorn_transports.errors import ConfigError
from tricorn_transports.http.authority import split_authority

_MEMO_SIZE = 256


class ServedNames:
    """The names and addresses that one certificate holds.

    Args:
        names: DNS names in lower case; one that begins with ``*.`` stands for any single label in its place.
        addresses: IP addresses in their usual spelling.
    """

    __slots__ = ("_addresses", "_memo", "_names")

    def __init__(self, names: frozenset[str], addresses: frozenset[str]) -> None:
        self._names = names
        self._addresses = addresses
        self._memo: dict[bytes, bool] = {}

    @classmethod
    def load(cls, cert: str) -> ServedNames | None:
        """Reads the first certificate of a PEM file; ``None`` if it names nothing, so that nothing can be held to it.

        Raises:
            ConfigError: The file cannot be read, or holds no certificate.
        """
        from cryptography import x509  # comes with aioquic; a server in clear has no need of it

        try:
            with open(cert, "rb") as file:
                leaf = x509.load_pem_x509_certificate(file.read())
            held = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except OSError as error:
            raise ConfigError(f"tls_cert: cannot read {cert}: {error.strerror}") from error
        except x509.ExtensionNotFound:
            return None
        except ValueError as error:
            raise ConfigError(f"tls_cert: {cert} holds no certificate in PEM form") from error
        names = frozenset(name.lower() for name in held.get_values_for_type(x509.DNSName))
        addresses = frozenset(str(address) for address in held.get_values_for_type(x509.IPAddress))
        return cls(names, addresses) if names or addresses else None

    def covers(self, authority: bytes) -> bool:
        """Whether the certificate is one of ``authority``'s.

        True as well where it cannot be known: an HTTP/1.0 request without Host, and an address where the certificate
        holds none, as health checks have it that know no name.
        """
        known = self._memo.get(authority)
        if known is None:
            if len(self._memo) >= _MEMO_SIZE:  # authorities are the clients' choice
                self._memo.clear()
            known = self._memo[authority] = self._covers(authority)
        return known

    def _covers(self, authority: bytes) -> bool:
        parts = split_authority(authority)
        if parts is None:
            return False
        host = parts[0].decode("ascii").lower().removesuffix(".")
        if not host:
            return True
        try:
            address = ip_address(host.strip("[]"))
        except ValueError:
            return host in self._names or "*." + host.partition(".")[2] in self._names
        return not self._addresses or str(address) in self._addresses
