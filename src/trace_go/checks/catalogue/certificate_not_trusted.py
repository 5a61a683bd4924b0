"""A server's certificate is not trusted.

What it means
    The chain that the server sent leads to no authority of the trust store that go uses; or go refused the chain for a
    reason that this input does not show.

Why it matters
    go refuses the connection: `x509: certificate signed by unknown authority`. Either the server's authority is private
    and missing from the trust store, or somebody answers in the server's place.

How we know
    The chain on the wire (up to TLS 1.2) or from a probe, verified at packet time against the chosen trust store; go's
    error line. In TLS 1.3 without keys only the refusal can be told, from record sizes; the finding then says that the
    reason is not observable, and has medium confidence.

False positives
    Judge a user's capture with `--trust` set to that user's roots (a bundle has them): against another machine's store
    every private authority is unknown.

What to do
    Look at the issuer. If the server is yours, add its authority to the system's trust store, or to a copy of the
    system's bundle that SSL_CERT_FILE names (on Linux it replaces that bundle, so a file with the one authority alone
    breaks every public host). If it is a public host, somebody answers in its place: find out who before trusting
    anything.

References
    crypto/x509 (Certificate.Verify), crypto/x509/root_linux.go, RFC 5280 §6.
"""

from collections.abc import Iterator

from trace_go.checks.command import handshake
from trace_go.checks.framework import Meta, count, finding, refused
from trace_go.checks.proof import of_chain
from trace_go.model.chain import ChainFault
from trace_go.model.evidence import Confidence
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.report import Case

META = Meta(group="tls", severity=Severity.ERROR, audience=Audience.SECURITY, cause_rank=38)

_TRUST = "Look who issued the certificate; only if that authority is your own, add it to the trust store that go uses."
_LOOK = "Run the command itself under `trace-go --`, or look at the chain here: it tells what go does not accept."


def find(case: Case) -> Iterator[Finding]:
    for host, requests, judgement, why in refused(
        case, "unknown-authority", "certificate-rejected", "other-certificate"
    ):
        if judgement and judgement.fault is ChainFault.INCOMPLETE:
            continue  # chain-incomplete tells more
        hidden = requests[0].failure and requests[0].failure.kind == "certificate-rejected"
        title = (
            f"go refused the certificate shown for {host}" if hidden else f"The certificate of {host} is not trusted"
        )
        yield finding(
            case,
            "certificate-not-trusted",
            META,
            title=title,
            detail=f"{why} {count(len(requests), 'request')} failed.",
            remedy=Remedy(text=_LOOK if hidden else _TRUST, command=handshake(case, requests[0])),
            subject=host,
            requests=requests,
            evidence=[of_chain(judgement)] if judgement else [],
            confidence=Confidence.MEDIUM if hidden else Confidence.HIGH,
        )
