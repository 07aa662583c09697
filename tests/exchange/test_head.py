"""A response's head is checked and completed once, before a byte of it is sent."""

from __future__ import annotations

import pytest

from tricorn_transports.errors import LocalProtocolError
from tricorn_transports.exchange import head as head_module
from tricorn_transports.exchange.head import clean_fields, push_target, response_head


def test_names_become_lower_case_and_values_lose_outer_white_space():
    assert clean_fields([(b"X-Own", b" \t1 2\t ")]) == [(b"x-own", b"1 2")]


def test_the_applications_list_is_not_changed():
    fields = [(b"X-Own", b"1"), (b"Transfer-Encoding", b"chunked")]
    response_head(200, fields, b"h3")
    assert fields == [(b"X-Own", b"1"), (b"Transfer-Encoding", b"chunked")]


@pytest.mark.parametrize("name", [b"", b" ", b"a b", b"a:", b":path", b"a\r\n", b"\xe9", "text", None])
def test_names_that_are_no_tokens(name):
    for _ in range(2):  # the second time it is not taken for a name that is known
        with pytest.raises(LocalProtocolError):
            clean_fields([(name, b"1")])


@pytest.mark.parametrize("value", [b"a\r\nb", b"a\nb", b"a\rb", b"\x00", "text", None, bytearray(b"x")])
def test_values_that_would_split_a_message(value):
    with pytest.raises(LocalProtocolError):
        clean_fields([(b"x", value)])


def test_other_bytes_may_stand_in_values():
    assert clean_fields([(b"x", b"\xe9\t\x80")]) == [(b"x", b"\xe9\t\x80")]


@pytest.mark.parametrize("status", [100, 103, 199, 1000, "200", 200.0, None])
def test_what_is_no_final_status(status):
    with pytest.raises(LocalProtocolError, match="status"):
        response_head(status, [], None)


@pytest.mark.parametrize("status", [200, 299, 404, 599, 999])
def test_final_statuses(status):
    assert response_head(status, [], None).status == status


def test_the_length_is_read():
    assert response_head(200, [], None).length is None
    assert response_head(200, [(b"Content-Length", b"12")], None).length == 12


@pytest.mark.parametrize("value", [b"", b"-1", b"+1", b"1.0", b"0x1", b"1, 1", "\u0661".encode()])
def test_lengths_that_are_no_numbers(value):
    with pytest.raises(LocalProtocolError, match="content-length"):
        response_head(200, [(b"content-length", value)], None)


def test_two_lengths_are_one_too_many():
    with pytest.raises(LocalProtocolError, match="more than one"):
        response_head(200, [(b"content-length", b"1"), (b"content-length", b"1")], None)


def test_204_has_no_length():
    made = response_head(204, [(b"content-length", b"0")], None)
    assert made.length is None
    assert b"content-length" not in dict(made.headers)


def test_a_date_is_added_where_there_is_none():
    assert dict(response_head(200, [], None).headers)[b"date"].endswith(b" GMT")
    own = [(b"Date", b"Thu, 01 Jan 1970 00:00:00 GMT")]
    assert response_head(200, own, None).headers == [(b"date", b"Thu, 01 Jan 1970 00:00:00 GMT")]


def test_alt_svc_is_added_unless_the_application_says_its_own():
    assert dict(response_head(200, [], b"h3").headers)[b"alt-svc"] == b"h3"
    assert dict(response_head(200, [(b"alt-svc", b"clear")], b"h3").headers)[b"alt-svc"] == b"clear"
    assert b"alt-svc" not in dict(response_head(200, [], None).headers)


def test_framing_is_not_the_applications():
    fields = [(b"Transfer-Encoding", b"chunked"), (b"Keep-Alive", b"timeout=5"), (b"x", b"1")]
    names = [name for name, _ in response_head(200, fields, None).headers]
    assert names == [b"x", b"date"]


def test_what_is_remembered_of_names_is_bounded():
    clean_fields((b"x-%d" % number, b"") for number in range(5000))
    assert len(head_module._known_names) <= head_module._KNOWN_NAMES_MAX
    assert clean_fields([(b"X-4999", b"")]) == [(b"x-4999", b"")]


@pytest.mark.parametrize(
    ("path", "target"),
    [("/a%20b?c=d&e", b"/a%20b?c=d&e"), ("/\u00e9 \r\n#x", b"/%C3%A9%20%0D%0A%23x"), ("/@:~,;[]", b"/@:~,;[]")],
)
def test_a_pushed_path_becomes_a_request_target(path, target):
    assert push_target(path) == target
