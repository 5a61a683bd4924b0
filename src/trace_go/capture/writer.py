"""Writing packets as pcapng (draft-ietf-opsawg-pcapng): one little-endian section, times in nanoseconds.

Each write hands over whole blocks, so a file that ends early can be read up to its last flushed block.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import BinaryIO

import numpy as np

from trace_go.capture.pcapng import BYTE_ORDER_MAGIC, EPB, IDB, IF_TSRESOL, ISB, ISB_IFDROP, SHB
from trace_go.model.packets import I64, Batch

SHB_USERAPPL, IF_NAME, ISB_IFRECV = 4, 2, 4
NANOSECONDS = 9  # if_tsresol
HEAD_BYTES = 28  # of an enhanced packet block, before the data
TAIL_BYTES = 7  # behind the data: padding, at most 3, and the block length again


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """What an interface description block says."""

    name: str
    link_type: int
    """LINKTYPE_ number"""
    snap_length: int = 0
    """0 = packets are not cut"""


class PcapngWriter:
    """Writes to `out`, which stays the caller's. Times are ns since 1970; `interface` is an index of `interfaces`."""

    def __init__(self, out: BinaryIO, *, interfaces: Sequence[Interface]) -> None:
        self._out = out
        self._last_ns = 0
        blocks = [_block(SHB, struct.pack("<IHHq", BYTE_ORDER_MAGIC, 1, 0, -1), {SHB_USERAPPL: b"trace-go"})]
        for interface in interfaces:
            body = struct.pack("<HHI", interface.link_type, 0, interface.snap_length)
            name = interface.name.encode(errors="backslashreplace")
            blocks.append(_block(IDB, body, {IF_NAME: name, IF_TSRESOL: bytes([NANOSECONDS])}))
        out.write(b"".join(blocks))

    def write(self, time_ns: int, data: bytes, length: int, interface: int = 0) -> None:
        """One packet: its captured bytes and its length on the wire."""
        self._last_ns = time_ns
        head = struct.pack("<IIIII", interface, time_ns >> 32, time_ns & 0xFFFFFFFF, len(data), length)
        self._out.write(_block(EPB, head + data))

    def write_many(self, batch: Batch, interface: int | I64 = 0) -> None:
        """All packets of a batch in one write; `interface` may be a column, shape (n,)."""
        count = len(batch)
        if not count:
            return
        padding = -batch.captured % 4
        size = HEAD_BYTES + batch.captured + padding + 4
        words = np.empty((count, HEAD_BYTES // 4), "<u4")
        high, low = batch.time_ns >> 32, batch.time_ns & 0xFFFFFFFF
        for column, value in enumerate((EPB, size, interface, high, low, batch.captured, batch.length)):
            words[:, column] = value
        between = np.zeros(
            (count + 1, TAIL_BYTES + HEAD_BYTES), np.uint8
        )  # the tail of a packet and the next one's head
        between[:-1, TAIL_BYTES:] = words.view(np.uint8)
        between[1:, 3:TAIL_BYTES] = size.astype("<u4")[:, None].view(np.uint8)
        row = np.arange(count + 1) * between.shape[1]
        begins = row + np.append(TAIL_BYTES, 3 - padding)
        ends = row + np.append(np.full(count, between.shape[1]), TAIL_BYTES)
        frames = map(between.tobytes().__getitem__, map(slice, begins.tolist(), ends.tolist()))
        first, stops = int(batch.offset.min()), batch.offset + batch.captured
        data = batch.data[first : stops.max()].tobytes()
        packets = map(data.__getitem__, map(slice, (batch.offset - first).tolist(), (stops - first).tolist()))
        self._out.write(b"".join([next(frames), *chain.from_iterable(zip(packets, frames, strict=True))]))
        self._last_ns = int(batch.time_ns[-1])

    def stats(self, drops: int, received: int, interface: int = 0) -> None:
        """What the system has counted on an interface since the capture began."""
        body = struct.pack("<III", interface, self._last_ns >> 32, self._last_ns & 0xFFFFFFFF)
        counts = {ISB_IFRECV: struct.pack("<Q", received), ISB_IFDROP: struct.pack("<Q", drops)}
        self._out.write(_block(ISB, body, counts))

    def flush(self) -> None:
        self._out.flush()


def _block(kind: int, body: bytes, options: dict[int, bytes] | None = None) -> bytes:
    """A block with its options and both its lengths."""
    if options:
        values = (
            struct.pack("<HH", code, len(value)) + value + bytes(-len(value) % 4) for code, value in options.items()
        )
        body += b"".join(values) + bytes(4)
    body += bytes(-len(body) % 4)
    size = struct.pack("<I", 12 + len(body))
    return struct.pack("<I", kind) + size + body + size
