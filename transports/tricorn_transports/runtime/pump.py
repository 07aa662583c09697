"""A connected socket with asyncio.Transport's methods, for loops that have no such thing.

The pump works on the socket itself (``wait_readable`` and ``recv``), not on anyio's streams: those pause and resume
reading for every chunk and cannot half-close under a layer of ours. A write is tried at once; only what the socket does
not take wakes the writer.
"""

from __future__ import annotations

import socket
from collections import deque

import anyio
from anyio.abc import TaskGroup

from tricorn_transports.connection.tcp import TcpConnection
from tricorn_transports.exchange.host import log
from tricorn_transports.runtime.base import ends_of

_HIGH_WATER = 65_536
_LOW_WATER = 16_384
_READ = 65_536  # a turn handles all of it at once, so more would keep the other connections waiting


class SocketTransport:
    """Implements ``connection.tcp.ByteTransport``.

    Args:
        sock: Connected and non-blocking; closed by ``run``.
        tasks: Where the writer runs while there is something unsent.
    """

    def __init__(self, sock: socket.socket, connection: TcpConnection, tasks: TaskGroup) -> None:
        self._sock = sock
        self._connection = connection
        self._tasks = tasks
        self._reader = anyio.CancelScope()
        self._writer: anyio.CancelScope | None = None
        self._pause: anyio.Event | None = None  # while there is one, nothing is read
        self._unsent: deque[memoryview] = deque()
        self._unsent_size = 0
        self._is_full = False  # the connection was told to pause writing
        self._ends_writing = False
        self._closes = False
        self._is_over = False
        self._error: OSError | None = None

    async def run(self) -> None:
        """Reads until the connection is over, then tells it so."""
        try:
            with self._reader:
                await self._read()
        except Exception:  # noqa: BLE001 - a fault of ours costs this connection, not the task group, which is the server
            log.exception("a fault of the server's own")
        finally:
            self._is_over = True
            if self._writer is None:
                self._sock.close()
            else:  # it closes the socket: the number of one that is closed while a task waits for it is soon another's
                self._writer.cancel()
            try:
                self._connection.connection_lost(self._error)
            except Exception:  # noqa: BLE001 - as above
                log.exception("a fault of the server's own")

    async def _read(self) -> None:
        connection = self._connection
        connection.connected(self, *ends_of(self._sock))
        while True:
            if self._pause is not None:
                await self._pause.wait()
            await anyio.wait_readable(self._sock)
            try:
                data = self._sock.recv(_READ)
            except (BlockingIOError, InterruptedError):
                continue
            except OSError as error:
                self._error = error
                return
            if data:
                connection.data_received(data)
                continue
            if not connection.eof_received():
                self.close()
            await anyio.sleep_forever()  # half-closed: whoever closes our side ends this scope

    def write(self, data: bytes) -> None:
        if self._ends_writing or self._closes or not data:
            return
        self._unsent.append(memoryview(data))
        self._unsent_size += len(data)
        if self._writer is None:
            self._send_unsent()
            if self._unsent:
                self._writer = anyio.CancelScope()
                self._tasks.start_soon(self._write_rest, self._writer)
        if self._unsent_size > _HIGH_WATER and not self._is_full:
            self._is_full = True
            self._connection.pause_writing()

    async def _write_rest(self, scope: anyio.CancelScope) -> None:
        try:
            with scope:
                while self._unsent:
                    await anyio.wait_writable(self._sock)
                    self._send_unsent()  # which may call the connection
        except Exception:  # noqa: BLE001 - as in `run`
            log.exception("a fault of the server's own")
            self.abort()
        finally:
            self._writer = None
            if self._is_over:
                self._sock.close()
        self._all_sent()

    def _send_unsent(self) -> None:
        try:
            while self._unsent:
                part = self._unsent[0]
                count = self._sock.send(part)
                self._unsent_size -= count
                if count < len(part):
                    self._unsent[0] = part[count:]
                else:
                    self._unsent.popleft()
        except (BlockingIOError, InterruptedError):
            pass
        except OSError as error:
            self._error = error
            self.abort()
        if self._is_full and self._unsent_size <= _LOW_WATER:
            self._is_full = False
            self._connection.resume_writing()

    def _all_sent(self) -> None:
        if self._unsent or self._is_over:
            return
        if self._closes:
            self._reader.cancel()
        elif self._ends_writing:
            try:
                self._sock.shutdown(socket.SHUT_WR)
            except OSError as error:
                self._error = error
                self._reader.cancel()

    def writelines(self, list_of_data: list[bytes]) -> None:
        self.write(b"".join(list_of_data))

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        """Closes our side once what is unsent is out."""
        self._ends_writing = True
        self._all_sent()

    def close(self) -> None:
        """Ends the connection once what is unsent is out."""
        self._closes = True
        self._all_sent()

    def abort(self) -> None:
        """Ends the connection now."""
        self._unsent.clear()
        self._unsent_size = 0
        self._closes = True
        self._reader.cancel()

    def pause_reading(self) -> None:
        if self._pause is None:
            self._pause = anyio.Event()

    def resume_reading(self) -> None:
        if self._pause is not None:
            self._pause.set()
            self._pause = None

    def get_write_buffer_size(self) -> int:
        return self._unsent_size

    def get_extra_info(self, name: str) -> socket.socket | None:
        return self._sock if name == "socket" else None
