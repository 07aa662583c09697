"""Targeted cache control (RFC 9213): ``CDN-Cache-Control`` and fields of that kind with a name of one's own.

They say what Cache-Control says, to some caches only, and in the syntax of structured fields: one error voids the whole
field, and names are lower-case. So a cache that knows the field and one that does not never disagree on what it reads.

Rules of this module: pure. A value of the wrong type is not converted (section 2.1): a time that is no integer is 0.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from tricorn.caching.control import CacheControl
from tricorn.caching.directives import BY_NAME, MAX_SECONDS, Kind, Value, is_text, merge_fields
from tricorn.headers import Headers, HeadersInit
from tricorn_transports.http.structured import (
    BareItem,
    InnerList,
    StructuredFieldError,
    Token,
    is_structured_token,
    parse_dictionary,
    serialize_dictionary,
)

#: The target list of a content delivery network that goes by the RFC alone (section 3.1).
CDN: Final = ("CDN-Cache-Control",)


class Policy(NamedTuple):
    """The directives that hold for a cache, and the field they came from (empty if the response has none)."""

    control: CacheControl
    field: str

    @property
    def is_targeted(self) -> bool:
        """Whether it came from a targeted field: the cache then ignores Cache-Control and Expires (section 2.2)."""
        return self.field not in ("", "Cache-Control")


def parse_targeted(text: str) -> CacheControl | None:
    """The directives of a targeted field, or ``None`` where it is to be ignored: empty, or not a dictionary (2.1).

    Parameters are ignored, and unknown directives are extensions. A time is an integer, else it is 0, and 0 if it is
    negative; field names are a string, else the directive holds for the whole response.
    """
    try:
        members = parse_dictionary(text)
    except StructuredFieldError:
        return None
    if not members:
        return None
    values: dict[str, Value] = {}
    extensions: dict[str, str | None] = {}
    for name, member in members.items():
        value = None if isinstance(member, InnerList) else member.value
        if value is False:
            continue
        directive = BY_NAME.get(name)
        if directive is None:
            _add_extension(extensions, name, value)
        elif directive.kind is Kind.FLAG:
            values[name] = True
        elif directive.kind is Kind.FIELDS:
            values[name] = merge_fields(frozenset(), value if type(value) is str else None)
        elif directive.kind is Kind.SECONDS_OR_ANY and value is True:
            values[name] = MAX_SECONDS
        else:
            values[name] = min(max(value, 0), MAX_SECONDS) if type(value) is int else 0
    return CacheControl.of_parts(values, extensions)


def _add_extension(extensions: dict[str, str | None], name: str, value: BareItem | None) -> None:
    if value is True or value is None:
        extensions[name] = None
    elif isinstance(value, (int, float)) or (isinstance(value, str) and is_text(value)):
        extensions[name] = str(value)


def format_targeted(control: CacheControl) -> str:
    """The value of a targeted field with these directives.

    Raises:
        ValueError: There is none of them, and an empty field would be ignored (section 2.2); or an extension cannot
            stand in a structured field.
    """
    if not control:
        raise ValueError("a targeted field without directives is ignored; leave it out")
    members: dict[str, BareItem] = {}
    for name, value in control.directives.items():
        members[name] = ", ".join(sorted(value)) if isinstance(value, frozenset) else value
    for name, argument in control.extensions.items():
        members[name] = True if argument is None else _typed(argument)
    return serialize_dictionary(members)


def _typed(argument: str) -> BareItem:
    """An extension's argument as section 2.1 maps it: digits are an integer, a token that starts as one is a token."""
    if argument.isascii() and argument.isdigit() and len(argument) <= 15:
        return int(argument)
    return Token(argument) if is_structured_token(argument) else argument


def choose_policy(headers: HeadersInit, targets: Iterable[str] = ()) -> Policy:
    """The directives that a cache goes by (section 2.2).

    Args:
        headers: The response's fields.
        targets: The cache's target list: names of targeted fields, the most specific first. Without one it goes by
            Cache-Control, as browsers do.

    Returns:
        The first targeted field that is neither empty nor malformed, else Cache-Control.
    """
    headers = Headers.of(headers)
    for name in targets:
        lines = headers.getlist(name)
        control = parse_targeted(", ".join(lines)) if lines else None
        if control is not None:
            return Policy(control, name)
    lines = headers.getlist("cache-control")
    return Policy(CacheControl.parse(", ".join(lines)), "Cache-Control") if lines else Policy(CacheControl(), "")
