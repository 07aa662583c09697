"""An HTTP/1.1 client that writes its own bytes and lets h11 read the answers."""

from __future__ import annotations

from collections.abc import Iterable

import h11
from wire_clients.base import Client, Headers, Response, Wire

_PLAIN = [("host", "x")]
_UPGRADE = [("host", "x"), ("connection", "upgrade"), ("upgrade", "x")]


def _upgrades(fields: Headers) -> bool:
    return any(name == b"upgrade" for name, _ in fields)


class H1Client(Client):
    """HTTP/1.1; streams are numbered 1, 2, ... in the order of their requests, which may be pipelined."""

    version = "1"

    def __init__(self, wire: Wire, host: bytes = b"localhost", *, tls: bool = False) -> None:
        super().__init__()
        self.wire = wire
        self.host = host
        self.scheme = b"https" if tls else b"http"
        self._order: list[tuple[int, h11.Connection]] = []
        self._chunked: dict[int, bool] = {}
        self._tunnel: Response | None = None
        self._queued = 0

    def open(self, method: str, path: str, headers: Iterable[tuple[bytes, bytes]] = (), *, end: bool = True) -> int:
        """See ``Client``. With an ``upgrade`` field, what follows a 101 is in the response's body."""
        stream = len(self.responses) + 1
        fields = list(headers)
        chunked = not end and all(name != b"content-length" for name, _ in fields)
        if all(name != b"host" for name, _ in fields):
            fields.insert(0, (b"host", self.host))
        if chunked:
            fields.append((b"transfer-encoding", b"chunked"))
        lines = b"".join(b"%b: %b\r\n" % line for line in fields)
        parser = h11.Connection(h11.CLIENT)
        parser.send(h11.Request(method=method, target="/", headers=_UPGRADE if _upgrades(fields) else _PLAIN))
        parser.send(h11.EndOfMessage())
        self.responses[stream] = Response()
        self._order.append((stream, parser))
        self._chunked[stream] = chunked
        self._queued = 0
        self.wire.send(f"{method} {path} HTTP/1.1\r\n".encode() + lines + b"\r\n")
        return stream

    def connect_to(self, authority: bytes, headers: Iterable[tuple[bytes, bytes]] = ()) -> int:
        return self.open("CONNECT", authority.decode(), [(b"host", authority), *headers])

    def end_tunnel(self, stream: int) -> None:
        self.wire.half_close()

    def send(self, stream: int, data: bytes, *, end: bool = False) -> None:
        if self._chunked[stream]:
            data = (b"%x\r\n%b\r\n" % (len(data), data) if data else b"") + (b"0\r\n\r\n" if end else b"")
        self._queued += len(data)
        self.wire.send(data)

    def send_raw(self, stream: int, data: bytes) -> None:
        self.wire.send(data)

    def send_trailers(self, stream: int, trailers: Headers) -> None:
        self.wire.send(b"0\r\n" + b"".join(b"%b: %b\r\n" % line for line in trailers) + b"\r\n")

    def sent(self, stream: int) -> int:
        return self._queued - len(self.wire.unsent)

    def reset(self, stream: int) -> None:
        self.wire.reset()

    def half_close(self) -> None:
        self.wire.half_close()

    def close(self) -> None:
        self.wire.close()

    @property
    def closed(self) -> bool:
        return self.wire.eof or self.wire.close_notify

    def poll(self, timeout: float = 0.05, *, read: bool = True) -> None:
        data = self.wire.poll(timeout, read=read)
        if self._tunnel is not None:
            self._tunnel.body += data
            self._tunnel.ended = self.closed
            return
        while self._order and (data or self.closed):
            stream, parser = self._order[0]
            answer = self.responses[stream]
            try:
                parser.receive_data(data)
                if self.closed and parser.their_state is not h11.DONE:
                    parser.receive_data(b"")
                self._take(answer, parser)
            except h11.RemoteProtocolError:
                if not self.closed:
                    raise
                answer.reset = -1
            data = parser.trailing_data[0] if answer.ended else b""
            if answer.over:
                self._order.pop(0)
            elif not data:
                break

    def _take(self, answer: Response, parser: h11.Connection) -> None:
        while not answer.ended:
            event = parser.next_event()
            if isinstance(event, h11.InformationalResponse | h11.Response) and (
                event.status_code == 101 or parser.their_state is h11.SWITCHED_PROTOCOL
            ):
                answer.status, answer.headers = event.status_code, list(event.headers)
                answer.body += parser.trailing_data[0]
                self._tunnel = answer
                self._order.clear()
                return
            if isinstance(event, h11.InformationalResponse):
                answer.informational.append((event.status_code, list(event.headers)))
            elif isinstance(event, h11.Response):
                answer.status, answer.headers = event.status_code, list(event.headers)
            elif isinstance(event, h11.Data):
                answer.body += event.data
            elif isinstance(event, h11.EndOfMessage):
                answer.ended, answer.trailers = True, list(event.headers) or None
            elif isinstance(event, h11.ConnectionClosed):
                answer.reset = -1
                return
            else:
                return
