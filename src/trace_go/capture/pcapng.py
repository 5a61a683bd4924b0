"""pcapng blocks to packet columns, and the walk over length-prefixed records that pcap shares.

Source: draft-ietf-opsawg-pcapng. What cannot be right ends the reading with a `fault`; nothing is raised.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trace_go.model.packets import I64, U8, Batch

MAX_BLOCK = 16 * 1024 * 1024  # Wireshark reads no larger block (wiretap/pcapng.c)
MAX_CAPTURED = 256 * 1024  # largest packet libpcap and Wireshark capture on a network (MAXIMUM_SNAPLEN)
MAX_INTERFACES = 65_536  # in a file; captures of all interfaces of a big host have hundreds
BATCH_ROWS = 1 << 19  # bounds the columns of a chunk of tiny records; 32 MiB of 64-byte packets are one batch
SLACK = 32  # readable bytes a buffer must have behind its last record: the longest fixed header we gather
NO_LINK = -1
"""`linktype` of a row that carries no packet but has a number in Wireshark: a journal entry or a custom block"""

SHB, IDB, PB, SPB, ISB, EPB = 0x0A0D0D0A, 1, 2, 3, 5, 6
MUTE = (9, 0xBAD, 0x40000BAD)  # systemd journal, custom: Wireshark gives them a number
LEAST = {SHB: 28, IDB: 20, ISB: 24}  # smallest total length of the blocks that are looked into one by one
BYTE_ORDERS = {b"\x4d\x3c\x2b\x1a": "<", b"\x1a\x2b\x3c\x4d": ">"}
BYTE_ORDER_MAGIC = 0x1A2B3C4D

SMALLEST_STEP = 12  # a pcapng block without body; a pcap record has at least 16 bytes
LANE_BYTES = 256 * 1024  # measured: fewer, longer lanes pay more per step, more and shorter ones search longer
LANE_WINDOW = 2048  # where a lane looks for its first record: an Ethernet frame of 1,514 bytes and its headers fit
LANE_STEPS = 6000  # bounds memory when lanes are uneven; a lane of 40-byte packets needs 4,700
FIRST_REACH = 64 * 1024  # bytes walked after a change of byte order: keeps a file of nothing but changes linear
LAST_SECOND = 2**62 // 10**9  # in 2116: a time and an offset of this size still add up within int64


@dataclass(frozen=True, slots=True, kw_only=True)
class Framing:
    """How records follow each other: a record at p ends at p + extra + (the 32-bit length at p + length_at)."""

    order: str
    """`<` or `>`"""
    length_at: int
    extra: int
    mark: int
    """the header byte that is the same in nearly all records; only the speed depends on it"""


def gather(data: U8, at: I64, words: int, order: str) -> npt.NDArray[np.uint32]:
    """The first `words` 32-bit words of each record, shape (n, words); `at`, shape (n,), at least 4 * words before the end."""
    rows = np.ndarray((len(data) - 4 * words + 1,), f"V{4 * words}", data, strides=(1,))[at]
    return rows.view(f"{order}u4").reshape(-1, words)


def walk(data: U8, start: int, end: int, framing: Framing) -> I64:
    """Positions of the records from `start` on that begin before `end`, ascending, shape (n,).

    Where a length is nonsense the rest is, too: callers check every record and stop at the first bad one.
    Long stretches are walked in lanes that start at guessed records. A lane counts only if the walk arrives at its
    start, so a wrong guess costs time and nothing else. `data` has readable bytes of a whole header behind `end`.
    """
    pos, parts = start, []
    if end - start >= 4 * LANE_BYTES:
        starts = np.concatenate(([start], _guess(data, start, end, framing)))
        trail = _walk_lanes(data, starts, end, framing)
        counts = np.minimum((trail < np.append(starts[1:], end)).sum(axis=0), len(trail) - 1)
        for first, count, lane in zip(starts.tolist(), counts.tolist(), trail.T, strict=True):
            if pos < first:
                part, pos = _walk_slowly(data, pos, first, framing)
                parts.append(part)
            if pos == first:
                parts.append(lane[:count])
                pos = int(lane[count])
    parts.append(_walk_slowly(data, pos, end, framing)[0])
    return np.concatenate(parts)


def _walk_slowly(data: U8, pos: int, end: int, framing: Framing) -> tuple[I64, int]:
    """Record by record: their positions and the first one at or behind `end`."""
    pull, view, extra, at = struct.Struct(f"{framing.order}I").unpack_from, memoryview(data), framing.extra, []
    start = framing.length_at
    while pos < end:
        at.append(pos)
        step = pull(view, pos + start)[0] + extra
        pos = pos + step if step >= SMALLEST_STEP else end
    return np.array(at, np.int64), pos


def _guess(data: U8, start: int, end: int, framing: Framing) -> I64:
    """Where records may begin, ascending: at most one in each window, its mark and length and its successor's plausible."""
    lengths = np.ndarray((end + 1,), f"{framing.order}u4", data, framing.length_at, (1,))
    windows = np.arange(start + LANE_BYTES, end - LANE_WINDOW, LANE_BYTES)
    marks = np.ndarray((end - LANE_WINDOW + 1, LANE_WINDOW), np.uint8, data, framing.mark, (1, 1))[windows]
    lane, column = np.divmod(np.flatnonzero(marks == data[start + framing.mark]), LANE_WINDOW)
    at = windows[lane] + column
    small = lengths[at] <= MAX_CAPTURED
    at, lane = at[small], lane[small]
    after = np.minimum(at + lengths[at] + np.int64(framing.extra), end)
    good = (data[after + framing.mark] == data[start + framing.mark]) & (lengths[after] <= MAX_CAPTURED)
    return at[good][np.diff(lane[good], prepend=-1) != 0]


def _walk_lanes(data: U8, starts: I64, end: int, framing: Framing) -> I64:
    """Row i, shape (steps + 1, lanes), holds where each lane is after i steps; `end` where it came to or behind `end`."""
    lengths = np.ndarray((end + 1,), f"{framing.order}u4", data, framing.length_at, (1,))
    extra, goals, at = np.int64(framing.extra), np.append(starts[1:], end), starts
    trail = [at]
    while len(trail) <= LANE_STEPS and (len(trail) % 16 or (at < goals).any()):
        at = np.minimum(at + (lengths[at] + extra), end)
        trail.append(at)
    return np.array(trail)
