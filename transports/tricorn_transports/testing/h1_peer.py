"""An HTTP/1.1 client in memory over the h11 library.

Rules of this module: one request at a time, as HTTP/1.1 without pipelining has it; h11 is imported here for the kit
only, and its exceptions stand: what h11 refuses of a server is that server's fault.
"""

from __future__ import annotations

from unittest import SkipTest

import h11

from tricorn_transports.testing.peers import Fields, Response


class H1Peer:
    """``peers.StreamPeer`` for HTTP/1.1."""

    knows_bodyless = True

    def __init__(self) -> None:
        self._connection = h11.Connection(h11.CLIENT)
        self._out = bytearray()
        self._number = -1
        self._is_switched = False
        self.responses: dict[int, Response] = {}

    def request(
        self,
        method: bytes,
        target: bytes,
        headers: Fields = (),
        *,
        length: int | None = None,
        end: bool = True,
        protocol: bytes | None = None,
    ) -> int:
        connection = self._connection
        if connection.our_state is h11.DONE and connection.their_state is h11.DONE:
            connection.start_next_cycle()
        fields = [(b"host", b"test"), *headers]
        if protocol is not None:
            fields += [(b"connection", b"upgrade"), (b"upgrade", protocol)]
        elif length is not None:
            fields.append((b"content-length", b"%d" % length))
        elif not end:
            fields.append((b"transfer-encoding", b"chunked"))
        self._number += 2
        self.responses[self._number] = Response()
        self._put(h11.Request(method=method, target=target, headers=fields))
        if end:
            self._put(h11.EndOfMessage())
        return self._number

    def send(self, number: int, data: bytes, *, end: bool = False, trailers: Fields = ()) -> None:
        assert number == self._number
        if self._is_switched:
            self._out += data
            return
        if data:
            self._put(h11.Data(data=data))
        if end:
            self._put(h11.EndOfMessage(headers=list(trailers)))

    def _put(self, event: h11.Event) -> None:
        self._out += self._connection.send(event) or b""

    def take(self) -> bytes:
        data = bytes(self._out)
        self._out.clear()
        return data

    def receive(self, data: bytes) -> None:
        if not data:
            return
        if self._is_switched:
            self.responses[self._number].body += data
            return
        self._connection.receive_data(data)
        self._read()

    def receive_eof(self) -> None:
        if self._is_switched:
            self.responses[self._number].ended = True
            return
        response = self.responses.get(self._number)
        try:
            self._connection.receive_data(b"")
            self._read()
        except h11.RemoteProtocolError:
            if response is None or response.ended:
                raise
        if response is not None and not response.ended:
            response.aborted = True

    def _read(self) -> None:
        while True:
            event = self._connection.next_event()
            response = self.responses.get(self._number)
            if event in (h11.NEED_DATA, h11.PAUSED) or isinstance(event, h11.ConnectionClosed):
                return
            assert response is not None, "the server spoke before it was asked"
            if isinstance(event, h11.InformationalResponse):
                fields = list(event.headers)
                if event.status_code == 101:
                    self._is_switched = True
                    response.status, response.headers = 101, fields
                    response.body += self._connection.trailing_data[0]
                    return
                response.informational.append((event.status_code, fields))
            elif isinstance(event, h11.Response):
                response.status, response.headers = event.status_code, list(event.headers)
            elif isinstance(event, h11.Data):
                response.body += event.data
            elif isinstance(event, h11.EndOfMessage):
                response.trailers = list(event.headers)
                response.ended = True

    def pause(self, number: int) -> None:
        raise SkipTest("HTTP/1 has no window of its own")

    def resume(self, number: int) -> None:
        raise SkipTest("HTTP/1 has no window of its own")
