"""Which transport a connection gets: by what TLS settled, else by its first bytes."""

from __future__ import annotations

import pytest

from tricorn_transports.connection.select import alpn_protocols, by_alpn, by_preface
from tricorn_transports.registry import H1, H2, TransportSpec

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def test_http2_is_offered_first_whatever_the_order():
    assert alpn_protocols([H1, H2]) == alpn_protocols([H2, H1]) == ["h2", "http/1.1"]
    assert alpn_protocols([H1]) == ["http/1.1"]


def test_the_negotiated_protocol_decides():
    assert by_alpn([H1, H2], "h2") is H2
    assert by_alpn([H1, H2], "http/1.1") is H1
    assert by_alpn([H1, H2], None) is None
    assert by_alpn([H1, H2], "spdy/3") is None


@pytest.mark.parametrize("size", range(len(PREFACE)))
def test_a_part_of_the_preface_decides_nothing(size):
    assert by_preface([H1, H2], PREFACE[:size]) is None


def test_the_whole_preface_is_http2():
    assert by_preface([H1, H2], PREFACE) is H2
    assert by_preface([H2, H1], PREFACE + b"more") is H2


@pytest.mark.parametrize("data", [b"G", b"PO", b"PRI * HTTP/1.1", b"PRI * HTTP/2.0\r\n\r\nXX", b"\x16\x03\x01"])
def test_anything_else_is_http1_as_soon_as_it_differs(data):
    assert by_preface([H1, H2], data) is H1


def test_where_all_claim_prefaces_the_first_answers_with_its_error():
    assert by_preface([H2], b"GET / HTTP/1.1\r\n") is H2


def test_a_third_transport_may_claim_its_own_bytes():
    own = TransportSpec("own", "0", "tcp", (), {}, "", preface=lambda data: data[:1] == b"\xff")
    assert by_preface([H1, H2, own], b"\xff\x00") is own
    assert by_preface([H1, H2, own], b"GET /") is H1
