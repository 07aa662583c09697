"""Structured fields: the working group's own vectors, a few facts that need none, and what no input may do."""

from __future__ import annotations

import base64
import json
import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tricorn_transports.http import structured
from tricorn_transports.http.structured import (
    Date,
    DisplayString,
    InnerList,
    Item,
    StructuredFieldError,
    Token,
    parse_dictionary,
    parse_item,
    parse_list,
    serialize_dictionary,
    serialize_item,
    serialize_list,
)

VECTORS = Path(__file__).parents[3] / "shared" / "data" / "structured-field-tests"
PARSE = {"item": parse_item, "list": parse_list, "dictionary": parse_dictionary}
SERIALIZE: dict[str, Any] = {"item": serialize_item, "list": serialize_list, "dictionary": serialize_dictionary}


def bare(value: Any) -> Any:
    """A vector's JSON as our value."""
    if not isinstance(value, dict):
        return value
    content = value["value"]
    return {
        "token": Token,
        "date": Date,
        "displaystring": DisplayString,
        "binary": base64.b32decode,
    }[value["__type"]](content)


def member(value: Any) -> Any:
    content, parameters = value
    named = {key: bare(item) for key, item in parameters}
    if isinstance(content, list):
        return InnerList(tuple(member(item) for item in content), named)
    return Item(bare(content), named)


def field(kind: str, value: Any) -> Any:
    if kind == "item":
        return member(value)
    if kind == "list":
        return [member(item) for item in value]
    return {key: member(item) for key, item in value}


def typed(value: Any) -> Any:
    """The value with the type of every part, and the order of every mapping, in it: Token("a") == "a" otherwise."""
    if isinstance(value, dict):
        return [(key, typed(item)) for key, item in value.items()]
    if isinstance(value, (list, tuple)):
        return type(value).__name__, [typed(item) for item in value]
    return type(value).__name__, value


def cases(pattern: str) -> list[Any]:
    return [
        pytest.param(case, id=f"{path.stem}: {case['name']}")
        for path in sorted(VECTORS.glob(pattern))
        for case in json.loads(path.read_text(encoding="utf-8"))
    ]


@pytest.mark.skipif(not VECTORS.exists(), reason=f"the vectors of RFC 9651 are not at {VECTORS}")
@pytest.mark.parametrize("case", cases("*.json"))
def test_vector_parses(case: dict[str, Any]) -> None:
    kind, text = case["header_type"], ", ".join(case["raw"])
    if case.get("must_fail"):
        with pytest.raises(StructuredFieldError):
            PARSE[kind](text)
        return
    value = PARSE[kind](text)
    assert typed(value) == typed(field(kind, case["expected"]))
    assert SERIALIZE[kind](value) == ", ".join(case.get("canonical", case["raw"]))


@pytest.mark.skipif(not VECTORS.exists(), reason=f"the vectors of RFC 9651 are not at {VECTORS}")
@pytest.mark.parametrize("case", cases("serialisation/*.json"))
def test_vector_is_serialized(case: dict[str, Any]) -> None:
    value = field(case["header_type"], case["expected"])
    if case.get("must_fail"):
        with pytest.raises(StructuredFieldError):
            SERIALIZE[case["header_type"]](value)
        return
    assert SERIALIZE[case["header_type"]](value) == ", ".join(case["canonical"])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("42", 42),
        ("-4.50", -4.5),
        ('"a \\"b\\" \\\\"', 'a "b" \\'),
        ("text/html", Token("text/html")),
        (":aGVsbG8=:", b"hello"),
        ("?0", False),
        ("@1659578233", Date(1659578233)),
        ('%"f%c3%bc"', DisplayString("fü")),
    ],
)
def test_item_of_each_type(text: str, value: object) -> None:
    assert typed(parse_item(text).value) == typed(value)


def test_parameters_inner_lists_and_bare_keys() -> None:
    assert parse_dictionary('a;x, b=(1 "two";q=0.5);y=tok, a=2') == {
        "a": Item(2, {}),
        "b": InnerList((Item(1), Item("two", {"q": 0.5})), {"y": Token("tok")}),
    }
    assert serialize_dictionary({"u": 1, "i": True, "no": Item(False, {"why": "x"})}) == 'u=1, i, no=?0;why="x"'
    assert serialize_list([Token("a"), InnerList((Item(b"x"),), {"p": True})]) == "a, (:eA==:);p"


@pytest.mark.parametrize("text", ["", " ", "1 2", '"a', "'a'", "1.", "1.2345", "1234567890123456", "?2", "@1.5", ":a:"])
def test_what_is_no_item(text: str) -> None:
    with pytest.raises(StructuredFieldError):
        parse_item(text)


@pytest.mark.parametrize("text", ["a,", "a,,b", ",a", "a b", "(a", "(a,b)", '("a""b")', "\ta", "a b\t", "é"])
def test_what_is_no_list(text: str) -> None:
    with pytest.raises(StructuredFieldError):
        parse_list(text)


@pytest.mark.parametrize(
    "value", [math.inf, math.nan, 1e12, 10**15, "ü", "a\r\nb", Token("a b"), Token(""), Item(1, {"A": 1})]
)
def test_what_cannot_be_sent(value: Any) -> None:
    with pytest.raises(StructuredFieldError):
        serialize_item(value)


def test_a_decimal_is_rounded_as_it_is_written() -> None:
    assert [serialize_item(value) for value in (0.0025, 0.0015, 2.0)] == ["0.002", "0.002", "2.0"]
    assert structured._serialize_bare(Decimal("1.0005")) == "1.0"


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (parse_list, ", ".join(["a"] * 1025)),
        (parse_dictionary, ", ".join(f"k{number}" for number in range(1025))),
        (parse_list, "(" + " ".join(["1"] * 257) + ")"),
        (parse_item, "a" + "".join(f";p{number}" for number in range(257))),
    ],
)
def test_more_members_than_the_bound_are_refused(parse: Any, text: str) -> None:
    with pytest.raises(StructuredFieldError, match="more than"):
        parse(text)


keys = st.from_regex(r"[a-z*][a-z0-9_\-.*]*", fullmatch=True)
bares = st.one_of(
    st.booleans(),
    st.integers(-(10**15) + 1, 10**15 - 1),
    st.integers(-(10**15) + 1, 10**15 - 1).map(lambda thousandths: thousandths / 1000),
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E)),
    st.from_regex(r"[A-Za-z*][!#$%&'*+\-.^_`|~0-9A-Za-z:/]*", fullmatch=True).map(Token),
    st.binary(),
    st.integers(-(10**15) + 1, 10**15 - 1).map(Date),
    st.text(st.characters(exclude_categories=["Cs"])).map(DisplayString),
)
parameters = st.dictionaries(keys, bares, max_size=4)
items = st.builds(Item, bares, parameters)
members = st.one_of(items, st.builds(InnerList, st.lists(items, max_size=4).map(tuple), parameters))


@pytest.mark.parametrize(
    "text",
    [
        " " * 1_000_000,
        "a" + " " * 1_000_000 + "b",
        '"' + "\\" * 1_000_001,
        '"' + "a" * 1_000_000,
        '%"' + "%c3" * 300_000,
        ":" + "=" * 1_000_000,
        "(" * 1_000_000,
        "(" + " " * 1_000_000,
        "a;" + " " * 1_000_000,
        "1" * 1_000_000,
    ],
    ids=lambda text: text[:4],
)
def test_a_megabyte_is_read_once(text: str) -> None:
    # Anything worse than linear takes hours here.
    for parse in PARSE.values():
        try:
            parse(text)
        except StructuredFieldError:
            continue


@given(st.lists(members, max_size=6))
def test_a_list_survives_the_wire(value: Any) -> None:
    assert typed(parse_list(serialize_list(value))) == typed(value)


@given(st.dictionaries(keys, members, max_size=6))
def test_a_dictionary_survives_the_wire(value: Any) -> None:
    assert typed(parse_dictionary(serialize_dictionary(value))) == typed(value)


@given(st.text(alphabet='ab1.-"\\%:=?@;,() \t*é\x00', max_size=60))
def test_any_text_parses_or_is_refused_in_our_own_words(text: str) -> None:
    for kind, parse in PARSE.items():
        try:
            value: Any = parse(text)
        except StructuredFieldError:
            continue
        again = PARSE[kind](SERIALIZE[kind](value)) if value or kind == "item" else value
        assert typed(again) == typed(value)
