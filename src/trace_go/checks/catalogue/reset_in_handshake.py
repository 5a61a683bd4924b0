"""The connection was cut during the TLS handshake.

What it means
    After the ClientHello, which carries the server's name in clear, the connection was reset or closed.

Why it matters
    Name-based filters cut exactly here. A server that does not know the name may do the same.

How we know
    The RST (or FIN) after the ClientHello and before the handshake was complete. The RST's TTL is compared with that of
    the SYN-ACK: an injected reset often comes from another distance. Without packets, go's `EOF` or `connection reset
    by peer` does not tell when it was: the confidence is then low.

False positives
    Overloaded or misconfigured servers. go's own extra connections end in RST in healthy runs and are not counted.

What to do
    Try another name on the same address, and the same name from another network. If only this name is cut, the network
    filters it: use a mirror that is allowed there.

References
    RFC 6066 §3 (server_name), RFC 9293 §3.5.2.
"""

from collections.abc import Iterator

from trace_go.checks.command import forward_proxy, handshake
from trace_go.checks.framework import Meta, count, failed, finding, reason
from trace_go.checks.interference import forged_reset
from trace_go.checks.proof import flow_of
from trace_go.model.evidence import Confidence
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.flow import Flow
from trace_go.model.ledger import Request
from trace_go.model.report import Case

META = Meta(group="tls", severity=Severity.ERROR, audience=Audience.SECURITY, cause_rank=30)


def find(case: Case) -> Iterator[Finding]:
    for host, broken in failed(case, "reset-in-handshake", "closed-in-handshake", "eof", "reset").items():
        flows = {item.id: flow_of(case, item) for item in broken}
        requests = [item for item in broken if _may_be_in_handshake(item, flows[item.id])]
        requests = [item for item in requests if not forged_reset(flows[item.id])]
        if not requests:
            continue
        seen = [flow for item in requests if (flow := flows[item.id])]
        reset = any(item.failure and "reset" in item.failure.kind for item in requests)
        when = "right after the ClientHello" if seen else "before an answer"
        proxy = forward_proxy(case, requests[0])
        detail = f"{count(len(requests), 'request')} ended {when}{'' if proxy else _distance(seen)}."
        if proxy:
            detail += f" In the tunnel of {proxy} the proxy may have done it, the server, or a device between."
        yield finding(
            case,
            "reset-in-handshake",
            META,
            title=f"The {'TLS handshake' if seen else 'connection'} with {host} is {'reset' if reset else 'closed'}",
            detail=detail if seen else f"{reason(requests[0])} {detail} No packet shows at which point.",
            remedy=Remedy(
                text="Try another server name on the same address; if that works, this name is filtered.",
                command=handshake(case, requests[0], "example.com"),
            ),
            subject=host,
            requests=requests,
            confidence=Confidence.HIGH if seen else Confidence.LOW,
        )


def _may_be_in_handshake(request: Request, flow: Flow | None) -> bool:
    if flow is None:
        return request.status is None and (request.url or "").startswith("https:")
    return flow.tls is not None and not flow.tls.established_ns


def _distance(flows: list[Flow]) -> str:
    """What the TTL of a reset tells; empty when it is that of the server's SYN-ACK."""
    for flow in flows:
        reset = flow.reset
        if reset and not reset.from_client and flow.syn_ack_ttl and reset.ttl != flow.syn_ack_ttl:
            return (
                f". The reset came with TTL {reset.ttl}, the server's SYN-ACK with TTL {flow.syn_ack_ttl}: consistent "
                "with a device on the way, not the server"
            )
    return ""
