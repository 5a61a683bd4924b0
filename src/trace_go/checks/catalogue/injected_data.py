"""Somebody on the way answered in the server's name.

What it means
    Two answers came in the server's name, in the same place of its stream and with different bytes. A client takes the
    first; one of the two was forged on the way.

Why it matters
    A device on the path decides what you get. In plain http it may put anything in the place of a module, a redirect
    or an error page; in TLS it can only break the connection.

How we know
    Two segments with the same sequence number and unlike payload, next to each other. TCP repeats what was lost byte by
    byte. Different TTLs, and an answer that came before the server's could, are further signs: without a difference in
    TTL the confidence is medium.

False positives
    A packet that was damaged on the way and sent again. Copies of a packet that was captured twice are alike, and one
    byte sent as a keep-alive is not counted. A capture merged from both sides of a device that rewrites content shows
    the device.

What to do
    Use https for every mirror and origin. Ask who runs the network whether this name is filtered; a forward proxy, a
    VPN or another network goes around the device.

References
    RFC 9293 §3.8.1 (retransmission), RFC 9293 §3.10.7.4 (what has come already is dropped).
"""

from collections import defaultdict
from collections.abc import Iterator

from trace_go.checks.command import handshake, shell
from trace_go.checks.framework import Meta, count, finding, where
from trace_go.checks.interference import forged_data, too_soon
from trace_go.checks.proof import flow_of
from trace_go.model import evidence
from trace_go.model.evidence import Confidence, Evidence
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.flow import Flow, Twice
from trace_go.model.ledger import Request
from trace_go.model.report import Case

META = Meta(group="transport", severity=Severity.ERROR, audience=Audience.SECURITY, cause_rank=19)


def find(case: Case) -> Iterator[Finding]:
    groups: dict[str, list[tuple[Request, Flow, Twice]]] = defaultdict(list)
    for request in case.requests:
        flow = flow_of(case, request)
        if flow and (twice := forged_data(flow)):
            groups[(request.target and request.target.host) or where(request)].append((request, flow, twice))
    for host, told in groups.items():
        broken = [request for request, _, _ in told if request.failure]
        first, flow, twice = told[0]
        elsewhere = any(item.ttl != item.then_ttl for _, _, item in told)
        yield finding(
            case,
            "injected-data",
            META,
            title=f"Somebody on the way answered in the name of {host}",
            detail=f"{_what(flow)} was answered twice in the same place of the stream, with different bytes. "
            f"{_distance(twice)}{count(len(broken), 'request')} failed.",
            remedy=Remedy(
                text="Ask the network's operator what is filtered here; use https, by a way around the device.",
                command=handshake(case, first, "example.com")
                if flow.tls
                else shell("curl -v -o /dev/null {}", first.url or f"http://{host}/"),
            ),
            subject=host,
            requests=broken or [request for request, _, _ in told],
            severity=Severity.ERROR if broken else Severity.WARNING,
            evidence=[piece for _, flow, twice in told for piece in _proof(flow, twice)],
            confidence=Confidence.HIGH if elsewhere else Confidence.MEDIUM,
        )


def _what(flow: Flow) -> str:
    return f"The ClientHello for {flow.name or flow.server.ip}" if flow.tls else "A request in plain http"


def _distance(twice: Twice) -> str:
    if twice.ttl == twice.then_ttl:
        return ""
    return f"The first came with TTL {twice.ttl}, the second with TTL {twice.then_ttl}: from another distance. "


def _proof(flow: Flow, twice: Twice) -> list[Evidence]:
    one = f"an answer in the name of {flow.server.ip}, TTL {twice.ttl}{too_soon(flow, twice.time_ns)}"
    other = f"another in its place, TTL {twice.then_ttl}"
    synack = f"the SYN-ACK came with TTL {flow.syn_ack_ttl}"
    return [
        evidence.packet(twice.packet, one, flow.file),
        evidence.packet(twice.then_packet, other, flow.file),
        *([evidence.packet(flow.syn_ack_packet, synack, flow.file)] if flow.syn_ack_ttl else []),
    ]
