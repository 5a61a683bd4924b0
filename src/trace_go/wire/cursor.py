"""A bounded cursor over hostile bytes. Every read is checked; every length opens a block that must be consumed.

`pull_*` raise WireError past the end. Offsets in errors are positions in the whole buffer.
"""

from collections.abc import Callable
from typing import TypeVar

from trace_go.model.errors import WireError

T = TypeVar("T")


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

    def pull_bytes(self, size: int) -> bytes:
        start = self.pos
        if size > self.end - start:
            raise WireError(start, f"{size} bytes announced, {self.end - start} left")
        self.pos = start + size
        return self.data[start : self.pos]

    def pull_uint(self, size: int) -> int:
        """Big-endian unsigned integer of `size` bytes."""
        return int.from_bytes(self.pull_bytes(size), "big")

    def pull_uint8(self) -> int:
        return self.pull_uint(1)

    def pull_uint16(self) -> int:
        return self.pull_uint(2)

    def pull_block(self, length_size: int) -> "Cursor":
        """A sub-cursor over the next length-prefixed block; this cursor moves past it."""
        size = self.pull_uint(length_size)
        start = self.pos
        self.pull_bytes(size)
        return Cursor(self.data, start, self.pos)

    def pull_list(self, length_size: int, pull: Callable[["Cursor"], T]) -> tuple[T, ...]:
        """A length-prefixed list of items that must fill its block exactly."""
        block = self.pull_block(length_size)
        items = []
        while block.left:
            items.append(pull(block))
        return tuple(items)

    def expect_end(self) -> None:
        if self.left:
            raise WireError(self.pos, f"{self.left} bytes left over")
