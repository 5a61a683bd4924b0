"""Certificates of every shape for tests, at fixed times and with few keys, which are made once."""

import datetime as dt
import hashlib
import ipaddress
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, padding, rsa
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

from trace_go.model.tls import Certificate
from trace_go.trust.store import TrustStore
from trace_go.wire.certificates import certificate
from trace_go.wire.x509 import read

NOW = dt.datetime(2026, 1, 15, 12, tzinfo=dt.UTC)
NOW_NS = int(NOW.timestamp()) * 10**9
DAY = dt.timedelta(days=1)
NAME = "proxy.golang.org"
SERVER, CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH


@cache
def key(label: str) -> Any:
    """The key of that label; its first word is the kind: `p256 leaf`, `rsa2048 root`, …"""
    kind = label.split()[0]
    if kind == "rsa768":
        return rsa_key(768)
    if kind.startswith("rsa"):
        return rsa.generate_private_key(65537, int(kind[3:]))
    if kind == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    if kind == "dsa":
        return dsa.generate_private_key(2048)
    if kind.startswith("mldsa"):
        from cryptography.hazmat.primitives.asymmetric import mldsa

        return mldsa.MLDSA44PrivateKey.generate()
    curves = {
        "p224": ec.SECP224R1,
        "p256": ec.SECP256R1,
        "p384": ec.SECP384R1,
        "p521": ec.SECP521R1,
        "k256": ec.SECP256K1,
    }
    return ec.generate_private_key(curves[kind]())  # type: ignore[abstract] # mypy joins the classes to their base


def rsa_key(bits: int) -> rsa.RSAPrivateKey:
    """An RSA key too short for cryptography to make."""

    def prime() -> int:
        while True:
            n = secrets.randbits(bits // 2) | 3 << bits // 2 - 2 | 1
            if n % 65537 != 1 and all(pow(base, n - 1, n) == 1 for base in (2, 3, 5, 7)):
                return n

    p, q = prime(), prime()
    d = pow(65537, -1, (p - 1) * (q - 1))
    public = rsa.RSAPublicNumbers(65537, p * q)
    return rsa.RSAPrivateNumbers(p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), public).private_key()


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    certificate: x509.Certificate
    key: Any
    der: bytes

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)


def full_name(cn: str | None, organisation: str | None = None) -> x509.Name:
    pairs = ((NameOID.ORGANIZATION_NAME, organisation), (NameOID.COMMON_NAME, cn))
    return x509.Name([x509.NameAttribute(oid, text) for oid, text in pairs if text])


def issue(
    cn: str | None,
    issuer: Issued | None = None,
    *,
    o: str | None = None,
    dns: Sequence[str] = (),
    ips: Sequence[str] = (),
    ca: bool | None = None,
    path_length: int | None = None,
    critical_ca: bool = True,
    use: str = "p256",
    days: tuple[float, float] = (-10, 80),
    usages: Sequence[x509.ObjectIdentifier] | None = None,
    cert_sign: bool | None = None,
    ids: bool = True,
    aia: str | None = None,
    constraints: x509.NameConstraints | None = None,
    unknown_critical: bool = False,
    sct: bool = False,
    pss: bool = False,
    more: Sequence[x509.ExtensionType] = (),
    signer: Any = None,
    signed_as: x509.Name | None = None,
) -> Issued:
    """A certificate valid from days[0] to days[1] around NOW, self-signed without an issuer; `use` labels its key.

    A leaf when it has names, otherwise a CA. ca=None: True without names; with names, no basicConstraints at all.
    """
    own = key(f"{use} {cn}" if " " not in use else use)
    signer = signer or (issuer.key if issuer else own)
    leaf = bool(dns or ips)
    builder = (
        x509.CertificateBuilder()
        .subject_name(full_name(cn, o))
        .issuer_name(signed_as or (issuer.certificate.subject if issuer else full_name(cn, o)))
        .public_key(own.public_key())
        .serial_number(int.from_bytes(f"{cn}{o}{days}".encode()[:16], "big") | 1)
        .not_valid_before(NOW + days[0] * DAY)
        .not_valid_after(NOW + days[1] * DAY)
    )
    is_ca = not leaf if ca is None else ca
    if ca is not None or not leaf:
        constraint = x509.BasicConstraints(ca=is_ca, path_length=path_length if is_ca else None)
        builder = builder.add_extension(constraint, critical=critical_ca)
    if leaf:
        names = [*map(x509.DNSName, dns), *(x509.IPAddress(ipaddress.ip_address(ip)) for ip in ips)]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=cn is None)
    if usages is None and leaf:
        usages = [SERVER]
    if usages:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    if cert_sign is not None or not leaf:
        sign = cert_sign is not False
        usage = x509.KeyUsage(True, False, False, False, False, sign, sign, False, False)
        builder = builder.add_extension(usage, critical=True)
    if ids:
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(own.public_key()), critical=False)
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
        builder = builder.add_extension(identifier, critical=False)
    if aia:
        access = x509.AccessDescription(AuthorityInformationAccessOID.CA_ISSUERS, x509.UniformResourceIdentifier(aia))
        builder = builder.add_extension(x509.AuthorityInformationAccess([access]), critical=False)
    if constraints:
        builder = builder.add_extension(constraints, critical=True)
    if unknown_critical:
        unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.55555.1"), b"\x05\x00")
        builder = builder.add_extension(unknown, critical=True)
    if sct:
        listed = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2"), sct_list(2))
        builder = builder.add_extension(listed, critical=False)
    for extension in more:
        builder = builder.add_extension(extension, critical=True)
    pad: dict[str, Any] = {"rsa_padding": padding.PSS(padding.MGF1(hashes.SHA256()), 32)} if pss else {}
    hashless = isinstance(signer, ed25519.Ed25519PrivateKey) or "MLDSA" in type(signer).__name__
    algorithm = None if hashless else hashes.SHA256()
    made = builder.sign(signer, algorithm, **pad)
    return Issued(certificate=made, key=own, der=made.public_bytes(serialization.Encoding.DER))


def sct_list(count: int) -> bytes:
    """The value of the SCT extension (RFC 6962 §3.3): logs 0, 1, … that saw the certificate at NOW."""
    time_ms = int(NOW.timestamp() * 1000).to_bytes(8, "big")
    scts = [bytes(1) + bytes(31) + bytes((log,)) + time_ms + bytes(2) + b"\4\3\0\1s" for log in range(count)]
    items = b"".join(len(sct).to_bytes(2, "big") + sct for sct in scts)
    listed = len(items).to_bytes(2, "big") + items
    return b"\x04" + bytes((len(listed),) if len(listed) < 128 else (0x81, len(listed))) + listed


def with_sha1(issued: Issued, signer: rsa.RSAPrivateKey) -> Issued:
    """The same certificate signed over SHA-1 by `signer`; cryptography no longer does that."""
    sha256, sha1 = (bytes.fromhex("2a864886f70d0101") + last for last in (b"\x0b", b"\x05"))
    x = read(issued.der.replace(sha256, sha1))
    numbers, size = signer.private_numbers(), len(x.signature)
    digest = bytes.fromhex("3021300906052b0e03021a05000414") + hashlib.sha1(x.tbs).digest()
    padded = b"\0\1" + b"\xff" * (size - len(digest) - 3) + b"\0" + digest
    signature = pow(int.from_bytes(padded, "big"), numbers.d, numbers.public_numbers.n).to_bytes(size, "big")
    return replace(issued, der=x.der[:-size] + signature)


@cache
def root(use: str = "p256") -> Issued:
    return issue("Test Root R1", o="Test Trust", use=use, days=(-700, 3000))


@cache
def intermediate(use: str = "p256") -> Issued:
    return issue("Test Intermediate E1", root(), o="Test Trust", use=use, days=(-300, 1500), path_length=0)


def leaf(issuer: Issued | None = None, **changes: Any) -> Issued:
    """A server certificate for NAME by the test intermediate, as public CAs make them."""
    options: dict[str, Any] = {"dns": [NAME], "use": "p256 leaf", "ca": False} | changes
    return issue(options.pop("cn", NAME), issuer or intermediate(), **options)


def store(*roots: Issued) -> TrustStore:
    ders = tuple(r.der for r in (roots or (root(),)))
    return TrustStore("test", "made by the test", lambda: ders)


def chain(*issued: Issued) -> tuple[Certificate, ...]:
    return tuple(certificate(i.der) for i in issued)
