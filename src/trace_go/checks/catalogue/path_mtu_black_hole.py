"""Large packets vanish on the way.

What it means
    Small packets get through in both directions and large ones do not, however often they are repeated, and no ICMP
    message says so: somewhere on the path the largest packet is smaller than at both ends (a tunnel, a VPN, PPPoE), and
    the message that would tell is filtered.

Why it matters
    Ping works, connections open, and then nothing comes: TLS hangs at the ClientHello or at the certificates.

How we know
    The ClientHello (larger than a packet in go 1.24 and later) is sent again and again while the server acknowledges
    what came after its first packet; or the end of what the server sent arrives, the beginning never does, and the
    client keeps asking for it. A capture that merely missed packets shows that the client got them.

False positives
    A path that dies completely just after losing one packet looks alike; so does a filter that drops by content.

What to do
    Find the largest size that passes (the command below for 1,400 bytes and less), and set the MTU of the tunnel or
    interface to it; or let the router between clamp the MSS; or unblock ICMP "fragmentation needed".

References
    RFC 2923 §2.1, RFC 4821, RFC 1191.
"""

from collections.abc import Iterator

from trace_go.checks.command import is_address, shell, target
from trace_go.checks.framework import Meta, count, failed, finding
from trace_go.checks.interference import swallows_large
from trace_go.checks.proof import flow_of
from trace_go.model import evidence
from trace_go.model.evidence import Confidence, Evidence
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.flow import Flow
from trace_go.model.report import Case

META = Meta(group="transport", severity=Severity.ERROR, audience=Audience.OPERATOR, cause_rank=28)
KINDS = ("handshake-timeout", "closed-in-handshake", "response-timeout", "stalled", "eof")


def find(case: Case) -> Iterator[Finding]:
    for host, broken in failed(case, *KINDS).items():
        told = [(item, flow) for item in broken if (flow := flow_of(case, item)) and swallows_large(flow)]
        if not told:
            continue
        first, flow = told[0]
        yield finding(
            case,
            "path-mtu-black-hole",
            META,
            title=f"The path swallows large packets {'from' if flow.hole else 'to'} {host}",
            detail=f"{_what(flow)} Small packets pass: this is consistent with a path whose largest packet is smaller "
            f"than at both ends, and with a filter that drops the message about it. "
            f"{count(len(told), 'request')} failed.",
            remedy=Remedy(
                text="Find the largest size that passes, and lower the MTU of the VPN, tunnel or interface to it.",
                command=_ping(target(first)),
            ),
            subject=host,
            requests=[item for item, _ in told],
            evidence=[_proof(flow) for _, flow in told],
            confidence=Confidence.MEDIUM if flow.hole else Confidence.HIGH,
        )


def _what(flow: Flow) -> str:
    if flow.hole:
        return (
            f"The last {flow.unacknowledged_down:,} bytes of the server came, but what went before them never did, and "
            "the client kept asking for it."
        )
    return (
        f"The ClientHello was sent again {flow.retransmissions_up} times; the server answers, and still misses its "
        "beginning."
    )


def _proof(flow: Flow) -> Evidence:
    if flow.hole:
        text = f"the client still asks for what is missing before the last {flow.unacknowledged_down:,} bytes"
        return evidence.packet(flow.last_packet, text, flow.file)
    number = flow.tls.hello_packet if flow.tls else flow.first_packet
    text = f"ClientHello, sent again {flow.retransmissions_up} times; its beginning is never acknowledged"
    return evidence.packet(number, text, flow.file)


def _ping(host: str) -> str | None:
    """1,372 bytes of data make a packet of 1,400 (IPv4)."""
    return shell("ping -c 2 -M do -s {} {}", "1352" if is_address(host) and ":" in host else "1372", host)
