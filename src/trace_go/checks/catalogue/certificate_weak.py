"""A certificate's key or signature is too weak.

What it means
    A certificate of the chain has a short RSA key, or is signed over SHA-1 or MD5, for which others can be forged.

Why it matters
    go refuses RSA keys below 1024 bits and signatures over SHA-1 or MD5. It accepts 1024 to 2047 bits, which browsers
    and public authorities gave up in 2013: what go takes there proves little.

How we know
    Key and signature of the certificates, on the wire (up to TLS 1.2) or from a probe; go's error line.

False positives
    None known. Older go releases accept more: SHA-1 before 1.18, short keys before 1.24.

What to do
    The server's operator must get a certificate with a new key (ECDSA P-256, or RSA of 2048 bits) from an authority
    that signs over SHA-256.

References
    crypto/x509 (InsecureAlgorithmError), crypto/rsa (Minimum key size), CA/Browser Forum baseline requirements §6.1.5.
"""

from collections.abc import Iterator

from trace_go.checks.chains import refusal, refused
from trace_go.checks.command import handshake, target
from trace_go.checks.framework import Meta, finding, sentence
from trace_go.checks.proof import of_chain
from trace_go.model.chain import ChainFault
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.report import Case

META = Meta(group="tls", severity=Severity.ERROR, audience=Audience.OPERATOR, cause_rank=41)

_RENEW = "The server's operator must get a certificate with a new key, signed over SHA-256."


def find(case: Case) -> Iterator[Finding]:
    told = set()
    for found in refused(case):
        if found.fault not in (ChainFault.WEAK_KEY, ChainFault.WEAK_SIGNATURE):
            continue
        told.add(target(found.requests[0]))
        what = "weak signature" if found.fault is ChainFault.WEAK_SIGNATURE else "key that is too short"
        yield refusal(
            case,
            "certificate-weak",
            META,
            found,
            title=f"A certificate of {found.host} has a {what}",
            remedy=Remedy(text=_RENEW, command=handshake(case, found.requests[0])),
        )
    accepted = {item.name: item for item in case.judgements if item.weak and not item.interceptor}
    for name, judgement in accepted.items():
        requests = [item for item in case.requests if target(item) == name]
        if name in told or not requests:
            continue
        yield finding(
            case,
            "certificate-weak",
            META,
            title=f"A certificate of {name} has a weak key",
            detail=f"{sentence('; '.join(judgement.weak))} go accepts it, though it proves little today.",
            remedy=Remedy(text=_RENEW, command=handshake(case, requests[0])),
            subject=name,
            requests=requests,
            evidence=[of_chain(judgement)],
            severity=Severity.WARNING,
        )
