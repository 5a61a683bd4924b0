"""IPv6 does not work and IPv4 steps in.

What it means
    The name has an IPv6 address, connection attempts to it get no answer, and the command goes on over IPv4.

Why it matters
    go waits 300 ms for IPv6 before it tries IPv4, for each new connection; git and others wait for seconds.

How we know
    A SYN over IPv6 without any answer, and after the fallback delay a SYN to an IPv4 address of the same name that was
    answered.

False positives
    One IPv6 server that is down looks like IPv6 that is broken: the finding names the addresses that were tried.

What to do
    Try another IPv6 host. If none answers, the network announces IPv6 without routing it: tell who runs it, or switch
    IPv6 off for this interface meanwhile.

References
    RFC 8305 (happy eyeballs); https://pkg.go.dev/net#Dialer (FallbackDelay).
"""

from collections import defaultdict
from collections.abc import Iterator

from trace_go.checks.attempts import Detour, detours
from trace_go.checks.command import shell
from trace_go.checks.framework import Meta, count, finding, some
from trace_go.model import evidence
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.report import Case

META = Meta(group="transport", severity=Severity.WARNING, audience=Audience.OPERATOR, cause_rank=83)


def find(case: Case) -> Iterator[Finding]:
    groups: dict[str, list[Detour]] = defaultdict(list)
    for detour in detours(case):
        if detour.over_ipv6:
            groups[detour.name].append(detour)
    for name, found in groups.items():
        failed, worked = found[0].failed, found[0].worked
        tried = f"{count(failed.syn_count, 'SYN')} to {failed.server.ip}, never answered"
        yield finding(
            case,
            "ipv6-broken",
            META,
            title=f"IPv6 to {name} does not work, IPv4 does",
            detail=f"{some(item.failed.server.ip for item in found)} never answered; after {found[0].cost_s:.1f} s the "
            f"connection to {worked.server.ip} was tried, and worked. Each new connection waits as long.",
            remedy=Remedy(
                text="Try another IPv6 host: if none answers, this network announces IPv6 and does not route it.",
                command=shell("curl -6 -v --connect-timeout 5 -o /dev/null {}", f"https://{name}/"),
            ),
            subject=name,
            requests=found[0].requests,
            evidence=[
                evidence.packet(failed.syn_packet, tried, failed.file),
                evidence.packet(worked.syn_ack_packet, f"SYN-ACK from {worked.server.ip}", worked.file),
            ],
        )
