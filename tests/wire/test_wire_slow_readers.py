"""Clients that take their response slowly: the kernel holds megabytes for them, and tells only of much room."""

from __future__ import annotations

import pytest

from tricorn_transports.config import Limits, Timeouts

pytestmark = [pytest.mark.over("h1", "h1-tls"), pytest.mark.on("asyncio", "uvloop", "trio")]

REQUEST = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"
PART = b"x" * 65_536
SIZE = 64 * len(PART)  # more than kernels hold


def start(*headers):
    return {"type": "http.response.start", "status": 200, "headers": list(headers)}


def part(data, more=True):
    return {"type": "http.response.body", "body": data, "more_body": more}


def sip(wire, rounds):
    """Takes what the client's small buffer holds, some kilobytes, twenty times a second."""
    taken = b""
    for _ in range(rounds):
        wire.poll(0.05, read=False)
        taken += wire.poll(0)
    return taken


def slow_wire(net):
    wire = net.wire(receive_buffer=4096)
    wire.send(REQUEST)
    return wire


async def large(scope, receive, send):
    if scope["type"] == "http":
        await send(start((b"content-length", b"%d" % SIZE)))
        for _ in range(SIZE // len(PART)):
            await send(part(PART))
        await send(part(b"", False))


@pytest.fixture
def file_of(tmp_path):
    """An application whose answer is a file, which asyncio and uvloop copy in clear."""
    path = tmp_path / "large"
    path.write_bytes(bytes(SIZE))

    async def app(scope, receive, send):
        if scope["type"] == "http":
            await send(start((b"content-length", b"%d" % SIZE)))
            await send({"type": "http.response.pathsend", "path": str(path)})

    return app


def takes_all_of(net, app):
    net.serve(app, timeouts=Timeouts(write_timeout=0.3))
    wire = slow_wire(net)
    answer = sip(wire, 16) + wire.read_all()
    assert wire.error is None
    assert len(answer.partition(b"\r\n\r\n")[2]) == SIZE


def test_who_takes_a_little_all_the_time_gets_all(net):
    takes_all_of(net, large)


@pytest.mark.over("h1")
@pytest.mark.on("asyncio", "uvloop")
def test_who_takes_a_little_of_a_file_all_the_time_gets_all(net, file_of):
    takes_all_of(net, file_of)


def test_the_end_of_a_response_is_not_lost_to_who_takes_it_slowly(net):
    """All has been sent, the connection closes, and the kernel is full."""

    async def app(scope, receive, send):
        if scope["type"] != "http":
            return
        transport = send.__self__._host._transport
        await send(start())
        while not transport.get_write_buffer_size():
            await send(part(PART[:16_384]))
        await send(part(b"the end", False))

    net.serve(app, timeouts=Timeouts(close_timeout=0.3))
    wire = slow_wire(net)
    answer = sip(wire, 16) + wire.read_all()
    assert wire.error is None
    assert answer.endswith(b"\r\nthe end\r\n0\r\n\r\n")


@pytest.fixture
def cuts_off(net, eventually, caplog):
    """``cuts_off(app)``: its client takes a good deal, and less than it must."""

    def check(app):
        net.serve(app, timeouts=Timeouts(write_timeout=0.3), limits=Limits(min_response_rate=1_000_000_000))
        wire = slow_wire(net)
        taken = []
        eventually(lambda: taken.append(sip(wire, 1)) or "min_response_rate" in caplog.text)
        assert len(b"".join(taken) + wire.read_all()) < SIZE
        assert isinstance(wire.error, ConnectionResetError)  # and the kernel holds nothing for it any more

    return check


def test_who_takes_less_than_the_least_is_cut_off(cuts_off):
    cuts_off(large)


@pytest.mark.over("h1")
@pytest.mark.on("asyncio", "uvloop")
def test_who_takes_less_of_a_file_is_cut_off(cuts_off, file_of):
    cuts_off(file_of)
