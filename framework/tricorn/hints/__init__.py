"""Telling a client early what it will need: server push, 103 Early Hints, ``Link``.

``link`` has a hint as a value, ``settings`` an application's choice, ``cookie`` what a client remembers of pushes, and
``hinter`` does what one request needs of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tricorn.lazy import lazy_names

if TYPE_CHECKING:
    from tricorn.hints.cookie import PushCookie
    from tricorn.hints.link import Hint
    from tricorn.hints.settings import Hinting, HintMode

__all__ = ["Hint", "HintMode", "Hinting", "PushCookie"]

_MODULES = {
    "tricorn.hints.cookie": "PushCookie",
    "tricorn.hints.link": "Hint",
    "tricorn.hints.settings": "Hinting HintMode",
}

__getattr__, __dir__ = lazy_names(__name__, _MODULES)
