"""The forward proxy cannot be reached.

What it means
    HTTPS_PROXY or HTTP_PROXY names a proxy to which no connection could be made.

Why it matters
    Every request of go goes through it, so everything fails, whatever the mirrors do.

How we know
    go's `proxyconnect tcp` error; the unanswered or refused SYN to the proxy's address, or the DNS answer for its name.
    From packets alone: a client that asks for names as Go's own resolver does, gets nothing through, and tries
    a port of forward proxies (1080, 3128); with medium confidence.

False positives
    Another program written in Go, where packets alone are judged.

What to do
    Correct the proxy variables, or unset them where no proxy is needed (a VPN that is off is the usual reason), or list
    the mirror in NO_PROXY.

References
    golang.org/x/net/http/httpproxy; net/http/transport.go.
"""

from collections.abc import Iterator

from trace_go.checks.framework import Meta, count, failed, finding, reason
from trace_go.checks.proof import failed_lookups, of_lookup
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.report import Case

META = Meta(group="proxy", severity=Severity.ERROR, audience=Audience.DEVELOPER, cause_rank=15)


def find(case: Case) -> Iterator[Finding]:
    for proxy, requests in failed(case, "proxy-connect").items():
        yield finding(
            case,
            "proxy-unreachable",
            META,
            title=f"The forward proxy {proxy} cannot be reached",
            detail=f"{reason(requests[0])} {count(len(requests), 'request')} failed.",
            remedy=Remedy(
                text="Correct the proxy variables, or unset them if this network needs no proxy.",
                command="env | grep -i _proxy=",
            ),
            subject=proxy,
            requests=requests,
            evidence=map(of_lookup, failed_lookups(case, proxy)),
        )
