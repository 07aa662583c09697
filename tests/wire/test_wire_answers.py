"""Answers: framing, order, errors, interim responses, trailers and files, the same on every protocol."""

from __future__ import annotations

import os

import pytest


def app_of(*messages):
    async def app(scope, receive, send):
        for message in messages:
            await send(message)

    return app


def start(status=200, headers=(), **more):
    return {"type": "http.response.start", "status": status, "headers": list(headers), **more}


def body(data=b"", more=False):
    return {"type": "http.response.body", "body": data, "more_body": more}


# ------------------------------------------------------------------------------------------------------- the head


def test_a_single_message_gets_its_content_length_and_a_date(net):
    response = net.client(app_of(start(headers=[(b"X-Mixed", b"1")]), body(b"hello"))).request("GET", "/")
    assert (response.status, response.body) == (200, b"hello")
    assert response.header(b"content-length") == b"5"
    assert response.header(b"transfer-encoding") is None
    assert response.header(b"x-mixed") == b"1"
    assert response.header(b"date").endswith(b"GMT")


def test_an_empty_body_has_length_zero(net):
    response = net.client(app_of(start(), body())).request("GET", "/")
    assert (response.header(b"content-length"), response.body) == (b"0", b"")


def test_two_set_cookie_lines_stay_two(net):
    cookies = [(b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")]
    response = net.client(app_of(start(headers=cookies), body())).request("GET", "/")
    assert [line for line in response.headers if line[0] == b"set-cookie"] == cookies


def test_head_has_the_head_of_get_and_no_body(net):
    client = net.client(app_of(start(), body(b"hello")))
    response = client.request("HEAD", "/")
    assert (response.status, response.header(b"content-length"), response.body) == (200, b"5", b"")
    assert client.request("GET", "/").body == b"hello"  # the connection is in step


def test_head_of_a_streamed_body_sends_none_of_it(net):
    client = net.client(app_of(start(), body(b"a" * 1000, True), body(b"b" * 1000)))
    response = client.request("HEAD", "/")
    assert (response.status, response.body) == (200, b"")
    assert response.header(b"content-length") is None
    assert len(client.request("GET", "/").body) == 2000


@pytest.mark.parametrize("status", [204, 304])
def test_204_and_304_have_no_body(net, status):
    client = net.client(app_of(start(status, [(b"etag", b'"x"')]), body(b"not to be seen")))
    for _ in range(2):
        response = client.request("GET", "/")
        assert (response.status, response.body, response.header(b"etag")) == (status, b"", b'"x"')
        assert response.header(b"content-length") is None


@pytest.mark.parametrize("fields", [[], [(b"content-length", b"15")]], ids=["unsaid", "said"])
@pytest.mark.parametrize("parts", [[body(b"not to be seen\n")], [body(b"not to be ", True), body(b"seen\n")]])
@pytest.mark.on("asyncio")
def test_205_has_an_empty_body(net, fields, parts):
    """RFC 9110 section 15.3.6: no content, and the client must know that there is none."""
    client = net.client(app_of(start(205, fields), *parts))
    for method in ("GET", "HEAD", "GET"):
        response = client.request(method, "/")
        assert (response.status, response.body, response.header(b"content-length")) == (205, b"", b"0")


def test_304_keeps_a_content_length_that_the_application_gave(net):
    client = net.client(app_of(start(304, [(b"content-length", b"1234")]), body()))
    response = client.request("GET", "/")
    assert (response.status, response.body, response.header(b"content-length")) == (304, b"", b"1234")


def test_framing_and_connection_fields_are_the_servers(net):
    fields = [(b"transfer-encoding", b"gzip"), (b"keep-alive", b"5"), (b"x-kept", b"1")]
    response = net.client(app_of(start(headers=fields), body(b"abc"))).request("GET", "/")
    assert response.body == b"abc"
    assert response.header(b"keep-alive") is None
    assert response.header(b"transfer-encoding") is None
    assert response.header(b"x-kept") == b"1"


# ------------------------------------------------------------------------------------------------------- the body


def test_a_streamed_body_arrives_as_it_is_sent(net, until):
    go_on = []

    async def app(scope, receive, send):
        await send(start())
        await send(body(b"first", True))
        await until(lambda: go_on)
        await send(body(b"", True))
        await send(body(b"second"))

    client = net.client(app)
    stream = client.open("GET", "/")
    response = client.responses[stream]
    client.wait(lambda: response.body == b"first", "the first part")
    assert not response.ended
    go_on.append(True)
    assert client.response(stream).body == b"firstsecond"
    assert response.header(b"content-length") is None


def test_an_empty_message_flushes_the_head(net, until):
    go_on = []

    async def app(scope, receive, send):
        await send(start(203))
        await send(body(b"", True))
        await until(lambda: go_on)
        await send(body(b"x"))

    client = net.client(app)
    stream = client.open("GET", "/")
    client.wait(lambda: client.responses[stream].status == 203, "the head")
    go_on.append(True)
    assert client.response(stream).body == b"x"


def test_many_requests_run_on_one_connection(net):
    count = [0]

    async def app(scope, receive, send):
        count[0] += 1
        await send(start())
        await send(body(b"%d" % count[0]))

    client = net.client(app)
    assert [client.request("GET", "/").body for _ in range(20)] == [b"%d" % n for n in range(1, 21)]
    assert not client.closed


# ----------------------------------------------------------------------------------------- what applications get wrong


def test_an_exception_before_the_start_is_a_500(net, caplog):
    async def app(scope, receive, send):
        raise ValueError("oh dear")

    client = net.client(app)
    response = client.request("GET", "/path")
    assert (response.status, response.ended) == (500, True)
    assert b"oh dear" not in response.body
    errors = [record for record in caplog.records if record.name == "tricorn.server"]
    assert len(errors) == 1
    assert "GET /path" in errors[0].getMessage()
    assert errors[0].exc_info is not None
    assert client.request("GET", "/path").status == 500  # and the connection lives


def test_an_exception_while_the_head_is_held_is_a_500(net):
    async def app(scope, receive, send):
        await send(start())
        raise ValueError

    assert net.client(app).request("GET", "/").status == 500


def test_an_exception_within_the_body_cuts_it_off_visibly(net, caplog, until):
    go_on = []

    async def app(scope, receive, send):
        await send(start())
        await send(body(b"half", True))
        await until(lambda: go_on)
        raise ValueError

    client = net.client(app)
    stream = client.open("GET", "/")
    client.wait(lambda: client.responses[stream].body == b"half", "the first half")
    go_on.append(True)
    response = client.response(stream)
    assert (response.status, response.ended) == (200, False)
    assert response.reset == {"1": -1, "2": 2, "3": 0x102}[net.version]  # INTERNAL_ERROR, H3_INTERNAL_ERROR
    assert len([record for record in caplog.records if record.name == "tricorn.server"]) == 1


def test_an_exception_after_the_end_is_only_logged(net, caplog, eventually):
    async def app(scope, receive, send):
        await send(start())
        await send(body(b"whole"))
        raise ValueError("late")

    client = net.client(app)
    assert client.request("GET", "/").body == b"whole"
    eventually(lambda: [r for r in caplog.records if r.name == "tricorn.server" and r.exc_info])


def test_returning_without_an_answer_is_a_500(net, caplog):
    async def app(scope, receive, send):
        return

    assert net.client(app).request("GET", "/").status == 500
    assert "returned before" in caplog.text


def test_returning_within_the_body_cuts_it_off(net):
    response = net.client(app_of(start(), body(b"half", True))).request("GET", "/")
    assert response.reset is not None
    assert not response.ended


def test_wrong_orders_raise_in_the_application_and_are_a_500(net):
    for messages in (
        [body(b"x")],
        [start(), start()],
        [start(), {"type": "http.response.trailers", "headers": []}],
        [{"type": "http.response.nonsense"}],
    ):
        response = net.client(app_of(*messages)).request("GET", "/")
        assert response.status == 500, messages


def test_a_message_after_the_end_raises_and_the_answer_stands(net, caplog, eventually):
    client = net.client(app_of(start(), body(b"whole"), body(b"more")))
    response = client.request("GET", "/")
    assert (response.ended, response.body) == (True, b"whole")
    eventually(lambda: "was sent where nothing more was expected" in caplog.text)


@pytest.mark.parametrize(
    "head",
    [
        start(headers=[(b"x-a", b"1\r\nx-evil: 1")]),
        start(headers=[(b"x-a", b"1\nx-evil: 1")]),
        start(headers=[(b"x-a", b"\x00")]),
        start(headers=[(b"x a", b"1")]),
        start(headers=[(b"", b"1")]),
        start(headers=[(b":status", b"200")]),
        start(headers=[("x-a", "1")]),
        start(headers=[(b"content-length", b"five")]),
        start(headers=[(b"content-length", b"1"), (b"content-length", b"2")]),
        start(status=199),
        start(status="200"),
    ],
    ids=repr,
)
@pytest.mark.on("asyncio")
def test_a_head_that_is_wrong_is_a_500(net, head):
    response = net.client(app_of(head, body(b"x"))).request("GET", "/")
    assert response.status == 500
    assert response.header(b"x-evil") is None


def test_a_body_longer_than_announced_raises_before_any_of_it_is_sent(net, eventually):
    errors = []

    async def app(scope, receive, send):
        await send(start(headers=[(b"content-length", b"3")]))
        try:
            await send(body(b"four"))
        except Exception as error:
            errors.append(error)
            raise

    assert net.client(app).request("GET", "/").status == 500
    assert "longer than its content-length" in str(errors[0])


def test_a_body_that_goes_past_its_length_is_cut_off(net):
    head = start(headers=[(b"content-length", b"6")])
    response = net.client(app_of(head, body(b"four", True), body(b"more"))).request("GET", "/")
    assert response.reset is not None
    assert not response.ended


def test_a_body_shorter_than_announced_is_cut_off(net):
    head = start(headers=[(b"content-length", b"10")])
    response = net.client(app_of(head, body(b"four", True), body(b""))).request("GET", "/")
    assert response.reset is not None
    assert not response.ended


# --------------------------------------------------------------------------------------- 103, trailers, pushes, files


@pytest.mark.parametrize("after", ["the head", "bytes of the body"])
def test_early_hints_after_the_head_come_before_it_or_not_at_all(net, after):
    """ASGI has them after the start message; what has left cannot be hinted for."""
    hint = {"type": "http.response.early_hint", "links": [b"</a.css>; rel=preload"]}
    before = [start()] if after == "the head" else [start(), body(b"o", True)]
    response = net.client(app_of(*before, hint, body(b"k"))).request("GET", "/")
    assert (response.status, response.ended) == (200, True)
    assert response.informational == ([(103, [(b"link", b"</a.css>; rel=preload")])] if after == "the head" else [])


def test_early_hints_come_before_the_answer(net, until):
    go_on = []

    async def app(scope, receive, send):
        await send({"type": "http.response.early_hint", "links": [b"</a.css>; rel=preload", b"</b.js>; rel=preload"]})
        await until(lambda: go_on)
        await send(start())
        await send(body(b"ok"))

    client = net.client(app)
    stream = client.open("GET", "/")
    response = client.responses[stream]
    client.wait(lambda: response.informational, "the 103")
    links = [(b"link", b"</a.css>; rel=preload"), (b"link", b"</b.js>; rel=preload")]
    assert response.informational == [(103, links)]
    go_on.append(True)
    assert client.response(stream).body == b"ok"


def test_response_trailers(net):
    client = net.client(
        app_of(
            start(headers=[(b"trailer", b"x-sum")], trailers=True),
            body(b"data", True),
            body(b"more"),
            {"type": "http.response.trailers", "headers": [(b"X-Sum", b"1")], "more_trailers": True},
            {"type": "http.response.trailers", "headers": [(b"x-end", b"2")]},
        )
    )
    for _ in range(2):
        response = client.request("GET", "/", [(b"te", b"trailers")])
        assert (response.body, response.ended) == (b"datamore", True)
        assert response.trailers == [(b"x-sum", b"1"), (b"x-end", b"2")]


@pytest.mark.parametrize(
    "line", [(b"x", b"a\r\nb: c"), (b"Content-Length", b"4"), (b"transfer-encoding", b"chunked"), (b"te", b"trailers")]
)
def test_trailers_that_are_wrong_cut_the_answer_off(net, line):
    """What frames a message has no place behind it (RFC 9110 section 6.5.1): others could be led astray by it."""
    bad = {"type": "http.response.trailers", "headers": [line]}
    response = net.client(app_of(start(trailers=True), body(b"data", True), body(), bad)).request("GET", "/")
    assert response.trailers is None
    assert response.reset is not None


@pytest.mark.over("h2", "h2-tls")
def test_a_push_is_a_request_of_its_own(net):
    scopes = {}

    async def app(scope, receive, send):
        scopes[scope["path"]] = scope
        assert (await receive())["more_body"] is False
        if scope["path"] == "/":
            assert "http.response.push" in scope["extensions"]
            await send({"type": "http.response.push", "path": "/style.css?v=1", "headers": [(b"accept", b"text/css")]})
        await send(start())
        await send(body(scope["path"].encode()))

    client = net.client(app, push=True)
    stream = client.open("GET", "/")
    assert client.response(stream).body == b"/"
    [(pushed, fields)] = client.responses[stream].pushed
    assert (b":path", b"/style.css?v=1") in fields
    assert (b"accept", b"text/css") in fields
    assert client.response(pushed).body == b"/style.css"
    assert scopes["/style.css"]["query_string"] == b"v=1"
    assert dict(scopes["/style.css"]["headers"])[b"host"] == client.host


@pytest.mark.over("h2")
def test_a_client_that_takes_no_pushes_gets_none(net):
    push = {"type": "http.response.push", "path": "/style.css", "headers": []}
    client = net.client(app_of(push, start(), body(b"ok")))
    stream = client.open("GET", "/")
    assert client.response(stream).body == b"ok"
    assert client.responses[stream].pushed == []


@pytest.fixture(params=[0, 100, 3 << 20], ids=["empty", "small", "large"])
def file(request, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(os.urandom(request.param))
    return path


def test_pathsend(net, file):
    client = net.client(app_of(start(), {"type": "http.response.pathsend", "path": str(file)}))
    content = file.read_bytes()
    response = client.request("GET", "/")
    assert bytes(response.body) == content
    assert response.header(b"content-length") == b"%d" % len(content)
    response = client.request("HEAD", "/")
    assert (response.body, response.header(b"content-length")) == (b"", b"%d" % len(content))
    assert client.request("GET", "/").ended


def test_pathsend_of_a_file_that_is_not_there_is_a_500(net, tmp_path):
    path = str(tmp_path / "none")
    assert (
        net.client(app_of(start(), {"type": "http.response.pathsend", "path": path})).request("GET", "/").status == 500
    )


def test_zerocopysend(net, file):
    content = file.read_bytes()
    half = len(content) // 2

    async def app(scope, receive, send):
        with open(file, "rb") as opened:
            await send(start())
            await send(body(b"<", True))
            message = {"type": "http.response.zerocopysend", "file": opened.fileno()}
            await send({**message, "offset": half, "count": len(content) - half, "more_body": True})
            opened.seek(0)
            await send({**message, "count": half})

    assert bytes(net.client(app).request("GET", "/").body) == b"<" + content[half:] + content[:half]
