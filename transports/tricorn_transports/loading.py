"""Finds the application that ``module:attribute`` names, and makes an ASGI 3 application of it.

Rules of this module: whatever goes wrong becomes a ``ConfigError`` of one line that says where to look; the traceback
of an application's own failure goes to the log ``tricorn.error`` at level debug. Nothing is guessed: an application
whose interface cannot be told from its signature wants ``--interface``.
"""

from __future__ import annotations

import importlib
import inspect
import logging
import os
import sys
import traceback
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import cast

from tricorn_transports.abc import ASGIApp, WSGIApp
from tricorn_transports.config import Interface
from tricorn_transports.errors import ConfigError

_log = logging.getLogger("tricorn.error")

DEFAULT_ATTRIBUTE = "app"


class ApplicationFailed(ConfigError):
    """The application's own code failed while it was imported or made; a change of that code may help."""


def load_app(import_string: str, interface: Interface = "auto") -> ASGIApp:
    """The application, ready to be served.

    Args:
        import_string: ``module``, ``module:attribute``, ``module:attribute.of.it`` or ``module:factory()``; the
            attribute is ``app`` if none is given. The current directory is searched first.
        interface: ``asgi`` or ``wsgi`` where the signature would not tell.

    Raises:
        ConfigError: It cannot be imported or found, or is not an application.
    """
    return adapt(find_app(import_string), interface, import_string)


def find_app(import_string: str) -> object:
    """The object that ``import_string`` names, as it is.

    Raises:
        ConfigError: It cannot be imported or found, or its factory failed.
    """
    module_name, _, attribute = import_string.partition(":")
    attribute = attribute or DEFAULT_ATTRIBUTE
    is_factory = attribute.endswith("()")
    path = attribute.removesuffix("()")
    if not all(name.isidentifier() for name in module_name.split(".")) or "/" in module_name or _is_file(module_name):
        hint = module_name.removesuffix(".py").strip("./").replace("/", ".")
        raise ConfigError(f"app: {import_string!r} is not MODULE:ATTRIBUTE, as in '{hint or 'app'}:{attribute}'")
    if not all(name.isidentifier() for name in path.split(".")):
        raise ConfigError(f"app: {attribute!r} is neither an attribute nor a factory called without arguments")
    target: object = _import(module_name)
    for name in path.split("."):
        target = _attribute(target, name, module_name)
    return _call(target, import_string) if is_factory else target


def adapt(app: object, interface: Interface = "auto", name: str = "app") -> ASGIApp:
    """``app`` as an ASGI 3 application: WSGI ones are put behind the bridge.

    Raises:
        ConfigError: It is not callable, an ASGI 2 application or a factory, or its interface is not to be told.
    """
    if not callable(app):
        raise ConfigError(f"app: {name} is not an application: {type(app).__name__} objects are not callable")
    if interface == "auto":
        interface = detect(app, name)
    if interface == "asgi":
        return cast("ASGIApp", app)
    from tricorn_transports.wsgi import WSGIToASGI

    return WSGIToASGI(cast("WSGIApp", app))


def detect(app: Callable[..., object], name: str = "app") -> Interface:
    """``asgi`` for three parameters, ``wsgi`` for two that are no coroutine function's.

    Raises:
        ConfigError: It is neither.
    """
    if inspect.isclass(app):
        raise ConfigError(f"app: {name} is a class; serve an instance, or make one with '{_as_factory(name)}'")
    call = app if inspect.isroutine(app) else getattr(app, "__call__", app)  # noqa: B004  # the bound method itself
    is_async = inspect.iscoroutinefunction(app) or inspect.iscoroutinefunction(call)
    required, most = _parameters(app, name)
    if required == 3 or (is_async and required <= 3 <= most):
        return "asgi"
    if is_async and most:
        raise ConfigError(f"app: {name} does not take the three arguments of ASGI: scope, receive, send")
    if required <= 2 <= most and required > 0 and most != sys.maxsize:
        return "wsgi"
    if most == 0:
        raise ConfigError(f"app: {name} takes no arguments; if it makes the application, write '{_as_factory(name)}'")
    if most == 1:
        raise ConfigError(
            f"app: {name} takes one argument, as ASGI 2 had it; wrap it with asgiref's guarantee_single_callable"
        )
    raise ConfigError(f"app: the signature of {name} is neither ASGI's nor WSGI's; say --interface asgi or wsgi")


def _parameters(app: Callable[..., object], name: str) -> tuple[int, int]:
    """How many positional arguments it needs and how many it takes."""
    try:
        parameters = inspect.signature(app).parameters.values()
    except (ValueError, TypeError) as error:
        raise ConfigError(f"app: {name} has no signature to be read; say --interface asgi or wsgi") from error
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    required = sum(p.default is p.empty for p in positional)
    is_open = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    return required, sys.maxsize if is_open else len(positional)


def _as_factory(name: str) -> str:
    return f"{name if ':' in name else f'{name}:{DEFAULT_ATTRIBUTE}'}()"


def _is_file(module_name: str) -> bool:
    return module_name.endswith(".py") and Path(module_name).is_file()


def _import(module_name: str) -> ModuleType:
    here = os.getcwd()
    if here not in sys.path:
        sys.path.insert(0, here)
    importlib.invalidate_caches()
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if module_name == missing or module_name.startswith(f"{missing}."):
            parent, _, last = missing.rpartition(".")
            if hasattr(sys.modules.get(parent), last):
                hint = f"; did you mean '{parent}:{last}'?"
            else:
                hint = _did_you_mean(missing, sorted(path.stem for path in Path().glob("*.py")))
            raise ConfigError(f"app: there is no module {missing!r} here{hint}") from error
        raise _application_failed(f"importing {module_name!r}", error) from error
    except (Exception, SystemExit) as error:  # whatever the application's own code raises
        raise _application_failed(f"importing {module_name!r}", error) from error


def _attribute(target: object, name: str, module_name: str) -> object:
    try:
        return getattr(target, name)
    except AttributeError as error:
        known = [each for each in dir(target) if not each.startswith("_")]
        owner = f"module {module_name!r}" if isinstance(target, ModuleType) else f"{type(target).__name__} object"
        raise ConfigError(f"app: the {owner} has no attribute {name!r}{_did_you_mean(name, known)}") from error


def _call(factory: object, import_string: str) -> object:
    if not callable(factory):
        raise ConfigError(f"app: {import_string}: {type(factory).__name__} objects are not callable")
    try:
        made = cast("object", factory())
    except (Exception, SystemExit) as error:  # whatever the application's own code raises
        raise _application_failed(import_string, error) from error
    if inspect.iscoroutine(made):
        made.close()
        raise ConfigError(f"app: {import_string} is a coroutine; a factory is a plain function")
    return made


def _did_you_mean(name: str, known: list[str]) -> str:
    near = get_close_matches(name, known, n=3)
    return f"; did you mean {' or '.join(map(repr, near))}?" if near else ""


def _application_failed(doing: str, error: BaseException) -> ApplicationFailed:
    _log.debug("%s failed", doing, exc_info=error)
    message = " ".join(str(error.msg if isinstance(error, SyntaxError) else error).split())
    what = f"{type(error).__name__}: {message}" if message else type(error).__name__
    return ApplicationFailed(f"app: {doing} failed: {what}{where_raised(error)}")


def where_raised(error: BaseException, *, own_only: bool = False) -> str:
    """`` (file, line N)``: the innermost line that is the application's own rather than a library's.

    Args:
        own_only: Whether a library's line is not better than none, which is ``""``.
    """
    if isinstance(error, SyntaxError) and error.filename:
        return f" ({_short(error.filename)}, line {error.lineno})"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename != __file__]
    frames = [frame for frame in frames if not frame.filename.startswith("<frozen")]
    own = [frame for frame in frames if Path(frame.filename).is_relative_to(os.getcwd())]
    own = [frame for frame in own if "site-packages" not in frame.filename]
    # The frames of importlib come first when nothing of the application's has run.
    last = (own if own_only else own or frames)[-1:]
    return f" ({_short(last[0].filename)}, line {last[0].lineno})" if last else ""


def _short(filename: str) -> str:
    path = Path(filename)
    return str(path.relative_to(os.getcwd())) if path.is_relative_to(os.getcwd()) else filename
