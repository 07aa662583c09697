"""Entity tags (RFC 9110 section 8.8.3) and lists of them (sections 13.1.1 and 13.1.2).

Rules of this module: values and pure functions. What we make is checked when it is made; what a client sent is read
leniently, in one pass and up to a bound, and the list remembers whether it was understood whole, because a condition
that guards a change must not be passed by what was left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

#: Members of a list that are read. Browsers send one; caches a handful.
MAX_TAGS: Final = 256

#: etagc: everything visible but the quotation mark, and obs-text.
_OPAQUE = re.compile(r"[\x21\x23-\x7e\x80-\xff]*\Z")
_TAG = re.compile(r'[ \t]*(W/)?"([\x21\x23-\x7e\x80-\xff]*)"[ \t]*\Z')
_RAW_TAG = re.compile(rb'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"\Z')
_MEMBER = re.compile(r'(W/|w/)?(?:"([^"]*)"|([^\s",]+))[ \t]*(?=,|\Z)')
_GAP = re.compile(r"[ \t,]*")


@dataclass(frozen=True, slots=True)
class ETag:
    """An entity tag.

    Args:
        value: The opaque tag, without its quotation marks.
        weak: Whether representations with the same tag may differ in their bytes.

    Raises:
        ValueError: ``value`` has a quotation mark, white space, a control character or one outside latin-1 in it.
    """

    value: str
    weak: bool = False

    def __post_init__(self) -> None:
        if _OPAQUE.match(self.value) is None:
            raise ValueError(
                f"entity tag {self.value!r} has a character that none may have: ETag.of() makes one of anything"
            )

    @classmethod
    def of(cls, *parts: object, weak: bool = False) -> ETag:
        """The tag of whatever makes a representation what it is: its bytes, or a version number and a language.

        Args:
            parts: Bytes as they are, anything else as its ``str()``. The same parts give the same tag in every
                process; ``("ab", "c")`` and ``("a", "bc")`` give two.
        """
        if len(parts) == 1 and isinstance(parts[0], bytes):
            return cls(content_tag(parts[0]), weak)
        digest = sha256()
        for part in parts:
            data = part if isinstance(part, (bytes, bytearray, memoryview)) else str(part).encode()
            digest.update(b"%d:" % len(data))
            digest.update(data)
        return cls(digest.hexdigest()[:32], weak)

    @classmethod
    def coerce(cls, tag: ETag | str) -> ETag:
        """A tag as an author writes it: an ``ETag``, a field value (``"v1"``, ``W/"v1"``), or an opaque tag (``v1``).

        Raises:
            ValueError: It is none of them.
            TypeError: It is no text at all.
        """
        if isinstance(tag, ETag):
            return tag
        if not isinstance(tag, str):
            raise TypeError(f"an entity tag is text or an ETag, not {tag!r}: ETag.of() makes one of anything")
        return cls.parse(tag) or cls(tag)

    @classmethod
    def parse(cls, text: str) -> ETag | None:
        """The one tag of an ``ETag`` or ``If-Range`` value, or ``None`` if it is no entity tag."""
        match = _TAG.match(text)
        return None if match is None else cls(match[2], match[1] is not None)

    def matches_strongly(self, other: ETag) -> bool:
        """Strong comparison (section 8.8.3.2): both are strong and the same; for changes and for ranges."""
        return self.value == other.value and not self.weak and not other.weak

    def matches_weakly(self, other: ETag) -> bool:
        """Weak comparison: the same, whether weak or not; for the reuse of a stored response."""
        return self.value == other.value

    def weakened(self) -> ETag:
        """The weak tag with the same value, for what no longer is the same byte by byte (a coding on the fly)."""
        return self if self.weak else ETag(self.value, True)

    def __str__(self) -> str:
        """The field value."""
        return f'W/"{self.value}"' if self.weak else f'"{self.value}"'


def is_tag(raw: bytes) -> bool:
    """Whether a raw field value is one entity tag, which ``ETag.parse`` would read."""
    return _RAW_TAG.match(raw) is not None


def content_tag(content: bytes) -> str:
    """The opaque tag of a body: 128 bits of its SHA-256, so that nobody can make two contents of one tag."""
    return sha256(content).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class ETagList:
    """The value of ``If-Match`` or ``If-None-Match``.

    Attributes:
        tags: In the order of the field.
        any: The value is ``*``.
        complete: Everything was understood: nothing was malformed, and there were no more than ``MAX_TAGS``.
    """

    tags: tuple[ETag, ...] = ()
    any: bool = False
    complete: bool = True

    @classmethod
    def parse(cls, text: str, *, max_tags: int = MAX_TAGS) -> ETagList:
        """Reads a field value; several lines of the field are joined by commas before.

        A tag without quotation marks, which some clients send, is taken as if it had them. A ``*`` counts only
        where it is all there is.
        """
        if text.strip(" \t") == "*":
            return cls(any=True)
        tags: list[ETag] = []
        complete = True
        position = _end(_GAP.match(text))
        while position < len(text):
            if len(tags) == max_tags:
                return cls(tuple(tags), complete=False)
            match = _MEMBER.match(text, position)
            if match is not None:
                weak, quoted, bare = match.groups()
                value = quoted if bare is None else bare
                if bare == "*" or _OPAQUE.match(value) is None:
                    complete = False
                else:
                    tags.append(ETag(value, weak is not None))
                position = match.end()
            else:
                complete = False
                comma = text.find(",", position)
                position = comma if comma >= 0 else len(text)
            position = _end(_GAP.match(text, position))
        return cls(tuple(tags), complete=complete)

    @classmethod
    def of(cls, tags: Iterable[ETag | str]) -> ETagList:
        """A list of tags, to be sent."""
        return cls(tuple(map(ETag.coerce, tags)))

    def has_strongly(self, tag: ETag) -> bool:
        """Whether one of the tags is this one by strong comparison (``*`` is not looked at)."""
        return any(tag.matches_strongly(member) for member in self.tags)

    def has_weakly(self, tag: ETag) -> bool:
        """Whether one of the tags is this one by weak comparison (``*`` is not looked at)."""
        return any(tag.matches_weakly(member) for member in self.tags)

    def __str__(self) -> str:
        """The field value."""
        return "*" if self.any else ", ".join(map(str, self.tags))


def _end(match: re.Match[str] | None) -> int:
    assert match is not None  # the pattern matches the empty string
    return match.end()
