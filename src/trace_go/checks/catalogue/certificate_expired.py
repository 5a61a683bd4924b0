"""A certificate was out of its validity period.

What it means
    At the time of the connection a certificate of the chain had expired or was not valid yet.

Why it matters
    go refuses it (`certificate has expired or is not yet valid`), and so does everything else.

How we know
    The dates of the certificates (on the wire up to TLS 1.2, else from a probe) compared with the time of the packets,
    not of the analysis; go's error line, which names the client's time.

False positives
    None: go refused the certificate. But a wrong clock on the client makes good certificates look expired or early.

What to do
    Compare the client's clock with the time in the detail. If the clock is right, the server's operator must renew the
    certificate, or send the renewed intermediate certificate where that is the one that expired.

References
    RFC 5280 §4.1.2.5; crypto/x509 (CertificateInvalidError).
"""

from collections.abc import Iterator

from trace_go.checks.framework import Meta, count, finding, refused
from trace_go.checks.proof import of_chain
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.report import Case

META = Meta(group="tls", severity=Severity.ERROR, audience=Audience.OPERATOR, cause_rank=36)


def find(case: Case) -> Iterator[Finding]:
    for host, requests, judgement, why in refused(case, "expired", "not-yet-valid"):
        early = requests[0].failure and requests[0].failure.kind == "not-yet-valid"
        yield finding(
            case,
            "certificate-expired",
            META,
            title=f"The certificate of {host} {'is not valid yet' if early else 'has expired'}",
            detail=f"{why} {count(len(requests), 'request')} failed.",
            remedy=Remedy(
                text="Check this machine's clock; if it is right, the server's operator must renew the certificate.",
                command="date -u",
            ),
            subject=host,
            requests=requests,
            evidence=[of_chain(judgement)] if judgement else [],
        )
