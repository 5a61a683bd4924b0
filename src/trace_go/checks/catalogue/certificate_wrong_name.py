"""A certificate is for another name.

What it means
    The server's certificate does not list the host name that go asked for (or names it only in the Common Name, which
    go has not accepted since 1.15).

Why it matters
    go refuses it: `certificate is valid for A, not B`. Often a name points to the wrong server, a load balancer falls
    back to a default certificate, or a portal answers.

How we know
    The names in the leaf certificate, on the wire (up to TLS 1.2) or from a probe; go's error line.

False positives
    None known.

What to do
    Check where the name points (`dig`), and the certificate that the server has for it.

References
    RFC 9525 §6, crypto/x509 (VerifyHostname).
"""

from collections.abc import Iterator

from trace_go.checks.framework import Meta, count, failed, finding, intercepted, sentence, target
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.report import Case

META = Meta(group="tls", severity=Severity.ERROR, audience=Audience.OPERATOR, cause_rank=34)


def find(case: Case) -> Iterator[Finding]:
    judged = {item.name: item for item in case.judgements}
    for host, requests in failed(case, "wrong-name", "common-name-only").items():
        rest = [item for item in requests if not intercepted(item)]
        if not rest:
            continue
        failure, judgement = rest[0].failure, judged.get(target(rest[0]))
        assert failure
        yield finding(
            "certificate-wrong-name",
            META,
            title=f"The certificate shown for {host} is for another name",
            detail=f"{sentence(judgement.detail if judgement and not judgement.trusted else failure.text)} "
            f"{count(len(rest), 'request')} failed.",
            remedy=Remedy(
                text="Check where the name points and which certificate the server has.", command=f"dig {host}"
            ),
            subject=host,
            requests=rest,
        )
