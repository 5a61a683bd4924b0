"""The lab's certificate authorities and the chains that its servers send (RFC 5280).

The public one (a root, an intermediate, 90-day ECDSA leaves with SCTs and a place to fetch the issuer from) is as those
of the web are; the private one is a company's. `CHAINS` names what a server can send, from `good` to each fault.
"""

import datetime as dt
import secrets
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

LEAF_DAYS = 90  # what Let's Encrypt and Google Trust Services issue
ISSUER_URL = "http://pki.lab-trust.example/e1.cer"  # nobody answers there: go does not ask
SCT_LIST = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
PUBLIC, PRIVATE = "Lab Trust", "Corp Example"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A certificate and its key."""

    der: bytes
    subject: x509.Name
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

    @property
    def pem(self) -> bytes:
        return ssl.DER_cert_to_PEM_cert(self.der).encode()

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


def issue(
    name: str,
    issuer: Identity | None,
    *,
    dns: Sequence[str] = (),
    organisation: str = PUBLIC,
    ca: bool | None = None,
    days: int = LEAF_DAYS,
    age_days: int = 1,
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | None = None,
    path_length: int | None = None,
    permitted: Sequence[str] = (),
    usage: x509.ObjectIdentifier = ExtendedKeyUsageOID.SERVER_AUTH,
    public: bool = True,
) -> Identity:
    """Issue a certificate that began `age_days` ago; a CA when it has no `dns` names, self-signed without `issuer`.

    public: a leaf has SCTs and says where its issuer's certificate can be fetched. permitted: DNS names that a CA may
    issue for.
    """
    key = key or ec.generate_private_key(ec.SECP256R1())
    is_ca = not dns if ca is None else ca
    subject = x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation)] * is_ca
        + [x509.NameAttribute(NameOID.COMMON_NAME, name)]
    )
    signer = issuer.key if issuer else key
    start = dt.datetime.now(dt.UTC) - dt.timedelta(days=age_days)
    extensions: list[tuple[x509.ExtensionType, bool]] = [
        (x509.BasicConstraints(ca=is_ca, path_length=path_length), True),
        (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), False),
        (
            x509.KeyUsage(
                digital_signature=True, key_cert_sign=is_ca, crl_sign=is_ca, content_commitment=False,
                key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False,
                decipher_only=False,
            ),
            True,
        ),
    ]  # fmt: skip
    if dns:
        extensions.append((x509.SubjectAlternativeName([x509.DNSName(n) for n in dns]), False))
    if not is_ca:
        extensions.append((x509.ExtendedKeyUsage([usage]), False))
    if not is_ca and public:
        location = x509.UniformResourceIdentifier(ISSUER_URL)
        access = x509.AccessDescription(AuthorityInformationAccessOID.CA_ISSUERS, location)
        extensions.append((x509.AuthorityInformationAccess([access]), False))
        extensions.append((x509.UnrecognizedExtension(SCT_LIST, _scts()), False))
    if permitted:
        extensions.append((x509.NameConstraints([x509.DNSName(n) for n in permitted], None), True))
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number() | 1 << 158)  # 20 bytes, the first below 0x80
        .not_valid_before(start)
        .not_valid_after(start + dt.timedelta(days=days))
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    made = builder.sign(signer, hashes.SHA256())
    return Identity(der=made.public_bytes(serialization.Encoding.DER), subject=subject, key=key)


def _scts() -> bytes:
    """The value of an SCT extension with the promises of two logs that nobody runs (RFC 6962 §3.2, §3.3)."""
    time_ms = int(dt.datetime.now(dt.UTC).timestamp() * 1000).to_bytes(8, "big")
    scts = [bytes(1) + secrets.token_bytes(32) + time_ms + b"\0\0\4\3\0\x40" + secrets.token_bytes(64) for _ in "ab"]
    items = b"".join(len(sct).to_bytes(2, "big") + sct for sct in scts)
    return _tlv(0x04, len(items).to_bytes(2, "big") + items)


def _tlv(tag: int, content: bytes) -> bytes:
    size = len(content)
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, size)) + content if size < 128 else bytes((tag, 0x80 | len(length))) + length + content


def with_sha1(issued: Identity, signer: Identity) -> Identity:
    """The same certificate signed with RSA over SHA-1, which cryptography does no more."""
    assert isinstance(signer.key, rsa.RSAPrivateKey)
    sha256, sha1 = (_tlv(0x30, bytes.fromhex(f"06092a864886f70d0101{last}0500")) for last in ("0b", "05"))
    tbs = x509.load_der_x509_certificate(issued.der).tbs_certificate_bytes.replace(sha256, sha1)
    return _signed(issued, tbs, sha1, signer.key.sign(tbs, padding.PKCS1v15(), hashes.SHA1()))


def with_negative_serial(issued: Identity, signer: Identity) -> Identity:
    """The same certificate with a serial number below zero, as some appliances made them; cryptography does not."""
    assert isinstance(signer.key, ec.EllipticCurvePrivateKey)
    tbs = x509.load_der_x509_certificate(issued.der).tbs_certificate_bytes
    version, serial, rest = tbs.partition(bytes.fromhex("a0030201020214"))
    tbs = version + serial + b"\xc5" + rest[1:]
    ecdsa_sha256 = _tlv(0x30, bytes.fromhex("06082a8648ce3d040302"))
    return _signed(issued, tbs, ecdsa_sha256, signer.key.sign(tbs, ec.ECDSA(hashes.SHA256())))


def _signed(issued: Identity, tbs: bytes, algorithm: bytes, signature: bytes) -> Identity:
    return replace(issued, der=_tlv(0x30, tbs + algorithm + _tlv(0x03, b"\0" + signature)))


def rsa_key(bits: int) -> rsa.RSAPrivateKey:
    """An RSA key of any size: cryptography makes none below 1024 bits."""

    def prime() -> int:
        while True:
            n = secrets.randbits(bits // 2) | 3 << bits // 2 - 2 | 1
            if n % 65537 != 1 and all(pow(base, n - 1, n) == 1 for base in (2, 3, 5, 7)):  # Fermat's test
                return n

    p, q = prime(), prime()
    d = pow(65537, -1, (p - 1) * (q - 1))
    public = rsa.RSAPublicNumbers(65537, p * q)
    return rsa.RSAPrivateNumbers(p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), public).private_key()


class Authority:
    """The lab's CAs, new for each world; those that few chains need are made when first asked for."""

    def __init__(self) -> None:
        self.root = issue("Lab Root X1", None, days=3650, age_days=700)
        self.old_root = issue("Lab Root X0", None, days=365, age_days=400)
        self.corp_root = issue("Corp Example Root", None, organisation=PRIVATE, days=3650, age_days=700)
        self.intermediate = self.below("Lab Intermediate E1")

    def below(self, name: str, issuer: Identity | None = None, **options: Any) -> Identity:
        return issue(name, issuer or self.root, **{"days": 1825, "age_days": 350} | options)

    def leaf(self, host: str, issuer: Identity | None = None, **options: Any) -> Identity:
        return issue(host, issuer or self.intermediate, **{"dns": [host]} | options)

    @property
    def roots(self) -> dict[str, bytes]:
        """The roots of each kind, in PEM: the public ones, of which one has expired, and the company's."""
        return {"public": self.root.pem + self.old_root.pem, "corp": self.corp_root.pem}

    def write_server(self, folder: Path, host: str, chain: str) -> None:
        """Write HOST.pem (the chain as sent) and HOST.key; `chain` is one of CHAINS."""
        sent = CHAINS[chain](self, host)
        (folder / f"{host}.pem").write_bytes(b"".join(identity.pem for identity in sent))
        (folder / f"{host}.key").write_bytes(sent[0].key_pem)

    # -- chains, leaf first --------------------------------------------------------------------------------------------

    def by_intermediate(self, host: str, **options: Any) -> list[Identity]:
        return [self.leaf(host, **options), self.intermediate]

    def by(self, host: str, *above: Identity) -> list[Identity]:
        return [self.leaf(host, above[0]), *above]

    def private(self, host: str) -> list[Identity]:
        issuer = self.below("Corp Example Issuing CA", self.corp_root, organisation=PRIVATE)
        return [self.leaf(host, issuer, public=False), issuer]

    def deep(self, host: str) -> list[Identity]:
        upper = self.below("Lab Intermediate U1")
        return self.by(host, self.below("Lab Intermediate E2", upper), upper)

    def wrong_order(self, host: str) -> list[Identity]:
        leaf, lower, upper = self.deep(host)
        return [leaf, upper, lower]

    def wrong_intermediate(self, host: str) -> list[Identity]:
        return [self.leaf(host), self.below("Lab Intermediate D9")]

    def extra(self, host: str) -> list[Identity]:
        return [*self.by_intermediate(host), self.corp_root]

    def cross_signed(self, host: str) -> list[Identity]:
        """The new root X1 signed by X0, which has expired: who knows X1 needs X0 no more."""
        key = self.root.key
        crossed = self.below("Lab Root X1", self.old_root, key=key, days=3000)
        return [*self.by_intermediate(host), crossed]

    def rsa(self, host: str, bits: int) -> list[Identity]:
        return self.by_intermediate(host, key=rsa_key(bits))

    def sha1(self, host: str) -> list[Identity]:
        issuer = self.below("Lab Intermediate R1", key=rsa_key(2048))
        return [with_sha1(self.leaf(host, issuer), issuer), issuer]

    def by_leaf(self, host: str) -> list[Identity]:
        """Issued by another server's certificate."""
        other = self.leaf("other.example")
        return [self.leaf(host, other), other, self.intermediate]

    def too_deep(self, host: str) -> list[Identity]:
        upper = self.below("Lab Intermediate U0", path_length=0)
        return self.by(host, self.below("Lab Intermediate E3", upper), upper)


CHAINS: dict[str, Callable[[Authority, str], list[Identity]]] = {
    "good": Authority.by_intermediate,
    "deep": Authority.deep,
    "root-sent": lambda lab, host: [*lab.by_intermediate(host), lab.root],
    "cross-signed": Authority.cross_signed,
    "private": Authority.private,
    "wrong-order": Authority.wrong_order,
    "extra": Authority.extra,
    "expired": lambda lab, host: lab.by_intermediate(host, age_days=LEAF_DAYS + 2),
    "not-yet-valid": lambda lab, host: lab.by_intermediate(host, age_days=-2),
    "expired-intermediate": lambda lab, host: lab.by(host, lab.below("Lab Intermediate E0", days=340)),
    "expired-root": lambda lab, host: lab.by(host, lab.below("Lab Intermediate X0E", lab.old_root, age_days=350)),
    "wrong-name": lambda lab, host: lab.by_intermediate("other.example"),
    "common-name-only": lambda lab, host: lab.by_intermediate(host, dns=(), ca=False),
    "self-signed": lambda lab, host: [issue(host, None, dns=[host], public=False)],
    "missing-intermediate": lambda lab, host: [lab.leaf(host)],
    "wrong-intermediate": Authority.wrong_intermediate,
    "rsa-1024": lambda lab, host: lab.rsa(host, 1024),
    "rsa-768": lambda lab, host: lab.rsa(host, 768),
    "sha1": Authority.sha1,
    "by-leaf": Authority.by_leaf,
    "path-length": Authority.too_deep,
    "name-constraint": lambda lab, host: lab.by(host, lab.below("Lab Intermediate C1", permitted=["corp.example"])),
    "client-only": lambda lab, host: lab.by_intermediate(host, usage=ExtendedKeyUsageOID.CLIENT_AUTH),
    "negative-serial": lambda lab, host: [
        with_negative_serial(lab.leaf(host), lab.intermediate),
        lab.intermediate,
    ],
}
"""what a server can send; each is new when asked for"""
