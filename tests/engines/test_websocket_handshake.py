"""The WebSocket opening handshake over HTTP/1.1, 2 and 3."""

from __future__ import annotations

import pytest

from tricorn_transports.errors import LocalProtocolError
from tricorn_transports.events import RequestStarted
from tricorn_transports.websocket.handshake import Deflate, Handshake, HandshakeError, accept_token

KEY = (b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ==")
VERSION = (b"sec-websocket-version", b"13")


def upgrade(*headers, method=b"GET", protocol=b"websocket"):
    return RequestStarted(1, method, b"/ws", b"http", b"a", list(headers), "1.1", protocol=protocol)


def connect(*headers, version="2"):
    return RequestStarted(1, b"CONNECT", b"/ws", b"https", b"a", list(headers), version, protocol=b"websocket")


def extensions(*offers):
    return upgrade(KEY, VERSION, *((b"sec-websocket-extensions", offer) for offer in offers))


def test_the_rfcs_own_example():
    assert accept_token(b"dGhlIHNhbXBsZSBub25jZQ==") == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    handshake = Handshake.read(upgrade(KEY, VERSION))
    assert handshake.subprotocols == []
    assert handshake.accept().headers == [(b"sec-websocket-accept", b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")]


@pytest.mark.parametrize("version", ["2", "3"])
def test_extended_connect_needs_no_key(version):
    handshake = Handshake.read(connect(VERSION, version=version))
    assert handshake.key is None
    assert handshake.accept().headers == []


@pytest.mark.parametrize(
    "request_",
    [
        upgrade(VERSION),
        upgrade(VERSION, KEY, KEY),
        upgrade(VERSION, VERSION, KEY),
        upgrade(VERSION, (b"sec-websocket-key", b"c2hvcnQ=")),
        upgrade(VERSION, (b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25j*Q==")),
        upgrade(VERSION, (b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZWFh")),
        upgrade(VERSION, KEY, method=b"POST"),
        upgrade(VERSION, KEY, protocol=b"h2c"),
        upgrade(VERSION, KEY, (b"sec-websocket-protocol", b"a b")),
        upgrade(VERSION, KEY, (b"sec-websocket-protocol", b"a, a")),
    ],
)
def test_a_wrong_handshake_is_a_400(request_):
    with pytest.raises(HandshakeError) as caught:
        Handshake.read(request_)
    assert caught.value.status == caught.value.status_hint == 400
    assert caught.value.headers == []


@pytest.mark.parametrize("fields", [(KEY,), (KEY, (b"sec-websocket-version", b"8"))])
def test_another_version_is_a_426(fields):
    with pytest.raises(HandshakeError) as caught:
        Handshake.read(upgrade(*fields))
    assert caught.value.status == 426
    assert caught.value.headers == [VERSION, (b"upgrade", b"websocket"), (b"connection", b"upgrade")]


def test_a_426_over_http_2_has_no_upgrade():
    with pytest.raises(HandshakeError) as caught:
        Handshake.read(connect())
    assert caught.value.headers == [VERSION]


def test_subprotocols():
    handshake = Handshake.read(
        upgrade(KEY, VERSION, (b"sec-websocket-protocol", b"chat, v2.chat"), (b"sec-websocket-protocol", b"x"))
    )
    assert handshake.subprotocols == ["chat", "v2.chat", "x"]
    assert (b"sec-websocket-protocol", b"x") in handshake.accept("x").headers
    with pytest.raises(LocalProtocolError, match="'other'"):
        handshake.accept("other")


@pytest.mark.parametrize(
    ("offers", "header"),
    [
        ([b"permessage-deflate"], b"permessage-deflate; server_max_window_bits=12"),
        (
            [b"permessage-deflate; client_max_window_bits"],
            b"permessage-deflate; server_max_window_bits=12; client_max_window_bits=12",
        ),
        (
            [b"x-other, permessage-deflate; client_max_window_bits=10; server_max_window_bits=9"],
            b"permessage-deflate; server_max_window_bits=9; client_max_window_bits=10",
        ),
        (
            [b"permessage-deflate; server_no_context_takeover; client_no_context_takeover"],
            b"permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=12",
        ),
        (
            [b"permessage-deflate; server_max_window_bits=8", b"permessage-deflate"],
            b"permessage-deflate; server_max_window_bits=12",
        ),
        ([b'permessage-deflate; server_max_window_bits="10"'], b"permessage-deflate; server_max_window_bits=10"),
    ],
)
def test_deflate_is_agreed_to(offers, header):
    accepted = Handshake.read(extensions(*offers)).accept()
    assert accepted.headers[-1] == (b"sec-websocket-extensions", header)
    assert accepted.deflate is not None
    assert accepted.deflate.to_header() == header


@pytest.mark.parametrize(
    "offer",
    [
        b"permessage-bzip2",
        b"permessage-deflate; unknown",
        b"permessage-deflate; server_max_window_bits=8",
        b"permessage-deflate; client_max_window_bits=8",
        b"permessage-deflate; server_max_window_bits=16",
        b"permessage-deflate; server_max_window_bits=010",
        b"permessage-deflate; server_max_window_bits",
        b"permessage-deflate; server_max_window_bits=abc",
        b"permessage-deflate; server_no_context_takeover=1",
        b"permessage-deflate; server_no_context_takeover; server_no_context_takeover",
    ],
)
def test_deflate_is_declined_by_silence(offer):
    accepted = Handshake.read(extensions(offer)).accept()
    assert accepted.deflate is None
    assert len(accepted.headers) == 1


def test_compression_can_be_declined():
    handshake = Handshake.read(extensions(b"permessage-deflate"))
    assert handshake.deflate == Deflate(server_bits=12)
    assert handshake.accept(compress=False).deflate is None
