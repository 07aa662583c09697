"""Entity tags: what we make, what clients send, and both comparisons (RFC 9110 section 8.8.3)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tricorn.caching.etag import MAX_TAGS, ETag, ETagList

OPAQUE = st.text(st.sampled_from([chr(code) for code in range(0x21, 0x100) if code not in (0x22, 0x7F)]))
TAGS = st.builds(ETag, OPAQUE, st.booleans())


@pytest.mark.parametrize(
    ("one", "other", "strongly", "weakly"),
    [  # the table of section 8.8.3.2
        ('W/"1"', 'W/"1"', False, True),
        ('W/"1"', 'W/"2"', False, False),
        ('W/"1"', '"1"', False, True),
        ('"1"', '"1"', True, True),
    ],
)
def test_comparisons(one, other, strongly, weakly):
    first, second = ETag.parse(one), ETag.parse(other)
    assert first.matches_strongly(second) is strongly
    assert second.matches_strongly(first) is strongly
    assert first.matches_weakly(second) is weakly
    assert second.matches_weakly(first) is weakly


@pytest.mark.parametrize("text", ["", "abc", '"', "W/", 'w/"a"', '"a" "b"', '"a b"', '"a', 'W/ "a"', '"a\x7f"', '"a"b'])
def test_what_is_no_tag(text):
    assert ETag.parse(text) is None


@pytest.mark.parametrize("value", ['"', "a b", "a\n", "\x00", "ł", "\x7f"])
def test_what_cannot_be_made_a_tag(value):
    with pytest.raises(ValueError, match="entity tag"):
        ETag(value)


def test_what_authors_write():
    assert ETag.coerce("v1") == ETag.coerce('"v1"') == ETag("v1")
    assert ETag.coerce('W/"v1"') == ETag("v1", weak=True)
    assert ETag.coerce(ETag("v1")) == ETag("v1")
    for version in (7, b"v1", None):
        with pytest.raises(TypeError, match=r"ETag\.of\(\) makes one"):
            ETag.coerce(version)
    assert str(ETag("v1").weakened()) == str(ETag("v1").weakened().weakened()) == 'W/"v1"'


def test_tags_of_parts():
    assert ETag.of("ab", "c") != ETag.of("a", "bc")
    assert ETag.of(7, "de") == ETag.of("7", "de")
    assert ETag.of(b"content") == ETag("ed7002b439e9ac845f22357d822bac14")  # of SHA-256, in every process
    assert ETag.of(b"content", weak=True) == ETag.of(b"content").weakened()


@pytest.mark.parametrize(
    ("text", "tags", "complete"),
    [
        ("", (), True),
        ('"a"', (ETag("a"),), True),
        (' ,, "a" ,W/"b",\t', (ETag("a"), ETag("b", True)), True),
        ('"a,b", "c"', (ETag("a,b"), ETag("c")), True),
        ('""', (ETag(""),), True),
        ("a, W/b", (ETag("a"), ETag("b", True)), True),  # clients that forget the quotation marks
        ('"a" x, "b"', (ETag("b"),), False),
        ('"a", "b', (ETag("a"),), False),
        ('*, "a"', (ETag("a"),), False),
        ('"a b", "c"', (ETag("c"),), False),
    ],
)
def test_lists(text, tags, complete):
    listed = ETagList.parse(text)
    assert (listed.tags, listed.complete, listed.any) == (tags, complete, False)


def test_any():
    assert ETagList.parse(" * ") == ETagList(any=True)
    assert str(ETagList.parse("*")) == "*"


def test_a_list_is_bounded():
    listed = ETagList.parse(", ".join(f'"{n}"' for n in range(MAX_TAGS + 1)))
    assert len(listed.tags) == MAX_TAGS
    assert not listed.complete
    assert not listed.has_weakly(ETag(str(MAX_TAGS)))


@given(TAGS)
def test_a_tag_survives_the_wire(tag):
    assert ETag.parse(str(tag)) == tag


@given(st.lists(TAGS, max_size=8))
def test_a_list_survives_the_wire(tags):
    assert ETagList.parse(str(ETagList.of(tags))) == ETagList(tuple(tags))


@given(st.text(st.sampled_from('"W/*,ab \t\\\x7f\xe9'), max_size=60))
def test_any_text_is_read(text):
    listed = ETagList.parse(text)
    assert listed.any or ETagList.parse(str(ETagList(listed.tags))).tags == listed.tags
    single = ETag.parse(text)
    assert single is None or single in listed.tags


@pytest.mark.parametrize("text", ['"', '"a,', ",", 'W/"', "a ", '"a"b,', '" ,', "x" * 3 + '"'])
def test_a_long_list_takes_linear_time(text, steps):
    def cost(size):
        value = text * size
        return steps(lambda: ETagList.parse(value, max_tags=10**9))

    assert cost(32_000) < 64 * cost(2_000) + 0.05  # 16 times as much; 256 times if it were quadratic
