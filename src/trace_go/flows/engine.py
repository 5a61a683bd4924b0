"""The engine: batches in, flows and lookups out.

State carries over from batch to batch, so any source is the same code, and how packets are divided makes no difference.
"""

import ipaddress
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from operator import itemgetter
from typing import Any

import numpy as np
from msgspec.structs import replace

from trace_go.flows.conversation import END, Conversation
from trace_go.flows.decode import ICMPV6, TCP, UDP, Segments, State, decode
from trace_go.flows.freezing import Context, freeze
from trace_go.flows.grouping import Rows, starts_of
from trace_go.flows.names import Names
from trace_go.flows.reassembly import Held
from trace_go.flows.shares import ALL, DNS_PORT, Share
from trace_go.flows.table import UDP_KEY, FlowTable, Stretch
from trace_go.flows.tls_tracker import Keys
from trace_go.model.errors import WireError
from trace_go.model.flow import Endpoint, Flow, Traffic
from trace_go.model.packets import I64, U8, Batch, places
from trace_go.model.tls import ClientHello
from trace_go.wire import dns, icmp

OTHER_NAME_PORTS = (137, 5353, 5355)
"""NetBIOS, multicast DNS, LLMNR: messages like those of DNS, to no resolver"""
MAX_RECORDS = 64
"""answers in a datagram of another port than 53 that is still taken for DNS"""
QUIC_VERSIONS, QUIC_DRAFTS = (1, 0x6B3343CF), 0xFF0000
"""RFC 9000, RFC 9369; the upper bytes of the drafts' versions"""
QUIC_HEADER = 7
"""bytes of the shortest long header (RFC 8999 §5.1)"""
MAX_FLOWS = 100_000
"""kept by default; measured, one of a SYN takes 1.3 kB in all and one with a TLS handshake 3.4 kB"""
MAX_ICMP = 10_000
"""ICMP errors read per capture"""
FIRST_SEGMENTS = 16
"""handed to a conversation before it is asked what it still needs; most heads end within"""
RUN_BYTES = 256 << 10
"""joined at once of what keys open"""
SOME_FLOWS = 1024
"""rows of the table made Python numbers at once: they take ten times the room"""

SocketKey = tuple[str, int, str, int]
"""local ip, local port, remote ip, remote port"""
_Note = tuple[int, Callable[..., None], tuple[Any, ...]]
"""packet number, a method of Names, its arguments"""


class Engine:
    """One capture's state. `client_name` names the client of a ClientHello: gocmd.fingerprints; `keys` open TLS."""

    def __init__(
        self,
        client_name: Callable[[ClientHello], str],
        keys: Keys | None = None,
        *,
        max_flows: int = MAX_FLOWS,
        share: Share = ALL,
    ) -> None:
        """max_flows: kept at most, but for those that begin in one batch. share: the flows that are looked at."""
        self.keys, self._max_flows, self._left_out = keys, share.of(max_flows), 0
        self._share = share
        self._client_name = client_name
        self._state = State()
        self._texts: dict[int, str] = {}
        self._table = FlowTable()
        self._talks: dict[int, Conversation] = {}
        self._held = Held()
        self._names = Names()
        self._quotes: list[tuple[tuple[int, int], int, str, int, int]] = []
        self._icmp_read = 0
        self._last_ns = 0

    def add(self, batch: Batch) -> None:
        if len(batch):
            self.take(*decode(batch, self._state), int(batch.time_ns.max()))

    def take_foreign(self, data: U8, segments: Segments, addresses: Sequence[bytes], last_ns: int) -> None:
        """As `take`. addresses: what the numbers of IPv6 addresses in the segments stand for, from 2**32 up."""
        if addresses:
            numbers = np.array([self._state.addresses.number(packed) for packed in addresses], np.int64)
            src, dst = (
                np.where(end >> 32, numbers[np.maximum(end - (1 << 32), 0)], end)
                for end in (segments.src, segments.dst)
            )
            segments = replace(segments, src=src, dst=dst)
        self.take(data, segments, last_ns)

    def take(self, data: U8, segments: Segments, last_ns: int) -> None:
        """What `decode` made of a batch, whose latest packet is of `last_ns`."""
        self._last_ns = max(self._last_ns, last_ns)
        number = segments.number
        ports = np.isin(segments.protocol, (TCP, UDP))
        notes: list[_Note] = []
        if not ports.all():
            self._quotations(data, segments.take(np.flatnonzero(~ports)), notes)
            segments = segments.take(np.flatnonzero(ports))
        if not self._share.begin:
            self._datagrams(data, segments, notes)
        if self._share != ALL:
            segments = segments.take(np.flatnonzero(self._share.has(segments)))
        self._streams(data.data, segments, self._table.add(segments, data), notes)
        if len(quic := _quic_like(data, segments)):
            self._table.mark_quic(segments.take(quic))
        at = places(number, np.array([packet for packet, *_ in notes], np.int64)).tolist()
        for _, (_, note, arguments) in sorted(zip(at, notes, strict=True), key=itemgetter(0)):
            note(*arguments)
        if self._table.count > self._max_flows:
            self._leave_out()

    def _leave_out(self) -> None:
        """Forget a quarter of the flows: those that tell nothing first, of these finished ones, of these old ones."""
        count = self._table.count
        rows = self._table.rows[:count]
        tells = np.zeros(count, bool)
        tells[[flow for flow, talk in self._talks.items() if talk.tells]] = True
        over = (rows["reset_packet"] > 0) | (rows["fin_ns"] > 0).all(axis=1)
        order = np.lexsort((rows["end_ns"], ~over, tells))
        kept = np.sort(order[count - self._max_flows * 3 // 4 :])
        self._left_out += count - len(kept)
        place = self._table.keep(kept)
        for flow, talk in self._talks.items():
            if flow not in place:
                talk.let_go()
        self._talks = {place[flow]: talk for flow, talk in self._talks.items() if flow in place}
        self._forget_addresses()

    def _forget_addresses(self) -> None:
        """Of flows that are left out; ICMP errors keep those that they quote."""
        rows = self._table.rows[: self._table.count]
        quoted = [end for key, *_ in self._quotes for end in key]
        ends = np.concatenate([rows["low"], rows["high"], np.array(quoted, np.int64)])
        used = np.unique((ends & ~UDP_KEY) >> 16)
        moved = self._state.addresses.keep(used[used >> 32 > 0])
        self._table.renumber(moved)
        self._texts.clear()
        for place, (key, side, text, number, time_ns) in enumerate(self._quotes):
            numbers = np.array(key, np.int64)
            udp = numbers & UDP_KEY
            low, high = (moved((numbers ^ udp) >> 16) << 16 | numbers & 0xFFFF | udp).tolist()
            self._quotes[place] = ((low, high), side, text, number, time_ns)

    # -- TCP ---------------------------------------------------------------------------------------------------------

    def _streams(self, memory: memoryview, seg: Segments, stretch: Stretch, notes: list[_Note]) -> None:
        """Hand the segments that open heads need to their conversations."""
        if not len(stretch.row):
            return
        columns = [column[stretch.row] for column in (seg.payload, seg.captured, seg.length, seg.number, seg.time_ns)]
        rows = np.column_stack([stretch.side, stretch.offset, *columns])
        starts = starts_of(stretch.flow)
        sizes = np.diff(starts, append=len(rows))
        # Most heads end within a few segments: only those are made Python numbers at once.
        some = np.minimum(sizes, FIRST_SEGMENTS)
        early = rows[np.arange(len(rows)) - np.repeat(starts, sizes) < FIRST_SEGMENTS].tolist()
        flows, table = stretch.flow[starts], self._table.rows
        client = table["client"][flows]
        is_dns = (table["low"][flows] & 0xFFFF == DNS_PORT) | (table["high"][flows] & 0xFFFF == DNS_PORT)
        columns = [flows, client, is_dns, np.cumsum(some), some, starts, sizes]
        heads = []
        for flow, near, named, end, count, start, size in zip(*(column.tolist() for column in columns), strict=True):
            talk = self._talks.get(flow)
            if talk is None:
                talk = self._talks[flow] = Conversation(near, is_dns=named, keys=self.keys, held=self._held)
            _hand_over(talk, memory, early[end - count : end])
            one, other = talk.sides
            if size > count and (one.open or other.open):
                _hand_over_rest(talk, memory, rows[start + count : start + size])
            if talk.dns:
                self._note_messages(flow, talk, notes)
            heads.append((one.position, other.position, one.open, other.open))
        state = np.array(heads, np.int64)
        table["position"][flows], table["open"][flows] = state[:, :2], state[:, 2:]

    def _note_messages(self, flow: int, talk: Conversation, notes: list[_Note]) -> None:
        ends = [self._endpoint(int(self._table.rows[name][flow])) for name in ("low", "high")]
        client, server = ends[talk.client], ends[1 - talk.client]
        for message, from_client, number, time_ns in talk.dns:
            if from_client != message.is_response:
                asked = (message, client.ip, client.port, server.ip, "tcp", number, time_ns)
                notes.append((number, self._names.add, asked))
        talk.dns.clear()

    # -- UDP, ICMP ---------------------------------------------------------------------------------------------------

    def _datagrams(self, data: U8, seg: Segments, notes: list[_Note]) -> None:
        """DNS over UDP. One message is one question of a person or a program: per packet is per question here."""
        memory, at = data.data, _dns_like(data, seg)
        columns = (seg.payload, seg.captured, seg.number, seg.time_ns, seg.src, seg.sport, seg.dst, seg.dport)
        for start, size, number, time_ns, *ends in zip(*(column[at].tolist() for column in columns), strict=True):
            try:
                message = dns.message(bytes(memory[start : start + size]))
            except WireError:
                continue
            client, port, resolver, service = ends[2:] + ends[:2] if message.is_response else ends
            if service == DNS_PORT or not message.oddities:
                asked = (message, self._ip(client), port, self._ip(resolver), "udp", number, time_ns)
                notes.append((number, self._names.add, asked))

    def _quotations(self, data: U8, seg: Segments, notes: list[_Note]) -> None:
        """ICMP errors: remember whom they quote."""
        kind = data[seg.payload]
        six = seg.protocol == ICMPV6
        at = np.flatnonzero(np.where(six, np.isin(kind, icmp.V6_KINDS), np.isin(kind, icmp.V4_KINDS)))
        at = at[: MAX_ICMP - self._icmp_read]
        self._icmp_read += len(at)
        columns = (seg.payload, seg.captured, seg.number, seg.time_ns, seg.protocol)
        for start, size, number, time_ns, protocol in zip(*(column[at].tolist() for column in columns), strict=True):
            try:
                error = icmp.maybe_error(bytes(data[start : start + size]), ipv6=protocol == ICMPV6)
            except WireError:
                continue
            if error is None or error.text == icmp.TOO_BIG:
                continue
            src, dst = self._state.addresses.number(error.src), self._state.addresses.number(error.dst)
            source, target = (src << 16) | error.sport, (dst << 16) | error.dport
            key = (min(source, target) | (UDP_KEY if error.protocol == UDP else 0), max(source, target))
            self._quotes.append((key, int(source > target), error.text, number, time_ns))
            if error.dport == DNS_PORT:
                notes.append((number, self._names.failed, (self._ip(src), error.sport, self._ip(dst), error.text)))

    def _quoted(self) -> dict[int, dict[int, tuple[str, int]]]:
        """Flow → side quoted → the first ICMP error, its text and packet."""
        if not self._quotes:
            return {}
        rows = self._table.rows[: self._table.count]
        flows: dict[tuple[int, int], list[int]] = {key: [] for key, *_ in self._quotes}
        for flow, key in enumerate(zip(rows["low"].tolist(), rows["high"].tolist(), strict=True)):
            if key in flows:
                flows[key].append(flow)
        found: dict[int, dict[int, tuple[str, int]]] = {}
        for key, side, text, number, time_ns in self._quotes:
            begun = bisect_right(flows[key], time_ns, key=rows["start_ns"].__getitem__)
            if begun:
                found.setdefault(flows[key][begun - 1], {}).setdefault(side, (text, number))
        return found

    # -- addresses ---------------------------------------------------------------------------------------------------

    def _ip(self, number: int) -> str:
        text = self._texts.get(number)
        if text is None:
            text = self._texts[number] = str(ipaddress.ip_address(self._state.addresses.packed(number)))
        return text

    def _endpoint(self, number: int) -> Endpoint:
        return Endpoint(ip=self._ip((number & ~UDP_KEY) >> 16), port=number & 0xFFFF)

    # -- end ---------------------------------------------------------------------------------------------------------

    @property
    def flow_count(self) -> int:
        """Flows that are kept."""
        return self._table.count

    @property
    def left_out(self) -> int:
        return self._left_out

    def finish(
        self, owners: Mapping[SocketKey, str] | None = None, ends_ns: Sequence[int] = (), *, last: bool = False
    ) -> Traffic:
        """The flows and lookups of everything added so far; may be called again after more batches, if not the last.

        ends_ns: when the capturing ended each time, rising; only needed where it did more than once.
        """
        return Traffic(
            flows=tuple(self.flows(owners, ends_ns, last=last)),
            lookups=self._names.lookups(),
            left_out=self._left_out,
            lookups_left_out=self._names.left_out,
        )

    def flows(
        self, owners: Mapping[SocketKey, str] | None = None, ends_ns: Sequence[int] = (), *, last: bool = False
    ) -> Iterator[Flow]:
        """As `finish` has them. last: nothing will be added, so that what was kept for a flow is let go with it."""
        if pieces := self._state.fragments.leftovers():
            self.add(pieces)
        if last:
            self._table.end()
        context = Context(
            ends_ns=(*ends_ns, self._last_ns),
            client_name=self._client_name,
            endpoint=self._endpoint,
            owners=owners or {},
            quoted=self._quoted(),
            twice=self._table.sequels.twice,
            waits=self._table.sequels.waits,
        )
        talk_of = self._talks.pop if last else self._talks.get
        for first in range(0, self._table.count, SOME_FLOWS):
            rows = self._table.rows[first : min(first + SOME_FLOWS, self._table.count)]
            talks = [talk_of(number, None) for number in range(first, first + len(rows))]
            yield from freeze(first, rows, talks, context)


def _dns_like(data: U8, seg: Segments) -> Rows:
    """Datagrams of port 53, and those of other ports that begin as a query for one name or its answer do."""
    at = np.flatnonzero((seg.protocol == UDP) & (seg.captured >= dns.HEADER_BYTES))
    known = (seg.dport[at] == DNS_PORT) | (seg.sport[at] == DNS_PORT)
    other = ~np.isin(seg.dport[at], OTHER_NAME_PORTS) & ~np.isin(seg.sport[at], OTHER_NAME_PORTS)
    flags, rcode, ones, more = (data[seg.payload[at] + place] for place in (2, 3, 5, 4))
    answers = data[seg.payload[at] + 6].astype(np.int64) << 8 | data[seg.payload[at] + 7]
    answered = (flags & 0x80) != 0
    plain = ((flags & 0x78) == 0) & ((rcode & 0x40) == 0) & (more == 0) & (ones == 1)
    like: Rows = at[known | (other & plain & (answers < np.where(answered, MAX_RECORDS, 1)))]
    return like


def _quic_like(data: U8, seg: Segments) -> Rows:
    """Datagrams with the long header of a known version of QUIC: both sides begin a connection with some."""
    at = np.flatnonzero((seg.protocol == UDP) & (seg.captured >= QUIC_HEADER))
    at = at[data[seg.payload[at]] & 0xC0 == 0xC0]
    words = [data[seg.payload[at] + place].astype(np.int64) for place in range(1, 5)]
    version = words[0] << 24 | words[1] << 16 | words[2] << 8 | words[3]
    like: Rows = at[np.isin(version, QUIC_VERSIONS) | (version >> 8 == QUIC_DRAFTS)]
    return like


def _hand_over(talk: Conversation, memory: memoryview, rows: list[list[int]]) -> None:
    """rows: side, offset, start in memory, bytes captured, length, packet number, time; in file order."""
    sides, segment = talk.sides, talk.segment
    for which, offset, start, captured, length, number, time_ns in rows:
        side = sides[which]
        if side.open and offset + length > side.position:
            segment(which, offset, memory[start : start + captured].tobytes(), length, number, time_ns)


def _hand_over_rest(talk: Conversation, memory: memoryview, rows: I64) -> None:
    """rows: (n, 7) as above; asks ever more seldom which of them are still needed."""
    count = FIRST_SEGMENTS
    while len(rows):
        read = np.array([side.position if side.open else END for side in talk.sides])
        rows = rows[rows[:, 1] + rows[:, 4] > read[rows[:, 0]]]
        if talk.opened:
            _hand_over_runs(talk, memory, rows[:count])
        else:
            _hand_over(talk, memory, rows[:count].tolist())
        rows, count = rows[count:], 2 * count


def _hand_over_runs(talk: Conversation, memory: memoryview, rows: I64) -> None:
    """rows: (n, 7) as above; what follows each other of one side is handed over as one."""
    side, offset, _, captured, length, *_ = rows.T
    joins = (side[1:] == side[:-1]) & (offset[1:] == offset[:-1] + captured[:-1]) & (captured == length)[1:]
    portion = np.cumsum(captured) // RUN_BYTES
    cuts = np.flatnonzero(~joins | (portion[1:] > portion[:-1])) + 1
    listed = rows.tolist()
    for first, end in pairwise([0, *cuts.tolist(), len(rows)]):
        if end - first < 2 or not talk.maybe_run(memory, listed[first:end]):
            _hand_over(talk, memory, listed[first:end])
