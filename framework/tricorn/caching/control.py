"""Cache-Control as a value (RFC 9111 section 5.2, RFC 5861, RFC 8246).

What a program builds is checked, so that a policy which contradicts itself fails where it is written and not in a
cache. What a peer sent is read leniently, as the RFC wants it.

Rules of this module: the value is immutable, and its text is made once. What the directives are stands in
``directives``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Final, Generic, ParamSpec, TypeAlias, TypedDict, TypeVar, Unpack, cast, final, overload

from tricorn.caching.directives import (
    BY_ATTRIBUTE,
    BY_NAME,
    MAX_FIELD_NAMES,
    MAX_SECONDS,
    Contradiction,
    Extensions,
    Kind,
    Value,
    Values,
    contradictions,
    format_directives,
    in_order,
    is_text,
    merge_directives,
    parse_directives,
)
from tricorn_transports.http.fields import is_token, split_list

#: A time as an author writes it: seconds, or a ``timedelta``, of which a fraction of a second is dropped.
Seconds: TypeAlias = int | timedelta

#: A year: what a response that never changes is given.
YEAR: Final = 31_536_000

_SECOND: Final = timedelta(seconds=1)

_NO_FIELDS: Final = cast("bool | frozenset[str]", False)

P = ParamSpec("P")
T = TypeVar("T")


class Directives(TypedDict, total=False):
    """The keyword arguments of ``CacheControl``. ``False`` and ``None`` mean that a directive is not there."""

    public: bool
    private: bool | str | Iterable[str]
    no_cache: bool | str | Iterable[str]
    must_understand: bool
    no_store: bool
    max_age: Seconds | None
    s_maxage: Seconds | None
    immutable: bool
    must_revalidate: bool
    proxy_revalidate: bool
    stale_while_revalidate: Seconds | None
    stale_if_error: Seconds | None
    no_transform: bool
    min_fresh: Seconds | None
    max_stale: Seconds | bool | None
    only_if_cached: bool
    extensions: Mapping[str, str | None]


class _Attribute(Generic[T]):
    """What one directive says, read from a ``CacheControl``."""

    def __init__(self, name: str, absent: T) -> None:
        self._name = name
        self._absent = absent

    @overload
    def __get__(self, control: None, owner: type[CacheControl]) -> _Attribute[T]: ...
    @overload
    def __get__(self, control: CacheControl, owner: type[CacheControl]) -> T: ...
    def __get__(self, control: CacheControl | None, owner: type[CacheControl]) -> _Attribute[T] | T:
        return self if control is None else cast("T", control._values.get(self._name, self._absent))


class _Constructor(Generic[P, T]):
    """On the class, the constructor of a policy; on a value, what the directive of this name says.

    Were it a class method alone, ``if control.no_store:`` would be true of every value.
    """

    def __init__(self, name: str, absent: T, construct: Callable[P, CacheControl]) -> None:
        self._name = name
        self._absent = absent
        self._construct = construct

    @overload
    def __get__(self, control: None, owner: type[CacheControl]) -> Callable[P, CacheControl]: ...
    @overload
    def __get__(self, control: CacheControl, owner: type[CacheControl]) -> T: ...
    def __get__(self, control: CacheControl | None, owner: type[CacheControl]) -> Callable[P, CacheControl] | T:
        return self._construct if control is None else cast("T", control._values.get(self._name, self._absent))


def _public(**directives: Unpack[Directives]) -> CacheControl:
    """Any cache may store the response, even where a request carried Authorization."""
    directives["public"] = True
    return CacheControl(**directives)


def _private(*fields: str, **directives: Unpack[Directives]) -> CacheControl:
    """Only the user's own cache may store the response, or these fields of it."""
    directives["private"] = fields or True
    return CacheControl(**directives)


def _no_cache(*fields: str, **directives: Unpack[Directives]) -> CacheControl:
    """The response, or these fields of it, may be stored, and is validated before every use."""
    directives["no_cache"] = fields or True
    return CacheControl(**directives)


def _no_store(**directives: Unpack[Directives]) -> CacheControl:
    """No cache may store the response."""
    directives["no_store"] = True
    return CacheControl(**directives)


def _immutable(**directives: Unpack[Directives]) -> CacheControl:
    """The response never changes: fresh for a year unless ``max_age`` says otherwise, and not validated meanwhile."""
    directives["immutable"] = True
    directives.setdefault("max_age", YEAR)
    return CacheControl(**directives)


@final
class CacheControl:
    """The directives of one Cache-Control field, of a response or a request.

    ``CacheControl.public(max_age=60)`` reads best; ``.private()``, ``.no_store()``, ``.no_cache()`` and
    ``.immutable()`` are the others. Each directive is an attribute: ``bool`` for those without argument, ``int``
    seconds or ``None`` for times, and for ``private`` and ``no_cache`` either a ``bool`` or the lower-case names of the
    fields that they hold for. A ``max_stale`` without argument (any time) is ``MAX_SECONDS``.

    Args:
        directives: See ``Directives``. Times are ``int`` seconds or ``timedelta``, 0 to 2**31 seconds; ``private`` and
            ``no_cache`` take ``True`` or field names; ``max_stale=True`` accepts any; ``extensions`` maps the names of
            other directives to their argument, or to ``None`` if they have none.

    Raises:
        ValueError: Two directives contradict each other, or an argument cannot be one.
        TypeError: There is no such directive, or a time is no time.
    """

    __slots__ = ("_extensions", "_text", "_values")

    public = _Constructor("public", False, _public)
    private = _Constructor("private", _NO_FIELDS, _private)
    no_cache = _Constructor("no-cache", _NO_FIELDS, _no_cache)
    must_understand = _Attribute("must-understand", False)
    no_store = _Constructor("no-store", False, _no_store)
    max_age = _Attribute["int | None"]("max-age", None)
    s_maxage = _Attribute["int | None"]("s-maxage", None)
    immutable = _Constructor("immutable", False, _immutable)
    must_revalidate = _Attribute("must-revalidate", False)
    proxy_revalidate = _Attribute("proxy-revalidate", False)
    stale_while_revalidate = _Attribute["int | None"]("stale-while-revalidate", None)
    stale_if_error = _Attribute["int | None"]("stale-if-error", None)
    no_transform = _Attribute("no-transform", False)
    min_fresh = _Attribute["int | None"]("min-fresh", None)
    max_stale = _Attribute["int | None"]("max-stale", None)
    only_if_cached = _Attribute("only-if-cached", False)

    def __init__(self, **directives: Unpack[Directives]) -> None:
        extensions = directives.pop("extensions", {})
        self._set(_values_of(directives), _extensions_of(extensions) if extensions else {})
        self._check()

    def _set(self, values: Values, extensions: Extensions) -> None:
        self._values = values
        self._extensions = extensions
        self._text: str | None = None

    def _check(self) -> None:
        for contradiction in contradictions(self._values) if self._values else ():
            raise ValueError(f"Cache-Control: {contradiction}")

    @classmethod
    def parse(cls, text: str) -> CacheControl:
        """The directives of a field value that was received; several field lines are joined with ``", "``.

        It never raises: unknown directives become extensions, the first of several equal ones counts, a malformed time
        is 0 (the response is stale), one above 2**31 is 2**31 (RFC 9111 sections 1.2.2, 4.2.1 and 5.2). What
        contradicts itself is kept as it is; ``contradictions`` tells.
        """
        return cls.of_parts(*parse_directives(text))

    @classmethod
    def of_parts(cls, values: Values, extensions: Extensions) -> CacheControl:
        """What a parser has read, unchecked; the mappings are kept, and not to be changed any more."""
        control = cls.__new__(cls)
        control._set(values, extensions)
        return control

    def replace(self, **changes: Unpack[Directives]) -> CacheControl:
        """The same with other directives; ``False`` or ``None`` takes one away.

        Raises:
            ValueError: What comes out contradicts itself, or an argument cannot be one.
        """
        extensions = _extensions_of(changes.pop("extensions")) if "extensions" in changes else self._extensions
        values = {name: value for name, value in self._values.items() if name.replace("-", "_") not in changes}
        control = CacheControl.of_parts({**values, **_values_of(changes)}, extensions)
        control._check()
        return control

    def merge(self, over: CacheControl) -> CacheControl:
        """These directives with those of ``over`` on top; those of these that contradict them give way.

        So a route's policy refines that of its app: ``public(max_age=60).merge(no_store())`` is ``no-store``.

        Raises:
            ValueError: One of the two contradicts itself.
        """
        control = CacheControl.of_parts(
            merge_directives(self._values, over._values), {**self._extensions, **over._extensions}
        )
        control._check()
        return control

    @property
    def directives(self) -> Values:
        """The known directives by their names in the field, in canonical order; one without argument is ``True``."""
        return MappingProxyType({name: self._values[name] for name in in_order(self._values)})

    @property
    def extensions(self) -> Extensions:
        """The other directives with their argument, or ``None`` if they have none."""
        return MappingProxyType(dict(self._extensions))

    @property
    def contradictions(self) -> list[Contradiction]:
        """What the directives say against one another: always nothing, unless the value was parsed."""
        return contradictions(self._values)

    def to_header(self) -> str:
        """The canonical field value: known directives in a fixed order, then the extensions in theirs."""
        if self._text is None:
            self._text = format_directives(self._values, self._extensions)
        return self._text

    __str__ = to_header

    def __repr__(self) -> str:
        return f"CacheControl.parse({self.to_header()!r})"

    def __bool__(self) -> bool:
        """Whether it says anything."""
        return bool(self._values or self._extensions)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, CacheControl):
            return NotImplemented
        return self._values == other._values and self._extensions == other._extensions

    def __hash__(self) -> int:
        return hash((frozenset(self._values.items()), frozenset(self._extensions.items())))


def _values_of(directives: Directives) -> dict[str, Value]:
    values: dict[str, Value] = {}
    for attribute, argument in directives.items():
        directive = BY_ATTRIBUTE.get(attribute)
        if directive is None:
            raise TypeError(f"Cache-Control: there is no directive {attribute!r}; others go into extensions")
        if argument is None or argument is False:
            continue
        if argument is True and directive.kind is not Kind.SECONDS:
            values[directive.name] = MAX_SECONDS if directive.kind is Kind.SECONDS_OR_ANY else True
        elif directive.kind is Kind.FIELDS:
            values[directive.name] = _names_of(directive.name, argument)
        elif directive.kind is Kind.FLAG:
            raise TypeError(f"Cache-Control: {directive.name} is True or False, not {argument!r}")
        else:
            values[directive.name] = _seconds_of(directive.name, argument)
    return values


def _seconds_of(name: str, argument: object) -> int:
    if isinstance(argument, timedelta):
        argument = argument // _SECOND
    if not isinstance(argument, int) or argument is True:
        raise TypeError(f"Cache-Control: {name} is seconds or a timedelta, not {argument!r}")
    if not 0 <= argument <= MAX_SECONDS:
        raise ValueError(f"Cache-Control: {name} is from 0 to {MAX_SECONDS} seconds, not {argument}")
    return argument


def _names_of(name: str, argument: object) -> frozenset[str]:
    if not isinstance(argument, Iterable):
        raise TypeError(f"Cache-Control: {name} is True or field names, not {argument!r}")
    fields = frozenset(
        str(field).lower() for field in (split_list(argument) if isinstance(argument, str) else argument)
    )
    for field in fields:
        if not is_token(field):
            raise ValueError(f"Cache-Control: {name} names a field {field!r}, which is not a token")
    if not 0 < len(fields) <= MAX_FIELD_NAMES:
        raise ValueError(f"Cache-Control: {name} names 1 to {MAX_FIELD_NAMES} fields, not {len(fields)}")
    return fields


def _extensions_of(extensions: Extensions) -> dict[str, str | None]:
    checked: dict[str, str | None] = {}
    for name, argument in extensions.items():
        name = name.lower()
        if not is_token(name):
            raise ValueError(f"Cache-Control: an extension is called {name!r}, which is not a token")
        if name in BY_NAME:
            raise ValueError(f"Cache-Control: {name} is no extension; give it as {BY_NAME[name].attribute}")
        if argument is not None and not is_text(argument):
            raise ValueError(f"Cache-Control: no field value can carry {name}={argument!r}")
        checked[name] = argument
    return checked
