"""Routing of datagrams: connection IDs, versions, Retry, resets, migration."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from aioquic.buffer import Buffer
from aioquic.quic.packet import QuicErrorCode, QuicPacketType, encode_quic_version_negotiation, pull_quic_header
from hypothesis import given
from hypothesis import strategies as st

from tricorn_transports.abc import Path
from tricorn_transports.errors import LimitExceeded
from tricorn_transports.quic.packet import read_long_header, stateless_reset

SERVER = ("192.0.2.1", 443)
PATH = Path(SERVER, ("198.51.100.9", 999))


def first_flight(net: Any) -> bytes:
    """A client's first datagram."""
    client = net.connect(run=False)
    net.clients.remove(client)
    data: bytes = client.quic.datagrams_to_send(0.0)[0][0]
    return data


def test_an_unknown_version_is_negotiated(net: Any) -> None:
    data = bytearray(first_flight(net))
    data[1:5] = b"\x1a\x2a\x3a\x4a"
    assert net.endpoint.accept(bytes(data), PATH, 0.0) is None
    ((reply, path),) = net.endpoint.replies()
    header = pull_quic_header(Buffer(data=reply))
    assert path == PATH
    assert header.packet_type is QuicPacketType.VERSION_NEGOTIATION
    assert header.supported_versions == [1, 0x6B3343CF]
    sent = read_long_header(bytes(data))
    assert sent is not None
    assert (header.destination_cid, header.source_cid) == (sent.source, sent.destination)
    assert net.endpoint.replies() == []


def test_a_client_of_another_version_comes_round(net: Any) -> None:
    net.auto = True
    client = net.connect(original_version=0x1A2A3A4A, supported_versions=[0x1A2A3A4A, 1])
    stream_id = client.request()
    net.run()
    assert client.status(stream_id) == b"200"


def test_version_2_is_spoken(net: Any) -> None:
    net.auto = True
    client = net.connect(original_version=0x6B3343CF, supported_versions=[0x6B3343CF])
    stream_id = client.request()
    net.run()
    assert client.status(stream_id) == b"200"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x40",
        b"\x40" + bytes(7),
        b"\xc0",
        b"\xc0\x1a\x2a\x3a\x4a\x08" + bytes(300),
        encode_quic_version_negotiation(bytes(8), bytes(8), [1]) + bytes(1300),
        b"\xe0\x00\x00\x00\x01\x08" + bytes(8) + b"\x00" + bytes(1300),
        b"\xc0\x00\x00\x00\x01\x04" + bytes(4) + b"\x00" + bytes(1300),
        b"\xc0\x00\x00\x00\x01\xff" + bytes(8),
    ],
    ids=["nothing", "short", "brief", "long", "small", "negotiation", "handshake", "brief-id", "cut"],
)
def test_strays_are_dropped_without_a_word(net: Any, data: bytes) -> None:
    assert net.endpoint.accept(data, PATH, 0.0) is None
    assert net.endpoint.replies() == []
    assert net.endpoint.connections() == 0


def test_a_small_initial_makes_no_connection(net: Any) -> None:
    assert net.endpoint.accept(first_flight(net)[:1100], PATH, 0.0) is None
    assert net.endpoint.connections() == 0


def test_an_initial_that_does_not_decrypt_leaves_nothing(net: Any) -> None:
    data = bytearray(first_flight(net))
    data[100] ^= 1
    engine = net.endpoint.accept(bytes(data), PATH, 0.0)
    assert engine.receive_datagram(bytes(data), PATH, 0.0) == []
    assert engine.is_closed()
    assert engine.datagrams_to_send(0.0) == []
    net.endpoint.forget(engine)
    assert net.endpoint.connections() == net.endpoint._half_open == 0
    assert not net.endpoint._table


def test_new_connection_ids_are_routed_and_old_ones_forgotten(net: Any) -> None:
    net.auto = True
    client = net.connect()
    for _ in range(12):
        client.quic.change_connection_id()
        stream_id = client.request()
        net.run()
        assert client.status(stream_id) == b"200"
    assert len(net.engines) == 1
    assert len(net.endpoint._table) <= 1 + 8  # the client's own first ID, and those that are issued now
    client.quic.close()
    net.run()
    assert not net.endpoint._table


def test_the_clients_address_follows_it(net: Any) -> None:
    net.auto = True
    client = net.connect()
    assert net.engine.path == Path(SERVER, client.address)
    client.address = ("203.0.113.5", 4242)
    stream_id = client.request()
    net.run()
    assert client.status(stream_id) == b"200"
    assert net.engine.path == Path(SERVER, ("203.0.113.5", 4242))


def test_a_forged_sender_does_not_move_the_connection(net: Any) -> None:
    client = net.connect()
    before = net.engine.path
    for port in range(50):
        forged = b"\x40" + net.engine._quic.host_cid + os.urandom(60)
        net.deliver(forged, Path(SERVER, ("203.0.113.66", 1000 + port)))
    assert net.engine.path == before
    assert len(net.engine._paths) <= 8
    assert client.closed is None


def test_addresses_are_validated_when_many_are_half_open(net: Any) -> None:
    net.auto = True
    net.endpoint.retry_from = 3
    for _ in range(3):
        net.endpoint.accept(first_flight(net), PATH, 0.0)
    assert net.endpoint.connections() == 3
    assert net.endpoint.accept(first_flight(net), PATH, 0.0) is None
    ((reply, _),) = net.endpoint.replies()
    assert pull_quic_header(Buffer(data=reply)).packet_type is QuicPacketType.RETRY
    client = net.connect()
    stream_id = client.request()
    net.run()
    assert client.quic._retry_count == 1
    assert client.status(stream_id) == b"200"
    assert net.endpoint._half_open == 3


def test_a_token_is_good_from_its_address_only(net: Any) -> None:
    net.endpoint.retry_from = 0
    client = net.connect(run=False)
    net.to_server()
    for data, _ in net.endpoint.replies():
        client.quic.receive_datagram(data, SERVER, 0.0)
    data = client.quic.datagrams_to_send(0.0)[0][0]
    assert net.endpoint.accept(data, PATH, 0.0) is None
    assert net.endpoint.accept(data, Path(SERVER, client.address), 60.0) is None
    assert len(net.endpoint.replies()) == 2  # other Retries, which a client that has seen one ignores
    assert net.endpoint.accept(data, Path(SERVER, client.address), 1.0) is not None


def test_half_open_connections_are_bounded(make_net: Callable[..., Any]) -> None:
    net = make_net(max_connections=4)
    for _ in range(4):
        net.endpoint.accept(first_flight(net), PATH, 0.0)
    with pytest.raises(LimitExceeded, match="there are 4 connections already"):
        net.endpoint.accept(first_flight(net), PATH, 0.0)
    assert net.endpoint.connections() == 4


@pytest.mark.parametrize("version", [1, 0x6B3343CF])
def test_a_client_that_is_refused_hears_so_at_once(make_net: Callable[..., Any], version: int) -> None:
    net = make_net(max_connections=1)
    net.endpoint.accept(first_flight(net), PATH, 0.0)
    client = net.connect(run=False, original_version=version)
    ((data, _),) = client.quic.datagrams_to_send(0.0)
    with pytest.raises(LimitExceeded):
        net.endpoint.accept(data, PATH, 0.0)
    ((refusal, to),) = net.endpoint.replies()
    assert to == PATH
    assert len(refusal) < 100
    client.quic.receive_datagram(refusal, SERVER, 0.0)
    client.quic.handle_timer(client.quic.get_timer())
    (ended,) = iter(client.quic.next_event, None)
    assert (ended.error_code, ended.reason_phrase) == (QuicErrorCode.CONNECTION_REFUSED, "")


def test_refusals_are_bounded(make_net: Callable[..., Any]) -> None:
    net = make_net(max_connections=1)
    net.endpoint.accept(first_flight(net), PATH, 0.0)
    data = first_flight(net)
    for _ in range(1000):
        with pytest.raises(LimitExceeded):
            net.endpoint.accept(data, PATH, 0.0)
    assert len(net.endpoint.replies()) == 256


def test_shutdown_takes_no_new_connections(net: Any) -> None:
    net.auto = True
    client = net.connect()
    net.endpoint.begin_shutdown()
    assert net.endpoint.accept(first_flight(net), PATH, 0.0) is None
    assert len(net.endpoint.replies()) == 1  # the refusal
    stream_id = client.request()
    net.run()
    assert client.status(stream_id) == b"200"


def test_a_forgotten_connection_is_reset(make_net: Callable[..., Any]) -> None:
    net = make_net(close_timeout=1.0)
    client = net.connect()
    tokens = [client.quic._peer_cid.stateless_reset_token, *(c.stateless_reset_token for c in
              client.quic._peer_cid_available)]  # fmt: skip
    ids = [client.quic._peer_cid.cid, *(c.cid for c in client.quic._peer_cid_available)]
    net.endpoint.forget(net.engines.pop())
    for connection_id, token in list(zip(ids, tokens, strict=True))[1:]:
        packet = b"\x40" + connection_id + os.urandom(80)
        assert net.endpoint.accept(packet, PATH, net.now + 0.5) is None
        assert net.endpoint.replies() == []  # it may still be on its way out
        assert net.endpoint.accept(packet, PATH, net.now + 2.0) is None
        ((reset, _),) = net.endpoint.replies()
        assert reset[-16:] == token
        assert reset[0] & 0xC0 == 0x40
        assert len(reset) < len(packet)


def test_resets_end_a_loop_of_resets() -> None:
    size = 1200
    rounds = 0
    while (reset := stateless_reset(size, bytes(16), os.urandom(32))) is not None:
        assert len(reset) < size
        size, rounds = len(reset), rounds + 1
    assert rounds < 30


@given(data=st.binary(max_size=80))
def test_headers_are_read_or_refused_but_never_raise(data: bytes) -> None:
    header = read_long_header(b"\xc0" + data)
    if header is not None:
        assert header.destination in data


@pytest.mark.parametrize("version", [1, 0x6B3343CF])
def test_headers_are_read_as_the_library_reads_them(net: Any, version: int) -> None:
    client = net.connect(run=False, original_version=version, supported_versions=[version], token=b"t" * 100)
    data = client.quic.datagrams_to_send(0.0)[0][0]
    ours, theirs = read_long_header(data), pull_quic_header(Buffer(data=data))
    assert ours is not None
    assert ours.is_initial
    assert (ours.version, ours.destination, ours.source, ours.token) == (
        version, theirs.destination_cid, theirs.source_cid, b"t" * 100,
    )  # fmt: skip
