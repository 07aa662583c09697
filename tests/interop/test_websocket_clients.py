"""WebSockets seen by clients that share nothing with ours: the websockets package, and a browser's engine."""

from __future__ import annotations

import json
import ssl
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.sync.client import connect

pytestmark = pytest.mark.interop

OFFERS = {
    "none": None,
    "default": ClientPerMessageDeflateFactory(client_max_window_bits=True),
    "no takeover": ClientPerMessageDeflateFactory(server_no_context_takeover=True, client_no_context_takeover=True),
    "small windows": ClientPerMessageDeflateFactory(server_max_window_bits=9, client_max_window_bits=9),
}


async def echo(scope: Any, receive: Any, send: Any) -> None:
    assert scope["type"] == "websocket"
    await receive()
    await send({"type": "websocket.accept", "subprotocol": next(iter(scope["subprotocols"]), None)})
    while (message := await receive())["type"] == "websocket.receive":
        if message.get("text") == "close":
            await send({"type": "websocket.close", "code": 4321, "reason": "as you wish"})
            return
        await send({**message, "type": "websocket.send"})


@pytest.fixture(params=["asyncio", "uvloop", "trio"])
def runtime(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("tls", [False, True], ids=["clear", "tls"])
@pytest.mark.parametrize("offer", OFFERS)
def test_the_websockets_package(
    serve: Callable[..., Any], certificate: Any, runtime: str, tls: bool, offer: str
) -> None:
    server = serve(echo, runtime=runtime, tls=tls)
    context = ssl.create_default_context(cafile=certificate.ca) if tls else None
    extensions = [factory] if (factory := OFFERS[offer]) is not None else None
    with connect(
        f"{'wss' if tls else 'ws'}://localhost:{server.port}/",
        ssl=context, compression=None, extensions=extensions, subprotocols=["one", "two"],  # type: ignore[list-item]
        max_size=None, proxy=None,
    ) as client:  # fmt: skip
        assert client.subprotocol == "one"
        assert len(client.protocol.extensions) == (offer != "none")
        for message in ("", "grüß dich", "word " * 30_000, b"", bytes(range(256)) * 5000):
            client.send(message)
            assert client.recv(10) == message
        client.send(["in ", "three ", "parts"])
        assert client.recv(10) == "in three parts"
        client.ping(b"are you there").wait(10)
        client.send("close")
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(10)
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4321, "as you wish")
    with connect(f"{'wss' if tls else 'ws'}://localhost:{server.port}/", ssl=context, proxy=None) as client:
        client.close(4000, "enough")
        assert client.close_code == 4000


SCRIPT = """
const socket = new WebSocket(process.argv[1]);
const log = [];
socket.binaryType = "arraybuffer";
socket.onopen = () => { socket.send("grüß dich " + "word ".repeat(20000)); };
socket.onmessage = (event) => {
  if (typeof event.data === "string") {
    log.push(event.data.length);
    socket.send(new Uint8Array(100000));
  } else {
    log.push(event.data.byteLength);
    socket.send("close");
  }
  if (log.length > 2) socket.close();
};
socket.onclose = (event) => {
  console.log(JSON.stringify([log, event.code, event.reason, event.wasClean, socket.extensions !== ""]));
};
socket.onerror = (event) => { console.log(JSON.stringify(["error", String(event.message)])); };
"""


def test_node(serve: Callable[..., Any], program: Callable[[str], str], runtime: str) -> None:
    server = serve(echo, runtime=runtime)
    node = program("node")
    probe = subprocess.run([node, "-p", "typeof WebSocket"], capture_output=True, text=True, check=True)
    flags = [] if probe.stdout.strip() == "function" else ["--experimental-websocket"]
    done = subprocess.run(
        [node, *flags, "-e", SCRIPT, f"ws://127.0.0.1:{server.port}/"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [[100_010, 100_000], 4321, "as you wish", True, True], done.stderr
