"""The requests, their hops, and the graph of all hops."""

from collections.abc import Sequence

import msgspec

from trace_go.model import ledger
from trace_go.paths.graph import hop_graph
from trace_go.report.v1.finding import Evidence, of_evidence
from trace_go.report.v1.values import Bytes


class Hop(msgspec.Struct, frozen=True, kw_only=True):
    role: str
    host: str | None
    ip: str | None
    flow: int | None
    label: str
    visibility: str
    redirected: bool
    broken: bool


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    stage: str
    kind: str
    text: str


class RequestTimings(msgspec.Struct, frozen=True, kw_only=True):
    dns_s: float | None
    connect_s: float | None
    tunnel_s: float | None
    tls_s: float | None
    response_s: float | None


class Inference(msgspec.Struct, frozen=True, kw_only=True):
    """What the sizes of encrypted records tell of a connection whose inside the input does not show."""

    kind: str
    """`requests`, `answer-bytes`, `certificate-refused`, `client-certificate-refused`, `closed-unused`"""
    text: str
    least: int | None
    most: int | None
    confidence: str


class Request(msgspec.Struct, frozen=True, kw_only=True):
    id: int
    url: str | None
    module: str | None
    version: str | None
    artifact: str
    attempt: int
    repeats: int
    proxy_entry: str | None
    next_entry: str | None
    status: int | None
    redirects: list[str]
    handled_by: str
    claims_to_be: str | None
    hops: list[Hop]
    timings: RequestTimings
    bytes: Bytes
    failure: Failure | None
    visibility: str
    confidence: str
    evidence: list[Evidence]
    h1: str | None
    """go's hash of the content, where the packets show all of it"""
    inferred: list[Inference]


class Edge(msgspec.Struct, frozen=True, kw_only=True):
    """A way between two parties of the hop graph, named `ROLE HOST`, or `client`."""

    source: str
    target: str
    requests: list[int]
    broken: list[int]
    """ids of requests that broke at `target`"""


def of_request(x: ledger.Request) -> Request:
    return Request(
        id=x.id,
        url=x.url,
        module=x.module,
        version=x.version,
        artifact=x.artifact,
        attempt=x.attempt,
        repeats=x.repeats,
        proxy_entry=x.proxy_entry,
        next_entry=x.next_entry,
        status=x.status,
        redirects=list(x.redirects),
        handled_by=x.handled_by,
        claims_to_be=x.claims_to_be,
        hops=[
            Hop(
                role=h.role,
                host=h.host,
                ip=h.ip,
                flow=h.flow,
                label=h.label,
                visibility=h.visibility,
                redirected=h.redirected,
                broken=h.broken,
            )
            for h in x.hops
        ],
        timings=RequestTimings(
            dns_s=x.timings.dns_s,
            connect_s=x.timings.connect_s,
            tunnel_s=x.timings.tunnel_s,
            tls_s=x.timings.tls_s,
            response_s=x.timings.response_s,
        ),
        bytes=Bytes(up=x.bytes_up, down=x.bytes_down),
        failure=Failure(stage=x.failure.stage, kind=x.failure.kind, text=x.failure.text) if x.failure else None,
        visibility=x.visibility,
        confidence=x.confidence,
        evidence=[of_evidence(item) for item in x.evidence],
        h1=x.h1,
        inferred=[
            Inference(kind=item.kind, text=item.text, least=item.least, most=item.most, confidence=item.confidence)
            for item in x.inferred
        ],
    )


def of_graph(requests: Sequence[ledger.Request]) -> list[Edge]:
    return [
        Edge(source=source, target=target, requests=way["requests"], broken=way["broken"])
        for source, target, way in hop_graph(requests).edges(data=True)
    ]
