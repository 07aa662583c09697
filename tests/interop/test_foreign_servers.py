"""The tour on other people's servers, and on ours: one list of checks, with libcurl."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.interop

PYTHON = (sys.executable, "-m")
BIND = "127.0.0.1:{port}"
ASGI_SERVERS = {
    "uvicorn": [*PYTHON, "uvicorn", "examples.tour:app", "--port", "{port}", "--lifespan", "on"],
    "hypercorn": [*PYTHON, "hypercorn", "examples.tour:app", "--bind", BIND],
    "granian": [*PYTHON, "granian", "--interface", "asgi", "--port", "{port}", "examples.tour:app"],
    "tricorn": [*PYTHON, "tricorn_transports", "run", "examples.tour:app", "--bind", BIND],
}
WSGI_SERVERS = {
    "gunicorn": [*PYTHON, "gunicorn", "examples.tour:wsgi", "--bind", BIND, "--threads", "4"],
}


@pytest.mark.parametrize("name", ASGI_SERVERS)
def test_tour_on_an_asgi_server(
    name: str, launch: Callable[..., Any], make_client: Callable[..., Any], tour_checks: Any
) -> None:
    server = launch(ASGI_SERVERS[name])
    client = make_client("h1", server.port, "http")
    tour_checks.check_tour(client)
    tour_checks.check_clock(client)


@pytest.mark.parametrize("name", WSGI_SERVERS)
def test_tour_on_a_wsgi_server(
    name: str, launch: Callable[..., Any], make_client: Callable[..., Any], tour_checks: Any
) -> None:
    server = launch(WSGI_SERVERS[name])
    client = make_client("h1", server.port, "http")
    tour_checks.check_tour(client)
    tour_checks.check_clock(client)
