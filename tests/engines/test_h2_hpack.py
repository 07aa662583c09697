"""The memory of header blocks gives what the library alone would give."""

from __future__ import annotations

from hpack import Decoder, Encoder, NeverIndexedHeaderTuple
from hypothesis import given
from hypothesis import strategies as st

from tricorn_transports.engines.h2_hpack import MemoDecoder, MemoEncoder

NAMES = st.sampled_from([b":status", b"date", b"server", b"content-length", b"x-a", b"x-b"])
VALUES = st.sampled_from([b"", b"200", b"1", b"2", b"long" * 300, b"longer" * 800])
HEADS = st.lists(st.tuples(NAMES, VALUES), max_size=5)
SIZES = st.sampled_from([0, 60, 200, 4096, 65_536])


@given(st.lists(HEADS | SIZES, max_size=30))
def test_encoding_is_read_back(steps: list[list[tuple[bytes, bytes]] | int]) -> None:
    encoder, decoder = MemoEncoder(), Decoder(1 << 20)
    decoder.max_allowed_table_size = 65_536
    for step in steps:
        if isinstance(step, int):
            encoder.header_table_size = step
        else:
            assert [tuple(field) for field in decoder.decode(encoder.encode(step), raw=True)] == step


@given(st.lists(st.tuples(HEADS, st.booleans()) | SIZES, max_size=30))
def test_decoding_is_the_librarys(steps: list[tuple[list[tuple[bytes, bytes]], bool] | int]) -> None:
    encoder, decoder, plain = Encoder(), MemoDecoder(1 << 20), Decoder(1 << 20)
    decoder.max_allowed_table_size = plain.max_allowed_table_size = 65_536
    for step in steps:
        if isinstance(step, int):
            if step != encoder.header_table_size:  # hpack forgets to signal a change that is made twice
                encoder.header_table_size = step
            continue
        head, is_indexed = step
        block = encoder.encode(head if is_indexed else [NeverIndexedHeaderTuple(*field) for field in head])
        assert list(decoder.decode(block, raw=True)) == list(plain.decode(block, raw=True))
        assert decoder.header_table.dynamic_entries == plain.header_table.dynamic_entries


def test_a_peer_does_not_decide_how_much_is_held() -> None:
    encoder = MemoEncoder()
    encoder.header_table_size = 2**32 - 1
    for number in range(1000):
        encoder.encode([(b"x-%d" % number, b"value")])
    assert len(encoder.header_table.dynamic_entries) < 128


def test_the_same_head_is_encoded_once() -> None:
    encoder = MemoEncoder()
    head = [(b":status", b"200"), (b"server", b"tricorn"), (b"content-length", b"13")]
    encoder.encode(head)
    second = encoder.encode(head)
    assert encoder.encode(head) is second
    encoder.encode([(b"x-new", b"moves every index")])
    assert encoder.encode(head) != second


def test_varying_fields_stay_out_of_the_table() -> None:
    encoder = MemoEncoder()
    for length in range(50):
        encoder.encode([(b"content-length", b"%d" % length), (b"set-cookie", b"secret")])
    assert not encoder.header_table.dynamic_entries
