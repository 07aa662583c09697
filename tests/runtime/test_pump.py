"""The pump behaves as asyncio's transports do, over a real pair of sockets, on every loop that anyio knows."""

from __future__ import annotations

import socket

import anyio
import pytest

from tricorn_transports.runtime.pump import SocketTransport

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request):
    return request.param


class Recorder:
    """A connection that only writes down what it is told."""

    def __init__(self):
        self.transport = None
        self.received = b""
        self.told = []
        self.keeps_open = True

    def connected(self, transport, client, server):
        self.transport = transport
        self.told.append("connected")

    def data_received(self, data):
        self.received += data

    def eof_received(self):
        self.told.append("eof")
        return self.keeps_open

    def connection_lost(self, error):
        self.told.append("lost" if error is None else type(error).__name__)

    def pause_writing(self):
        self.told.append("pause")

    def resume_writing(self):
        self.told.append("resume")


class Pair:
    def __init__(self, tasks):
        ours, self.peer = socket.socketpair()
        ours.setblocking(False)
        self.peer.setblocking(False)
        self.connection = Recorder()
        self.transport = SocketTransport(ours, self.connection, tasks)
        tasks.start_soon(self.transport.run)

    async def read(self, size):
        data = b""
        while len(data) < size:
            await anyio.wait_readable(self.peer)
            part = self.peer.recv(65_536)
            if not part:
                break
            data += part
        return data

    async def until(self, condition):
        with anyio.fail_after(10):
            while not condition():
                await anyio.sleep(0.001)


@pytest.fixture
async def pair():
    async with anyio.create_task_group() as tasks:
        pair = Pair(tasks)
        await pair.until(lambda: pair.connection.told)
        yield pair
        pair.peer.close()
        tasks.cancel_scope.cancel()


async def test_bytes_go_both_ways(pair):
    pair.peer.send(b"hello")
    await pair.until(lambda: pair.connection.received == b"hello")
    pair.transport.write(b"wor")
    pair.transport.writelines([b"l", b"d"])
    assert await pair.read(5) == b"world"


async def test_a_write_that_does_not_fit_pauses_and_resumes(pair):
    data = bytes(range(256)) * 40_000
    pair.transport.write(data)
    assert pair.connection.told == ["connected", "pause"]
    assert pair.transport.get_write_buffer_size() > 65_536
    assert await pair.read(len(data)) == data
    await pair.until(lambda: pair.connection.told[-1] == "resume")
    assert pair.transport.get_write_buffer_size() == 0
    pair.transport.write(data)
    assert await pair.read(len(data)) == data
    assert pair.connection.told.count("pause") == 2


async def test_writes_behind_an_unsent_one_keep_their_order(pair):
    pair.transport.write(b"a" * 3_000_000)
    pair.transport.write(b"b" * 10)
    pair.transport.write(b"c" * 10)
    assert (await pair.read(3_000_020))[-20:] == b"b" * 10 + b"c" * 10


async def test_close_delivers_what_is_unsent(pair):
    pair.transport.write(b"x" * 3_000_000)
    pair.transport.close()
    pair.transport.write(b"too late")
    assert len(await pair.read(4_000_000)) == 3_000_000
    await pair.until(lambda: pair.connection.told[-1] == "lost")


async def test_abort_drops_what_is_unsent(pair):
    pair.transport.write(b"x" * 3_000_000)
    pair.transport.abort()
    await pair.until(lambda: pair.connection.told[-1] == "lost")
    assert len(await pair.read(4_000_000)) < 3_000_000


async def test_write_eof_ends_one_side_only(pair):
    pair.transport.write(b"x" * 3_000_000)
    pair.transport.write_eof()
    assert len(await pair.read(4_000_000)) == 3_000_000
    pair.peer.send(b"still here")
    await pair.until(lambda: pair.connection.received == b"still here")
    pair.peer.close()
    await pair.until(lambda: "eof" in pair.connection.told)


async def test_the_peers_eof_leaves_our_side_open(pair):
    pair.peer.shutdown(socket.SHUT_WR)
    await pair.until(lambda: pair.connection.told == ["connected", "eof"])
    pair.transport.write(b"answer")
    assert await pair.read(6) == b"answer"
    pair.transport.close()
    await pair.until(lambda: pair.connection.told[-1] == "lost")


async def test_the_peers_eof_closes_where_the_connection_says_so(pair):
    pair.connection.keeps_open = False
    pair.peer.shutdown(socket.SHUT_WR)
    await pair.until(lambda: pair.connection.told == ["connected", "eof", "lost"])


async def test_pause_reading_leaves_bytes_in_the_socket(pair):
    pair.transport.pause_reading()
    pair.peer.send(b"a")  # the read that is under way may still take this
    await anyio.sleep(0.05)
    pair.peer.send(b"b")
    await anyio.sleep(0.05)
    assert pair.connection.received in (b"", b"a")
    pair.transport.resume_reading()
    await pair.until(lambda: pair.connection.received == b"ab")


async def test_a_write_to_a_peer_that_is_gone_is_a_lost_connection(pair):
    pair.transport.pause_reading()
    pair.peer.close()
    await anyio.sleep(0.02)
    pair.transport.write(b"x")
    pair.transport.write(b"x")
    await pair.until(lambda: pair.connection.told[-1] in ("BrokenPipeError", "ConnectionResetError"))


async def test_a_fault_of_the_connection_ends_it_alone(pair, caplog):
    def fail(data):
        raise ZeroDivisionError("injected")

    pair.connection.data_received = fail
    pair.peer.send(b"x")
    await pair.until(lambda: pair.connection.told[-1] == "lost")
    assert "ZeroDivisionError" in caplog.text


async def test_a_fault_while_the_connection_is_lost_ends_it_alone(pair, caplog):
    def fail(error):
        raise ZeroDivisionError("injected")

    pair.connection.connection_lost = fail
    pair.transport.close()
    await pair.until(lambda: "ZeroDivisionError" in caplog.text)


async def test_an_end_before_the_writer_has_begun_is_no_fault(pair, caplog):
    pair.transport.write(b"x" * 3_000_000)  # what the socket does not take wakes the writer
    pair.transport.abort()
    await pair.until(lambda: pair.connection.told[-1] == "lost")
    await pair.until(lambda: pair.transport._sock.fileno() == -1)
    assert not caplog.records
