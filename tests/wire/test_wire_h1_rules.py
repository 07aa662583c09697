"""Every rule of HTTP/1.1 framing, one line each: raw bytes, the status they get, the end of the connection, and nothing
behind a rejected message ever parsed (RFC 9112 sections 2 to 7 and 11). Over clear and TLS."""

from __future__ import annotations

import pytest

from tricorn_transports.config import Limits

pytestmark = [pytest.mark.over("h1", "h1-tls"), pytest.mark.on("asyncio")]

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n"


def get(*lines: bytes, line: bytes = b"GET / HTTP/1.1") -> bytes:
    return b"\r\n".join([line, b"host: a", *lines, b"", b""])


def post(*lines: bytes, version: bytes = b"1.1") -> bytes:
    return get(*lines, line=b"POST / HTTP/" + version)


def chunked(body: bytes) -> bytes:
    return post(b"transfer-encoding: chunked") + body


def coding(value: bytes) -> bytes:
    return post(b"transfer-encoding: " + value) + b"0\r\n\r\n"


REJECTED = {
    # ------------------------------------------------------------------------- the request line (RFC 9112 section 3)
    "http/0.9": (b"GET /\r\n", 400),
    "no-target": (b"GET HTTP/1.1\r\nhost: a\r\n\r\n", 400),
    "two-spaces": (get(line=b"GET  / HTTP/1.1"), 400),
    "tab-for-space": (get(line=b"GET\t/ HTTP/1.1"), 400),
    "space-in-target": (get(line=b"GET /a b HTTP/1.1"), 400),
    "space-behind-version": (get(line=b"GET / HTTP/1.1 "), 400),
    "space-before-method": (get(line=b" GET / HTTP/1.1"), 400),
    "two-empty-lines-before": (b"\r\n\r\n" + get(), 400),
    "bare-lf-before": (b"\n" + get(), 400),
    "binary": (b"\x16\x03\x01\x02\x00", 400),
    "method-not-a-token": (get(line=b"G(T / HTTP/1.1"), 400),
    "method-with-colon": (get(line=b"GET: / HTTP/1.1"), 400),
    "method-empty": (get(line=b" / HTTP/1.1"), 400),
    "method-endless": (get(line=b"M" * 65 + b" / HTTP/1.1"), 501),
    "target-with-nul": (get(line=b"GET /\x00 HTTP/1.1"), 400),
    "target-with-control": (get(line=b"GET /\x7f HTTP/1.1"), 400),
    "target-not-ascii": (get(line=b"GET /\xc3\xa9 HTTP/1.1"), 400),
    "target-with-fragment": (get(line=b"GET /#f HTTP/1.1"), 400),
    "target-relative": (get(line=b"GET path HTTP/1.1"), 400),
    "target-too-long": (get(line=b"GET /" + b"x" * 16_384 + b" HTTP/1.1"), 414),
    "target-endless": (b"GET /" + b"x" * 70_000, 414),
    "asterisk-without-options": (get(line=b"GET * HTTP/1.1"), 400),
    "authority-form-without-connect": (get(line=b"GET a:80 HTTP/1.1"), 400),
    "connect-without-port": (get(line=b"CONNECT a HTTP/1.1"), 400),
    "connect-with-a-path": (get(line=b"CONNECT /a HTTP/1.1"), 400),
    "connect-with-a-body": (get(b"content-length: 1", line=b"CONNECT a:80 HTTP/1.1") + b"x", 400),
    "absolute-with-userinfo": (get(line=b"GET http://user@a/ HTTP/1.1"), 400),
    "absolute-without-host": (get(line=b"GET http:///p HTTP/1.1"), 400),
    "absolute-with-port-only": (get(line=b"GET http://:80/ HTTP/1.1"), 400),
    "absolute-of-another-scheme": (get(line=b"GET ftp://a/ HTTP/1.1"), 400),
    "version-0.9": (get(line=b"GET / HTTP/0.9"), 505),
    "version-2.0": (get(line=b"GET / HTTP/2.0"), 505),
    "version-3.1": (get(line=b"GET / HTTP/3.1"), 505),
    "version-without-minor": (get(line=b"GET / HTTP/1"), 400),
    "version-two-digits": (get(line=b"GET / HTTP/1.10"), 400),
    "version-leading-zero": (get(line=b"GET / HTTP/01.1"), 400),
    "version-lower-case": (get(line=b"GET / http/1.1"), 400),
    "version-misspelt": (get(line=b"GET / HTTQ/1.1"), 400),
    "version-negative": (get(line=b"GET / HTTP/1.-1"), 400),
    # --------------------------------------------------------------------- line ends and white space (2.2, 5.1, 5.2)
    "bare-lf-everywhere": (b"GET / HTTP/1.1\nhost: a\n\n", 400),
    "bare-lf-behind-request-line": (b"GET / HTTP/1.1\nhost: a\r\n\r\n", 400),
    "bare-lf-behind-a-field": (get(b"x: y\nz: w"), 400),
    "bare-lf-for-the-empty-line": (b"GET / HTTP/1.1\r\nhost: a\r\n\n" + SMUGGLED, 400),
    "bare-cr-in-request-line": (get(line=b"GET /\ra HTTP/1.1"), 400),
    "bare-cr-in-a-value": (get(b"x: y\rz: w"), 400),
    "bare-cr-in-a-name": (get(b"x\ry: z"), 400),
    "cr-cr-lf": (get(b"x: y\r"), 400),
    "space-before-colon": (get(b"x : y"), 400),
    "tab-before-colon": (get(b"content-length\t: 5"), 400),
    "no-colon": (get(b"just words"), 400),
    "no-name": (get(b": y"), 400),
    "name-not-a-token": (get(b"x[y]: z"), 400),
    "name-not-ascii": (get(b"x\xe9: z"), 400),
    "name-with-nul": (get(b"x\x00y: z"), 400),
    "folded": (get(b"x: y", b" z"), 400),
    "folded-with-tab": (get(b"x: y", b"\tz"), 400),
    "folded-first-field": (b"GET / HTTP/1.1\r\n host: a\r\n\r\n", 400),
    "folded-framing": (post(b"transfer-encoding:", b" chunked") + b"0\r\n\r\n", 400),
    "value-with-nul": (get(b"x: a\x00b"), 400),
    "value-with-control": (get(b"x: a\x01b"), 400),
    "value-with-delete": (get(b"x: a\x7fb"), 400),
    "value-with-vertical-tab": (post(b"transfer-encoding: \x0bchunked") + b"0\r\n\r\n", 400),
    # ----------------------------------------------------------------------------------- Host (RFC 9112 section 3.2)
    "host-missing": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "host-missing-with-absolute-form": (b"GET http://a/ HTTP/1.1\r\n\r\n", 400),
    "host-twice": (get(b"host: b"), 400),
    "host-twice-the-same": (get(b"Host: a"), 400),
    "host-twice-with-absolute-form": (get(b"host: a", line=b"GET http://a/ HTTP/1.1"), 400),
    "host-list": (b"GET / HTTP/1.1\r\nhost: a, b\r\n\r\n", 400),
    "host-with-path": (b"GET / HTTP/1.1\r\nhost: a/b\r\n\r\n", 400),
    "host-with-userinfo": (b"GET / HTTP/1.1\r\nhost: u@a\r\n\r\n", 400),
    "host-with-space": (b"GET / HTTP/1.1\r\nhost: a b\r\n\r\n", 400),
    "host-with-letters-for-a-port": (b"GET / HTTP/1.1\r\nhost: a:b\r\n\r\n", 400),
    "host-with-port-too-large": (b"GET / HTTP/1.1\r\nhost: a:65536\r\n\r\n", 400),
    "host-with-half-a-literal": (b"GET / HTTP/1.1\r\nhost: [::1\r\n\r\n", 400),
    "host-with-no-address-in-brackets": (b"GET / HTTP/1.1\r\nhost: [1:2]\r\n\r\n", 400),
    "host-with-half-an-escape": (b"GET / HTTP/1.1\r\nhost: a%2\r\n\r\n", 400),
    "host-invalid-in-1.0": (b"GET / HTTP/1.0\r\nhost: a/b\r\n\r\n", 400),
    "host-invalid-with-absolute-form": (b"GET http://a/ HTTP/1.1\r\nhost: a/b\r\n\r\n", 400),
    # ---------------------------------------------------------------- Content-Length (6.2, 6.3; RFC 9110 8.6)
    "length-conflicting": (post(b"content-length: 5", b"content-length: 6") + b"hello", 400),
    "length-repeated": (post(b"content-length: 5", b"Content-Length: 5") + b"hello", 400),
    "length-list": (post(b"content-length: 5, 5") + b"hello", 400),
    "length-list-conflicting": (post(b"content-length: 5,6") + b"hello", 400),
    "length-empty": (post(b"content-length:"), 400),
    "length-plus": (post(b"content-length: +5") + b"hello", 400),
    "length-minus": (post(b"content-length: -5") + b"hello", 400),
    "length-hex": (post(b"content-length: 0x5") + b"hello", 400),
    "length-underscore": (post(b"content-length: 1_0") + b"hellohello", 400),
    "length-fraction": (post(b"content-length: 5.0") + b"hello", 400),
    "length-two-words": (post(b"content-length: 5 5") + b"hello", 400),
    "length-not-ascii": (post("content-length: ٥".encode()) + b"hello", 400),
    "length-overflow": (post(b"content-length: 18446744073709551621") + b"hello", 400),
    "length-on-get": (get(b"content-length: 5", b"content-length: 5") + b"hello", 400),
    # ------------------------------------------------------------------------------------- Transfer-Encoding (6.1, 6.3)
    "coding-and-length": (post(b"content-length: 5", b"transfer-encoding: chunked") + b"0\r\n\r\n", 400),
    "length-and-coding": (post(b"transfer-encoding: chunked", b"content-length: 5") + b"0\r\n\r\n", 400),
    "coding-and-length-on-get": (get(b"content-length: 5", b"transfer-encoding: chunked") + b"0\r\n\r\n", 400),
    "coding-in-1.0": (post(b"transfer-encoding: chunked", version=b"1.0") + b"0\r\n\r\n", 400),
    "coding-empty": (coding(b""), 400),
    "coding-identity": (coding(b"identity"), 400),
    "coding-unknown": (coding(b"xchunked"), 400),
    "coding-chunked-not-last": (coding(b"chunked, gzip"), 400),
    "coding-chunked-twice": (coding(b"chunked, chunked"), 400),
    "coding-chunked-in-two-fields": (post(b"transfer-encoding: chunked", b"Transfer-Encoding: chunked"), 400),
    "coding-chunked-then-identity": (post(b"transfer-encoding: chunked", b"transfer-encoding: identity"), 400),
    "coding-with-parameter": (coding(b"chunked;q=1"), 400),
    "coding-quoted": (coding(b'"chunked"'), 400),
    "coding-empty-member": (coding(b", chunked"), 400),
    "coding-no-list": (coding(b"gzip chunked"), 400),
    "coding-gzip-chunked": (coding(b"gzip, chunked"), 501),
    "coding-gzip-in-another-field": (post(b"transfer-encoding: gzip", b"transfer-encoding: chunked"), 501),
    # ------------------------------------------------------------------------------------------- chunks (section 7.1)
    "chunk-size-empty": (chunked(b"\r\nhello\r\n0\r\n\r\n"), 400),
    "chunk-size-0x": (chunked(b"0x5\r\nhello\r\n0\r\n\r\n"), 400),
    "chunk-size-plus": (chunked(b"+5\r\nhello\r\n0\r\n\r\n"), 400),
    "chunk-size-minus": (chunked(b"-5\r\nhello\r\n0\r\n\r\n"), 400),
    "chunk-size-underscore": (chunked(b"0_5\r\nhello\r\n0\r\n\r\n"), 400),
    "chunk-size-space-before": (chunked(b" 5\r\nhello\r\n0\r\n\r\n"), 400),
    "chunk-size-space-behind": (chunked(b"5 \r\nhello\r\n0\r\n\r\n"), 400),
    "chunk-size-letters": (chunked(b"g\r\nhello\r\n0\r\n\r\n"), 400),
    "chunk-size-seventeen-digits": (chunked(b"00000000000000005\r\nhello\r\n0\r\n\r\n"), 400),
    "chunk-size-overflow": (chunked(b"ffffffffffffffff\r\nhello\r\n0\r\n\r\n"), 400),
    "chunk-size-bare-lf": (chunked(b"5\nhello\r\n0\r\n\r\n"), 400),
    "chunk-size-bare-cr": (chunked(b"5\rhello\r\n0\r\n\r\n"), 400),
    "chunk-extension-bare-cr": (chunked(b"5;a\rb\r\nhello\r\n0\r\n\r\n"), 400),
    "chunk-extension-bare-lf": (chunked(b"5;a\nhello\r\n0\r\n\r\n"), 400),
    "chunk-extension-cr-in-quotes": (chunked(b'5;a="\r"\r\nhello\r\n0\r\n\r\n'), 400),
    "chunk-extension-nul": (chunked(b"5;a=\x00\r\nhello\r\n0\r\n\r\n"), 400),
    "chunk-extension-without-name": (chunked(b"5;\r\nhello\r\n0\r\n\r\n"), 400),
    "chunk-extension-without-semicolon": (chunked(b"5 a=b\r\nhello\r\n0\r\n\r\n"), 400),
    "chunk-extension-open-quotes": (chunked(b'5;a="b\r\nhello\r\n0\r\n\r\n'), 400),
    "chunk-extension-too-long": (chunked(b"5;" + b"x" * 70_000), 431),
    "chunk-extensions-too-many": (chunked((b"1;" + b"x" * 500 + b"\r\nx\r\n") * 150), 431),
    "chunk-longer-than-its-size": (chunked(b"5\r\nhello!\r\n0\r\n\r\n"), 400),
    "chunk-shorter-than-its-size": (chunked(b"5\r\nhell\r\n0\r\n\r\n"), 400),
    "chunk-end-bare-lf": (chunked(b"5\r\nhello\n0\r\n\r\n"), 400),
    "chunk-end-bare-cr": (chunked(b"5\r\nhello\rX0\r\n\r\n"), 400),
    "last-chunk-bare-lf": (chunked(b"5\r\nhello\r\n0\n\r\n"), 400),
    "end-bare-lf": (chunked(b"5\r\nhello\r\n0\r\n\n"), 400),
    # ----------------------------------------------------------------------------------------- trailers (section 7.1.2)
    "trailer-no-colon": (chunked(b"0\r\nwords\r\n\r\n"), 400),
    "trailer-space-before-colon": (chunked(b"0\r\nx : y\r\n\r\n"), 400),
    "trailer-folded": (chunked(b"0\r\nx: y\r\n z\r\n\r\n"), 400),
    "trailer-bare-lf": (chunked(b"0\r\nx: y\n\r\n"), 400),
    "trailer-bare-cr": (chunked(b"0\r\nx: y\rz\r\n\r\n"), 400),
    "trailer-nul": (chunked(b"0\r\nx: \x00\r\n\r\n"), 400),
    "trailer-content-length": (chunked(b"0\r\ncontent-length: 5\r\n\r\n"), 400),
    "trailer-transfer-encoding": (chunked(b"0\r\ntransfer-encoding: chunked\r\n\r\n"), 400),
    "trailer-host": (chunked(b"0\r\nhost: b\r\n\r\n"), 400),
    "trailer-too-long": (chunked(b"0\r\nx: " + b"y" * 70_000), 431),
    "trailers-too-long": (chunked(b"0\r\n" + (b"x: " + b"y" * 1000 + b"\r\n") * 70), 431),
    "trailers-too-many": (chunked(b"0\r\n" + b"x: y\r\n" * 129 + b"\r\n"), 431),
    # ---------------------------------------------------------------------------------- over-long heads (section 5.4)
    "field-too-long": (get(b"x: " + b"y" * 70_000), 431),
    "field-endless": (b"GET / HTTP/1.1\r\nhost: a\r\nx: " + b"y" * 70_000, 431),
    "field-name-too-long": (get(b"x" * 70_000 + b": y"), 431),
    "fields-too-many": (get(*[b"x: y"] * 128), 431),
    "request-line-endless": (b"M" * 70_000, 431),
}


@pytest.fixture
def recorder(read_body, answer):
    """An application that reads every body and answers; ``recorder.seen`` has the complete requests."""

    class Recorder:
        def __init__(self):
            self.begun = []
            self.seen = []

        async def __call__(self, scope, receive, send):
            path = scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")
            self.begun.append(path)
            body = b""
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return
                body += message["body"]
                if not message["more_body"]:
                    break
            host = next((value for name, value in scope["headers"] if name == b"host"), None)
            self.seen.append((scope["method"], path, host, body))
            await answer(send, b"")

    return Recorder()


@pytest.mark.parametrize("rule", REJECTED)
def test_rejected(net, recorder, rule):
    raw, status = REJECTED[rule]
    net.client(recorder)
    wire = net.wire()
    wire.send(raw + SMUGGLED)
    answer = wire.read_all()
    assert answer.startswith(b"HTTP/1.1 %d " % status), answer[:200]
    assert answer.count(b"HTTP/1.1 ") == 1
    head = answer.partition(b"\r\n\r\n")[0].lower()
    assert b"\r\nconnection: close" in head
    assert b"/smuggled" not in recorder.begun
    assert recorder.seen == []


def test_https_in_absolute_form_over_a_clear_connection(net, recorder):
    """RFC 9110 section 7.4: 421 in clear; over TLS it is what was asked for."""
    net.client(recorder)
    wire = net.wire()
    wire.send(get(b"connection: close", line=b"GET https://a/p HTTP/1.1"))
    assert wire.read_all().startswith(b"HTTP/1.1 200 " if net.tls else b"HTTP/1.1 421 ")


ACCEPTED = {
    "one-empty-line-before": (b"\r\n" + get(), ("GET", b"/", b"a", b"")),
    "a-higher-minor-version": (get(line=b"GET / HTTP/1.7"), ("GET", b"/", b"a", b"")),
    "a-method-nobody-knows": (get(line=b"BREW / HTTP/1.1"), ("BREW", b"/", b"a", b"")),
    "methods-have-case": (get(line=b"get / HTTP/1.1"), ("get", b"/", b"a", b"")),
    "white-space-around-a-value": (b"GET / HTTP/1.1\r\nhost:\t a \t\r\n\r\n", ("GET", b"/", b"a", b"")),
    "an-empty-value": (get(b"x:"), ("GET", b"/", b"a", b"")),
    "obs-text": (get(b"x: \xff\x80"), ("GET", b"/", b"a", b"")),
    "two-slashes": (get(line=b"GET //b/p HTTP/1.1"), ("GET", b"//b/p", b"a", b"")),
    "origin-form-with-a-url": (get(line=b"GET /?u=http://b/ HTTP/1.1"), ("GET", b"/?u=http://b/", b"a", b"")),
    "asterisk-form": (get(line=b"OPTIONS * HTTP/1.1"), ("OPTIONS", b"*", b"a", b"")),
    "absolute-form": (b"GET http://a:8/p?q HTTP/1.1\r\nhost: z\r\n\r\n", ("GET", b"/p?q", b"a:8", b"")),
    "absolute-form-without-path": (b"GET HTTP://a HTTP/1.1\r\nhost: z\r\n\r\n", ("GET", b"/", b"a", b"")),
    "absolute-form-for-options": (get(line=b"OPTIONS http://a HTTP/1.1"), ("OPTIONS", b"*", b"a", b"")),
    "a-length-with-zeros": (post(b"content-length: 0005") + b"hello", ("POST", b"/", b"a", b"hello")),
    "a-body-with-get": (get(b"content-length: 5") + b"hello", ("GET", b"/", b"a", b"hello")),
    "no-length-no-body": (post(), ("POST", b"/", b"a", b"")),
    "coding-in-any-case": (coding(b"ChunKed"), ("POST", b"/", b"a", b"")),
    "chunks": (chunked(b"5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n"), ("POST", b"/", b"a", b"hello!")),
    "chunk-sizes-in-any-case": (chunked(b"A\r\n0123456789\r\n0000\r\n\r\n"), ("POST", b"/", b"a", b"0123456789")),
    "chunk-extensions": (chunked(b'5 ; a ; b = "\\" c";d=e\r\nhello\r\n0;x\r\n\r\n'), ("POST", b"/", b"a", b"hello")),
    "line-ends-in-chunks": (chunked(b"4\r\n\r\n\r\n\r\n0\r\n\r\n"), ("POST", b"/", b"a", b"\r\n\r\n")),
    "trailers": (chunked(b"0\r\nx: y\r\n\r\n"), ("POST", b"/", b"a", b"")),
}


@pytest.mark.parametrize("rule", ACCEPTED)
def test_accepted(net, recorder, rule):
    raw, expected = ACCEPTED[rule]
    net.client(recorder)
    wire = net.wire()
    wire.send(raw + get(b"connection: close", line=b"GET /next HTTP/1.1"))
    assert wire.read_all().count(b"HTTP/1.1 200 OK\r\n") == 2
    assert recorder.seen == [expected, ("GET", b"/next", b"a", b"")]


# ------------------------------------------------------------------------------------------------------------ HTTP/1.0


def test_http_1_0_is_kept_alive_by_request(net, recorder):
    net.client(recorder)
    wire = net.wire()
    for _ in range(2):
        wire.send(b"POST / HTTP/1.0\r\nhost: a\r\nconnection: Keep-Alive\r\ncontent-length: 2\r\n\r\nhi")
        assert b"\r\nconnection: keep-alive\r\n" in wire.read_until(b"\r\n\r\n")
    wire.send(b"GET /last HTTP/1.0\r\n\r\n" + SMUGGLED)
    assert b"\r\nconnection: close\r\n" in wire.read_all()
    assert [path for _, path, _, _ in recorder.seen] == [b"/", b"/", b"/last"]


def test_a_stream_to_http_1_0_ends_with_the_connection(net):
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for part in (b"one ", b"two"):
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    net.client(app)
    wire = net.wire()
    wire.send(b"GET / HTTP/1.0\r\nhost: a\r\nconnection: keep-alive\r\n\r\n" + SMUGGLED)
    head, _, body = wire.read_all().partition(b"\r\n\r\n")
    assert body == b"one two"
    assert b"chunked" not in head
    assert b"\r\nconnection: close" in head


# ---------------------------------------------------------------------------------------------------------- pipelining


def test_a_huge_pipeline_is_not_held(net, settled):
    """While one request runs, the requests behind it fill ``max_pipelined_bytes`` and then the socket, not memory."""

    async def app(scope, receive, send):
        assert scope["type"] == "http"
        while (await receive())["type"] != "http.disconnect":
            pass

    net.serve(app, limits=Limits(max_pipelined_bytes=10_000))
    wire = net.wire()
    wire.send(get() * 200_000)
    left = settled(lambda: -len(wire.unsent), lambda: wire.poll(0.01))
    assert -left > 1_000_000  # of 5,800,000: the rest is in the kernel's buffers
    (connection,) = net.server.server._connections
    assert len(connection.engine._reader.held) < 10_000 + 300_000
