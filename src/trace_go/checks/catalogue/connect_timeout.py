"""Connection attempts got no answer.

What it means
    Every SYN to the server stayed unanswered until go gave up (30 s per address): packets are dropped silently.

Why it matters
    Each affected request waits half a minute before the list goes on or the command fails.

How we know
    SYN packets (repeated after 1, 3, 7 … s) without any SYN-ACK, RST or ICMP; go's `i/o timeout` while dialling.

False positives
    One dead address of several only delays: go then uses the next one, and a request that succeeded is not counted.

What to do
    Try the same address from elsewhere; ask whether a firewall drops this traffic; use a mirror or forward proxy that
    the network allows.

References
    RFC 6298 §2; net.Dialer in the Go source (30 s in net/http.DefaultTransport).
"""

from collections.abc import Iterator

from trace_go.checks.framework import Meta, count, failed, finding
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.report import Case

META = Meta(group="transport", severity=Severity.ERROR, audience=Audience.OPERATOR, cause_rank=21)


def find(case: Case) -> Iterator[Finding]:
    for host, requests in failed(case, "connect-timeout").items():
        hop = next((item for item in requests[0].hops if item.broken), requests[0].hops[-1])
        flow = case.flows[hop.flow] if hop.flow is not None else None
        address = f" ({flow.server.ip}:{flow.server.port}, {count(flow.syn_count, 'SYN')})" if flow else ""
        yield finding(
            "connect-timeout",
            META,
            title=f"{host} does not answer",
            detail=f"No answer to any connection attempt{address}: packets to or from {host} are dropped. "
            f"{count(len(requests), 'request')} failed.",
            remedy=Remedy(
                text="Test the connection by itself; if it hangs, a firewall drops it or the server is down.",
                command=f"curl -v --connect-timeout 5 https://{host}/",
            ),
            subject=host,
            requests=requests,
        )
