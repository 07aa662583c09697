"""Path and host templates: ``/items/{id:int}``, ``{tenant}.example.com``.

Rules of this module: a path is matched in *text form*: decoded, but with ``ENCODED_SLASH`` in the place of every
``%2F``. So a path is decoded once, an encoded slash can never be taken for one that separates segments, and text
form and decoded path have the same length, character for character. Parameters get their slash back. A path, which is
the client's, costs time in proportion to its length, whatever the template: see ``_Ambiguity``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from inspect import formatannotation
from math import isinf
from typing import Any, Generic, TypeVar, Union, get_origin
from urllib.parse import quote, unquote_to_bytes
from uuid import UUID

from tricorn.exceptions import NoRoute
from tricorn.types import Scope
from tricorn.url import PATH_SAFE

T = TypeVar("T")

#: Stands for ``%2F`` in a text form. A lone surrogate: decoding UTF-8 never makes one.
ENCODED_SLASH = "\ud82f"

_SEGMENT_SAFE = PATH_SAFE.replace("/", "")
_SLASH = re.compile(rb"%2[Ff]")
_PARAMETER = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True, slots=True)
class Converter(Generic[T]):
    """How a parameter of a template is matched, read and written.

    Attributes:
        name: What templates call it: ``{id:name}``.
        type: The annotation of a handler's parameter that means this converter.
        regex: What its text looks like, without groups that capture.
        parse: Text to value; a ``ValueError`` means "no match".
        format: Value to text, for ``url_for``.
        multiple: The text may go over several segments.
    """

    name: str
    type: type[T]
    regex: str
    parse: Callable[[str], T]
    format: Callable[[T], str] = str
    multiple: bool = False


def _format_int(value: int) -> str:
    if int(value) < 0:
        raise ValueError(f"{value} is negative")
    return str(int(value))


def _parse_float(text: str) -> float:
    value = float(text)
    if isinf(value):
        raise ValueError("a number in a path is finite")
    return value


def _format_float(value: float) -> str:
    text = f"{float(value):.20f}".rstrip("0").rstrip(".")
    if not re.fullmatch(r"[0-9]+(?:\.[0-9]+)?", text):
        raise ValueError(f"{value} cannot stand in a path")
    return text


class PathText(str):
    """The annotation that means ``{name:path}``: text that may go over several segments."""

    __slots__ = ()


_converters: dict[str, Converter[Any]] = {}
_by_type: dict[type, Converter[Any]] = {}


def register_converter(converter: Converter[Any]) -> None:
    """Makes a converter known, for templates that are made from now on.

    Raises:
        ValueError: There is one of that name already, or its regular expression captures.
    """
    if converter.name in _converters:
        raise ValueError(f"converter: there is one named {converter.name!r} already")
    if re.compile(converter.regex).groups:
        raise ValueError(f"converter {converter.name}: its regular expression may have no capturing group")
    _converters[converter.name] = converter
    _by_type.setdefault(converter.type, converter)


def converter_for(annotation: object) -> Converter[Any] | None:
    """The converter that an annotation means, if any."""
    return _by_type.get(annotation) if isinstance(annotation, type) else None


STR = Converter("str", str, r"[^/]+", str)
PATH = Converter("path", PathText, r".*", PathText, multiple=True)
for _converter in (
    STR,
    PATH,
    Converter("int", int, r"[0-9]+", int, _format_int),
    Converter("float", float, r"[0-9]+(?:\.[0-9]+)?", _parse_float, _format_float),
    Converter("uuid", UUID, r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", UUID),
):
    register_converter(_converter)


def split_template(template: str, what: str) -> list[str | tuple[str, str | None]]:
    """Literal texts and ``(name, converter's name or None)`` pairs, in order.

    Raises:
        ValueError: Braces do not pair, a name is no identifier or occurs twice.
    """
    parts: list[str | tuple[str, str | None]] = []
    names: set[str] = set()
    end = 0
    for match in _PARAMETER.finditer(template):
        if match.start() > end:
            parts.append(template[end : match.start()])
        elif parts:
            raise ValueError(f"{what} {template!r}: there must be something between two parameters")
        end = match.end()
        name, colon, converter = match[1].partition(":")
        if not name.isidentifier():
            raise ValueError(f"{what} {template!r}: {name!r} is no parameter's name")
        if name in names:
            raise ValueError(f"{what} {template!r}: {name!r} occurs twice")
        names.add(name)
        parts.append((name, converter if colon else None))
    if end < len(template):
        parts.append(template[end:])
    if any(isinstance(part, str) and ("{" in part or "}" in part) for part in parts):
        raise ValueError(f"{what} {template!r}: a brace has no partner")
    return parts


class _Ambiguity:
    """Where a path could be divided among the parameters of a template in several ways, the last place counts.

    In ``/{name}.{ext}`` the extension has no dot in it: ``name`` would have taken that. A regular expression that left
    it open would try all divisions before it finds that none leads on, and a path of 16 KiB has more than a processor
    gets through.
    """

    def __init__(self) -> None:
        # What stands between here and the last text in this segment, and the last text over several segments.
        self._since_text: str | None = None
        self._since_path: str | None = None

    def literal(self, text: str) -> str:
        """The regular expression of a literal part."""
        regex = re.escape(text)
        self._add(regex)
        if "/" in text:
            self._since_text = None
        return regex

    def parameter(self, converter: Converter[Any]) -> str:
        """The regular expression of a parameter that comes next."""
        in_segment = "" if self._since_text is None else f"(?!{self._since_text}[^/])"
        over_segments = "" if self._since_path is None else f"(?!{self._since_path})"
        regex = converter.regex
        if converter is STR and in_segment:
            regex = f"(?:{in_segment}[^/])+"
        elif converter is STR and self._since_path and "/" not in self._since_path:
            regex = f"(?:(?!{self._since_path}[^/])[^/])+"
        elif converter is PATH and in_segment:
            regex = f"(?:{in_segment}{over_segments}[^/])*(?:/(?:{over_segments}.)*)?"
        elif converter is PATH and over_segments:
            regex = f"(?:{over_segments}.)*"
        self._add(f"(?:{regex})")
        if converter is STR:
            self._since_text = ""
        elif converter is PATH:
            self._since_path = ""
        return regex

    def _add(self, regex: str) -> None:
        if self._since_text is not None:
            self._since_text += regex
        if self._since_path is not None:
            self._since_path += regex


class PathPattern:
    """A compiled path template.

    Args:
        template: Begins with ``/``; literal parts are decoded text.
        annotations: The annotation of the handler's parameter, where the template names no converter.
        prefix: It matches the beginning of a path up to a slash (a mount) and not a whole path.

    Raises:
        ValueError: The template is malformed, or a converter is not known or contradicts the annotation.
    """

    __slots__ = ("_parts", "_prefix", "_regex", "converters", "first", "template")

    def __init__(self, template: str, annotations: Mapping[str, object] | None = None, *, prefix: bool = False) -> None:
        if not (template.startswith("/") or (prefix and not template)):
            raise ValueError(f"path {template!r} does not begin with /")
        annotations = annotations or {}
        self.template: str = template
        self.converters: dict[str, Converter[Any]] = {}
        self._parts: list[str | tuple[str, str]] = []
        self._prefix = prefix
        regex = ""
        ambiguity = _Ambiguity()
        for part in split_template(template, "path"):
            if isinstance(part, str):
                self._parts.append(part)
                regex += ambiguity.literal(part)
                continue
            name, wanted = part
            converter = _choose(template, name, wanted, annotations.get(name))
            self.converters[name] = converter
            own = ambiguity.parameter(converter)
            self._parts.append((name, own))
            regex += f"(?P<{name}>{own})"
        self._regex = re.compile(regex + ("(?=/)" if prefix else ""), re.DOTALL)
        first = template.split("/")[1] if template else ""
        #: The first segment, where it is literal: an index for routers. ``None`` where it is not.
        self.first: str | None = None if "{" in first or not template.strip("/") else first

    @property
    def is_static(self) -> bool:
        """Whether it has no parameters."""
        return not self.converters

    def match(self, text: str) -> tuple[dict[str, Any], int] | None:
        """The parameters and the length of what was matched, or ``None``.

        Args:
            text: A path in text form.
        """
        match = self._regex.match(text) if self._prefix else self._regex.fullmatch(text)
        if match is None:
            return None
        params: dict[str, Any] = {}
        for name, value in match.groupdict().items():
            try:
                params[name] = self.converters[name].parse(value.replace(ENCODED_SLASH, "/"))
            except ValueError:
                return None
        return params, match.end()

    def build(self, params: Mapping[str, object]) -> str:
        """The percent-encoded path with these parameters; others than its own are ignored.

        Raises:
            NoRoute: A parameter is missing, or the template would not match it again.
        """
        path = ""
        for part in self._parts:
            if isinstance(part, str):
                path += quote(part, safe=PATH_SAFE)
                continue
            name, regex = part
            converter = self.converters[name]
            if name not in params:
                raise NoRoute(f"{self.template} needs the parameter {name!r}")
            try:
                text = converter.format(params[name])
            except (ValueError, TypeError) as error:
                raise NoRoute(f"{self.template}: {name}: {error}") from error
            in_text_form = text if converter.multiple else text.replace("/", ENCODED_SLASH)
            if re.fullmatch(regex, in_text_form, re.DOTALL) is None:
                raise NoRoute(f"{self.template}: {name} cannot be {text!r}")
            path += quote(text, safe=PATH_SAFE if converter.multiple else _SEGMENT_SAFE)
        return path

    def __repr__(self) -> str:
        return f"PathPattern({self.template!r})"


def _choose(template: str, name: str, wanted: str | None, annotation: object) -> Converter[Any]:
    """The converter that a template names, else the one that the handler's annotation means."""
    meant = converter_for(annotation)
    if wanted is None:
        if isinstance(annotation, str):
            raise ValueError(f"path {template!r}: the annotation {annotation} of {name!r} is not known at run time")
        kind = get_origin(annotation) or annotation
        if meant is None and (isinstance(kind, type) or kind is Union) and annotation is not object:
            raise ValueError(f"path {template!r}: no converter makes {formatannotation(annotation)} for {name!r}")
        return meant or STR
    converter = _converters.get(wanted)
    if converter is None:
        known = ", ".join(sorted(_converters))
        raise ValueError(f"path {template!r}: there is no converter {wanted!r} (there are: {known})")
    # {rest:path} annotated as str is how everybody writes it: what comes is a str.
    if meant is not None and meant is not converter and not (meant is STR and converter.type is PathText):
        raise ValueError(f"path {template!r}: {name!r} is {wanted} here and {meant.type.__name__} in the handler")
    return converter


class HostPattern:
    """A compiled host template; a parameter is one label. Ports do not count, nor does case.

    Raises:
        ValueError: The template is malformed.
    """

    __slots__ = ("_parts", "_regex", "names", "template")

    def __init__(self, template: str) -> None:
        self.template: str = template
        self._parts = split_template(template, "host")
        self.names: set[str] = set()
        regex = ""
        since: str | None = None  # see _Ambiguity: what stands between here and the last parameter of this label
        for part in self._parts:
            if isinstance(part, str):
                regex += re.escape(part)
                since = None if since is None or "." in part else re.escape(part)
                continue
            name, converter = part
            if converter is not None:
                raise ValueError(f"host {template!r}: the parameters of hosts have no converters")
            self.names.add(name)
            before = "" if since is None else f"(?!{since}[^.:\\[\\]])"
            regex += f"(?P<{name}>(?:{before}[^.:\\[\\]])+)"
            since = ""
        self._regex = re.compile(regex, re.IGNORECASE)

    def match(self, host: str) -> dict[str, Any] | None:
        """The parameters, in lower case, or ``None``.

        Args:
            host: Without a port.
        """
        match = self._regex.fullmatch(host.rstrip("."))
        return None if match is None else {name: value.lower() for name, value in match.groupdict().items()}

    def build(self, params: Mapping[str, object]) -> str:
        """The host with these parameters.

        Raises:
            NoRoute: A parameter is missing or is no label.
        """
        host = ""
        for part in self._parts:
            if isinstance(part, str):
                host += part
                continue
            value = str(params.get(part[0], ""))
            if re.fullmatch(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?", value) is None:
                raise NoRoute(f"{self.template}: {part[0]} cannot be {value!r}")
            host += value
        return host


def text_form(scope: Scope) -> str:
    """The request's path below ``root_path``, in text form.

    The server's ``path`` decides; ``raw_path`` only tells which of its slashes were encoded, and is left aside where
    it tells of another path (a middleware that rewrites ``path``). Per ASGI 2.5 ``path`` includes ``root_path``;
    servers that leave it out are understood.
    """
    path: str = scope["path"]
    root: str = scope.get("root_path") or ""
    text = path
    raw: bytes | None = scope.get("raw_path")
    if raw is not None and (b"%2F" in raw or b"%2f" in raw):
        # Split first: what is between two encoded slashes is whole, since no UTF-8 sequence contains one.
        text = ENCODED_SLASH.join(unquote_to_bytes(part).decode("utf-8", "replace") for part in _SLASH.split(raw))
        decoded = text.replace(ENCODED_SLASH, "/")
        if decoded != path:
            text = root + text if root + decoded == path else path
    if root and is_below(path, root):
        text = text[len(root) :]
    return text or "/"


def is_below(path: str, root: str) -> bool:
    """Whether a scope's ``path`` includes its ``root_path``, as ASGI 2.5 has it."""
    return path.startswith(root) and path[len(root) : len(root) + 1] in ("", "/")
