"""One of a name's addresses does not work.

What it means
    DNS gives several addresses for the name. Connections to one of them fail, those to another work.

Why it matters
    go tries the addresses in turn: one that is silent costs 15 s or more before the next has its turn, one that refuses
    costs nothing. Programs that try one address only fail now and then.

How we know
    A SYN to one address without an answer, or refused, and afterwards a connection to another address of the same name
    that worked.

False positives
    An address that was down for a moment.

What to do
    Tell the operator of the server which address is dead, so that it is taken out of DNS or repaired.

References
    net.Dialer (the time-out is shared among the addresses); RFC 6724.
"""

from collections import defaultdict
from collections.abc import Iterator

from trace_go.checks.attempts import Detour, detours
from trace_go.checks.command import shell
from trace_go.checks.framework import Meta, finding, some
from trace_go.model import evidence
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.report import Case

META = Meta(group="transport", severity=Severity.WARNING, audience=Audience.OPERATOR, cause_rank=84)

COSTLY_S = 1.0
"""less than that nobody notices"""


def find(case: Case) -> Iterator[Finding]:
    groups: dict[str, list[Detour]] = defaultdict(list)
    for detour in detours(case):
        if not detour.over_ipv6:
            groups[detour.name].append(detour)
    for name, found in groups.items():
        worked, cost_s = found[0].worked, sum(item.cost_s for item in found)
        dead = some(item.failed.server.ip for item in found)
        yield finding(
            case,
            "address-dead",
            META,
            title=f"{dead}, an address of {name}, does not work",
            detail=f"Connections to {dead} fail; {worked.server.ip}, which DNS gives for {name} too, was tried "
            f"{cost_s:.1f} s later and works.",
            remedy=Remedy(
                text="Tell the operator of the name which of its addresses does not answer.",
                command=shell(
                    "curl -v --connect-timeout 5 -o /dev/null --resolve {} {}",
                    f"{name}:{worked.server.port}:{found[0].failed.server.ip}",
                    f"https://{name}:{worked.server.port}/",
                ),
            ),
            subject=name,
            requests=found[0].requests,
            severity=None if cost_s >= COSTLY_S else Severity.NOTE,
            evidence=[
                *(
                    evidence.packet(
                        item.failed.syn_packet,
                        f"SYN to {item.failed.server.ip}, sent {item.failed.syn_count} times: {item.failed.outcome}",
                        item.failed.file,
                    )
                    for item in found
                ),
                evidence.packet(worked.syn_ack_packet, f"SYN-ACK from {worked.server.ip}", worked.file),
            ],
        )
