"""A server answered TLS with something else.

What it means
    After the ClientHello came bytes that are not TLS, usually an HTTP answer: the port speaks plain http, or a portal
    or proxy answers in the server's place.

Why it matters
    go reports `server gave HTTP response to HTTPS client` or a TLS record error.

How we know
    The first bytes of the answer in the packet that the finding names.

False positives
    None known.

What to do
    Check scheme and port of the mirror; if the answer comes from a portal, log in to the network first.

References
    RFC 8446 §5.1; net/http/transport.go.
"""

from collections.abc import Iterator

from trace_go.checks.framework import Meta, count, failed, finding, target
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.report import Case

META = Meta(group="tls", severity=Severity.ERROR, audience=Audience.OPERATOR, cause_rank=32)


def find(case: Case) -> Iterator[Finding]:
    for host, requests in failed(case, "not-tls").items():
        yield finding(
            "not-tls-answer",
            META,
            title=f"{host} does not speak TLS where https was expected",
            detail=f"The answer to the ClientHello is not TLS. {count(len(requests), 'request')} failed.",
            remedy=Remedy(
                text="Check scheme and port; a captive portal answers like this too.",
                command=f"curl -v http://{target(requests[0])}/",
            ),
            subject=host,
            requests=requests,
        )
