"""How a handler is called: looked at once, when its route is made.

Rules of this module: all reflection happens in ``HandlerPlan``'s constructor; a request costs one call of
``plan.call``. A signature that can never be served is an error there, in one line that names handler and parameter.
"""

from __future__ import annotations

import dis
import inspect
from collections.abc import Callable, Mapping
from enum import Enum, auto
from functools import partial
from types import NoneType, UnionType
from typing import Annotated, Any, NewType, Union, cast, get_args, get_origin

from tricorn.concurrency import is_coroutine_callable
from tricorn.types import Handler

Call = Callable[[Any, Mapping[str, Any]], object]


class Kind(Enum):
    """What a call of the handler gives, and where it may be made."""

    COROUTINE = auto()
    """A coroutine, to be awaited."""
    GENERATOR = auto()
    """A generator, sync or async: calling it runs nothing yet."""
    THREAD = auto()
    """Anything; it may block."""


class HandlerPlan:
    """What is known of a handler.

    Args:
        handler: The function or callable object.
        subject: The class of what it is given by name or annotation (``Request`` or ``WebSocket``).
        subject_names: The names that mean it without an annotation.

    Attributes:
        kind: How it is called.
        may_suspend: False for a coroutine or generator without any ``await``, which therefore can never be waiting.
        wants_subject: Whether it takes the request (the WebSocket).
        parameters: Its other parameters without a default, with their annotations: they must be path parameters.
        optional: Those with a default; they are given when there is a path parameter of that name.
        call: ``call(subject, path_params)``.

    Raises:
        TypeError: It is not callable, or has a parameter that cannot be given.
    """

    __slots__ = ("call", "handler", "kind", "may_suspend", "name", "optional", "parameters", "wants_subject")

    def __init__(self, handler: Handler, subject: type, subject_names: tuple[str, ...]) -> None:
        if not callable(handler) or isinstance(handler, type):
            raise TypeError(f"handler {handler!r} is not a function")
        self.handler: Handler = handler
        self.name: str = handler_name(handler)
        self.kind: Kind = _kind(handler)
        self.may_suspend: bool = _may_suspend(handler)
        signature = inspect.signature(handler)
        own: str | None = None
        self.parameters: dict[str, object] = {}
        self.optional: dict[str, object] = {}
        positional: list[str] = []
        takes_all = False
        for parameter in signature.parameters.values():
            if parameter.kind is parameter.VAR_POSITIONAL:
                continue
            if parameter.kind is parameter.VAR_KEYWORD:
                takes_all = True
                continue
            name = parameter.name
            annotation = _annotation(handler, parameter.annotation)
            if name in subject_names or _means(annotation, subject):
                if own is not None:
                    raise TypeError(f"handler {self.name}(): {own!r} and {name!r} are both the {subject.__name__}")
                own = name
            elif parameter.default is not parameter.empty:
                self.optional[name] = annotation
                continue
            else:
                self.parameters[name] = annotation
            if parameter.kind is parameter.POSITIONAL_ONLY:
                positional.append(name)
        self.wants_subject: bool = own is not None
        self.call: Call = _call(
            handler, own, tuple(self.parameters), tuple(self.optional), tuple(positional), takes_all
        )

    def require(self, given: set[str] | frozenset[str], where: str) -> None:
        """Checks that the path, the mounts and the hosts around it give every parameter.

        Raises:
            TypeError: They do not.
        """
        for name in self.parameters:
            if name not in given:
                raise TypeError(
                    f"handler {self.name}(): parameter {name!r} is not in the path {where!r}, has no default and is "
                    "not the request"
                )


def handler_name(handler: Handler) -> str:
    """The handler's own name, for routes' names and messages."""
    while isinstance(handler, partial):
        handler = handler.func
    name = getattr(handler, "__name__", None)
    return cast("str", name) if name else type(handler).__name__


def _kind(handler: Handler) -> Kind:
    function = handler
    while isinstance(function, partial):
        function = function.func
    if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
        return Kind.GENERATOR
    return Kind.COROUTINE if is_coroutine_callable(handler) else Kind.THREAD


def _may_suspend(handler: Handler) -> bool:
    """Whether a coroutine function's byte code can give control away.

    Every await, ``async for`` and ``async with`` compiles to SEND (Python 3.11 to 3.14). What is not a plain
    function of this kind, or runs on an interpreter without that instruction, is taken to be able to.
    """
    if "SEND" not in dis.opmap or not inspect.isfunction(handler):
        return True
    return any(instruction.opname == "SEND" for instruction in dis.get_instructions(handler))


def _annotation(handler: Handler, annotation: object) -> object:
    """What an annotation means, also where it is written as a string (``from __future__ import annotations``).

    A name that cannot be looked up now, because it is imported for type checkers only, stays a string.
    """
    if not isinstance(annotation, str):
        return _meaning(annotation)
    function = inspect.unwrap(handler)
    while isinstance(function, partial):
        function = function.func
    namespace = getattr(function, "__globals__", None) or getattr(type(function).__call__, "__globals__", {})
    try:
        return _meaning(eval(annotation, namespace))
    except Exception:  # noqa: BLE001  any expression may stand there, and it may fail in any way
        return annotation


def _meaning(annotation: object) -> object:
    """The type in ``Annotated[T, ...]``, ``T | None`` and a ``NewType``; ``None`` for no annotation and ``Any``."""
    while True:
        origin = get_origin(annotation)
        if origin is Annotated:
            annotation = get_args(annotation)[0]
        elif origin is UnionType or origin is Union:
            members = [member for member in get_args(annotation) if member is not NoneType]
            if len(members) != 1:
                return annotation
            annotation = members[0]
        elif isinstance(annotation, NewType):
            annotation = annotation.__supertype__
        else:
            return None if annotation in (inspect.Parameter.empty, Any) else annotation


def _means(annotation: object, subject: type) -> bool:
    if isinstance(annotation, str):
        return annotation.rpartition(".")[2] == subject.__name__
    return isinstance(annotation, type) and issubclass(annotation, subject)


def _call(
    handler: Handler,
    own: str | None,
    names: tuple[str, ...],
    optional: tuple[str, ...],
    positional: tuple[str, ...],
    takes_all: bool,
) -> Call:
    """The quickest way of calling that the signature allows."""
    if optional or positional or takes_all:
        possible = names + optional

        def call_general(subject: object, params: Mapping[str, Any]) -> object:
            arguments = dict(params) if takes_all else {name: params[name] for name in possible if name in params}
            if own is not None:
                arguments[own] = subject
            return handler(*[arguments.pop(name) for name in positional], **arguments)

        return call_general
    if not names:
        if own is None:
            return lambda subject, params: handler()
        first = next(iter(inspect.signature(handler).parameters.values()))
        if first.name == own and first.kind is first.POSITIONAL_OR_KEYWORD:
            return lambda subject, params: handler(subject)
        return lambda subject, params: handler(**{own: subject})
    if own is None:
        return lambda subject, params: handler(**{name: params[name] for name in names})
    return lambda subject, params: handler(**{own: subject}, **{name: params[name] for name in names})
