"""The matrix of conditional and range requests with the test client, on every version that it can be."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from tricorn.testing import Client

INTEROP = Path(__file__).parent.parent / "interop"


def load(name):
    spec = importlib.util.spec_from_file_location(name, INTEROP / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(spec.name, module)
    spec.loader.exec_module(module)
    return module


class Answer:
    """A response under the names that the checks use."""

    def __init__(self, response):
        self.status_code, self.headers = response.status, response.headers
        self.content, self.text = response.body, response.body.decode("latin-1")


class AsChecked:
    def __init__(self, client):
        self.client = client

    def request(self, method, path, headers=None, data=None):
        return Answer(self.client.request(method, path, headers=headers, content=data))


def in_between(app):
    """Middleware that does nothing: so responses cannot know that nobody stands between them and the judge."""

    async def pass_on(scope, receive, send):
        async def send_on(message):
            await send(message)

        await app(scope, receive, send_on)

    return pass_on


@pytest.mark.parametrize("middleware", [(), (in_between,)], ids=["direct", "in between"])
@pytest.mark.parametrize("version", ["1.1", "2", "3"])
def test_matrix(version, middleware):
    app, checks = load("apps/caching_app").app, load("caching_checks")
    for layer in middleware:
        app.add_middleware(layer)
    with Client(app, http_version=version) as client:
        checks.check_matrix(AsChecked(client))
        checks.check_changes(AsChecked(client))
