"""CONNECT seen by curl, as a proxy in clear and over TLS, on HTTP/1.1 and HTTP/2."""

from __future__ import annotations

import http.server
import subprocess
import threading
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import pytest
from curl_cffi import Curl, CurlOpt

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


@pytest.fixture(scope="module")
def backend() -> Iterator[int]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Backend) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@pytest.fixture
def proxy(backend: int) -> App:
    app = App()
    allowed = {("backend.test", 80): ("127.0.0.1", backend)}

    app.state.versions = []

    @app.connect
    async def connect(tunnel: Tunnel) -> None:
        app.state.versions.append(tunnel.scope["http_version"])
        address = allowed.get((tunnel.host, tunnel.port))
        if address is None:
            raise HTTPException(403, "that is no address of ours")
        async with await anyio.connect_tcp(*address) as stream:
            await tunnel.accept()
            await tunnel.relay(stream)

    return app


@pytest.mark.parametrize("runtime", ["asyncio", "uvloop", "trio"])
@pytest.mark.parametrize("tls", [False, True], ids=["clear", "tls"])
def test_curl(
    serve: Callable[..., Any], certificate: Any, program: Callable[[str], str], proxy: App, runtime: str, tls: bool
) -> None:
    server = serve(proxy, runtime=runtime, tls=tls)
    options = ["--proxy-cacert", certificate.ca] if tls else []
    address = f"{'https' if tls else 'http'}://localhost:{server.port}"
    command = [program("curl"), "-sS", "--proxytunnel", "--proxy", address, *options]
    done = subprocess.run(
        [*command, "http://backend.test/page"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "you asked for /page\n" * 20_000, done.stderr
    done = subprocess.run([*command, "http://other.test/"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 56
    assert "403" in done.stderr


def test_libcurl_over_http_2(serve: Callable[..., Any], certificate: Any, proxy: App) -> None:
    """The curl program of most systems is too old for ``--proxy-http2``; this library is not."""
    server = serve(proxy, tls=True)
    curl, body = Curl(), bytearray()
    https2 = 3  # CURLPROXY_HTTPS2
    curl.setopt(CurlOpt.URL, b"http://backend.test/page")
    curl.setopt(CurlOpt.PROXY, f"https://localhost:{server.port}".encode())
    curl.setopt(CurlOpt.PROXYTYPE, https2)
    curl.setopt(CurlOpt.CAINFO, certificate.ca.encode())  # or curl_cffi sets both to its own
    curl.setopt(CurlOpt.PROXY_CAINFO, certificate.ca.encode())
    curl.setopt(CurlOpt.HTTPPROXYTUNNEL, 1)
    curl.setopt(CurlOpt.WRITEFUNCTION, lambda data: body.extend(data) or len(data))
    curl.perform()
    assert bytes(body) == b"you asked for /page\n" * 20_000
    assert proxy.state.versions == ["2"]
