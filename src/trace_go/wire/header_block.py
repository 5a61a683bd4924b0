"""Header blocks of HTTP/2, one direction (RFC 7541). Sans-IO.

The tables are the hpack package's; the reading is ours, for speed: most Huffman strings repeat, and each is unpacked
once.
"""

from functools import lru_cache

from hpack.exceptions import HPACKError
from hpack.huffman_table import decode_huffman
from hpack.table import HeaderTable

from trace_go.model.errors import WireError

MAX_HEADERS = 64 * 1024
"""of one block when unpacked, 32 bytes each for the overhead (RFC 9113 §6.5.2)"""
MAX_TABLE = 64 * 1024
"""bytes of the compression's table; Chromium announces as many, go and nginx 4,096"""
MAX_INTEGER_BYTES = 6
"""a number of 32 bits has as many at most"""
WORDS, WORD_BYTES = 4_096, 128
"""Huffman strings that are remembered, and how long they are at most; a path of a module has some 60"""

_INDEXED, _KEPT, _RESIZED = 0x80, 0x40, 0x20
_OVERHEAD = 32
_HUFFMAN = 0x80


class BlockReader:
    def __init__(self) -> None:
        self._table = HeaderTable()
        self._most = self._table.maxsize

    def allow_table(self, size: int) -> None:
        """The other side announced this size. It is never taken back: when it counts, no observer can tell."""
        self._most = max(self._most, min(size, MAX_TABLE))

    def read(self, block: bytes, start: int) -> tuple[tuple[str, str], ...]:
        """The fields of a whole block; start: its offset, for the WireError of one that does not unpack."""
        try:
            return tuple(self._fields(block))
        except (HPACKError, IndexError) as error:
            raise WireError(start, "header block does not unpack") from error

    def _fields(self, block: bytes) -> list[tuple[str, str]]:
        fields: list[tuple[str, str]] = []
        at, room = 0, MAX_HEADERS
        while at < len(block):
            first = block[at]
            if first & _INDEXED:
                index, at = _integer(block, at, 0x7F)
                name, value = self._table.get_by_index(index)
            elif first & _KEPT or not first & _RESIZED:
                index, at = _integer(block, at, 0x3F if first & _KEPT else 0x0F)
                name, at = (self._table.get_by_index(index)[0], at) if index else _string(block, at)
                value, at = _string(block, at)
                if first & _KEPT:
                    self._table.add(name, value)
            else:
                size, at = _integer(block, at, 0x1F)
                if fields or size > self._most:
                    raise HPACKError("a table size that is not allowed")
                self._table.maxsize = size
                continue
            room -= len(name) + len(value) + _OVERHEAD
            if room < 0:
                raise HPACKError("too many headers")
            fields.append((name.decode("latin-1"), value.decode("latin-1")))
        return fields


def _integer(block: bytes, at: int, mask: int) -> tuple[int, int]:
    """(number, where it ends) of one whose first byte has these bits (RFC 7541 §5.1)."""
    number = block[at] & mask
    at += 1
    if number < mask:
        return number, at
    for place in range(MAX_INTEGER_BYTES):
        more = block[at + place]
        number += (more & 0x7F) << 7 * place
        if more < 0x80:
            return number, at + place + 1
    raise HPACKError("a number without end")


def _string(block: bytes, at: int) -> tuple[bytes, int]:
    packed = block[at] & _HUFFMAN
    length, at = _integer(block, at, 0x7F)
    data = block[at : at + length]
    if len(data) < length:
        raise HPACKError("cut short")
    if packed:
        data = _word(data) if length <= WORD_BYTES else decode_huffman(data)
    return data, at + length


@lru_cache(WORDS)
def _word(data: bytes) -> bytes:
    return decode_huffman(data)
