"""What a request for static files gets: the file, which of its codings, and what is known of it.

Rules of this module: everything here may block, unless it is told not to; then it gives up before it reads or waits.
What is found is open, and all that is said of it was seen through the open file.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from tricorn.caching.etag import ETag
from tricorn.exceptions import NoRoute
from tricorn.negotiation import choose_coding
from tricorn.response.file import OpenFile
from tricorn.response.filetag import Tagged, content_digest, file_etag, known_digest, known_etag
from tricorn.static.fingerprint import with_hash, without_hash
from tricorn.static.folder import Entry, Folder, open_file
from tricorn.static.names import names_of

#: Codings by the suffix that a compressed file has, those preferred first.
SUFFIXES: Final = {"br": ".br", "zstd": ".zst", "gzip": ".gz"}

INDEX: Final = "index.html"
NOT_FOUND: Final = "404.html"


class MustBlock(Exception):
    """The answer is not known without reading or waiting."""


@dataclass(frozen=True, slots=True)
class Found:
    """A file, open.

    Attributes:
        names: Of the file that was asked for, without a hash.
        coding: In which it is compressed; its own bytes if ``None``.
        varies: Whether there are others to choose from.
        fingerprinted: It was asked for by the hash of its content.
        missing: It stands for one that is not there.
    """

    names: Sequence[str]
    opened: OpenFile
    tag: ETag
    coding: str | None
    varies: bool
    fingerprinted: bool = False
    missing: bool = False


@dataclass(frozen=True, slots=True)
class Directory:
    """A directory that has an index, asked for without the slash that links in the index build on."""


class Lookup:
    """The look-ups in one directory.

    Args:
        html: Whether directories have an index and what is missing a page.
        hidden: Whether names that begin with a dot can be asked for.
    """

    def __init__(self, folder: Folder, *, html: bool, hidden: bool) -> None:
        self.folder = folder
        self.html = html
        self.hidden = hidden

    def search(self, names: Sequence[str] | None, accept: Iterable[str], *, blocking: bool) -> Found | Directory | None:
        """What a path gives.

        Args:
            names: Those of the path (see ``names.names_of``); ``None`` if it was refused.
            accept: The values of Accept-Encoding.
            blocking: Whether files may be read to know what they are. The look-ups themselves are done either way.

        Raises:
            MustBlock: They would have to be.
            OSError: The file system fails.
        """
        found = None if names is None else self._search(names, accept, blocking)
        if found is None and self.html:
            found = self._file((NOT_FOUND,), accept, blocking, missing=True)
        return found

    def _search(self, names: Sequence[str], accept: Iterable[str], blocking: bool) -> Found | Directory | None:
        if not names or not names[-1]:
            return self._file((*names[:-1], INDEX), accept, blocking) if self.html else None
        entry = self.folder.find(names)
        if entry is not None and entry.is_directory:
            has_index = self.html and self.folder.find((*names, INDEX)) is not None
            return Directory() if has_index else None
        if entry is not None:
            return self._open(entry, names, accept, blocking)
        plain = without_hash(names[-1])
        if plain is None:
            return None
        return self._file((*names[:-1], plain[0]), accept, blocking, digest=plain[1])

    def _file(
        self,
        names: Sequence[str],
        accept: Iterable[str],
        blocking: bool,
        *,
        digest: str | None = None,
        missing: bool = False,
    ) -> Found | None:
        entry = self.folder.find(names)
        if entry is None:
            return None
        return self._open(entry, names, accept, blocking, digest=digest, missing=missing)

    def _open(
        self,
        entry: Entry,
        names: Sequence[str],
        accept: Iterable[str],
        blocking: bool,
        *,
        digest: str | None = None,
        missing: bool = False,
    ) -> Found | None:
        if digest is not None and not self._digest(entry, blocking=blocking).startswith(digest):
            return None  # an older version's name, or a newer one's that has not come here yet
        variants = self._variants(entry)
        coding = choose_coding(accept, tuple(variants)) if variants else None
        file = None if coding is None else open_file(variants[coding])
        if file is None:  # no variant is wanted, or it may not be read, or has gone since
            coding, file = None, open_file(entry)
        if file is None:
            return None
        try:
            tag, info, sha256 = _tag(file.fileno(), blocking)
            if digest is not None and coding is None and not content_digest(file.fileno(), info).startswith(digest):
                file.close()  # replaced in between: nobody may keep this for a year under that name
                return None
            if coding is not None:
                tag = ETag(f"{tag.value}-{coding}", tag.weak)
            opened = OpenFile.of(file, info, sha256)
        except BaseException:
            file.close()
            raise
        return Found(names, opened, tag, coding, bool(variants), digest is not None, missing)

    def _variants(self, entry: Entry) -> dict[str, Entry]:
        """The compressed files beside a file. One that is older was made of another version of it."""
        variants: dict[str, Entry] = {}
        if entry.is_file:
            for coding, suffix in SUFFIXES.items():
                variant = self.folder.beside(entry, suffix)
                if variant is not None and variant.is_file and _is_as_new(variant.info, entry.info):
                    variants[coding] = variant
        return variants

    # ------------------------------------------------------------------------------------------------- fingerprints

    def fingerprinted(self, path: str) -> str:
        """A path with its content's hash in its last name. It is computed once for each state of the file.

        Raises:
            NoRoute: There is no such file.
            OSError: The file system fails.
        """
        names = names_of(path, hidden=self.hidden)
        entry = self.folder.find(names) if names and names[-1] else None
        if not names or entry is None or not entry.is_file:
            raise NoRoute(f"static files: there is no file {path!r} in {self.folder.path}")
        return "/".join((*names[:-1], with_hash(names[-1], self._digest(entry, blocking=True))))

    def _digest(self, entry: Entry, *, blocking: bool) -> str:
        known = known_digest(entry.info)
        if known is not None:
            return known
        if not blocking:
            raise MustBlock
        file = open_file(entry)
        if file is None:
            return ""
        with file:
            return content_digest(file.fileno(), os.fstat(file.fileno()))


def _is_as_new(variant: os.stat_result, original: os.stat_result) -> bool:
    """Whether a compressed file is no older than its original, as far as its time tells.

    Who gives it the time of the original may cut that: archives and brotli to the second, a float to 0.2 µs.
    """
    second = 1_000_000_000
    if variant.st_mtime_ns % second == 0:
        return variant.st_mtime_ns // second >= original.st_mtime_ns // second
    return variant.st_mtime_ns + 1000 >= original.st_mtime_ns


def _tag(fd: int, blocking: bool) -> Tagged:
    known = known_etag(os.fstat(fd))
    if known is None and not blocking:
        raise MustBlock
    return known or file_etag(fd)
