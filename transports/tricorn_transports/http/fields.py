"""Field syntax of HTTP (RFC 9110 section 5.6): tokens, values, lists and parameters.

Rules of this module: pure functions; every parser is linear in its input; nothing here knows a particular field.
"""

from __future__ import annotations

import re

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
_TOKEN_BYTES = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
_FORBIDDEN_BYTES = re.compile(rb"[\x00\r\n]")


def is_token(text: str) -> bool:
    """Whether ``text`` is a token (RFC 9110 section 5.6.2)."""
    return _TOKEN.match(text) is not None


def is_token_bytes(data: bytes) -> bool:
    """Whether ``data`` is a token: a field name or a method."""
    return _TOKEN_BYTES.match(data) is not None


def is_safe_value(data: bytes) -> bool:
    """Whether a field value is free of CR, LF and NUL (RFC 9110 section 5.5), which would split a message."""
    return _FORBIDDEN_BYTES.search(data) is None


def split_list(text: str, separator: str = ",") -> list[str]:
    """The members of a comma-separated list, quoted strings respected, empty members dropped (section 5.6.1)."""
    if '"' not in text:
        return [member for part in text.split(separator) if (member := part.strip(" \t"))]
    members: list[str] = []
    start = 0
    quoted = escaped = False
    for index, char in enumerate(text):
        if escaped:
            escaped = False
        elif quoted:
            if char == "\\":
                escaped = True
            elif char == '"':
                quoted = False
        elif char == '"':
            quoted = True
        elif char == separator:
            members.append(text[start:index])
            start = index + 1
    members.append(text[start:])
    return [stripped for member in members if (stripped := member.strip(" \t"))]


def quote(text: str) -> str:
    """``text`` as a quoted-string."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def unquote(text: str) -> str:
    """The content of a quoted-string; a token comes back as it is."""
    if len(text) < 2 or text[0] != '"' or text[-1] != '"':
        return text
    if "\\" not in text:
        return text[1:-1]
    return re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL)


def parse_parameters(text: str) -> tuple[str, dict[str, str]]:
    """``value; name=value; name="quoted"`` as the value and its parameters, names in lower case (section 5.6.6)."""
    value, *rest = split_list(text, ";") or [""]
    parameters: dict[str, str] = {}
    for part in rest:
        name, _, argument = part.partition("=")
        name = name.strip(" \t").lower()
        if name and name not in parameters:
            parameters[name] = unquote(argument.strip(" \t"))
    return value, parameters
