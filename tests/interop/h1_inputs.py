"""What the differential test with nginx sends, and the reasons for which the two may differ.

The table holds every rule of tests/wire and, below, sequences of messages; ``mutations`` damages messages at random.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

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
    "another-expectation": post(b"expect: more", b"content-length: 5") + b"hello" + GET,
    "upgrade-refused": get(b"connection: upgrade", b"upgrade: other") + GET,
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


# --------------------------------------------------------------------------------------------------------- the reasons

_TOKEN = rb"!#$%&'*+\-.^_`|~0-9A-Za-z"


@dataclass(frozen=True)
class Reason:
    """Why one of the two takes fewer messages.

    Attributes:
        pattern: What stands in an input of this kind; a damaged one that has it may differ for this reason.
        names: The inputs of the table that differ for this reason, all of them.
        method: Instead of ``pattern``: the method of the first message that only one of the two takes.
    """

    text: str
    pattern: bytes = rb"(?!)"
    names: tuple[str, ...] = ()
    method: str = r"(?!)"


#: nginx goes on where RFC 9112 has a rejection, or allows one, and we reject.
WE_ARE_STRICTER = (
    Reason(
        "a line feed alone ends a line for nginx; RFC 9112 section 2.2 allows it, and two parsers may see two messages",
        rb"(?<!\r)\n",
        (
            *("bare-lf-before", "bare-lf-everywhere", "bare-lf-behind-request-line", "bare-lf-behind-a-field"),
            *("bare-lf-for-the-empty-line", "chunk-size-bare-lf", "chunk-extension-bare-lf", "chunk-end-bare-lf"),
            *("last-chunk-bare-lf", "end-bare-lf", "trailer-bare-lf"),
        ),
    ),
    Reason(
        "nginx takes a carriage return alone before a line end, and one in place of a chunk's last byte",
        rb"\r(?!\n)",
        ("cr-cr-lf",),
    ),
    Reason(
        "nginx speaks HTTP/0.9: a request line without a version",
        rb"(?:\A|\n|hello)[A-Za-z]+ [^ \r\n]*\r\n",
        ("http/0.9",),
    ),
    Reason(
        "nginx skips any number of empty lines before a request; RFC 9112 section 2.2 asks for at least one",
        rb"(?:\A|\r\n\r\n|hello)(?:\r\n){2}",
        ("two-empty-lines-before", "two-empty-lines-behind-a-body"),
    ),
    Reason(
        "nginx takes more spaces than one in a request line, and some behind it (RFC 9112 section 3 allows it)",
        rb"[A-Za-z]+(?: {2,}\S|[^\r\n]* {2,}HTTP/|[^\r\n]*HTTP/1\.[0-9] +\r\n)",
        ("two-spaces", "space-behind-version"),
    ),
    Reason(
        "nginx takes targets with a fragment or bytes that are not ASCII; RFC 9112 section 3.2 has neither",
        rb"(?:\A|\n|hello)[A-Za-z]+ [^ \r\n]*[#\x80-\xff]",
        ("target-not-ascii", "target-with-fragment"),
    ),
    Reason(
        "nginx ignores field lines whose name is no token, and values may have control characters (RFC 9110 section 5)",
        rb"\n[^\r\n:]*[^" + _TOKEN + rb":\r\n][^\r\n]*\r\n|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]",
        ("name-not-a-token", "name-not-ascii", "value-with-control", "value-with-delete"),
    ),
    Reason(
        "nginx looks into Host for slashes and little else; RFC 9112 section 3.2 wants a 400 for an invalid one",
        rb"(?i)\nhost:[ \t]*[^\r\n]*[^\r\n\w.: \t-]",
        (
            *("host-with-userinfo", "host-with-letters-for-a-port", "host-with-port-too-large"),
            *("host-with-half-a-literal", "host-with-no-address-in-brackets", "host-with-half-an-escape"),
        ),
    ),
    Reason(
        "nginx skips what stands between a chunk's size and its line's end, whatever it is, and leading zeros",
        rb"\n[0-9A-Fa-f]+[ \t;][^\n]*\r\n",
        (
            *("chunk-size-space-behind", "chunk-size-seventeen-digits", "chunk-extension-nul"),
            *("chunk-extension-without-name", "chunk-extension-without-semicolon", "chunk-extension-open-quotes"),
        ),
    ),
    Reason(
        "nginx takes a chunk's bytes by count and does not hold what follows to be their line's end",
        rb"\n[1-9a-f][0-9a-f]*(?:;[^\r\n]*)?\r\n(?!hello\r\n| world\r\n)",
        ("chunk-shorter-than-its-size",),
    ),
    Reason(
        "nginx drops trailers without reading them; what frames a message has no place there, and lines have a syntax",
        rb"\n0\r\n[^\r]",
        (
            *("trailer-no-colon", "trailer-space-before-colon", "trailer-folded", "trailer-nul"),
            *("trailer-content-length", "trailer-transfer-encoding", "trailer-host", "cut-before-the-trailers-end"),
        ),
    ),
    Reason(
        "nginx takes absolute-form of any scheme, and minor versions of two digits (RFC 9112 sections 2.3 and 3.2.2)",
        rb"[A-Za-z]+ [a-z]+://|HTTP/1\.[0-9]{2}",
        ("absolute-of-another-scheme", "version-two-digits"),
    ),
    Reason(
        "close wins over keep-alive, which is a member of a list (RFC 9112 section 9.3); nginx looks for the word"
        " anywhere in the value, and the last one wins",
        rb"(?i)connection: close\r\n(?:[^\r\n]+\r\n)*connection:[^\r\n]*keep-alive|connection: [^\r\n]+keep-alive",
    ),
    Reason(
        "our limits are others: of a method, a target, the number of fields, and the size of trailers",
        names=(
            "method-endless",
            "target-too-long",
            "fields-too-many",
            "trailers-too-long",
            "trailer-too-long",
            "trailers-too-many",
        ),
    ),
)

#: We go on where nginx rejects.
NGINX_IS_STRICTER = (
    Reason(
        "methods are tokens, and have case (RFC 9110 section 9.1); nginx takes capitals, hyphens and underscores only",
        method=r"[^A-Z_-]",
        names=(
            "methods-have-case",
            "too-short-a-length",
            "length-zero-with-a-body",
            "no-length-with-a-body",
            "length-named-with-an-underscore",
        ),
    ),
    Reason(
        "white space around a value is spaces and tabs (RFC 9112 section 5.1); nginx takes a tab for a part of it",
        rb"(?i)\n(?:host|content-length|transfer-encoding):[^\r\n]*\t",
        ("white-space-around-a-value",),
    ),
    Reason(
        "an empty Host is valid (RFC 9112 section 3.2); nginx asks for a name",
        rb"(?i)\nhost:[ \t]*\r\n",
    ),
    Reason("nginx does not answer OPTIONS *", rb"OPTIONS \*", ("asterisk-form",)),
    Reason(
        "what a path means is the application's to say: nginx resolves percent-encoding and dots itself",
        rb"%|\.\.",
        ("a-percent-nul", "a-way-out"),
    ),
)

#: The messages are the same, and what was understood of them is not.
SAME_MESSAGES = {
    "absolute-form-for-options": "without a path it is OPTIONS * (RFC 9112 section 3.2.4); nginx makes a slash of it",
    "another-expectation": "417 is answered before the application, and the connection goes on; nginx does not look",
}
