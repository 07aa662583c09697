"""What the three test clients have in common: responses, waiting, and a byte stream that never blocks on a write.

Rule of these modules: a client never does anything by itself. Bytes move only in ``poll()`` and in what waits through
it, so a client that is not polled is a client that does not read. The libraries do the syntax; what is sent, held back,
reset or closed is the test's own decision.
"""

from __future__ import annotations

import select
import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

Headers = list[tuple[bytes, bytes]]
PATIENCE = 15.0


@dataclass
class Response:
    """What has come of one response.

    Attributes:
        reset: The error code with which the server cut it off; on HTTP/1.1 ``-1`` when the connection ended too soon.
        pushed: Stream and request fields of each push that was promised on this stream.
    """

    status: int = 0
    headers: Headers = field(default_factory=list)
    informational: list[tuple[int, Headers]] = field(default_factory=list)
    body: bytearray = field(default_factory=bytearray)
    trailers: Headers | None = None
    ended: bool = False
    reset: int | None = None
    pushed: list[tuple[int, Headers]] = field(default_factory=list)

    @property
    def over(self) -> bool:
        return self.ended or self.reset is not None

    def header(self, name: bytes) -> bytes | None:
        return next((value for key, value in self.headers if key == name), None)


class Wire:
    """A TCP or Unix socket, in clear or under TLS, that never blocks on a write."""

    def __init__(self, sock: socket.socket, tls: ssl.SSLContext | None = None) -> None:
        self.sock = sock
        self.unsent = bytearray()
        self.eof = False  # of the TCP stream
        self.close_notify = False
        self.error: OSError | None = None
        self._ended = False  # our sending side is closed: what a library still wants to say is dropped
        self._tls: ssl.SSLObject | None = None
        if tls is not None:
            self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
            self._tls = tls.wrap_bio(self._in, self._out, server_hostname="localhost")
            self._shake_hands()
        sock.setblocking(False)

    def _shake_hands(self) -> None:
        assert self._tls is not None
        self.sock.settimeout(PATIENCE)
        while True:
            try:
                self._tls.do_handshake()
                self.sock.sendall(self._out.read())
                return
            except ssl.SSLWantReadError:
                self.sock.sendall(self._out.read())
                data = self.sock.recv(65_536)
                if not data:
                    raise ConnectionResetError("the server ended the handshake") from None
                self._in.write(data)

    def send(self, data: bytes) -> None:
        if self._ended:
            return
        if self._tls is not None:
            if data:
                self._tls.write(data)
            data = self._out.read()
        self.unsent += data
        self._write()

    def _write(self) -> None:
        try:
            while self.unsent:
                with memoryview(self.unsent) as view:
                    count = self.sock.send(view[:262_144])
                del self.unsent[:count]
        except BlockingIOError:
            pass
        except OSError as error:
            self._fail(error)

    def _fail(self, error: OSError) -> None:
        self.error = error
        self.eof = True
        self.unsent.clear()

    def poll(self, timeout: float, *, read: bool = True) -> bytes:
        """Waits at most ``timeout`` seconds for bytes (or for the socket to take some) and returns them."""
        if self.sock.fileno() < 0:
            return b""
        wants_read = [self.sock] if read and not self.eof else []
        readable, writable, _ = select.select(wants_read, [self.sock] if self.unsent else [], [], timeout)
        if writable:
            self._write()
        if not readable:
            if not wants_read and not self.unsent:
                time.sleep(min(timeout, 0.01))
            return b""
        try:
            data = self.sock.recv(262_144)
        except BlockingIOError:
            return b""
        except OSError as error:
            self._fail(error)
            return b""
        if not data:
            self.eof = True
        return self._decrypt(data) if self._tls is not None else data

    def _decrypt(self, data: bytes) -> bytes:
        assert self._tls is not None
        self._in.write(data)
        parts = []
        try:
            while part := self._tls.read(262_144):
                parts.append(part)
            self.close_notify = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.close_notify = True
        if self._out.pending:
            self.send(b"")
        return b"".join(parts)

    def read_all(self, timeout: float = PATIENCE) -> bytes:
        """Everything up to the end of the stream."""
        data, end = b"", time.monotonic() + timeout
        while not self.eof and not self.close_notify:
            assert time.monotonic() < end, f"the server does not close; so far it sent {data!r}"
            data += self.poll(0.1)
        return data

    def read_until(self, mark: bytes, timeout: float = PATIENCE) -> bytes:
        data, end = b"", time.monotonic() + timeout
        while mark not in data:
            assert not self.eof, f"the connection ended after {data!r}"
            assert time.monotonic() < end, f"no {mark!r} in {data!r}"
            data += self.poll(0.1)
        return data

    def half_close(self) -> None:
        """Ends our sending side: close_notify under TLS, FIN in clear. What comes is still read."""
        self._ended = True
        if self._tls is None:
            self.sock.shutdown(socket.SHUT_WR)
            return
        try:
            self._tls.unwrap()
        except ssl.SSLError:
            pass  # the server's own close_notify is not here yet; ours is queued
        self.unsent += self._out.read()
        self._write()

    def reset(self) -> None:
        """Ends the connection with a TCP RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self) -> None:
        self.sock.close()


class Client:
    """What the three clients have in common."""

    version = ""
    scheme = b"http"

    def __init__(self) -> None:
        self.responses: dict[int, Response] = {}

    def poll(self, timeout: float = 0.05, *, read: bool = True) -> None:
        raise NotImplementedError

    def open(self, method: str, path: str, headers: Iterable[tuple[bytes, bytes]] = (), *, end: bool = True) -> int:
        """Sends a request's head; without ``end`` its body follows."""
        raise NotImplementedError

    def connect_to(self, authority: bytes, headers: Iterable[tuple[bytes, bytes]] = ()) -> int:
        """Sends a CONNECT (RFC 9110 section 9.3.6); the tunnel's bytes come in the response's body."""
        raise NotImplementedError

    def end_tunnel(self, stream: int) -> None:
        """Closes our side of a tunnel."""
        self.send(stream, b"", end=True)

    def send(self, stream: int, data: bytes, *, end: bool = False) -> None:
        raise NotImplementedError

    def send_raw(self, stream: int, data: bytes) -> None:
        """Sends bytes of a tunnel."""
        self.send(stream, data)

    def send_trailers(self, stream: int, trailers: Headers) -> None:
        raise NotImplementedError

    def sent(self, stream: int) -> int:
        """How many bytes of the request's body the server has let out, up to the size of a packet or two."""
        raise NotImplementedError

    def reset(self, stream: int) -> None:
        """Gives the request up: RST_STREAM, RESET_STREAM and STOP_SENDING, or the TCP connection's reset."""
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError

    @property
    def closed(self) -> bool:
        """Whether the server has ended the connection."""
        raise NotImplementedError

    def wait(self, condition: Callable[[], object], what: str = "it", timeout: float = PATIENCE) -> None:
        end = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < end, f"{what} did not happen: {self.responses} closed={self.closed}"
            self.poll()

    def response(self, stream: int, timeout: float = PATIENCE) -> Response:
        """The response once it is over."""
        answer = self.responses[stream]
        self.wait(lambda: answer.over, f"the end of response {stream}", timeout)
        return answer

    def request(
        self, method: str, path: str, headers: Iterable[tuple[bytes, bytes]] = (), body: bytes | None = None
    ) -> Response:
        stream = self.open(method, path, headers, end=body is None)
        if body is not None:
            self.send(stream, body, end=True)
        return self.response(stream)


def status_of(headers: Iterable[tuple[bytes, bytes]]) -> int:
    return int(dict(headers)[b":status"])


def without_pseudo(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    return [(name, value) for name, value in headers if not name.startswith(b":")]
