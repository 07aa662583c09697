"""The least server around each protocol library: what ours would be if it were nothing but the library.

Rules of this module:
- The library does all of the protocol, in both directions, and the application is called as ASGI says: a scope, a
  task, a receive() and a send() for each request. Nothing else: no limits, no timeouts, no backpressure, no Date, no
  log, no answer to what goes wrong. It is a yardstick, not a server.
- It is as lean as it can be: one write for each turn of the loop, no timer and no queue of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import ssl
import sys
from pathlib import Path
from typing import Any

import aioquic.asyncio
import h2.config
import h2.connection
import h2.events
import h11
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ProtocolNegotiated

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.apps import hello

_ASGI = {"version": "3.0", "spec_version": "2.5"}
_REQUEST = {"type": "http.request", "body": b"", "more_body": False}


def _scope(version: str, scheme: str, method: bytes, target: bytes, headers: Any, client: Any, server: Any) -> Any:
    raw_path, _, query = target.partition(b"?")
    return {
        "type": "http",
        "asgi": _ASGI,
        "http_version": version,
        "method": method.decode("ascii"),
        "scheme": scheme,
        "path": raw_path.decode("ascii"),
        "raw_path": raw_path,
        "query_string": query,
        "root_path": "",
        "headers": headers,
        "client": client,
        "server": server,
    }


class _Stream:
    """What the tasks of one connection have in common; each protocol says how an answer is sent."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.tasks: set[asyncio.Task[None]] = set()

    def call(self, scope: Any, stream_id: int) -> None:
        start: Any = None

        async def receive() -> Any:
            return _REQUEST

        async def send(message: Any) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
            else:
                self.answer(stream_id, start["status"], start["headers"], message["body"])

        task = self.loop.create_task(hello(scope, receive, send))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def answer(self, stream_id: int, status: int, headers: Any, body: bytes) -> None:
        raise AssertionError("a protocol says this")


class H1(_Stream, asyncio.Protocol):
    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.h11 = h11.Connection(h11.SERVER)
        self.scheme = "https" if transport.get_extra_info("sslcontext") else "http"
        self.client = transport.get_extra_info("peername")
        self.server = transport.get_extra_info("sockname")

    def data_received(self, data: bytes) -> None:
        self.h11.receive_data(data)
        self.advance()

    def advance(self) -> None:
        while True:
            event = self.h11.next_event()
            if type(event) is h11.Request:
                headers = event.headers.raw_items()
                headers = [(name.lower(), value) for name, value in headers]
                scope = _scope("1.1", self.scheme, event.method, event.target, headers, self.client, self.server)
                self.call(scope, 1)
            elif event is h11.NEED_DATA or event is h11.PAUSED or type(event) is h11.ConnectionClosed:
                return

    def answer(self, stream_id: int, status: int, headers: Any, body: bytes) -> None:
        send = self.h11.send
        head = send(h11.Response(status_code=status, headers=headers))
        self.transport.write(head + send(h11.Data(data=body)) + send(h11.EndOfMessage()))
        self.h11.start_next_cycle()
        if self.h11.trailing_data[0]:
            self.advance()


class H2(_Stream, asyncio.Protocol):
    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.scheme = "https" if transport.get_extra_info("sslcontext") else "http"
        self.client = transport.get_extra_info("peername")
        self.server = transport.get_extra_info("sockname")
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding=None))
        self.h2.initiate_connection()
        self.flush()

    def data_received(self, data: bytes) -> None:
        for event in self.h2.receive_data(data):
            if type(event) is h2.events.RequestReceived:
                pseudo = {name: value for name, value in event.headers if name[:1] == b":"}
                headers = [(b"host", pseudo[b":authority"])]
                headers += [field for field in event.headers if field[0][:1] != b":"]
                scope = _scope(
                    "2", self.scheme, pseudo[b":method"], pseudo[b":path"], headers, self.client, self.server
                )
                self.call(scope, event.stream_id)
        self.loop.call_soon(self.flush)  # behind the tasks that were just made: all they send leaves in one write

    def flush(self) -> None:
        data = self.h2.data_to_send()
        if data:
            self.transport.write(data)

    def answer(self, stream_id: int, status: int, headers: Any, body: bytes) -> None:
        self.h2.send_headers(stream_id, [(b":status", b"%d" % status), *headers])
        self.h2.send_data(stream_id, body, end_stream=True)


class H3(_Stream, aioquic.asyncio.QuicConnectionProtocol):
    def __init__(self, quic: Any, stream_handler: Any = None) -> None:
        _Stream.__init__(self)
        aioquic.asyncio.QuicConnectionProtocol.__init__(self, quic, stream_handler)
        self.http: H3Connection | None = None
        self.client: Any = None

    def datagram_received(self, data: Any, addr: Any) -> None:
        """As the library's, but it transmits behind the tasks, so that acknowledgements leave with the answers."""
        self.client = addr
        self._quic.receive_datagram(data, addr, now=self.loop.time())
        self._process_events()
        self._transmit_soon()

    def quic_event_received(self, event: Any) -> None:
        if isinstance(event, ProtocolNegotiated):
            self.http = H3Connection(self._quic)
        if self.http is None:
            return
        for received in self.http.handle_event(event):
            if type(received) is HeadersReceived:
                pseudo = {name: value for name, value in received.headers if name[:1] == b":"}
                headers = [(b"host", pseudo[b":authority"])]
                headers += [field for field in received.headers if field[0][:1] != b":"]
                scope = _scope("3", "https", pseudo[b":method"], pseudo[b":path"], headers, self.client, None)
                self.call(scope, received.stream_id)

    def answer(self, stream_id: int, status: int, headers: Any, body: bytes) -> None:
        assert self.http is not None
        self.http.send_headers(stream_id, [(b":status", b"%d" % status), *headers])
        self.http.send_data(stream_id, body, end_stream=True)
        self._transmit_soon()  # this task may stand behind a transmission that an earlier datagram asked for


async def serve(protocol: str, port: int, cert: str | None, key: str | None) -> None:
    """Serves until it is killed.

    Args:
        protocol: ``h1``, ``h2`` or ``h3``; the last needs a certificate.
    """
    if protocol == "h3":
        settings = QuicConfiguration(is_client=False, alpn_protocols=H3_ALPN)
        settings.load_cert_chain(cert, key)
        await aioquic.asyncio.serve("127.0.0.1", port, configuration=settings, create_protocol=H3)
    else:
        context = None
        if cert is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(cert, key)
            context.set_alpn_protocols(["h2" if protocol == "h2" else "http/1.1"])
        loop = asyncio.get_running_loop()
        await loop.create_server(H2 if protocol == "h2" else H1, "127.0.0.1", port, ssl=context)
    await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("protocol", choices=("h1", "h2", "h3"))
    parser.add_argument("port", type=int)
    parser.add_argument("--tls-cert")
    parser.add_argument("--tls-key")
    parser.add_argument("--loop", choices=("asyncio", "uvloop"), default="asyncio")
    chosen = parser.parse_args()
    factory = None
    if chosen.loop == "uvloop":
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(serve(chosen.protocol, chosen.port, chosen.tls_cert, chosen.tls_key))


if __name__ == "__main__":
    main()
