"""Per-flow counters and first events, kept in one structured array and updated by vectorised reductions.

A flow is keyed by its two endpoints in numeric order; side 0 is the lower one. Which side is the client is a column of
its own, because it may be corrected later. A SYN with another sequence number opens a new flow on the same endpoints.
The rows of one batch that belong to one flow are a run: batches are sorted into runs, file order inside.
"""

from collections.abc import Callable

import numpy as np
from msgspec import Struct

from trace_go.flows.decode import ACK, FIN, RST, SYN, UDP, Segments
from trace_go.flows.grouping import Rows, compact, group, retransmitted, starts_of, unwrapped
from trace_go.flows.sequels import Sequels
from trace_go.model.evidence import FILE_SHIFT
from trace_go.model.packets import I64, U8

UDP_KEY = 1 << 60
"""keeps UDP and TCP flows of the same endpoints apart; endpoints stay below 2**52"""
_NUMBERS = 1 << 32
"""where unwrapped sequence numbers begin, so that 0 is none"""
_NEVER = 1 << 62

_PLAIN = """low high client first_packet last_packet start_ns end_ns syn_packet syn_ns syn_count syn_ack_packet
syn_ack_ns syn_ack_ttl reset_packet reset_ns reset_side reset_ttl after_reset_packet after_reset_ttl"""
_SIDED = "packets bytes resent first_data_ns last_data_ns fin_ns resets base last reach acked acked_ns position open"
FLOW = np.dtype(
    [(name, "i8") for name in _PLAIN.split()]
    + [(name, "i8", 2) for name in _SIDED.split()]
    + [("opening", "i8"), ("quic", "i8")]
)
"""Two values where sides differ. opening: sequence number and side of the SYN; after_reset: the first packet, no reset,
of the end that is said to have sent one; base, last, reach: unwrapped numbers of stream byte 0, of the last segment
and of the furthest byte; acked, acked_ns: number, not unwrapped, of the other side's byte that this one waits for, and
when it last said so; position, open: how far the head is read, and whether reading goes on"""


class Stretch(Struct, frozen=True, kw_only=True):
    """TCP payload that open heads may need, in runs; all of shape (n,)."""

    row: Rows
    """of the batch's segments"""
    flow: Rows
    side: I64
    offset: I64
    """of the payload in its side's stream; negative before the first byte known"""


class _Runs(Struct, frozen=True, kw_only=True):
    """A batch sorted into r runs."""

    order: Rows
    """(n,) the batch's rows"""
    side: I64
    """(n,)"""
    flags: I64
    """(n,)"""
    run: Rows
    """(n,) number of the run, rising"""
    start: Rows
    """(r,) first place of each run"""
    flow: Rows
    """(r,) its flow; all differ"""


class FlowTable:
    """`rows[:count]` are the flows, in order of appearance."""

    def __init__(self) -> None:
        self.rows = np.zeros(1024, FLOW)
        self.count = 0
        self.sequels = Sequels()
        self._live: dict[tuple[int, int], int] = {}

    def add(self, seg: Segments, data: U8) -> Stretch:
        """Count TCP and UDP segments, which come in file order. data: the batch's bytes, and PAD behind them."""
        source, target = (seg.src << 16) | seg.sport, (seg.dst << 16) | seg.dport
        low, high = np.minimum(source, target), np.maximum(source, target)
        low[seg.protocol == UDP] |= UDP_KEY
        runs = self._runs(seg, (source > target).astype(np.int64), low, high)
        self._count(seg, runs)
        self._events(seg, runs)
        filled = np.flatnonzero((seg.length[runs.order] > 0) & ((runs.flags & RST) == 0))
        self._waits(seg, runs, filled)
        parts = []
        for which in (0, 1):
            mine = filled[runs.side[filled] == which]
            self._payload(seg, runs, which, mine)
            tcp = self.rows["low"][runs.flow] < UDP_KEY
            self._acks(seg, runs, which)
            parts.append(self._stream(seg, data, runs, which, mine[tcp[runs.run[mine]]]))
        at, offset = (np.concatenate(column) for column in zip(*parts, strict=True))
        sort = np.argsort(at)
        at = at[sort]
        return Stretch(row=runs.order[at], flow=runs.flow[runs.run[at]], side=runs.side[at], offset=offset[sort])

    def mark_quic(self, seg: Segments) -> None:
        """Datagrams that only QUIC begins so."""
        source, target = (seg.src << 16) | seg.sport, (seg.dst << 16) | seg.dport
        low, high = (np.minimum(source, target) | UDP_KEY).tolist(), np.maximum(source, target).tolist()
        self.rows["quic"][[self._live[key] for key in zip(low, high, strict=True)]] = 1

    def keep(self, flows: Rows) -> dict[int, int]:
        """Forget all flows but these, given in their order; returns old number → new number."""
        place = dict(zip(flows.tolist(), range(len(flows)), strict=True))
        compact(self.rows[: self.count], flows)
        self.sequels.keep(flows, place, self.count)
        self.count = len(flows)
        self._live = {key: place[flow] for key, flow in self._live.items() if flow in place}
        return place

    def renumber(self, moved: Callable[[I64], I64]) -> None:
        """Give addresses other numbers, in the same order. moved: their numbers → the new ones, both (n,)."""
        for name in ("low", "high"):
            ends = self.rows[name]
            udp = ends & UDP_KEY
            self.rows[name] = moved((ends ^ udp) >> 16) << 16 | ends & 0xFFFF | udp
        rows = self.rows[: self.count]
        keys = list(zip(rows["low"].tolist(), rows["high"].tolist(), strict=True))
        self._live = {keys[flow]: flow for flow in self._live.values()}

    def end(self) -> None:
        """No segment will come any more: the rows are all that is needed."""
        self._live.clear()

    # -- which flow --------------------------------------------------------------------------------------------------

    def _runs(self, seg: Segments, side: I64, low: I64, high: I64) -> _Runs:
        order, start = group(low, high)
        first, side, flags = order[start], side[order], seg.flags[order]
        keys = zip(low[first].tolist(), high[first].tolist(), strict=True)
        flow = np.array([self._live.get(key, -1) for key in keys], np.intp)
        opening = np.where(flow < 0, _opening(seg, first, side[start]), self.rows["opening"][flow])
        syns = np.flatnonzero((flags & (SYN | ACK)) == SYN)
        start, flow = _split(start, flow, opening, syns, _opening(seg, order[syns], side[syns]))
        new = np.flatnonzero(flow < 0)
        at = order[start[new]]
        flow[new] = self._create(seg, at, side[start[new]], low[at], high[at])
        run = np.repeat(np.arange(len(start)), np.diff(start, append=len(order)))
        return _Runs(order=order, side=side, flags=flags, run=run, start=start, flow=flow)

    def _create(self, seg: Segments, at: Rows, side: I64, low: I64, high: I64) -> Rows:
        """New flows that begin with the rows `at`, numbered as they appear in the file; later ones replace earlier."""
        first, self.count = self.count, self.count + len(at)
        if self.count > len(self.rows):
            grown = np.zeros(max(self.count, 2 * len(self.rows)), FLOW)
            grown[:first] = self.rows[:first]
            self.rows = grown
            self.sequels.grow(len(grown))
        rank = np.argsort(at)
        at, side, low, high = at[rank], side[rank], low[rank], high[rank]
        rows, flags = self.rows[first : self.count], seg.flags[at]
        rows["low"], rows["high"], rows["open"] = low, high, 1
        rows["first_packet"], rows["start_ns"] = seg.number[at], seg.time_ns[at]
        rows["opening"] = _opening(seg, at, side)
        # Without a SYN: services listen on low ports, clients speak from high ones.
        downward = ((flags & SYN) == 0) & (seg.sport[at] < 1024) & (seg.dport[at] >= 1024)
        rows["client"] = np.where(downward | ((flags & (SYN | ACK)) == SYN | ACK), 1 - side, side)
        self._live.update(zip(zip(low.tolist(), high.tolist(), strict=True), range(first, self.count), strict=True))
        return first + np.argsort(rank)

    # -- counters and events -----------------------------------------------------------------------------------------

    def _count(self, seg: Segments, runs: _Runs) -> None:
        rows, cell, cells = self.rows, runs.run * 2 + runs.side, 2 * len(runs.flow)
        rows["packets"][runs.flow] += np.bincount(cell, minlength=cells).reshape(-1, 2)
        size = np.bincount(cell, weights=seg.length[runs.order], minlength=cells)
        rows["bytes"][runs.flow] += size.astype(np.int64).reshape(-1, 2)
        last = runs.order[_ends(runs.start, len(cell))]
        rows["last_packet"][runs.flow], rows["end_ns"][runs.flow] = seg.number[last], seg.time_ns[last]

    def _events(self, seg: Segments, runs: _Runs) -> None:
        """SYN, SYN-ACK, RST and FIN: the first of each flow, and how many."""
        rows, at = self.rows, np.flatnonzero(runs.flags & (SYN | FIN | RST))
        flags, side, run = runs.flags[at], runs.side[at], runs.run[at]
        syn, answer = (flags & (SYN | ACK)) == SYN, (flags & (SYN | ACK)) == SYN | ACK
        reset, fin = (flags & RST) != 0, (flags & FIN) != 0
        rows["syn_count"][runs.flow] += np.bincount(run[syn], minlength=len(runs.flow))
        resets = np.bincount(run[reset] * 2 + side[reset], minlength=2 * len(runs.flow))
        rows["resets"][runs.flow] += resets.reshape(-1, 2)
        for mask, name in ((syn, "syn"), (answer, "syn_ack"), (reset, "reset")):
            place, flow = self._unseen(rows[f"{name}_packet"], runs, at[mask])
            row = runs.order[place]
            rows[f"{name}_packet"][flow], rows[f"{name}_ns"][flow] = seg.number[row], seg.time_ns[row]
            if name != "syn":
                rows[f"{name}_ttl"][flow] = seg.ttl[row]
            if name == "reset":
                rows["reset_side"][flow] = runs.side[place]
        for which in (0, 1):
            place, flow = self._unseen(rows["fin_ns"][:, which], runs, at[fin & (side == which)])
            rows["fin_ns"][flow, which] = seg.time_ns[runs.order[place]]
        self._after_reset(seg, runs)

    def _after_reset(self, seg: Segments, runs: _Runs) -> None:
        """Who sent a reset is silent, but for more resets; else somebody forged it."""
        rows = self.rows
        packet = rows["reset_packet"][runs.flow]
        if not packet.any():
            return
        at = np.flatnonzero(packet[runs.run] > 0)
        run, number, time_ns = runs.run[at], seg.number[runs.order[at]], seg.time_ns[runs.order[at]]
        same = runs.side[at] == rows["reset_side"][runs.flow][run]
        # Numbers tell the order within a file only.
        in_file = number >> FILE_SHIFT == packet[run] >> FILE_SHIFT
        later = np.where(in_file, number > packet[run], time_ns > rows["reset_ns"][runs.flow][run])
        at = at[same & later & ((runs.flags[at] & RST) == 0)]
        place, flow = self._unseen(rows["after_reset_packet"], runs, at)
        rows["after_reset_packet"][flow] = seg.number[runs.order[place]]
        rows["after_reset_ttl"][flow] = seg.ttl[runs.order[place]]

    @staticmethod
    def _unseen(column: I64, runs: _Runs, at: Rows) -> tuple[Rows, Rows]:
        """The first of the places `at` of each run whose flow still has 0 in the column, and that flow."""
        place = at[starts_of(runs.run[at])]
        flow = runs.flow[runs.run[place]]
        fresh = np.flatnonzero(column[flow] == 0)
        return place[fresh], flow[fresh]

    # -- payload -----------------------------------------------------------------------------------------------------

    def _payload(self, seg: Segments, runs: _Runs, which: int, data: Rows) -> None:
        """First and last time of one side's payload, which is at the places `data`."""
        place, flow = self._unseen(self.rows["first_data_ns"][:, which], runs, data)
        self.rows["first_data_ns"][flow, which] = seg.time_ns[runs.order[place]]
        last = data[_ends(starts_of(runs.run[data]), len(data))]
        self.rows["last_data_ns"][runs.flow[runs.run[last]], which] = seg.time_ns[runs.order[last]]

    def _waits(self, seg: Segments, runs: _Runs, filled: Rows) -> None:
        """What the client of each flow waited for; before first and last times are taken over."""
        run = runs.run[filled]
        starts = starts_of(run)
        flow = runs.flow[run[starts]]
        row, side, rows = runs.order[filled], runs.side[filled], self.rows
        self.sequels.wait(seg, rows["client"][flow], flow, row, side, starts, rows["last_data_ns"][flow])

    def _stream(self, seg: Segments, memory: U8, runs: _Runs, which: int, data: Rows) -> tuple[Rows, I64]:
        """Follow one side's TCP payload; returns the places that an open head may need, and their stream offsets."""
        starts = starts_of(runs.run[data])
        self._base(seg, runs, which, data[starts])
        flow, row = runs.flow[runs.run[data[starts]]], runs.order[data]
        length, client = seg.length[row], self.rows["client"][flow]
        names = ("last", "reach", "base", "open", "position")
        last, reached, base, is_open, position = (self.rows[name][flow, which] for name in names)
        begin = unwrapped(seg.seq[row] + ((runs.flags[data] & SYN) != 0), starts, last)
        again, reach = retransmitted(begin, length, starts, reached)
        resent = np.bincount(runs.run[data[again]], minlength=len(runs.flow))
        self.rows["resent"][runs.flow, which] += resent
        self.sequels.follow(seg, memory, which, client, flow, row, begin, starts, last)
        self.rows["last"][flow, which] = begin[_ends(starts, len(data))]
        self.rows["reach"][flow, which] = reach
        sizes, read = np.diff(starts, append=len(data)), np.where(is_open != 0, base + position, _NEVER)
        needed = np.flatnonzero(begin + length > np.repeat(read, sizes))
        return data[needed], begin[needed] - np.repeat(base, sizes)[needed]

    def _acks(self, seg: Segments, runs: _Runs, which: int) -> None:
        """What one side has acknowledged last of the other's stream, and when."""
        at = np.flatnonzero((runs.side == which) & ((runs.flags & (ACK | RST)) == ACK))
        last = at[_ends(starts_of(runs.run[at]), len(at))]
        flow, row = runs.flow[runs.run[last]], runs.order[last]
        self.rows["acked"][flow, which], self.rows["acked_ns"][flow, which] = seg.ack[row], seg.time_ns[row]

    def _base(self, seg: Segments, runs: _Runs, which: int, data: Rows) -> None:
        """Where one side's stream begins: behind its SYN, or at the first payload of a conversation under way."""
        syn = np.flatnonzero((runs.flags & SYN) != 0)
        syn = syn[runs.side[syn] == which]
        place, flow = self._unseen(self.rows["base"][:, which], runs, np.sort(np.concatenate([syn, data])))
        self._begin(seg, runs, which, place, flow)
        if len(syn) > np.count_nonzero(runs.flags[place] & SYN):
            # A SYN-ACK may come again with another number, as of another server behind the address: the last counts.
            first_data = np.full(len(runs.flow), len(runs.side))
            first_data[runs.run[data]] = data
            again = syn[syn < first_data[runs.run[syn]]]
            again = again[_ends(starts_of(runs.run[again]), len(again))]
            flow = runs.flow[runs.run[again]]
            silent = self.rows["reach"][flow, which] == self.rows["base"][flow, which]
            self._begin(seg, runs, which, again[silent], flow[silent])

    def _begin(self, seg: Segments, runs: _Runs, which: int, place: Rows, flow: Rows) -> None:
        base = _NUMBERS + seg.seq[runs.order[place]] + ((runs.flags[place] & SYN) != 0)
        for name in ("base", "last", "reach"):
            self.rows[name][flow, which] = base


def _opening(seg: Segments, at: Rows, side: I64) -> I64:
    """The client's first sequence number and side, as the first packet of a flow tells: its SYN, or what follows."""
    flags = seg.flags[at]
    answer = (flags & (SYN | ACK)) == SYN | ACK
    number = np.where(answer, seg.ack[at] - 1, seg.seq[at] - ((flags & SYN) == 0)) & 0xFFFFFFFF
    return number << 1 | np.where(answer, 1 - side, side)


def _split(start: Rows, flow: Rows, opening: I64, syns: Rows, openings: I64) -> tuple[Rows, Rows]:
    """Runs and their flows, with a new flow (-1) from each SYN on that is not the one which opened the last.

    start, flow, opening: (g,) of the groups; syns: (s,) places of all SYNs, rising; openings: (s,) what each opens.
    """
    owner = np.searchsorted(start, syns, side="right") - 1
    before, first = np.roll(openings, 1), starts_of(owner)
    before[first] = opening[owner[first]]
    again = np.flatnonzero(openings != before)
    whole = syns[again] == start[owner[again]]  # nothing of this batch is left to the flow before
    flow[owner[again[whole]]] = -1
    start = np.concatenate([start, syns[again[~whole]]])
    flow = np.concatenate([flow, np.full(len(start) - len(flow), -1)])
    order = np.argsort(start)
    return start[order], flow[order]


def _ends(starts: Rows, size: int) -> Rows:
    """The last places of the runs that begin at `starts`."""
    return np.append(starts, size)[1:] - 1
