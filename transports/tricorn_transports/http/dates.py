"""HTTP dates (RFC 9110 section 5.6.7). Pure, but for the century of a year of two digits, which needs a clock."""

from __future__ import annotations

import re
from calendar import timegm
from datetime import UTC, datetime, timedelta
from functools import lru_cache

_DAY_NAMES = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTH_NAMES = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTHS = {name.lower(): number for number, name in enumerate(_MONTH_NAMES, start=1)}
_EPOCH = datetime(1970, 1, 1)

#: No date of the three formats is longer, and nothing longer is looked at.
_MAX_LENGTH = 64

#: The day's name carries nothing: it is neither needed nor held against the date. RFC 850 has dashes and two digits.
_IMF_OR_850 = re.compile(
    r"[A-Za-z]{3,9},[ ]*([0-9]{1,2})[ -]([A-Za-z]{3})[ -]([0-9]{4}|[0-9]{2})[ ]+"
    r"([0-9]{1,2}):([0-9]{2}):([0-9]{2})[ ]+(?i:GMT)\Z"
)
_ASCTIME = re.compile(
    r"[A-Za-z]{3}[ ]+([A-Za-z]{3})[ ]+([0-9]{1,2})[ ]+([0-9]{2}):([0-9]{2}):([0-9]{2})[ ]+([0-9]{4})\Z"
)


def format_date(seconds: float) -> str:
    """IMF-fixdate of a time in seconds since the epoch, rounded down: ``Sun, 06 Nov 1994 08:49:37 GMT``."""
    moment = _EPOCH + timedelta(seconds=seconds // 1)  # no platform's clock functions: any year is the same to it
    day, month = _DAY_NAMES[moment.weekday()], _MONTH_NAMES[moment.month - 1]
    return f"{day}, {moment.day:02} {month} {moment.year:04} {moment.hour:02}:{moment.minute:02}:{moment.second:02} GMT"


def parse_date(text: str) -> float | None:
    """Seconds since the epoch of an HTTP date in any of its three formats, or ``None`` if it is none of them.

    Letters are read in any case (RFC 9111 section 4.2). A year of two digits that would lie more than 50 years ahead is
    of the century before (RFC 9110 section 5.6.7).
    """
    return _parse(text.strip(" \t")) if len(text) <= _MAX_LENGTH else None


@lru_cache(256)  # a server sees the same few dates again and again
def _parse(text: str) -> float | None:
    match = _IMF_OR_850.match(text)
    if match is not None:
        day, month, year_text, *clock = match.groups()
    else:
        match = _ASCTIME.match(text)
        if match is None:
            return None
        month, day, *clock, year_text = match.groups()
    year, number = int(year_text), _MONTHS.get(month.lower(), 0)
    hour, minute, second = map(int, clock)
    if len(year_text) == 2:
        now = datetime.now(UTC)
        year += now.year - now.year % 100
        if (year - 50, number, int(day), hour, minute, second) > now.timetuple()[:6]:
            year -= 100
    leap = second == 60  # a leap second is the first second of the next minute
    try:
        moment = datetime(year, number, int(day), hour, minute, 59 if leap else second)
    except ValueError:
        return None
    return float(timegm(moment.timetuple()) + leap)
