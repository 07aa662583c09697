"""WebSocket frames, with wsproto's client as the peer."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import tracemalloc
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage
from wsproto.extensions import PerMessageDeflate

from tricorn_transports.errors import LocalProtocolError
from tricorn_transports.websocket.frames import CloseReceived, FrameError, Frames, MessageReceived, PongReceived
from tricorn_transports.websocket.handshake import Deflate

LIMIT = 100_000
TERMS = [
    None,
    Deflate(),
    Deflate(server_bits=9, client_bits=10),
    Deflate(server_takeover=False, client_takeover=False),
]


def client_of(terms):
    if terms is None:
        return Connection(ConnectionType.CLIENT)
    extension = PerMessageDeflate()
    extension.finalize(terms.to_header().decode())
    return Connection(ConnectionType.CLIENT, [extension])


def frame(opcode, payload=b"", *, fin=True, rsv=0, masked=True):
    """One client frame, written by hand so that it can be wrong."""
    head = bytes([fin << 7 | rsv << 4 | opcode])
    mask = 0x80 if masked else 0
    if len(payload) < 126:
        head += bytes([mask | len(payload)])
    elif len(payload) < 65_536:
        head += bytes([mask | 126]) + struct.pack("!H", len(payload))
    else:
        head += bytes([mask | 127]) + struct.pack("!Q", len(payload))
    return head + (bytes(4) if masked else b"") + payload  # masked with zeros: the payload stays readable


def raw_deflate(data, *, level=9):
    compressor = zlib.compressobj(level, wbits=-15)
    return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


@pytest.fixture
def frames():
    return Frames(max_message_bytes=LIMIT)


# -------------------------------------------------------------------------------------------------------- messages


@settings(deadline=None)
@given(
    messages=st.lists(st.text(max_size=300) | st.binary(max_size=300), max_size=5),
    terms=st.sampled_from(TERMS),
    cut=st.integers(1, 50),
)
def test_messages_go_both_ways(messages, terms, cut):
    server, client = Frames(terms, max_message_bytes=LIMIT), client_of(terms)
    wire = b"".join(
        client.send(TextMessage(data=data) if isinstance(data, str) else BytesMessage(data=data)) for data in messages
    )
    expected = [MessageReceived(data) for data in messages]
    received = []
    for start in range(0, len(wire), cut):
        received += server.receive(wire[start : start + cut])
    assert received == expected
    assert Frames(terms, max_message_bytes=LIMIT).receive(wire) == expected

    for data in messages:
        server.send(data)
    client.receive_data(server.data_to_send())
    answered = [type(data)() for data in messages]
    current = 0
    for event in client.events():
        answered[current] += event.data
        current += event.message_finished
    assert answered == messages


@pytest.mark.parametrize("terms", TERMS)
def test_fragments_with_a_ping_between(terms):
    server, client = Frames(terms, max_message_bytes=LIMIT), client_of(terms)
    wire = client.send(TextMessage(data="hé" * 100, message_finished=False))
    wire += client.send(Ping(payload=b"p"))
    wire += client.send(TextMessage(data="llo", message_finished=True))
    assert server.receive(wire) == [MessageReceived("hé" * 100 + "llo")]
    client.receive_data(server.data_to_send())
    assert list(client.events()) == [Pong(payload=b"p")]


def test_a_character_divided_between_fragments(frames):
    assert frames.receive(frame(1, b"\xc3", fin=False) + frame(0, b"\xa9")) == [MessageReceived("é")]


@pytest.mark.parametrize("data", ["x" * 20_000, b"x" * 20_000])
def test_thousands_of_pieces_make_one_message(frames, data):
    raw = data.encode() if isinstance(data, str) else data
    wire = frame(1 if isinstance(data, str) else 2, raw)
    events = []
    tracemalloc.start()
    try:
        for index in range(len(wire)):
            events += frames.receive(wire[index : index + 1])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert events == [MessageReceived(data)]
    assert peak < 10 * len(data)


def test_short_messages_are_not_compressed():
    server = Frames(Deflate(), max_message_bytes=LIMIT)
    server.send("short")
    assert server.data_to_send() == b"\x81\x05short"
    server.send("long" * 1000)
    assert len(server.data_to_send()) < 100


def test_text_that_cannot_be_encoded(frames):
    with pytest.raises(LocalProtocolError):
        frames.send("\ud800")
    with pytest.raises(LocalProtocolError):
        frames.close(1000, "\ud800")
    frames.send("fine")
    assert frames.data_to_send() == b"\x81\x04fine"


# ---------------------------------------------------------------------------------------------------------- limits


def test_a_message_at_its_limit(frames):
    assert frames.receive(frame(2, b"x" * LIMIT)) == [MessageReceived(b"x" * LIMIT)]
    assert frames.receive(frame(2, b"y" * LIMIT)) == [MessageReceived(b"y" * LIMIT)]


def failure(frames, wire):
    """The code of the one error, seen alike by us and by the client."""
    events = frames.receive(wire)
    assert isinstance(events[-1], FrameError), events
    client = Connection(ConnectionType.CLIENT)
    client.receive_data(frames.data_to_send())
    (closed,) = client.events()
    assert isinstance(closed, CloseConnection)
    assert closed.code == events[-1].code
    assert frames.receive(frame(1, b"more")) == []
    frames.close(1000)
    assert frames.data_to_send() == b""
    return events[-1].code


def test_a_frame_that_is_too_long_is_refused_by_its_header(frames):
    assert failure(frames, frame(2, b"x" * (LIMIT + 1))[:14]) == 1009


def test_fragments_that_are_too_long_together(frames):
    half = b"x" * (LIMIT // 2 + 1)
    assert failure(frames, frame(1, half, fin=False) + frame(0, half)) == 1009


def test_text_is_counted_in_bytes(frames):
    assert failure(frames, frame(1, "é".encode() * LIMIT)) == 1009


@pytest.mark.parametrize("divided", [False, True])
def test_a_compression_bomb_is_stopped_early(divided):
    frames = Frames(Deflate(), max_message_bytes=LIMIT)
    bomb = raw_deflate(bytes(200_000_000))
    assert len(bomb) < 250_000
    wire = frame(2, bomb[:1000], fin=False, rsv=4) + frame(0, bomb[1000:]) if divided else frame(2, bomb, rsv=4)
    tracemalloc.start()
    try:
        code = failure(frames, wire)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert code == 1009
    assert peak < 3_000_000


def test_a_compressed_message_at_its_limit():
    frames = Frames(Deflate(), max_message_bytes=LIMIT)
    data = os.urandom(LIMIT)  # which takes more than LIMIT bytes when compressed
    assert len(raw_deflate(data)) > LIMIT
    assert frames.receive(frame(2, raw_deflate(data), rsv=4)) == [MessageReceived(data)]


# ------------------------------------------------------------------------------------------------------- wrong ones


@pytest.mark.parametrize(
    ("wire", "code"),
    [
        (frame(1, b"hi", masked=False), 1002),
        (frame(1, b"hi", rsv=4), 1002),
        (frame(1, b"hi", rsv=2), 1002),
        (frame(3, b"hi"), 1002),
        (frame(0, b"hi"), 1002),
        (frame(1, b"hi", fin=False) + frame(1, b"hi"), 1002),
        (frame(9, b"hi", fin=False), 1002),
        (frame(9, b"x" * 126), 1002),
        (frame(8, b"\x03"), 1002),
        (frame(8, struct.pack("!H", 1005)), 1002),
        (frame(8, struct.pack("!H", 999)), 1002),
        (frame(8, struct.pack("!H", 1000) + b"\xff"), 1007),
        (frame(1, b"\xff"), 1007),
        (frame(1, b"\xc3"), 1007),
        (frame(1, b"ok", fin=False) + frame(0, b"\xff", fin=False), 1007),
    ],
)
def test_broken_frames(frames, wire, code):
    assert failure(frames, wire) == code


@pytest.mark.parametrize(
    ("wire", "code"),
    [
        (frame(2, b"\xff\xff\xff", rsv=4), 1007),
        (frame(9, b"hi", rsv=4), 1002),
        (frame(2, raw_deflate(b"hi"), fin=False, rsv=4) + frame(0, b"", rsv=4), 1002),
    ],
)
def test_broken_compression(wire, code):
    assert failure(Frames(Deflate(), max_message_bytes=LIMIT), wire) == code


def test_what_came_before_the_break_was_received(frames):
    assert frames.receive(frame(1, b"ok") + frame(3))[0] == MessageReceived("ok")


def final_block(data):
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(data) + compressor.flush(zlib.Z_FINISH)


def test_a_final_block_ends_the_window_but_not_the_connection():
    """RFC 7692 section 7.2.3.4."""
    frames = Frames(Deflate(), max_message_bytes=LIMIT)
    wire = frame(1, final_block(b"Hello") + b"\x00", rsv=4)
    assert frames.receive(wire + wire) == [MessageReceived("Hello"), MessageReceived("Hello")]


def test_nothing_may_follow_a_final_block():
    frames = Frames(Deflate(), max_message_bytes=LIMIT)
    assert failure(frames, frame(1, final_block(b"Hello") + final_block(b"World"), rsv=4)) == 1007


@settings(deadline=None)
@given(data=st.binary(max_size=400), terms=st.sampled_from(TERMS))
def test_garbage_never_raises(data, terms):
    frames = Frames(terms, max_message_bytes=100)
    frames.receive(data)
    frames.receive(data)


# -------------------------------------------------------------------------------------------------- control frames


def test_of_a_flood_of_pings_the_last_are_answered(frames):
    assert frames.receive(b"".join(frame(9, b"%d" % index) for index in range(1000))) == []
    assert frames.data_to_send() == b"".join(b"\x8a\x03%d" % index for index in range(936, 1000))
    assert frames.data_to_send() == b""


def test_ping_and_pong(frames):
    client = client_of(None)
    frames.ping(b"mark")
    client.receive_data(frames.data_to_send())
    (ping,) = client.events()
    assert frames.receive(client.send(ping.response())) == [PongReceived(b"mark")]
    with pytest.raises(LocalProtocolError):
        frames.ping(b"x" * 126)


@pytest.mark.parametrize(
    ("payload", "event", "answer"),
    [
        (b"", CloseReceived(None, ""), b"\x88\x00"),
        (b"\x03\xe9bye", CloseReceived(1001, "bye"), b"\x88\x02\x03\xe9"),
        (b"\x0f\xa0", CloseReceived(4000, ""), b"\x88\x02\x0f\xa0"),
    ],
)
def test_the_client_closes(frames, payload, event, answer):
    assert frames.receive(frame(8, payload) + frame(1, b"behind")) == [event]
    assert frames.data_to_send() == answer
    assert frames.receive(frame(1, b"later")) == []
    with pytest.raises(LocalProtocolError):
        frames.send("late")
    frames.ping()
    frames.close(1000)
    assert frames.data_to_send() == b""


def test_we_close_first(frames):
    frames.close(1001, "r" * 200)
    client = client_of(None)
    client.receive_data(frames.data_to_send())
    (closed,) = client.events()
    assert (closed.code, closed.reason) == (1001, "r" * 123)
    assert frames.receive(frame(9, b"p") + frame(1, b"on its way")) == [MessageReceived("on its way")]
    assert frames.receive(client.send(closed.response())) == [CloseReceived(1001, "r" * 123)]
    assert frames.data_to_send() == b""


def test_close_without_a_code(frames):
    frames.close(1005)
    assert frames.data_to_send() == b"\x88\x00"


@pytest.mark.parametrize("code", [0, 999, 1004, 1006, 1015, 2999, 5000])
def test_codes_that_may_not_be_sent(frames, code):
    with pytest.raises(LocalProtocolError):
        frames.close(code)


def test_without_wsproto_the_message_says_what_to_install():
    program = (
        "import sys; sys.modules['wsproto'] = None\n"
        "from tricorn_transports.websocket.frames import Frames\n"
        "from tricorn_transports.errors import ConfigError\n"
        "for make in (Frames.require, lambda: Frames(max_message_bytes=1)):\n"
        "    try: make()\n"
        "    except ConfigError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ['websockets: wsproto is not installed: pip install "tricorn[websockets]"'] * 2


def test_pings_that_nobody_takes_the_answer_of_cost_a_bounded_number_of_pongs(frames):
    for number in range(1000):
        frames.receive(frame(0x9, b"%d" % number))
    assert len(frames.data_to_send()) == 64 * 5
    assert frames.data_to_send() == b""


def test_a_pong_goes_before_a_close_frame_and_never_after_one(frames):
    frames.receive(frame(0x9, b"a"))
    frames.close(1000)
    assert frames.data_to_send() == b"\x8a\x01a\x88\x02\x03\xe8"
    frames.receive(frame(0x9, b"b"))
    assert frames.data_to_send() == b""


# ------------------------------------------------------------------------------------------------------ close codes

#: RFC 6455 section 7.4 and what IANA has registered since.
VALID_CODES = {*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)}


def test_each_close_code_is_right_or_wrong():
    for code in range(65_536):
        frames = Frames(max_message_bytes=LIMIT)
        (event,) = frames.receive(frame(8, struct.pack("!H", code) + b"why"))
        answer = struct.unpack("!H", frames.data_to_send()[2:4])[0]
        if code in VALID_CODES:
            assert (event, answer) == (CloseReceived(code, "why"), code)
        else:
            assert isinstance(event, FrameError), code
            assert (event.code, answer) == (1002, 1002)
            if code != 1005:  # which says: no code
                with pytest.raises(LocalProtocolError):
                    frames.close(code)


# ------------------------------------------------------------------------------------------------- a step at a time


def test_reading_stops_between_messages_and_goes_on():
    frames = Frames(Deflate(), max_message_bytes=LIMIT)
    bomb = raw_deflate(bytes(LIMIT))
    frames.feed(frame(2, bomb, rsv=4) * 100)
    seen = 0
    for _ in range(100):
        step = next(event for event in frames.events() if event is not None)
        assert step == MessageReceived(bytes(LIMIT))
        seen += 1
    assert seen == 100
    assert list(frames.events()) == []


def test_a_step_takes_no_more_than_the_limit():
    frames = Frames(Deflate(client_takeover=False), max_message_bytes=LIMIT)
    frames.feed(frame(2, raw_deflate(bytes(LIMIT)), rsv=4) * 1000)
    tracemalloc.start()
    try:
        assert next(iter(frames.events())) == MessageReceived(bytes(LIMIT))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 6 * LIMIT
    assert frames.held == 0
