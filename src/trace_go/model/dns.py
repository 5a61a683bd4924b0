"""DNS nouns: a message as read from the wire, and a lookup (queries and answers joined)."""

from msgspec import Struct


class DnsRecord(Struct, frozen=True, kw_only=True, gc=False):
    name: str
    """presentation form without the final dot, lower case as sent is kept; odd bytes as \\DDD (RFC 1035 §5.1)"""
    type: int
    ttl_s: int
    value: str
    """address, target name, or hex of unknown data"""


class DnsMessage(Struct, frozen=True, kw_only=True, gc=False):
    id: int
    is_response: bool
    opcode: int
    rcode: int
    truncated: bool
    authoritative: bool
    questions: tuple[tuple[str, int], ...]
    """(name, type)"""
    answers: tuple[DnsRecord, ...]
    oddities: tuple[str, ...]
    as_go_asks: bool = False
    """a query as Go's own resolver makes it (net/dnsclient_unix.go, newRequest)"""


class Lookup(Struct, frozen=True, kw_only=True, gc=False):
    """One question of a client to a resolver with everything that came back."""

    name: str
    type: str
    """`A`, `AAAA`, `HTTPS`, … or `TYPE123`"""
    client: str
    resolver: str
    transport: str
    """`udp` or `tcp`"""
    rcode: str | None
    """`NOERROR`, `NXDOMAIN`, …; None when nothing answered in the capture"""
    addresses: tuple[str, ...]
    cnames: tuple[str, ...]
    start_ns: int
    latency_s: float | None
    retries: int
    conflicting: bool
    """two answers to one query that contradict each other"""
    conflicts: tuple[tuple[str, ...], ...]
    """the address sets of the contradicting answers, in order of arrival"""
    query_packets: tuple[int, ...]
    answer_packets: tuple[int, ...]
    conflict_packets: tuple[int, ...] = ()
    """the packets of the contradicting answers"""
    icmp_error: str | None = None
    """`port unreachable`, … when an ICMP error answered the query"""
    file: int = 0
    as_go_asks: bool = False
    """a query came as Go's own resolver makes it"""
