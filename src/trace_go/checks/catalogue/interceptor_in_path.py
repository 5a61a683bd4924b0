"""TLS is broken open on the way.

What it means
    A machine between go and the server answered the TLS handshake with a certificate of its own for the server's name.
    It sees every request and can change every answer.

Why it matters
    If go does not trust its authority, every download fails with `x509: certificate signed by unknown authority`. If go
    does, downloads work, and their content is whatever that machine delivers: the checksum database is then the only
    protection.

How we know
    The certificate: it verifies under its own public key although another name issued it, its issuer is a known
    product, one key serves unrelated names, only the local trust store and not Mozilla's roots vouch for a public
    host, or trace-go.toml lists its authority. TLS 1.3 encrypts the chain: it then comes from a probe of the same host
    through the same proxy, and is marked as probed.

False positives
    A private mirror with a private authority is no interceptor: none of the signs applies to it.

What to do
    Ask the network's operator whether the inspection is meant. If it is, add its authority to the system's trust store,
    or to a copy of the system's bundle that SSL_CERT_FILE names; keep the checksum database on. If it is not, use
    another network.

References
    RFC 5280 §4.1.1.3; https://go.dev/ref/mod#checksum-database; crypto/x509/root_linux.go.
"""

from collections import defaultdict
from collections.abc import Iterator

from trace_go.checks.command import handshake
from trace_go.checks.framework import Meta, count, finding, some
from trace_go.checks.proof import of_chain
from trace_go.model.chain import Judgement
from trace_go.model.evidence import Confidence, Visibility
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.ledger import Request, Role
from trace_go.model.report import Case

META = Meta(group="tls", severity=Severity.ERROR, audience=Audience.SECURITY, cause_rank=34)

_ASK = "Ask the network's operator whether this inspection is meant"
_TRUSTED = f"{_ASK}, and keep the checksum database (GOSUMDB) on."
_UNTRUSTED = f"{_ASK}; only if it is, add its authority to the trust store that go uses."


def find(case: Case) -> Iterator[Finding]:
    groups: dict[str, list[Judgement]] = defaultdict(list)
    for judgement in case.judgements:
        if judgement.interceptor:
            groups[judgement.interceptor].append(judgement)
    for name, judgements in groups.items():
        requests = [item for item in case.requests if _reached(item, name)]
        trusted = all(judgement.trusted for judgement in judgements)
        first = judgements[0]
        seen = any(judgement.visibility is Visibility.SEEN for judgement in judgements)
        many = count(len(requests), "request")
        effect = (
            f"The trust store accepts it: downloads work, and it can read and change them. {many} went through it."
            if trusted
            else f"The trust store does not accept it, so go refuses the connection. {many} ended there."
        )
        why = "; ".join(first.interceptor_why)
        yield finding(
            case,
            "interceptor-in-path",
            META,
            title=f"{name} intercepts TLS to {some(judgement.name for judgement in judgements)}",
            detail=f"The certificate for {first.name} was issued by “{_issuer(first)}”"
            f"{f' ({why})' if why else ''}. {effect}",
            remedy=Remedy(
                text=_TRUSTED if trusted else _UNTRUSTED,
                command=handshake(case, requests[0]) if requests else None,
            ),
            subject=name,
            requests=requests,
            evidence=[of_chain(judgement) for judgement in judgements],
            severity=Severity.WARNING if trusted else Severity.ERROR,
            confidence=Confidence.CERTAIN if seen else Confidence.HIGH,
        )


def _reached(request: Request, name: str) -> bool:
    """Whether a request came as far as this interceptor."""
    for hop in request.hops:
        if hop.role is Role.INTERCEPTOR and hop.label == name:
            return True
        if hop.broken:
            return False
    return False


def _issuer(judgement: Judgement) -> str:
    leaf = judgement.chain[0] if judgement.chain else None
    return (leaf.issuer_cn or leaf.issuer) if leaf else "nobody"
