"""What RFC 6455 and RFC 7692 ask of a server, case by case, over every protocol: the ground that Autobahn covers.

The client sends bare frames, so that it can send wrong ones. A case is the parts that are sent, each by itself, and
what comes back; ``fail`` is a close frame with that code, behind which nothing comes.
"""

from __future__ import annotations

import tracemalloc

import pytest
from wire_clients.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Deflater,
    Frame,
    FrameClient,
    close,
    frame,
)

from tricorn_transports.config import Limits, Timeouts

pytestmark = [pytest.mark.over("h1", "h2", "h3"), pytest.mark.on("asyncio")]


def everywhere(test):
    """On every runtime and over TLS too: what does not only hang on the frames."""
    return pytest.mark.over("h1", "h1-tls", "h2", "h2-tls", "h3")(pytest.mark.on("asyncio", "uvloop", "trio")(test))


@pytest.fixture
def echo():
    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            try:
                await send({**message, "type": "websocket.send"})
            except OSError:  # the close frame came with it
                continue
        app.ends.append((message["code"], message["reason"]))

    app.ends = []
    return app


def text(data):
    return Frame(TEXT, data if isinstance(data, bytes) else data.encode())


def binary(data):
    return Frame(BINARY, data)


def pong(data=b""):
    return Frame(PONG, data)


def fail(code):
    return ("close", code)


def octets(data):
    return [data[index : index + 1] for index in range(len(data))]


def run(net, echo, parts, expected):
    """Sends the parts and compares all that comes; a close of ours follows where the case does not end itself."""
    socket = FrameClient(net.client(echo))
    ends = bool(expected) and isinstance(expected[-1], tuple)
    socket.send(*parts)
    if ends:
        seen = socket.frames_to_end()
    else:
        # A message's echo and a ping's pong overtake each other; so each comes before the next is sent for.
        seen = [socket.frame() for _ in expected]
        socket.send(close(1000))
        assert [last.code for last in socket.frames_to_end()] == [1000]
    seen = [("close", item.code) if item.opcode == CLOSE else item for item in seen]
    assert seen == list(expected)


# ------------------------------------------------------------------------------------------- 1: sizes, text and binary


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 128, 65_535, 65_536, 200_000])
@pytest.mark.parametrize("kind", [TEXT, BINARY], ids=["text", "binary"])
def test_sizes(net, echo, kind, size):
    run(net, echo, [frame(kind, b"*" * size)], [Frame(kind, b"*" * size)])


@pytest.mark.parametrize("chop", [1, 997])
def test_frames_in_pieces(net, echo, chop):
    data = frame(TEXT, b"-" * 300) + frame(BINARY, b"+" * 70_000 if chop > 1 else b"+" * 130)
    parts = [data[start : start + chop] for start in range(0, len(data), chop)]
    run(net, echo, parts, [text(b"-" * 300), binary(b"+" * (70_000 if chop > 1 else 130))])


# ------------------------------------------------------------------------------------------------- 2: pings and pongs

CONTROL = {
    "ping without payload": ([frame(PING)], [pong()]),
    "ping with text": ([frame(PING, b"Hello, world!")], [pong(b"Hello, world!")]),
    "ping with octets": (
        [frame(PING, b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff")],
        [pong(b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff")],
    ),
    "ping of 125 octets": ([frame(PING, b"\xfe" * 125)], [pong(b"\xfe" * 125)]),
    "ping of 126 octets": ([frame(PING, b"\xfe" * 126)], [fail(1002)]),
    "ping octet by octet": (octets(frame(PING, b"\xfe" * 125)), [pong(b"\xfe" * 125)]),
    "pong unasked": ([frame(PONG), frame(PING, b"p")], [pong(b"p")]),
    "pong unasked with payload": ([frame(PONG, b"unsolicited"), frame(PING, b"p")], [pong(b"p")]),
    "ten pings at once": (
        [b"".join(frame(PING, b"%d" % number) for number in range(10))],
        [pong(b"%d" % number) for number in range(10)],
    ),
    "ten pings octet by octet": (
        octets(b"".join(frame(PING, b"%d" % number) for number in range(10))),
        [pong(b"%d" % number) for number in range(10)],
    ),
    "pong of 126 octets": ([frame(PONG, b"x" * 126)], [fail(1002)]),
}


@pytest.mark.parametrize("case", CONTROL)
def test_control_frames(net, echo, case):
    run(net, echo, *CONTROL[case])


# ------------------------------------------------------------------------------- 3, 4: reserved bits, opcodes, lengths

BROKEN = {
    **{f"rsv {rsv}": ([frame(TEXT, b"x", rsv=rsv)], [fail(1002)]) for rsv in range(1, 8)},
    "rsv in a second fragment": ([frame(TEXT, b"ok", fin=False), frame(CONTINUATION, b"x", rsv=2)], [fail(1002)]),
    "rsv of an empty binary": ([frame(BINARY, rsv=6)], [fail(1002)]),
    "rsv of a ping": ([frame(PING, b"x", rsv=5)], [fail(1002)]),
    "rsv of a close": ([frame(CLOSE, b"\x03\xe8", rsv=7)], [fail(1002)]),
    **{f"opcode {op}": ([frame(op)], [fail(1002)]) for op in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)},
    "opcode 5 with payload": ([frame(5, b"payload")], [fail(1002)]),
    "opcode 12 octet by octet": (octets(frame(12, b"p"))[:2], [fail(1002)]),
    "not masked": ([frame(TEXT, b"hello", masked=False)], [fail(1002)]),
    "ping not masked": ([frame(PING, masked=False)], [fail(1002)]),
    "length in more bytes than needed": ([bytes([0x82, 0xFE, 0, 5]) + bytes(9)], [fail(1002)]),
    "length in eight bytes instead of two": ([bytes([0x82, 0xFF, 0, 0, 0, 0, 0, 0, 1, 0]) + bytes(260)], [fail(1002)]),
    "length with its highest bit": ([bytes([0x82, 0xFF, 128, 0, 0, 0, 0, 0, 0, 0]) + bytes(4)], [fail(1002)]),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_frames(net, echo, case):
    run(net, echo, *BROKEN[case])


# ------------------------------------------------------------------------------------------------------- 5: fragments

FRAGMENTS = {
    "ping in two": ([frame(PING, b"a", fin=False), frame(CONTINUATION, b"b")], [fail(1002)]),
    "pong in two": ([frame(PONG, b"a", fin=False), frame(CONTINUATION, b"b")], [fail(1002)]),
    "close in two": ([frame(CLOSE, b"\x03", fin=False), frame(CONTINUATION, b"\xe8")], [fail(1002)]),
    "text in two": ([frame(TEXT, b"a", fin=False), frame(CONTINUATION, b"b")], [text("ab")]),
    "text in two at once": ([frame(TEXT, b"a", fin=False) + frame(CONTINUATION, b"b")], [text("ab")]),
    "text in two octet by octet": (octets(frame(TEXT, b"a", fin=False) + frame(CONTINUATION, b"b")), [text("ab")]),
    "text with a ping between": (
        [frame(TEXT, b"a", fin=False), frame(PING, b"p"), frame(CONTINUATION, b"b")],
        [pong(b"p"), text("ab")],
    ),
    "text with a ping between, at once": (
        [frame(TEXT, b"a", fin=False) + frame(PING, b"p") + frame(CONTINUATION, b"b")],
        [pong(b"p"), text("ab")],
    ),
    "text in five with pings between": (
        [
            frame(TEXT, b"1", fin=False) + frame(CONTINUATION, b"2", fin=False) + frame(PING, b"x"),
            frame(CONTINUATION, b"3", fin=False) + frame(CONTINUATION, b"4", fin=False) + frame(PING, b"y"),
            frame(CONTINUATION, b"5"),
        ],
        [pong(b"x"), pong(b"y"), text("12345")],
    ),
    "empty fragments": (
        [frame(TEXT, fin=False), frame(CONTINUATION, fin=False), frame(CONTINUATION)],
        [text("")],
    ),
    "an empty end": ([frame(BINARY, b"a", fin=False), frame(CONTINUATION)], [binary(b"a")]),
    "a continuation of nothing": ([frame(CONTINUATION, b"x")], [fail(1002)]),
    "a continuation of nothing, not final": ([frame(CONTINUATION, b"x", fin=False)], [fail(1002)]),
    "a text within a text": ([frame(TEXT, b"a", fin=False), frame(TEXT, b"b")], [fail(1002)]),
    "a binary within a text": ([frame(TEXT, b"a", fin=False), frame(BINARY, b"b")], [fail(1002)]),
    "a close within a text": ([frame(TEXT, b"a", fin=False), close(1000)], [fail(1000)]),
}


@pytest.mark.parametrize("case", FRAGMENTS)
def test_fragments(net, echo, case):
    run(net, echo, *FRAGMENTS[case])


@pytest.mark.parametrize("wrong", [frame(CONTINUATION, b"x"), frame(TEXT, b"x", rsv=2), frame(5)])
def test_what_comes_behind_a_whole_message_ends_the_websocket_and_not_the_message(net, echo, wrong):
    socket = FrameClient(net.client(echo))
    socket.send(frame(TEXT, b"whole"))
    assert socket.frame() == text("whole")
    socket.send(wrong)
    assert [item.code for item in socket.frames_to_end()] == [1002]


# ------------------------------------------------------------------------------------------------------------ 6: UTF-8

VALID = {
    "greek": "Hello-µ@ßöäüàá-UTF-8!!",
    "first of each length": "\x00\x7f\x80\u07ff\u0800\uffff\U00010000\U0010ffff",
    "around the surrogates": "\ud7ff\ue000\ufffd",
    "no characters": "\ufffe\uffff\U0001fffe\U0010fffe",
    "kosme": "κόσμε",
}
INVALID = {
    "five octets": b"\xf8\x88\x80\x80\x80",
    "six octets": b"\xfc\x84\x80\x80\x80\x80",
    "beyond the last": b"\xf4\x90\x80\x80",
    "far beyond": b"\xf7\xbf\xbf\xbf",
    "a continuation alone": b"\x80",
    "many continuations": b"\xbf\x80\xbf\x80",
    "starts without continuations": b"\xc3 \xc4 ",
    "a start at the end": b"abc\xe0\x80",
    "overlong slash": b"\xc0\xaf",
    "overlong in three": b"\xe0\x80\xaf",
    "overlong in four": b"\xf0\x80\x80\xaf",
    "overlong nul": b"\xc0\x80",
    "a surrogate": b"\xed\xa0\x80",
    "a pair of surrogates": b"\xed\xa0\xbd\xed\xb8\x80",
    "fe": b"\xfe",
    "ff": b"\xff",
    "in the middle": "κόσμε".encode() + b"\xed\xa0\x80" + b"edited",
}


@pytest.mark.parametrize("case", VALID)
@pytest.mark.parametrize("way", ["whole", "octets", "frames"])
def test_valid_utf8(net, echo, case, way):
    data = VALID[case].encode("utf-8", "surrogatepass")
    if way == "frames":
        parts = [frame(TEXT, data[:1], fin=False)]
        parts += [frame(CONTINUATION, octet, fin=False) for octet in octets(data[1:])] + [frame(CONTINUATION)]
    else:
        parts = [frame(TEXT, data)] if way == "whole" else octets(frame(TEXT, data))
    run(net, echo, parts, [text(data)])


@pytest.mark.parametrize("case", INVALID)
@pytest.mark.parametrize("way", ["whole", "octets"])
def test_invalid_utf8_is_1007(net, echo, case, way):
    data = frame(TEXT, INVALID[case])
    run(net, echo, [data] if way == "whole" else octets(data), [fail(1007)])


@pytest.mark.parametrize("rest", ["a fragment", "half a frame"])
def test_invalid_utf8_fails_before_the_message_is_whole(net, echo, rest):
    """Nothing that could come would make it right: the failure does not wait for it."""
    start = "κόσμε".encode() + b"\xf4\x90"
    if rest == "a fragment":
        parts = [frame(TEXT, start, fin=False)]
    else:
        whole = frame(TEXT, start + bytes(100))
        parts = [whole[: 6 + len(start)]]
    run(net, echo, parts, [fail(1007)])


def test_binary_messages_are_not_read_as_text(net, echo):
    run(net, echo, [frame(BINARY, b"\xff\xfe\xed\xa0\x80")], [binary(b"\xff\xfe\xed\xa0\x80")])


def test_a_text_that_ends_within_a_character_is_1007(net, echo):
    run(net, echo, [frame(TEXT, b"\xce", fin=False), frame(CONTINUATION)], [fail(1007)])


# ------------------------------------------------------------------------------------------------- 7: closing handshake

CLOSES = {
    "nothing in it": ([close()], [fail(None)], 1005),
    "one octet": ([frame(CLOSE, b"\x03")], [fail(1002)], 1002),
    "a code": ([close(1000)], [fail(1000)], 1000),
    "a code and a reason": ([close(1000, b"bye")], [fail(1000)], 1000),
    "the longest reason": ([close(1000, b"x" * 123)], [fail(1000)], 1000),
    "a reason too long": ([close(1000, b"x" * 124)], [fail(1002)], 1002),
    "a reason that is no UTF-8": ([close(1000, b"\xce\xba\xed\xa0\x80")], [fail(1007)], 1007),
    "data behind it": ([close(1000) + frame(TEXT, b"late")], [fail(1000)], 1000),
    "a ping behind it": ([close(1000) + frame(PING)], [fail(1000)], 1000),
    "a second one": ([close(1000) + close(1001)], [fail(1000)], 1000),
    "a text before it": ([frame(TEXT, b"x") + close(1000)], None, 1000),
    "octet by octet": (octets(close(4321, b"slow")), [fail(4321)], 4321),
    **{
        f"code {code}": ([close(code)], [fail(code)], code)
        for code in (1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999)
    },
    **{
        f"code {code}": ([close(code)], [fail(1002)], 1002)
        for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535)
    },
}


@pytest.mark.parametrize("case", CLOSES)
def test_closes(net, echo, case, eventually):
    parts, expected, told = CLOSES[case]
    socket = FrameClient(net.client(echo))
    socket.send(*parts)
    codes = [item for item in socket.frames_to_end() if item.opcode == CLOSE]
    assert [("close", item.code) for item in codes] == (expected or [fail(1000)])
    eventually(lambda: echo.ends)
    assert echo.ends[0][0] == told


@everywhere
def test_the_server_closes_the_transport_first(net, echo):
    """RFC 6455 section 7.1.1: and on HTTP/2 and 3 only the stream (RFC 8441 section 5)."""
    socket = FrameClient(net.client(echo))
    socket.send(close(1000))
    assert [item.code for item in socket.frames_to_end()] == [1000]
    assert socket.response.ended
    if net.version == "1":
        assert socket.client.closed
    else:
        assert not socket.client.closed
        assert FrameClient(socket.client).response.status == 200


# ------------------------------------------------------------------------------------------------------------ 9: sizes


@everywhere
def test_a_large_message_in_small_fragments(net, echo):
    data = bytes(range(256)) * 4096
    socket = FrameClient(net.client(echo))
    parts = [frame(BINARY if not start else CONTINUATION, data[start : start + 1000], fin=False)
             for start in range(0, len(data), 1000)]  # fmt: skip
    for index in range(0, len(parts), 64):
        socket.send(b"".join(parts[index : index + 64]))
    socket.send(frame(CONTINUATION))
    assert socket.frame() == binary(data)


def test_the_largest_message_and_one_octet_more(net, echo, caplog):
    net.serve(echo, limits=Limits(max_websocket_message_bytes=300_000))
    for extra, parts in ((0, 1), (0, 3), (1, 1), (1, 3)):
        data = b"x" * (300_000 + extra)
        cut = len(data) // parts + 1
        frames = [data[start : start + cut] for start in range(0, len(data), cut)]
        socket = FrameClient(net.connect())
        for index, piece in enumerate(frames):
            socket.send(frame(CONTINUATION if index else BINARY, piece, fin=index == len(frames) - 1))
        answer = socket.frame()
        assert answer == binary(data) if not extra else answer.code == 1009


def test_a_frame_that_only_announces_too_much_is_1009(net, echo):
    net.serve(echo, limits=Limits(max_websocket_message_bytes=1000))
    socket = FrameClient(net.connect())
    socket.send(bytes([0x82, 0xFF]) + (1 << 40).to_bytes(8, "big"))
    assert socket.frame().code == 1009


# --------------------------------------------------------------------------------------- 12, 13: permessage-deflate

OFFERS = {
    "plain": (b"permessage-deflate", {}),
    "no server takeover": (b"permessage-deflate; server_no_context_takeover", {"server": False}),
    "no client takeover": (b"permessage-deflate; client_no_context_takeover", {"client": False}),
    "client window": (b"permessage-deflate; client_max_window_bits", {"bits": 12}),
    "client window of 10": (b"permessage-deflate; client_max_window_bits=10", {"bits": 10}),
    "small server window": (b"permessage-deflate; server_max_window_bits=9", {"out": 9}),
    "all": (
        b"permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=9; "
        b"client_max_window_bits=9",
        {"server": False, "client": False, "bits": 9, "out": 9},
    ),
    "the second offer": (
        b"permessage-deflate; server_max_window_bits=8, permessage-deflate; client_max_window_bits",
        {"bits": 12},
    ),
}
#: Offers that cannot be agreed to: the WebSocket opens without.
DECLINED = [
    b"permessage-deflate; server_max_window_bits=8",
    b"permessage-deflate; server_max_window_bits=16",
    b"permessage-deflate; server_max_window_bits",
    b"permessage-deflate; client_max_window_bits=7",
    b"permessage-deflate; server_no_context_takeover=1",
    b"permessage-deflate; unknown",
    b"permessage-deflate; client_max_window_bits; client_max_window_bits",
    b"x-webkit-deflate-frame",
]


@pytest.mark.parametrize("offer", OFFERS)
def test_compressed_messages(net, echo, offer):
    field, terms = OFFERS[offer]
    socket = FrameClient(net.client(echo), headers=[(b"sec-websocket-extensions", field)])
    assert socket.response.header(b"sec-websocket-extensions").startswith(b"permessage-deflate")
    zipper = Deflater(bits=terms.get("bits", 15), takeover=terms.get("client", True))
    alike = b"the same words again and again; " * 40
    for size in (0, 1, 64, 1000, 70_000):
        for kind in (TEXT, BINARY):
            data = (alike * (size // len(alike) + 1))[:size]
            zipped = zipper.compress(data)
            cut = len(zipped) // 2
            socket.send(frame(kind, zipped[:cut], rsv=4, fin=False), frame(PING), frame(CONTINUATION, zipped[cut:]))
            assert socket.frame() == pong()
            answer = socket.frame()
            assert (answer.opcode, answer.fin) == (kind, True)
            payload = answer.payload
            if answer.rsv:
                payload = zipper.inflate(payload, takeover=terms.get("server", True), bits=terms.get("out", 12))
            assert payload == data
            assert bool(answer.rsv) == (size >= 64)
    socket.send(frame(TEXT, b"not compressed"))
    assert socket.frame() == text("not compressed")


@pytest.mark.parametrize("offer", DECLINED)
def test_an_offer_that_cannot_be_kept_is_declined_by_silence(net, echo, offer):
    socket = FrameClient(net.client(echo), headers=[(b"sec-websocket-extensions", offer)])
    assert socket.response.header(b"sec-websocket-extensions") is None
    socket.send(frame(TEXT, b"x" * 100))
    assert socket.frame() == text(b"x" * 100)
    socket.send(frame(TEXT, b"x", rsv=4))
    assert socket.frame().code == 1002


DEFLATE = [(b"sec-websocket-extensions", b"permessage-deflate")]
BAD_DEFLATE = {
    "no deflate at all": ([frame(BINARY, b"\xff" * 20, rsv=4)], 1007),
    "rsv1 in a continuation": ([frame(TEXT, b"", rsv=4, fin=False), frame(CONTINUATION, b"", rsv=4)], 1002),
    "rsv1 in a ping": ([frame(PING, rsv=4)], 1002),
    "rsv1 in a close": ([frame(CLOSE, b"\x03\xe8", rsv=4)], 1002),
    "rsv2": ([frame(TEXT, b"", rsv=6)], 1002),
    "text that inflates to no UTF-8": ([frame(TEXT, Deflater().compress(b"\xed\xa0\x80"), rsv=4)], 1007),
    "a reference before the beginning": ([frame(BINARY, b"\x02\x0b\x00", rsv=4)], 1007),
}


@pytest.mark.parametrize("case", BAD_DEFLATE)
def test_bad_compression(net, echo, case):
    parts, code = BAD_DEFLATE[case]
    socket = FrameClient(net.client(echo), headers=DEFLATE)
    socket.send(*parts)
    assert [item.code for item in socket.frames_to_end()] == [code]


@everywhere
def test_a_bomb_is_stopped_while_it_inflates(net, echo, caplog, eventually):
    net.serve(echo, limits=Limits(max_websocket_message_bytes=100_000))
    socket = FrameClient(net.connect(), headers=DEFLATE)
    bomb = Deflater().compress(bytes(50 << 20))
    assert len(bomb) < 60_000
    socket.send(frame(BINARY, bomb, rsv=4))
    assert socket.frame().code == 1009
    eventually(lambda: echo.ends == [(1009, "a message is longer than 100000 bytes")])
    assert "max_websocket_message_bytes" in caplog.text


# ------------------------------------------------------------------------------------------------- pressure and silence


@everywhere
def test_what_no_application_reads_stays_compressed(net, settled, until, eventually):
    """256 KiB of window hold hundreds of messages of 16 MiB: they are inflated one by one, as they are read."""
    go_on, sizes = [], []

    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        await until(lambda: go_on)
        while (message := await receive())["type"] == "websocket.receive":
            sizes.append(len(message["bytes"]))

    net.serve(app)
    socket = FrameClient(net.connect(), headers=[*DEFLATE])
    bomb = frame(BINARY, Deflater(takeover=False).compress(bytes(4 << 20)), rsv=4)
    tracemalloc.start(1)
    base = tracemalloc.get_traced_memory()[0]
    socket.send(*[bomb] * 40)
    settled(lambda: socket.client.sent(socket.stream), lambda: socket.client.poll(0.01))
    peak = tracemalloc.get_traced_memory()[1] - base
    tracemalloc.stop()
    assert peak < 24 << 20
    go_on.append(True)
    socket.send(close(1000))
    assert socket.frame().code == 1000
    eventually(lambda: len(sizes) == 40)
    assert set(sizes) == {4 << 20}


@pytest.mark.over("h2", "h3")
def test_many_websockets_of_a_connection_share_what_they_may_hold(net, until, settled):
    """Each is in the middle of its largest message; only one of them goes on at a time, and all get through."""
    sizes = []

    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            sizes.append(len(message["bytes"]))
            await send({"type": "websocket.send", "text": "ok"})

    limit = 400_000
    net.serve(app, limits=Limits(max_websocket_message_bytes=limit, stream_receive_buffer=65_536))
    client = net.connect()
    sockets = [FrameClient(client) for _ in range(10)]
    for socket in sockets:
        client.send_raw(socket.stream, frame(BINARY, b"x" * (limit // 2), fin=False))
    taken = settled(lambda: sum(client.sent(socket.stream) for socket in sockets), lambda: client.poll(0.01))
    assert limit < taken < 10 * limit // 2 - limit
    for socket in sockets:
        client.send_raw(socket.stream, frame(CONTINUATION, b"x" * (limit // 2)))
    for socket in sockets:
        assert socket.frame() == text("ok")
    assert sizes == [limit] * 10


@everywhere
def test_a_client_that_does_not_finish_the_closing_handshake_is_left(net, eventually):
    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": 4000})

    net.serve(app, timeouts=Timeouts(close_timeout=0.2))
    socket = FrameClient(net.connect())
    assert [item.code for item in socket.frames_to_end()] == [4000]


@everywhere
def test_a_client_that_pongs_and_takes_nothing_is_left(net, eventually, caplog):
    """Signs of life are no excuse: a send() that waits for ever would hold its handler for ever."""
    errors = []

    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        try:
            while True:
                await send({"type": "websocket.send", "bytes": b"x" * 65_536})
        except OSError as error:
            errors.append(error)

    net.serve(app, timeouts=Timeouts(write_timeout=0.3))
    options = {} if net.version == "3" else {"receive_buffer": 32_768}
    client = net.connect(**options)
    if net.version != "1":
        client.slow.add(1 if net.version == "2" else 0)
    socket = FrameClient(client)

    def pongs():
        client.send_raw(socket.stream, frame(PONG)) if not client.closed else None
        client.poll(0.01, read=net.version != "1")
        return errors

    eventually(pongs)
    assert "write_timeout" in caplog.text


@pytest.mark.on("asyncio", "trio")
def test_a_client_that_is_held_back_need_answer_no_ping(net, until, settled):
    """Its pong would stand behind what the application has not read."""
    go_on, read = [], []

    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        await until(lambda: go_on)
        while (message := await receive())["type"] == "websocket.receive":
            read.append(len(message["bytes"]))

    limits = Limits(stream_receive_buffer=65_536, connection_receive_buffer=65_536)
    net.serve(app, limits=limits, timeouts=Timeouts(websocket_ping_interval=0.05, websocket_ping_timeout=0.05))
    socket = FrameClient(net.connect())
    for _ in range(8):
        socket.send(frame(BINARY, b"x" * 30_000))
    settled(lambda: socket.client.sent(socket.stream), lambda: socket.client.poll(0.01), quiet=0.5)
    assert not socket.response.over
    go_on.append(True)
    socket.client.wait(lambda: len(read) == 8, "all messages")
