"""The scope of a request says the same on every protocol (ASGI HTTP 2.5)."""

from __future__ import annotations

import pytest


@pytest.fixture
def ask(net, answer):
    """Sends one request and returns its scope, the client and the answer."""

    def ask(method="GET", path="/", headers=(), client=None):
        scopes = []

        async def app(scope, receive, send):
            scopes.append(scope)
            await answer(send)

        client = client or net.client(app)
        response = client.request(method, path, headers)
        assert response.status == 200
        return scopes[0], client, response

    return ask


def test_the_scope_has_every_key_of_the_specification(net, ask):
    scope, _, _ = ask("GET", "/a?b=c")
    assert scope["type"] == "http"
    assert scope["asgi"] == {"version": "3.0", "spec_version": "2.5"}
    assert scope["http_version"] == {"1": "1.1", "2": "2", "3": "3"}[net.version]
    assert scope["method"] == "GET"
    assert scope["scheme"] == ("https" if net.tls else "http")
    assert scope["root_path"] == ""
    assert scope["state"] == {}


def test_the_path_is_decoded_once_and_kept_raw(net, ask):
    scope, _, _ = ask("GET", "/a%20b/%E2%82%AC%2Fc/%252F?q=%20&%")
    assert scope["path"] == "/a b/\u20ac/c/%2F"
    assert scope["raw_path"] == b"/a%20b/%E2%82%AC%2Fc/%252F"
    assert scope["query_string"] == b"q=%20&%"


def test_bytes_that_are_no_utf8_are_replaced(net, ask):
    scope, _, _ = ask("GET", "/%ff")
    assert scope["path"] == "/\ufffd"
    assert scope["raw_path"] == b"/%ff"


def test_header_names_are_lower_case_and_lines_stay_apart(net, ask):
    name = b"X-Two" if net.version == "1" else b"x-two"
    scope, _, _ = ask(headers=[(name, b"1"), (name, b"2"), (b"x-latin", b"\xe9")])
    assert [value for key, value in scope["headers"] if key == b"x-two"] == [b"1", b"2"]
    assert (b"x-latin", b"\xe9") in scope["headers"]
    assert all(not key.startswith(b":") for key, _ in scope["headers"])


def test_there_is_one_host_header(net, ask):
    scope, client, _ = ask()
    assert [value for key, value in scope["headers"] if key == b"host"] == [client.host]


def test_both_addresses_are_told(net, ask):
    scope, client, _ = ask()
    sock = client.sock if net.version == "3" else client.wire.sock
    assert scope["client"] == sock.getsockname()[:2]
    assert scope["server"] == ("127.0.0.1", net.server.port)


def test_methods_are_case_sensitive_and_free(net, ask):
    assert ask("PROPFIND")[0]["method"] == "PROPFIND"
    assert ask("get")[0]["method"] == "get"


def test_options_of_the_whole_server(net, ask):
    scope, _, _ = ask("OPTIONS", "*")
    assert (scope["path"], scope["raw_path"]) == ("*", b"*")


def test_the_tls_extension_is_there_under_tls_only(net, ask):
    scope, _, _ = ask()
    tls = scope["extensions"].get("tls")
    if not net.tls:
        assert tls is None
        return
    assert tls["tls_version"] == 0x0304
    assert tls["cipher_suite"] in (0x1301, 0x1302, 0x1303)
    assert tls["server_cert"].startswith("-----BEGIN CERTIFICATE-----")
    assert tls["client_cert_name"] is None
    assert list(tls["client_cert_chain"]) == []


def test_extensions_name_what_the_protocol_can_do(net, ask):
    extensions = ask()[0]["extensions"]
    for name in ("pathsend", "zerocopysend", "trailers", "early_hint"):
        assert f"http.response.{name}" in extensions
    assert "tricorn.disconnect" in extensions
    assert "tricorn.request_trailers" in extensions
    assert "http.response.push" not in extensions  # these clients take none


def test_the_root_path_is_part_of_the_path(net, answer):
    scopes = []

    async def app(scope, receive, send):
        if scope["type"] == "http":
            scopes.append(scope)
            await answer(send)

    net.serve(app, root_path="/mounted")
    net.connect().request("GET", "/a%20b")
    assert scopes[0]["root_path"] == "/mounted"
    assert scopes[0]["path"] == "/mounted/a b"
    assert scopes[0]["raw_path"] == b"/mounted/a%20b"


def test_each_request_has_its_own_copy_of_the_state(net, answer):
    states = []
    shared = []

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            assert (await receive())["type"] == "lifespan.startup"
            scope["state"]["shared"] = shared
            await send({"type": "lifespan.startup.complete"})
            assert (await receive())["type"] == "lifespan.shutdown"
            await send({"type": "lifespan.shutdown.complete"})
            return
        states.append(dict(scope["state"]))
        scope["state"]["own"] = True
        await answer(send)

    net.serve(app)
    client = net.connect()
    client.request("GET", "/")
    client.request("GET", "/")
    assert states == [{"shared": shared}, {"shared": shared}]
    assert states[0]["shared"] is shared


@pytest.mark.over("h2", "h2-tls", "h3")  # only these split cookies
def test_cookie_crumbs_are_one_field(net, ask):
    scope, _, _ = ask(headers=[(b"cookie", b"a=1"), (b"cookie", b"b=2")])
    assert [value for key, value in scope["headers"] if key == b"cookie"] == [b"a=1; b=2"]


def test_alt_svc_tells_of_http3_under_tls(net, ask):
    _, _, response = ask()
    offer = response.header(b"alt-svc")
    if net.tls and net.version != "3":
        assert offer == b'h3=":%d"; ma=86400' % net.server.port
    elif not net.tls:
        assert offer is None
