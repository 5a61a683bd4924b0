"""What is untidy or weak in a chain that go accepts all the same."""

from collections.abc import Sequence

from trace_go.wire.x509 import RSA, X509

GOOD_RSA_BITS = 2048  # CA/Browser Forum baseline requirements §6.1.5; go refuses below 1024 only


def disorder(sent: Sequence[X509]) -> tuple[str, ...]:
    """Where the chain is not as RFC 8446 §4.4.2 wants it: each certificate once, and behind one that it issued.

    A root at the end and cross-signed alternatives are in order.
    """
    told = []
    for place, x in enumerate(sent[1:], 1):
        name = x.subject.text or "a certificate without a name"
        if any(x.der == other.der for other in sent[:place]):
            told.append(f"{name} is sent twice")
        elif any(other.raw_issuer == x.raw_subject for other in sent[:place]):
            continue
        elif child := next((other for other in sent[place + 1 :] if _issued(x, other)), None):
            told.append(f"{name} stands before {child.subject.text}, which it issued")
        else:
            told.append(f"{name} has issued none of the others")
    return tuple(told)


def _issued(issuer: X509, other: X509) -> bool:
    return other.raw_issuer == issuer.raw_subject and not other.self_issued


def weak(path: Sequence[X509]) -> tuple[str, ...]:
    """Keys on the way from the server's certificate to a root that are too short by today's measure."""
    return tuple(
        f"{x.subject.text or 'a certificate without a name'} has an RSA key of only {x.rsa_bits} bits"
        for x in path
        if x.key_oid == RSA and x.rsa_bits < GOOD_RSA_BITS
    )
