"""The connection was cut during the TLS handshake.

What it means
    After the ClientHello, which carries the server's name in clear, the connection was reset or closed.

Why it matters
    Name-based filters reset exactly here. A server that does not know the name may do the same.

How we know
    The RST (or FIN) packet after the ClientHello and before the handshake was complete; its TTL is compared with that
    of the SYN-ACK, because an injected reset often comes from another distance.

False positives
    Overloaded or misconfigured servers. go's own extra connections end in RST in healthy runs and are not counted.

What to do
    Try another name on the same address, and the same name from another network. If only this name is cut, the network
    filters it: use a mirror that is allowed.

References
    RFC 6066 §3 (server_name), RFC 9293 §3.5.2.
"""

from collections.abc import Iterator

from trace_go.checks.framework import Meta, count, failed, finding
from trace_go.model import evidence
from trace_go.model.evidence import Evidence
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.flow import Flow
from trace_go.model.ledger import Request
from trace_go.model.report import Case

META = Meta(group="tls", severity=Severity.ERROR, audience=Audience.SECURITY, cause_rank=30)


def find(case: Case) -> Iterator[Finding]:
    for host, requests in failed(case, "reset-in-handshake", "closed-in-handshake", "eof", "reset").items():
        flows = [flow for item in requests if (flow := _flow(case, item)) and flow.tls and not flow.tls.established_ns]
        if not flows:
            continue
        resets = [flow for flow in flows if flow.reset and not flow.reset.from_client]
        odd = [flow for flow in resets if flow.reset and flow.syn_ack_ttl and flow.reset.ttl != flow.syn_ack_ttl]
        detail = f"{count(len(requests), 'request')} ended right after the ClientHello."
        if odd and odd[0].reset:
            detail += (
                f" The reset came with TTL {odd[0].reset.ttl}, the server's SYN-ACK with TTL {odd[0].syn_ack_ttl}: "
                "consistent with a device on the way, not the server."
            )
        yield finding(
            "reset-in-handshake",
            META,
            title=f"The TLS handshake with {host} is {'reset' if resets else 'closed'}",
            detail=detail,
            remedy=Remedy(
                text="Try another server name on the same address; if that works, this name is filtered.",
                command=f"openssl s_client -connect {host}:443 -servername example.com </dev/null",
            ),
            subject=host,
            requests=requests,
            evidence=tuple(_proof(flow) for flow in resets),
        )


def _flow(case: Case, request: Request) -> Flow | None:
    number = next((hop.flow for hop in request.hops if hop.flow is not None), None)
    return case.flows[number] if number is not None else None


def _proof(flow: Flow) -> Evidence:
    assert flow.reset
    return evidence.packet(flow.reset.packet, f"RST from {flow.server.ip}", flow.file)
