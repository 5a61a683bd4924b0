"""The engine: batches in, flows and lookups out. State carries over from batch to batch, so any source is the same code."""

import ipaddress
from collections.abc import Callable, Mapping

import numpy as np

from trace_go.flows import outcome
from trace_go.flows.conversation import Conversation
from trace_go.flows.decode import ICMPV6, TCP, UDP, Addresses, Segments, decode
from trace_go.flows.grouping import Rows
from trace_go.flows.names import Names
from trace_go.flows.table import FlowTable
from trace_go.model.dns import DnsMessage
from trace_go.model.errors import WireError
from trace_go.model.flow import Endpoint, Traffic
from trace_go.model.packets import I64, U8, Batch
from trace_go.model.tls import ClientHello
from trace_go.wire import dns, icmp

DNS_PORT = 53
WINDOW = 1 << 20
"""stream bytes ahead of the reading position that are looked at; the largest unscaled TCP window is 64 KiB, scaled ones of
handshakes stay below this"""
MAX_ICMP = 10_000
"""ICMP errors read per capture"""

SocketKey = tuple[str, int, str, int]
"""local ip, local port, remote ip, remote port"""


class Engine:
    """One capture's state. `client_name` names the client of a ClientHello, e.g. gocmd.fingerprints."""

    def __init__(self, client_name: Callable[[ClientHello], str], *, file: int = 0, first_id: int = 0) -> None:
        self.file, self.first_id = file, first_id
        self._client_name = client_name
        self._addresses = Addresses()
        self._texts: dict[int, str] = {}
        self._table = FlowTable()
        self._talks: dict[int, Conversation] = {}
        self._names = Names()
        self._icmp: dict[int, tuple[str, int]] = {}
        self._icmp_read = 0
        self._last_ns = 0

    def add(self, batch: Batch) -> None:
        if not len(batch):
            return
        self._last_ns = max(self._last_ns, int(batch.time_ns.max()))
        data, segments = decode(batch, self._addresses)
        ports = np.isin(segments.protocol, (TCP, UDP))
        quoting = np.flatnonzero(~ports)
        if len(quoting):
            errors = segments.take(quoting)
            segments = segments.take(np.flatnonzero(ports))
        segments, flow, side = self._table.add(segments)
        memory = data.data
        self._streams(memory, segments, flow, side)
        self._datagrams(memory, segments)
        if len(quoting):
            self._quotations(memory, errors)

    # -- TCP ---------------------------------------------------------------------------------------------------------

    def _streams(self, memory: memoryview, seg: Segments, flow: Rows, side: I64) -> None:
        """Hand the segments that open heads still need to their conversations."""
        rows = self._table.rows
        at = np.flatnonzero((seg.protocol == TCP) & (seg.length > 0) & (rows["open"][flow, side] != 0))
        if not len(at):
            return
        offset = np.zeros(len(at), np.int64)
        for which in (0, 1):
            mine = np.flatnonzero(side[at] == which)
            offset[mine] = self._table.offsets(seg, flow, which, at[mine])
        ahead = offset - rows["position"][flow[at], side[at]]
        keep = (ahead < WINDOW) & (ahead + seg.length[at] > 0)
        at, offset = at[keep], offset[keep]
        starts = np.flatnonzero(np.concatenate([np.ones(min(len(at), 1), bool), flow[at][1:] != flow[at][:-1]]))
        bounds = [*starts.tolist(), len(at)]
        columns = (side[at], offset, seg.payload[at], seg.captured[at], seg.length[at], seg.number[at], seg.time_ns[at])
        which, stream, payload, captured, length, number, time_ns = (column.tolist() for column in columns)
        for first, end in zip(bounds, bounds[1:], strict=False):
            talk = self._talk(int(flow[at[first]]))
            sides = talk.sides
            for i in range(first, end):
                if sides[which[i]].open:
                    start = payload[i]
                    body = bytes(memory[start : start + captured[i]])
                    talk.segment(which[i], stream[i], body, captured[i] < length[i], number[i], time_ns[i])
                elif not sides[1 - which[i]].open:
                    break
        ids = flow[at[starts]].tolist()
        heads = [self._talks[item].sides for item in ids]
        rows["position"][ids] = [(one.position, two.position) for one, two in heads]
        rows["open"][ids] = [(one.open, two.open) for one, two in heads]

    def _talk(self, flow: int) -> Conversation:
        talk = self._talks.get(flow)
        if talk is None:
            row = self._table.rows[flow]
            client, server = self._endpoints(row)
            is_dns = DNS_PORT in (int(row["low"]) & 0xFFFF, int(row["high"]) & 0xFFFF)

            def sink(message: DnsMessage, from_client: bool, number: int, time_ns: int) -> None:
                if from_client != message.is_response:
                    self._names.add(message, client.ip, client.port, server.ip, "tcp", number, time_ns)

            talk = self._talks[flow] = Conversation(int(row["client"]), is_dns=is_dns, dns_sink=sink)
        return talk

    # -- UDP, ICMP ---------------------------------------------------------------------------------------------------

    def _datagrams(self, memory: memoryview, seg: Segments) -> None:
        """DNS over UDP. One message is one question of a person or a program: per packet is per question here."""
        wanted = (seg.protocol == UDP) & ((seg.dport == DNS_PORT) | (seg.sport == DNS_PORT)) & (seg.captured >= 12)
        at = np.flatnonzero(wanted)
        at = at[np.argsort(seg.number[at])]
        columns = (seg.payload, seg.captured, seg.number, seg.time_ns, seg.src, seg.sport, seg.dst, seg.dport)
        for start, size, number, time_ns, src, sport, dst, dport in zip(*(c[at].tolist() for c in columns), strict=True):
            try:
                message = dns.message(bytes(memory[start : start + size]))
            except WireError:
                continue
            if message.is_response:
                src, sport, dst, dport = dst, dport, src, sport
            self._names.add(message, self._ip(src), sport, self._ip(dst), "udp", number, time_ns)

    def _quotations(self, memory: memoryview, seg: Segments) -> None:
        columns = (seg.payload, seg.captured, seg.number, seg.protocol)
        for start, size, number, protocol in zip(*(column.tolist() for column in columns), strict=True):
            if self._icmp_read >= MAX_ICMP:
                return
            self._icmp_read += 1
            try:
                error = icmp.maybe_error(bytes(memory[start : start + size]), ipv6=protocol == ICMPV6)
            except WireError:
                continue
            if error is None or error.text == icmp.TOO_BIG:
                continue
            src, dst = self._number(error.src), self._number(error.dst)
            source, target = (src << 16) | error.sport, (dst << 16) | error.dport
            flow = self._table.find(min(source, target), max(source, target), udp=error.protocol == UDP)
            if flow is not None and flow not in self._icmp:
                self._icmp[flow] = (error.text, number)
            if error.dport == DNS_PORT:
                self._names.failed(self._ip(src), error.sport, self._ip(dst), error.text)

    def _number(self, packed: bytes) -> int:
        return int.from_bytes(packed, "big") if len(packed) == 4 else self._addresses.number(packed.rstrip(b"\0"))

    def _ip(self, number: int) -> str:
        text = self._texts.get(number)
        if text is None:
            text = self._texts[number] = str(ipaddress.ip_address(self._addresses.packed(number)))
        return text

    def _endpoints(self, row: np.void) -> tuple[Endpoint, Endpoint]:
        """Client and server as the packets suggest."""
        ends = [self._endpoint(int(row["low"]) & ~(1 << 60)), self._endpoint(int(row["high"]))]
        return ends[int(row["client"])], ends[1 - int(row["client"])]

    def _endpoint(self, number: int) -> Endpoint:
        return Endpoint(ip=self._ip(number >> 16), port=number & 0xFFFF)

    # -- end ---------------------------------------------------------------------------------------------------------

    def finish(self, processes: Mapping[SocketKey, str] | None = None) -> Traffic:
        """The flows and lookups of everything added so far; may be called again after more batches."""
        owners = processes or {}
        endpoints = outcome.Context(
            file=self.file, last_ns=self._last_ns, client_name=self._client_name, endpoint=self._endpoint, owners=owners
        )
        rows = self._table.rows[: self._table.count].tolist()
        flows = tuple(
            outcome.flow(self.first_id + index, row, self._talks.get(index), self._icmp.get(index), endpoints)
            for index, row in enumerate(rows)
        )
        return Traffic(flows=flows, lookups=self._names.lookups(self.file))
