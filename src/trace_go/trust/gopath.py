"""Path building and validation as the go command does it: Certificate.Verify (crypto/x509/verify.go, go1.27).

Not here: certificate policies, and the platform verifiers of macOS and Windows.
"""

import hashlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import IPv6Address, ip_address
from typing import Protocol

from msgspec import Struct

from trace_go.model.chain import ChainFault
from trace_go.trust.constraints import excluded_name
from trace_go.wire.signatures import signed_by
from trace_go.wire.x509 import DSA, EC, ED25519, ML_DSA, RSA, X509

MAX_SIGNATURE_CHECKS = 100  # maxChainSignatureChecks of verify.go; also bounds depth and the number of paths
MIN_RSA_BITS = 1024  # crypto/rsa refuses shorter ones
SERVER_AUTH, ANY_USAGE = "1.3.6.1.5.5.7.3.1", "2.5.29.37.0"
CERT_SIGN = 1 << 5  # keyCertSign
LABEL = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_")
SHOWN_NAMES = 5  # of a certificate with many
PURPOSES = {
    "1.3.6.1.5.5.7.3.2": "clients",
    "1.3.6.1.5.5.7.3.3": "code signing",
    "1.3.6.1.5.5.7.3.4": "e-mail",
    "1.3.6.1.5.5.7.3.8": "time stamping",
    "1.3.6.1.5.5.7.3.9": "OCSP signing",
}  # RFC 5280 §4.2.1.12
DISTRUSTED = frozenset(
    (
        "ebed6475c2c2d80fcb199f3fe8dd6e6b3ce60b77eb15d4e42c3dec0c6f5b5105",
        "49dd353dc2b919a3770645117d0e60c16115e7d1bc259eefe734b00ea434fe5f",
        "e0254c7fcdc265e2f0f8a428dabb75ab4ae039b4872d62f5ee57f0877d5a8a41",
        "5c0660a2b164910d8ff589c18e14552e9e0ec237dcefe2cb736d41a4811f81a0",
        "43bffa19d6ef651451f6841e019931e96f6f2eaeff28ab4b6f1ce4576de2717b",
        "63ecefee431d49523bc1136c4e72d0206a477086caf606cd5cf025686c109cf8",
        "ec4ffa1ad0ac88081314b7aaffef6a91f97cd57291bb5ba686c5415f5eb4f6b6",
        "92c063d67e8f14db71d288e11266ffdaf69cbf115f7bab14f3bc2f68d25e0e30",
    )
)  # distrustedSPKIHashes of verify.go: SHA-256 of a SubjectPublicKeyInfo
KEY_KINDS = {RSA, DSA, EC, ED25519, *ML_DSA}  # go passes over issuers with keys of another kind


class Roots(Protocol):
    """What a verifier asks of a trust store."""

    def holds(self, certificate: X509) -> bool: ...

    def named(self, raw_subject: bytes) -> Sequence[X509]: ...


class Refusal(Struct, frozen=True, kw_only=True):
    """Why go stops."""

    fault: ChainFault
    at: X509
    """the certificate at which it stops"""
    why: str
    """what is wrong with it, in words that follow its name; empty for UNKNOWN_AUTHORITY"""
    hint: "Refusal | None" = None
    """of UNKNOWN_AUTHORITY: why the first candidate for the issuer of `at` was none"""


Path = tuple[X509, ...]
"""leaf to root"""


def verify(chain: Sequence[X509], *, name: str, at_ns: int, roots: Roots) -> Path | Refusal:
    """The first path go accepts from chain[0] to a root, or its refusal. No name check when `name` is empty."""
    leaf = chain[0]
    refusal = invalid(leaf, (), at_ns, intermediate=False) or name_refusal(leaf, name)
    if refusal:
        return refusal
    if roots.holds(leaf):
        paths: list[Path] = [(leaf,)]
    else:
        search = _Search(chain[1:], at_ns, roots)
        paths, refusal = search.paths((leaf,))
        if refusal:
            return refusal
    refusals = []
    for path in paths:
        refusal = path_refusal(path)
        if not refusal:
            return path
        refusals.append(refusal)
    return min(refusals, key=lambda item: item.fault is not ChainFault.NAME_CONSTRAINT)  # go tells that one first


def path_refusal(path: Path) -> Refusal | None:
    """What go looks at once a path stands: usages nested downwards, name constraints, distrusted keys."""
    for certificate in reversed(path):
        if certificate.usages and not {SERVER_AUTH, ANY_USAGE} & set(certificate.usages):
            why = f"is meant for {_purposes(certificate.usages)}, not for servers (extended key usage)"
            return Refusal(fault=ChainFault.USAGE, at=certificate, why=why)
    if forbidden := excluded_name(path):
        return Refusal(fault=ChainFault.NAME_CONSTRAINT, at=path[0], why=f"meets a name constraint: {forbidden}")
    for certificate in path:
        if hashlib.sha256(certificate.spki).hexdigest() in DISTRUSTED:
            return Refusal(fault=ChainFault.DISTRUSTED, at=certificate, why="has a key on go's list of distrusted ones")
    return None


def invalid(certificate: X509, below: Path, at_ns: int, *, intermediate: bool) -> Refusal | None:
    """isValid of verify.go: one certificate above the path `below` it, at a time."""

    def refuse(fault: ChainFault, why: str) -> Refusal:
        return Refusal(fault=fault, at=certificate, why=why)

    if certificate.unhandled_critical:
        unknown = ", ".join(certificate.unhandled_critical[:3])
        return refuse(ChainFault.CRITICAL_EXTENSION, f"has a critical extension unknown to go: {unknown}")
    if certificate.not_before is None or certificate.not_after is None:
        return refuse(ChainFault.UNREADABLE, "has dates that cannot be read")
    if at_ns < unix_ns(certificate.not_before):
        return refuse(ChainFault.NOT_YET_VALID, f"is not valid before {_when(certificate.not_before)}")
    if at_ns > unix_ns(certificate.not_after):
        return refuse(ChainFault.EXPIRED, f"expired on {_when(certificate.not_after)}")
    if intermediate and not certificate.ca:
        return refuse(ChainFault.NOT_A_CA, "is no CA certificate")
    if certificate.max_path is not None and len(below) - 1 > certificate.max_path:
        many = f"{len(below) - 1} intermediate certificates below it where it allows {certificate.max_path}"
        return refuse(ChainFault.PATH_LENGTH, f"has {many} (path length)")
    return None


def name_refusal(leaf: X509, name: str) -> Refusal | None:
    """VerifyHostname of verify.go: subjectAltName only."""
    if not name or _names_host(leaf, name):
        return None
    if leaf.san is None and leaf.subject.cn and _labels_match(leaf.subject.cn.lower(), name.lower().removesuffix(".")):
        why = f"names {name} only in its Common Name, which go ignores: it has no subjectAltName"
        return Refusal(fault=ChainFault.COMMON_NAME_ONLY, at=leaf, why=why)
    names = [*leaf.dns, *(str(ip_address(ip)) for ip in leaf.ips)]
    listed = ", ".join(names[:SHOWN_NAMES]) + (f" and {len(names) - SHOWN_NAMES} more" if names[SHOWN_NAMES:] else "")
    why = f"is valid for {listed or 'no host name at all'}, not for {name}"
    return Refusal(fault=ChainFault.NAME_MISMATCH, at=leaf, why=why)


def unix_ns(moment: datetime) -> int:
    """Exact, and also for years before 1970."""
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000


def _when(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _names_host(leaf: X509, name: str) -> bool:
    try:
        address = ip_address(name[1:-1] if name.startswith("[") and name.endswith("]") else name)
    except ValueError:
        wanted = name.lower()
        plain = name.isascii() and _is_host(wanted.removesuffix("."))
        return any(
            _labels_match(san.lower(), wanted.removesuffix("."))
            if plain and _is_host(san.lower(), pattern=True)
            else san.lower() == wanted and san not in ("", ".")
            for san in leaf.dns
        )
    if isinstance(address, IPv6Address):
        address = address.ipv4_mapped or IPv6Address(int(address))  # a zone does not count
    return address.packed in leaf.ips


def _is_host(host: str, *, pattern: bool = False) -> bool:
    """validHostname of verify.go; `host` in lower case and without its last dot. Only a pattern may begin with `*.`"""
    labels = host.split(".")
    if pattern and len(labels) > 1 and labels[0] == "*":
        labels = labels[1:]
    return all(label and label[0] != "-" and set(label) <= LABEL for label in labels)


def _labels_match(pattern: str, host: str) -> bool:
    patterns, labels = pattern.split("."), host.split(".")
    return (
        len(patterns) == len(labels)
        and patterns[0] in ("*", labels[0])
        and patterns[1:] == labels[1:]
        and pattern != ""
    )


class _Search:
    """buildChains of verify.go: roots before intermediates, matching key identifiers first."""

    def __init__(self, intermediates: Iterable[X509], at_ns: int, roots: Roots) -> None:
        self.at_ns = at_ns
        self.roots = roots
        self.checks = 0
        self.intermediates: dict[bytes, list[X509]] = {}
        for certificate in {c.der: c for c in intermediates}.values():
            self.intermediates.setdefault(certificate.raw_subject, []).append(certificate)

    def paths(self, below: Path) -> tuple[list[Path], Refusal | None]:
        """Every path from `below` up to a root; the refusal go reports when there is none."""
        child = below[-1]
        found: list[Path] = []
        refusal: Refusal | None = None
        hint: Refusal | None = None
        for intermediate, candidates in (
            (False, self.roots.named(child.raw_issuer)),
            (True, self.intermediates.get(child.raw_issuer, [])),
        ):
            for parent in sorted(candidates, key=lambda c: _key_id_rank(c, child)):
                self.checks += 1
                if self.checks > MAX_SIGNATURE_CHECKS:
                    why = f"needs more than {MAX_SIGNATURE_CHECKS} signature checks"
                    refusal = Refusal(fault=ChainFault.OTHER, at=below[0], why=why)
                    return found, None if found else refusal
                if parent.key_oid not in KEY_KINDS or any(_same_holder(parent, c) for c in below):
                    continue
                if unsigned := _unsigned(child, parent):
                    hint = hint or unsigned
                    continue
                refusal = invalid(parent, below, self.at_ns, intermediate=intermediate)
                if refusal:
                    hint = hint or refusal
                elif intermediate:
                    higher, refusal = self.paths((*below, parent))
                    found += higher
                else:
                    found.append((*below, parent))
        if found:
            return found, None
        return [], refusal or Refusal(fault=ChainFault.UNKNOWN_AUTHORITY, at=child, why="", hint=hint)


def _key_id_rank(parent: X509, child: X509) -> int:
    ours, theirs = parent.subject_key_id, child.authority_key_id
    return 0 if ours == theirs else 2 if ours and theirs else 1


def _same_holder(a: X509, b: X509) -> bool:
    """alreadyInChain of verify.go: stops the loops of mutual cross-signing."""
    return (a.raw_subject, a.spki, a.san) == (b.raw_subject, b.spki, b.san)


def _unsigned(child: X509, parent: X509) -> Refusal | None:
    """CheckSignatureFrom of x509.go: why `parent` did not validly sign `child`; None when it did."""
    fault, at, why = ChainFault.BAD_SIGNATURE, child, f"names {parent.subject.text} as issuer, which did not sign it"
    if parent.ca is False or (parent.version == 3 and parent.ca is None):
        fault, at, why = ChainFault.NOT_A_CA, parent, "is no CA certificate"
    elif parent.key_usage and not parent.key_usage & CERT_SIGN:
        fault, at, why = ChainFault.NOT_A_CA, parent, "may not sign certificates (its key usage)"
    elif child.weak_signature:
        fault, why = ChainFault.WEAK_SIGNATURE, f"is signed with {child.signature_name}, which go refuses as insecure"
    elif parent.key_oid == RSA == child.signer_key_oid and parent.rsa_bits < MIN_RSA_BITS:
        fault, at, why = ChainFault.WEAK_KEY, parent, f"has an RSA key of {parent.rsa_bits} bits, which go refuses"
    elif signed_by(child, parent):
        return None
    return Refusal(fault=fault, at=at, why=why)


def _purposes(usages: Sequence[str]) -> str:
    return ", ".join(PURPOSES.get(usage, usage) for usage in usages[:SHOWN_NAMES])
