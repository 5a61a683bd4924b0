"""The frozen types of JSON schema `trace-go/1`, and how a report becomes one of them.

These types are a contract with users: fields are only ever added. The model may change freely behind `of_report`.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec

from trace_go.model import chain, crossing, dns, evidence, finding, flow, http, ledger, report, tls
from trace_go.model.evidence import file_of, number_in_file
from trace_go.model.go import GoAccount
from trace_go.paths.graph import hop_graph

SCHEMA = "trace-go/1"


class File(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    format: str
    link_types: list[str]
    packets: int
    bytes: int
    first_time: str | None
    last_time: str | None
    truncated_packets: int
    drops: int | None
    problem: str | None


class Seeing(msgspec.Struct, frozen=True, kw_only=True):
    fact: str
    visibility: str
    why: str


class Capture(msgspec.Struct, frozen=True, kw_only=True):
    files: list[File]
    packets: int
    bytes: int
    drops: int | None
    visibility: list[Seeing]
    flows_left_out: int


class Command(msgspec.Struct, frozen=True, kw_only=True):
    argv: list[str]
    exit_code: int | None
    started: str | None
    duration_s: float | None
    go_env: dict[str, str]
    environment: dict[str, str]
    notes: list[str]


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    ip: str
    port: int


class Timings(msgspec.Struct, frozen=True, kw_only=True):
    tcp_connect_s: float | None
    tls_handshake_s: float | None


class Bytes(msgspec.Struct, frozen=True, kw_only=True):
    up: int | None
    down: int | None


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    sha256: str
    subject: str
    issuer: str
    names: list[str]
    not_before: str | None
    not_after: str | None
    serial: str
    key: str
    signature: str
    problem: str | None


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    level: int
    description: int
    from_client: bool
    packet: int


class Tls(msgspec.Struct, frozen=True, kw_only=True):
    sni: str | None
    alpn_offered: list[str]
    alpn: str | None
    versions_offered: list[str]
    version: str | None
    cipher: str | None
    groups: list[str]
    client_random: str
    ja3: str | None
    ja4: str | None
    client: str
    state: str
    state_visibility: str
    hello_retry: bool
    chain_visibility: str
    certificates: list[Certificate]
    alerts: list[Alert]
    hello_packet: int
    problem: str | None
    opening: str
    """what key logs did for it: `opened`, `no keys`, `wrong keys`, …"""


class Tunnel(msgspec.Struct, frozen=True, kw_only=True):
    protocol: str
    authority: str
    status: int | None
    reason: str
    proxy: str
    packets: list[int]


class Http(msgspec.Struct, frozen=True, kw_only=True):
    method: str
    url: str
    status: int | None
    location: str | None
    user_agent: str | None
    content_type: str | None
    packets: list[int]
    version: str
    stream: int | None
    """of HTTP/2"""
    decrypted: bool
    start: str | None
    response_s: float | None
    """from the request to the head of the answer"""
    duration_s: float | None
    """from the request to the end of the answer's body"""
    body_bytes: int | None
    aborted: str | None


class Reset(msgspec.Struct, frozen=True, kw_only=True):
    packet: int
    from_client: bool
    ttl: int


class Flow(msgspec.Struct, frozen=True, kw_only=True):
    id: int
    transport: str
    protocol: str
    client: Endpoint
    server: Endpoint
    name: str | None
    file: int
    first_packet: int
    last_packet: int
    last_file: int
    start: str | None
    duration_s: float
    outcome: str
    timings: Timings
    packets: Bytes
    bytes: Bytes
    retransmissions: Bytes
    reset: Reset | None
    icmp: str | None
    tls: Tls | None
    tunnel: Tunnel | None
    http: list[Http]
    process: str | None


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


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    kind: str
    text: str
    packet: int | None
    file: int | None
    line: int | None


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


class Remedy(msgspec.Struct, frozen=True, kw_only=True):
    text: str
    command: str | None


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    severity: str
    confidence: str
    audience: str
    title: str
    detail: str
    evidence: list[Evidence]
    remedy: Remedy
    requests: list[int]
    key: str


class Chain(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    flow: int | None
    visibility: str
    trusted: bool
    fault: str | None
    detail: str
    part: str | None
    trust: str
    interceptor: str | None
    interceptor_why: list[str]
    interceptor_confidence: str | None
    public_trusted: bool | None
    disorder: list[str]
    weak: list[str]
    certificates: list[Certificate]


class Edge(msgspec.Struct, frozen=True, kw_only=True):
    """A way between two parties of the hop graph, named `ROLE HOST`, or `client`."""

    source: str
    target: str
    requests: list[int]
    broken: list[int]
    """ids of requests that broke at `target`"""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    status: str
    summary: str
    causes: list[str]
    fix: list[Remedy]


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    version: str


class Suppression(msgspec.Struct, frozen=True, kw_only=True):
    """A finding that the site's configuration hides."""

    key: str
    id: str
    severity: str
    title: str
    reason: str


class Crossing(msgspec.Struct, frozen=True, kw_only=True):
    flow: int
    name: str
    relation: str
    file: int
    packet: int
    beyond_file: int | None
    beyond_packet: int | None
    server: str | None
    clock_s: float | None


def _crossing(x: crossing.Crossing) -> Crossing:
    seen = bool(x.beyond_packet)
    return Crossing(
        flow=x.flow,
        name=x.name,
        relation=x.relation,
        file=x.file,
        packet=number_in_file(x.packet),
        beyond_file=x.beyond_file if seen else None,
        beyond_packet=number_in_file(x.beyond_packet) if seen else None,
        server=x.server or None,
        clock_s=x.clock_s,
    )


class Report(msgspec.Struct, frozen=True, kw_only=True):
    schema: str
    tool: Tool
    capture: Capture
    command: Command | None
    flows: list[Flow]
    dns: list[Dns]
    chains: list[Chain]
    requests: list[Request]
    hop_graph: list[Edge]
    crossings: list[Crossing]
    findings: list[Finding]
    suppressed: int
    suppressions: list[Suppression]
    verdict: Verdict


def of_report(item: report.Report, *, long_lists: bool = True) -> Report:
    """long_lists: False leaves those of LONG_LISTS empty."""
    case = item.case
    lists = {name: list(told(case)) if long_lists else [] for name, told in LONG_LISTS.items()}
    drops = [file.drops for file in case.files if file.drops is not None]
    return Report(
        schema=SCHEMA,
        tool=Tool(name="trace-go", version=item.tool_version),
        capture=Capture(
            files=[_file(file) for file in case.files],
            packets=sum(file.packets for file in case.files),
            bytes=sum(file.bytes for file in case.files),
            drops=sum(drops) if drops else None,
            visibility=[Seeing(fact=x.fact, visibility=x.visibility, why=x.why) for x in case.seeing],
            flows_left_out=case.flows_left_out,
        ),
        command=_command(case.account) if case.account.present else None,
        flows=lists["flows"],
        dns=lists["dns"],
        chains=[_chain(x) for x in case.judgements],
        requests=lists["requests"],
        hop_graph=[
            Edge(source=source, target=target, requests=way["requests"], broken=way["broken"])
            for source, target, way in hop_graph(case.requests).edges(data=True)
        ],
        crossings=[_crossing(x) for x in case.crossings],
        findings=[_finding(x) for x in item.findings],
        suppressed=item.suppressed,
        suppressions=[
            Suppression(
                key=x.finding.key,
                id=x.finding.id,
                severity=x.finding.severity,
                title=x.finding.title,
                reason=x.reason,
            )
            for x in item.excused
        ],
        verdict=Verdict(
            status=item.verdict.status,
            summary=item.verdict.summary,
            causes=list(item.verdict.causes),
            fix=[Remedy(text=x.text, command=x.command) for x in item.verdict.fix],
        ),
    )


def time(ns: int) -> str | None:
    """RFC 3339 in UTC with microseconds; None for 0 and for times no calendar has."""
    if not ns:
        return None
    try:
        moment = datetime.fromtimestamp(ns // 1_000_000_000, UTC).replace(microsecond=ns // 1000 % 1_000_000)
    except (ValueError, OverflowError, OSError):
        return None
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _file(x: report.CaptureFile) -> File:
    return File(
        name=x.name,
        format=x.format,
        link_types=list(x.link_types),
        packets=x.packets,
        bytes=x.bytes,
        first_time=time(x.first_ns),
        last_time=time(x.last_ns),
        truncated_packets=x.truncated_packets,
        drops=x.drops,
        problem=x.problem,
    )


def _command(x: GoAccount) -> Command:
    return Command(
        argv=list(x.argv),
        exit_code=x.exit_code,
        started=time(x.started_ns),
        duration_s=(x.ended_ns - x.started_ns) / 1e9 if x.ended_ns else None,
        go_env=x.go_env,
        environment=x.process_env,
        notes=list(x.notes),
    )


def _packets(*numbers: int) -> list[int]:
    return [number_in_file(number) for number in numbers if number]


def _hex(numbers: Iterable[int]) -> list[str]:
    return [f"0x{number:04x}" for number in numbers]


def _flow(x: flow.Flow) -> Flow:
    return Flow(
        id=x.id,
        transport=x.transport,
        protocol=x.protocol,
        client=Endpoint(ip=x.client.ip, port=x.client.port),
        server=Endpoint(ip=x.server.ip, port=x.server.port),
        name=x.name,
        file=x.file,
        first_packet=number_in_file(x.first_packet),
        last_packet=number_in_file(x.last_packet),
        last_file=max(file_of(x.last_packet), x.file),
        start=time(x.start_ns),
        duration_s=(x.end_ns - x.start_ns) / 1e9,
        outcome=x.outcome,
        timings=Timings(tcp_connect_s=x.connect_s, tls_handshake_s=x.tls_s),
        packets=Bytes(up=x.packets_up, down=x.packets_down),
        bytes=Bytes(up=x.bytes_up, down=x.bytes_down),
        retransmissions=Bytes(up=x.retransmissions_up, down=x.retransmissions_down),
        reset=_reset(x.reset) if x.reset else None,
        icmp=x.icmp,
        tls=_tls(x.tls) if x.tls else None,
        tunnel=_tunnel(x.tunnel, x) if x.tunnel else None,
        http=[_http(item) for item in x.exchanges],
        process=x.process,
    )


def _reset(x: flow.Reset) -> Reset:
    return Reset(packet=number_in_file(x.packet), from_client=x.from_client, ttl=x.ttl)


def _tls(x: tls.TlsSession) -> Tls:
    hello, server = x.hello, x.server
    return Tls(
        sni=hello.sni if hello else None,
        alpn_offered=list(hello.alpn) if hello else [],
        alpn=server.alpn if server else None,
        versions_offered=_hex(hello.versions) if hello else [],
        version=f"0x{x.version:04x}" if x.version else None,
        cipher=f"0x{server.cipher_suite:04x}" if server else None,
        groups=_hex(hello.groups) if hello else [],
        client_random=x.client_random.hex(),
        ja3=hello.ja3 if hello else None,
        ja4=hello.ja4 if hello else None,
        client=x.client,
        state=x.state,
        state_visibility=x.refusal_visibility,
        hello_retry=x.hello_retry,
        chain_visibility=x.chain_visibility,
        certificates=[_certificate(item) for item in x.chain],
        alerts=[
            Alert(level=a.level, description=a.description, from_client=a.from_client, packet=number_in_file(a.packet))
            for a in x.alerts
        ],
        hello_packet=number_in_file(x.hello_packet),
        problem=x.problem,
        opening=x.opening,
    )


def _certificate(x: tls.Certificate) -> Certificate:
    return Certificate(
        sha256=x.sha256,
        subject=x.subject,
        issuer=x.issuer,
        names=list(x.names),
        not_before=x.not_before.isoformat() if x.not_before else None,
        not_after=x.not_after.isoformat() if x.not_after else None,
        serial=x.serial,
        key=x.key,
        signature=x.signature,
        problem=x.problem,
    )


def _tunnel(x: flow.Tunnel, of: flow.Flow) -> Tunnel:
    return Tunnel(
        protocol=x.protocol,
        authority=x.authority,
        status=x.status,
        reason=x.reason,
        proxy=f"{of.server.ip}:{of.server.port}",
        packets=_packets(x.request_packet, x.response_packet),
    )


def _http(x: http.Exchange) -> Http:
    return Http(
        method=x.method,
        url=x.url,
        status=x.status,
        location=x.location,
        user_agent=x.user_agent,
        content_type=x.content_type,
        packets=_packets(x.request_packet, x.response_packet),
        version=x.version,
        stream=x.stream or None,
        decrypted=x.decrypted,
        start=time(x.request_ns),
        response_s=(x.response_ns - x.request_ns) / 1e9 if x.response_ns else None,
        duration_s=(x.end_ns - x.request_ns) / 1e9 if x.end_ns else None,
        body_bytes=x.body_bytes if x.body_bytes >= 0 else None,
        aborted=x.aborted,
    )


def _dns(x: dns.Lookup) -> Dns:
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
        packets=_packets(*x.query_packets, *x.answer_packets),
        file=x.file,
    )


def _chain(x: chain.Judgement) -> Chain:
    return Chain(
        name=x.name,
        flow=x.flow,
        visibility=x.visibility,
        trusted=x.trusted,
        fault=x.fault,
        detail=x.detail,
        part=x.part,
        trust=x.trust,
        interceptor=x.interceptor,
        interceptor_why=list(x.interceptor_why),
        interceptor_confidence=x.interceptor_confidence,
        public_trusted=x.public_trusted,
        disorder=list(x.disorder),
        weak=list(x.weak),
        certificates=[_certificate(item) for item in x.chain],
    )


def _request(x: ledger.Request) -> Request:
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
        evidence=[_evidence(item) for item in x.evidence],
        h1=x.h1,
    )


def _evidence(x: evidence.Evidence) -> Evidence:
    seen = x.packet is not None
    return Evidence(kind=x.kind, text=x.text, packet=x.packet, file=x.file if seen else None, line=x.line)


def _finding(x: finding.Finding) -> Finding:
    return Finding(
        id=x.id,
        severity=x.severity,
        confidence=x.confidence,
        audience=x.audience,
        title=x.title,
        detail=x.detail,
        evidence=[_evidence(item) for item in x.evidence],
        remedy=Remedy(text=x.remedy.text, command=x.remedy.command),
        requests=list(x.requests),
        key=x.key,
    )


LONG_LISTS: dict[str, Callable[[report.Case], Iterator[Any]]] = {
    "flows": lambda case: map(_flow, case.flows),
    "dns": lambda case: map(_dns, case.lookups),
    "requests": lambda case: map(_request, case.requests),
}
"""fields of Report that grow with the capture, each item as it is asked for"""
