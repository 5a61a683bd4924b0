"""Writing packets as pcapng (draft-ietf-opsawg-pcapng): one little-endian section, times in nanoseconds.

Each write hands over whole blocks, so a file that ends early can be read up to its last flushed block.
"""

import shutil
import struct
from collections.abc import Sequence
from typing import BinaryIO

import numpy as np
from msgspec import Struct

from trace_go.capture.pcapng import (
    BYTE_ORDER_MAGIC,
    BYTE_ORDERS,
    DSB,
    EPB,
    IDB,
    IF_TSRESOL,
    ISB,
    ISB_IFDROP,
    MAX_BLOCK,
    SECTION_START,
    SHB,
    TLS_KEY_LOG,
    numbers,
)
from trace_go.model.packets import I64, Batch

SHB_USERAPPL, IF_NAME, ISB_IFRECV = 4, 2, 4
NANOSECONDS = 9  # if_tsresol
COPY_BYTES = 1 << 20
SECRETS_BYTES = 1 << 20  # of one decryption secrets block; lines are not cut
HEAD_BYTES = 28  # of an enhanced packet block, before the data
HEAD = np.dtype((np.void, HEAD_BYTES))


class Interface(Struct, frozen=True, kw_only=True):
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
        if not len(batch):
            return
        size = HEAD_BYTES + batch.captured + -batch.captured % 4 + 4
        ends = np.cumsum(size)
        heads = np.empty((len(batch), HEAD_BYTES // 4), "<u4")
        high, low = batch.time_ns >> 32, batch.time_ns & 0xFFFFFFFF
        for word, column in enumerate((EPB, size, interface, high, low, batch.captured, batch.length)):
            heads[:, word] = column
        blocks = np.zeros(ends[-1], np.uint8)
        np.ndarray((len(blocks) - HEAD_BYTES,), HEAD, blocks, 0, (1,))[ends - size] = heads.view(HEAD).ravel()
        numbers(blocks, len(blocks) - 4, 0, "<")[ends - 4] = size
        starts = ends - size + HEAD_BYTES
        columns = (starts, starts + batch.captured, batch.offset, batch.offset + batch.captured)
        source, target = batch.data.data, blocks.data
        for to, to_end, at, at_end in zip(*(column.tolist() for column in columns), strict=True):  # measured fastest
            target[to:to_end] = source[at:at_end]
        self._out.write(target)
        self._last_ns = int(batch.time_ns[-1])

    def stats(self, drops: int, received: int, interface: int = 0) -> None:
        """What the system has counted on an interface since the capture began."""
        body = struct.pack("<III", interface, self._last_ns >> 32, self._last_ns & 0xFFFFFFFF)
        counts = {ISB_IFRECV: struct.pack("<Q", received), ISB_IFDROP: struct.pack("<Q", drops)}
        self._out.write(_block(ISB, body, counts))

    def flush(self) -> None:
        self._out.flush()


def copy_with_secrets(source: BinaryIO, key_log: bytes, out: BinaryIO) -> bool:
    """Copy a pcapng, with a decryption secrets block in front of its packets, where Wireshark wants it.

    False, and nothing written, for what is no pcapng of this byte order (every capture of ours is).
    """
    head = source.read(12)
    if head[:4] != SECTION_START or BYTE_ORDERS.get(head[8:12]) != "<":
        return False
    size = int.from_bytes(head[4:8], "little")
    out.write(head + source.read(min(size, MAX_BLOCK) - len(head)))
    start = 0
    while start < len(key_log):
        end = start + SECRETS_BYTES
        end = key_log.rfind(b"\n", start, end) + 1 if end < len(key_log) else len(key_log)
        part, start = key_log[start:end], end
        out.write(_block(DSB, struct.pack("<II", TLS_KEY_LOG, len(part)) + part))
    shutil.copyfileobj(source, out, COPY_BYTES)
    return True


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
