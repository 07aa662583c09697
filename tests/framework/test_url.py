"""URLs: built from checked parts only."""

from __future__ import annotations

import pytest

from tricorn.url import URL, InvalidAuthority, QueryParams, parse_authority


def scope_of(*hosts, **more):
    return {
        "type": "http",
        "scheme": "https",
        "path": "/a b/c",
        "raw_path": b"/a%20b%2Fc",
        "query_string": b"x=1",
        "headers": [(b"host", host) for host in hosts],
        "server": ("10.0.0.1", 8443),
        **more,
    }


def test_from_a_scope():
    assert str(URL.from_scope(scope_of(b"Example.com:443"))) == "https://example.com/a%20b%2Fc?x=1"
    assert URL.from_scope(scope_of(b"[::1]:8443")).authority == "[::1]:8443"
    assert URL.from_scope(scope_of()).origin == "https://10.0.0.1:8443"
    assert URL.from_scope(scope_of(b"h", raw_path=None)).path == "/a%20b/c"
    assert str(URL.from_scope(scope_of(b"h", type="websocket", scheme=None))) == "ws://h/a%20b%2Fc?x=1"
    assert URL.from_scope(scope_of(server=("/run/app.sock", None))).host == "localhost"
    assert str(URL.from_scope(scope_of(b"h", path="*", raw_path=b"*", query_string=b""))) == "https://h"


@pytest.mark.parametrize("host", [b"a b", b"evil.com/x", b"a@b", b"a:99999", b"a:b", b"::1", b"x\\y", b"a?b", b"a#"])
def test_bad_hosts_are_refused(host):
    with pytest.raises(InvalidAuthority):
        URL.from_scope(scope_of(host))


def test_two_hosts_are_refused():
    with pytest.raises(InvalidAuthority):
        URL.from_scope(scope_of(b"a", b"b"))


def test_parsing_and_replacing():
    url = URL.parse("http://user@Example.com:8080/p?a=1&b=2#f")
    assert (url.host, url.port, url.query, url.fragment) == ("example.com", 8080, "a=1&b=2", "f")
    assert str(url.replace(scheme="https", host="x", fragment="")) == "https://x/p?a=1&b=2"
    assert str(url.include_query(b="ü", c=3).replace(fragment="")) == "http://example.com:8080/p?a=1&b=%C3%BC&c=3"
    assert str(URL.parse("/only/path")) == "/only/path"
    assert parse_authority("h:") == ("h", None)


def test_query_params():
    query = QueryParams.parse("a=1&a=2&b=&c=%C3%BC+x")
    assert (query["a"], query.getlist("a"), query["b"], query["c"]) == ("2", ["1", "2"], "", "ü x")
    assert len(query) == 3
    assert str(query) == "a=1&a=2&b=&c=%C3%BC+x"
