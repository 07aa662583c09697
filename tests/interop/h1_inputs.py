"""What the differential test sends to our engines and to other servers.

The table holds every rule of tests/wire and, below, sequences of messages; ``mutations`` damages messages at random.
"""

from __future__ import annotations

import random

from wire_clients.h1_messages import ACCEPTED, REJECTED, chunked, get, post

GET = get(line=b"GET /1 HTTP/1.1")
HELLO = post(b"content-length: 5") + b"hello"
CHUNKS = chunked(b"5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n\r\n")

#: What the rules leave out: sequences, and what stands at the borders between messages.
SEQUENCES = {
    "nothing": b"",
    "one-get": GET,
    "ten-gets": GET * 10,
    "a-body-then-a-get": HELLO + GET,
    "chunks-then-a-get": CHUNKS + GET,
    "chunks-then-a-body": CHUNKS + HELLO,
    "a-request-within-a-body": post(b"content-length: %d" % len(GET)) + GET + GET,
    "a-request-within-a-chunk": chunked(b"%x\r\n%b\r\n0\r\n\r\n" % (len(GET), GET)) + GET,
    "a-request-within-an-extension": chunked(b'5;x="GET / HTTP/1.1"\r\nhello\r\n0\r\n\r\n') + GET,
    "a-request-within-a-trailer": chunked(b"0\r\nx: GET / HTTP/1.1\r\n\r\n") + GET,
    "a-body-that-ends-like-a-head": post(b"content-length: 4") + b"\r\n\r\n" + GET,
    "an-empty-line-behind-a-body": HELLO + b"\r\n" + GET,
    "two-empty-lines-behind-a-body": HELLO + b"\r\n\r\n" + GET,
    "an-empty-line-behind-chunks": CHUNKS + b"\r\n" + GET,
    "too-short-a-length": post(b"content-length: 3") + b"hello",
    "too-long-a-length": post(b"content-length: 50000") + b"hello",
    "length-zero": post(b"content-length: 0") + GET,
    "length-zero-with-a-body": post(b"content-length: 0") + b"hello",
    "no-length-with-a-body": post() + b"hello",
    "cut-within-the-request-line": b"GET /",
    "cut-within-a-field": b"GET / HTTP/1.1\r\nhost: a\r\nx: y",
    "cut-within-a-chunk": chunked(b"fff\r\nhello"),
    "cut-behind-a-chunk": chunked(b"5\r\nhello\r\n"),
    "cut-before-the-trailers-end": chunked(b"0\r\nx: y\r\n"),
    "close-and-more": get(b"connection: close") + GET,
    "close-in-a-list": get(b"connection: x, Close") + GET,
    "keep-alive-said": get(b"connection: keep-alive") + GET,
    "1.0-and-more": b"GET /1 HTTP/1.0\r\nhost: a\r\n\r\n" + GET,
    "1.0-kept-alive-and-more": b"GET /1 HTTP/1.0\r\nhost: a\r\nconnection: keep-alive\r\n\r\n" + GET,
    "1.0-without-host": b"GET /1 HTTP/1.0\r\n\r\n",
    "1.0-with-a-body": post(b"content-length: 5", version=b"1.0") + b"hello",
    "1.0-kept-alive-with-a-body": post(b"content-length: 5", b"connection: keep-alive", version=b"1.0") + b"hello",
    "1.0-with-coding-and-length": post(b"content-length: 5", b"transfer-encoding: chunked", version=b"1.0") + b"hello",
    "head": get(line=b"HEAD /1 HTTP/1.1") + GET,
    "head-with-a-body": get(b"content-length: 5", line=b"HEAD /1 HTTP/1.1") + b"hello" + GET,
    "delete-with-a-body": get(b"content-length: 5", line=b"DELETE /1 HTTP/1.1") + b"hello" + GET,
    "get-with-chunks": get(b"transfer-encoding: chunked") + b"5\r\nhello\r\n0\r\n\r\n" + GET,
    "options-with-a-body": get(b"content-length: 5", line=b"OPTIONS /1 HTTP/1.1") + b"hello" + GET,
    "continue": post(b"expect: 100-continue", b"content-length: 5") + b"hello" + GET,
    "another-expectation-in-a-list": post(b"expect: 100-continue, more", b"content-length: 5") + b"hello" + GET,
    "another-expectation": post(b"expect: more", b"content-length: 5") + b"hello" + GET,
    "upgrade-refused": get(b"connection: upgrade", b"upgrade: other") + GET,
    "upgrade-to-several": get(b"connection: upgrade", b"upgrade: h2c, other") + GET,
    "upgrade-with-a-body": post(b"connection: upgrade", b"upgrade: h2c", b"content-length: 5") + b"hello" + GET,
    "length-named-with-an-underscore": post(b"content_length: 5") + b"hello",
    "coding-named-with-an-underscore": post(b"transfer_encoding: chunked", b"content-length: 5") + b"hello" + GET,
    "length-listed-in-connection": post(b"connection: content-length", b"content-length: 5") + b"hello" + GET,
    "coding-listed-in-connection": post(b"connection: transfer-encoding", b"transfer-encoding: chunked")
    + b"5\r\nhello\r\n0\r\n\r\n" + GET,
    "te-is-not-transfer-encoding": post(b"te: chunked", b"content-length: 5") + b"hello" + GET,
    "a-length-in-the-target": post(b"content-length: 5").replace(b"/", b"/?content-length:50") + b"hello" + GET,
    "a-large-body": post(b"content-length: 300000") + b"x" * 300_000 + GET,
    "large-chunks": chunked(b"30d40\r\n" + b"x" * 200_000 + b"\r\n0\r\n\r\n") + GET,
    "many-chunks": chunked(b"1\r\nx\r\n" * 5000 + b"0\r\n\r\n") + GET,
    "a-percent-nul": get(line=b"GET /%00 HTTP/1.1"),
    "a-way-out": get(line=b"GET /../x HTTP/1.1"),
    "http2-preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}  # fmt: skip

TABLE = {
    **{name: raw for name, (raw, _) in REJECTED.items()},
    **{name: raw for name, (raw, _) in ACCEPTED.items()},
    **SEQUENCES,
}

_BASES = [GET, HELLO, CHUNKS, chunked(b"5\r\nhello\r\n0\r\nx: y\r\n\r\n"), SEQUENCES["1.0-kept-alive-with-a-body"]]
_PIECES = [b"\r\n", b"\n", b"\r", b" ", b"\t", b":", b";", b",", b"0", b"5", b"a", b"+", b"-", b"_", b"x", b"\x00",
           b"\x0b", b"\x7f", b"\xff", b'"', b"#", b"%", b"/", b"HTTP/1.0", b"chunked"]  # fmt: skip
_LINES = [
    *(b"content-length: 5", b"content-length: 0", b"Content-Length: 11", b"transfer-encoding: chunked", b"host: b"),
    *(b"Transfer-Encoding: identity", b"connection: close", b"connection: keep-alive", b" folded", b"x: y"),
]


def mutations(count, seed):
    """Sequences of two or three messages, each damaged once to three times; always the same for the same seed."""
    chance = random.Random(seed)
    for _ in range(count):
        data = b"".join(chance.choices(_BASES, k=chance.randint(1, 3)))
        for _ in range(chance.randint(1, 3)):
            at = chance.randrange(len(data))
            act = chance.randrange(6)
            if act == 0:
                data = data[:at] + data[at + 1 :]
            elif act == 1:
                data = data[:at] + chance.choice(_PIECES) + data[at:]
            elif act == 2:
                data = data[:at] + chance.choice(_PIECES) + data[at + 1 :]
            elif act == 3:
                data = data[:at] + data[at : at + 1].swapcase() + data[at + 1 :]
            else:
                lines = data.split(b"\r\n")
                at = chance.randrange(len(lines))
                if act == 4:
                    lines.insert(at, chance.choice(_LINES))
                else:
                    lines[at:at] = [lines[at]]
                data = b"\r\n".join(lines)
        yield data
