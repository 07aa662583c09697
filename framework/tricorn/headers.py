"""HTTP fields as the application sees them: ``str`` on top of the raw list that ASGI carries.

Rules of this module: the raw list of pairs is the only state, in the order of the wire and with lower-case names;
nothing is copied until something changes. Bytes are latin-1 in both directions (RFC 9110 section 5.5). Whatever is
written is checked here once: a name must be a token, and a value that could split the message is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

from tricorn_transports.http.fields import is_safe_value, is_token_bytes, split_list

RawHeaders: TypeAlias = list[tuple[bytes, bytes]]

#: What a response's constructor takes as its fields.
HeadersInit: TypeAlias = Mapping[str, str] | Iterable[tuple[str, str]]


def encode_name(name: str) -> bytes:
    """A field name for the wire, in lower case.

    Raises:
        TypeError: It is no ``str``.
        ValueError: It is not a token (RFC 9110 section 5.1).
    """
    if not isinstance(name, str):
        raise TypeError(f"header name {name!r} is not a str")
    try:
        raw = name.lower().encode("ascii")
    except UnicodeEncodeError:
        raw = b""
    if not is_token_bytes(raw):
        raise ValueError(f"header name {name!r} is not a token")
    return raw


def encode_value(name: str, value: str) -> bytes:
    """A field value for the wire, without white space around it.

    Raises:
        TypeError: It is no ``str``.
        ValueError: It has CR, LF or NUL in it, or a character outside latin-1 (RFC 9110 section 5.5).
    """
    if not isinstance(value, str):
        raise TypeError(f"header {name}: {value!r} is not a str")
    try:
        raw = value.encode("latin-1")
    except UnicodeEncodeError:
        raise ValueError(f"header {name}: {value!r} has characters that no field value can carry") from None
    if not is_safe_value(raw):
        raise ValueError(f"header {name}: {value!r} has CR, LF or NUL in it")
    return raw.strip(b" \t")


def encode_headers(headers: HeadersInit) -> RawHeaders:
    """Checked raw pairs of a mapping or of an iterable of pairs."""
    items = headers.items() if isinstance(headers, Mapping) else headers
    return [(encode_name(name), encode_value(name, value)) for name, value in items]


class Headers(Mapping[str, str]):
    """Fields of a message: names without regard to case, several values to a name.

    As a mapping it shows the first value of each name; ``getlist`` has all of them. Two ``Headers`` are equal when
    they hold the same pairs in the same order.

    Args:
        raw: Pairs of lower-case name and value. The list is kept, not copied.
    """

    __slots__ = ("_raw",)

    def __init__(self, raw: Iterable[tuple[bytes, bytes]] = ()) -> None:
        self._raw: RawHeaders = raw if isinstance(raw, list) else list(raw)

    @classmethod
    def of(cls, fields: HeadersInit) -> Headers:
        """``fields`` as they are if they are ``Headers``; else those of a mapping or of pairs, names in whatever case.

        Raises:
            ValueError: A name or a value cannot be one.
        """
        return fields if isinstance(fields, Headers) else cls(encode_headers(fields))

    @property
    def raw(self) -> RawHeaders:
        """The pairs as ASGI carries them. Not to be changed through this property."""
        return self._raw

    def __getitem__(self, name: str) -> str:
        key = name.lower().encode("latin-1", "replace")
        for field, value in self._raw:
            if field == key:
                return value.decode("latin-1")
        raise KeyError(name)

    def getlist(self, name: str) -> list[str]:
        """All values of a name, in order."""
        key = name.lower().encode("latin-1", "replace")
        return [value.decode("latin-1") for field, value in self._raw if field == key]

    def multi_items(self) -> list[tuple[str, str]]:
        """All pairs, in order; a name that occurs twice is there twice."""
        return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in self._raw]

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(name.decode("latin-1") for name, _ in self._raw))

    def __len__(self) -> int:
        return len({name for name, _ in self._raw})

    def __contains__(self, name: object) -> bool:
        if not isinstance(name, str):
            return False
        key = name.lower().encode("latin-1", "replace")
        return any(field == key for field, _ in self._raw)

    def __eq__(self, other: object) -> bool:
        return self._raw == other._raw if isinstance(other, Headers) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # mutable through its subclass and its list, like any other container

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.multi_items()!r})"


class MutableHeaders(Headers):
    """Fields of a response that is still being made. All that is written is checked.

    Every method that writes raises ``ValueError`` for a name that is no token and for a value with CR, LF, NUL or a
    character outside latin-1.
    """

    __slots__ = ()

    def set(self, name: str, value: str) -> None:
        """Makes ``value`` the only one of this name."""
        key, raw = encode_name(name), encode_value(name, value)
        pairs = self._raw
        for index, (field, _) in enumerate(pairs):
            if field == key:
                pairs[index] = (key, raw)
                pairs[index + 1 :] = [pair for pair in pairs[index + 1 :] if pair[0] != key]
                return
        pairs.append((key, raw))

    __setitem__ = set

    def add(self, name: str, value: str) -> None:
        """Adds another field line."""
        self._raw.append((encode_name(name), encode_value(name, value)))

    def setdefault(self, name: str, value: str) -> str:
        """The first value of the name, which is ``value`` if there was none."""
        found = self.get(name)
        if found is not None:
            return found
        self.add(name, value)
        return value

    def delete(self, name: str) -> None:
        """Takes all values of the name out; none is fine."""
        key = encode_name(name)
        self._raw[:] = [pair for pair in self._raw if pair[0] != key]

    __delitem__ = delete

    def update(self, headers: HeadersInit) -> None:
        """Puts these fields in the place of all that have one of their names."""
        pairs = encode_headers(headers)
        names = {name for name, _ in pairs}
        self._raw[:] = [pair for pair in self._raw if pair[0] not in names] + pairs

    def add_vary(self, *names: str) -> None:
        """Adds request fields to ``Vary``, each once; ``*`` swallows the others (RFC 9110 section 12.5.5)."""
        known = [member for value in self.getlist("vary") for member in split_list(value)]
        if "*" in known or "*" in names:
            self.set("vary", "*")
            return
        seen = {member.lower() for member in known}
        for name in names:
            if name.lower() not in seen:
                seen.add(name.lower())
                known.append(name)
        if known:
            self.set("vary", ", ".join(known))
