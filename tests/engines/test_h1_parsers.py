"""The parsers behind HTTP/1.1: whatever head the grammar lets through means the same to each of them."""

from __future__ import annotations

from hypothesis import given, reject, settings
from hypothesis import strategies as st

from tricorn_transports.config import Limits
from tricorn_transports.engines import h1, h1_httptools
from tricorn_transports.engines.h1_syntax import check_head, check_request_line
from tricorn_transports.errors import RemoteProtocolError

TOKENS = st.text("!#$%&'*+-.^_`|~09AZaz", min_size=1, max_size=12).map(str.encode)
METHODS = st.sampled_from([b"GET", b"CONNECT", b"PRI", b"QUERY", b"get"]) | TOKENS
TARGETS = st.sampled_from([b"/", b"*", b"http://a/b", b"a:1", b'/"<>^`{|}']) | st.text(
    st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=9
).map(str.encode)
NAMES = TOKENS | st.sampled_from(
    [b"Host", b"Connection", b"Upgrade", b"Content-Length", b"Transfer-Encoding", b"Proxy-Connection", b"Expect"]
)
VALUES = st.text("\t !azAZ09:;,=\x80\xff", max_size=20).map(lambda text: text.encode("latin-1")) | st.sampled_from(
    [b"", b" ", b"close", b"keep-alive, Upgrade", b"websocket", b"chunked", b" 7 ", b"1" * 18, b"0", b"\t\xe9", b"a:b "]
)


@given(
    st.tuples(METHODS, TARGETS, st.sampled_from([b"1.1", b"1.0", b"1.7"])),
    st.lists(st.tuples(NAMES, st.sampled_from([b"", b" ", b"\t "]), VALUES), max_size=6),
)
@settings(max_examples=500, deadline=None)
def test_they_agree(line, fields):
    method, target, version = line
    request_line = b"%b %b HTTP/%b" % (method, target, version)
    head = b"\r\n".join([request_line, *(b"%b:%b%b" % field for field in fields), b"\r\n"])
    try:
        check_request_line(request_line, Limits())
        check_head(head, len(request_line))
    except RemoteProtocolError:
        reject()
    seen = h1_httptools.parse_head(head)
    assert seen[:3] == line
    assert seen[3] == [(name, value.strip(b" \t")) for name, _, value in fields]
    try:
        theirs = h1.parse_head(head)
    except RemoteProtocolError:
        hosts = [value for name, value in seen[3] if name.lower() == b"host"]
        assert len(hosts) > 1 or (not hosts and version != b"1.0")  # h11 counts them, where the others leave it to us
    else:
        assert seen[:3] == theirs[:3]
        assert seen[3] == theirs[3]
