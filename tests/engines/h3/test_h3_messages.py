"""Requests and responses over HTTP/3, against aioquic's client."""

from __future__ import annotations

from typing import Any

import pytest

from tricorn_transports.abc import Feature
from tricorn_transports.errors import LocalProtocolError
from tricorn_transports.events import RequestEnded


def test_get_is_answered(net: Any) -> None:
    client = net.connect()
    stream_id = client.request(b"/a?b=c", (b"accept", b"*/*"))
    net.run()
    request = net.started()[0]
    assert (request.stream_id, request.method, request.target) == (stream_id, b"GET", b"/a?b=c")
    assert (request.scheme, request.authority, request.http_version) == (b"https", b"localhost", "3")
    assert request.headers == [(b"accept", b"*/*")]
    assert net.events[-1] == RequestEnded(stream_id)
    net.engine.send_headers(stream_id, 200, [(b"content-type", b"text/plain")])
    net.engine.send_data(stream_id, b"hello", end=True)
    net.engine.release(stream_id)
    net.run()
    assert client.headers[stream_id] == [[(b":status", b"200"), (b"content-type", b"text/plain")]]
    assert client.data[stream_id] == b"hello"
    assert stream_id in client.ended


def test_many_requests_share_the_connection(net: Any) -> None:
    net.auto = True
    client = net.connect()
    for _ in range(5):
        ids = [client.request() for _ in range(100)]
        net.wait(0.2)
        assert [client.data[i] for i in ids] == [b"ok"] * 100


def test_body_arrives_with_its_length_and_end(net: Any) -> None:
    client = net.connect()
    body = bytes(range(256)) * 100
    length = (b"content-length", b"%d" % len(body))
    stream_id = client.request(b"/", length, (b"expect", b"100-continue"), method=b"POST", end=False)
    net.run()
    request = net.started()[0]
    assert request.content_length == len(body)
    assert request.expects_continue
    net.engine.send_informational(stream_id, 100, [])
    net.run()
    assert client.status(stream_id) == b"100"
    client.h3.send_data(stream_id, body, end_stream=True)
    net.wait(0.3)
    assert net.body(stream_id) == body
    assert net.events[-1] == RequestEnded(stream_id)


def test_cookie_crumbs_are_joined_and_priority_is_read(net: Any) -> None:
    client = net.connect()
    client.request(b"/", (b"cookie", b"a=1"), (b"priority", b"u=1, i"), (b"cookie", b"b=2"))
    net.run()
    request = net.started()[0]
    assert (b"cookie", b"a=1; b=2") in request.headers
    assert request.priority == (1, True)


@pytest.mark.parametrize(("method", "status"), [(b"HEAD", 200), (b"GET", 204), (b"GET", 304)])
def test_bodies_that_must_not_be_are_dropped(net: Any, method: bytes, status: int) -> None:
    client = net.connect()
    stream_id = client.request(method=method)
    net.run()
    net.engine.send_headers(stream_id, status, [(b"etag", b'"x"')])
    net.engine.send_data(stream_id, b"not to be seen")
    net.engine.send_data(stream_id, b"nor this", end=True)
    net.engine.release(stream_id)
    net.run()
    assert client.status(stream_id) == b"%d" % status
    assert client.data[stream_id] == b""
    assert stream_id in client.ended


def test_early_hints_go_before_the_response(net: Any) -> None:
    client = net.connect()
    stream_id = client.request()
    net.run()
    net.engine.send_informational(stream_id, 103, [(b"link", b"</s.css>; rel=preload")])
    net.run()
    assert client.headers[stream_id] == [[(b":status", b"103"), (b"link", b"</s.css>; rel=preload")]]
    net.engine.send_headers(stream_id, 200, [], end=True)
    net.run()
    assert client.status(stream_id) == b"200"
    assert stream_id in client.ended
    assert Feature.EARLY_HINTS in net.engine.features


def test_trailers_both_ways(net: Any) -> None:
    client = net.connect()
    stream_id = client.request(method=b"POST", end=False)
    client.h3.send_data(stream_id, b"x", end_stream=False)
    client.h3.send_headers(stream_id, [(b"checksum", b"1")], end_stream=True)
    net.run()
    assert net.events[-1] == RequestEnded(stream_id, [(b"checksum", b"1")])
    net.engine.send_headers(stream_id, 200, [])
    net.engine.send_data(stream_id, b"y")
    net.engine.send_trailers(stream_id, [(b"digest", b"2"), (b"connection", b"close")])
    net.engine.release(stream_id)
    net.run()
    assert client.headers[stream_id][1] == [(b"digest", b"2")]
    assert client.data[stream_id] == b"y"
    assert stream_id in client.ended


def test_fields_of_http1_are_left_out(net: Any) -> None:
    client = net.connect()
    stream_id = client.request()
    net.run()
    fields = [(b"connection", b"close"), (b"transfer-encoding", b"chunked"), (b"keep-alive", b"1"), (b"x", b"y")]
    net.engine.send_headers(stream_id, 200, fields, end=True)
    net.run()
    assert client.headers[stream_id] == [[(b":status", b"200"), (b"x", b"y")]]


def test_extended_connect_becomes_a_tunnel(net: Any) -> None:
    client = net.connect()
    stream_id = client.request(b"/chat", (b":protocol", b"websocket"), method=b"CONNECT", end=False)
    assert client.h3.received_settings[8] == 1  # SETTINGS_ENABLE_CONNECT_PROTOCOL
    net.run()
    request = net.started()[0]
    assert (request.method, request.protocol, request.target) == (b"CONNECT", b"websocket", b"/chat")
    net.engine.accept_tunnel(stream_id, [])
    net.engine.send_data(stream_id, b"server bytes")
    client.h3.send_data(stream_id, b"client bytes", end_stream=False)
    net.run()
    assert client.status(stream_id) == b"200"
    assert client.data[stream_id] == b"server bytes"
    assert net.body(stream_id) == b"client bytes"
    assert stream_id not in client.ended


def test_commands_that_break_the_protocol_are_local_errors(net: Any) -> None:
    client = net.connect()
    stream_id = client.request()
    net.run()
    with pytest.raises(LocalProtocolError):
        net.engine.send_data(stream_id, b"before the head")
    net.engine.send_headers(stream_id, 200, [])
    with pytest.raises(LocalProtocolError):
        net.engine.send_headers(stream_id, 200, [])
    net.engine.send_data(stream_id, b"x", end=True)
    with pytest.raises(LocalProtocolError):
        net.engine.send_data(stream_id, b"after the end")
    with pytest.raises(LocalProtocolError):
        net.engine.send_trailers(stream_id, [])


def test_commands_for_a_stream_that_is_gone_do_nothing(net: Any) -> None:
    net.connect()
    engine = net.engine
    engine.send_headers(400, 200, [])
    engine.send_data(400, b"x", end=True)
    engine.send_trailers(400, [])
    engine.consumed(400, 10)
    engine.release(400)
    assert engine.sendable(400) > 1 << 30
    assert net.run() == []


def test_the_scope_gets_its_tls_facts(net: Any) -> None:
    net.connect()
    info = net.engine.tls_info
    assert info["tls_version"] == 0x0304
    assert info["cipher_suite"] in (0x1301, 0x1302, 0x1303)
    assert info["server_cert"].startswith("-----BEGIN CERTIFICATE-----")
