"""The types that every part of the framework and every middleware speaks of.

Rules of this module: types and one small value, no behaviour that touches a request.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Concatenate, ParamSpec, TypeAlias

from tricorn_transports.abc import ASGIApp, Message, Receive, Scope, Send, WSGIApp

__all__ = [
    "ASGIApp",
    "Encoder",
    "ExceptionHandler",
    "ExceptionHandlers",
    "Handler",
    "Message",
    "Middleware",
    "MiddlewareLike",
    "Receive",
    "Scope",
    "Send",
    "WSGIApp",
]

P = ParamSpec("P")

#: A route's handler: ``async def`` or ``def``; its parameters are named by the route (see ``routing.handler``).
Handler: TypeAlias = Callable[..., object]

#: Answers an exception: ``(request, exception)`` to anything that a route's handler may return.
#: The exception's own class stands in the key of ``exception_handlers``, which no type can connect: hence ``Any``.
ExceptionHandler: TypeAlias = Callable[[Any, Any], "object | Awaitable[object]"]
ExceptionHandlers: TypeAlias = Mapping["int | type[BaseException]", ExceptionHandler]

#: Makes JSON text of a value.
Encoder: TypeAlias = Callable[[object], "str | bytes"]


class Middleware:
    """An ASGI middleware with its arguments, for the ``middleware=`` of an app, a mount or a route.

    Args:
        factory: Called as ``factory(app, *args, **kwargs)``; it returns the ASGI application that wraps ``app``.
    """

    __slots__ = ("args", "factory", "kwargs")

    def __init__(self, factory: Callable[Concatenate[ASGIApp, P], ASGIApp], *args: P.args, **kwargs: P.kwargs) -> None:
        self.factory: Callable[..., ASGIApp] = factory
        self.args: tuple[object, ...] = args
        self.kwargs: dict[str, object] = kwargs

    @staticmethod
    def of(layer: MiddlewareLike) -> Middleware:
        """``layer``, a factory alone being one without arguments.

        Raises:
            TypeError: It is neither.
        """
        if isinstance(layer, Middleware):
            return layer
        if not callable(layer):
            raise TypeError(f"middleware {layer!r} is neither a Middleware nor a factory")
        return Middleware(layer)

    def wrap(self, app: ASGIApp) -> ASGIApp:
        """The middleware around ``app``."""
        return self.factory(app, *self.args, **self.kwargs)

    def __repr__(self) -> str:
        arguments = [repr(value) for value in self.args] + [f"{name}={value!r}" for name, value in self.kwargs.items()]
        return f"Middleware({', '.join([getattr(self.factory, '__name__', repr(self.factory)), *arguments])})"


#: What every ``middleware=`` takes: with arguments, or a factory that needs none.
MiddlewareLike: TypeAlias = Middleware | Callable[[ASGIApp], ASGIApp]
