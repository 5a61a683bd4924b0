"""A certificate of the chain is of no use to go.

What it means
    A certificate is not encoded as go's parser wants it, has a critical extension that go does not know, or a key of a
    kind or size that go does not use.

Why it matters
    Other clients are less strict, so that the same server works in a browser or with curl. One such certificate spoils
    the whole chain, even one that go would not need.

How we know
    The certificates, on the wire (up to TLS 1.2) or from a probe, read as strictly as go reads them; go's error line.

False positives
    Older go releases are less strict: negative serial numbers were accepted before 1.23.

What to do
    The server's operator must get the certificate issued again by software that follows RFC 5280.

References
    RFC 5280 §4.1, §4.2; crypto/x509/parser.go; crypto/tls (verifyServerCertificate).
"""

from collections.abc import Iterator

from trace_go.checks.chains import refused
from trace_go.checks.command import handshake
from trace_go.checks.framework import Meta, count, finding
from trace_go.checks.proof import of_chain
from trace_go.model.chain import ChainFault
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.report import Case

META = Meta(group="tls", severity=Severity.ERROR, audience=Audience.OPERATOR, cause_rank=43)

_TITLES = {
    ChainFault.UNREADABLE: "go cannot read a certificate of {}",
    ChainFault.CRITICAL_EXTENSION: "A certificate of {} has a critical extension unknown to go",
    ChainFault.KEY_KIND: "The certificate of {} has a key that go does not use",
}


def find(case: Case) -> Iterator[Finding]:
    for found in refused(case):
        title = _TITLES.get(found.fault) if found.fault else None
        if title is None:
            continue
        yield finding(
            case,
            "certificate-unusable",
            META,
            title=title.replace("{}", found.host),
            detail=f"{found.why} {count(len(found.requests), 'request')} failed.",
            remedy=Remedy(
                text="The server's operator must have the certificate issued again, as RFC 5280 wants it.",
                command=handshake(case, found.requests[0]),
            ),
            subject=found.host,
            requests=found.requests,
            evidence=[of_chain(found.judgement)] if found.judgement else [],
        )
