"""The grammar of HTTP/1.1 heads, held to the letter before any parsing library sees them (RFC 9112).

Rules of this module: pure functions over whole lines, linear in their input. A library that is laxer in one place (h11
joins folded lines and equal content-lengths, and lets control characters pass) would let two parsers see two different
messages, and that is how requests are smuggled; so what passes here means one thing only. The first fault decides, and
it decides alike however the bytes were divided.
"""

from __future__ import annotations

import re

from tricorn_transports.config import Limits
from tricorn_transports.errors import LimitExceeded, RemoteProtocolError
from tricorn_transports.http.fields import is_token_bytes

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_FIELD_LINE = TOKEN + rb":[\t\x20-\x7e\x80-\xff]*"
_is_field_line = re.compile(_FIELD_LINE + rb"\Z").match
_are_field_lines = re.compile(rb"(?:" + _FIELD_LINE + rb"\r\n)*\Z").match
_request_line = re.compile(rb"(" + TOKEN + rb") ([!-~]+) HTTP/([0-9])\.([0-9])\Z").match
_framing_fields = re.compile(rb"\n(content-length|transfer-encoding):([^\r]*)", re.IGNORECASE).findall
#: RFC 9110 section 8.6 warns of lengths that overflow: eighteen digits fit everywhere.
_is_length = re.compile(rb"[0-9]{1,18}\Z").match
_is_coding = re.compile(TOKEN + rb"[ \t]*(?:;|\Z)").match

#: No method that anybody has registered is half as long.
MAX_METHOD = 64


def check_request_line(line: bytes, limits: Limits) -> None:
    """Holds a request line, without its line end, to RFC 9112 section 3.

    Raises:
        LimitExceeded: The target is too long (414).
        RemoteProtocolError: It is no request line (400), its version is not served (505), or its method is longer than
            any that is known (501).
    """
    match = _request_line(line)
    if match is None:
        if b"\r" in line or b"\n" in line:
            raise RemoteProtocolError("the request line has a bare CR or LF")
        if line.count(b" ") == 1:
            raise RemoteProtocolError("the request line has no version: HTTP/0.9 is not served here")
        raise RemoteProtocolError("the request line is invalid")
    method, target, major, minor = match.groups()
    if major != b"1":
        raise RemoteProtocolError(f"HTTP/{major.decode()}.{minor.decode()} is not served here", status_hint=505)
    if len(method) > MAX_METHOD:
        raise RemoteProtocolError("the method is longer than any", status_hint=501)
    if len(target) > limits.max_target_bytes:
        raise LimitExceeded("the request target is too long", limit="max_target_bytes", status_hint=414)


def check_head(head: bytes, line_end: int) -> None:
    """Holds a whole head to RFC 9112 sections 5 and 6, its request line excepted.

    Args:
        line_end: Where the carriage return of the request line is.

    Raises:
        RemoteProtocolError: A field line breaks the syntax, or what frames the body is not beyond doubt (400); or its
            transfer coding is none of ours (501).
    """
    fields = head[line_end + 2 : -2]
    if _are_field_lines(fields) is None:
        raise RemoteProtocolError(_fault_in(fields))
    framing = _framing_fields(head, line_end)
    if framing:
        _check_framing(framing, is_1_0=head[line_end - 1] == 0x30)


def parse_field_line(line: bytes) -> tuple[bytes, bytes]:
    """Name, in lower case, and value of one field line without its line end.

    Raises:
        RemoteProtocolError: It breaks the syntax.
    """
    if _is_field_line(line) is None:
        raise RemoteProtocolError(_fault_in(line + b"\r\n"))
    name, _, value = line.partition(b":")
    return name.lower(), value.strip(b" \t")


def _check_framing(fields: list[tuple[bytes, bytes]], *, is_1_0: bool) -> None:
    """RFC 9112 sections 6.1 to 6.3: one length, or one chunked coding, and never both."""
    lengths = [value for name, value in fields if name.lower() == b"content-length"]
    codings = [value for name, value in fields if name.lower() == b"transfer-encoding"]
    if codings and (lengths or is_1_0):
        raise RemoteProtocolError("Transfer-Encoding in HTTP/1.0 or together with Content-Length")
    if len(lengths) > 1:
        raise RemoteProtocolError("more than one Content-Length field")
    if lengths and _is_length(lengths[0].strip(b" \t")) is None:
        raise RemoteProtocolError("the Content-Length is no single length")
    if codings:
        members = [member.strip(b" \t").lower() for member in b",".join(codings).split(b",")]
        if not all(map(_is_coding, members)):
            raise RemoteProtocolError("the Transfer-Encoding is no list of codings")
        if members.pop() != b"chunked" or b"chunked" in members:
            # Nobody could say where such a message ends (RFC 9112 section 6.3).
            raise RemoteProtocolError("the last transfer coding, and no other, must be chunked")
        if members:
            raise RemoteProtocolError("no transfer coding but chunked is known here", status_hint=501)


def _fault_in(fields: bytes) -> str:
    """What is wrong with the first wrong field line."""
    for line in fields.split(b"\r\n"):
        if _is_field_line(line) is not None:
            continue
        name, colon, _ = line.partition(b":")
        if b"\n" in line:
            return "a line of the head ends without a carriage return"
        if b"\r" in line:
            return "a carriage return stands alone in the head"
        if line[:1] in (b" ", b"\t"):
            return "a folded field line (obs-fold)"
        if not colon:
            return "a field line has no colon"
        if name.rstrip(b" \t") != name:
            return "white space stands before a field line's colon"
        if not is_token_bytes(name):
            return "a field name is no token"
        break
    return "a field value has a control character"
