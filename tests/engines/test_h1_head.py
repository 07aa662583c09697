"""HTTP/1.1 request heads: what they become, and how the wrong ones are answered."""

from __future__ import annotations

import pytest

from tricorn_transports.abc import Feature
from tricorn_transports.engines.h1_head import read_request
from tricorn_transports.errors import LimitExceeded, RemoteProtocolError
from tricorn_transports.events import PeerErred, RequestEnded, RequestStarted


def test_a_request_without_a_body(h1):
    events = h1.feed(b"GET /a%2Fb?q=1 HTTP/1.1\r\nHost: example.com:8000\r\nX-Name:  Value \r\n\r\n")
    assert events == [
        RequestStarted(
            1,
            b"GET",
            b"/a%2Fb?q=1",
            b"http",
            b"example.com:8000",
            [(b"host", b"example.com:8000"), (b"x-name", b"Value")],
            "1.1",
        ),
        RequestEnded(1),
    ]


def test_the_scheme_is_the_connections(new_h1):
    assert new_h1(scheme=b"https").request(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").scheme == b"https"


@pytest.mark.parametrize(
    ("line", "target", "authority"),
    [
        (b"GET http://b.example/p?q HTTP/1.1", b"/p?q", b"b.example"),
        (b"GET HTTP://b.example:81 HTTP/1.1", b"/", b"b.example:81"),
        (b"GET http://b.example?q HTTP/1.1", b"/?q", b"b.example"),
        (b"OPTIONS http://b.example HTTP/1.1", b"*", b"b.example"),
        (b"OPTIONS * HTTP/1.1", b"*", b"a"),
        (b"CONNECT c.example:443 HTTP/1.1", b"c.example:443", b"c.example:443"),
        (b"GET //double HTTP/1.1", b"//double", b"a"),
        (b"GET / HTTP/1.9", b"/", b"a"),
    ],
)
def test_the_forms_of_a_target(h1, line, target, authority):
    started = h1.request(line + b"\r\nhost: a\r\n\r\n")
    assert (started.target, started.authority, started.http_version) == (target, authority, "1.1")


@pytest.mark.parametrize("host", [b"", b"a_b", b"[::1]:80", b"[v1.x]", b"a%20b", b"127.0.0.1", b"example.com."])
def test_valid_hosts(h1, host):
    assert h1.request(b"GET / HTTP/1.1\r\nhost: " + host + b"\r\n\r\n").authority == host


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\n",
        b"GET / HTTP/1.1\r\nhost: a\r\nhost: a\r\n",
        b"GET / HTTP/1.1\r\nhost: a/b\r\n",
        b"GET / HTTP/1.1\r\nhost: user@a\r\n",
        b"GET / HTTP/1.1\r\nhost: a b\r\n",
        b"GET / HTTP/1.1\r\nhost: a:b\r\n",
        b"GET / HTTP/1.1\r\nhost: [::1\r\n",
        b"GET / HTTP/1.1\r\nhost: a%2\r\n",
        b"GET / HTTP/1.0\r\nhost: a/b\r\n",
        b"GET http://user@a/ HTTP/1.1\r\nhost: a\r\n",
        b"GET http:///p HTTP/1.1\r\nhost: a\r\n",
        b"GET ftp://a/ HTTP/1.1\r\nhost: a\r\n",
        b"GET path HTTP/1.1\r\nhost: a\r\n",
        b"GET * HTTP/1.1\r\nhost: a\r\n",
        b"GET /#f HTTP/1.1\r\nhost: a\r\n",
        b"CONNECT / HTTP/1.1\r\nhost: a\r\n",
        b"CONNECT a HTTP/1.1\r\nhost: a\r\n",
        b"CONNECT a:1 HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n",
        b"GET /\r\nhost: a\r\n",
        b"GET  / HTTP/1.1\r\nhost: a\r\n",
        b"G(T / HTTP/1.1\r\nhost: a\r\n",
        b"GET / HTTP/11\r\nhost: a\r\n",
        b"GET / HTTP/1.1\r\nhost: a\r\nname : v\r\n",
        b"GET / HTTP/1.1\r\nhost: a\r\nname: v\x00\r\n",
        b"GET / HTTP/1.1\r\nhost: a\r\nname: v\rw\r\n",
        b"GET / HTTP/1.1\nhost: a\r\n",
        b"GET / HTTP/1.1\r\nhost: a\r\nx: y\n\nGET /smuggled HTTP/1.1\r\n",
        b"GET / HTTP/1.1\r\n host: a\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1,2\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: +1\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n",
        b"POST / HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n",
    ],
)
def test_a_malformed_head_is_a_400(h1, head):
    status, erred = h1.refused(head + b"\r\n")
    assert status == erred.error.status_hint == 400
    assert erred.error.stream_id is None


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET / HTTP/2.0\r\nhost: a\r\n", 505),
        (b"GET / HTTP/0.9\r\n", 505),
        (b"M" * 70_000, 501),
        (b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip, chunked\r\n", 501),
    ],
)
def test_what_is_not_supported(h1, head, status):
    assert h1.refused(head + b"\r\n")[0] == status


@pytest.mark.parametrize(
    ("first", "status", "limit"),
    [
        (b"GET /" + b"t" * 50 + b" HTTP/1.1\r\nhost: a\r\n\r\n", 414, "max_target_bytes"),
        (b"GET /" + b"t" * 500, 414, "max_target_bytes"),
        (b"GET / HTTP/1.1\r\nhost: a\r\nx: " + b"y" * 200 + b"\r\n\r\n", 431, "max_head_bytes"),
        (b"GET / HTTP/1.1\r\nhost: a\r\nx: " + b"y" * 200, 431, "max_head_bytes"),
        (b"\x22" * 300, 431, "max_head_bytes"),
        (b"GET / HTTP/1.1\r\nhost: a\r\n" + b"x: y\r\n" * 5 + b"\r\n", 431, "max_fields"),
    ],
)
@pytest.mark.parametrize("bytewise", [False, True])
def test_limits_of_a_head(new_h1, first, status, limit, bytewise):
    h1 = new_h1(max_target_bytes=50, max_head_bytes=200, max_fields=5)
    seen, erred = h1.refused(*([bytes([byte]) for byte in first] if bytewise else [first]))
    assert seen == status
    assert isinstance(erred.error, LimitExceeded)
    assert erred.error.limit == limit


def test_a_head_exactly_at_its_limits(new_h1):
    h1 = new_h1(max_target_bytes=50, max_head_bytes=200, max_fields=5)
    head = b"GET /" + b"t" * 49 + b" HTTP/1.1\r\nhost: a\r\n" + b"x: y\r\n" * 3 + b"z: "
    h1.request(head + b"z" * (196 - len(head)) + b"\r\n\r\n")


def test_a_refusal_to_head_has_no_body(h1):
    h1.feed(b"HEAD / HTTP/1.1\r\n\r\n")
    head, _, body = h1.flush().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert body == b""


def test_not_http_at_all_is_seen_at_once(h1):
    assert h1.refused(b"\x16\x03\x01\x02")[0] == 400


def test_one_empty_line_before_a_request_is_forgiven(h1):
    assert h1.request(b"\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n").target == b"/"


def test_two_empty_lines_are_not(h1):
    assert h1.refused(b"\r", b"\n", b"\r\n")[0] == 400


def test_http_1_0(h1):
    started = h1.request(b"GET / HTTP/1.0\r\n\r\n")
    assert (started.http_version, started.authority) == ("1.0", b"")
    assert h1.engine.features == Feature.TUNNEL


def test_features_of_1_1(h1):
    h1.request(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
    assert h1.engine.features == Feature.EARLY_HINTS | Feature.TRAILERS | Feature.TUNNEL


@pytest.mark.parametrize(
    ("fields", "version", "protocol"),
    [
        (b"connection: keep-alive, Upgrade\r\nupgrade: WebSocket, x\r\n", b"1.1", b"websocket"),
        (b"connection: upgrade\r\nupgrade: h2c, websocket\r\n", b"1.1", b"websocket"),
        (b"connection: upgrade\r\nupgrade: h2c\r\nupgrade: WebSocket\r\n", b"1.1", b"websocket"),
        (b"connection: upgrade\r\nupgrade: , X/1, y\r\n", b"1.1", b"x/1"),
        (b"connection: upgrade\r\nupgrade: ,\r\n", b"1.1", None),
        (b"upgrade: websocket\r\n", b"1.1", None),
        (b"connection: upgrade\r\n", b"1.1", None),
        (b"connection: upgrade\r\nupgrade: websocket\r\n", b"1.0", None),
        (b"connection: upgrade\r\nupgrade: h2c\r\ncontent-length: 1\r\n", b"1.1", None),
    ],
)
def test_protocol(h1, fields, version, protocol):
    started = h1.request(b"GET / HTTP/" + version + b"\r\nhost: a\r\n" + fields + b"\r\n")
    assert started.protocol == protocol


@pytest.mark.parametrize(
    ("head", "expects"),
    [
        (b"POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-Continue\r\ncontent-length: 5\r\n", True),
        (b"POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\n", False),
        (b"POST / HTTP/1.0\r\nexpect: 100-continue\r\ncontent-length: 5\r\n", False),
        (b"POST / HTTP/1.1\r\nhost: a\r\nexpect: ,100-continue, 100-continue\r\ncontent-length: 5\r\n", True),
        (b"POST / HTTP/1.1\r\nhost: a\r\nexpect:\r\nexpect: 100-continue\r\ncontent-length: 5\r\n", True),
        (b"POST / HTTP/1.1\r\nhost: a\r\nexpect:\r\ncontent-length: 5\r\n", False),
    ],
)
def test_expects_continue(h1, head, expects):
    started = h1.request(head + b"\r\n")
    assert (started.expects_continue, started.expects_more) == (expects, False)


@pytest.mark.parametrize(
    "expect", [b"more", b"100-continue, more", b'100-continue;q="1"', b"more\r\nexpect: 100-continue"]
)
def test_expects_more(h1, expect):
    head = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\nexpect: " + expect
    assert h1.request(head + b"\r\n\r\n").expects_more


def test_stream_ids_are_odd_and_rise(h1):
    request = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"
    ids = []
    for _ in range(3):
        ids.append(h1.request(request).stream_id)
        h1.answer(ids[-1])
    assert ids == [1, 3, 5]


def test_a_wrong_request_behind_a_right_one(h1, responses):
    h1.feed(b"GET / HTTP/1.1\r\nhost: a\r\n\r\nGET / HTTP/1.1\r\n\r\n")
    (erred,) = h1.answer(1)
    assert isinstance(erred, PeerErred)
    h1.flush()
    assert [r.status for r in responses(h1.wire, [b"GET", b"GET"], close=True)] == [200, 400]


@pytest.mark.parametrize("fields", [[], [(b"Host", b"a"), (b"host", b"a")]])
def test_hosts_are_counted_for_parsers_that_do_not(fields):
    """h11 refuses these by itself."""
    with pytest.raises(RemoteProtocolError, match="Host"):
        read_request(1, b"GET", b"/", b"1.1", fields, scheme=b"http")
