"""A server's certificate is not trusted.

What it means
    The chain that the server sent leads to no authority of the trust store that go uses: the server's certificate is
    signed by itself, its authority is unknown, or it was not signed by the authority that it names. Or go refused the
    chain for a reason that this input does not show.

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

from trace_go.checks.chains import Refused, authority, lacks_root, refused
from trace_go.checks.command import handshake
from trace_go.checks.framework import Meta, count, finding
from trace_go.checks.proof import of_chain
from trace_go.model.chain import ChainFault
from trace_go.model.evidence import Confidence, Visibility
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.report import Case

META = Meta(group="tls", severity=Severity.ERROR, audience=Audience.SECURITY, cause_rank=38)

_FAULTS = (
    None,
    ChainFault.UNKNOWN_AUTHORITY,
    ChainFault.SELF_SIGNED,
    ChainFault.BAD_SIGNATURE,
    ChainFault.DISTRUSTED,
    ChainFault.OTHER,
)
_TRUST = "Look who issued the certificate; only if that authority is your own, add it to the trust store that go uses."
_IMPOSTOR = "Find out who answers for this public host before you trust it: its own certificate is from a public CA."
_LOOK = "Run the command itself under `trace-go --`, or look at the chain here: it tells what go does not accept."
_CLIENT = "Look on the client at its clock and at SSL_CERT_FILE and SSL_CERT_DIR: it trusts others than this store."


def find(case: Case) -> Iterator[Finding]:
    for found in refused(case):
        if found.fault not in _FAULTS or lacks_root(found):
            continue
        judgement, hidden = found.judgement, found.fault is None
        seen = judgement is not None and judgement.visibility is Visibility.SEEN
        yield finding(
            case,
            "certificate-not-trusted",
            META,
            title=_title(found),
            detail=f"{found.why} {count(len(found.requests), 'request')} failed.",
            remedy=Remedy(text=_advice(found, in_order=hidden and seen), command=handshake(case, found.requests[0])),
            subject=found.host,
            requests=found.requests,
            evidence=[of_chain(judgement)] if judgement and (seen or not hidden) else [],
            confidence=Confidence.MEDIUM if hidden else Confidence.HIGH,
        )


def _title(found: Refused) -> str:
    issuer = authority(found.judgement.chain) if found.judgement else ""
    match found.fault:
        case None:
            return f"go refused the certificate shown for {found.host}"
        case ChainFault.SELF_SIGNED:
            return f"The certificate of {found.host} is self-signed"
        case ChainFault.BAD_SIGNATURE:
            return f"The certificate of {found.host} is not signed by the issuer that it names"
        case ChainFault.UNKNOWN_AUTHORITY if issuer:
            return f"The certificate of {found.host} comes from {issuer}, which go does not trust"
        case _:
            return f"The certificate of {found.host} is not trusted"


def _advice(found: Refused, *, in_order: bool) -> str:
    if found.fault is None:
        return _CLIENT if in_order else _LOOK
    return _IMPOSTOR if found.judgement and found.judgement.public else _TRUST
