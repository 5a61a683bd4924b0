"""TLS is broken open on the way.

What it means
    A machine between go and the server answered the TLS handshake with a certificate of its own for the server's
    name. It sees every request and can change every answer.

Why it matters
    If go does not trust its authority, every download fails with `x509: certificate signed by unknown authority`. If
    it does, downloads work, and their content is whatever that machine delivers: the checksum database is then the
    only protection.

How we know
    The certificate chain: a leaf that verifies under its own public key although another name issued it, the issuer
    name of a known product, one key for unrelated names, or an authority listed in trace-go.toml. With TLS 1.3 the
    chain is encrypted and comes from a probe of the same host through the same proxy, and is marked as probed.

False positives
    A private mirror with a private authority is no interceptor: none of the signals applies to it.

What to do
    Ask the network's operator whether the inspection is meant. If it is, install its authority in the system's trust
    store (or point SSL_CERT_FILE at a bundle that contains it); if not, do not use this network for downloads.

References
    RFC 5280 §4.1.1.3; https://go.dev/ref/mod#checksum-database; crypto/x509/root_linux.go.
"""

from collections import defaultdict
from collections.abc import Iterator

from trace_go.checks.framework import Meta, count, finding
from trace_go.model import evidence
from trace_go.model.chain import Judgement
from trace_go.model.evidence import Confidence, Visibility
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.ledger import HandledBy, Request
from trace_go.model.report import Case

META = Meta(group="tls", severity=Severity.ERROR, audience=Audience.SECURITY, cause_rank=33)


def find(case: Case) -> Iterator[Finding]:
    groups: dict[str, list[Judgement]] = defaultdict(list)
    for judgement in case.judgements:
        if judgement.interceptor:
            groups[judgement.interceptor].append(judgement)
    for name, judgements in groups.items():
        hosts = sorted({judgement.name for judgement in judgements})
        requests = [item for item in case.requests if item.handled_by is HandledBy.MITM and _by(item, name)]
        trusted = all(judgement.trusted for judgement in judgements)
        first = judgements[0]
        seen = any(judgement.visibility is Visibility.SEEN for judgement in judgements)
        effect = (
            "The trust store accepts it, so downloads work and it can read and change them."
            if trusted
            else "The trust store does not accept it, so go refuses the connection."
        )
        why = "; ".join(first.interceptor_why)
        yield finding(
            "interceptor-in-path",
            META,
            title=f"{name} intercepts TLS to {', '.join(hosts[:3])}" + (" …" if len(hosts) > 3 else ""),
            detail=f"The certificate for {first.name} was issued by {_issuer(first)} ({why}). {effect} "
            f"{count(len(requests), 'request')} affected.",
            remedy=_remedy(trusted),
            subject=name,
            requests=requests,
            evidence=tuple(_proof(judgement) for judgement in judgements),
            severity=Severity.WARNING if trusted else None,
            confidence=Confidence.CERTAIN if seen else Confidence.HIGH,
        )


def _by(request: Request, name: str) -> bool:
    return any(hop.label == name for hop in request.hops)


def _issuer(judgement: Judgement) -> str:
    leaf = judgement.chain[0]
    return f"“{leaf.issuer_cn or leaf.issuer}”"


def _proof(judgement: Judgement) -> evidence.Evidence:
    text = f"certificate for {judgement.name}, issuer {judgement.chain[0].issuer}"
    if judgement.visibility is Visibility.PROBED:
        return evidence.probe(text)
    return evidence.packet(judgement.packet, text, judgement.file)


def _remedy(trusted: bool) -> Remedy:
    if trusted:
        return Remedy(text="Confirm with the network's operator that this inspection is meant, and keep GOSUMDB on.")
    return Remedy(
        text="If the inspection is meant, add its authority to the trust store that go uses; else leave this network.",
        command="SSL_CERT_FILE=/path/to/bundle-with-that-authority.pem go mod download",
    )
