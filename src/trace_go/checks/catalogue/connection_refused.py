"""A connection was refused.

What it means
    The SYN was answered with RST, or an ICMP error said that the address cannot be reached: nothing listens there, a
    firewall rejects it, or there is no route.

Why it matters
    The request never left for its server. Before a comma in GOPROXY the list stops here.

How we know
    The RST packet in answer to the SYN, the ICMP error that quotes the SYN, or go's `connection refused`.

False positives
    IPv6 addresses without a route are refused and IPv4 then works (Happy Eyeballs): requests that succeeded are not
    counted.

What to do
    Check host and port of the mirror, and whether the service runs. If a firewall rejects it, ask for the exception or
    use a mirror inside the network.

References
    RFC 9293 §3.5.2, RFC 1122 §3.2.2.1.
"""

from collections.abc import Iterator

from trace_go.checks.attempts import made_good
from trace_go.checks.command import shell, site
from trace_go.checks.framework import Meta, count, failed, finding, reason
from trace_go.checks.interference import forged_reset
from trace_go.checks.proof import flow_of
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.report import Case

META = Meta(group="transport", severity=Severity.ERROR, audience=Audience.OPERATOR, cause_rank=20)


def find(case: Case) -> Iterator[Finding]:
    for host, broken in failed(case, "refused", "unreachable").items():
        others = made_good(case, broken)
        requests = [item for item in broken if item not in others and not forged_reset(flow_of(case, item))]
        if not requests:
            continue
        refuses = any(item.failure and item.failure.kind == "refused" for item in requests)
        yield finding(
            case,
            "connection-refused",
            META,
            title=f"{host} refuses connections" if refuses else f"{host} cannot be reached",
            detail=f"{reason(requests[0])} {count(len(requests), 'request')} failed.",
            remedy=Remedy(
                text=f"Check that the service at {host} runs and that this network may reach it.",
                command=shell("curl -v --connect-timeout 5 {}", f"{site(case, requests[0])}/"),
            ),
            subject=host,
            requests=requests,
        )
