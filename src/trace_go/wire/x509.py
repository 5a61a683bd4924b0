"""X.509 certificates as the go command reads them: RFC 5280, as strict as crypto/x509/parser.go of go1.27, unjudged.

`read` gives every field a verifier needs. It raises nothing: what an endpoint would refuse becomes `problem`, and what
could be read stays. certificates.py makes the noun for reports of it, signatures.py verifies.
"""

import re
from datetime import datetime
from typing import Any

from msgspec import Struct

from trace_go.model.errors import WireError
from trace_go.wire.cursor import Cursor
from trace_go.wire.der import (
    MAX_INT64,
    MAX_TEXT,
    SEQUENCE,
    SET,
    TEXTS,
    bounded,
    next_is,
    pull_aligned_bits,
    pull_content,
    pull_element,
    pull_integer,
    pull_object_id,
    pull_raw,
    pull_time,
    rest,
    text_of,
)
from trace_go.wire.x509_extensions import Sct, read_extensions

MAX_DER = 262_144  # maxHandshakeCertificateMsg of crypto/tls/common.go: longer ones never reach go's parser

RSA, DSA, EC, ED25519 = "1.2.840.113549.1.1.1", "1.2.840.10040.4.1", "1.2.840.10045.2.1", "1.3.101.112"
ML_DSA = {f"2.16.840.1.101.3.4.3.{17 + i}": name for i, name in enumerate(("ML-DSA-44", "ML-DSA-65", "ML-DSA-87"))}
KEY_NAMES = {DSA: "DSA", ED25519: "Ed25519", "1.3.101.113": "Ed448", "1.3.101.110": "X25519", **ML_DSA}
CURVES = {
    "1.3.132.0.33": ("P-224", 28, 2**224 - 2**96 + 1, 0xB4050A850C04B3ABF54132565044B0B7D7BFD8BA270B39432355FFB4),
    "1.2.840.10045.3.1.7": (
        "P-256",
        32,
        2**256 - 2**224 + 2**192 + 2**96 - 1,
        0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B,
    ),
    "1.3.132.0.34": (
        "P-384",
        48,
        2**384 - 2**128 - 2**96 + 2**32 - 1,
        0xB3312FA7E23EE7E4988E056BE3F82D19181D9C6EFE8141120314088F5013875AC656398D8A2ED19D2A85C8EDD3EC2AEF,
    ),
    "1.3.132.0.35": (
        "P-521",
        66,
        2**521 - 1,
        0x051953EB9618E1C9A1F929A21A0B68540EEA2DA725B99B315F3B8B489918EF109E156193951EC7E937B1652C0BD3BB1BF073573DF883D2C34F1EF451FD46B503F00,
    ),
}  # what go reads (RFC 5480): name, bytes of a coordinate, p and b of y² = x³ - 3x + b (SP 800-186 §3.2.1)
PSS = "1.2.840.113549.1.1.10"
SIGNATURES = {
    "1.2.840.113549.1.1.4": ("md5WithRSAEncryption", RSA, "MD5"),
    "1.2.840.113549.1.1.5": ("sha1WithRSAEncryption", RSA, "SHA1"),
    "1.3.14.3.2.29": ("sha1WithRSAEncryption", RSA, "SHA1"),
    "1.2.840.113549.1.1.11": ("sha256WithRSAEncryption", RSA, "SHA256"),
    "1.2.840.113549.1.1.12": ("sha384WithRSAEncryption", RSA, "SHA384"),
    "1.2.840.113549.1.1.13": ("sha512WithRSAEncryption", RSA, "SHA512"),
    PSS: ("RSASSA-PSS", RSA, ""),  # the hash is in the parameters
    "1.2.840.10040.4.3": ("dsa-with-sha1", DSA, "SHA1"),
    "2.16.840.1.101.3.4.3.2": ("dsa-with-sha256", DSA, ""),  # go verifies no DSA
    "1.2.840.10045.4.1": ("ecdsa-with-SHA1", EC, "SHA1"),
    "1.2.840.10045.4.3.2": ("ecdsa-with-SHA256", EC, "SHA256"),
    "1.2.840.10045.4.3.3": ("ecdsa-with-SHA384", EC, "SHA384"),
    "1.2.840.10045.4.3.4": ("ecdsa-with-SHA512", EC, "SHA512"),
    ED25519: ("ed25519", ED25519, ""),
    **{oid: (name, oid, "") for oid, name in ML_DSA.items()},
}  # signatureAlgorithmDetails of crypto/x509/x509.go: name, key it needs, hash
SHORT_NAMES = {
    "2.5.4.3": "CN", "2.5.4.6": "C", "2.5.4.7": "L", "2.5.4.8": "ST", "2.5.4.9": "STREET", "2.5.4.10": "O",
    "2.5.4.11": "OU", "0.9.2342.19200300.100.1.25": "DC", "0.9.2342.19200300.100.1.1": "UID",
}  # fmt: skip # RFC 4514 §3


class Name(Struct, frozen=True, kw_only=True):
    """A distinguished name."""

    text: str = ""
    """RFC 4514"""
    cn: str | None = None
    """the last common name, as go takes it"""
    o: str | None = None
    """the first organisation"""


class X509(Struct, frozen=True, kw_only=True):
    """A certificate read. What stands behind the first fault may be missing, and `problem` says what the fault is."""

    der: bytes
    tbs: bytes = b""
    version: int = 0
    """1, 2 or 3; 0 = unread"""
    serial: int = 0
    signature_oid: str = ""
    signature_parameters: bytes = b""
    signature: bytes = b""
    raw_issuer: bytes = b""
    """names as encoded: go compares these"""
    raw_subject: bytes = b""
    issuer: Name = Name()
    subject: Name = Name()
    not_before: datetime | None = None
    not_after: datetime | None = None
    spki: bytes = b""
    key_oid: str = ""
    key_bits: bytes = b""
    """the public key inside the SubjectPublicKeyInfo"""
    rsa_bits: int = 0
    key: str = ""
    extensions: frozenset[str] = frozenset()
    """dotted identifiers"""
    unhandled_critical: tuple[str, ...] = ()
    """critical extensions go does not process"""
    ca: bool | None = None
    """cA of basicConstraints; None without that extension"""
    max_path: int | None = None
    key_usage: int = 0
    """bit n = bit n of RFC 5280 §4.2.1.3; 0 = no such extension"""
    usages: tuple[str, ...] = ()
    """extended key usages, dotted"""
    san: bytes | None = None
    """subjectAltName as encoded"""
    dns: tuple[str, ...] = ()
    ips: tuple[bytes, ...] = ()
    emails: tuple[str, ...] = ()
    uris: tuple[str, ...] = ()
    permitted: tuple[tuple[int, bytes], ...] = ()
    """nameConstraints: (tag of the GeneralName, value)"""
    excluded: tuple[tuple[int, bytes], ...] = ()
    subject_key_id: bytes = b""
    authority_key_id: bytes = b""
    issuer_urls: tuple[str, ...] = ()
    """caIssuers of authorityInfoAccess: where the issuer's certificate can be fetched"""
    scts: tuple[Sct, ...] = ()
    """embedded ones"""
    problem: str | None = None
    """why go's parser refuses it"""

    @property
    def self_issued(self) -> bool:
        return self.raw_issuer == self.raw_subject

    @property
    def signature_name(self) -> str:
        return SIGNATURES.get(self.signature_oid, (self.signature_oid,))[0]

    @property
    def signer_key_oid(self) -> str:
        """The kind of key that its signature needs; empty when go does not know the algorithm."""
        return SIGNATURES.get(self.signature_oid, ("", "", ""))[1]

    @property
    def weak_signature(self) -> bool:
        """Signed over MD5 or SHA-1, which go never accepts in a certificate."""
        return SIGNATURES.get(self.signature_oid, ("", "", ""))[2] in ("MD5", "SHA1")


def read(der: bytes) -> X509:
    """Read one certificate, as far as it can be read."""
    found: dict[str, Any] = {}
    try:
        _certificate_fields(der, found)
    except WireError as error:
        found.setdefault("problem", str(error))
    return X509(der=der, **found)


def _name(c: Cursor, what: str, found: dict[str, Any]) -> Name:
    rdns, cn, o = [], None, None
    while c.left:
        attributes = []
        rdn = pull_content(c, SET, what)
        while rdn.left:
            attribute = pull_content(rdn, SEQUENCE, what)
            oid = pull_object_id(attribute, what)
            start = attribute.pos
            tag, content = pull_element(attribute)
            if tag in TEXTS:
                text, sound = text_of(tag, rest(content))
                if not sound:
                    found.setdefault("problem", str(WireError(start, f"{what}: text outside its character set")))
                text = bounded(text)
                shown = _escaped(text)
                if oid == "2.5.4.3":
                    cn = text
                elif oid == "2.5.4.10" and o is None:
                    o = text
            else:
                shown = "#" + attribute.data[start : min(attribute.pos, start + MAX_TEXT)].hex()
            attributes.append(f"{SHORT_NAMES.get(oid, oid)}={shown}")
        rdns.append("+".join(attributes))
    return Name(text=bounded(",".join(reversed(rdns))), cn=cn, o=o)


def _escaped(text: str) -> str:
    """RFC 4514 §2.4; control characters other than NUL stay: sinks escape them."""
    out = re.sub(r'([\\"+,;<>])', r"\\\1", text).replace("\0", r"\00")
    if out[:1] in ("#", " "):
        out = "\\" + out
    return out[:-1] + r"\ " if out.endswith(" ") and len(out) > 1 and out != r"\ " else out


def _certificate_fields(der: bytes, found: dict[str, Any]) -> None:
    """Fill `found` in wire order, so that what precedes a fault is kept."""
    if len(der) > MAX_DER:
        raise WireError(MAX_DER, "longer than go accepts")
    whole = Cursor(der)
    outer = pull_content(whole, SEQUENCE, "certificate")
    found["tbs"], tbs = pull_raw(outer, SEQUENCE, "tbsCertificate")
    algorithm, _ = pull_raw(outer, SEQUENCE, "signatureAlgorithm")
    if next_is(tbs, 0xA0):
        found["version"] = 1 + pull_integer(pull_content(tbs, 0xA0, "version"), "version")
    else:
        found["version"] = 1
    if not 1 <= found["version"] <= 3:
        found.setdefault("problem", str(WireError(tbs.pos, "no such version")))
    at = tbs.pos
    found["serial"] = pull_integer(tbs, "serialNumber")
    if found["serial"] < 0:
        found.setdefault("problem", str(WireError(at, "negative serial number")))
    inner, parameters = pull_raw(tbs, SEQUENCE, "signature")
    found["signature_oid"] = pull_object_id(parameters, "signature")
    found["signature_parameters"] = rest(parameters)
    if inner != algorithm:
        found.setdefault("problem", str(WireError(at, "two different signature algorithms")))
    found["raw_issuer"], issuer = pull_raw(tbs, SEQUENCE, "issuer")
    found["issuer"] = _name(issuer, "issuer", found)
    validity = pull_content(tbs, SEQUENCE, "validity")
    found["not_before"] = pull_time(validity)
    found["not_after"] = pull_time(validity)
    found["raw_subject"], subject = pull_raw(tbs, SEQUENCE, "subject")
    found["subject"] = _name(subject, "subject", found)
    _key(tbs, found)
    found["signature"] = pull_aligned_bits(outer, "signatureValue")
    read_extensions(tbs, found)
    whole.expect_end()


def _key(tbs: Cursor, found: dict[str, Any]) -> None:
    """subjectPublicKeyInfo (parsePublicKey of parser.go). An unknown kind of key is no fault."""
    at = tbs.pos
    found["spki"], spki = pull_raw(tbs, SEQUENCE, "subjectPublicKeyInfo")
    algorithm = pull_content(spki, SEQUENCE, "key algorithm")
    oid = found["key_oid"] = pull_object_id(algorithm, "key algorithm")
    parameters = rest(algorithm)
    found["key"] = KEY_NAMES.get(oid, oid)
    bits = found["key_bits"] = pull_aligned_bits(spki, "subjectPublicKey")
    fault = None
    try:
        if oid == RSA:
            numbers = pull_content(Cursor(bits), SEQUENCE, "RSA key")
            modulus, exponent = pull_integer(numbers, "RSA modulus"), pull_integer(numbers, "RSA exponent")
            found["rsa_bits"] = modulus.bit_length()
            found["key"] = f"RSA {modulus.bit_length()}"
            if parameters != b"\x05\x00" or modulus <= 0 or not 0 < exponent <= MAX_INT64:
                fault = "malformed RSA key"
        elif oid == EC:
            curve = pull_object_id(algorithm, "curve")
            name, size, p, b = CURVES.get(curve, (curve, 0, 0, 0))
            found["key"] = f"ECDSA {name}"
            if not size:
                fault = "elliptic curve unknown to go"
            elif len(bits) != 1 + 2 * size or bits[0] != 4:
                fault = "malformed ECDSA key"
            else:
                x, y = int.from_bytes(bits[1 : 1 + size], "big"), int.from_bytes(bits[1 + size :], "big")
                if max(x, y) >= p or (y * y - x * x * x + 3 * x - b) % p:
                    fault = "ECDSA key that is no point of its curve"
        elif oid == ED25519 and (parameters or len(bits) != 32):
            fault = "malformed Ed25519 key"
    except WireError as error:
        fault = error.reason
    if fault:
        found.setdefault("problem", str(WireError(at, fault)))
