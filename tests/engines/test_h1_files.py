"""HTTP/1.1 responses whose bodies the connection takes from files: their place in the output, and their framing."""

from __future__ import annotations

import pytest

from tricorn_transports.abc import EngineContext, Feature, FileRegion
from tricorn_transports.config import Limits, Timeouts
from tricorn_transports.engines.h1 import H11Engine
from tricorn_transports.errors import LocalProtocolError
from tricorn_transports.events import AbortReason, StreamWritable

GET = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"
LARGE = 1 << 30


@pytest.fixture
def engine():
    engine = H11Engine(EngineContext(Limits(), Timeouts(), b"http", 0.0, sends_files=True))
    engine.receive_data(GET, 0.0)
    return engine


def region(length=LARGE):
    return FileRegion(7, 0, length, 1)


def output(engine):
    """All of it, and nothing but the last of one portion is a file."""
    parts = []
    while portion := engine.data_to_send(0.0):
        assert not any(isinstance(part, FileRegion) for part in portion[:-1])
        parts += portion
    return parts


def test_files_are_for_connections_that_take_them(engine, h1):
    assert Feature.FILES in engine.features
    h1.feed(GET)
    assert Feature.FILES not in h1.engine.features
    engine.receive_data(b"", 0.0)
    engine.send_headers(1, 200, [], end=True)
    engine.release(1)
    engine.receive_data(b"GET / HTTP/1.0\r\n\r\n", 0.0)
    assert Feature.FILES in engine.features
    assert Feature.TRAILERS not in engine.features


def test_a_file_of_known_length(engine):
    file = region()
    engine.send_headers(1, 200, [(b"content-length", b"%d" % (LARGE + 2))])
    engine.send_file(1, file)
    engine.send_data(1, b"ok", end=True)
    head, sent, tail = output(engine)
    assert head.endswith(b"content-length: %d\r\n\r\n" % (LARGE + 2))
    assert (sent, tail) == (file, b"ok")


def test_files_of_unknown_length_are_chunks(engine):
    files = [region(255), region(300_000)]
    engine.send_headers(1, 200, [])
    for file in files:
        engine.send_file(1, file)
    engine.send_data(1, b"x" * 300_000)
    engine.send_data(1, b"", end=True)
    parts = output(engine)
    assert [part for part in parts if isinstance(part, FileRegion)] == files
    text = b"".join(b"<file>" if isinstance(part, FileRegion) else part for part in parts)
    body = text.partition(b"\r\n\r\n")[2]
    data = b"493e0\r\n" + b"x" * 300_000 + b"\r\n"
    assert body == b"ff\r\n<file>\r\n493e0\r\n<file>\r\n" + data + b"0\r\n\r\n"


def test_a_file_fills_the_queue_until_it_is_taken(engine):
    engine.send_headers(1, 200, [(b"content-length", b"%d" % LARGE)])
    engine.send_file(1, region())
    assert engine.sendable(1) < 0
    engine.data_to_send(0.0)
    assert engine.take_events() == [StreamWritable(1)]
    assert engine.sendable(1) == Limits().stream_send_buffer


@pytest.mark.parametrize("length", [9, 11])
def test_a_file_has_the_announced_length(engine, length):
    engine.send_headers(1, 200, [(b"content-length", b"10")])
    with pytest.raises(LocalProtocolError, match="longer" if length > 10 else "shorter"):
        engine.send_file(1, region(length))
        engine.send_data(1, b"", end=True)


def test_a_file_comes_behind_a_head(engine):
    with pytest.raises(LocalProtocolError):
        engine.send_file(1, region())


def test_what_is_terminated_sends_no_file(engine):
    engine.send_headers(1, 200, [])
    engine.send_file(1, region())
    engine.terminate(AbortReason.INTERNAL_ERROR)
    assert output(engine) == []
    engine.send_file(1, region())  # the application cannot know yet
    assert output(engine) == []
