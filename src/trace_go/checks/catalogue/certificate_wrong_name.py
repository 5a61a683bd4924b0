"""A certificate is for another name.

What it means
    The server's certificate does not list the host name that go asked for (or has it only in the Common Name, which go
    does not accept since 1.15).

Why it matters
    go refuses it: `certificate is valid for A, not B`. Usually the name points to the wrong server, a load balancer
    fell back to its default certificate, or a portal answers.

How we know
    The names in the server's certificate, on the wire (up to TLS 1.2) or from a probe; go's error line.

False positives
    None: go refused the certificate.

What to do
    Check where the name points, and which certificate the server there has for it. If the address is right, the
    server's operator must add the name to the certificate.

References
    RFC 9525 §6, crypto/x509 (Certificate.VerifyHostname).
"""

from collections.abc import Iterator

from trace_go.checks.command import shell, target
from trace_go.checks.framework import Meta, count, finding, refused
from trace_go.checks.proof import of_chain
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.report import Case

META = Meta(group="tls", severity=Severity.ERROR, audience=Audience.OPERATOR, cause_rank=35)


def find(case: Case) -> Iterator[Finding]:
    for host, requests, judgement, why in refused(case, "wrong-name", "common-name-only"):
        yield finding(
            case,
            "certificate-wrong-name",
            META,
            title=f"The certificate of {host} is for another name",
            detail=f"{why} {count(len(requests), 'request')} failed.",
            remedy=Remedy(
                text="Check that the name points to the right server, and which certificate that server has for it.",
                command=shell("dig {}", target(requests[0])),
            ),
            subject=host,
            requests=requests,
            evidence=[of_chain(judgement)] if judgement else [],
        )
