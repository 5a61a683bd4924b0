"""Joins DNS queries and answers into lookups: retries, latency, and answers that contradict each other.

A resolver library repeats an unanswered question, from the same or a new port, so a lookup is one (client, resolver,
name, type) from its first query until it is answered. An answer belongs to a query by port and id (RFC 1035 §4.1.1,
RFC 5452 §9); one that belongs to none is a lookup of its own.
"""

from collections import deque
from dataclasses import dataclass, field

from trace_go.model.dns import DnsMessage, Lookup
from trace_go.model.evidence import file_of
from trace_go.wire.dns import rcode_name, type_name

MAX_LOOKUPS = 200_000
"""lookups kept per capture; a module download of 5,000 modules makes some hundreds"""
MAX_ANSWERS = 16
"""answers kept per lookup"""
MAX_QUERIES = 64
"""queries kept per lookup"""
MAX_PORT = 8
"""queries of one port that an ICMP error may mean; it need not quote more than the ports. Stub resolvers send two"""
TWICE_NS = 10_000_000
"""a query seen again within this time was captured twice; resolvers wait 100 ms and more before they repeat it"""
PATIENCE_NS = 60_000_000_000
"""silence after which the same question is a new lookup; resolver libraries wait 30 s at most (resolv.conf(5))"""

_A, _CNAME, _AAAA = 1, 5, 28

_Key = tuple[str, str, str, int]
"""client, resolver, name in lower case, type"""
_Query = tuple[str, int, str, int]
"""client, its port, resolver, id"""


@dataclass(slots=True)
class _Open:
    key: _Key
    transport: str
    sent: list[tuple[_Query, str, int]] = field(default_factory=list)
    """each query, its transport and time, ns"""
    query_packets: list[int] = field(default_factory=list)
    answers: list[tuple[DnsMessage, _Query, str, int, int]] = field(default_factory=list)
    """message, the query it answers, transport, packet, time"""
    icmp: str | None = None
    as_go_asks: bool = False


class Names:
    """Feed messages in file order; `lookups()` at any time."""

    def __init__(self) -> None:
        self.left_out = 0
        """questions and answers beyond MAX_LOOKUPS"""
        self._all: list[_Open] = []
        self._open: dict[_Key, _Open] = {}
        self._by_query: dict[tuple[_Query, _Key], _Open] = {}
        self._latest: dict[_Query, _Open] = {}
        self._by_port: dict[tuple[str, int, str], deque[_Open]] = {}

    def add(
        self, message: DnsMessage, client: str, port: int, resolver: str, transport: str, number: int, time_ns: int
    ) -> None:
        """client and resolver: IP addresses; port: the client's."""
        if message.opcode:
            return
        query = (client, port, resolver, message.id)
        keys = [(client, resolver, name.lower(), kind) for name, kind in message.questions]
        if message.is_response:
            for lookup in self._answered(query, keys, transport):
                if len(lookup.answers) < MAX_ANSWERS:
                    lookup.answers.append((message, query, transport, number, time_ns))
            return
        for key in keys:
            found = self._overtaken(query, key, time_ns) or self._asked(key, transport, time_ns)
            if found and len(found.query_packets) < MAX_QUERIES:
                found.query_packets.append(number)
                found.as_go_asks = found.as_go_asks or message.as_go_asks
                if not any(known == query and time_ns - at < TWICE_NS for known, _, at in found.sent):
                    found.sent.append((query, transport, time_ns))
                self._by_query[query, key] = self._latest[query] = found
                self._by_port.setdefault((client, port, resolver), deque(maxlen=MAX_PORT)).append(found)

    def failed(self, client: str, port: int, resolver: str, text: str) -> None:
        """An ICMP error quoted a query of this port."""
        for lookup in self._by_port.get((client, port, resolver), ()):
            if not lookup.answers:
                lookup.icmp = text

    def _overtaken(self, query: _Query, key: _Key, time_ns: int) -> _Open | None:
        """The lookup of an answer that was recorded before its query, as captures at two places or queues do."""
        found = self._by_query.get((query, key))
        return found if found and not found.sent and abs(time_ns - found.answers[0][4]) < TWICE_NS else None

    def _asked(self, key: _Key, transport: str, time_ns: int) -> _Open | None:
        """The lookup of this question that still waits for its answer, or a new one."""
        found = self._open.get(key)
        given_up = found is not None and found.sent and time_ns - found.sent[-1][2] > PATIENCE_NS
        if found is None or given_up or any(not answer[0].truncated for answer in found.answers):
            found = self._new(key, transport)
            if found:
                self._open[key] = found
        return found

    def _answered(self, query: _Query, keys: list[_Key], transport: str) -> list[_Open]:
        """The lookups that an answer belongs to; some errors come without the question."""
        if not keys:
            return [self._latest[query]] if query in self._latest else []
        found = []
        for key in keys:
            lookup = self._by_query.get((query, key)) or self._new(key, transport)
            if lookup:
                self._by_query[query, key] = lookup
                found.append(lookup)
        return found

    def _new(self, key: _Key, transport: str) -> _Open | None:
        if len(self._all) >= MAX_LOOKUPS:
            self.left_out += 1
            return None
        self._all.append(_Open(key, transport))
        return self._all[-1]

    def lookups(self) -> tuple[Lookup, ...]:
        return tuple(map(_freeze, self._all))


def _addresses(message: DnsMessage) -> tuple[str, ...]:
    return tuple(record.value for record in message.answers if record.type in (_A, _AAAA))


def _conflicts(item: _Open) -> tuple[tuple[tuple[str, ...], int], ...]:
    """The differing answers to one and the same query with their packets.

    A second answer that only reorders addresses is no conflict.
    """
    seen: dict[_Query, list[tuple[int, tuple[str, ...], int]]] = {}
    for message, query, _, number, _ in item.answers:
        if not message.truncated:
            seen.setdefault(query, []).append((message.rcode, _addresses(message), number))
    for answers in seen.values():
        if any(not _agree(answers[0][:2], other[:2]) for other in answers[1:]):
            return tuple((addresses or (rcode_name(rcode),), number) for rcode, addresses, number in answers)
    return ()


def _agree(one: tuple[int, tuple[str, ...]], other: tuple[int, tuple[str, ...]]) -> bool:
    return one[0] == other[0] and (set(one[1]) == set(other[1]) or bool(set(one[1]) & set(other[1])))


def _freeze(item: _Open) -> Lookup:
    client, resolver, name, kind = item.key
    whole = [answer for answer in item.answers if not answer[0].truncated]
    final = next(iter(whole or item.answers), None)
    start_ns = min((at for _, _, at in item.sent), default=final[4] if final else 0)
    conflicts = _conflicts(item)
    return Lookup(
        name=name,
        type=type_name(kind),
        client=client,
        resolver=resolver,
        transport=final[2] if final else item.transport,
        rcode=rcode_name(final[0].rcode) if final else None,
        addresses=_addresses(final[0]) if final else (),
        cnames=tuple(record.value for record in final[0].answers if record.type == _CNAME) if final else (),
        start_ns=start_ns,
        latency_s=max(final[4] - start_ns, 0) / 1e9 if final and item.sent else None,
        # TCP after UDP follows a truncated answer, not silence.
        retries=len(item.sent) - len({transport for _, transport, _ in item.sent}),
        conflicting=bool(conflicts),
        conflicts=tuple(said for said, _ in conflicts),
        conflict_packets=tuple(number for _, number in conflicts),
        query_packets=tuple(item.query_packets),
        answer_packets=tuple(answer[3] for answer in item.answers),
        icmp_error=item.icmp,
        as_go_asks=item.as_go_asks,
        file=file_of((*item.query_packets, *(answer[3] for answer in item.answers))[0]),
    )
