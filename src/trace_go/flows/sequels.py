"""What two segments that follow each other tell of a connection: data sent twice and unlike, and long waiting.

A retransmission repeats what was sent (RFC 9293 §3.8.1), however it is cut: where a side begins again where its last
segment began and says something else, one of the two is somebody else's. And where the client's data is followed by the
server's much later, it waited for an answer. Only what stands next to each other is compared, so that the last
segment of each side is all that is kept.
"""

import numpy as np

from trace_go.flows.decode import Segments, windows
from trace_go.flows.grouping import Rows, compact, starts_of
from trace_go.model.flow import Twice, Wait
from trace_go.model.packets import I64, U8

HEAD = 24
"""bytes compared: what differs in a status line, a header, or the random of a hello, stands there"""
_HEAD = np.dtype((np.void, HEAD))
LONG_NS = 1_000_000_000
"""waiting that is worth telling"""

_LAST = np.dtype([(name, "i8", 2) for name in ("number", "time_ns", "length", "ttl")] + [("head", "u1", (2, HEAD))])
"""of each side's last segment with payload; number 0 = there was none, length = bytes captured"""


class Sequels:
    """State for flows by number; `twice` and `waits` hold few of them."""

    def __init__(self) -> None:
        self._last = np.zeros(1024, _LAST)
        self.twice: dict[int, Twice] = {}
        """the first of each flow"""
        self.waits: dict[int, Wait] = {}
        """the longest of each flow"""

    def grow(self, size: int) -> None:
        if size > len(self._last):
            grown = np.zeros(max(size, 2 * len(self._last)), _LAST)
            grown[: len(self._last)] = self._last
            self._last = grown

    def keep(self, flows: Rows, place: dict[int, int], count: int) -> None:
        """Forget all of `count` flows but these; place: their old number → their new one."""
        compact(self._last[:count], flows)
        self.twice = {place[flow]: found for flow, found in self.twice.items() if flow in place}
        self.waits = {place[flow]: found for flow, found in self.waits.items() if flow in place}

    def follow(
        self,
        seg: Segments,
        data: U8,
        which: int,
        client: I64,
        flow: Rows,
        row: Rows,
        begin: I64,
        starts: Rows,
        last: I64,
    ) -> None:
        """One side's payload. row, begin (n,): segments in runs, and their unwrapped numbers; starts (g,): of the runs;
        flow, client, last (g,): each run's flow, its client, and the number at which its last segment began.
        """
        before = np.roll(begin, 1)
        before[starts] = last
        again = np.flatnonzero(begin == before)
        if len(again):
            self._compare(seg, data, which, client, flow, row, starts, again)
        end = row[np.append(starts, len(row))[1:] - 1]
        kept = self._last
        for name in ("number", "time_ns", "ttl"):
            kept[name][flow, which] = getattr(seg, name)[end]
        kept["length"][flow, which], kept["head"][flow, which] = seg.captured[end], _heads(seg, data, end)

    def _compare(
        self, seg: Segments, data: U8, which: int, client: I64, flow: Rows, row: Rows, starts: Rows, again: Rows
    ) -> None:
        """Whether the segments at the places `again` say what those before them said."""
        run = np.searchsorted(starts, again, side="right") - 1
        first, earlier, kept = starts[run] == again, row[again - 1], self._last[flow[run]]
        number = np.where(first, kept["number"][:, which], seg.number[earlier])
        ttl = np.where(first, kept["ttl"][:, which], seg.ttl[earlier])
        time_ns = np.where(first, kept["time_ns"][:, which], seg.time_ns[earlier])
        size = np.where(first, kept["length"][:, which], seg.captured[earlier])
        head = np.where(first[:, None], kept["head"][:, which], _heads(seg, data, earlier))
        size = np.minimum(size, seg.captured[row[again]])
        common = np.arange(HEAD) < size[:, None]
        differ = ((head != _heads(seg, data, row[again])) & common).any(axis=1)
        # One byte may be a keep-alive's, which is not the stream's (RFC 9293 §3.8.4).
        at = np.flatnonzero(differ & (size > 1) & (number > 0))
        at = at[starts_of(run[at])]
        for place, group in zip(at.tolist(), run[at].tolist(), strict=True):
            second = row[again[place]]
            found = Twice(
                from_client=bool(client[group] == which),
                packet=int(number[place]),
                time_ns=int(time_ns[place]),
                ttl=int(ttl[place]),
                then_packet=int(seg.number[second]),
                then_ttl=int(seg.ttl[second]),
                then_ns=int(seg.time_ns[second]),
            )
            known = self.twice.setdefault(int(flow[group]), found)
            if found.then_ns < known.then_ns:  # the other side's, of the same batch
                self.twice[int(flow[group])] = found

    def wait(self, seg: Segments, client: I64, flow: Rows, row: Rows, side: I64, starts: Rows, last_ns: I64) -> None:
        """Both sides' payload. row, side (n,): segments in runs; last_ns (g, 2): of each side's payload before."""
        time_ns = seg.time_ns[row]
        step = np.diff(time_ns, prepend=0)
        newest = last_ns.max(axis=1)
        step[starts] = np.where(newest > 0, time_ns[starts] - newest, 0)
        at = np.flatnonzero(step >= LONG_NS)
        if not len(at):
            return
        run = np.searchsorted(starts, at, side="right") - 1
        first = starts[run] == at
        spoke = np.where(first, last_ns.argmax(axis=1)[run], side[at - 1])
        answered = (spoke == client[run]) & (side[at] != client[run])
        at, run, first = at[answered], run[answered], first[answered]
        longest = np.lexsort((-step[at], run))
        longest = longest[starts_of(run[longest])]
        for place, group, fresh in zip(*(part[longest].tolist() for part in (at, run, first)), strict=True):
            number, near = int(flow[group]), int(client[group])
            asked, answer, waited_ns = row[place - 1], row[place], int(step[place])
            kept = self._last[number]
            if number not in self.waits or waited_ns > self.waits[number].waited_ns:
                self.waits[number] = Wait(
                    request_packet=int(kept["number"][near] if fresh else seg.number[asked]),
                    request_bytes=int(kept["length"][near] if fresh else seg.captured[asked]),
                    answer_packet=int(seg.number[answer]),
                    answer_bytes=int(seg.captured[answer]),
                    answer_ns=int(seg.time_ns[answer]),
                    waited_ns=waited_ns,
                )


def _heads(seg: Segments, data: U8, row: Rows) -> U8:
    """The first bytes of payloads, (n, HEAD); what is not captured is 0."""
    captured = seg.captured[row]
    heads = windows(data, np.where(captured > 0, seg.payload[row], 0), _HEAD).view(np.uint8).reshape(-1, HEAD)
    short = np.flatnonzero(captured < HEAD)
    heads[short] *= np.arange(HEAD) < captured[short, None]
    return heads
