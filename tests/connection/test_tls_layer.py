"""TLS as a layer: bytes in, bytes out, against the ssl module's own client."""

from __future__ import annotations

import ssl

import pytest

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
    other = tmp_path / "text.pem"
    other.write_text("no key at all")
    with pytest.raises(ConfigError, match=r"text\.pem"):
        TlsContext.load(certificate.cert, str(other), [])
