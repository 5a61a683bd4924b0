"""Somebody on the way forged a reset.

What it means
    A connection was reset by a packet that claims to come from the server and does not: it came from another distance,
    and the server itself went on as if nothing had happened.

Why it matters
    A device on the path decides what you may reach. Firewalls and national filters cut connections like this: by
    address right after the SYN, by server name right after the ClientHello, or by content later.

How we know
    The RST's TTL differs from that of another packet of the server that came after it. A server that resets a
    connection says nothing more but RST. That it came sooner than anything of the server could is told as well. For
    resets where only one of the two can be told, see reset-in-handshake.

False positives
    A proxy that terminates TCP near the client and passes some packets on. Networks of virtual machines in user mode
    rewrite the TTL, so that the difference cannot be seen there.

What to do
    Ask who runs the network whether this name or address is filtered, and use a mirror that is allowed. Trying again
    does not help; another network or a forward proxy does.

References
    RFC 9293 §3.5.2; RFC 3360 (inappropriate TCP resets).
"""

from collections.abc import Iterator

from trace_go.checks.command import handshake, shell, site
from trace_go.checks.framework import Meta, count, failed, finding
from trace_go.checks.interference import forged_reset, too_soon
from trace_go.checks.proof import flow_of
from trace_go.model import evidence
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.flow import Flow, Reset
from trace_go.model.report import Case

META = Meta(group="transport", severity=Severity.ERROR, audience=Audience.SECURITY, cause_rank=18)
KINDS = ("refused", "reset", "reset-in-handshake", "eof", "unexpected-eof", "stream-error", "proxy-connect")


def find(case: Case) -> Iterator[Finding]:
    for host, broken in failed(case, *KINDS).items():
        told = [
            (item, flow, reset) for item in broken if (flow := flow_of(case, item)) and (reset := forged_reset(flow))
        ]
        if not told:
            continue
        first, flow, reset = told[0]
        when, by = _stage(flow)
        yield finding(
            case,
            "injected-reset",
            META,
            title=f"A reset in the name of {host} was forged on the way",
            detail=f"It came {when}, with TTL {reset.ttl}; the server itself went on afterwards, with TTL "
            f"{reset.then_ttl}. So a device on the way sent it, as {by} do. {count(len(told), 'request')} failed.",
            remedy=Remedy(
                text="Ask the network's operator what is filtered here, or use a mirror that the network allows.",
                command=handshake(case, first, "example.com")
                if flow.tls and not flow.tls.established_ns
                else shell("curl -v --connect-timeout 5 -o /dev/null {}", first.url or f"{site(case, first)}/"),
            ),
            subject=host,
            requests=[item for item, _, _ in told],
            evidence=[piece for _, flow, reset in told for piece in _proof(flow, reset)],
        )


def _stage(flow: Flow) -> tuple[str, str]:
    """When the reset came, and what that says of the device."""
    if not flow.syn_ack_ns or (flow.reset and flow.reset.time_ns < flow.syn_ack_ns):
        return "in answer to the SYN, ahead of the server's SYN-ACK", "filters by address"
    if flow.tls and not flow.tls.established_ns:
        return (
            f"right after the ClientHello, which names {flow.name or flow.server.ip} in clear",
            "filters by server name",
        )
    return "in the middle of the conversation", "filters by content"


def _proof(flow: Flow, reset: Reset) -> tuple[evidence.Evidence, ...]:
    server = flow.server.ip
    return (
        evidence.packet(
            reset.packet, f"RST in the name of {server}, TTL {reset.ttl}{too_soon(flow, reset.time_ns)}", flow.file
        ),
        evidence.packet(reset.then_packet, f"{server} itself goes on, TTL {reset.then_ttl}", flow.file),
    )
