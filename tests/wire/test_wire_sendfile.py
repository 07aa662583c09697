"""``zerocopysend`` and ``pathsend``: right bytes over every protocol, and copied by the kernel over clear HTTP/1.1."""

from __future__ import annotations

import errno
import logging
import os
import threading

import anyio
import pytest

from tricorn_transports.config import Timeouts

SIZE = 6 << 20
KERNEL = {"asyncio", "uvloop"}


def start(*headers):
    return {"type": "http.response.start", "status": 200, "headers": list(headers)}


def length(size):
    return (b"content-length", b"%d" % size)


def copy(file, offset=0, count=None, more=False):
    message = {"type": "http.response.zerocopysend", "file": file, "offset": offset, "more_body": more}
    return message if count is None else {**message, "count": count}


def app_of(path, *messages, fields=()):
    """Answers with these, made of the opened file."""

    async def app(scope, receive, send):
        if scope["type"] != "http":
            raise RuntimeError("nothing to start")
        with open(path, "rb") as file:
            await send(start(*fields))
            for message in messages:
                await send(message(file))

    return app


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "large"
    path.write_bytes(os.urandom(SIZE))
    return path


@pytest.fixture
def copied(monkeypatch):
    """How many bytes went through ``sendfile(2)``, call by call."""
    counts = []
    real = os.sendfile

    def sendfile(target, source, offset, count):
        counts.append(real(target, source, offset, count))
        return counts[-1]

    monkeypatch.setattr("os.sendfile", sendfile)
    return counts


def whole(net):
    return SIZE if net.protocol == "h1" and net.runtime in KERNEL else 0


def slow_client(net):
    return net.connect(**({} if net.version == "3" else {"receive_buffer": 32_768}))


# ------------------------------------------------------------------------------------------------------ what is sent


def test_a_file_with_its_length(net, path, copied, eventually):
    client = net.client(app_of(path, lambda file: copy(file), fields=[length(SIZE)]))
    for _ in range(2):  # the connection is as good as before
        assert bytes(client.request("GET", "/").body) == path.read_bytes()
    eventually(lambda: sum(copied) == 2 * whole(net))
    assert client.request("HEAD", "/").body == b""


def test_a_path(net, path, copied, eventually):
    client = net.client(app_of(path, lambda file: {"type": "http.response.pathsend", "path": str(path)}))
    response = client.request("GET", "/")
    assert bytes(response.body) == path.read_bytes()
    assert response.header(b"content-length") == b"%d" % SIZE
    eventually(lambda: sum(copied) == whole(net))


def test_parts_between_bytes_of_an_unannounced_length(net, path, copied, eventually):
    app = app_of(
        path,
        lambda file: copy(file, 5, 10, more=True),
        lambda file: {"type": "http.response.body", "body": b"--", "more_body": True},
        lambda file: copy(file, SIZE, 10, more=True),  # there is nothing
        lambda file: copy(file, 1000, 3_000_000, more=True),
        lambda file: copy(file, SIZE - 7),  # to its end
    )
    content = path.read_bytes()
    body = bytes(net.client(app).request("GET", "/").body)
    assert body == content[5:15] + b"--" + content[1000:3_001_000] + content[-7:]
    eventually(lambda: sum(copied) == (len(body) - 2 if whole(net) else 0))


@pytest.mark.over("h1")
def test_from_where_the_file_stands(net, path):
    def here(file):
        file.seek(SIZE - 3)
        return {"type": "http.response.zerocopysend", "file": file.fileno()}

    assert net.client(app_of(path, here)).request("GET", "/").body == path.read_bytes()[-3:]


@pytest.mark.parametrize("buffering", [0, -1], ids=["raw", "buffered"])
@pytest.mark.parametrize("form", ["object", "descriptor"])
@pytest.mark.over("h1", "h2", "h3")
def test_parts_without_an_offset_follow_one_another(net, path, form, buffering, eventually):
    """As ``sendfile(2)`` has it: what was sent has been read. An object that reads ahead stands where it says."""
    stands = []

    async def app(scope, receive, send):
        with open(path, "rb", buffering=buffering) as opened:
            if form == "object":
                assert len(opened.read(10)) == 10
            else:
                os.lseek(opened.fileno(), 10, os.SEEK_SET)
            file = opened if form == "object" else opened.fileno()
            message = {"type": "http.response.zerocopysend", "file": file}
            await send(start())
            await send({**message, "count": 4, "more_body": True})
            await send({**message, "count": 1_000_000, "more_body": True})
            await send({**message, "offset": 3, "count": 2, "more_body": True})  # moves nothing
            await send(message)
            stands.append(opened.tell() if form == "object" else os.lseek(file, 0, os.SEEK_CUR))

    content = path.read_bytes()
    body = bytes(net.client(app).request("GET", "/").body)
    assert body == content[10:1_000_014] + content[3:5] + content[1_000_014:]
    eventually(lambda: stands == [SIZE])


@pytest.mark.over("h1", "h2")
@pytest.mark.on("asyncio", "uvloop")
def test_what_is_no_regular_file_is_read(net, copied):
    app = app_of("/proc/self/status", lambda file: copy(file))
    assert b"Threads:" in net.client(app).request("GET", "/").body
    assert copied == []


@pytest.mark.over("h1")
@pytest.mark.on("asyncio", "uvloop")
def test_a_file_system_that_cannot(net, path, monkeypatch):
    def sendfile(target, source, offset, count):
        raise OSError(errno.EINVAL, "not here")

    monkeypatch.setattr("os.sendfile", sendfile)
    client = net.client(app_of(path, lambda file: copy(file), fields=[length(SIZE)]))
    assert bytes(client.request("GET", "/").body) == path.read_bytes()


@pytest.mark.over("h1", "h2")
@pytest.mark.on("asyncio", "uvloop")
@pytest.mark.parametrize("known", [True, False, None])
def test_what_is_on_the_disk_is_waited_for_in_a_thread(net, path, monkeypatch, known, copied, eventually):
    """And nobody else waits with it, whatever can be told of where it is."""
    probed, loop_s, read_by = [], [], set()
    real = os.pread

    def probe(fd, offset, count):
        probed.append(offset)
        loop_s.append(threading.get_ident())
        return known

    def pread(fd, count, offset):
        read_by.add(threading.get_ident())
        return real(fd, count, offset)

    for module in ("runtime.sendfile", "exchange.files"):
        monkeypatch.setattr(f"tricorn_transports.{module}.is_in_memory", probe)
    monkeypatch.setattr("os.pread", pread)
    client = net.client(app_of(path, lambda file: copy(file), fields=[length(SIZE)]))
    content = path.read_bytes()
    for _ in range(2):
        assert bytes(client.request("GET", "/").body) == content
    assert probed[0] == 0
    assert len(probed) >= 12
    eventually(lambda: sum(copied) == 2 * whole(net))
    if known is True:
        assert read_by <= set(loop_s)
    else:
        assert not read_by & set(loop_s)
    assert bool(read_by) == (known is False or not whole(net))


@pytest.mark.over("h1", "h2")
@pytest.mark.on("asyncio")
def test_a_file_that_is_not_in_memory(net, path):
    client = net.client(app_of(path, lambda file: copy(file), fields=[length(SIZE)]))
    content = path.read_bytes()
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    assert bytes(client.request("GET", "/").body) == content


@pytest.mark.over("h1")
@pytest.mark.on("asyncio", "uvloop")
def test_pipelined_files_come_in_turn(net, path, copied):
    size = 1_500_000

    async def app(scope, receive, send):
        offset = int(scope["path"][1:])
        with path.open("rb") as file:
            await send(start(length(size)))
            await send(copy(file, offset, size))

    net.client(app)
    wire = net.wire(receive_buffer=32_768)
    wire.send(b"".join(b"GET /%d HTTP/1.1\r\nhost: a\r\n\r\n" % offset for offset in (0, 1000, 2000)))
    wire.half_close()
    content, received = path.read_bytes(), wire.read_all()
    for offset in (0, 1000, 2000):
        head, received = received.split(b"\r\n\r\n", 1)
        assert head.startswith(b"HTTP/1.1 200 ")
        assert received[:size] == content[offset : offset + size]
        received = received[size:]
    assert received == b""
    assert sum(copied) == 3 * size


# ----------------------------------------------------------------------------------------------- time and pressure


@pytest.mark.over("h1", "h1-tls", "h3")
def test_a_client_that_does_not_read_holds_send(net, path, settled, eventually):
    """And nobody else."""
    done, asked = [], []

    async def app(scope, receive, send):
        if scope["type"] != "http":
            raise RuntimeError("nothing to start")
        if scope["path"] == "/other":
            asked.append(True)
            await send(start())
            await send({"type": "http.response.body", "body": b"here"})
            return
        with path.open("rb") as file:
            await send(start())
            for _ in range(4):
                await send(copy(file, more=True))
                done.append(True)
            await send({"type": "http.response.body"})

    client = net.client(app, **({} if net.version == "3" else {"receive_buffer": 32_768}))
    stream = client.open("GET", "/")
    assert settled(lambda: len(done), lambda: client.poll(0.01, read=False)) < 2
    assert net.client(app).request("GET", "/other").body == b"here"
    body = client.response(stream, 60).body
    assert bytes(body) == path.read_bytes() * 4


@pytest.mark.over("h1", "h1-tls", "h3")
def test_a_client_that_takes_nothing_is_cut_off(net, path, eventually, caplog):
    errors = []

    async def app(scope, receive, send):
        if scope["type"] != "http":
            raise RuntimeError("nothing to start")
        with path.open("rb") as file:
            await send(start(length(SIZE)))
            try:
                await send(copy(file))
            except OSError as error:
                errors.append(error)
                raise

    net.serve(app, timeouts=Timeouts(write_timeout=0.4))
    client = slow_client(net)
    client.open("GET", "/")
    client.poll(0)
    eventually(lambda: errors)
    assert type(errors[0]).__name__ == "ClientDisconnected"
    assert any("write_timeout" in record.getMessage() for record in caplog.records)


@pytest.mark.over("h1")
@pytest.mark.on("asyncio", "uvloop")
def test_a_slow_reader_that_moves_is_not_cut_off(net, path):
    net.serve(app_of(path, lambda file: copy(file), fields=[length(SIZE)]), timeouts=Timeouts(write_timeout=0.5))
    client = slow_client(net)
    stream = client.open("GET", "/")
    for _ in range(10):
        client.poll()
        client.poll(0.1, read=False)
    assert bytes(client.response(stream).body) == path.read_bytes()


@pytest.mark.over("h1", "h2", "h3")
def test_a_drain_waits_for_a_file(net, path):
    server = net.serve(app_of(path, lambda file: copy(file), fields=[length(SIZE)]))
    client = slow_client(net)
    stream = client.open("GET", "/")
    client.wait(lambda: client.responses[stream].headers, "the head")
    server.begin_stop()
    assert bytes(client.response(stream).body) == path.read_bytes()


# ---------------------------------------------------------------------------------------------------------- endings


@pytest.mark.over("h1", "h1-tls", "h2", "h3")
@pytest.mark.parametrize("rudely", [False, True])
def test_a_client_that_goes_away(net, path, rudely, eventually, caplog):
    """Its file is closed, and its descriptor is not touched again."""
    files, over = [], []

    async def app(scope, receive, send):
        if scope["type"] != "http":
            raise RuntimeError("nothing to start")
        with path.open("rb") as file:
            files.append(file)
            try:
                await send(start(length(SIZE)))
                await send(copy(file))
            finally:
                over.append(True)

    net.serve(app, timeouts=Timeouts(write_timeout=5))
    client = slow_client(net)
    stream = client.open("GET", "/")
    client.wait(lambda: client.responses[stream].headers, "the head")
    if rudely and net.version == "1":
        client.wire.reset()
    else:
        client.close()
    eventually(lambda: over)
    assert files[0].closed
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
    assert bytes(net.connect().request("GET", "/").body) == path.read_bytes()


def test_an_application_that_is_cancelled_ends_the_response(net, path, eventually):
    """It closes the file, whose descriptor may be another file's by the time that the client reads on."""
    secret, over = path.with_name("secret"), []
    secret.write_bytes(b"secret " * (SIZE // 7))

    async def app(scope, receive, send):
        if scope["type"] != "http":
            raise RuntimeError("nothing to start")
        with path.open("rb") as file, anyio.move_on_after(0.2):
            await send(start(length(4 * SIZE)))
            for _ in range(4):
                await send(copy(file, more=True))
        others = [secret.open("rb") for _ in range(8)]
        over.append(True)
        await anyio.sleep(0.3)
        for other in others:
            other.close()

    net.serve(app)
    client = slow_client(net)
    stream = client.open("GET", "/")
    eventually(lambda: over)
    client.wait(lambda: client.closed or client.responses[stream].over, "the end")
    response = client.responses[stream]
    assert len(response.body) < 4 * SIZE
    assert not response.ended
    assert bytes(response.body) == (path.read_bytes() * 4)[: len(response.body)]


@pytest.mark.parametrize("announced", [True, False])
def test_a_file_that_shrinks_breaks_the_response_off(net, path, announced, eventually, caplog):
    errors = []

    async def app(scope, receive, send):
        if scope["type"] != "http":
            raise RuntimeError("nothing to start")
        with path.open("rb") as file:
            await send(start(*([length(4 * SIZE)] if announced else [])))
            try:
                for more in (True, True, True, False):
                    await send(copy(file, 0, SIZE, more))
            except Exception as error:
                errors.append(error)
                raise

    net.serve(app)
    client = slow_client(net)
    stream = client.open("GET", "/")
    client.wait(lambda: client.responses[stream].headers, "the head")
    os.truncate(path, 1000)
    if not announced and not whole(net):
        return  # a part that is read ends where the file does: nobody has said more
    client.wait(lambda: client.closed or client.responses[stream].over, "the end")
    eventually(lambda: errors)
    assert "shorter" in str(errors[0])
    assert not isinstance(errors[0], OSError)  # which would mean that the client is gone
    response = client.responses[stream]
    assert not response.ended
    assert len(response.body) < 4 * SIZE


@pytest.mark.on("asyncio", "uvloop")
def test_only_what_has_left_is_in_the_access_log(net, path, eventually, caplog):
    caplog.set_level(logging.INFO, "tricorn.access")
    net.serve(app_of(path, lambda file: copy(file), fields=[length(SIZE)]), access_log=True)
    client = slow_client(net)
    stream = client.open("GET", "/")
    client.wait(lambda: client.responses[stream].headers, "the head")
    client.close()

    def logged():
        return [record.size for record in caplog.records if record.name == "tricorn.access"]

    eventually(logged)
    assert logged()[0] < SIZE
    assert bytes(net.connect().request("GET", "/").body) == path.read_bytes()
    eventually(lambda: logged()[1:] == [SIZE])


@pytest.mark.parametrize("target", ["/path", "/file"])
def test_a_file_that_cannot_be_read_is_no_disconnect(net, path, target, caplog):
    """Which an ``OSError`` of ``send`` would be, and pass in silence."""
    errors = []

    async def app(scope, receive, send):
        await send(start(length(SIZE)))
        try:
            if target == "/path":
                await send({"type": "http.response.pathsend", "path": str(path.with_name("none"))})
            await send({"type": "http.response.zerocopysend", "file": -1, "offset": 0, "count": SIZE})
        except Exception as error:
            errors.append(error)
            raise

    assert net.client(app).request("GET", target).status == 500
    assert not isinstance(errors[0], OSError)
    assert "the file cannot be sent" in caplog.text


def test_a_file_that_grows_is_sent_as_announced(net, path):
    content = path.read_bytes()

    async def app(scope, receive, send):
        await send(start(length(SIZE)))
        with path.open("ab") as file:
            file.write(b"more")
        if scope["path"] == "/path":
            await send({"type": "http.response.pathsend", "path": str(path)})
            return
        with path.open("rb") as file:
            await send(copy(file, 0, SIZE))

    client = net.client(app)
    for target in ("/", "/path"):
        assert bytes(client.request("GET", target).body) == content


@pytest.mark.over("h1", "h2")
def test_more_than_was_announced_is_the_application_s_error(net, path, eventually, caplog):
    client = net.client(app_of(path, lambda file: copy(file, 0, 11), fields=[length(10)]))
    assert client.request("GET", "/").status == 500
    assert "longer than its content-length" in caplog.text
