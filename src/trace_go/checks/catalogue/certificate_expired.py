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
    certificate, or send the renewed intermediate certificate where that is the one that expired. An expired root is in
    the client's trust store: update that, and if the new one has no way to the server's chain, the operator must send
    one.

References
    RFC 5280 §4.1.2.5; crypto/x509 (CertificateInvalidError).
"""

from collections.abc import Iterator

from trace_go.checks.chains import Refused, lacks_root, refusal, refused
from trace_go.checks.framework import Meta
from trace_go.model.chain import ChainFault, ChainPart
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.report import Case

META = Meta(group="tls", severity=Severity.ERROR, audience=Audience.OPERATOR, cause_rank=36)

_OF = {ChainPart.INTERMEDIATE: "An intermediate certificate of", ChainPart.ROOT: "The root certificate above"}
_RENEW = {
    ChainPart.INTERMEDIATE: "send the renewed intermediate certificate",
    ChainPart.ROOT: "send a chain to a root that is still valid",
}


def find(case: Case) -> Iterator[Finding]:
    for found in refused(case):
        if found.fault not in (ChainFault.EXPIRED, ChainFault.NOT_YET_VALID) or lacks_root(found):
            continue
        yield refusal(
            case,
            "certificate-expired",
            META,
            found,
            title=_title(found),
            remedy=Remedy(
                text="Check this machine's clock; if it is right, the server's operator must "
                f"{_RENEW.get(_part(found), 'renew the certificate')}.",
                command="date -u",
            ),
        )


def _title(found: Refused) -> str:
    state = "is not valid yet" if found.fault is ChainFault.NOT_YET_VALID else "has expired"
    return f"{_OF.get(_part(found), 'The certificate of')} {found.host} {state}"


def _part(found: Refused) -> ChainPart:
    part = found.judgement.part if found.judgement else None
    return part or ChainPart.SERVER
