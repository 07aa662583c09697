"""Structured fields (RFC 9651): items, lists and dictionaries as values, parsed and serialized.

Newer fields (Priority, Cache-Status, CDN-Cache-Control, the digests) share this one syntax, and so one parser.

Rules of this module: pure functions. Parsing is strict, as section 4.2 wants it: one error, and the whole field is to
be ignored. It is linear in its input, because no position is read twice, and the number of members is bounded. What
is serialized is checked, so that no value can leave its field.

The types of section 3.3 are Python's: ``int``, ``float`` (a Decimal has 15 digits at most, which a float keeps),
``str``, ``bytes``, ``bool``, and for the others ``Token``, ``Date`` and ``DisplayString``.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Mapping
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final, NamedTuple, TypeAlias
from urllib.parse import unquote_to_bytes

#: Members of a list or a dictionary; parameters of one item; items of one inner list. Sections 3.1 and 3.2 ask a parser
#: for 1,024, 256 and 256 at least.
MAX_MEMBERS: Final = 1024
MAX_PARAMETERS: Final = 256
MAX_INNER_ITEMS: Final = 256

_MAX_INTEGER: Final = 999_999_999_999_999  # section 3.3.1
_THOUSANDTH: Final = Decimal("0.001")


class StructuredFieldError(ValueError):
    """The text is no such structured field (the whole field is then to be ignored), or the value cannot be in one."""


class Token(str):
    """A token (section 3.3.4). It equals the ``str`` of the same text; its type tells it from a String."""

    __slots__ = ()


class DisplayString(str):
    """A string of any Unicode characters (section 3.3.8), sent percent-encoded."""

    __slots__ = ()


class Date(int):
    """A moment in seconds since the epoch (section 3.3.7); it may be before it, and out of ``datetime``'s range."""

    __slots__ = ()


BareItem: TypeAlias = int | float | str | bytes | bool  # Token, Date and DisplayString are subclasses of these
Parameters: TypeAlias = Mapping[str, BareItem]

_NONE: Final[Parameters] = {}


class Item(NamedTuple):
    """A value with its parameters (section 3.3)."""

    value: BareItem
    parameters: Parameters = _NONE


class InnerList(NamedTuple):
    """A list of items within a list or a dictionary, with its own parameters (section 3.1.1)."""

    items: tuple[Item, ...]
    parameters: Parameters = _NONE


Member: TypeAlias = Item | InnerList

# --- parsing (section 4.2) ------------------------------------------------------------------------------------------

_KEY = re.compile(r"[a-z*][a-z0-9_\-.*]*+")
_SPACES = re.compile(r" *+")
_COMMA = re.compile(r"[ \t]*+(?:(,)[ \t]*+)?")
# Possessive repeats: where a part does not match, nothing is tried a second time. A number that is too long matches in
# part, and what is left of it is then no separator, which is the error that it should be.
_BARE = re.compile(
    r"(?P<decimal>-?[0-9]{1,12}\.[0-9]{1,3})"
    r"|(?P<integer>-?[0-9]{1,15})"
    r'|"(?P<string>(?:[\x20\x21\x23-\x5b\x5d-\x7e]++|\\["\\])*+)"'
    r"|(?P<token>[A-Za-z*][!#$%&'*+\-.^_`|~0-9A-Za-z:/]*+)"
    r"|:(?P<binary>[A-Za-z0-9+/]*+=*+):"
    r"|\?(?P<boolean>[01])"
    r"|@(?P<date>-?[0-9]{1,15})"
    r'|%"(?P<display>(?:[\x20\x21\x23\x24\x26-\x7e]++|%[0-9a-f]{2})*+)"'
)
_ESCAPED = re.compile(r"\\(.)")


def _binary(text: str) -> bytes:
    content = text.rstrip("=")
    # Missing padding and bits set in it are let through, as section 4.2.7 recommends; padding that is wrong is not.
    missing = -len(content) % 4
    if missing == 3 or len(text) - len(content) not in (0, missing):
        raise StructuredFieldError("a byte sequence is not base64")
    return b64decode(content + "=" * missing)


def _display(text: str) -> DisplayString:
    if "%" not in text:
        return DisplayString(text)
    try:
        return DisplayString(unquote_to_bytes(text).decode())
    except UnicodeDecodeError:
        raise StructuredFieldError("a display string is not UTF-8") from None


_CONVERT: dict[str, Callable[[str], BareItem]] = {
    "decimal": float,
    "integer": int,
    "string": lambda text: _ESCAPED.sub(r"\1", text) if "\\" in text else text,
    "token": Token,
    "binary": _binary,
    "boolean": lambda text: text == "1",
    "date": Date,
    "display": _display,
}


def parse_item(text: str) -> Item:
    """The item that a field value holds (section 4.2.3).

    Args:
        text: The field value; where a field came in several lines, they are joined with ``", "``.

    Raises:
        StructuredFieldError: It is not an item.
    """
    start = _skip(_SPACES, text, 0)
    item, end = _item(text, start)
    _expect_end(text, end)
    return item


def parse_list(text: str) -> list[Member]:
    """The members of a list (section 4.2.1); none for an empty field.

    Raises:
        StructuredFieldError: It is not a list, or one of more than ``MAX_MEMBERS``.
    """
    members: list[Member] = []
    position, length = _skip(_SPACES, text, 0), len(text)
    while position < length:
        if len(members) == MAX_MEMBERS:
            raise StructuredFieldError(f"more than {MAX_MEMBERS} members")
        member, position = _member(text, position)
        members.append(member)
        position = _next_member(text, position)
    return members


def parse_dictionary(text: str) -> dict[str, Member]:
    """The members of a dictionary by their keys (section 4.2.2); none for an empty field.

    The last member of a key counts, in the place of the first.

    Raises:
        StructuredFieldError: It is not a dictionary, or one of more than ``MAX_MEMBERS``.
    """
    members: dict[str, Member] = {}
    position, length = _skip(_SPACES, text, 0), len(text)
    while position < length:
        if len(members) == MAX_MEMBERS:
            raise StructuredFieldError(f"more than {MAX_MEMBERS} members")
        key, position = _key(text, position)
        if text.startswith("=", position):
            members[key], position = _member(text, position + 1)
        else:
            parameters, position = _parameters(text, position)
            members[key] = Item(True, parameters)
        position = _next_member(text, position)
    return members


def _skip(pattern: re.Pattern[str], text: str, position: int) -> int:
    match = pattern.match(text, position)
    return position if match is None else match.end()


def _expect_end(text: str, position: int) -> None:
    end = _skip(_SPACES, text, position)
    if end != len(text):
        raise StructuredFieldError(f"unexpected {text[end]!r} at {end}")


def _next_member(text: str, position: int) -> int:
    """Where the next member starts, or the end of the text."""
    match = _COMMA.match(text, position)
    end = position if match is None else match.end()
    if match is not None and match[1] and end == len(text):
        raise StructuredFieldError("a comma at the end")
    if end != len(text) and (match is None or not match[1]):
        raise StructuredFieldError(f"no comma at {end}")
    return end


def _key(text: str, position: int) -> tuple[str, int]:
    match = _KEY.match(text, position)
    if match is None:
        raise StructuredFieldError(f"no key at {position}")
    return match[0], match.end()


def _bare(text: str, position: int) -> tuple[BareItem, int]:
    match = _BARE.match(text, position)
    if match is None:
        raise StructuredFieldError(f"no item at {position}")
    kind = match.lastgroup or ""
    return _CONVERT[kind](match[kind]), match.end()


def _parameters(text: str, position: int) -> tuple[Parameters, int]:
    if not text.startswith(";", position):
        return _NONE, position
    parameters: dict[str, BareItem] = {}
    while text.startswith(";", position):
        if len(parameters) == MAX_PARAMETERS:
            raise StructuredFieldError(f"more than {MAX_PARAMETERS} parameters")
        key, position = _key(text, _skip(_SPACES, text, position + 1))
        value: BareItem = True
        if text.startswith("=", position):
            value, position = _bare(text, position + 1)
        parameters[key] = value
    return parameters, position


def _item(text: str, position: int) -> tuple[Item, int]:
    value, position = _bare(text, position)
    parameters, position = _parameters(text, position)
    return Item(value, parameters), position


def _member(text: str, position: int) -> tuple[Member, int]:
    if not text.startswith("(", position):
        return _item(text, position)
    items: list[Item] = []
    position = _skip(_SPACES, text, position + 1)
    while not text.startswith(")", position):
        if len(items) == MAX_INNER_ITEMS:
            raise StructuredFieldError(f"more than {MAX_INNER_ITEMS} items in an inner list")
        item, end = _item(text, position)
        items.append(item)
        position = _skip(_SPACES, text, end)
        if position == end and not text.startswith(")", position):
            raise StructuredFieldError(f"no space between items at {position}")
    parameters, position = _parameters(text, position + 1)
    return InnerList(tuple(items), parameters), position


# --- serializing (section 4.1) --------------------------------------------------------------------------------------

_IS_KEY = re.compile(rf"{_KEY.pattern}\Z")
_IS_TOKEN = re.compile(r"[A-Za-z*][!#$%&'*+\-.^_`|~0-9A-Za-z:/]*+\Z")
_IS_STRING = re.compile(r"[\x20-\x7e]*+\Z")
_NOT_DISPLAY = re.compile(rb"[^\x20\x21\x23\x24\x26-\x7e]")  # " and % among them


def is_structured_token(text: str) -> bool:
    """Whether ``text`` can be a ``Token``: it starts with a letter or ``*``, and may hold ``:`` and ``/``."""
    return _IS_TOKEN.match(text) is not None


def serialize_item(item: Item | BareItem) -> str:
    """The text of an item (section 4.1.3).

    Raises:
        StructuredFieldError: A value or key is outside what its type can carry.
    """
    if isinstance(item, Item):
        return _serialize_bare(item.value) + _serialize_parameters(item.parameters)
    return _serialize_bare(item)


def serialize_list(members: Iterable[Member | BareItem]) -> str:
    """The text of a list (section 4.1.1). It is empty for no members: the field is then not to be sent.

    Raises:
        StructuredFieldError: A value or key is outside what its type can carry.
    """
    return ", ".join([_serialize_member(member) for member in members])


def serialize_dictionary(members: Mapping[str, Member | BareItem]) -> str:
    """The text of a dictionary (section 4.1.2). It is empty for no members: the field is then not to be sent.

    Raises:
        StructuredFieldError: A value or key is outside what its type can carry.
    """
    parts = []
    for key, member in members.items():
        _check_key(key)
        value, parameters = member if isinstance(member, Item) else (member, _NONE)
        if value is True:
            parts.append(key + _serialize_parameters(parameters))
        else:
            parts.append(f"{key}={_serialize_member(member)}")
    return ", ".join(parts)


def _check_key(key: str) -> None:
    if _IS_KEY.match(key) is None:
        raise StructuredFieldError(f"{key!r} is not a key")


def _serialize_member(member: Member | BareItem) -> str:
    if isinstance(member, InnerList):
        items = " ".join([serialize_item(item) for item in member.items])
        return f"({items}){_serialize_parameters(member.parameters)}"
    return serialize_item(member)


def _serialize_parameters(parameters: Parameters) -> str:
    if not parameters:
        return ""
    text = ""
    for key, value in parameters.items():
        _check_key(key)
        text += f";{key}" if value is True else f";{key}={_serialize_bare(value)}"
    return text


def _serialize_bare(value: BareItem | Decimal) -> str:
    match value:
        case bool():
            return "?1" if value else "?0"
        case Date():
            return f"@{_serialize_integer(value)}"
        case int():
            return _serialize_integer(value)
        case Token():
            if not is_structured_token(value):
                raise StructuredFieldError(f"{str(value)!r} is not a token")
            return str(value)
        case DisplayString():
            return _serialize_display(value)
        case str():
            if _IS_STRING.match(value) is None:
                raise StructuredFieldError(f"{value!r} has characters that only a display string can carry")
            return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
        case bytes():
            return f":{b64encode(value).decode()}:"
        case float() | Decimal():
            return _serialize_decimal(value)
    raise StructuredFieldError(f"{type(value).__name__} is no type of a structured field")


def _serialize_integer(value: int) -> str:
    if not -_MAX_INTEGER <= value <= _MAX_INTEGER:
        raise StructuredFieldError("an integer has more than 15 digits")
    return str(int(value))


def _serialize_decimal(value: float | Decimal) -> str:
    # Through repr: 0.0025 is to be rounded as it is written, not as the binary number just beside it.
    exact = Decimal(repr(value)) if isinstance(value, float) else value
    if not (exact.is_finite() and abs(exact) <= _MAX_INTEGER):
        raise StructuredFieldError(f"{value} is out of a decimal's range")
    rounded = exact.quantize(_THOUSANDTH, ROUND_HALF_EVEN)
    if abs(rounded) >= 1_000_000_000_000:
        raise StructuredFieldError("a decimal has more than 12 digits before its point")
    whole, _, fraction = format(rounded, "f").partition(".")
    return f"{whole}.{fraction.rstrip('0') or '0'}"


def _serialize_display(value: str) -> str:
    try:
        encoded = str(value).encode()
    except UnicodeEncodeError:
        raise StructuredFieldError("a display string has a lone surrogate") from None
    return '%"' + _NOT_DISPLAY.sub(lambda match: b"%%%02x" % match[0][0], encoded).decode() + '"'
