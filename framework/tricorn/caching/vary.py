"""``Vary`` (RFC 9110 section 12.5.5) and the key that a cache makes of it (RFC 9111 section 4.1).

Rules of this module: a value and pure functions. Field names are compared in lower case and written in the form in
which they came first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from tricorn.headers import Headers, HeadersInit
from tricorn_transports.http.fields import is_token, split_list

#: Field names that are kept of one value; with more the response varies on too much to be worth keeping.
MAX_NAMES: Final = 64


@dataclass(frozen=True, slots=True)
class Vary:
    """The request fields that a response depends on.

    Args:
        names: Field names, each once.
        any: The response depends on more than fields: ``*``.

    Raises:
        ValueError: A name is no token.
    """

    names: tuple[str, ...] = ()
    any: bool = False

    def __post_init__(self) -> None:
        for name in self.names:
            if not is_token(name):
                raise ValueError(f"Vary: {name!r} is not a field name")

    @classmethod
    def of(cls, *names: str) -> Vary:
        """A value of these names; ``*`` swallows the others."""
        if "*" in names:
            return cls(any=True)
        first: dict[str, str] = {}
        for name in names:
            first.setdefault(name.lower(), name)
        return cls(tuple(first.values()))

    @classmethod
    def parse(cls, text: str) -> Vary:
        """Reads a field value; several lines are joined by commas before.

        What is no field name cannot be looked up in a request, so that a value with it is taken as ``*``, as one with
        too many names is: a cache then asks once more, where it would else give away the wrong response.
        """
        names = split_list(text)
        if len(names) > MAX_NAMES or not all(map(is_token, names)):
            return cls(any=True)
        return cls.of(*names)

    def merge(self, *others: Vary | str) -> Vary:
        """All names of all values, in order; ``*`` swallows the others."""
        names = list(self.names)
        for other in others:
            vary = Vary.parse(other) if isinstance(other, str) else other
            if vary.any or self.any:
                return Vary(any=True)
            names += vary.names
        return Vary(any=True) if self.any else Vary.of(*names)

    def key(self, headers: HeadersInit) -> tuple[tuple[str, str | None], ...] | None:
        """What a cache adds to its key for a request with these fields, or ``None`` with ``*``, which never matches.

        Lines of a field are joined and the white space around members is taken away, which changes no field's
        meaning (RFC 9111 section 4.1); an absent field is ``None`` and not ``""``.
        """
        if self.any:
            return None
        wanted = {name.lower() for name in self.names}
        values: dict[str, list[str]] = {}
        for name, value in Headers.of(headers).multi_items():
            if name in wanted:
                values.setdefault(name, []).extend(split_list(value))
        return tuple((name, ",".join(values[name]) if name in values else None) for name in sorted(wanted))

    def matches(self, stored: HeadersInit, presented: HeadersInit) -> bool:
        """Whether a response to the ``stored`` request's fields may answer the ``presented`` one's."""
        key = self.key(stored)
        return key is not None and key == self.key(presented)

    def __iter__(self) -> Iterator[str]:
        return iter(("*",) if self.any else self.names)

    def __bool__(self) -> bool:
        return self.any or bool(self.names)

    def __str__(self) -> str:
        """The field value."""
        return ", ".join(self)
