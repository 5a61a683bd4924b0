"""DNS lookups."""

import msgspec

from trace_go.model import dns
from trace_go.report.v1.values import packets, time


class Dns(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    type: str
    rcode: str | None
    answers: list[str]
    cnames: list[str]
    client: str
    resolver: str
    transport: str
    start: str | None
    latency_s: float | None
    retries: int
    conflicting: bool
    packets: list[int]
    file: int


def of_dns(x: dns.Lookup) -> Dns:
    return Dns(
        name=x.name,
        type=x.type,
        rcode=x.rcode,
        answers=list(x.addresses),
        cnames=list(x.cnames),
        client=x.client,
        resolver=x.resolver,
        transport=x.transport,
        start=time(x.start_ns),
        latency_s=x.latency_s,
        retries=x.retries,
        conflicting=x.conflicting,
        packets=packets(*x.query_packets, *x.answer_packets),
        file=x.file,
    )
