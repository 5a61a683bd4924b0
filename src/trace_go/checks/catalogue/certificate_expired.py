"""A certificate was out of its validity period.

What it means
    At the time of the connection a certificate of the chain was expired or not yet valid.

Why it matters
    go refuses it: `certificate has expired or is not yet valid`.

How we know
    The dates of the certificates, compared with the time of the packets, not of the analysis; go's error line.

False positives
    A wrong clock on the client makes every certificate look expired or early: the finding names the client's time.

What to do
    If the date of the client is right, the server's operator must renew the certificate; else set the clock.

References
    RFC 5280 §4.1.2.5.
"""

from collections.abc import Iterator

from trace_go.checks.framework import Meta, count, failed, finding, intercepted, sentence, target
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.report import Case

META = Meta(group="tls", severity=Severity.ERROR, audience=Audience.OPERATOR, cause_rank=34)


def find(case: Case) -> Iterator[Finding]:
    judged = {item.name: item for item in case.judgements}
    for host, requests in failed(case, "expired", "not-yet-valid").items():
        rest = [item for item in requests if not intercepted(item)]
        if not rest:
            continue
        failure, judgement = rest[0].failure, judged.get(target(rest[0]))
        assert failure
        early = failure.kind == "not-yet-valid"
        yield finding(
            "certificate-expired",
            META,
            title=f"The certificate of {host} is {'not yet valid' if early else 'expired'}",
            detail=f"{sentence(judgement.detail if judgement and not judgement.trusted else failure.text)} "
            f"{count(len(rest), 'request')} failed.",
            remedy=Remedy(
                text="Check the client's clock; if it is right, the server's certificate must be renewed.",
                command="date -u",
            ),
            subject=host,
            requests=rest,
        )
