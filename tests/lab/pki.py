"""The lab's certificate authorities: a root, an intermediate, and 90-day ECDSA leaves as public ones are (RFC 5280)."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LEAF_DAYS = 90  # what Let's Encrypt and Google Trust Services issue
CHAINS = ("good", "expired", "not-yet-valid", "wrong-name", "self-signed", "missing-intermediate")


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


def issue(
    name: str, issuer: Identity | None, *, dns: Sequence[str] = (), days: int = LEAF_DAYS, age_days: int = 1
) -> Identity:
    """Issue a certificate that began `age_days` ago; a CA when it has no `dns` names, self-signed without `issuer`."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name(
        [x509.NameAttribute(NameOID.COMMON_NAME, name)]
        if dns
        else [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Lab Trust"), x509.NameAttribute(NameOID.COMMON_NAME, name)]
    )
    signer = issuer.key if issuer else key
    start = dt.datetime.now(dt.UTC) - dt.timedelta(days=age_days)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + dt.timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=not dns, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        .add_extension(
            x509.KeyUsage(
                digital_signature=True, key_cert_sign=not dns, crl_sign=not dns, content_commitment=False,
                key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
    )  # fmt: skip
    if dns:
        names = x509.SubjectAlternativeName([x509.DNSName(n) for n in dns])
        builder = builder.add_extension(names, critical=False).add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False
        )
    return Identity(certificate=builder.sign(signer, hashes.SHA256()), key=key)


class Authority:
    """The lab's public CA: one root, one intermediate, both new for each world."""

    def __init__(self) -> None:
        self.root = issue("Lab Root X1", None, days=3650, age_days=700)
        self.intermediate = issue("Lab Intermediate E1", self.root, days=1825, age_days=350)

    def write_server(self, folder: Path, host: str, chain: str) -> None:
        """Write HOST.pem (the chain as sent) and HOST.key; `chain` is one of CHAINS."""
        names = ["other.example"] if chain == "wrong-name" else [host]
        age_days = {"expired": LEAF_DAYS + 2, "not-yet-valid": -2}.get(chain, 1)
        issuer = None if chain == "self-signed" else self.intermediate
        leaf = issue(names[0], issuer, dns=names, age_days=age_days)
        alone = chain in ("self-signed", "missing-intermediate")
        (folder / f"{host}.pem").write_bytes(leaf.pem if alone else leaf.pem + self.intermediate.pem)
        (folder / f"{host}.key").write_bytes(leaf.key_pem)
