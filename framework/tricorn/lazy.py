"""Names of a package that are imported when they are first used.

A package says in a table where its public names are, and tells type checkers the same under ``TYPE_CHECKING``. So
``import tricorn`` costs next to nothing, and an application that needs one name of a package does not load all of it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module


def lazy_names(package: str, modules: Mapping[str, str]) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """A package's ``__getattr__`` and ``__dir__`` (PEP 562).

    Args:
        package: Its ``__name__``.
        modules: For each module the public names that are found there, separated by spaces. None of them may be the
            name of a module in the package: that would be found in its place once it is imported.
    """
    where = {name: module for module, names in modules.items() for name in names.split()}

    def get(name: str) -> object:
        module = where.get(name)
        if module is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(module), name)
        setattr(sys.modules[package], name, value)
        return value

    def names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *where})

    return get, names
