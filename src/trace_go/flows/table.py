"""Per-flow counters and first events, kept in one structured array and updated by vectorised reductions.

A flow is keyed by its two endpoints in numeric order; side 0 is the lower one. Which side is the client is a column of its
own, because it may be corrected later. The rows of one batch that belong to one flow are a run: sorted by flow, file order
inside.
"""

from dataclasses import dataclass

import numpy as np

from trace_go.flows.decode import ACK, FIN, RST, SYN, UDP, Segments
from trace_go.flows.grouping import Mask, Rows, group, retransmitted, starts_of, unwrapped
from trace_go.model.packets import I64

UDP_KEY = 1 << 60
"""keeps UDP and TCP flows of the same endpoints apart; endpoints stay below 2**52"""

FLOW = np.dtype(
    [("low", "i8"), ("high", "i8"), ("client", "i8"), ("first_packet", "i8"), ("last_packet", "i8")]
    + [("start_ns", "i8"), ("end_ns", "i8"), ("packets", "i8", 2), ("bytes", "i8", 2), ("resent", "i8", 2)]
    + [("syn_packet", "i8"), ("syn_ns", "i8"), ("syn_count", "i8")]
    + [("syn_ack_packet", "i8"), ("syn_ack_ns", "i8"), ("syn_ack_ttl", "i8")]
    + [("first_data_ns", "i8", 2), ("last_data_ns", "i8", 2), ("fin_ns", "i8", 2), ("resets", "i8", 2)]
    + [("reset_packet", "i8"), ("reset_ns", "i8"), ("reset_side", "i8"), ("reset_ttl", "i8")]
    + [("opening", "i8"), ("base", "i8", 2), ("last", "i8", 2), ("reach", "i8", 2)]
    + [("position", "i8", 2), ("open", "i8", 2)]
)
"""opening: sequence number and side of the SYN; base: sequence number of stream byte 0, -1 unknown; last, reach: unwrapped
numbers of the last data segment and of the furthest byte; position, open: how far the head is read, and whether on"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """TCP segments whose bytes an open head may need, in runs; columns of shape (n,)."""

    row: Rows
    """of the batch's segments"""
    flow: Rows
    side: I64
    offset: I64
    """where the payload begins in its side's stream; may be negative"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Runs:
    order: Rows
    """(n,) rows of the batch, by run"""
    side: I64
    flags: I64
    run: Rows
    """(n,) number of the run, rising"""
    flow: Rows
    """(r,) flow of each run, all different"""
    start: Rows
    """(r,) its first row"""


class FlowTable:
    """`rows[:count]` are the flows, in order of appearance."""

    def __init__(self) -> None:
        self.rows = np.zeros(1024, FLOW)
        self.count = 0
        self._live: dict[tuple[int, int], int] = {}

    def add(self, seg: Segments) -> Stretch:
        """Count TCP and UDP segments, in file order."""
        source, target = (seg.src << 16) | seg.sport, (seg.dst << 16) | seg.dport
        low, high = np.minimum(source, target), np.maximum(source, target)
        low[seg.protocol == UDP] |= UDP_KEY
        order, starts = group(low, high)
        runs = self._runs(seg, order, starts, (source > target).astype(np.int64)[order], low, high)
        self._count(seg, runs)
        self._events(seg, runs)
        data = np.flatnonzero((seg.length[order] > 0) & ((runs.flags & RST) == 0))
        parts = [self._direction(seg, runs, which, data[runs.side[data] == which]) for which in (0, 1)]
        at, offset = (np.concatenate(column) for column in zip(*parts, strict=True))
        sort = np.argsort(at)
        at, offset = at[sort], offset[sort]
        return Stretch(row=order[at], flow=runs.flow[runs.run[at]], side=runs.side[at], offset=offset)

    # -- which flow --------------------------------------------------------------------------------------------------

    def _runs(self, seg: Segments, order: Rows, starts: Rows, side: I64, low: I64, high: I64) -> _Runs:
        keys = list(zip(low[order[starts]].tolist(), high[order[starts]].tolist(), strict=True))
        known = np.array([self._live.get(key, -1) for key in keys], np.intp)
        flags = seg.flags[order]
        opening = np.where(known < 0, _opening(seg, order[starts], side[starts]), self.rows["opening"][known])
        again, of = _reopened(seg, order, side, np.flatnonzero((flags & (SYN | ACK)) == SYN), starts, opening)
        start = np.concatenate([starts, again])
        flow = np.concatenate([known, np.full(len(again), -1)])
        sort = np.argsort(start)
        start, flow = start[sort], flow[sort]
        new = np.flatnonzero(flow < 0)
        new = new[np.argsort(order[start[new]])]  # flows are numbered as they appear in the file
        flow[new] = self._create(seg, order[start[new]], side[start[new]], low, high)
        for index in [*np.flatnonzero(known < 0).tolist(), *of.tolist()]:
            self._live[keys[index]] = -1
        return None
