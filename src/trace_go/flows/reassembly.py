"""One direction of a conversation: puts segments back in order until its reader has what it needs.

The first bytes to arrive for an offset win, as in most stacks.
"""

from bisect import bisect_left, bisect_right, insort
from typing import TypeAlias

from msgspec import Struct

from trace_go.wire import http1, socks
from trace_go.wire.tls_stream import TlsReader

MAX_PENDING = 64 * 1024
"""out-of-order bytes kept per side: the largest window without scaling; a handshake begins with 14 KiB (RFC 6928)"""
MAX_PENDING_WHOLE = 4 * 1024 * 1024
"""the same of a conversation that is read to its end: what comes behind a lost segment until it is sent again, for a
window of 4 MiB; Linux lets them grow to 6"""
MAX_HELD = 64 * 1024 * 1024
"""the same of all conversations together, with the heads that are not whole yet; ours: a capture that lost packets of
5,000 connections at once keeps 20 MB"""
LEAST_HELD = 2048
"""what a side may keep uncounted: 500,000 flows keep some of it, for a moment"""
PIECE_BYTES = 128
"""what a segment kept out of order counts at least"""

Reader: TypeAlias = TlsReader | http1.RequestReader | http1.ResponseReader | socks.ClientReader | socks.ServerReader


class Side(Struct, eq=False):
    """One direction: reassembly state, and the reader that its bytes go to."""

    position: int = 0
    open: bool = True
    lost: bool = False
    """bytes are missing for good"""
    pending: dict[int, tuple[bytes, int]] = {}
    """offset → bytes captured, length on the wire; segments ahead of the position, not overlapping"""
    starts: list[int] = []
    """their offsets, ascending"""
    waiting: int = 0
    """their bytes"""
    room: int = MAX_PENDING
    buffer: bytes = b""
    short: int = 0
    """bytes without which the reader can tell nothing; 0: it keeps nothing"""
    parts: list[bytes | memoryview] = []
    """those of them that came; the position is behind them"""
    reader: Reader | None = None
    speaks: str = ""

    @property
    def gap(self) -> bool:
        """Bytes are missing, as far as the capture goes."""
        return self.lost or (self.open and bool(self.pending))

    @property
    def kept(self) -> int:
        """Bytes that wait for others."""
        reader = self.reader
        return self.waiting + len(self.buffer) + (reader.buffered + reader.short - self.short if reader else 0)

    def close(self) -> None:
        """Nothing more is wanted: let go of what was kept for it."""
        self.open = False
        if self.pending:
            self.pending.clear()
            self.starts.clear()
        self.parts.clear()
        self.waiting = 0
        self.buffer, self.short = b"", 0
        self.reader = None

    def lose(self) -> None:
        self.lost = True
        self.close()

    def keep(self, offset: int, data: bytes, length: int) -> None:
        """Put a segment aside, less what is read or what an earlier segment brought."""
        at, end = max(offset, self.position), offset + length
        place = bisect_right(self.starts, at)
        if place:
            before = self.starts[place - 1]
            at = max(at, before + self.pending[before][1])
        for start in self.starts[place : bisect_left(self.starts, end)]:
            if start > at:
                self._put(at, data[at - offset : start - offset], start - at)
            at = max(at, start + self.pending[start][1])
        if at < end:
            self._put(at, data[at - offset : length], end - at)
        if self.waiting > self.room or len(self.pending) > self.room // PIECE_BYTES:
            self.lose()

    def _put(self, at: int, data: bytes, length: int) -> None:
        self.pending[at] = (data, length)
        insort(self.starts, at)
        self.waiting += len(data)

    def maybe_next(self) -> tuple[int, bytes, int] | None:
        """Takes out a segment that begins at the position or before it: offset, bytes captured, length."""
        if not self.starts or self.starts[0] > self.position:
            return None
        start = self.starts.pop(0)
        data, length = self.pending.pop(start)
        self.waiting -= len(data)
        return start, data, length


class Held:
    """What the sides of all conversations keep. Beyond MAX_HELD those that have kept longest lose it."""

    def __init__(self) -> None:
        self._sizes: dict[Side, int] = {}
        """in the order in which they began to keep something"""
        self._total = 0

    def note(self, side: Side) -> None:
        size = side.kept
        self._total += size - self._sizes.get(side, 0)
        self._sizes[side] = size
        if self._total > MAX_HELD:
            self._make_room()

    def _make_room(self) -> None:
        """Down to three quarters, after those that closed meanwhile."""
        self._sizes = {side: side.kept for side in self._sizes if side.kept}
        self._total = sum(self._sizes.values())
        for side, size in list(self._sizes.items()):
            if self._total <= MAX_HELD * 3 // 4:
                break
            side.lose()
            del self._sizes[side]
            self._total -= size
