"""The forward proxy cannot be reached.

What it means
    HTTPS_PROXY or HTTP_PROXY names a proxy to which no connection could be made.

Why it matters
    Every request of go goes through it, so everything fails, whatever the mirrors do.

How we know
    go's `proxyconnect tcp` error; the unanswered or refused SYN to the proxy's address.

False positives
    None known.

What to do
    Correct or unset the proxy variables (a VPN that is off is the usual reason), or list the mirror in NO_PROXY.

References
    golang.org/x/net/http/httpproxy; net/http/transport.go.
"""

from collections.abc import Iterator

from trace_go.checks.framework import Meta, count, failed, finding, sentence
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.report import Case

META = Meta(group="proxy", severity=Severity.ERROR, audience=Audience.DEVELOPER, cause_rank=15)


def find(case: Case) -> Iterator[Finding]:
    for proxy, requests in failed(case, "proxy-connect").items():
        failure = requests[0].failure
        assert failure
        yield finding(
            "proxy-unreachable",
            META,
            title=f"The forward proxy {proxy} cannot be reached",
            detail=f"{sentence(failure.text)} {count(len(requests), 'request')} failed.",
            remedy=Remedy(
                text="Check the proxy variables; unset them if this network needs no proxy.",
                command="env | grep -i _proxy",
            ),
            subject=proxy,
            requests=requests,
        )
