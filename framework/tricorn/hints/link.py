"""A hint as a value, and the ``Link`` field that carries hints (RFC 8288; the attributes are HTML's).

Rules of this module: pure. What is written is checked; what is read comes from an application, its own or a foreign
one, and is read in linear time, and what is malformed in it is passed over.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal, Self, TypeAlias, TypedDict
from urllib.parse import quote, urlsplit

from tricorn_transports.http.fields import is_safe_value, is_token, parse_parameters
from tricorn_transports.http.fields import quote as quoted

CrossOrigin: TypeAlias = Literal["anonymous", "use-credentials"]
FetchPriority: TypeAlias = Literal["high", "low", "auto"]

#: Relations that a 103 can carry to a browser's profit.
EARLY: Final = frozenset({"preload", "modulepreload", "preconnect"})
#: Relations whose target the client will ask for, so that it can be pushed.
FETCHED: Final = frozenset({"preload", "modulepreload"})

_URI: Final = "!#$%&'()*+,/:;=?@[]~"
#: What a resource is by the end of its name: HTML ignores a preload that does not say it.
_AS_BY_SUFFIX: Final = {
    **dict.fromkeys(("css",), "style"),
    **dict.fromkeys(("js", "mjs"), "script"),
    **dict.fromkeys(("woff2", "woff", "ttf", "otf"), "font"),
    **dict.fromkeys(("avif", "gif", "ico", "jpeg", "jpg", "png", "svg", "webp"), "image"),
    **dict.fromkeys(("vtt",), "track"),
    **dict.fromkeys(("json", "wasm"), "fetch"),
}


class HintAttributes(TypedDict, total=False):
    """What ``Request.hint`` takes beside the URL; see ``Hint``."""

    as_: str | None
    rel: str
    crossorigin: CrossOrigin | bool | None
    type: str | None
    media: str | None
    fetchpriority: FetchPriority | None
    etag: str | None


@dataclass(frozen=True)
class Hint:
    """A resource that the client will need.

    Args:
        url: A URI reference: a path on this host, or anything else that a page may refer to.
        as_: What it is, as the page will ask for it: ``style``, ``script``, ``image``, ``font``, ``fetch``, ... For a
            ``preload`` it is taken from the name's ending if not given.
        rel: ``preload``, ``modulepreload``, ``preconnect`` or another relation; only the first two are ever pushed,
            and only these three are worth a 103.
        crossorigin: How the page will ask for it: ``anonymous`` (or ``True``) or ``use-credentials``. Fonts are always
            asked for in this way, so that it is ``anonymous`` for them if not given.
        type: The media type; a browser that cannot use it leaves it.
        media: A media query; who does not match it leaves the resource, so that it is never pushed.
        fetchpriority: ``high``, ``low`` or ``auto``.
        etag: The version that would be sent now. With ``PushCookie`` it keeps a client that holds an older one from
            passing for one that needs nothing.

    Raises:
        ValueError: A part of it cannot be said in a ``Link`` field.
    """

    url: str
    as_: str | None = None
    rel: str = "preload"
    crossorigin: CrossOrigin | bool | None = None
    type: str | None = None
    media: str | None = None
    fetchpriority: FetchPriority | None = None
    etag: str | None = None

    def __post_init__(self) -> None:
        urlsplit(self.url)  # raises where no client could make a URL of it either
        if self.as_ is None and self.rel == "preload":
            suffix = self.url.partition("?")[0].partition("#")[0].rpartition(".")[2].lower()
            object.__setattr__(self, "as_", _AS_BY_SUFFIX.get(suffix))
        if self.crossorigin is True or (self.crossorigin is None and self.as_ == "font"):
            object.__setattr__(self, "crossorigin", "anonymous")
        for name, token in (("rel", self.rel), ("as", self.as_), ("fetchpriority", self.fetchpriority)):
            if token is not None and not is_token(token):
                raise ValueError(f"hint: {name} {token!r} is not a token")
        if self.crossorigin not in (None, False, "anonymous", "use-credentials"):
            raise ValueError(f"hint: crossorigin {self.crossorigin!r} is not anonymous or use-credentials")
        if self.fetchpriority not in (None, "high", "low", "auto"):
            raise ValueError(f"hint: fetchpriority {self.fetchpriority!r} is not high, low or auto")
        for name, text in (("type", self.type), ("media", self.media)):
            if text is not None and not (text.isascii() and is_safe_value(text.encode())):
                raise ValueError(f"hint: {name} {text!r} cannot stand in a field")

    @classmethod
    def of(cls, hint: Hint | str) -> Hint:
        """A hint as it is, or that of a URL."""
        return hint if isinstance(hint, Hint) else cls(hint)

    @cached_property
    def link(self) -> str:
        """The value of a ``Link`` field: ``</app.css>; rel=preload; as=style``."""
        value = f"<{quote(self.url, safe=_URI)}>; rel={self.rel}"
        if self.as_ is not None:
            value += f"; as={self.as_}"
        if self.crossorigin == "anonymous":
            value += "; crossorigin"
        elif self.crossorigin:
            value += f"; crossorigin={self.crossorigin}"
        if self.type is not None:
            value += f"; type={quoted(self.type)}"
        if self.media is not None:
            value += f"; media={quoted(self.media)}"
        if self.fetchpriority is not None:
            value += f"; fetchpriority={self.fetchpriority}"
        return value

    @property
    def can_be_pushed(self) -> bool:
        """Whether the client will ask for it, whatever it is."""
        return self.rel in FETCHED and self.media is None

    @property
    def request_fields(self) -> list[tuple[bytes, bytes]]:
        """What the client would say in its request for it, as far as a push depends on it."""
        kind = self.type or ("text/css" if self.as_ == "style" else None)
        accept = b"*/*" if kind is None else f"{kind},*/*;q=0.1".encode()
        fields = [(b"accept", accept)]
        if self.fetchpriority in _URGENCIES:
            fields.append((b"priority", _URGENCIES[self.fetchpriority]))
        return fields


#: RFC 9218: 3 is what has no priority.
_URGENCIES: Final[dict[str | None, bytes]] = {"high": b"u=2", "low": b"u=5"}


class Link:
    """One member of a ``Link`` field of a response.

    Attributes:
        text: As it stands there.
        target: The URI reference.
    """

    __slots__ = ("_parameters", "target", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        target, bracket, rest = text[1:].partition(">")
        self.target: str | None = target.strip() if bracket and text.startswith("<") else None
        self._parameters = parse_parameters(f"-{rest}")[1] if self.target is not None else {}

    @property
    def is_preload(self) -> bool:
        """Whether it is a ``rel=preload``."""
        return "preload" in self._parameters.get("rel", "").lower().split()

    @property
    def may_be_pushed(self) -> bool:
        """Whether it is a preload for everybody that does not refuse a push with ``nopush``."""
        return self.is_preload and "nopush" not in self._parameters and "media" not in self._parameters

    def as_hint(self) -> Hint | None:
        """What it says, for a push; ``None`` if it is malformed."""
        parameters = self._parameters
        priority = parameters.get("fetchpriority")
        try:
            return Hint(
                self.target or "",
                as_=parameters.get("as") or None,
                type=parameters.get("type") or None,
                fetchpriority="high" if priority == "high" else "low" if priority == "low" else None,
            )
        except ValueError:
            return None

    @classmethod
    def split(cls, value: str) -> Iterator[Self]:
        """The members of a field value; commas in ``<>`` and in quoted strings separate nothing."""
        start = position = 0
        while position < len(value):
            char = value[position]
            if char == "<":
                end = value.find(">", position)
                position = len(value) if end < 0 else end
            elif char == '"':
                position = _end_of_string(value, position)
            elif char == ",":
                if member := value[start:position].strip(" \t"):
                    yield cls(member)
                start = position + 1
            position += 1
        if member := value[start:].strip(" \t"):
            yield cls(member)


def _end_of_string(value: str, start: int) -> int:
    """Where the quoted string that begins at ``start`` ends, or the text."""
    position = start + 1
    while position < len(value) and value[position] != '"':
        position += 2 if value[position] == "\\" else 1
    return position
