"""CONNECT seen by curl, as a proxy in clear and over TLS, on HTTP/1.1, 2 and 3, to backends with TLS and without."""

from __future__ import annotations

import http.server
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import pytest
from curl_cffi import Curl, CurlError, CurlOpt

from tricorn import App, HTTPException, Tunnel

pytestmark = pytest.mark.interop


class Backend(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = f"you asked for {self.path}\n".encode() * 20_000
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def running(context: ssl.SSLContext | None = None) -> Iterator[int]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Backend) as server:
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def backends(certificate: Any) -> Iterator[dict[tuple[str, int], int]]:
    """The ports of two backends, by the names that the proxy knows them by: one in clear, one with TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.cert, certificate.key)
    with running() as clear, running(context) as secured:
        yield {("backend.test", 80): clear, ("localhost", 443): secured}


#: What is asked for, through the tunnel.
PAGES = ["http://backend.test/page", "https://localhost/page"]
CONTENT = "you asked for /page\n" * 20_000


@pytest.fixture
def proxy(backends: dict[tuple[str, int], int]) -> App:
    app = App()
    app.state.versions = []

    @app.connect
    async def connect(tunnel: Tunnel) -> None:
        app.state.versions.append(tunnel.scope["http_version"])
        port = backends.get((tunnel.host, tunnel.port))
        if port is None:
            raise HTTPException(403, "that is no address of ours")
        async with await anyio.connect_tcp("127.0.0.1", port) as stream:
            await tunnel.accept()
            await tunnel.relay(stream)

    return app


@pytest.mark.parametrize("runtime", ["asyncio", "uvloop", "trio"])
@pytest.mark.parametrize("tls", [False, True], ids=["clear", "tls"])
def test_curl(
    serve: Callable[..., Any], certificate: Any, program: Callable[[str], str], proxy: App, runtime: str, tls: bool
) -> None:
    server = serve(proxy, runtime=runtime, tls=tls)
    options = ["--cacert", certificate.ca, "--proxy-cacert", certificate.ca]
    address = f"{'https' if tls else 'http'}://localhost:{server.port}"
    command = [program("curl"), "-sS", "--proxytunnel", "--proxy", address, *options]
    for page in PAGES:
        done = subprocess.run([*command, page], capture_output=True, text=True, timeout=60, check=False)
        assert done.stdout == CONTENT, done.stderr
    done = subprocess.run([*command, "http://other.test/"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 56
    assert "403" in done.stderr


@pytest.mark.parametrize(("version", "kind"), [("2", 3), ("3", 8)])  # CURLPROXY_HTTPS2 and CURLPROXY_HTTPS3
@pytest.mark.parametrize("page", PAGES)
def test_libcurl(serve: Callable[..., Any], certificate: Any, proxy: App, version: str, kind: int, page: str) -> None:
    """The curl program of most systems is too old for ``--proxy-http2`` and ``--proxy-http3``; this library is not."""
    server = serve(proxy, tls=True)
    curl, body = Curl(), bytearray()
    curl.setopt(CurlOpt.URL, page.encode())
    curl.setopt(CurlOpt.PROXY, f"https://localhost:{server.port}".encode())
    try:
        curl.setopt(CurlOpt.PROXYTYPE, kind)
    except CurlError:
        pytest.skip(f"this libcurl knows no proxies over HTTP/{version}")
    curl.setopt(CurlOpt.CAINFO, certificate.ca.encode())  # or curl_cffi sets both to its own
    curl.setopt(CurlOpt.PROXY_CAINFO, certificate.ca.encode())
    curl.setopt(CurlOpt.HTTPPROXYTUNNEL, 1)
    curl.setopt(CurlOpt.WRITEFUNCTION, lambda data: body.extend(data) or len(data))
    curl.perform()
    assert body.decode() == CONTENT
    assert proxy.state.versions == [version]
