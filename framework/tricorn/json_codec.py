"""JSON text of values and values of JSON text (RFC 8259): what requests, responses and WebSockets share.

Rules of this module: pure. What cannot be said in JSON is neither read nor written: no NaN and no infinity, so that a
value which was read can always be written again.
"""

from __future__ import annotations

import json
import math
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from tricorn.url import URL


class InvalidJSON(ValueError):
    """The text is not JSON, or not JSON that can be read; the message says why, without "the text"."""


def _default(value: object) -> object:
    """What JSON has no form of its own for. Times are ISO 8601, decimals strings so that no digit gets lost."""
    if isinstance(value, URL):
        return str(value)
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, (UUID, Decimal)):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: getattr(value, each.name) for each in fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, (set, frozenset)):
        return list(value)
    raise TypeError(f"{type(value).__name__} is not JSON serializable")


_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_default).encode


def encode_json(value: object) -> bytes:
    """A value as JSON: UTF-8 without white space. The default of everything that takes an ``Encoder``.

    Raises:
        TypeError: JSON has no form for it.
        ValueError: It holds NaN or an infinity, or itself.
    """
    # A lone surrogate, which JSON can say but UTF-8 cannot, goes as it came: escaped (RFC 8259 section 8.2).
    return _encode(value).encode("utf-8", "backslashreplace")


def _refuse_constant(name: str) -> float:
    raise InvalidJSON(f"is not JSON: {name} is no number")


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise InvalidJSON(f"is not JSON that can be read: the number {digits[:20]} is too large")
    return number


_decoder = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite)


def decode_json(text: str | bytes) -> Any:
    """The value of a JSON text. ``Any``, because only its reader knows what it expects.

    Args:
        text: As text, or in UTF-8; a byte order mark is skipped (RFC 8259 section 8.1).

    Raises:
        InvalidJSON: It is something else, is nested too deeply, or has a number that is too large.
    """
    try:
        return _decoder.decode((text.decode() if isinstance(text, bytes) else text).removeprefix("\ufeff"))
    except InvalidJSON:
        raise
    except UnicodeDecodeError as error:
        raise InvalidJSON(f"is not JSON: byte {error.start} is not UTF-8") from error
    except json.JSONDecodeError as error:
        raise InvalidJSON(f"is not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from error
    except RecursionError as error:
        raise InvalidJSON("is not JSON that can be read: it is nested too deeply") from error
    except ValueError as error:  # int() takes no more than 4300 digits
        raise InvalidJSON("is not JSON that can be read: a number has too many digits") from error
