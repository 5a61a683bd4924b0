"""Kernels: group rows by a pair of keys with one sort, and pick first rows per group. Empty input works everywhere."""

import numpy as np
import numpy.typing as npt

from trace_go.model.packets import I64

Rows = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]

_INDEX_BITS = 24
"""rows of one call that the sort key can number: 16.7 M"""


def group(low: I64, high: I64) -> tuple[Rows, Rows]:
    """Rows ordered by equal (low, high), file order kept inside a group, and where each group starts in that order.

    low, high: shape (n,), n < 2**24. Returns order (n,) and starts (g,).

    >>> order, starts = group(np.array([7, 3, 7, 3]), np.array([1, 1, 1, 2]))
    >>> sorted(sorted(part.tolist()) for part in np.split(order, starts[1:]))
    [[0, 2], [1], [3]]
    """
    mixed = low.view(np.uint64) * np.uint64(0x9E3779B97F4A7C15) ^ high.view(np.uint64) * np.uint64(0xC2B2AE3D27D4EB4F)
    mixed ^= mixed >> np.uint64(29)
    mask = np.uint64((1 << _INDEX_BITS) - 1)
    # A value sort is several times faster than an argsort, so the row number rides in the low bits of the hash.
    order = (np.sort((mixed & ~mask) | np.arange(len(low), dtype=np.uint64)) & mask).astype(np.intp)
    changed = (low[order[1:]] != low[order[:-1]]) | (high[order[1:]] != high[order[:-1]])
    same_hash = (mixed[order[1:]] & ~mask) == (mixed[order[:-1]] & ~mask)
    if (changed & same_hash).any():  # two keys share a hash: group exactly
        order = np.lexsort((low, high))
        changed = (low[order[1:]] != low[order[:-1]]) | (high[order[1:]] != high[order[:-1]])
    return order, np.flatnonzero(np.concatenate([np.ones(min(len(low), 1), bool), changed]))


def first_of(mask: Mask, label: Rows) -> Rows:
    """First row of each run of equal labels where mask holds; label must be sorted.

    >>> first_of(np.array([False, True, True, True]), np.array([0, 0, 0, 5])).tolist()
    [1, 3]
    """
    rows = np.flatnonzero(mask)
    return rows[np.concatenate([np.ones(min(len(rows), 1), bool), label[rows[1:]] != label[rows[:-1]]])]


def last_of(mask: Mask, label: Rows) -> Rows:
    """Last row of each run of equal labels where mask holds; label must be sorted."""
    rows = np.flatnonzero(mask)
    return rows[np.concatenate([label[rows[1:]] != label[rows[:-1]], np.ones(min(len(rows), 1), bool)])]


def retransmitted(label: Rows, offset: I64, length: I64, reached: I64) -> tuple[Mask, I64]:
    """Which segments bring no new byte, and how far each label has come; rows sorted by label, then file order.

    label: (n,) runs of equal values; offset: (n,) stream offset of the segment (signed, |offset| < 2**33); length: (n,);
    reached: (n,) how far the row's label had come before. Returns (n,) mask and (n,) running end.

    >>> retransmitted(np.array([0, 0, 0]), np.array([0, 5, 0]), np.array([5, 5, 5]), np.zeros(3, np.int64))[0].tolist()
    [False, False, True]
    """
    lift = np.cumsum(np.concatenate([np.zeros(min(len(label), 1), np.int64), (label[1:] != label[:-1])])) << 36
    running = np.maximum.accumulate(np.maximum(offset + length, reached) + lift) - lift
    before = np.concatenate([reached[:1], running[:-1]])
    starts = np.concatenate([np.ones(min(len(label), 1), bool), label[1:] != label[:-1]])
    before = np.where(starts, reached, np.maximum(before, reached))
    return (length > 0) & (offset + length <= before), running
