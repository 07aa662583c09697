"""From exceptions to responses: who answers, in which form, and what is raised again."""

from __future__ import annotations

import logging

import pytest

from tricorn.exceptions import ClientDisconnect, HTTPException
from tricorn.middleware.errors import ErrorsMiddleware
from tricorn.response import PlainTextResponse
from tricorn.testing import Client, WebSocketClosed, WebSocketDenied
from tricorn_transports.http.status import status_phrase


def raising(error, *before):
    async def app(scope, receive, send):
        for message in before:
            await send(message)
        raise error

    return app


@pytest.fixture(params=["asyncio", "trio"])
def backend(request):
    return request.param


def client_of(app, handlers=None, *, debug=False, **options):
    wrapped = ErrorsMiddleware(app, debug=debug, handlers=handlers)
    return Client(wrapped, lifespan=False, **options)


def get(error, handlers=None, *, accept="*/*", debug=False, path="/", raises=False):
    """The response; with ``raises`` the exception must have come through to the server too."""
    with client_of(raising(error), handlers, debug=debug) as client:
        if raises:
            with pytest.raises(type(error)):
                client.get(path)
    with client_of(raising(error), handlers, debug=debug, raise_app_exceptions=not raises) as client:
        return client.get(path, headers={"accept": accept})


def test_http_exception_as_text():
    response = get(HTTPException(404, "no such <item>", headers={"X-Why": "gone"}))
    assert (response.status, response.text) == (404, "404 Not Found\nno such <item>\n")
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    assert (response.headers["x-why"], response.headers["vary"]) == ("gone", "Accept")


@pytest.mark.parametrize(
    "accept", ["application/json", "application/json, text/plain, */*", "application/problem+json"]
)
def test_http_exception_as_problem(accept):
    response = get(HTTPException(422, "too short"), accept=accept)
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json() == {
        "type": "about:blank",
        "title": status_phrase(422),
        "status": 422,
        "detail": "too short",
    }


@pytest.mark.parametrize(
    "accept", ["*/*", "text/html,application/xml;q=0.9,*/*;q=0.8", "text/plain, application/json;q=0.5"]
)
def test_others_do_not_get_json(accept):
    assert get(HTTPException(400), accept=accept).text == "400 Bad Request\n"


def test_unhandled_exception_is_a_plain_500_and_raised_again(caplog):
    response = get(KeyError("secret"), raises=True)
    assert (response.status, response.text) == (500, "500 Internal Server Error\n")
    assert caplog.records == []  # whoever serves the application logs what is raised
    assert get(KeyError("secret"), accept="application/json", raises=True).json() == {
        "type": "about:blank",
        "title": "Internal Server Error",
        "status": 500,
    }


class Odd(ValueError):
    pass


class Teapot(HTTPException):
    pass


def handler(text):
    async def answer(request, error):
        return text, 299

    return answer


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (Odd(), "odd"),
        (ValueError(), "value"),
        (UnicodeError(), "value"),
        (Teapot(418), "teapot"),
        (Teapot(419), "teapot"),
        (HTTPException(418), "by status"),
        (HTTPException(404), "any http"),
        (ExceptionGroup("", [ValueError()]), "value"),
    ],
)
def test_most_specific_handler_answers(error, text):
    handlers = {
        Exception: handler("all"),
        ValueError: handler("value"),
        Odd: handler("odd"),
        Teapot: handler("teapot"),
        418: handler("by status"),
        HTTPException: handler("any http"),
    }
    response = get(error, handlers)
    assert (response.status, response.text) == (299, text)


@pytest.mark.parametrize("key", [Exception, 500])
def test_catch_all_answers_and_the_exception_stays_a_failure(key):
    assert get(KeyError(), {key: handler("sorry")}, raises=True).text == "sorry"


def test_catch_all_does_not_see_http_exceptions():
    assert get(HTTPException(404), {Exception: handler("all")}).status == 404


def test_plain_handler_and_its_request(backend):
    def answer(request, error):
        return PlainTextResponse(f"{request.method} {request.path} {error}", 299)

    with client_of(raising(ValueError("v")), {ValueError: answer}, backend=backend) as client:
        assert client.get("/p").text == "GET /p v"


def test_handler_that_fails():
    def fails(request, error):
        raise KeyError("second") from error

    def denies(request, error):
        raise HTTPException(409, "taken")

    with client_of(raising(ValueError()), {ValueError: fails}) as client, pytest.raises(KeyError, match="second"):
        client.get("/")
    with client_of(raising(ValueError()), {ValueError: fails}, raise_app_exceptions=False) as client:
        assert client.get("/").status == 500
    assert get(ValueError(), {ValueError: denies}).text == "409 Conflict\ntaken\n"


START = {"type": "http.response.start", "status": 200, "headers": []}
PART = {"type": "http.response.body", "body": b"x", "more_body": True}


def test_a_begun_response_is_broken_off(backend):
    app = raising(HTTPException(404), START, PART)
    with client_of(app, backend=backend) as client, client.stream("GET", "/") as response:
        assert response.next_part() == b"x"  # it came through before the failure: nothing is buffered
        with pytest.raises(HTTPException):
            response.next_part()
        response.close()
        with pytest.raises(HTTPException):
            client.get("/")


def test_a_client_that_went_away_is_no_failure():
    with client_of(raising(ClientDisconnect(), START, {**PART, "more_body": False})) as client:
        assert client.get("/").text == "x"


def deep(secret):
    raise Odd("<script>alert(1)</script>")


def test_debug_page_for_browsers():
    async def app(scope, receive, send):
        password = "hunter" + "2"
        try:
            deep(password)
        except Odd as error:
            raise KeyError("outer") from error

    with client_of(app, debug=True, raise_app_exceptions=False) as client:
        response = client.get("/p%3Cb%3E", headers={"accept": "text/html,*/*;q=0.8", "x-evil": "<img>"})
    assert response.status == 500
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in response.headers["content-security-policy"]
    for text in ("KeyError", "caused by", "Odd", "raise Odd(&quot;&lt;script&gt;", "/p&lt;b&gt;", "&lt;img&gt;"):
        assert text in response.text
    assert "<script" not in response.text
    assert "hunter2" not in response.text


def test_debug_for_terminals_and_json_clients():
    response = get(Odd("why"), debug=True, raises=True)
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    assert response.text.startswith("Traceback (most recent call last):")
    problem = get(Odd("why"), debug=True, raises=True, accept="application/json").json()
    assert (problem["status"], problem["detail"]) == (500, "Odd: why")
    assert "raise error" in "\n".join(problem["traceback"])


def test_debug_leaves_http_exceptions_alone():
    assert get(HTTPException(404), debug=True).text == "404 Not Found\n"


def test_websocket_handshake_gets_the_response(backend):
    with client_of(raising(HTTPException(401, "who")), backend=backend) as client:
        with pytest.raises(WebSocketDenied) as denied, client.websocket("/"):
            pass
        assert (denied.value.response.status, denied.value.response.text) == (401, "401 Unauthorized\nwho\n")
    with client_of(raising(KeyError())) as client, pytest.raises(KeyError), client.websocket("/"):
        pass


def test_open_websocket_is_closed_with_1011(backend):
    app = raising(KeyError(), {"type": "websocket.accept"})
    with client_of(app, backend=backend, raise_app_exceptions=False) as client, client.websocket("/") as ws:
        with pytest.raises(WebSocketClosed) as closed:
            ws.receive()
        assert closed.value.code == 1011
    with client_of(app) as client, pytest.raises(KeyError), client.websocket("/"):
        pass


def test_lifespan_passes_through(caplog):
    caplog.set_level(logging.DEBUG)
    log = []

    async def app(scope, receive, send):
        log.append(scope["type"])
        log.append((await receive())["type"])
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})

    with Client(ErrorsMiddleware(app)):
        pass
    assert log == ["lifespan", "lifespan.startup"]
