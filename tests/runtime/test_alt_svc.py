"""Each TCP address leads its clients to the HTTP/3 of that address, and to no other."""

from __future__ import annotations

import http.client
import socket
import ssl
from contextlib import closing

from tricorn_transports.config import Bind


async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body"})


class Unix(http.client.HTTPSConnection):
    def __init__(self, path, context):
        super().__init__("localhost", context=context)
        self.path, self.tls = path, context

    def connect(self):
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(10)
        sock.connect(self.path)
        self.sock = self.tls.wrap_socket(sock, server_hostname="localhost")


def test_each_address_has_its_own(serve, certificate, tmp_path):
    path = str(tmp_path / "socket")
    binds = tuple(map(Bind.parse, ("127.0.0.1:0", "127.0.0.1:0", f"unix:{path}")))
    server = serve(app, tls=True, bind=binds)
    ports = [bound.bind.port for bound in server.sockets if bound.kind == "tcp" and bound.bind.kind == "ip"]
    assert len(set(ports)) == 2
    context = ssl.create_default_context(cafile=certificate.ca)
    for port in ports:
        with closing(http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=context)) as client:
            client.request("GET", "/")
            assert client.getresponse().headers["alt-svc"] == f'h3=":{port}"; ma=86400'
    with closing(Unix(path, context)) as client:
        client.request("GET", "/")
        assert client.getresponse().headers["alt-svc"] is None
