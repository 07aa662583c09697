"""Telling a client early what it will need: server push, 103 Early Hints, ``Link``.

``link`` has a hint as a value, ``settings`` an application's choice, ``cookie`` what a client remembers of pushes, and
``hinter`` does what one request needs of them.
"""

from __future__ import annotations

from tricorn.hints.cookie import PushCookie
from tricorn.hints.link import Hint
from tricorn.hints.settings import Hinting, HintMode

__all__ = ["Hint", "HintMode", "Hinting", "PushCookie"]
