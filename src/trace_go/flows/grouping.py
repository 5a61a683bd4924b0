"""Kernels: group rows by a pair of keys with one sort, and follow sequence numbers group by group.

A *run* is a group's rows standing next to each other, in file order. Empty input works everywhere.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from trace_go.model.packets import I64

Rows = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]

_INDEX_BITS = 24
"""rows of one call that the sort key can number: 16.7 M"""
_SOME_ROWS = 4096
"""moved at a time"""
_SPAN = 1 << 37
"""bytes that one run may get ahead in one call: 2**21 packets of 64 KiB"""


def group(low: I64, high: I64) -> tuple[Rows, Rows]:
    """Rows ordered by equal (low, high), file order kept inside a group, and where each group starts in that order.

    low, high: shape (n,), n <= 2**24. Returns order (n,) and starts (g,).

    >>> order, starts = group(np.array([7, 3, 7, 3]), np.array([1, 1, 1, 2]))
    >>> sorted(part.tolist() for part in np.split(order, starts[1:]))
    [[0, 2], [1], [3]]
    """
    mixed = low.view(np.uint64) * np.uint64(0x9E3779B97F4A7C15) ^ high.view(np.uint64) * np.uint64(0xC2B2AE3D27D4EB4F)
    mixed ^= mixed >> np.uint64(29)
    mask = np.uint64((1 << _INDEX_BITS) - 1)
    # A value sort is several times faster than an argsort, so the row number rides in the low bits of the hash.
    ranked = np.sort((mixed & ~mask) | np.arange(len(low), dtype=np.uint64))
    order = (ranked & mask).astype(np.intp)
    low, high = low[order], high[order]
    changed = (low[1:] != low[:-1]) | (high[1:] != high[:-1])
    if (changed & (ranked[1:] ^ ranked[:-1] <= mask)).any():  # two keys share a hash: group exactly
        again = np.lexsort((order, low, high))
        order, low, high = order[again], low[again], high[again]
        changed = (low[1:] != low[:-1]) | (high[1:] != high[:-1])
    return order, np.flatnonzero(np.concatenate([np.ones(min(len(low), 1), bool), changed]))


def starts_of(label: Rows) -> Rows:
    """First rows of the runs of equal labels.

    >>> starts_of(np.array([4, 4, 0, 7, 7])).tolist()
    [0, 2, 3]
    """
    return np.flatnonzero(np.concatenate([np.ones(min(len(label), 1), bool), label[1:] != label[:-1]]))


def compact(table: npt.NDArray[Any], kept: Rows) -> None:
    """Move the rows `kept`, which rise, to the front; what is behind them becomes 0. A copy could take half a gigabyte.

    >>> table = np.array([5, 6, 7, 8])
    >>> compact(table, np.array([1, 3]))
    >>> table.tolist()
    [6, 8, 0, 0]
    """
    for start in range(0, len(kept), _SOME_ROWS):
        some = kept[start : start + _SOME_ROWS]
        table[start : start + len(some)] = table[some]
    table[len(kept) :] = 0


def unwrapped(seq: I64, starts: Rows, before: I64) -> I64:
    """Sequence numbers without their wrap-around at 2**32: each lies within 2**31 of the one before it.

    seq: (n,), 0 <= seq < 2**32; starts: (g,) first rows of the runs; before: (g,) the number each run goes on from.

    >>> unwrapped(np.array([5, 1, 2**32 - 1]), np.array([0, 2]), np.array([2**32 - 3, 7])).tolist()
    [4294967301, 4294967297, -1]
    """
    step = np.empty_like(seq)
    np.subtract(seq[1:], seq[:-1], out=step[1:])
    step[starts] = seq[starts] - before
    step = step.astype(np.uint32).view(np.int32).astype(np.int64)
    step[starts] += before
    total: I64 = np.cumsum(step)
    return total - np.repeat(total[starts] - step[starts], np.diff(starts, append=len(seq)))


def retransmitted(begin: I64, length: I64, starts: Rows, reached: I64) -> tuple[Mask, I64]:
    """Which segments bring no new byte, and how far each run has come with them.

    begin: (n,) unwrapped number of the first byte; length: (n,), positive; starts: (g,) first rows of the runs;
    reached: (g,) how far each had come before. One byte just behind that is a keep-alive (RFC 9293 §3.8.4), no
    retransmission. Returns (n,) mask and (g,) numbers.

    >>> retransmitted(np.array([0, 5, 0, 9]), np.array([5, 5, 5, 1]), np.array([0]), np.array([0]))
    (array([False, False,  True, False]), array([10]))
    """
    sizes = np.diff(starts, append=len(begin))
    lift = np.repeat(np.arange(len(starts)) * _SPAN * 2, sizes)
    end = np.clip(begin + length - np.repeat(reached, sizes), -_SPAN, _SPAN)
    furthest = np.maximum.accumulate(np.maximum(end, 0) + lift) - lift
    before = np.concatenate([np.zeros(min(len(begin), 1), np.int64), furthest[:-1]])
    before[starts] = 0
    return (end < before) | ((end == before) & (length > 1)), reached + furthest[starts + sizes - 1]
