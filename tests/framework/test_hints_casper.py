"""The set of what a client holds: what goes in comes out, and nothing that a client makes up does harm."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tricorn.caching.casper import MAX_ENCODED_CHARS, HeldSet, max_chars

SIZES = [(1, 1), (1, 20), (3, 1), (65, 8), (128, 8), (128, 1), (1000, 10), (1024, 7)]


def filled(count, *, capacity=128, error_bits=8):
    held = HeldSet(capacity=capacity, error_bits=error_bits)
    for number in range(count):
        held.add(f"/assets/{number}.css")
    return held


@pytest.mark.parametrize(("capacity", "error_bits"), SIZES)
def test_what_was_added_is_held_after_a_round_trip(capacity, error_bits):
    for count in {0, 1, 2, capacity // 2, capacity - 1, capacity}:
        held = filled(count, capacity=capacity, error_bits=error_bits)
        text = held.encode()
        assert len(text) <= max_chars(capacity, error_bits) <= MAX_ENCODED_CHARS
        again = HeldSet.decode(text, capacity=capacity, error_bits=error_bits)
        assert again.values == held.values
        assert again.encode() == text
        kept = range(count) if count <= capacity else range(count - 1, count)
        assert all(again.holds(f"/assets/{number}.css") for number in kept)


@given(st.sets(st.integers(0, 2**15 - 1), max_size=128))
def test_any_set_of_fingerprints_survives(values):
    held = HeldSet()
    held.values = set(values)
    text = held.encode()
    assert len(text) <= max_chars(128, 8)
    assert HeldSet.decode(text).values == values


def test_an_etag_names_one_version():
    held = HeldSet()
    held.add("/app.css", '"1"')
    assert held.holds("/app.css", '"1"')
    assert not held.holds("/app.css", '"2"')
    assert not held.holds("/app.css")


@pytest.mark.parametrize("error_bits", [3, 8])
def test_no_more_than_one_in_two_to_the_p_is_taken_for_held(error_bits):
    held = filled(128, error_bits=error_bits)
    wrong = sum(held.holds(f"/other/{number}") for number in range(20_000))
    expected = 20_000 >> error_bits
    assert expected / 2 < wrong < expected * 1.3


def test_a_full_set_is_small_and_begins_anew():
    held = filled(128)
    assert len(held.encode()) < 210  # some 9.5 bits each, in base64
    count = len(held)
    held.add("/assets/0.css")
    assert len(held) == count
    while len(held) < held.capacity:
        held.add(f"/more/{len(held)}-{held.encode()[-6:]}")
    held.add("/one/more.css")
    assert len(held) == 1
    assert held.holds("/one/more.css")


@pytest.mark.parametrize(
    "text",
    [
        "A",
        "====",
        "å" * 8,
        "Dw8\n",
        "Dw-A" * 1000,  # longer than any set
        "DxEAAA",  # a remainder as wide as the fingerprint
        "DgcAAA",  # another width of fingerprint
        "Dwf__________w",  # nothing but ones: a number without end
        "Dwc",  # a head and nothing more
        "DwAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",  # more members than a set has
    ],
)
def test_malformed_text_is_an_empty_set(text):
    assert len(HeldSet.decode(text)) == 0


def test_other_parameters_make_an_empty_set():
    text = filled(5).encode()
    assert len(HeldSet.decode(text)) == 5
    assert len(HeldSet.decode(text, error_bits=9)) == 0
    assert len(HeldSet.decode(text, capacity=1000)) == 0


@given(st.text(max_size=300) | st.binary(max_size=200).map(lambda data: data.hex()))
def test_any_text_is_some_set(text):
    assert len(HeldSet.decode(text)) <= 128


@given(st.binary(max_size=190), st.integers(0, 14))
def test_any_bytes_behind_a_good_head_are_some_set_that_can_be_written(data, remainder):
    from base64 import urlsafe_b64encode

    text = urlsafe_b64encode(bytes((15, remainder)) + data).decode().rstrip("=")
    held = HeldSet.decode(text)
    assert len(held) <= 128
    assert all(value < 2**15 for value in held.values)
    assert HeldSet.decode(held.encode()).values == held.values


@pytest.mark.parametrize(("capacity", "error_bits"), [(0, 8), (128, 0), (10_000, 8), (1000, 40)])
def test_impossible_parameters_are_refused(capacity, error_bits):
    with pytest.raises(ValueError, match="does not fit"):
        HeldSet(capacity=capacity, error_bits=error_bits)
