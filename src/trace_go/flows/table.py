"""Per-flow counters and first events, kept in one structured array and updated by vectorised reductions.

A flow is keyed by its two endpoints in numeric order; side 0 is the lower one. Which side is the client is a column of its
own, because it may be corrected later.
"""

import numpy as np

from trace_go.flows.decode import ACK, FIN, RST, SYN, TCP, Segments
from trace_go.flows.grouping import Mask, Rows, first_of, group, last_of, retransmitted
from trace_go.model.packets import I64

_UDP_KEY = 1 << 60
"""keeps UDP and TCP flows of the same endpoints apart; endpoints stay below 2**52"""

FLOW = np.dtype(
    [("low", "i8"), ("high", "i8"), ("client", "i8"), ("first_packet", "i8"), ("last_packet", "i8")]
    + [("start_ns", "i8"), ("end_ns", "i8"), ("packets", "i8", 2), ("bytes", "i8", 2), ("resent", "i8", 2)]
    + [("syn_packet", "i8"), ("syn_ns", "i8"), ("syn_count", "i8"), ("syn_seq", "i8")]
    + [("syn_ack_packet", "i8"), ("syn_ack_ns", "i8"), ("syn_ack_ttl", "i8")]
    + [("first_data_ns", "i8", 2), ("last_data_ns", "i8", 2), ("fin_ns", "i8", 2)]
    + [("reset_packet", "i8"), ("reset_ns", "i8"), ("reset_side", "i8"), ("reset_ttl", "i8")]
    + [("base", "i8", 2), ("reach", "i8", 2), ("position", "i8", 2), ("open", "i8", 2)]
)
"""base: sequence number of stream byte 0, -1 unknown; reach: furthest stream offset seen; position, open: head reading"""


class FlowTable:
    """`rows[:count]` are the flows, in order of appearance."""

    def __init__(self) -> None:
        self.rows = np.zeros(1024, FLOW)
        self.count = 0
        self._live: dict[tuple[int, int], int] = {}

    def find(self, low: int, high: int, *, udp: bool) -> int | None:
        return self._live.get((low | _UDP_KEY if udp else low, high))

    def add(self, seg: Segments) -> tuple[Segments, Rows, I64]:
        """Count TCP and UDP segments. Returns them ordered by flow (file order inside), with flow id and side, (n,) each."""
        source, target = (seg.src << 16) | seg.sport, (seg.dst << 16) | seg.dport
        side = (source > target).astype(np.int64)
        low = np.minimum(source, target) | np.where(seg.protocol == TCP, 0, _UDP_KEY)
        high = np.maximum(source, target)
        order, starts = group(low, high)
        seg, side, low, high = seg.take(order), side[order], low[order], high[order]
        flow = self._flows(seg, side, low, high, starts)
        if len(flow):
            self._count(seg, side, flow)
        return seg, flow, side

    # -- ids ---------------------------------------------------------------------------------------------------------

    def _flows(self, seg: Segments, side: I64, low: I64, high: I64, starts: Rows) -> Rows:
        live, ids, new = self._live, [], []
        for index, key in enumerate(zip(low[starts].tolist(), high[starts].tolist(), strict=True)):
            found = live.get(key)
            if found is None:
                found = live[key] = self.count + len(new)
                new.append(index)
            ids.append(found)
        self._create(seg, side, low, high, starts[new])
        counts = np.diff(np.append(starts, len(low)))
        flow = np.repeat(np.array(ids, np.intp), counts)
        syn = (seg.flags & (SYN | ACK)) == SYN
        syn[starts[new]] = False  # a SYN that opens a new flow needs no second look
        again = np.flatnonzero(syn & (seg.protocol == TCP))
        if len(again):
            ends = np.append(starts, len(low))[np.searchsorted(starts, again, side="right")]
            self._reused(seg, side, low, high, flow, again, ends)
        return flow

    def _create(self, seg: Segments, side: I64, low: I64, high: I64, at: Rows) -> None:
        """New flows for the rows `at`, which are their first packets."""
        first, self.count = self.count, self.count + len(at)
        if self.count > len(self.rows):
            grown = np.zeros(max(self.count, 2 * len(self.rows)), FLOW)
            grown[:first] = self.rows[:first]
            self.rows = grown
        rows = self.rows[first : self.count]
        rows["low"], rows["high"] = low[at], high[at]
        rows["first_packet"], rows["start_ns"] = seg.number[at], seg.time_ns[at]
        rows["base"], rows["open"], rows["syn_seq"] = -1, 1, -1
        flags, sport, dport = seg.flags[at], seg.sport[at], seg.dport[at]
        answer = ((flags & SYN) != 0) & ((flags & ACK) != 0)
        # Without a SYN: services listen on low ports, clients speak from high ones.
        downward = ((flags & SYN) == 0) & (sport < 1024) & (dport >= 1024)
        rows["client"] = np.where(answer | downward, 1 - side[at], side[at])

    def _reused(self, seg: Segments, side: I64, low: I64, high: I64, flow: Rows, syns: Rows, ends: Rows) -> None:
        """A SYN with another sequence number opens a new flow on the same 5-tuple; rows from there to `ends` move to it."""
        for row, end in zip(syns.tolist(), ends.tolist(), strict=True):
            old = self.rows[flow[row]]
            known = int(old["syn_seq"])
            earlier = row > 0 and flow[row - 1] == flow[row]
            if known < 0 and earlier:  # the flow's own SYN may stand earlier in this batch
                before = np.flatnonzero(
                    (flow[:row] == flow[row]) & ((seg.flags[:row] & (SYN | ACK)) == SYN) & (side[:row] == side[row])
                )
                known = int(seg.seq[before[0]]) if len(before) else -1
            if known == int(seg.seq[row]) or (known < 0 and not earlier and not old["last_packet"]):
                continue
            self._create(seg, side, low, high, np.array([row]))
            flow[row:end] = self.count - 1
            self._live[(int(low[row]), int(high[row]))] = self.count - 1

    # -- counters ----------------------------------------------------------------------------------------------------

    def _count(self, seg: Segments, side: I64, flow: Rows) -> None:
        rows = self.rows
        start = np.flatnonzero(np.concatenate([[True], flow[1:] != flow[:-1]]))
        end = np.append(start[1:], len(flow)) - 1
        ids = flow[start]
        run = np.repeat(np.arange(len(start)), end - start + 1)
        cell, cells = run * 2 + side, 2 * len(start)
        rows["packets"][ids] += np.bincount(cell, minlength=cells).reshape(-1, 2)
        rows["bytes"][ids] += np.bincount(cell, weights=seg.length, minlength=cells).astype(np.int64).reshape(-1, 2)
        rows["last_packet"][ids], rows["end_ns"][ids] = seg.number[end], seg.time_ns[end]
        self._handshakes(seg, side, flow)
        for which in (0, 1):
            self._direction(seg, flow, which, side == which)

    def _handshakes(self, seg: Segments, side: I64, flow: Rows) -> None:
        rows, tcp = self.rows, seg.protocol == TCP
        syn = tcp & ((seg.flags & (SYN | ACK)) == SYN)
        self._first("syn_packet", syn, seg, flow, {"syn_packet": seg.number, "syn_ns": seg.time_ns, "syn_seq": seg.seq})
        np.add.at(rows["syn_count"], flow[syn], 1)
        self._first(
            "syn_ack_packet",
            tcp & ((seg.flags & (SYN | ACK)) == SYN | ACK),
            seg,
            flow,
            {"syn_ack_packet": seg.number, "syn_ack_ns": seg.time_ns, "syn_ack_ttl": seg.ttl},
        )
        self._first(
            "reset_packet",
            tcp & ((seg.flags & RST) != 0),
            seg,
            flow,
            {"reset_packet": seg.number, "reset_ns": seg.time_ns, "reset_side": side, "reset_ttl": seg.ttl},
        )

    def _first(self, unset: str, mask: Mask, seg: Segments, flow: Rows, columns: dict[str, I64]) -> None:
        """Store the first row of each flow where mask holds, for flows that have none yet."""
        at = first_of(mask, flow)
        at = at[self.rows[unset][flow[at]] == 0]
        for name, column in columns.items():
            self.rows[name][flow[at]] = column[at]

    def _direction(self, seg: Segments, flow: Rows, which: int, mine: Mask) -> None:
        rows, data = self.rows, mine & (seg.length > 0)
        tcp = seg.protocol == TCP
        base = rows["base"][:, which]
        for mask, step in ((mine & tcp & ((seg.flags & SYN) != 0), 1), (data & tcp, 0)):
            at = first_of(mask, flow)
            at = at[base[flow[at]] < 0]
            base[flow[at]] = seg.seq[at] + step
        at = first_of(data, flow)
        at = at[rows["first_data_ns"][flow[at], which] == 0]
        rows["first_data_ns"][flow[at], which] = seg.time_ns[at]
        at = last_of(data, flow)
        rows["last_data_ns"][flow[at], which] = seg.time_ns[at]
        at = first_of(mine & tcp & ((seg.flags & FIN) != 0), flow)
        at = at[rows["fin_ns"][flow[at], which] == 0]
        rows["fin_ns"][flow[at], which] = seg.time_ns[at]
        at = np.flatnonzero(data & tcp)
        if len(at):
            again, reach = retransmitted(
                flow[at], self.offsets(seg, flow, which, at), seg.length[at], rows["reach"][flow[at], which]
            )
            np.add.at(rows["resent"], (flow[at[again]], which), 1)
            last = last_of(np.ones(len(at), bool), flow[at])
            rows["reach"][flow[at[last]], which] = reach[last]

    def offsets(self, seg: Segments, flow: Rows, which: int, at: Rows) -> I64:
        """Stream offsets of TCP rows `at` of one side: sequence numbers unwrapped around how far the side has come."""
        reach = self.rows["reach"][flow[at], which]
        step = (seg.seq[at] + ((seg.flags[at] & SYN) != 0) - self.rows["base"][flow[at], which] - reach) & 0xFFFFFFFF
        return reach + np.where(step >= 1 << 31, step - (1 << 32), step)
