"""A response's fields, as its judge reads them and adds to them.

Rules of this module: it knows what the fields mean, and decides nothing. The message is copied before anything is
added: an application may send the same one again and again.
"""

from __future__ import annotations

from tricorn.caching.conditional import Validators
from tricorn.caching.etag import ETag
from tricorn.headers import RawHeaders
from tricorn.types import Message
from tricorn_transports.http.dates import parse_date

#: How the names of targeted fields end, and those of their forerunners.
_TARGETED = (b"-cache-control", b"surrogate-control", b"edge-control")


class ResponseFields:
    """A response's start message with its fields, to be added to."""

    __slots__ = ("_by_name", "_is_ours", "raw", "start")

    def __init__(self, start: Message) -> None:
        self.start = start
        self.raw: RawHeaders = start.get("headers", [])
        self._by_name = dict(self.raw)
        self._is_ours = False

    def get(self, name: bytes) -> bytes | None:
        """The last value of a name."""
        return self._by_name.get(name)

    def add(self, name: bytes, value: bytes) -> None:
        """Adds a field."""
        if not self._is_ours:
            self._is_ours = True
            self.raw = list(self.raw)
            self.start = {**self.start, "headers": self.raw}
        self.raw.append((name, value))
        self._by_name[name] = value

    def validators(self) -> Validators:
        """``ETag`` and ``Last-Modified``; what is malformed is none."""
        modified = self.get(b"last-modified")
        return Validators(self.etag(), None if modified is None else parse_date(modified.decode("latin-1")))

    def etag(self) -> ETag | None:
        """``ETag``."""
        tag = self.get(b"etag")
        return None if tag is None else ETag.parse(tag.decode("latin-1"))

    def is_cuttable(self, auto_etag: str | None) -> bool:
        """Whether two answers of the same tag have the same bytes, so that parts of them fit together.

        A coding may have been made on the fly, and come out in other bytes the next time, whatever the tag says:
        not every middleware that compresses weakens it. What was compressed before makes an offer.

        Args:
            auto_etag: How a response without a tag gets one.
        """
        if self.get(b"content-encoding") is not None or self.refuses_ranges():
            return False
        tag = self.get(b"etag")
        return auto_etag != "weak" if tag is None else not tag.startswith(b"W/")

    def refuses_ranges(self) -> bool:
        """Whether the application has said that there are no parts to be had (RFC 9110 section 14.3)."""
        return self.get(b"accept-ranges") == b"none"

    def accept_ranges(self) -> None:
        """Says that parts can be asked for (RFC 9110 section 14.3)."""
        if self.get(b"accept-ranges") is None:
            self.add(b"accept-ranges", b"bytes")


def is_unstorable(headers: RawHeaders) -> bool:
    """Whether nobody may store a response, so that a validator were in vain.

    ``no-store`` is not for a cache that goes by a targeted field (RFC 9213 section 2.2), nor for one that knows
    ``must-understand`` (RFC 9111 section 5.2.2.3).
    """
    policy = b",".join([value for name, value in headers if name == b"cache-control"]).lower()
    return (
        b"no-store" in policy
        and b"must-understand" not in policy
        and not any(name.endswith(_TARGETED) for name, _ in headers)
    )
