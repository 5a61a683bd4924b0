"""A bounded cursor over hostile bytes. Every read is checked; every length opens a block that must be consumed.

`pull_*` raise WireError past the end. Offsets in errors are positions in the whole buffer.
"""

import struct
from collections.abc import Callable
from typing import TypeVar

from trace_go.model.errors import WireError

T = TypeVar("T")

MAX_ITEMS = 1024
"""of one length-prefixed list; what real peers list (names, protocols, key shares, certificates) has some tens"""


class Cursor:
    """Reads data[pos:end]; `end` defaults to len(data)."""

    __slots__ = ("data", "end", "pos")

    def __init__(self, data: bytes, pos: int = 0, end: int | None = None) -> None:
        self.data = data
        self.pos = pos
        self.end = len(data) if end is None else end

    @property
    def left(self) -> int:
        return self.end - self.pos

    def _take(self, size: int) -> int:
        """Moves past the next `size` bytes and returns where they start."""
        start = self.pos
        if size > self.end - start:
            raise WireError(start, f"{size} bytes wanted, {self.end - start} left")
        self.pos = start + size
        return start

    def pull_bytes(self, size: int) -> bytes:
        start = self._take(size)
        return self.data[start : self.pos]

    def pull_uint(self, size: int) -> int:
        """Big-endian unsigned integer of `size` bytes."""
        return int.from_bytes(self.pull_bytes(size), "big")

    def pull_uint8(self) -> int:
        return self.data[self._take(1)]

    def pull_uint16(self) -> int:
        return self.pull_uint(2)

    def pull_block(self, length_size: int) -> "Cursor":
        """A sub-cursor over the next length-prefixed block; this cursor moves past it."""
        start = self._take(self.pull_uint(length_size))
        return Cursor(self.data, start, self.pos)

    def pull_opaque(self, length_size: int) -> bytes:
        """The bytes of the next length-prefixed block."""
        return self.pull_bytes(self.pull_uint(length_size))

    def pull_list(self, length_size: int, pull: Callable[["Cursor"], T]) -> tuple[T, ...]:
        """A length-prefixed list of at most MAX_ITEMS items that must fill its block exactly."""
        block = self.pull_block(length_size)
        items: list[T] = []
        while block.left:
            if len(items) == MAX_ITEMS:
                raise WireError(block.pos, f"more than {MAX_ITEMS} items")
            items.append(pull(block))
        return tuple(items)

    def pull_uint16s(self, length_size: int) -> tuple[int, ...]:
        """A length-prefixed list of 16-bit numbers."""
        start = self.pos + length_size
        raw = self.pull_opaque(length_size)
        if len(raw) % 2:
            raise WireError(start, f"{len(raw)} bytes for a list of 16-bit numbers")
        return struct.unpack(f"!{len(raw) // 2}H", raw)

    def expect_end(self) -> None:
        if self.left:
            raise WireError(self.pos, f"{self.left} bytes left over")
