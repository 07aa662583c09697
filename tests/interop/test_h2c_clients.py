"""curl and nghttp go from HTTP/1.1 to HTTP/2 by Upgrade, where the setting lets them."""

from __future__ import annotations

import subprocess

import pytest

pytestmark = pytest.mark.interop

CLIENTS = {
    "curl": ["--silent", "--output", "/dev/null", "--http2", "--write-out", "%{http_code} HTTP/%{http_version}"],
    "nghttp": ["--upgrade", "--null-out", "--verbose"],
}


@pytest.mark.parametrize(("client", "options"), CLIENTS.items(), ids=CLIENTS)
def test_upgrade(program, launch, tour_command, client, options):
    server = launch([*tour_command, "--h2c-upgrade"])
    command = [program(client), *options, f"http://127.0.0.1:{server.port}/"]
    seen = subprocess.run(command, capture_output=True, timeout=20, check=True, text=True).stdout
    if client == "curl":
        assert seen == "200 HTTP/2"
    else:
        assert "HTTP/1.1 101 Switching Protocols" in seen
        assert "recv (stream_id=1) :status: 200" in seen
