"""A connection was refused.

What it means
    The SYN was answered with RST, or an ICMP error said that the address cannot be reached: nothing listens there, or a
    firewall rejects it.

Why it matters
    The request never left for its server. With a comma in GOPROXY the list stops here.

How we know
    The RST packet right after the SYN, the ICMP message that quotes the SYN, or go's `connection refused`.

False positives
    IPv6 addresses without a route are refused and IPv4 then works (Happy Eyeballs): requests that succeeded are not
    counted.

What to do
    Check host and port of the mirror or proxy, and whether the service runs. If a firewall rejects, ask for the
    exception or use the network's own mirror.

References
    RFC 9293 §3.5.2, RFC 1122 §3.2.2.1.
"""

from collections.abc import Iterator

from trace_go.checks.framework import Meta, count, failed, finding, sentence
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.report import Case

META = Meta(group="transport", severity=Severity.ERROR, audience=Audience.OPERATOR, cause_rank=20)


def find(case: Case) -> Iterator[Finding]:
    for host, requests in failed(case, "refused", "unreachable").items():
        failure = requests[0].failure
        assert failure
        yield finding(
            "connection-refused",
            META,
            title=f"{host} refuses connections",
            detail=f"{sentence(failure.text)} {count(len(requests), 'request')} failed.",
            remedy=Remedy(text=f"Check that the service at {host} runs and that this network may reach it."),
            subject=host,
            requests=requests,
        )
