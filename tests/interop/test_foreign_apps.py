"""Other people's frameworks under `tricorn run`: one list of checks over HTTP/1.1, 2 and 3, with libcurl."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from typing import Any

import pytest
from curl_cffi import CurlMime

pytestmark = pytest.mark.interop

APPS = {
    "starlette": "starlette_app:app",
    "fastapi": "fastapi_app:app",
    "django-asgi": "django_app:asgi",
    "django-wsgi": "django_app:wsgi",
    "flask": "flask_app:app",
}
HAS_LIFESPAN = ("starlette", "fastapi")
PROTOCOLS = ("h1", "h2", "h3")


@pytest.mark.parametrize("name", APPS)
def test_foreign_application(name: str, tricorn_run: Callable[..., Any], make_client: Callable[..., Any]) -> None:
    server = tricorn_run(APPS[name])
    for number, protocol in enumerate(PROTOCOLS, start=1):
        client = make_client(protocol, server.port)
        check_plain(client)
        check_json(client)
        check_form(client)
        check_upload(client)
        check_cookies(client)
        check_stream(client)
        check_error(client)
        if name in HAS_LIFESPAN:
            assert client.get("/state").text == "started"
        check_disconnect(client, expected=number)
    assert server.stop() == 0
    assert "on purpose" in server.output(), "the operator must see the application's error"


def check_plain(client: Any) -> None:
    response = client.get("/plain")
    assert (response.status_code, response.text) == (200, "Hello, world!")
    head = client.request("HEAD", "/plain")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == response.headers["content-type"]
    assert client.get("/nothing-here").status_code == 404


def check_json(client: Any) -> None:
    value = {"name": "Ångström", "values": [1, 2.5, None]}
    assert client.post("/json", json=value).json() == value


def check_form(client: Any) -> None:
    form = CurlMime()
    form.addpart(name="name", data=b"value")
    form.addpart(name="file", filename="notes.txt", data=b"n" * 70_000, content_type="text/plain")
    try:
        assert client.post("/form", multipart=form).json() == {"name": "value", "file": "notes.txt"}
    finally:
        form.close()


def check_upload(client: Any) -> None:
    body = bytes(range(256)) * 4096
    answer = client.post("/upload", data=body, headers={"content-type": "application/octet-stream"}).json()
    assert answer == {"bytes": 1 << 20, "sha256": hashlib.sha256(body).hexdigest()}


def check_cookies(client: Any) -> None:
    values = client.get("/cookies").headers.get_list("set-cookie")
    assert [value.partition(";")[0] for value in values] == ["a=1", "b=2"]


def check_stream(client: Any) -> None:
    assert client.get("/stream").text == "".join(f"part {number}\n" for number in range(5))


def check_error(client: Any) -> None:
    assert client.get("/error").status_code == 500


def check_disconnect(client: Any, *, expected: int) -> None:
    response = client.get("/endless", stream=True)
    received = 0
    for chunk in response.iter_content():
        received += len(chunk)
        if received > 10_000:
            break
    response.close()
    client.close()
    again = type(client)(client.protocol, client.base, client.ca)
    try:
        deadline = time.monotonic() + 15
        while (count := again.get("/disconnects").json()) < expected and time.monotonic() < deadline:
            time.sleep(0.1)
        assert count == expected, "the application did not see that its client left"
    finally:
        again.close()
