"""Server-Timing (W3C Server Timing, section 3): where the time of a request went, for the browser's tools.

Rules of this module: pure; reading is lenient and never raises, and what it keeps is bounded.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import isfinite
from typing import Final

from tricorn.caching.directives import is_text
from tricorn_transports.http.fields import is_token, parse_parameters, quote, split_list

#: Metrics that are read of one field.
MAX_METRICS: Final = 256


@dataclass(frozen=True, slots=True)
class Metric:
    """One measure.

    Args:
        name: A token, such as ``db``.
        duration: Milliseconds.
        description: For people.

    Raises:
        ValueError: The name is not a token, the duration is negative or infinite, or the description has what no field
            value can carry.
    """

    name: str
    duration: float | None = field(default=None, kw_only=True)
    description: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if not is_token(self.name):
            raise ValueError(f"Server-Timing: {self.name!r} is not a token")
        if self.duration is not None and not (isfinite(self.duration) and self.duration >= 0):
            raise ValueError(f"Server-Timing: {self.duration} is no duration in milliseconds")
        if self.description is not None and not is_text(self.description):
            raise ValueError(f"Server-Timing: no field value can carry {self.description!r}")

    def to_header(self) -> str:
        """The field value of this one metric; the duration to the microsecond."""
        text = self.name
        if self.duration is not None:
            text += f";dur={f'{self.duration:.3f}'.rstrip('0').rstrip('.')}"
        if self.description is not None:
            text += f";desc={self.description if is_token(self.description) else quote(self.description)}"
        return text

    __str__ = to_header


def format_server_timing(metrics: Iterable[Metric]) -> str:
    """The value of Server-Timing for these metrics, in their order."""
    return ", ".join([metric.to_header() for metric in metrics])


def parse_server_timing(text: str) -> tuple[Metric, ...]:
    """The metrics of a field value, ``MAX_METRICS`` at most.

    A member whose name is not a token is left out, and so is a parameter that is unknown or malformed; of several
    equal parameters the first counts.
    """
    metrics: list[Metric] = []
    for member in split_list(text):
        if len(metrics) == MAX_METRICS:
            break
        name, parameters = parse_parameters(member)
        name = name.rstrip(" \t")
        if is_token(name):
            description = parameters.get("desc")
            metrics.append(
                Metric(
                    name,
                    duration=_duration(parameters.get("dur")),
                    description=description if description is not None and is_text(description) else None,
                )
            )
    return tuple(metrics)


def _duration(text: str | None) -> float | None:
    if text is None or len(text) > 64:
        return None
    try:
        duration = float(text)
    except ValueError:
        return None
    return duration if isfinite(duration) and duration >= 0 else None
