"""The one scope builder: wire bytes become strings here and nowhere else."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from tricorn_transports.abc import Feature
from tricorn_transports.events import RequestStarted
from tricorn_transports.exchange.scope import http_extensions, http_scope, websocket_scope


@pytest.fixture
def host():
    worker = SimpleNamespace(root_path="", state={"key": []})
    return SimpleNamespace(worker=worker, client=("192.0.2.1", 4000), server=("192.0.2.2", 443))


def request(target=b"/", headers=None, authority=b"example.com", **more):
    return RequestStarted(1, more.pop("method", b"GET"), target, b"https", authority, headers or [], "2", **more)


@pytest.mark.parametrize(
    ("target", "path", "raw_path", "query"),
    [
        (b"/", "/", b"/", b""),
        (b"/a?b=c?d", "/a", b"/a", b"b=c?d"),
        (b"/%41%2f", "/A/", b"/%41%2f", b""),
        (b"/%C3%BC", "/\u00fc", b"/%C3%BC", b""),
        (b"/%zz%", "/%zz%", b"/%zz%", b""),
        (b"/%00", "/\x00", b"/%00", b""),
        (b"//a//b", "//a//b", b"//a//b", b""),
        (b"/a/../b", "/a/../b", b"/a/../b", b""),
        (b"/a+b", "/a+b", b"/a+b", b""),
        (b"*", "*", b"*", b""),
        (b"/?", "/", b"/", b""),
    ],
)
def test_targets(host, target, path, raw_path, query):
    scope = http_scope(host, request(target), {})
    assert (scope["path"], scope["raw_path"], scope["query_string"]) == (path, raw_path, query)


def test_the_root_path_goes_before_both_paths(host):
    host.worker.root_path = "/gr\u00fcn"
    scope = http_scope(host, request(b"/a%20b"), {})
    assert scope["root_path"] == "/gr\u00fcn"
    assert scope["path"] == "/gr\u00fcn/a b"
    assert scope["raw_path"] == b"/gr%C3%BCn/a%20b"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], [(b"host", b"example.com")]),
        ([(b"a", b"1")], [(b"host", b"example.com"), (b"a", b"1")]),
        ([(b"a", b"1"), (b"host", b"example.com")], [(b"a", b"1"), (b"host", b"example.com")]),
        ([(b"a", b"1"), (b"host", b"other")], [(b"a", b"1"), (b"host", b"example.com")]),
    ],
)
def test_the_authority_decides_the_host(host, headers, expected):
    assert http_scope(host, request(headers=headers), {})["headers"] == expected


def test_without_an_authority_the_host_stays(host):
    assert http_scope(host, request(headers=[(b"host", b"")], authority=b""), {})["headers"] == [(b"host", b"")]


def test_the_state_is_a_shallow_copy(host):
    scope = http_scope(host, request(), {})
    assert scope["state"] is not host.worker.state
    assert scope["state"]["key"] is host.worker.state["key"]


def test_unknown_methods_are_kept(host):
    assert http_scope(host, request(method=b"Get"), {})["method"] == "Get"


def test_a_websocket_has_a_scheme_and_no_method(host):
    scope = websocket_scope(host, request(), ["chat"], {"x": {}})
    assert (scope["type"], scope["scheme"], scope["subprotocols"]) == ("websocket", "wss", ["chat"])
    assert scope["extensions"] == {"x": {}}
    assert "method" not in scope


def test_extensions_follow_the_features():
    least = http_extensions(Feature.NONE, None)
    assert set(least) == {"http.response.pathsend", "http.response.zerocopysend", "tricorn.request_trailers"}
    most = http_extensions(Feature.TRAILERS | Feature.EARLY_HINTS | Feature.PUSH, {"tls_version": 1})
    added = {"http.response.trailers", "http.response.early_hint", "http.response.push", "tls"}
    assert set(most) - set(least) == added
