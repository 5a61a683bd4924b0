"""Header blocks: the same as the hpack package reads, of what it writes, of any bytes, and of damage."""

import pytest
from hpack import Decoder, Encoder, HPACKError
from hypothesis import given
from hypothesis import strategies as st

from trace_go.model.errors import WireError
from trace_go.wire.header_block import MAX_HEADERS, MAX_TABLE, WORD_BYTES, BlockReader

Fields = tuple[tuple[str, str], ...]
NAMES = (":path", ":status", "date", "x-a", "x-" + "long" * 40)
FIELDS = st.lists(
    st.tuples(st.sampled_from(NAMES), st.text(st.characters(max_codepoint=255), max_size=200)), max_size=8
)


def theirs(decoder: Decoder, block: bytes) -> Fields | None:
    try:
        return tuple(
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in decoder.decode(block, raw=True)
        )
    except HPACKError:
        return None


def ours(reader: BlockReader, block: bytes) -> Fields | None:
    try:
        return reader.read(block, 7)
    except WireError:
        return None


@given(st.lists(st.tuples(FIELDS, st.booleans()), max_size=6))
def test_what_an_encoder_writes(blocks: list[tuple[list[tuple[str, str]], bool]]) -> None:
    encoder, reader = Encoder(), BlockReader()
    for fields, huffman in blocks:
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields]
        assert reader.read(encoder.encode(raw, huffman=huffman), 0) == tuple(fields)


@given(st.lists(st.binary(max_size=80), max_size=5))
def test_any_bytes(blocks: list[bytes]) -> None:
    decoder, reader = Decoder(MAX_HEADERS), BlockReader()
    for block in blocks:
        expected = theirs(decoder, block)
        assert ours(reader, block) == expected
        if expected is None:  # the state is unknown from here on
            return


@given(FIELDS, st.integers(0, 300), st.integers(0, 255))
def test_damage(fields: list[tuple[str, str]], place: int, byte: int) -> None:
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields]
    block = bytearray(Encoder().encode(raw))
    if place < len(block):
        block[place] = byte
    assert ours(BlockReader(), bytes(block)) == theirs(Decoder(MAX_HEADERS), bytes(block))


def test_a_table_that_grew() -> None:
    encoder, reader = Encoder(), BlockReader()
    encoder.header_table_size = MAX_TABLE
    block = encoder.encode([("x-a", "b" * 5000)])
    assert ours(BlockReader(), block) is None
    reader.allow_table(1 << 30)
    assert reader.read(block, 0) == (("x-a", "b" * 5000),)
    again = encoder.encode([("x-a", "b" * 5000)])
    assert len(again) == 1
    assert reader.read(again, 0) == (("x-a", "b" * 5000),)


@pytest.mark.parametrize(
    "block",
    [
        b"\x80",
        b"\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
        b"\x82\x20",
        b"\x3f\xff\xff\x7f",
        b"\x40",
        b"\x40\x05ab",
        b"\x40\x81\xff\x00",
        b"\xfe",
    ],
    ids=["index 0", "endless number", "late size", "huge size", "no name", "cut", "no Huffman string", "no such index"],
)
def test_what_does_not_unpack(block: bytes) -> None:
    assert ours(BlockReader(), block) is None
    assert theirs(Decoder(), block) is None


def test_bombs_are_given_up() -> None:
    reader = BlockReader()
    first = Encoder().encode([("x", "y" * 4000)], huffman=False)
    assert reader.read(first, 0)
    assert ours(reader, b"\xbe" * 20) is None


def test_long_strings_are_not_remembered() -> None:
    text = "/" + "a" * 2 * WORD_BYTES
    assert BlockReader().read(Encoder().encode([(":path", text)], huffman=True), 0) == ((":path", text),)
