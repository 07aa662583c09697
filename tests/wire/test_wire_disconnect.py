"""Clients that leave: how applications hear of it, and how a client that only closed its sending side is answered."""

from __future__ import annotations

import anyio
import pytest

from tricorn_transports.config import Timeouts


def start(status=200, headers=(), **more):
    return {"type": "http.response.start", "status": status, "headers": list(headers), **more}


def body(data=b"", more=False):
    return {"type": "http.response.body", "body": data, "more_body": more}


def leave(client, stream, how):
    if how == "stream":
        client.reset(stream)
        client.poll(0)
    else:
        client.close()


HOWS = pytest.mark.parametrize("how", ["stream", "connection"])


def start_and_leave(net, app, how, begun, eventually, *, method="GET", own=False):
    """Opens a request, and leaves as soon as the application runs. A FIN counts as leaving after a short grace."""
    if own:
        net.serve(app, timeouts=Timeouts(half_close_grace=0.1))
        client = net.connect()
    else:
        client = net.client(app)
    stream = client.open(method, "/", end=method == "GET")
    eventually(lambda: begun or client.poll(0))
    leave(client, stream, how)
    return client


@HOWS
def test_receive_tells_of_it(net, how, eventually):
    begun, heard = [], []

    async def app(scope, receive, send):
        if scope["type"] == "http":
            await receive()
            begun.append(True)
            heard.append(await receive())

    start_and_leave(net, app, how, begun, eventually, own=True)
    eventually(lambda: heard == [{"type": "http.disconnect"}])


@HOWS
def test_receive_tells_of_it_within_the_body(net, how, eventually):
    begun, heard = [], []

    async def app(scope, receive, send):
        if scope["type"] == "http":
            begun.append(True)
            heard.append(await receive())

    start_and_leave(net, app, how, begun, eventually, method="POST", own=True)
    eventually(lambda: heard == [{"type": "http.disconnect"}])


@HOWS
def test_the_disconnect_extension_calls_back_once(net, how, eventually):
    begun, calls, late = [], [], []

    async def app(scope, receive, send):
        if scope["type"] == "http":
            register = scope["extensions"]["tricorn.disconnect"]["register"]
            register(lambda: calls.append(1))
            register(lambda: calls.append(2))
            begun.append(True)
            while not calls:
                await anyio.sleep(0.005)
            register(lambda: late.append(3))  # at once, since it has happened

    start_and_leave(net, app, how, begun, eventually, own=True)
    eventually(lambda: late)
    assert (calls, late) == ([1, 2], [3])


@HOWS
def test_send_raises_an_oserror_while_it_waits(net, how, eventually, caplog):
    begun, errors = [], []

    async def app(scope, receive, send):
        if scope["type"] == "http":
            await send(start())
            try:
                while True:
                    await send(body(b"x" * 65_536, True))
                    begun.append(True)
            except OSError as error:
                errors.append(error)
                raise

    client = start_and_leave(net, app, how, begun, eventually, own=True)
    eventually(lambda: errors)
    assert type(errors[0]).__name__ == "ClientDisconnected"
    assert client is not None
    # An application that lets it through has not failed.
    assert not [r for r in caplog.records if r.name == "tricorn.server" and r.levelname in ("ERROR", "WARNING")]


@pytest.mark.over("h2", "h2-tls", "h3")
def test_a_reset_stream_leaves_the_connection_alone(net, eventually, answer):
    begun, heard = [], []

    async def app(scope, receive, send):
        if scope["path"] == "/":
            await receive()
            begun.append(True)
            heard.append(await receive())
            with pytest.raises(OSError):
                await send(start())
        else:
            await answer(send, b"alive")

    client = start_and_leave(net, app, "stream", begun, eventually)
    eventually(lambda: heard)
    assert client.request("GET", "/other").body == b"alive"


def test_a_client_that_leaves_after_the_answer_disturbs_nobody(net, answer, caplog, eventually):
    done = []

    async def app(scope, receive, send):
        await answer(send)
        done.append(await receive())

    client = net.client(app)
    assert client.request("GET", "/").body == b"ok"
    client.close()
    eventually(lambda: done)
    assert not [record for record in caplog.records if record.name == "tricorn.server"]


# ------------------------------------------------------------------------------------------------------- half-close


@pytest.mark.over("h1", "h1-tls", "h2", "h2-tls")
def test_a_request_is_answered_after_its_client_closed_its_sending_side(net, until):
    go_on = []

    async def app(scope, receive, send):
        await until(lambda: go_on)
        await send(start())
        for _ in range(20):
            await send(body(b"x" * 10_000, True))
        await send(body(b"end"))

    client = net.client(app)
    stream = client.open("GET", "/")
    if net.version == "2":  # it needs windows for more than this, which a client that is gone cannot give
        client.h2.increment_flow_control_window(1 << 20, stream)
        client.flush()
    client.half_close()
    for _ in range(4):
        client.poll(0.02)
    go_on.append(True)
    response = client.responses[stream]
    client.wait(lambda: response.over, "the end")
    assert (response.ended, len(response.body)) == (True, 200_003)
    client.wait(lambda: client.closed, "the server's end of the connection")


@pytest.mark.over("h1", "h1-tls")
def test_an_upload_is_answered_after_the_half_close(net, read_body, answer):
    async def app(scope, receive, send):
        data, _ = await read_body(receive)
        await answer(send, data)

    client = net.client(app)
    stream = client.open("POST", "/", end=False)
    client.send(stream, b"data", end=True)
    client.half_close()
    assert client.response(stream).body == b"data"


@pytest.mark.over("h1", "h1-tls")
def test_pipelined_requests_are_answered_after_the_half_close(net, answer):
    async def app(scope, receive, send):
        await anyio.sleep(0.02)
        await answer(send, scope["path"].encode())

    client = net.client(app)
    streams = [client.open("GET", f"/{n}") for n in range(4)]
    client.half_close()
    assert [client.response(stream).body for stream in streams] == [b"/0", b"/1", b"/2", b"/3"]
    client.wait(lambda: client.closed, "the server's end of the connection")


@pytest.mark.over("h1", "h1-tls", "h2", "h2-tls")
def test_after_a_grace_the_application_is_told_and_may_still_answer(net, answer, until):
    heard = []

    async def app(scope, receive, send):
        if scope["type"] == "http":
            await receive()
            heard.append(await receive())
            await answer(send, b"late")

    net.serve(app, timeouts=Timeouts(half_close_grace=0.15))
    client = net.connect()
    stream = client.open("GET", "/")
    client.half_close()
    assert client.response(stream).body == b"late"
    assert heard == [{"type": "http.disconnect"}]


@pytest.mark.over("h1", "h1-tls")
def test_a_half_close_within_the_body_is_a_disconnect(net, eventually):
    heard = []

    async def app(scope, receive, send):
        while not heard or heard[-1]["type"] == "http.request":
            heard.append(await receive())

    client = net.client(app)
    stream = client.open("POST", "/", [(b"content-length", b"100")], end=False)
    client.send(stream, b"some")
    eventually(lambda: heard)
    client.half_close()
    eventually(lambda: heard[-1]["type"] == "http.disconnect")


@pytest.mark.over("h2", "h2-tls")
@pytest.mark.parametrize("stalls", ["before", "after"])
def test_after_the_half_close_nobody_waits_for_a_window(net, until, eventually, stalls):
    go_on, errors = [stalls] if stalls == "before" else [], []

    async def app(scope, receive, send):
        await send(start())
        await until(lambda: go_on)
        try:
            for _ in range(100):
                await send(body(b"x" * 10_000, True))
        except OSError as error:
            errors.append(error)

    client = net.client(app)
    stream = client.open("GET", "/")
    client.slow.add(stream)
    if stalls == "before":
        client.wait(lambda: len(client.responses[stream].body) == 65_535, "the window being used up")
    client.half_close()
    go_on.append(True)
    eventually(lambda: errors)  # long before write_timeout, which would hold the response for a minute
