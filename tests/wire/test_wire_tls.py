"""TLS on TCP: which protocol a handshake brings, and what is no handshake."""

from __future__ import annotations

import ssl

import pytest

pytestmark = pytest.mark.over("h1-tls")


@pytest.fixture
def versions(answer):
    async def app(scope, receive, send):
        if scope["type"] == "http":
            await answer(send, scope["http_version"].encode())

    return app


def test_a_client_without_alpn_speaks_http_1(net, versions):
    net.client(versions)
    context = ssl.create_default_context(cafile=net.certificate.ca)
    wire = net.wire(tls=False)
    wire.sock.setblocking(True)
    with context.wrap_socket(wire.sock, server_hostname="localhost") as sock:
        assert sock.selected_alpn_protocol() is None
        sock.sendall(b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        data = b""
        while part := sock.recv(65_536):
            data += part
    assert data.startswith(b"HTTP/1.1 200 OK\r\n")
    assert data.endswith(b"\r\n\r\n1.1")


def test_http2_is_what_a_client_gets_that_takes_either(net, versions):
    net.client(versions)
    context = ssl.create_default_context(cafile=net.certificate.ca)
    context.set_alpn_protocols(["http/1.1", "h2"])
    wire = net.wire(tls=False)
    wire.sock.setblocking(True)
    with context.wrap_socket(wire.sock, server_hostname="localhost") as sock:
        assert sock.selected_alpn_protocol() == "h2"


def test_plain_http_on_the_tls_port_is_told_so(net, versions):
    net.client(versions)
    wire = net.wire(tls=False)
    wire.send(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
    answer = wire.read_all()
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b"content-length: %d\r\n" % len(body) in head
    assert body == b"This port speaks HTTPS only\n"
    assert b"\r\ndate: " in head


def test_garbage_is_no_handshake(net, versions, caplog):
    client = net.client(versions)
    wire = net.wire(tls=False)
    wire.send(bytes(range(256)) * 4)
    assert not wire.read_all().startswith(b"HTTP")
    assert len([record for record in caplog.records if record.name == "tricorn.server"]) <= 1
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
    assert client.request("GET", "/").status == 200


def test_garbage_within_the_records_ends_the_connection(net, versions, caplog, eventually):
    client = net.client(versions)
    client.wire.sock.setblocking(True)
    client.wire.sock.sendall(b"\x17\x03\x03\x00\x20" + b"x" * 32)
    client.wire.sock.settimeout(10)
    while client.wire.sock.recv(65_536):
        pass
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
    assert net.connect().request("GET", "/").status == 200


def test_a_client_that_trusts_nobody_disturbs_nobody(net, versions, caplog):
    client = net.client(versions)
    wire = net.wire(tls=False)
    wire.sock.setblocking(True)
    with pytest.raises(ssl.SSLCertVerificationError):
        ssl.create_default_context().wrap_socket(wire.sock, server_hostname="localhost")
    assert client.request("GET", "/").status == 200
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_the_server_ends_with_a_close_notify(net, versions):
    client = net.client(versions)
    client.request("GET", "/", [(b"connection", b"close")])
    client.wait(lambda: client.closed, "the end")
    assert client.wire.close_notify


def test_tls_1_2_works(net, versions):
    net.client(versions)
    context = ssl.create_default_context(cafile=net.certificate.ca)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    wire = net.wire(tls=False)
    wire.sock.setblocking(True)
    with context.wrap_socket(wire.sock, server_hostname="localhost") as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert sock.recv(65_536).startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_tls_1_1_is_refused(net, versions):
    net.client(versions)
    context = ssl.create_default_context(cafile=net.certificate.ca)
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    wire = net.wire(tls=False)
    wire.sock.setblocking(True)
    with pytest.raises(ssl.SSLError):
        context.wrap_socket(wire.sock, server_hostname="localhost")
