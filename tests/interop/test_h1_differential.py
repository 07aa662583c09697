"""The same bytes to our HTTP/1.1 engines, to nginx and to Node: all must cut them into the same messages.

Each input goes over a connection of its own, from an address of its own, with a last request behind it and then the
end of the stream. What counts is what reached an application: the requests in their order, their bodies, and whether
the last one was still among them. A rejected message ends a connection, so where one server is stricter its list is
shorter. Two rules hold:

- One list is always a beginning of the other. Two servers that both go on but disagree about where a message ends are
  how requests are smuggled; there is no reason that would excuse it.
- Where one list is shorter, a reason in h1_reasons.py says so, and in that direction only.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import re
import sys
import threading
from pathlib import Path

import pytest

from tricorn_transports.registry import transports

pytestmark = pytest.mark.interop

END = b"GET /end HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"
MUTATIONS = 2000
SEED = 9112

NGINX = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  large_client_header_buffers 4 64k; client_max_body_size 0; keepalive_requests 100000;
  server {{
    listen 127.0.0.1:{port} reuseport backlog=4096;
    location / {{
      proxy_pass http://127.0.0.1:{upstream};
      proxy_pass_request_headers off;
      proxy_set_header X-Client $remote_addr;
      proxy_ignore_client_abort on;
    }}
  }}
}}
"""


class Upstream:
    """What stands behind nginx: it writes down what nginx has understood, and answers nothing but 200."""

    def __init__(self):
        self.seen = {}
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),), daemon=True)
        self._thread.start()
        assert self._ready.wait(10)

    async def _serve(self):
        self._stop = asyncio.Event()
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0, backlog=4096, limit=1 << 20)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        async with server:
            await self._stop.wait()

    async def _answer(self, reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        fields = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if line)
        body = await reader.readexactly(int(fields.get("content-length", 0)))
        method, target, _ = head.split("\r\n", 1)[0].split(" ")
        self.seen.setdefault(fields["x-client"], []).append((method, target, body.decode("latin-1")))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    def stop(self):
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)


def address(number):
    return f"127.1.{number // 250}.{number % 250 + 1}"


async def send_all(port, inputs):
    """Sends each input from its address, and waits for the ends of all the connections."""
    turns = asyncio.Semaphore(48)

    async def send(number, data):
        async with turns, asyncio.timeout(20):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(address(number), 0))
            try:
                writer.write(data + END)
                writer.write_eof()
                while await reader.read(65_536):
                    pass
            except OSError:
                pass  # an early close, while we were still sending
            finally:
                writer.close()

    await asyncio.gather(*(send(number, data) for number, data in enumerate(inputs)))


def load(name):
    """Tests are imported by path, and cannot import each other's helpers in any other way."""
    tests = Path(__file__).parent.parent
    sys.path.insert(0, str(tests / "wire"))
    try:
        spec = importlib.util.spec_from_file_location(name, tests / "interop" / f"{name}.py")
        module = sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.pop(0)
    return module


INPUTS = load("h1_inputs")
TABLE = INPUTS.TABLE
PEERS = load("h1_reasons").PEERS


def beginning(one, other):
    return other[: len(one)] == one


def unexplained(peer, data, ours, theirs):
    """What is wrong with a damaged input's outcome; ``None`` if both agree, or a reason says why they do not."""
    if ours == theirs:
        return None
    if not beginning(ours, theirs) and not beginning(theirs, ours):
        return "the messages differ"
    ours_is_shorter = len(ours) < len(theirs)
    first = theirs[len(ours)] if ours_is_shorter else ours[len(theirs)]
    for reason in peer.we_are_stricter if ours_is_shorter else peer.it_is_stricter:
        if re.search(reason.pattern, data) or re.search(reason.method, first[0]):
            return None
    return "we are stricter" if ours_is_shorter else "the peer is stricter"


def outcome(peer, name, ours, theirs):
    """How the two differ over an input of the table."""
    if ours == theirs:
        return "the same"
    if name in peer.same and (ours == theirs[1:] or without_targets(ours) == without_targets(theirs)):
        return "the same messages"
    if beginning(ours, theirs):
        return "we are stricter"
    return "the peer is stricter" if beginning(theirs, ours) else "the messages differ"


def without_targets(seen):
    return [(method, body) for method, _, body in seen]


@pytest.fixture
def upstream():
    running = Upstream()
    yield running
    running.stop()


@pytest.fixture
def nginx(program, launch, upstream, tmp_path):
    """``nginx(inputs)``: what nginx makes of each."""
    config = tmp_path / "nginx.conf"

    def ask(inputs):
        # nginx reads its port from a file, so `launch` cannot tell it one in the command; `sh` writes the file.
        text = NGINX.format(folder=tmp_path, port="PORT", upstream=upstream.port)
        config.write_text(text)
        script = f"sed -i s/PORT/{{port}}/ {config} && exec {program('nginx')} -c {config} -e {tmp_path}/error.log"
        server = launch(["sh", "-c", script])
        asyncio.run(send_all(server.port, inputs))
        return [upstream.seen.get(address(number), []) for number in range(len(inputs))]

    return ask


@pytest.fixture
def node(program, recorded):
    """``node(inputs)``: what Node makes of each."""
    script = Path(__file__).parent / "apps" / "record_requests.mjs"
    return lambda inputs: recorded([program("node"), str(script), "{port}"], inputs)


@pytest.fixture
def ours(recorded):
    """``ours(engine, inputs)``: what ``tricorn run`` makes of each."""

    def ask(engine, inputs):
        command = [sys.executable, "-m", "tricorn_transports", "run", "record_requests:app"]
        command += ["--bind", "127.0.0.1:{port}", "--http", "1.1", "--engine", f"h1={engine}"]
        return recorded([*command, "--no-access-log", "--log-level", "critical"], inputs)

    return ask


@pytest.fixture
def recorded(launch, tmp_path):
    """``recorded(command, inputs)``: what a server that writes its requests down has written."""

    def ask(command, inputs):
        record = tmp_path / Path(command[0]).name
        asyncio.run(send_all(launch(command, RECORD=str(record)).port, inputs))
        seen = {}
        for line in record.read_text().splitlines():
            client, *request = json.loads(line)
            seen.setdefault(client, []).append(tuple(request))
        return [seen.get(address(number), []) for number in range(len(inputs))]

    return ask


@pytest.mark.parametrize("peer", PEERS)
@pytest.mark.parametrize("engine", transports()["h1"].engines)
def test_both_see_the_same_messages(engine, peer, ours, request):
    assert len(TABLE) >= 150
    damaged = list(INPUTS.mutations(MUTATIONS, SEED))
    inputs = [*TABLE.values(), *damaged]
    theirs = request.getfixturevalue(peer)(inputs)
    seen = list(zip(ours(engine, inputs), theirs, strict=True))
    peer = PEERS[peer]

    expected = dict.fromkeys(TABLE, "the same") | dict.fromkeys(peer.same, "the same messages")
    expected |= {name: "we are stricter" for reason in peer.we_are_stricter for name in reason.names}
    expected |= {name: "the peer is stricter" for reason in peer.it_is_stricter for name in reason.names}
    found = {name: outcome(peer, name, *pair) for name, pair in zip(TABLE, seen, strict=False)}
    assert {n: v for n, v in found.items() if v != expected[n]} == {}

    wrong = [
        (why, data, pair)
        for data, pair in zip(damaged, seen[len(TABLE) :], strict=True)
        if (why := unexplained(peer, data, *pair)) is not None
    ]
    assert wrong == []
    agreed = sum(1 for mine, other in seen if mine == other)
    assert agreed > len(seen) / 2  # else it is the test that sees nothing
