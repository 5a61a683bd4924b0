"""How one certificate chain stands against a trust store at packet time, as the go command sees it.

cryptography's verifier is asked first. It is stricter than go (CA/Browser Forum profile) and tells no reasons, so what
it refuses is decided and explained by gopath. Around both stands what crypto/tls checks (verifyServerCertificate).
"""

import warnings
from collections.abc import Sequence
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import NamedTuple

from trace_go.model.chain import ChainFault, ChainPart
from trace_go.model.tls import Certificate
from trace_go.trust.gopath import MIN_RSA_BITS, Path, Refusal, invalid, name_refusal, path_refusal, verify
from trace_go.trust.store import TrustStore
from trace_go.wire.signatures import MAX_RSA_BITS, signed_by
from trace_go.wire.x509 import EC, ED25519, ML_DSA, RSA, X509, read

MAX_INTERMEDIATES = 8  # the depth at which cryptography's verifier stops by itself
KEYS_OF_SERVERS = {RSA, EC, ED25519, *ML_DSA}  # what crypto/tls takes from a server


class Verdict(NamedTuple):
    trusted: bool
    fault: ChainFault | None
    detail: str
    """in plain words"""
    part: ChainPart | None = None
    """what `detail` is about"""


def judge(
    chain: Sequence[Certificate],
    *,
    name: str,
    at_ns: int,
    store: TrustStore,
    interceptor: str | None = None,
    others: Sequence[Certificate] = (),
    public: bool = False,
) -> Verdict:
    """How `chain`, as sent, leaf first, stands for the host `name` at `at_ns`.

    interceptor: who made the chain, when signs of that are known. others: CA certificates from elsewhere in the input,
    which can prove that an intermediate is missing. public: `name` is a public host, whose certificates have SCTs.
    """
    if not chain:
        return Verdict(False, ChainFault.UNREADABLE, "no certificate was sent")
    sent = [read(certificate.der) for certificate in chain]
    for x in sent:
        if refusal := _unusable(x):
            return _about(refusal, sent, store)
    found = _confirmed(sent, name, at_ns, store) or verify(sent, name=name, at_ns=at_ns, roots=store)
    leaf = sent[0]
    if isinstance(found, tuple):
        refusal = _useless_key(leaf)
        return _about(refusal, sent, store) if refusal else Verdict(True, None, f"chains to {found[-1].subject.text}")
    if found.fault is not ChainFault.UNKNOWN_AUTHORITY:
        return _about(found, sent, store, _misplaced(found, sent, name))
    more = [x for x in (read(certificate.der) for certificate in others) if not x.problem]
    completed = verify([*sent, *more], name=name, at_ns=at_ns, roots=store) if more else found
    missing = next((x for x in completed if x in more), None) if isinstance(completed, tuple) else None
    return _unknown(found, sent, store, interceptor=interceptor, missing=missing, public=public)


def _about(refusal: Refusal, sent: Sequence[X509], store: TrustStore, more: str = "") -> Verdict:
    part, which = _which(refusal.at, sent, store)
    return Verdict(False, refusal.fault, f"{which} {refusal.why}{more}", part)


def _useless_key(leaf: X509) -> Refusal | None:
    """What crypto/tls refuses of a server whose chain is in order: when it verifies the handshake's signature."""
    if leaf.key_oid not in KEYS_OF_SERVERS:
        why = f"has a key of the kind {leaf.key}, which go does not use"
        return Refusal(fault=ChainFault.KEY_KIND, at=leaf, why=why)
    if leaf.key_oid == RSA and leaf.rsa_bits < MIN_RSA_BITS:
        why = f"has an RSA key of {leaf.rsa_bits} bits, which go refuses"
        return Refusal(fault=ChainFault.WEAK_KEY, at=leaf, why=why)
    return None


def _unusable(x: X509) -> Refusal | None:
    """What crypto/tls refuses before it verifies."""
    if x.problem:
        return Refusal(fault=ChainFault.UNREADABLE, at=x, why=f"cannot be read by go: {x.problem}")
    if x.rsa_bits > MAX_RSA_BITS:
        why = f"has an RSA key of {x.rsa_bits} bits; go refuses more than {MAX_RSA_BITS}"
        return Refusal(fault=ChainFault.KEY_KIND, at=x, why=why)
    return None


def _confirmed(sent: Sequence[X509], name: str, at_ns: int, store: TrustStore) -> Path | None:
    """The path cryptography's verifier finds, if go has no objection to it; None decides nothing.

    Intermediates that share a subject are left to gopath, which counts its signature checks: here they could multiply.
    """
    leaf, intermediates = sent[0], list({x.der: x for x in sent[1:]}.values())
    if len(intermediates) > MAX_INTERMEDIATES or len({x.raw_subject for x in intermediates}) < len(intermediates):
        return None
    issuers = frozenset(x.raw_issuer for x in sent)
    if not any(store.named(issuer) for issuer in issuers):
        return None
    from cryptography.hazmat.primitives.serialization import Encoding
    from cryptography.x509 import DNSName, IPAddress, load_der_x509_certificate
    from cryptography.x509.verification import PolicyBuilder, Store

    moment = datetime.fromtimestamp(at_ns // 1_000_000_000, UTC).replace(tzinfo=None)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecations that tell the user nothing
            policy = PolicyBuilder().store(Store(store.verifier_roots(issuers))).time(moment)
            subject = IPAddress(ip_address(name)) if _is_address(name) else DNSName(name)
            verifier = policy.build_server_verifier(subject)
            certificates = [load_der_x509_certificate(x.der) for x in (leaf, *intermediates)]
            confirmed = verifier.verify(certificates[0], certificates[1:])
    except Exception:  # noqa: BLE001 # whatever it stumbles over in hostile bytes decides nothing
        return None
    known = {x.der: x for x in (*sent, *(root for issuer in issuers for root in store.named(issuer)))}
    path = tuple(known[certificate.public_bytes(Encoding.DER)] for certificate in confirmed)
    steps = (invalid(x, path[:i], at_ns, intermediate=0 < i < len(path) - 1) for i, x in enumerate(path))
    return None if any(steps) or name_refusal(leaf, name) or path_refusal(path) else path


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _misplaced(refusal: Refusal, sent: Sequence[X509], name: str) -> str:
    """That another certificate of the chain is for the name: the server's own must come first."""
    if refusal.fault is not ChainFault.NAME_MISMATCH or all(name_refusal(x, name) for x in sent[1:]):
        return ""
    return "; the one for that name is sent behind it, and must come first"


def _unknown(
    refusal: Refusal,
    sent: Sequence[X509],
    store: TrustStore,
    *,
    interceptor: str | None,
    missing: X509 | None,
    public: bool,
) -> Verdict:
    """Which kind of unknown authority it is. Go has one message for all of them."""
    end, leaf = refusal.at, sent[0]
    issuer = end.issuer.text or "an issuer without a name"
    untrusted = f"not in the trust store ({store.name})"

    def unknown(detail: str, fault: ChainFault = ChainFault.UNKNOWN_AUTHORITY) -> Verdict:
        return Verdict(False, fault, detail)

    if end is leaf and leaf.self_issued and (leaf.weak_signature or signed_by(leaf, leaf)):
        told = f"the server's certificate is self-signed and {untrusted}"
        return Verdict(False, ChainFault.SELF_SIGNED, told, ChainPart.SERVER)
    if missing:
        told = _forgotten(missing.subject.text, sent[1:] if end is leaf else ())
        proof = f"issued by {missing.issuer.text}: with it, as seen elsewhere in the input, the chain is trusted"
        return unknown(f"{told}, {proof}", ChainFault.INCOMPLETE)
    if interceptor:
        return unknown(f"made by {interceptor}: issued by {issuer}, {untrusted}")
    if refusal.hint:
        return _about(refusal.hint, sent, store)
    if store.empty:
        return unknown(f"the trust store is empty: {store.found}", ChainFault.NO_ROOTS)
    if end.self_issued:
        return unknown(f"the chain ends in the root {issuer}, {untrusted}")
    absent = f"{issuer}, whose certificate was not sent and is {untrusted}"
    if end is not leaf:
        return unknown(f"the chain ends at {end.subject.text}, issued by {absent}")
    if public and not leaf.scts:
        strange = "it has no SCT, as the certificates of public authorities do, so none of them issued it"
        return unknown(f"issued by {absent}; {strange}")
    if leaf.issuer_urls:
        where = f"it can be had at {leaf.issuer_urls[0]}, but go does not fetch it"
        return unknown(f"{_forgotten(issuer, sent[1:])}; {where}", ChainFault.INCOMPLETE)
    if leaf.issuer.o and store.has_organisation(leaf.issuer.o):
        root = f"the trust store has a root of {leaf.issuer.o}"
        return unknown(f"{_forgotten(issuer, sent[1:])}; {root}", ChainFault.INCOMPLETE)
    either = "an authority not trusted here (private, or an interceptor's) or an intermediate the server did not send"
    return unknown(f"issued by {absent}: {either}; nothing here tells which")


def _forgotten(subject: str, instead: Sequence[X509]) -> str:
    told = f"the server did not send the intermediate certificate {subject}"
    return told + (f" but {instead[0].subject.text}, which did not issue its certificate" if instead else "")


def _which(x: X509, sent: Sequence[X509], store: TrustStore) -> tuple[ChainPart, str]:
    """What a certificate is in the chain, and how to call it."""
    if x is sent[0]:
        return ChainPart.SERVER, "the server's certificate"
    subject = x.subject.text or "without a name"
    if store.holds(x):
        return ChainPart.ROOT, f"the root certificate {subject} of the trust store ({store.name})"
    part = ChainPart.ROOT if x.self_issued else ChainPart.INTERMEDIATE
    return part, f"the {part} certificate {subject}"
