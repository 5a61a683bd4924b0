"""Packets are lost on the way.

What it means
    A noticeable part of the segments to or from a server had to be sent again.

Why it matters
    Nothing fails, TCP repairs it, but each loss costs a round trip or a time-out of 200 ms and more, and slows the
    connection down. At a few percent large modules take many times as long; at ten connections begin to fail.

How we know
    Segments that bring no new byte, or fill a hole that later ones had left, against all segments with data of the
    connections that worked. At least 5 segments and 2 percent of them.

False positives
    A sender that repeats too early, as on a path whose delay jumps, looks alike: the price is the same.

What to do
    See where the loss begins: on a wireless link, in a VPN, at one provider. The command below shows it hop by hop.

References
    RFC 6298, RFC 5681, RFC 8985.
"""

from collections import defaultdict
from collections.abc import Iterator

from trace_go.checks.command import port_of, shell, target
from trace_go.checks.framework import Meta, count, finding
from trace_go.checks.proof import flow_of
from trace_go.model import evidence
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.flow import Flow, Outcome
from trace_go.model.ledger import Request
from trace_go.model.report import Case

META = Meta(group="transport", severity=Severity.WARNING, audience=Audience.OPERATOR, cause_rank=81)

MIN_RESENT, MIN_SHARE = 5, 0.02
"""less is normal: the end of a transfer is often probed by repeating it (RFC 8985 §7)"""
SEGMENT_BYTES = 1448
"""of a full Ethernet frame: captures hold super-packets of many segments (offload)"""
_WORKED = (Outcome.OK, Outcome.OPEN)


def find(case: Case) -> Iterator[Finding]:
    hosts: dict[str, dict[int, Flow]] = defaultdict(dict)
    requests: dict[str, list[Request]] = defaultdict(list)
    for request in case.requests:
        flow = flow_of(case, request)
        if flow and flow.outcome in _WORKED:
            host = target(request)
            hosts[host][flow.id] = flow
            requests[host].append(request)
    for host, flows in hosts.items():
        resent = {number: max(flow.retransmissions_down, flow.retransmissions_up) for number, flow in flows.items()}
        again, all_of_it = sum(resent.values()), sum(map(_segments, flows.values()))
        if again < MIN_RESENT or again < MIN_SHARE * all_of_it:
            continue
        worst = flows[max(resent, key=resent.__getitem__)]
        first = requests[host][0]
        yield finding(
            case,
            "packet-loss",
            META,
            title=f"{100 * again / all_of_it:.0f} % of the packets of {host} had to be sent again",
            detail=f"{count(again, 'segment')} of about {all_of_it} with data, on {count(len(flows), 'connection')}: "
            "the path loses packets, and each loss costs time.",
            remedy=Remedy(
                text="Look where on the path the loss begins, and tell who runs that part.",
                command=shell("mtr -rwc 100 -T -P {} {}", str(port_of(case, first)), host),
            ),
            subject=host,
            requests=requests[host],
            evidence=[
                evidence.packet(
                    worst.first_packet,
                    f"connection with {worst.retransmissions_down} segments of the server and "
                    f"{worst.retransmissions_up} of the client sent again",
                    worst.file,
                )
            ],
        )


def _segments(flow: Flow) -> int:
    """Segments with data in the direction in which more was sent again."""
    down = flow.retransmissions_down >= flow.retransmissions_up
    size = flow.bytes_down if down else flow.bytes_up
    return max(1, -(-size // SEGMENT_BYTES), flow.retransmissions_down if down else flow.retransmissions_up)
