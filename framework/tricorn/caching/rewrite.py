"""The fields of a 304, a 206 or an error, made of those that the 200 would have had.

Rules of this module: pure; raw fields in, raw fields out, names in lower case. What a status may carry is said here
once, for every kind of response.
"""

from __future__ import annotations

from typing import Final

from tricorn.caching.ranges import ContentRange
from tricorn.headers import MutableHeaders, RawHeaders

#: Representation metadata that the client has already, and what frames or describes a content that does not come
#: (RFC 9110 section 15.4.5). A policy for the content goes with it: a new nonce would not fit the stored page.
_NOT_IN_304: Final = frozenset(
    {
        b"accept-ranges", b"content-digest", b"content-disposition", b"content-encoding", b"content-language",
        b"content-length", b"content-md5", b"content-range", b"content-security-policy",
        b"content-security-policy-report-only", b"content-type", b"digest", b"link", b"repr-digest", b"trailer",
        b"transfer-encoding",
    }
)  # fmt: skip

#: The date says nothing more where there is a tag.
_NOT_IN_304_WITH_TAG: Final = _NOT_IN_304 | {b"last-modified"}

#: What is said of the representation and of how long it may be kept, none of which holds for an error about it.
_NOT_IN_ERROR: Final = (_NOT_IN_304 | {b"age", b"cache-control", b"content-location", b"etag", b"expires"}) - {
    b"content-security-policy",
    b"content-security-policy-report-only",
}

#: What describes the message's own content, of which a part is sent.
_NOT_IN_PART: Final = frozenset(
    {b"content-digest", b"content-length", b"content-md5", b"content-range", b"trailer", b"transfer-encoding"}
)


def not_modified_fields(raw: RawHeaders) -> RawHeaders:
    """The fields of a 304 (RFC 9110 section 15.4.5).

    Content-Location, Date, ETag, Vary, Cache-Control, Expires and what is said to caches by other names stay, and so
    does what is no metadata of the representation (Set-Cookie, CORS). Last-Modified stays where there is no ETag.
    """
    if len(raw) == 1 and raw[0][0] == b"etag":  # of a resource whose validators were looked at before all else
        return raw
    left_out = _NOT_IN_304_WITH_TAG if b"etag" in dict(raw) else _NOT_IN_304
    return [pair for pair in raw if pair[0] not in left_out]


def partial_fields(raw: RawHeaders, content_range: ContentRange, length: int) -> RawHeaders:
    """The fields of a 206 with one part of ``length`` bytes (RFC 9110 section 15.3.7.1).

    All of those of the 200, in answer to If-Range, too, where section 15.3.7 would have fewer: browsers compare
    Content-Encoding with what they have, and take none for another one.
    """
    fields = [pair for pair in raw if pair[0] not in _NOT_IN_PART]
    fields.append((b"content-range", str(content_range).encode("ascii")))
    fields.append((b"content-length", b"%d" % length))
    return fields


def multipart_fields(raw: RawHeaders, boundary: str, length: int) -> RawHeaders:
    """The fields of a 206 with several parts (section 15.3.7.2): no Content-Range, which each part has of its own."""
    fields = [pair for pair in raw if pair[0] not in _NOT_IN_PART and pair[0] != b"content-type"]
    fields.append((b"content-type", b"multipart/byteranges; boundary=" + boundary.encode("ascii")))
    fields.append((b"content-length", b"%d" % length))
    return fields


def error_fields(raw: RawHeaders, error: RawHeaders) -> RawHeaders:
    """The fields of a 412 or 416: its own, and of the 200's what is not about the representation (CORS, cookies)."""
    own = {name for name, _ in error} - {b"vary"}
    fields = error + [
        (name, value)
        for name, value in raw
        if name not in _NOT_IN_ERROR
        and name not in own
        and name != b"last-modified"
        and not name.endswith(b"-cache-control")
    ]
    MutableHeaders(fields).add_vary()  # makes one line of them
    return fields
