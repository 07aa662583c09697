"""From a request's path to the names below a directory, and everything that is refused on the way.

Rules of this module: pure; nothing here touches the file system, and nothing that it lets through can lead out of the
directory on any system that we know, even where two names are one file: on Windows, a device's name with any suffix, a
name with dots or spaces behind it, or a stream of a file. What is refused is refused everywhere, so that a site that
works on one machine works on the others.
"""

from __future__ import annotations

import re
from typing import Final

#: Longer than any path that a file system takes, in characters.
MAX_PATH: Final = 4096

_DEVICES = {"con", "prn", "aux", "nul", "conin$", "conout$", "clock$"} | {
    f"{port}{digit}" for port in ("com", "lpt") for digit in "0123456789\u00b9\u00b2\u00b3"
}
#: Control characters, what separates in one system or another (a drive's letter and a stream have a colon), and what
#: no UTF-8 decodes to: a slash that was encoded, a byte that is no text.
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f\\/:\ud800-\udfff\ufffd]")
#: Encoded twice. Nobody names a file like this, and whoever decodes once more reads another name.
_ENCODED = re.compile(r"%[0-9A-Fa-f]{2}")


def names_of(text: str, *, hidden: bool = False) -> tuple[str, ...] | None:
    """The names that a path is made of, or ``None`` if it is refused.

    Args:
        text: A path in text form (see ``tricorn.routing.pattern``): decoded once, encoded slashes marked.
        hidden: Whether names that begin with a dot are let through; ``.`` and ``..`` never are.

    Returns:
        No names for the directory itself. A last name that is empty stands for a slash at the end.
    """
    if len(text) > MAX_PATH:
        return None
    names = text.removeprefix("/").split("/")
    if not names[0] and len(names) == 1:
        return ()
    *directories, last = names
    if not all(is_allowed(name, hidden=hidden) for name in directories):
        return None
    return tuple(names) if not last or is_allowed(last, hidden=hidden) else None


def is_allowed(name: str, *, hidden: bool = False) -> bool:
    """Whether a name is one that a file may be asked for by."""
    return (
        name not in ("", ".", "..")
        and (hidden or name[0] != ".")
        and name[-1] not in ". "
        and _FORBIDDEN.search(name) is None
        and _ENCODED.search(name) is None
        and name.partition(".")[0].rstrip(" ").lower() not in _DEVICES
    )
