"""Conditional and range requests over the wire, with libcurl: our server on three protocols, and a foreign one."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from curl_cffi.requests.exceptions import RequestException

pytestmark = pytest.mark.interop


@pytest.fixture(scope="session")
def checks() -> ModuleType:
    """The list of checks (tests are imported by path, so they cannot import it)."""
    spec = importlib.util.spec_from_file_location("caching_checks", Path(__file__).parent / "caching_checks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("protocol", ["h1", "h2", "h3"])
def test_over_our_server(
    protocol: str, tricorn_run: Callable[..., Any], make_client: Callable[..., Any], checks: Any
) -> None:
    client = make_client(protocol, tricorn_run("caching_app:app").port)
    checks.check_matrix(client)
    checks.check_changes(client)


@pytest.mark.parametrize("protocol", ["h1", "h2", "h3"])
def test_a_file_that_shrinks_breaks_the_response_off(
    protocol: str, tricorn_run: Callable[..., Any], make_client: Callable[..., Any]
) -> None:
    client = make_client(protocol, tricorn_run("caching_app:app").port)
    with pytest.raises(RequestException):
        client.request("GET", "/shrinking", headers={"range": "bytes=5000-40000"})
    assert client.request("HEAD", "/shrinking").status_code == 200


def test_over_uvicorn(launch: Callable[..., Any], make_client: Callable[..., Any], checks: Any) -> None:
    command = [sys.executable, "-m", "uvicorn", "caching_app:app", "--port", "{port}", "--lifespan", "on"]
    client = make_client("h1", launch(command).port, "http")
    checks.check_matrix(client)
    checks.check_changes(client)
