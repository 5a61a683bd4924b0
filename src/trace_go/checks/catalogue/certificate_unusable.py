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

from trace_go.checks.chains import refusals
from trace_go.checks.framework import Meta
from trace_go.model.chain import ChainFault
from trace_go.model.finding import Audience, Finding, Severity
from trace_go.model.report import Case

META = Meta(group="tls", severity=Severity.ERROR, audience=Audience.OPERATOR, cause_rank=43)

_TITLES = {
    ChainFault.UNREADABLE: "go cannot read a certificate of {}",
    ChainFault.CRITICAL_EXTENSION: "A certificate of {} has a critical extension unknown to go",
    ChainFault.KEY_KIND: "The certificate of {} has a key that go does not use",
}
_ADVICE = "The server's operator must have the certificate issued again, as RFC 5280 requires."


def find(case: Case) -> Iterator[Finding]:
    return refusals(case, "certificate-unusable", META, _TITLES, _ADVICE)
