"""Datagrams are answered from the address that was asked, whatever the socket is bound to."""

from __future__ import annotations

import socket
from contextlib import closing

import pytest

from tricorn_transports.abc import Path
from tricorn_transports.config import Bind, Config
from tricorn_transports.connection.datagrams import DatagramSocket
from tricorn_transports.sockets import bind_sockets, close_sockets


def link_local():
    """An address of this machine that needs a scope, as (host, interface)."""
    try:
        with open("/proc/net/if_inet6", encoding="ascii") as file:
            rows = [line.split() for line in file]
    except FileNotFoundError:
        return None
    for digits, index, _, scope, _, _ in rows:
        if scope == "20":
            return socket.inet_ntop(socket.AF_INET6, bytes.fromhex(digits)), int(index, 16)
    return None


def udp(host, port=0):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.settimeout(5)
    host, _, scope = host.partition("%")
    sock.bind((host, port, 0, int(scope)) if scope else (host, port))
    return sock


def exchange(bound_to, asked):
    """The server's view of a datagram that is sent to ``asked`` by a client that takes answers from there only."""
    with closing(udp(bound_to)) as server, closing(udp("::" if ":" in asked else "0.0.0.0")) as client:
        ours = DatagramSocket(server)
        host, _, scope = asked.partition("%")
        port = server.getsockname()[1]
        client.connect((host, port, 0, int(scope)) if scope else (host, port))
        client.send(b"question")
        data, path = ours.receive()
        assert data == b"question"
        ours.send(b"answer", path)
        assert client.recv(100) == b"answer"
        return path, server.getsockname()[1], client.getsockname()


@pytest.mark.parametrize(
    ("bound_to", "asked"),
    [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("0.0.0.0", "127.0.0.2"), ("::1", "::1"), ("::", "::1")],
)
def test_the_answer_comes_from_where_the_question_went(bound_to, asked):
    path, port, client = exchange(bound_to, asked)
    assert path == Path((asked, port), (client[0], client[1]))


@pytest.mark.skipif(link_local() is None, reason="this machine has no link-local address")
@pytest.mark.parametrize("wildcard", [False, True])
def test_link_local_clients_are_answered(wildcard):
    host, index = link_local()
    scoped = f"{host}%{index}"
    path, _, _ = exchange("::" if wildcard else scoped, scoped)
    assert path.peer[0] == scoped


@pytest.mark.skipif(link_local() is None, reason="this machine has no link-local address")
def test_link_local_addresses_can_be_bound():
    host, index = link_local()
    sockets = bind_sockets(Config(bind=(Bind("ip", host=f"{host}%{index}"),)), {"tcp", "udp"})
    try:
        assert {bound.sock.getsockname()[0] for bound in sockets} == {host}
    finally:
        close_sockets(sockets)
