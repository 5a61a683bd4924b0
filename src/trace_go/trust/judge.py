"""How one certificate chain stands against a trust store at packet time, as the go command sees it.

cryptography's verifier is asked first. It is stricter than go (CA/Browser Forum profile) and tells no reasons, so what
it refuses is decided and explained by gopath. Around both stands what crypto/tls checks (verifyServerCertificate).
"""

import warnings
from collections.abc import Sequence
from datetime import UTC, datetime
from ipaddress import ip_address

from trace_go.model.chain import ChainFault
from trace_go.model.tls import Certificate
from trace_go.trust.gopath import Path, Refusal, invalid, name_refusal, path_refusal, verify
from trace_go.trust.store import TrustStore
from trace_go.wire.signatures import MAX_RSA_BITS, public_key, signed_by
from trace_go.wire.x509 import EC, ED25519, ML_DSA, RSA, X509, read

MAX_INTERMEDIATES = 8  # the depth at which cryptography's verifier stops by itself
KEYS_OF_SERVERS = {RSA, EC, ED25519, *ML_DSA}  # what crypto/tls takes from a server

Verdict = tuple[bool, ChainFault | None, str]


def judge(
    chain: Sequence[Certificate],
    *,
    name: str,
    at_ns: int,
    store: TrustStore,
    interceptor: str | None = None,
    others: Sequence[Certificate] = (),
) -> Verdict:
    """(trusted, fault, detail in plain words) for `chain` as sent, leaf first, for the host `name` at `at_ns`.

    interceptor: who made the chain, when signs of that are known. others: CA certificates from elsewhere in the input,
    which can prove that an intermediate is missing.
    """
    if not chain:
        return False, ChainFault.UNREADABLE, "no certificate was sent"
    sent = [read(certificate.der) for certificate in chain]
    for x in sent:
        if fault := _unreadable(x):
            return False, fault[0], f"{_which(x, sent, store)} {fault[1]}"
    found = _confirmed(sent, name, at_ns, store) or verify(sent, name=name, at_ns=at_ns, roots=store)
    if isinstance(found, tuple):
        if sent[0].key_oid not in KEYS_OF_SERVERS:
            return False, ChainFault.OTHER, f"go does not use keys of the kind {sent[0].key}"
        return True, None, f"chains to {found[-1].subject.text}"
    if found.fault is ChainFault.UNKNOWN_AUTHORITY:
        more = [x for x in (read(certificate.der) for certificate in others) if not x.problem]
        completed = verify([*sent, *more], name=name, at_ns=at_ns, roots=store) if more else found
        missing = next((x for x in completed if x in more), None) if isinstance(completed, tuple) else None
        return False, *_unknown(found, sent, store, interceptor, missing)
    return False, found.fault, f"{_which(found.at, sent, store)} {found.why}"


def _unreadable(x: X509) -> tuple[ChainFault, str] | None:
    """What crypto/tls refuses before it verifies."""
    if x.problem:
        return ChainFault.UNREADABLE, f"cannot be read by go: {x.problem}"
    if x.rsa_bits > MAX_RSA_BITS:
        return ChainFault.OTHER, f"has an RSA key of {x.rsa_bits} bits; go refuses more than {MAX_RSA_BITS}"
    if x.key_oid == EC and public_key(x) is None:
        return ChainFault.UNREADABLE, "cannot be read by go: its key is no point of its curve"
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


def _unknown(
    refusal: Refusal, sent: Sequence[X509], store: TrustStore, interceptor: str | None, missing: X509 | None
) -> tuple[ChainFault, str]:
    """Which kind of unknown authority it is. Go has one message for all of them."""
    end, leaf = refusal.at, sent[0]
    issuer = end.issuer.text or "an issuer without a name"
    untrusted = f"not in the trust store ({store.name})"
    if end is leaf and leaf.self_issued and (leaf.weak_signature or signed_by(leaf, leaf)):
        return ChainFault.SELF_SIGNED, f"the server's certificate is signed by itself and {untrusted}"
    forgotten = "the server did not send the intermediate certificate"
    if missing:
        which = f"{missing.subject.text}, issued by {missing.issuer.text}"
        return (
            ChainFault.INCOMPLETE,
            f"{forgotten} {which}: with it, as seen elsewhere in the input, the chain is trusted",
        )
    if interceptor:
        return ChainFault.UNKNOWN_AUTHORITY, f"made by {interceptor}: issued by {issuer}, {untrusted}"
    if refusal.why:
        return ChainFault.UNKNOWN_AUTHORITY, f"issued in the name of {issuer}, but {refusal.why}"
    if end.self_issued:
        return ChainFault.UNKNOWN_AUTHORITY, f"the chain ends in the root {issuer}, {untrusted}"
    absent = f"{issuer}, whose certificate was not sent and is {untrusted}"
    if end is not leaf:
        return ChainFault.UNKNOWN_AUTHORITY, f"the chain ends at {end.subject.text}, issued by {absent}"
    if leaf.issuer_urls:
        return ChainFault.INCOMPLETE, f"{forgotten} {issuer}; go does not fetch it from {leaf.issuer_urls[0]}"
    if leaf.issuer.o and store.has_organisation(leaf.issuer.o):
        return ChainFault.INCOMPLETE, f"{forgotten} {issuer}; the trust store has a root of {leaf.issuer.o}"
    either = "an authority not trusted here (private, or an interceptor's) or an intermediate the server did not send"
    return ChainFault.UNKNOWN_AUTHORITY, f"issued by {absent}: {either}; nothing here tells which"


def _which(x: X509, sent: Sequence[X509], store: TrustStore) -> str:
    if x is sent[0]:
        return "the server's certificate"
    subject = x.subject.text or "without a name"
    if store.holds(x):
        return f"the root certificate {subject} of the trust store ({store.name})"
    return f"the {'root' if x.self_issued else 'intermediate'} certificate {subject}"
