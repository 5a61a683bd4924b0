"""A certificate is used for what it may not be.

What it means
    A certificate of the chain stands where its authority did not mean it to: one that is no CA has issued another, the
    chain is longer than a CA in it allows, a CA may not issue for this name, or a certificate is not for servers.

Why it matters
    go refuses the chain. Often an operator took the wrong file; but a certificate that issues others without being a CA
    is also how chains are forged.

How we know
    The certificates, on the wire (up to TLS 1.2) or from a probe, judged as go does; go's error line.

False positives
    None known.

What to do
    The server's operator must get a certificate that is meant for this server from an authority that may issue it; a
    private authority must be set up with the extensions that RFC 5280 wants.

References
    RFC 5280 §4.2.1.3 (key usage), §4.2.1.9 (basic constraints), §4.2.1.10 (name constraints), §4.2.1.12 (extended key
    usage); crypto/x509 (Certificate.Verify).
"""

from collections.abc import Iterator

from trace_go.checks.chains import refusals
from trace_go.checks.framework import Meta
from trace_go.model.chain import ChainFault
from trace_go.model.finding import Audience, Finding, Severity
from trace_go.model.report import Case

META = Meta(group="tls", severity=Severity.ERROR, audience=Audience.OPERATOR, cause_rank=42)

_TITLES = {
    ChainFault.NOT_A_CA: "The certificate of {} was issued by a non-CA certificate",
    ChainFault.PATH_LENGTH: "The certificate chain of {} is longer than an authority in it allows",
    ChainFault.NAME_CONSTRAINT: "An authority above the certificate of {} may not issue for that name",
    ChainFault.USAGE: "The certificate of {} is not meant for servers",
}
_ADVICE = "The server's operator must get a certificate that is made for this server."


def find(case: Case) -> Iterator[Finding]:
    return refusals(case, "certificate-misused", META, _TITLES, _ADVICE)
