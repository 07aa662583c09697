"""What an import costs: only what is used is loaded, and every public name is where it is said to be."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

PACKAGES = ["tricorn", "tricorn.caching", "tricorn.hints", "tricorn.middleware", "tricorn.response"]

APP = """
import sys
from tricorn import App

app = App(cache="no-cache")

@app.get("/", etag="1")
async def home() -> str:
    return "x"

print(*sys.modules)
"""


def modules_after(source: str) -> set[str]:
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_package_alone_loads_nothing_else() -> None:
    loaded = modules_after("import sys, tricorn; print(*sys.modules)")
    assert {name for name in loaded if name.startswith("tricorn")} == {"tricorn", "tricorn.lazy"}


def test_an_application_loads_nothing_that_it_does_not_use() -> None:
    loaded = modules_after(APP)
    unused = {
        "email", "jinja2", "socket", "ssl", "tricorn.caching.casper", "tricorn.caching.control",
        "tricorn.caching.digest", "tricorn.forms", "tricorn.middleware.compression", "tricorn.response.file",
        "tricorn.static", "tricorn_transports.config", "tricorn_transports.http.structured",
        "tricorn_transports.server",
    }  # fmt: skip
    assert "tricorn.app" in loaded
    assert loaded & unused == set()


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_is_found_and_is_no_module(package: str) -> None:
    module = importlib.import_module(package)
    for name in module.__all__:
        assert type(getattr(module, name)) is not type(module), name
        assert name in dir(module)
    with pytest.raises(AttributeError, match=f"module '{package}' has no attribute 'nothing'"):
        module.nothing
