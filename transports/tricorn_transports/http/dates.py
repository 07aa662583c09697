"""HTTP dates (RFC 9110 section 5.6.7). Pure: the time is an argument."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import formatdate

_MONTHS = {
    name: number
    for number, name in enumerate(
        ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), start=1
    )
}


def format_date(seconds: float) -> str:
    """IMF-fixdate of a time in seconds since the epoch: ``Sun, 06 Nov 1994 08:49:37 GMT``."""
    return formatdate(int(seconds), usegmt=True)


def parse_date(text: str) -> float | None:
    """Seconds since the epoch of an HTTP date in any of its three formats, or ``None`` if it is none of them.

    A two-digit year that would lie more than 50 years ahead is taken as of the century before (RFC 9110
    section 5.6.7); the caller's clock decides what "ahead" means only to the year, so the current year is used.
    """
    parts = text.replace("-", " ").replace(",", " ").split()
    try:
        if len(parts) == 6 and parts[5].upper() == "GMT":  # IMF-fixdate and RFC 850
            day, month, year_text, clock = parts[1], parts[2], parts[3], parts[4]
        elif len(parts) == 5:  # asctime
            month, day, clock, year_text = parts[1], parts[2], parts[3], parts[4]
        else:
            return None
        year = int(year_text)
        if len(year_text) == 2:
            this_year = datetime.now(UTC).year
            year += this_year - this_year % 100
            if year > this_year + 50:
                year -= 100
        elif len(year_text) != 4:
            return None
        hour, minute, second = (int(part) for part in clock.split(":"))
        moment = datetime(year, _MONTHS[month.lower()], int(day), hour, minute, min(second, 59), tzinfo=UTC)
    except (ValueError, KeyError, OverflowError):
        return None
    return moment.timestamp() + (1 if second == 60 else 0)
