"""Connections that are opened, used once, and then do nothing: what each of them costs a server.

Rules of this module: a connection counts once a whole answer has come over it, so that everything which a server makes
on first use is made. Clients are blocking sockets, because what they cost is nobody's concern here.
"""

from __future__ import annotations

import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

import h2.config
import h2.connection
import h2.events
from loads import h3load
from processes import Missing, Protocol, pinned


def open_idle(protocol: Protocol, port: int, count: int, cores: set[int]) -> AbstractContextManager[None]:
    """Keeps ``count`` idle connections open while the context lasts.

    Raises:
        Missing: The server refused one, or the client program cannot be had.
    """
    if protocol.version == "h3":
        return _hold_h3(protocol.url(port), count, cores)
    return _hold_tcp(port, count, protocol, _use_h2 if protocol.version == "h2" else _use_h1)


@contextmanager
def _hold_tcp(port: int, count: int, protocol: Protocol, use: Callable[[socket.socket], None]) -> Iterator[None]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2" if protocol.version == "h2" else "http/1.1"])
    with ExitStack() as stack:
        for _ in range(count):
            try:
                connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
                if protocol.tls:
                    connection = stack.enter_context(context.wrap_socket(connection, server_hostname="localhost"))
                use(connection)
            except OSError as error:
                raise Missing(f"an idle connection failed: {error}") from error
        yield


def _use_h1(connection: socket.socket) -> None:
    connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    received = b""
    while b"Hello, world!" not in received:
        received += _read(connection)


def _use_h2(connection: socket.socket) -> None:
    client = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    client.initiate_connection()
    request = [(":method", "GET"), (":scheme", "https"), (":authority", "localhost"), (":path", "/")]
    client.send_headers(1, request, end_stream=True)
    ended = False
    while not ended:
        connection.sendall(client.data_to_send())
        events = client.receive_data(_read(connection))
        ended = any(isinstance(event, h2.events.StreamEnded) for event in events)
    connection.sendall(client.data_to_send())


def _read(connection: socket.socket) -> bytes:
    data = connection.recv(65_536)
    if not data:
        raise ConnectionError("the server closed the connection")
    return data


@contextmanager
def _hold_h3(url: str, count: int, cores: set[int]) -> Iterator[None]:
    command = [h3load(), "-hold", "-c", str(count), url]
    with pinned(cores):
        client = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert client.stdin is not None
    assert client.stdout is not None
    assert client.stderr is not None
    try:
        if client.stdout.readline().strip() != b"ready":
            raise Missing(client.stderr.read().decode(errors="replace").strip())
        yield
    finally:
        client.communicate()
