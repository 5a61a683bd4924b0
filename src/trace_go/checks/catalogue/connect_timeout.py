"""Connection attempts got no answer.

What it means
    Every SYN to the server stayed unanswered until go gave up (30 s): packets are dropped silently.

Why it matters
    Each affected request waits half a minute before the list goes on or the command fails.

How we know
    SYN packets, repeated, without any SYN-ACK, RST or ICMP error; go's `i/o timeout` while dialling.

False positives
    One dead address of several only delays: go then uses the next one, and a request that succeeded is not counted.

What to do
    Try the same connection from elsewhere. If it works there, ask whether a firewall drops it here, and use a mirror or
    forward proxy that this network allows; if not, the server is down.

References
    RFC 6298 §2; net/http (DefaultTransport: 30 s).
"""

from collections.abc import Iterator

from trace_go.checks.attempts import made_good
from trace_go.checks.command import shell, site
from trace_go.checks.framework import Meta, count, failed, finding
from trace_go.checks.proof import flow_of
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.report import Case

META = Meta(group="transport", severity=Severity.ERROR, audience=Audience.OPERATOR, cause_rank=21)


def find(case: Case) -> Iterator[Finding]:
    for host, silent in failed(case, "connect-timeout").items():
        others = made_good(case, silent)
        requests = [item for item in silent if item not in others]
        if not requests:
            continue
        flow = flow_of(case, requests[0])
        tried = f"{count(flow.syn_count, 'SYN')} to {flow.server.ip}:{flow.server.port}" if flow else "any attempt"
        yield finding(
            case,
            "connect-timeout",
            META,
            title=f"{host} does not answer connection attempts",
            detail=f"No answer to {tried}: packets to {host} or from it are dropped. "
            f"{count(len(requests), 'request')} failed.",
            remedy=Remedy(
                text="Try the connection alone, here and elsewhere: a firewall drops it, or the server is down.",
                command=shell("curl -v --connect-timeout 5 {}", f"{site(case, requests[0])}/"),
            ),
            subject=host,
            requests=requests,
        )
