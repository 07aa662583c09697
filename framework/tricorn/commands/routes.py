"""``tricorn routes module:app``: what an application answers to.

Rules of this module: it reads the application's routers and calls nothing of it. The object ``command`` has what the
command line wants of an entry point: ``name``, ``help``, ``configure(parser)`` and ``run(args)``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from tricorn.routing import AnyRoute, Mount, Route, Router, WebSocketRoute
from tricorn.types import ASGIApp


class Row(NamedTuple):
    """One line of the table."""

    methods: str
    path: str
    name: str
    handler: str


HEADINGS = Row("METHODS", "PATH", "NAME", "HANDLER")


def rows(routes: Iterable[AnyRoute], *, path: str = "", name: str = "") -> Iterator[Row]:
    """The routes below, in the order in which they are tried.

    Args:
        path: What stands before every path: the mounts, and the host in front of them.
        name: What stands before every name.
    """
    for route in routes:
        if isinstance(route, Route):
            methods = route.methods | ({"HEAD"} if "GET" in route.methods else set())
            yield Row(",".join(sorted(methods)), path + route.path, name + route.name, _describe(route.handler))
        elif isinstance(route, WebSocketRoute):
            yield Row("WEBSOCKET", path + route.path, name + route.name, _describe(route.handler))
        else:
            below = path + route.path if isinstance(route, Mount) else f"//{route.host}{path}"
            prefix = f"{name}{route.name}:" if route.name else name
            router = route.router
            if isinstance(router, Router):
                yield from rows(router.routes, path=below, name=prefix)
            else:
                yield Row("*", f"{below}/*", prefix.rstrip(":"), _describe(route.inner))


def _describe(thing: object) -> str:
    """``module.name`` of a function or class, else of the object's class."""
    if not hasattr(thing, "__qualname__"):
        thing = type(thing)
    return f"{thing.__module__}.{getattr(thing, '__qualname__', repr(thing))}"


def table(lines: Iterable[Row]) -> str:
    """The rows under their headings, in columns."""
    body = [HEADINGS, *lines]
    widths = [max(len(row[column]) for row in body) for column in range(len(HEADINGS))]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in body)


class RoutesCommand:
    """``tricorn routes``."""

    name = "routes"
    help = "list the routes of a Tricorn application"

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Declares the command's arguments."""
        parser.add_argument("app", help="module:attribute or module:factory()")

    def run(self, args: argparse.Namespace) -> int:
        """Prints the table. Returns 1 for an application that is not Tricorn's."""
        from tricorn_transports.loading import load_app

        app: ASGIApp = load_app(args.app)
        router = getattr(app, "router", app)
        if not isinstance(router, Router):
            print(f"routes: {args.app} is not a Tricorn application", file=sys.stderr)
            return 1
        print(table(rows(router.routes)))
        return 0


command: RoutesCommand = RoutesCommand()
