"""The directives of Cache-Control: which there are, how their arguments read, and which exclude one another.

``control.CacheControl`` is the value that applications use; the table here is what it, the targeted fields, the
reference page and ``tricorn explain`` have in common.

Rules of this module: pure. Reading is lenient and never raises, and where it has to choose, it takes the reading under
which less is reused (RFC 9111 section 4.2.1). It is linear in its input, and what it keeps is bounded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final, Literal, NamedTuple, TypeAlias

from tricorn_transports.http.fields import is_token, quote, split_list, unquote

#: The longest time there is, in seconds: a larger number counts as this one (RFC 9111 section 1.2.2).
MAX_SECONDS: Final = 2**31

#: Unknown directives that are kept of one field; the known ones behind them are still read.
MAX_EXTENSIONS: Final = 64

#: Field names that are kept of ``no-cache`` or ``private``; with more, the directive holds for the whole response.
MAX_FIELD_NAMES: Final = 128


class Kind(Enum):
    """What a directive has for an argument."""

    FLAG = "none"
    SECONDS = "seconds"
    SECONDS_OR_ANY = "seconds, or none for any time"
    FIELDS = "field names, or none for the whole response"


@dataclass(frozen=True, slots=True)
class Directive:
    """One directive.

    Attributes:
        name: As it stands in the field.
        kind: What its argument is.
        request: Where its meaning in a request is defined; empty if it has none there.
        response: Where its meaning in a response is defined; empty if it has none there.
    """

    name: str
    kind: Kind
    request: str = ""
    response: str = ""

    @property
    def attribute(self) -> str:
        """Its name in Python."""
        return self.name.replace("-", "_")


#: Every directive that Tricorn knows, in the order in which it writes them.
DIRECTIVES: Final = (
    Directive("public", Kind.FLAG, response="RFC 9111, 5.2.2.9"),
    Directive("private", Kind.FIELDS, response="RFC 9111, 5.2.2.7"),
    Directive("no-cache", Kind.FIELDS, "RFC 9111, 5.2.1.4", "RFC 9111, 5.2.2.4"),
    Directive("must-understand", Kind.FLAG, response="RFC 9111, 5.2.2.3"),
    Directive("no-store", Kind.FLAG, "RFC 9111, 5.2.1.5", "RFC 9111, 5.2.2.5"),
    Directive("max-age", Kind.SECONDS, "RFC 9111, 5.2.1.1", "RFC 9111, 5.2.2.1"),
    Directive("s-maxage", Kind.SECONDS, response="RFC 9111, 5.2.2.10"),
    Directive("immutable", Kind.FLAG, response="RFC 8246, 2"),
    Directive("must-revalidate", Kind.FLAG, response="RFC 9111, 5.2.2.2"),
    Directive("proxy-revalidate", Kind.FLAG, response="RFC 9111, 5.2.2.8"),
    Directive("stale-while-revalidate", Kind.SECONDS, response="RFC 5861, 3"),
    Directive("stale-if-error", Kind.SECONDS, "RFC 5861, 4", "RFC 5861, 4"),
    Directive("no-transform", Kind.FLAG, "RFC 9111, 5.2.1.6", "RFC 9111, 5.2.2.6"),
    Directive("min-fresh", Kind.SECONDS, "RFC 9111, 5.2.1.3"),
    Directive("max-stale", Kind.SECONDS_OR_ANY, "RFC 9111, 5.2.1.2"),
    Directive("only-if-cached", Kind.FLAG, "RFC 9111, 5.2.1.7"),
)
BY_NAME: Final = {directive.name: directive for directive in DIRECTIVES}
BY_ATTRIBUTE: Final = {directive.attribute: directive for directive in DIRECTIVES}
_KINDS: Final = {directive.name: directive.kind for directive in DIRECTIVES}

#: What a known directive says: ``True`` for one without argument, seconds, or lower-case field names.
Value: TypeAlias = int | frozenset[str]
Values: TypeAlias = Mapping[str, Value]
Extensions: TypeAlias = Mapping[str, str | None]

# --- reading and writing ----------------------------------------------------------------------------------------------

# A quoted string that never ends is no quoted string: it must not hide the directives behind it.
_MEMBER = re.compile(r'([^=,]*+)(?:=((?:"(?:[^"\\]++|\\.)*+")?+[^,]*+))?', re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\u0100-\U0010ffff]")


def parse_directives(text: str) -> tuple[dict[str, Value], dict[str, str | None]]:
    """The known directives of a Cache-Control field by their names, and the others.

    Names are read without regard to case and arguments as token or quoted-string (RFC 9111 section 5.2). The first of
    several equal directives counts, except that the field names of ``no-cache`` and ``private`` add up. A time that is
    missing or malformed is 0, so that the response is stale (section 4.2.1).
    """
    values: dict[str, Value] = {}
    extensions: dict[str, str | None] = {}
    for name, argument in _quoted_members(text) if '"' in text else _plain_members(text):
        name = name.strip(" \t").lower()
        kind = _KINDS.get(name)
        if kind is Kind.FLAG:
            values[name] = True
        elif kind is None:
            _add_extension(extensions, name, argument)
        elif kind is Kind.FIELDS:
            values[name] = merge_fields(values.get(name, frozenset()), argument)
        elif name in values:
            continue
        elif argument is None:
            values[name] = MAX_SECONDS if kind is Kind.SECONDS_OR_ANY else 0
        else:
            seconds = parse_seconds(argument)
            values[name] = 0 if seconds is None else seconds
    return values, extensions


def _plain_members(text: str) -> list[tuple[str, str | None]]:
    members: list[tuple[str, str | None]] = []
    for member in text.split(","):
        name, equals, argument = member.partition("=")
        members.append((name, argument if equals else None))
    return members


def _quoted_members(text: str) -> Iterator[tuple[str, str | None]]:
    for match in _MEMBER.finditer(text):
        name, argument = match.groups()
        yield name, None if argument is None else unquote(argument.rstrip(" \t"))


def _add_extension(extensions: dict[str, str | None], name: str, argument: str | None) -> None:
    if name and name not in extensions and len(extensions) < MAX_EXTENSIONS and is_token(name):
        argument = argument and argument.rstrip(" \t")
        if argument is None or is_text(argument):
            extensions[name] = argument


def merge_fields(known: Value, argument: str | None) -> Value:
    """``known`` with the field names of another ``no-cache`` or ``private``; ``True`` once one has the whole response.

    That is one without argument, and one whose argument is empty or malformed: read so, less is stored and reused.
    """
    if argument is None or not isinstance(known, frozenset):
        return True
    names = split_list(argument.lower())
    if not names or len(known) + len(names) > MAX_FIELD_NAMES or not all(map(is_token, names)):
        return True
    return known.union(names)


def parse_seconds(text: str) -> int | None:
    """Delta-seconds (RFC 9111 section 1.2.2), ``MAX_SECONDS`` at most; ``None`` if it is not digits alone.

    White space may follow.
    """
    text = text.rstrip(" \t")
    if not (text.isdigit() and text.isascii()):
        return None
    if len(text) > 10:
        text = text.lstrip("0") or "0"
        if len(text) > 10:
            return MAX_SECONDS
    return min(int(text), MAX_SECONDS)


class Misreading(NamedTuple):
    """What the lenient reading of a policy passes over, though its author is likely to have meant something."""

    kind: Literal["unknown", "malformed", "duplicate"]
    text: str

    def __str__(self) -> str:
        return self.text


def misreadings(text: str) -> Iterator[Misreading]:
    """What is written in a Cache-Control field and not read: names that are none or nearly one, times that are none."""
    from difflib import get_close_matches  # for authors and not for requests

    times: dict[str, str] = {}
    for member in split_list(text):
        name, equals, argument = member.partition("=")
        name, argument = name.strip(" \t").lower(), unquote(argument.strip(" \t"))
        directive = BY_NAME.get(name)
        if directive is None:
            near = get_close_matches(name.replace("_", "-"), BY_NAME, n=1, cutoff=0.8)
            if near:
                yield Misreading("unknown", f"{name!r} is no directive, and ignored: is {near[0]} meant?")
            elif not is_token(name):
                yield Misreading("malformed", f"{name!r} can be no directive's name, and is ignored")
        elif directive.kind is Kind.SECONDS:
            if parse_seconds(argument) is None:
                given = f"{name}={argument} is" if equals else f"{name} has"
                yield Misreading("malformed", f"{given} no number of seconds, and counts as 0")
            if times.setdefault(name, argument) != argument:
                again = f"{name} is there as {times[name]} and as {argument}: caches may take either"
                yield Misreading("duplicate", again)


def is_text(argument: str) -> bool:
    """Whether a quoted-string can carry it: latin-1 without control characters other than tab."""
    return _CONTROL.search(argument) is None


def in_order(values: Values) -> Iterable[str]:
    """The names of known directives in the order of ``DIRECTIVES``."""
    return sorted(values, key=_RANK.__getitem__) if len(values) > 1 else values


def format_directives(values: Values, extensions: Extensions) -> str:
    """The field value of these directives: the known ones in the order of ``DIRECTIVES``, then the others."""
    parts = []
    for name in in_order(values):
        value = values[name]
        if value is True or (name == "max-stale" and value == MAX_SECONDS):
            parts.append(name)
        elif isinstance(value, frozenset):
            parts.append(f'{name}="{", ".join(sorted(value))}"')
        else:
            parts.append(f"{name}={value}")
    for name, argument in extensions.items():
        if argument is None:
            parts.append(name)
        else:
            parts.append(f"{name}={argument if is_token(argument) else quote(argument)}")
    return ", ".join(parts)


_RANK: Final = {directive.name: rank for rank, directive in enumerate(DIRECTIVES)}

# --- contradictions ---------------------------------------------------------------------------------------------------


class Contradiction(NamedTuple):
    """Two directives that cannot both be meant, or (``second`` empty) one that lacks what it needs."""

    first: str
    second: str
    why: str

    def __str__(self) -> str:
        return f"{self.first} contradicts {self.second}: {self.why}" if self.second else f"{self.first}: {self.why}"


# Directives that are merely redundant together ("no-store, max-age=0", "no-cache, must-revalidate") are none of these.
_EXCLUSIONS: Final = (
    (("private",), ("public", "s-maxage"), "no shared cache may store a private response"),
    (
        ("no-store",),
        ("public", "max-age", "s-maxage", "immutable", "stale-while-revalidate", "stale-if-error"),
        "what is not stored is never reused",
    ),
    (
        ("no-cache",),
        ("max-age", "s-maxage", "immutable", "stale-while-revalidate"),
        "no-cache asks for a validation before every use",
    ),
    (
        ("must-revalidate",),
        ("stale-while-revalidate", "stale-if-error"),
        "must-revalidate forbids every use of a stale response",
    ),
    (("no-cache",), ("only-if-cached",), "a validation is what only-if-cached forbids"),
    (("min-fresh",), ("max-stale",), "a response cannot be asked to be fresh for longer and allowed to be stale"),
)
_EXCLUDED: Final[dict[str, dict[str, str]]] = {}
for _left, _right, _why in _EXCLUSIONS:
    for _one in _left:
        for _other in _right:
            _EXCLUDED.setdefault(_one, {})[_other] = _why

_REQUEST_ONLY: Final = frozenset(directive.name for directive in DIRECTIVES if not directive.response)
_RESPONSE_ONLY: Final = frozenset(directive.name for directive in DIRECTIVES if not directive.request)

#: Without one of these there is no contradiction: most policies are done with here.
_SUSPECT: Final = _REQUEST_ONLY | {"immutable", *_EXCLUDED}


def contradictions(values: Values) -> list[Contradiction]:
    """What these directives say against one another; nothing if they go together.

    A directive counts where it is in force: a time of 0 and field names on ``no-cache`` or ``private`` contradict
    nothing. ``must-understand`` lets ``no-store`` stand beside the others, because section 5.2.2.3 wants them so.
    """
    found: list[Contradiction] = []
    if _SUSPECT.isdisjoint(values):
        return found
    active = [name for name, value in values.items() if value and not isinstance(value, frozenset)]
    for first in active:
        excluded = _EXCLUDED.get(first)
        if excluded is None or (first == "no-store" and "must-understand" in values):
            continue
        found += [Contradiction(first, second, excluded[second]) for second in active if second in excluded]
    if "immutable" in values and "max-age" not in active and "s-maxage" not in active:
        found.append(Contradiction("immutable", "", "it holds while a response is fresh, and needs a max-age"))
    if not _REQUEST_ONLY.isdisjoint(values):
        asked = next(name for name in values if name in _REQUEST_ONLY)
        found += [
            Contradiction(asked, name, "one is for requests, the other for responses")
            for name in values
            if name in _RESPONSE_ONLY
        ]
    return found


def merge_directives(base: Values, over: Values) -> dict[str, Value]:
    """``base`` with the directives of ``over`` put on top: those of ``base`` that contradict them give way."""
    merged = {**base, **over}
    if "no-store" in over and "must-understand" not in over:
        merged.pop("must-understand", None)  # or it would let a response be stored that is now not to be
    while True:
        yielding = {
            name
            for found in contradictions(merged)
            for name, other in ((found.first, found.second), (found.second, found.first))
            if name and name not in over and (not other or other in over)
        }
        if not yielding:
            return merged
        for name in yielding:
            merged.pop(name)
