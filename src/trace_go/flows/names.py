"""Joins DNS queries and answers into lookups: retries, latency, and answers that contradict each other.

A resolver library repeats an unanswered question from a new port with a new id, so a lookup is one (client, resolver, name,
type) from its first query until it is answered; an answer belongs to a query by port and id (RFC 1035 §4.1.1, RFC 5452 §9).
"""

from dataclasses import dataclass, field

from trace_go.model.dns import DnsMessage, Lookup
from trace_go.wire.dns import rcode_name, type_name

MAX_LOOKUPS = 200_000
"""lookups kept per capture; a module download of 5,000 modules makes some hundreds"""
MAX_ANSWERS = 16
"""answers kept per query"""
MAX_QUERIES = 64
"""queries kept per lookup"""

_A, _CNAME, _AAAA = 1, 5, 28


@dataclass(slots=True)
class _Open:
    key: tuple[str, str, str, int]
    transport: str
    queries: dict[tuple[int, int], int] = field(default_factory=dict)
    """(port, id) → time of the query, ns"""
    query_packets: list[int] = field(default_factory=list)
    answers: list[tuple[DnsMessage, tuple[int, int], int, int]] = field(default_factory=list)
    """message, (port, id), packet, time"""
    icmp: str | None = None


class Names:
    """Feed messages in time order; `lookups()` at the end."""

    def __init__(self) -> None:
        self._all: list[_Open] = []
        self._open: dict[tuple[str, str, str, int], _Open] = {}
        self._by_query: dict[tuple[str, int, str, int], _Open] = {}
        self.dropped = 0

    def add(
        self, message: DnsMessage, client: str, port: int, resolver: str, transport: str, number: int, time_ns: int
    ) -> None:
        """client and resolver: IP addresses; port: the client's."""
        if not message.questions or message.opcode:
            return
        if message.is_response:
            self._answer(message, client, port, resolver, transport, number, time_ns)
            return
        for name, kind in message.questions[:1]:
            lookup = self._lookup((client, resolver, name.lower(), kind), transport)
            if lookup and len(lookup.queries) < MAX_QUERIES:
                lookup.queries.setdefault((port, message.id), time_ns)
                lookup.query_packets.append(number)
                self._by_query[(client, port, resolver, message.id)] = lookup

    def failed(self, client: str, port: int, resolver: str, text: str) -> None:
        """An ICMP error quoted a query of this port."""
        for (address, client_port, server, _), lookup in self._by_query.items():
            if (address, client_port, server) == (client, port, resolver):
                lookup.icmp = text

    def _lookup(self, key: tuple[str, str, str, int], transport: str) -> _Open | None:
        found = self._open.get(key)
        if found is None or any(not answer[0].truncated for answer in found.answers):
            if len(self._all) >= MAX_LOOKUPS:
                self.dropped += 1
                return None
            found = self._open[key] = _Open(key, transport)
            self._all.append(found)
        return found

    def _answer(
        self, message: DnsMessage, client: str, port: int, resolver: str, transport: str, number: int, time_ns: int
    ) -> None:
        name, kind = message.questions[0]
        key = (client, resolver, name.lower(), kind)
        lookup = self._by_query.get((client, port, resolver, message.id))
        if lookup is None or lookup.key != key:
            lookup = self._lookup(key, transport)  # its query is not in the capture
        if lookup and len(lookup.answers) < MAX_ANSWERS:
            lookup.answers.append((message, (port, message.id), number, time_ns))

    def lookups(self, file: int) -> tuple[Lookup, ...]:
        return tuple(_freeze(item, file) for item in self._all)


def _addresses(message: DnsMessage) -> tuple[str, ...]:
    return tuple(record.value for record in message.answers if record.type in (_A, _AAAA))


def _conflicts(item: _Open) -> tuple[tuple[str, ...], ...]:
    """The differing answers to one and the same query; a second answer that only reorders addresses is no conflict."""
    seen: dict[tuple[int, int], list[tuple[int, tuple[str, ...]]]] = {}
    for message, query, _, _ in item.answers:
        if not message.truncated:
            seen.setdefault(query, []).append((message.rcode, _addresses(message)))
    for answers in seen.values():
        if any(not _agree(answers[0], other) for other in answers[1:]):
            return tuple(addresses or (rcode_name(rcode),) for rcode, addresses in answers)
    return ()


def _agree(one: tuple[int, tuple[str, ...]], other: tuple[int, tuple[str, ...]]) -> bool:
    return one[0] == other[0] and (set(one[1]) == set(other[1]) or bool(set(one[1]) & set(other[1])))


def _freeze(item: _Open, file: int) -> Lookup:
    client, resolver, _, kind = item.key
    final = next((answer for answer in item.answers if not answer[0].truncated), item.answers[0] if item.answers else None)
    start = min(item.queries.values(), default=final[3] if final else 0)
    conflicts = _conflicts(item)
    return Lookup(
        name=item.key[2],
        type=type_name(kind),
        client=client,
        resolver=resolver,
        transport=item.transport,
        rcode=rcode_name(final[0].rcode) if final else None,
        addresses=_addresses(final[0]) if final else (),
        cnames=tuple(record.value for record in final[0].answers if record.type == _CNAME) if final else (),
        start_ns=start,
        latency_s=(final[3] - start) / 1e9 if final and item.queries else None,
        retries=max(0, len(item.queries) - 1) if not _tcp_retry(item) else 0,
        conflicting=bool(conflicts),
        conflicts=conflicts,
        query_packets=tuple(item.query_packets),
        answer_packets=tuple(answer[2] for answer in item.answers),
        icmp_error=item.icmp,
        file=file,
    )


def _tcp_retry(item: _Open) -> bool:
    """A truncated answer is asked again over TCP: that is no retry after silence."""
    return any(message.truncated for message, _, _, _ in item.answers)
