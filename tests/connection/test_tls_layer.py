"""TLS as a layer: bytes in, bytes out, against the ssl module's own client."""

from __future__ import annotations

import re
import ssl
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from tricorn_transports.errors import ConfigError
from tricorn_transports.tls import TlsContext, TlsError, TlsLayer


class TlsClient:
    def __init__(self, ca, alpn):
        context = ssl.create_default_context(cafile=ca)
        context.set_alpn_protocols(alpn)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")

    def shake_hands(self):
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def read(self):
        data = b""
        try:
            while part := self.tls.read(65_536):
                data += part
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            data += b"<end>"
        return data


@pytest.fixture(params=[1, 7, 100_000], ids=lambda size: f"by-{size}")
def pair(request, certificate):
    """A layer and a client after their handshake, whose bytes came in pieces of one size."""
    layer = TlsLayer(TlsContext.load(certificate.cert, certificate.key, ["h2", "http/1.1"]))
    client = TlsClient(certificate.ca, ["http/1.1"])

    def exchange():
        received = []
        data = client.outgoing.read()
        for start in range(0, len(data), request.param):
            received += layer.receive(data[start : start + request.param])
        client.incoming.write(layer.data_to_send())
        return b"".join(received)

    done = False
    for _ in range(5):
        done = done or client.shake_hands()
        exchange()
    assert done
    assert layer.is_connected
    return layer, client, exchange


def test_the_protocol_is_negotiated(pair):
    layer, client, _ = pair
    assert layer.alpn == client.tls.selected_alpn_protocol() == "http/1.1"
    info = layer.info()
    assert info["tls_version"] == 0x0304
    assert info["cipher_suite"] == {"TLS_AES_256_GCM_SHA384": 0x1302, "TLS_AES_128_GCM_SHA256": 0x1301}.get(
        client.tls.cipher()[0], 0x1303
    )


def test_bytes_go_both_ways(pair):
    layer, client, exchange = pair
    client.tls.write(b"a" * 50_000)
    assert exchange() == b"a" * 50_000
    parts = [b"small", b"b" * 100_000, b"", b"x" * 16_384, b"end"]
    layer.send(parts)
    exchange()
    assert client.read() == b"".join(parts)


def test_the_clients_end_leaves_our_side_open(pair):
    layer, client, exchange = pair
    client.tls.write(b"last")
    with pytest.raises(ssl.SSLWantReadError):
        client.tls.unwrap()
    assert exchange() == b"last"
    assert layer.is_eof
    layer.send([b"answer"])
    layer.close()
    exchange()
    assert client.read().startswith(b"answer")


def test_our_end_is_a_close_notify_and_the_last_word(pair):
    layer, client, exchange = pair
    layer.send([b"bye"])
    layer.close()
    layer.close()
    layer.send([b"too late"])
    exchange()
    assert client.read() in (b"bye<end>", b"bye")
    assert layer.data_to_send() == b""


def test_a_bad_record_is_an_error_with_an_alert(pair):
    layer, _, _ = pair
    with pytest.raises(TlsError, match="TLS failed"):
        layer.receive(b"\x17\x03\x03\x00\x20" + b"x" * 32)
    assert layer.data_to_send()


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n", b"POST /a", b"PUT / HTTP"])
def test_plain_http_is_recognised(certificate, data):
    layer = TlsLayer(TlsContext.load(certificate.cert, certificate.key, ["http/1.1"]))
    with pytest.raises(TlsError, match="plain HTTP") as caught:
        layer.receive(data)
    assert caught.value.is_plain_http


def test_garbage_is_not_taken_for_http(certificate):
    layer = TlsLayer(TlsContext.load(certificate.cert, certificate.key, ["http/1.1"]))
    with pytest.raises(TlsError) as caught:
        layer.receive(b"\x00\x01\x02\x03" * 10)
    assert not caught.value.is_plain_http
    assert not layer.is_connected


def test_files_that_cannot_be_used_are_named(certificate, tmp_path):
    missing = str(tmp_path / "none.pem")
    with pytest.raises(ConfigError, match=r"tls_cert: cannot read .*none\.pem"):
        TlsContext.load(missing, certificate.key, [])
    with pytest.raises(ConfigError, match=r"tls_key: cannot read .*none\.pem"):
        TlsContext.load(certificate.cert, missing, [])


@pytest.fixture
def files(certificate, tmp_path):
    """PEM files by name: good ones, and those of the usual accidents."""

    def write(name, data):
        (tmp_path / name).write_bytes(data)
        return str(tmp_path / name)

    def pem(key, *password):
        protection = BestAvailableEncryption(*password) if password else NoEncryption()
        return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, protection)

    weak = rsa.generate_private_key(65537, 1024)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    start = datetime(2020, 1, 1, tzinfo=UTC)
    weak_cert = x509.CertificateBuilder(name, name, weak.public_key(), 1, start, start + timedelta(days=9999))
    return {
        "cert": certificate.cert,
        "key": certificate.key,
        "text": write("text.pem", b"nothing of the kind"),
        "binary": write("binary.pem", b"\x30\x82\xff\xfe" * 20),
        "damaged cert": write("damaged.pem", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
        "damaged key": write("damaged-key.pem", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
        "other key": write("other.pem", pem(ec.generate_private_key(ec.SECP256R1()))),
        "key of another kind": write("kind.pem", pem(ed25519.Ed25519PrivateKey.generate())),
        "encrypted key": write("encrypted.pem", pem(ec.generate_private_key(ec.SECP256R1()), b"secret")),
        "weak cert": write("weak.pem", weak_cert.sign(weak, hashes.SHA256()).public_bytes(Encoding.PEM)),
        "weak key": write("weak-key.pem", pem(weak)),
    }


@pytest.mark.parametrize(
    ("cert", "key", "message"),
    [
        ("text", "key", r"tls_cert: .*text\.pem holds no certificate in PEM form"),
        ("binary", "key", r"tls_cert: .*binary\.pem holds no certificate in PEM form"),
        ("key", "cert", r"tls_cert: \S+ holds no certificate in PEM form"),
        ("cert", "text", r"tls_key: .*text\.pem holds no private key in PEM form"),
        ("cert", "other key", r"tls_key: .*other\.pem is not the key of the certificate in \S+"),
        ("cert", "key of another kind", r"tls_key: .*kind\.pem is not the key of the certificate in \S+"),
        ("cert", "encrypted key", r"tls_key: the key is encrypted; give one without a passphrase"),
        ("damaged cert", "key", r"tls_cert: .*damaged\.pem is damaged"),
        ("cert", "damaged key", r"tls_key: .*damaged-key\.pem is damaged"),
        ("weak cert", "weak key", r"tls_cert: OpenSSL refuses .*weak\.pem: ee key too small"),
    ],
)
def test_what_is_wrong_with_a_certificate_or_key_is_said(files, cert, key, message):
    with pytest.raises(ConfigError) as caught:
        TlsContext.load(files[cert], files[key], ["h2"])
    assert re.fullmatch(message, str(caught.value))
