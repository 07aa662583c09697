"""Static files over every protocol and runtime: the same answers, and the same bytes however they are sent."""

from __future__ import annotations

import os
import re

import pytest

from tricorn import App, Mount, Request, StaticFiles
from tricorn_transports.config import Timeouts

LARGE = bytes(range(256)) * 16_384  # 4 MiB: copied by the kernel where it can be
CSS = b"body { color: navy }\n" * 100
GZIP = b"pretend that this is gzip"
OLD = 784111777
MODIFIED = b"Sun, 06 Nov 1994 08:49:37 GMT"


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "assets"
    folder.mkdir()
    for name, content in {"large.bin": LARGE, "large.bin.br": LARGE[::-1], "app.css": CSS, "app.css.gz": GZIP}.items():
        (folder / name).write_bytes(content)
        os.utime(folder / name, (OLD, OLD))
    (tmp_path / "secret").write_bytes(b"secret")
    return folder


@pytest.fixture
def app(folder):
    app = App([Mount("/assets", StaticFiles(folder))])

    @app.get("/url")
    async def url(request: Request) -> str:
        return request.static_url("app.css")

    return app


def test_whole_files(net, app):
    client = net.client(app)
    for _ in range(3):
        response = client.request("GET", "/assets/large.bin")
        assert bytes(response.body) == LARGE
        for name, value in {
            b"content-length": b"%d" % len(LARGE),
            b"content-type": b"application/octet-stream",
            b"last-modified": MODIFIED,
            b"cache-control": b"no-cache",
            b"accept-ranges": b"bytes",
            b"vary": b"Accept-Encoding",
        }.items():
            assert response.header(name) == value
        assert bytes(client.request("GET", "/assets/app.css").body) == CSS
        head = client.request("HEAD", "/assets/large.bin")
        assert (head.body, head.header(b"content-length")) == (b"", b"%d" % len(LARGE))


MATRIX = [
    ({b"range": b"bytes=0-0"}, 206, [(0, 1)]),
    ({b"range": b"bytes=1000-3000000"}, 206, [(1000, 3_000_001)]),
    ({b"range": b"bytes=-2000000"}, 206, [(len(LARGE) - 2_000_000, len(LARGE))]),
    (
        {b"range": b"bytes=0-99,500000-2500000,-1"},
        206,
        [(0, 100), (500_000, 2_500_001), (len(LARGE) - 1, len(LARGE))],
    ),
    ({b"range": b"bytes=9-99", b"if-range": b"{tag}"}, 206, [(9, 100)]),
    ({b"range": b"bytes=9-99", b"if-range": b'"other"'}, 200, []),
    ({b"range": b"bytes=%d-" % len(LARGE)}, 416, []),
    ({b"if-none-match": b"{tag}"}, 304, []),
    ({b"if-modified-since": MODIFIED}, 304, []),
    ({b"if-none-match": b'"other"', b"if-modified-since": MODIFIED}, 200, []),
    ({b"if-match": b'"other"'}, 412, []),
]


def test_conditions_and_ranges(net, app):
    """Each row for the file itself and for a compressed one, of which there is one part at a time."""
    client = net.client(app)
    for fields, status, parts in MATRIX:
        check_row(client, b"identity", LARGE, fields, status, parts)
        whole = len(parts) > 1
        check_row(client, b"br", LARGE[::-1], fields, 200 if whole else status, [] if whole else parts)


def check_row(client, coding, content, fields, status, parts):
    accept = (b"accept-encoding", coding)
    tag = client.request("HEAD", "/assets/large.bin", [accept]).header(b"etag")
    assert re.fullmatch(rb'"[0-9a-f]{32}(-br)?"', tag)
    response = client.request(
        "GET", "/assets/large.bin", [accept, *((name, value.replace(b"{tag}", tag)) for name, value in fields.items())]
    )
    assert response.status == status
    assert b"Accept-Encoding" in response.header(b"vary")
    body = bytes(response.body)
    if status in (200, 206, 304):
        assert response.header(b"etag") == tag
    if status == 200:
        assert body == content
    elif status == 304:
        assert body == b""
    elif status == 416:
        assert response.header(b"content-range") == b"bytes */%d" % len(LARGE)
    elif len(parts) == 1:
        ((start, stop),) = parts
        assert body == content[start:stop]
        assert response.header(b"content-range") == b"bytes %d-%d/%d" % (start, stop - 1, len(LARGE))
    elif parts:
        assert len(body) == int(response.header(b"content-length"))
        boundary = response.header(b"content-type").partition(b"boundary=")[2]
        pieces = body.split(b"--" + boundary)
        assert [piece.partition(b"\r\n\r\n")[2][:-2] for piece in pieces[1:-1]] == [content[a:b] for a, b in parts]


def test_variants_and_fingerprints(net, app):
    client = net.client(app)
    url = bytes(client.request("GET", "/url").body).decode()
    assert re.fullmatch(r"/assets/app\.[0-9a-f]{16}\.css", url)
    for path, caching in (("/assets/app.css", b"no-cache"), (url, b"public, max-age=31536000, immutable")):
        tags = set()
        for accept, coding, content in ((b"gzip, br;q=0.1", b"gzip", GZIP), (b"br", None, CSS)):
            response = client.request("GET", path, [(b"accept-encoding", accept)])
            assert (bytes(response.body), response.header(b"content-encoding")) == (content, coding)
            assert response.header(b"vary") == b"Accept-Encoding"
            assert response.header(b"cache-control") == caching
            assert response.header(b"content-type") == b"text/css; charset=utf-8"
            tags.add(response.header(b"etag"))
        assert len(tags) == 2
    assert client.request("GET", "/assets/app.0123456789abcdef.css").status == 404


@pytest.mark.on("asyncio", "trio")
def test_nothing_leads_out(net, app):
    client = net.client(app)
    for path in (
        "../secret",
        "%2e%2e/secret",
        "..%2fsecret",
        "..%5csecret",
        "%252e%252e/secret",
        "x/../../secret",
        "a%00",
    ):
        response = client.request("GET", f"/assets/{path}")
        assert response.status in (400, 404), path
        assert b"secret\n" not in bytes(response.body)
        if response.status == 400:
            client = net.client(app)
    refused = client.request("POST", "/assets/app.css", (), b"")
    assert (refused.status, refused.header(b"allow")) == (405, b"GET, HEAD, OPTIONS")


def slow_client(net):
    return net.connect(**({} if net.version == "3" else {"receive_buffer": 32_768}))


def test_a_slow_reader_gets_all_of_it(net, app):
    """Two files at once where the protocol can, and another client meanwhile."""
    net.client(app)
    client = slow_client(net)
    streams = [client.open("GET", "/assets/large.bin") for _ in range(1 if net.version == "1" else 2)]
    for _ in range(10):
        client.poll(0.01)
        client.poll(0.01, read=False)
    assert bytes(net.client(app).request("GET", "/assets/app.css").body) == CSS
    for stream in streams:
        assert bytes(client.response(stream, 60).body) == LARGE


@pytest.mark.over("h1", "h1-tls", "h2", "h3")
def test_a_client_that_goes_away_leaves_nothing_open(net, app, eventually, caplog):
    net.serve(app, timeouts=Timeouts(write_timeout=5))

    def opened():
        links = (os.path.join("/proc/self/fd", fd) for fd in os.listdir("/proc/self/fd"))
        return [link for link in map(_target, links) if link.endswith("large.bin")]

    for _ in range(3):
        client = slow_client(net)
        stream = client.open("GET", "/assets/large.bin")
        client.wait(lambda client=client, stream=stream: client.responses[stream].headers, "the head")
        client.close()
    eventually(lambda: not opened())
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
    assert bytes(net.connect().request("GET", "/assets/large.bin").body) == LARGE


def _target(link):
    try:
        return os.readlink(link)
    except FileNotFoundError:
        return ""


@pytest.mark.parametrize("fields", [[], [(b"range", b"bytes=0-4000000")]])
def test_a_file_that_shrinks_breaks_the_response_off(net, app, folder, fields, eventually, caplog):
    net.serve(app)
    client = slow_client(net)
    stream = client.open("GET", "/assets/large.bin", fields)
    client.wait(lambda: client.responses[stream].headers, "the head")
    os.truncate(folder / "large.bin", 1000)
    client.wait(lambda: client.closed or client.responses[stream].over, "the end")
    response = client.responses[stream]
    # What the socket and the window had room for may have been all of it on a machine with large buffers.
    assert not response.ended or bytes(response.body) == LARGE[: len(response.body)]
    assert client.closed or net.version != "1" or response.ended
    if not response.ended:
        eventually(lambda: "shorter" in caplog.text)
    again = net.connect().request("GET", "/assets/large.bin")
    assert (again.status, bytes(again.body)) == (200, LARGE[:1000])


def test_a_file_that_grows_is_sent_as_announced(net, app, folder):
    net.serve(app)
    client = slow_client(net)
    stream = client.open("GET", "/assets/large.bin")
    client.wait(lambda: client.responses[stream].headers, "the head")
    with (folder / "large.bin").open("ab") as file:
        file.write(b"more")
    assert bytes(client.response(stream).body) == LARGE
    assert bytes(client.request("GET", "/assets/large.bin").body) == LARGE + b"more"


@pytest.mark.over("h1")
@pytest.mark.on("asyncio", "uvloop")
def test_the_kernel_copies_what_is_large(net, app, monkeypatch):
    copied = []
    real = os.sendfile

    def sendfile(target, source, offset, count):
        copied.append(real(target, source, offset, count))
        return copied[-1]

    monkeypatch.setattr("os.sendfile", sendfile)
    client = net.client(app)
    client.request("GET", "/assets/app.css")
    assert copied == []
    client.request("GET", "/assets/large.bin", [(b"range", b"bytes=0-99,500000-2500000")])
    assert sum(copied) == 2_000_001
    client.request("GET", "/assets/large.bin")
    assert sum(copied) == 2_000_001 + len(LARGE)
