"""Files below a directory, found and opened safely.

Rules of this module: everything here asks the file system and may block. A path is looked at before it is opened:
opening a device can do things, and opening a FIFO waits for somebody. Only regular files are opened, and never through
a symbolic link that is not settled: unless links are followed, what a link leads to must lie below the directory, too,
and each name on the way there is opened for itself, so that a link that was put there since is not followed.
What cannot be found, what may not be read and what is something else are all the same to a client: not there.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from errno import EACCES, EINVAL, EISDIR, ELOOP, ENAMETOOLONG, ENOENT, ENOTDIR, ENXIO, EPERM
from io import FileIO
from typing import Final

_ABSENT: Final = frozenset({EACCES, EINVAL, EISDIR, ELOOP, ENAMETOOLONG, ENOENT, ENOTDIR, ENXIO, EPERM})

# Without waiting where somebody has put a FIFO in a file's place since, and through no link.
_FLAGS: Final = os.O_RDONLY | sum(
    getattr(os, name, 0) for name in ("O_CLOEXEC", "O_NOFOLLOW", "O_NONBLOCK", "O_NOCTTY", "O_BINARY")
)
# With O_PATH a directory need not be readable, as long as it may be passed through.
_DIRECTORY: Final = os.O_RDONLY | sum(getattr(os, name, 0) for name in ("O_CLOEXEC", "O_DIRECTORY", "O_PATH"))


@dataclass(frozen=True, slots=True)
class Entry:
    """What stands below the directory under a name, links settled.

    Attributes:
        asked: Its path by the names that it was asked for.
        path: Where it really is.
        root: The directory that ``path`` must not leave; empty if it may be anywhere.
    """

    asked: str
    path: str
    root: str
    info: os.stat_result

    @property
    def is_file(self) -> bool:
        """Whether it is a regular file."""
        return stat.S_ISREG(self.info.st_mode)

    @property
    def is_directory(self) -> bool:
        """Whether it is a directory."""
        return stat.S_ISDIR(self.info.st_mode)


class Folder:
    """A directory whose files may be given away.

    Args:
        directory: It may be a link itself, and lead elsewhere tomorrow.
        follow_symlinks: Whether links below it may lead out of it.

    Raises:
        NotADirectoryError: It is none, or not there.
    """

    def __init__(self, directory: str | os.PathLike[str], *, follow_symlinks: bool = False) -> None:
        self.path: str = os.path.abspath(directory)
        if not os.path.isdir(self.path):
            raise NotADirectoryError(f"static files: {os.fspath(directory)!r} is no directory")
        self.follow_symlinks = follow_symlinks

    def find(self, names: Sequence[str]) -> Entry | None:
        """What these names lead to.

        Args:
            names: Checked; see ``names``.

        Raises:
            OSError: The file system fails (and not: there is no such thing).
        """
        path, linked = self.path, False
        try:
            info = None
            for name in names:
                path = os.path.join(path, name)
                info = os.lstat(path)
                linked = linked or stat.S_ISLNK(info.st_mode)
            return self._settle(path, info or os.stat(path), linked)
        except OSError as error:
            if error.errno not in _ABSENT:
                raise
            return None
        except UnicodeEncodeError:  # the file system's names are of another character set
            return None

    def beside(self, entry: Entry, suffix: str) -> Entry | None:
        """What stands beside an entry, under its name with ``suffix`` behind it."""
        path = entry.asked + suffix
        try:
            info = os.lstat(path)
            return self._settle(path, info, entry.asked != entry.path or stat.S_ISLNK(info.st_mode))
        except OSError as error:
            if error.errno not in _ABSENT:
                raise
            return None

    def _settle(self, path: str, info: os.stat_result, linked: bool) -> Entry | None:
        if not linked:
            return Entry(path, path, "" if self.follow_symlinks else self.path, info)
        real, root = os.path.realpath(path, strict=True), ""
        if not self.follow_symlinks:
            root = os.path.realpath(self.path)
            if not real.startswith(os.path.join(root, "")):
                return None
        return Entry(path, real, root, os.stat(real))


def open_file(entry: Entry) -> FileIO | None:
    """The file, open, if it is a regular one; the caller closes it.

    Raises:
        OSError: The file system fails (and not: there is no such file).
    """
    if not entry.is_file:
        return None
    try:
        file = FileIO(entry.path, opener=lambda path, _: _open(entry.root, path))
    except OSError as error:
        if error.errno not in _ABSENT:
            raise
        return None
    if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        return file
    file.close()  # something else has taken its place
    return None


def _open(root: str, path: str) -> int:
    """Opens a path, of which nothing below ``root`` may be a link."""
    if not root:
        return os.open(path, _FLAGS)
    *directories, last = path.removeprefix(root).lstrip(os.sep).split(os.sep)
    at = os.open(root, _DIRECTORY)
    try:
        for name in directories:
            outer, at = at, os.open(name, _DIRECTORY | _FLAGS, dir_fd=at)
            os.close(outer)
        return os.open(last, _FLAGS, dir_fd=at)
    finally:
        os.close(at)
