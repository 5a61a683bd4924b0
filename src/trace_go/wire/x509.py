"""X.509 certificates as the go command reads them: RFC 5280, as strict as crypto/x509/parser.go of go1.27, unjudged.

`read` gives every field a verifier needs, `certificate` the noun for reports. Neither raises: what an endpoint would
refuse becomes `problem` and what could be read stays. cryptography (80 ms to import) is there only for signatures.
"""

import hashlib
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache
from ipaddress import ip_address
from itertools import product
from typing import Any

from msgspec import Struct

from trace_go.model.errors import WireError
from trace_go.model.tls import Certificate
from trace_go.wire.cursor import Cursor

MAX_DER = 262_144  # maxHandshakeCertificateMsg of crypto/tls/common.go: longer ones never reach go's parser
MAX_TEXT = 1024  # characters kept of one text; RFC 5280 allows 64 for a common name, DNS 253 for a name
MAX_NAMES = 1000  # names kept for reports; public CAs issue at most a few hundred
MAX_RSA_BITS = 8192  # defaultMaxRSAKeySize of crypto/tls/handshake_client.go
MAX_EXPONENT = 2**63 - 1  # go reads the exponent into an int
MEMO = 4096  # certificates remembered: a busy day of one site; at most MEMO × MEMO_DER = 64 MB
MEMO_DER = 16_384  # longer certificates are read again each time; genuine ones have 1 to 8 kB

BOOLEAN, INTEGER, BIT_STRING, OCTET_STRING, OBJECT_ID = 0x01, 0x02, 0x03, 0x04, 0x06
UTF8, NUMERIC, PRINTABLE, T61, IA5, BMP = 0x0C, 0x12, 0x13, 0x14, 0x16, 0x1E
UTC_TIME, GENERALIZED_TIME, SEQUENCE, SET = 0x17, 0x18, 0x30, 0x31

RSA, DSA, EC, ED25519 = "1.2.840.113549.1.1.1", "1.2.840.10040.4.1", "1.2.840.10045.2.1", "1.3.101.112"
ML_DSA = {f"2.16.840.1.101.3.4.3.{17 + i}": name for i, name in enumerate(("ML-DSA-44", "ML-DSA-65", "ML-DSA-87"))}
KEY_NAMES = {DSA: "DSA", ED25519: "Ed25519", "1.3.101.113": "Ed448", "1.3.101.110": "X25519", **ML_DSA}
CURVES = {
    "1.3.132.0.33": ("P-224", 28),
    "1.2.840.10045.3.1.7": ("P-256", 32),
    "1.3.132.0.34": ("P-384", 48),
    "1.3.132.0.35": ("P-521", 66),
}  # what go reads (RFC 5480): name, bytes of a coordinate
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
SCT_LIST = "1.3.6.1.4.1.11129.2.4.2"  # RFC 6962 §3.3
NOT_PRINTABLE = re.compile(rb"[^A-Za-z0-9'()+,\-./ :=?*&]")  # with the two extras go tolerates
TIME = re.compile(r"(\d\d|\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)?(Z|[+-]\d{4})", re.ASCII)


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
    problem: str | None = None
    """why go's parser refuses it"""

    @property
    def self_issued(self) -> bool:
        return self.raw_issuer == self.raw_subject

    @property
    def weak_signature(self) -> bool:
        """Signed over MD5 or SHA-1, which go never accepts in a certificate."""
        return SIGNATURES.get(self.signature_oid, ("", "", ""))[2] in ("MD5", "SHA1")


def certificate(der: bytes) -> Certificate:
    """The noun for reports. `signed_by_own_key` is only looked into where issuer and subject differ."""
    return _remembered(der) if len(der) <= MEMO_DER else _certificate(der)


@lru_cache(MEMO)
def _remembered(der: bytes) -> Certificate:
    return _certificate(der)


def _certificate(der: bytes) -> Certificate:
    x = read(der)
    addresses = (str(ip_address(ip)) for ip in x.ips[:MAX_NAMES])
    return Certificate(
        der=der,
        sha256=hashlib.sha256(der).hexdigest(),
        subject=x.subject.text,
        issuer=x.issuer.text,
        subject_cn=x.subject.cn,
        issuer_cn=x.issuer.cn,
        issuer_o=x.issuer.o,
        names=(*map(_bounded, x.dns[:MAX_NAMES]), *addresses)[:MAX_NAMES],
        not_before=x.not_before,
        not_after=x.not_after,
        serial=_bounded(format(x.serial, "x")) if x.version else "",
        key=x.key,
        signature=SIGNATURES.get(x.signature_oid, (x.signature_oid,))[0],
        spki_sha256=hashlib.sha256(x.spki).hexdigest() if x.spki else "",
        is_ca=bool(x.ca),
        self_issued=x.self_issued and bool(x.raw_subject),
        signed_by_own_key=not x.self_issued and signed_by(x, x),
        has_sct=SCT_LIST in x.extensions,
        problem=x.problem,
    )


def read(der: bytes) -> X509:
    """Read one certificate, as far as it can be read."""
    found: dict[str, Any] = {}
    try:
        _certificate_fields(der, found)
    except WireError as error:
        found.setdefault("problem", str(error))
    return X509(der=der, **found)


def signed_by(child: X509, parent: X509) -> bool:
    """Whether `child`'s signature verifies under `parent`'s key. SHA-1 counts where cryptography still knows it."""
    _, key_oid, hash_name = SIGNATURES.get(child.signature_oid, ("", "", ""))
    if not key_oid or key_oid != parent.key_oid:
        return False
    if key_oid == RSA and len(child.signature) != (parent.rsa_bits + 7) // 8:
        return False
    key = public_key(parent)
    if key is None:
        return False
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, padding

    pss = child.signature_oid == PSS
    if pss:
        hash_name = PSS_HASHES.get(child.signature_parameters, "")
    try:
        if key_oid == ED25519 or key_oid in ML_DSA:
            if child.signature_parameters:  # RFC 8410 §3, RFC 9881 §2: must be absent
                return False
            key.verify(child.signature, child.tbs)
            return True
        if not hash_name or hash_name == "MD5":
            return False
        algorithm = getattr(hashes, hash_name)()
        if key_oid == EC:
            key.verify(child.signature, child.tbs, ec.ECDSA(algorithm))
        else:
            pad = padding.PSS(padding.MGF1(algorithm), algorithm.digest_size) if pss else padding.PKCS1v15()
            key.verify(child.signature, child.tbs, pad, algorithm)
    except (InvalidSignature, UnsupportedAlgorithm, ValueError):
        return False
    return True


def public_key(x: X509) -> Any:
    """The key as a cryptography object; None when it is no usable key or larger than MAX_RSA_BITS."""
    if not x.spki or x.rsa_bits > MAX_RSA_BITS:
        return None
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_der_public_key

    try:
        return load_der_public_key(x.spki)
    except (ValueError, UnsupportedAlgorithm):
        return None


def _pss_hashes() -> dict[bytes, str]:
    """RSASSA-PSS parameters in DER that go accepts (RFC 4055 §3.1): one hash throughout, salt of its length."""

    def tlv(tag: int, *parts: bytes) -> bytes:
        content = b"".join(parts)
        return bytes((tag, len(content))) + content

    mgf1 = bytes.fromhex("06092a864886f70d010108")
    accepted = {}
    for name, arc, salt in (("SHA256", 1, 32), ("SHA384", 2, 48), ("SHA512", 3, 64)):
        oid = bytes.fromhex("06096086480165030402") + bytes((arc,))
        forms = [tlv(SEQUENCE, oid, null) for null in (b"\x05\x00", b"")]
        for outer, inner in product(forms, forms):
            mask, length = tlv(SEQUENCE, mgf1, inner), tlv(INTEGER, bytes((salt,)))
            accepted[tlv(SEQUENCE, tlv(0xA0, outer), tlv(0xA1, mask), tlv(0xA2, length))] = name
    return accepted


PSS_HASHES = _pss_hashes()


# DER (X.690) with the strictness of golang.org/x/crypto/cryptobyte


def _element(c: Cursor) -> tuple[int, Cursor]:
    """The next element: its tag and a cursor over its content; `c` moves past it."""
    start = c.pos
    tag, length = c.pull_uint8(), c.pull_uint8()
    if tag & 0x1F == 0x1F:
        raise WireError(start, "tag number above 30")
    if length & 0x80:
        size = length & 0x7F
        if not 1 <= size <= 4:
            raise WireError(start, "length of no or more than four bytes")
        length = c.pull_uint(size)
        if length < 128 or length >> (size - 1) * 8 == 0:
            raise WireError(start, "length not in its shortest form")
    if length > c.left:
        raise WireError(start, f"{length} bytes announced, {c.left} left")
    begin = c.pos
    c.pos += length
    return tag, Cursor(c.data, begin, c.pos)


def _pull(c: Cursor, tag: int, what: str) -> Cursor:
    start = c.pos
    found, content = _element(c)
    if found != tag:
        raise WireError(start, f"{what}: tag {found:#x} instead of {tag:#x}")
    return content


def _next_is(c: Cursor, tag: int) -> bool:
    return c.left > 0 and c.data[c.pos] == tag


def _raw(c: Cursor, tag: int, what: str) -> tuple[bytes, Cursor]:
    """An element with its header, as bytes, and its content."""
    start = c.pos
    content = _pull(c, tag, what)
    return c.data[start : c.pos], content


def _rest(c: Cursor) -> bytes:
    return c.data[c.pos : c.end]


def _integer(c: Cursor, what: str, tag: int = INTEGER) -> int:
    content = _pull(c, tag, what)
    raw = _rest(content)
    if not raw or (len(raw) > 1 and (raw[0] << 1 | raw[1] >> 7) in (0, 0x1FF)):
        raise WireError(content.pos, f"{what}: integer not in its shortest form")
    return int.from_bytes(raw, "big", signed=True)


def _boolean(c: Cursor, what: str) -> bool:
    content = _pull(c, BOOLEAN, what)
    raw = _rest(content)
    if raw not in (b"\x00", b"\xff"):
        raise WireError(content.pos, f"{what}: no DER boolean")
    return raw == b"\xff"


def _bit_string(c: Cursor, what: str) -> tuple[int, bytes]:
    """The number of unused bits at the end, and the bytes."""
    content = _pull(c, BIT_STRING, what)
    if not content.left:
        raise WireError(content.pos, f"{what}: empty bit string")
    padding, raw = content.pull_uint8(), _rest(content)
    if padding > 7 or (padding and (not raw or raw[-1] & ((1 << padding) - 1))):
        raise WireError(content.pos, f"{what}: wrong bit padding")
    return padding, raw


def _right_aligned(c: Cursor, what: str) -> bytes:
    """A BIT STRING moved to the right, as go takes keys and signatures; genuine ones have no unused bits."""
    padding, raw = _bit_string(c, what)
    return (int.from_bytes(raw, "big") >> padding).to_bytes(len(raw), "big") if padding else raw


def _object_id(c: Cursor, what: str) -> str:
    content = _pull(c, OBJECT_ID, what)
    dotted = _dotted(_rest(content))
    if not dotted:
        raise WireError(content.pos, f"{what}: malformed object identifier")
    return dotted


@lru_cache(1024)
def _dotted(raw: bytes) -> str:
    """Dotted form; empty when malformed, or with an arc over 31 bits, which go refuses."""
    arcs: list[int] = []
    value, fresh = 0, True
    for byte in raw:
        if (fresh and byte == 0x80) or value >= 1 << 24:
            return ""
        value = value << 7 | byte & 0x7F
        fresh = not byte & 0x80
        if fresh:
            arcs += [value] if arcs else [min(value // 40, 2), value - 40 * min(value // 40, 2)]
            value = 0
    return ".".join(map(str, arcs)) if fresh else ""


def _time(c: Cursor) -> datetime:
    start = c.pos
    tag, content = _element(c)
    match = TIME.fullmatch(_rest(content).decode("latin-1"))
    digits = {UTC_TIME: 2, GENERALIZED_TIME: 4}.get(tag)
    if not match or len(match[1]) != digits or (match[6] is None and tag != UTC_TIME) or match[7] in ("+0000", "-0000"):
        raise WireError(start, "malformed time")
    year = int(match[1])
    if tag == UTC_TIME:
        year += 2000 if year < 50 else 1900  # RFC 5280 §4.1.2.5.1
    offset = timedelta()
    if match[7] != "Z":
        offset = timedelta(hours=int(match[7][1:3]), minutes=int(match[7][3:])) * (-1 if match[7][0] == "-" else 1)
    try:
        local = datetime(year, *(int(part or 0) for part in match.groups()[1:6]), tzinfo=timezone(offset))  # type: ignore[arg-type, misc] # five ints: month to second
        return local.astimezone(UTC)
    except (ValueError, OverflowError):
        raise WireError(start, "no such time") from None


def _bounded(text: str) -> str:
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"


def _text(tag: int, raw: bytes) -> tuple[str, bool]:
    """An attribute value as text, and whether go reads it too."""
    if tag == UTF8:
        text = raw.decode("utf-8", "backslashreplace")
        return text, text.encode() == raw
    if tag == BMP:
        units = raw[:-2] if raw.endswith(b"\x00\x00") and len(raw) % 2 == 0 else raw
        text = units.decode("utf-16-be", "backslashreplace")
        plain = all(c < "\ufdd0" or "\ufdef" < c < "\ufffe" for c in text)
        return text, plain and text.encode("utf-16-be") == units
    text = raw.decode("latin-1")
    if tag == PRINTABLE:
        return text, not NOT_PRINTABLE.search(raw)
    if tag == IA5:
        return text, raw.isascii()
    if tag == NUMERIC:
        return text, not raw.strip(b"0123456789 ")
    return text, True


def _name(c: Cursor, what: str, found: dict[str, Any]) -> Name:
    rdns, cn, o = [], None, None
    while c.left:
        attributes = []
        rdn = _pull(c, SET, what)
        while rdn.left:
            attribute = _pull(rdn, SEQUENCE, what)
            oid = _object_id(attribute, what)
            start = attribute.pos
            tag, content = _element(attribute)
            if tag in (UTF8, NUMERIC, PRINTABLE, T61, IA5, BMP):
                text, sound = _text(tag, _rest(content))
                if not sound:
                    found.setdefault("problem", str(WireError(start, f"{what}: text outside its character set")))
                text = _bounded(text)
                shown = _escaped(text)
                if oid == "2.5.4.3":
                    cn = text
                elif oid == "2.5.4.10" and o is None:
                    o = text
            else:
                shown = "#" + attribute.data[start : min(attribute.pos, start + MAX_TEXT)].hex()
            attributes.append(f"{SHORT_NAMES.get(oid, oid)}={shown}")
        rdns.append("+".join(attributes))
    return Name(text=_bounded(",".join(reversed(rdns))), cn=cn, o=o)


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
    outer = _pull(whole, SEQUENCE, "certificate")
    found["tbs"], tbs = _raw(outer, SEQUENCE, "tbsCertificate")
    algorithm, _ = _raw(outer, SEQUENCE, "signatureAlgorithm")
    if _next_is(tbs, 0xA0):
        found["version"] = 1 + _integer(_pull(tbs, 0xA0, "version"), "version")
    else:
        found["version"] = 1
    if not 1 <= found["version"] <= 3:
        found.setdefault("problem", str(WireError(tbs.pos, "no such version")))
    at = tbs.pos
    found["serial"] = _integer(tbs, "serialNumber")
    if found["serial"] < 0:
        found.setdefault("problem", str(WireError(at, "negative serial number")))
    inner, parameters = _raw(tbs, SEQUENCE, "signature")
    found["signature_oid"] = _object_id(parameters, "signature")
    found["signature_parameters"] = _rest(parameters)
    if inner != algorithm:
        found.setdefault("problem", str(WireError(at, "two different signature algorithms")))
    found["raw_issuer"], issuer = _raw(tbs, SEQUENCE, "issuer")
    found["issuer"] = _name(issuer, "issuer", found)
    validity = _pull(tbs, SEQUENCE, "validity")
    found["not_before"] = _time(validity)
    found["not_after"] = _time(validity)
    found["raw_subject"], subject = _raw(tbs, SEQUENCE, "subject")
    found["subject"] = _name(subject, "subject", found)
    _key(tbs, found)
    found["signature"] = _right_aligned(outer, "signatureValue")
    _extensions(tbs, found)
    whole.expect_end()


def _key(tbs: Cursor, found: dict[str, Any]) -> None:
    """subjectPublicKeyInfo (parsePublicKey of parser.go). An unknown kind of key is no fault."""
    at = tbs.pos
    found["spki"], spki = _raw(tbs, SEQUENCE, "subjectPublicKeyInfo")
    algorithm = _pull(spki, SEQUENCE, "key algorithm")
    oid = found["key_oid"] = _object_id(algorithm, "key algorithm")
    parameters = _rest(algorithm)
    found["key"] = KEY_NAMES.get(oid, oid)
    bits = found["key_bits"] = _right_aligned(spki, "subjectPublicKey")
    fault = None
    try:
        if oid == RSA:
            numbers = _pull(Cursor(bits), SEQUENCE, "RSA key")
            modulus, exponent = _integer(numbers, "RSA modulus"), _integer(numbers, "RSA exponent")
            found["rsa_bits"] = modulus.bit_length()
            found["key"] = f"RSA {modulus.bit_length()}"
            if parameters != b"\x05\x00" or modulus <= 0 or not 0 < exponent <= MAX_EXPONENT:
                fault = "malformed RSA key"
        elif oid == EC:
            curve = _object_id(algorithm, "curve")
            name, size = CURVES.get(curve, (curve, 0))
            found["key"] = f"ECDSA {name}"
            if not size:
                fault = "elliptic curve unknown to go"
            elif len(bits) != 1 + 2 * size or bits[0] != 4:
                fault = "malformed ECDSA key"
        elif oid == ED25519 and (parameters or len(bits) != 32):
            fault = "malformed Ed25519 key"
    except WireError as error:
        fault = error.reason
    if fault:
        found.setdefault("problem", str(WireError(at, fault)))


def _extensions(tbs: Cursor, found: dict[str, Any]) -> None:
    if found["version"] > 1:
        for tag in (0x81, 0x82):  # issuerUniqueID, subjectUniqueID
            if _next_is(tbs, tag):
                _pull(tbs, tag, "unique identifier")
    if found["version"] != 3 or not _next_is(tbs, 0xA3):
        return
    seen: set[str] = set()
    unhandled: list[str] = []
    block = _pull(_pull(tbs, 0xA3, "extensions"), SEQUENCE, "extensions")
    try:
        while block.left:
            at = block.pos
            extension = _pull(block, SEQUENCE, "extension")
            oid = _object_id(extension, "extension")
            critical = _next_is(extension, BOOLEAN) and _boolean(extension, "critical")
            value = _pull(extension, OCTET_STRING, "extension")
            reader = EXTENSIONS.get(oid)
            handled = reader is not None or oid in READ_BUT_NOT_USED
            try:
                if critical and oid in NEVER_CRITICAL:
                    raise WireError(at, "extension that must not be critical")
                if reader:
                    fields = reader(value)
                    handled = fields.pop("handled", True)
                    if fault := fields.pop("problem", None):
                        found.setdefault("problem", fault)
                    found.update(fields)
            except WireError as error:
                found.setdefault("problem", str(error))
            if oid in seen:
                found.setdefault("problem", str(WireError(at, "extension given twice")))
            if critical and not handled:
                unhandled.append(oid)
            seen.add(oid)
    finally:
        found.update(extensions=frozenset(seen), unhandled_critical=tuple(unhandled))


def _key_usage(value: Cursor) -> dict[str, Any]:
    _, bits = _bit_string(value, "keyUsage")
    return {"key_usage": sum(1 << i for i in range(9) if i < 8 * len(bits) and bits[i // 8] >> (7 - i % 8) & 1)}


def _basic_constraints(value: Cursor) -> dict[str, Any]:
    content = _pull(value, SEQUENCE, "basicConstraints")
    ca = _next_is(content, BOOLEAN) and _boolean(content, "cA")
    if not _next_is(content, INTEGER):
        return {"ca": ca}
    length = _integer(content, "pathLenConstraint")
    if not 0 <= length <= MAX_EXPONENT:
        raise WireError(content.pos, "pathLenConstraint: out of range")
    return {"ca": ca, "max_path": length}


def _subject_alt_name(value: Cursor) -> dict[str, Any]:
    raw = _rest(value)
    names: dict[int, list[bytes]] = {0x81: [], 0x82: [], 0x86: [], 0x87: []}  # email, DNS, URI, IP address
    fault = None
    content = _pull(value, SEQUENCE, "subjectAltName")
    while content.left:
        at = content.pos
        tag, name = _element(content)
        text = _rest(name)
        if tag == 0x87 and (len(text) not in (4, 16) or text.startswith(bytes(10) + b"\xff\xff")):
            fault = fault or WireError(at, "subjectAltName: no IP address")
        elif tag in names:
            names[tag].append(text)
            if tag != 0x87 and not text.isascii():
                fault = fault or WireError(at, "subjectAltName: text outside ASCII")
    emails, dns, uris = (tuple(n.decode("latin-1") for n in names[tag]) for tag in (0x81, 0x82, 0x86))
    found = {"san": raw, "emails": emails, "dns": dns, "uris": uris, "ips": tuple(names[0x87])}
    return found | {"handled": any(names.values())} | ({"problem": str(fault)} if fault else {})


def _name_constraints(value: Cursor) -> dict[str, Any]:
    """RFC 5280 §4.2.1.10."""
    content = _pull(value, SEQUENCE, "nameConstraints")
    value.expect_end()
    found: dict[str, Any] = {"handled": True}
    for tag, which in ((0xA0, "permitted"), (0xA1, "excluded")):
        trees: list[tuple[int, bytes]] = []
        block = _pull(content, tag, "nameConstraints") if _next_is(content, tag) else Cursor(b"")
        while block.left:
            at = block.pos
            kind, base = _element(_pull(block, SEQUENCE, "subtree"))
            raw = _rest(base)
            if kind not in (0x81, 0x82, 0x86, 0x87):
                found["handled"] = False
                continue
            if kind != 0x87 and not _constraint_text(raw, kind):
                raise WireError(at, "nameConstraints: malformed name")
            if kind == 0x87 and not _constraint_net(raw):
                raise WireError(at, "nameConstraints: malformed network")
            trees.append((kind, raw))
        found[which] = tuple(trees)
    content.expect_end()
    if not found["permitted"] and not found["excluded"] and found["handled"]:
        raise WireError(content.pos, "nameConstraints: empty")
    return found


def _constraint_text(raw: bytes, kind: int) -> bool:
    """Whether go takes it: printable labels, none empty; a leading dot is fine, as is a whole mailbox."""
    if kind == 0x81 and b"@" in raw:
        raw = raw.rpartition(b"@")[2]
    return not raw or bool(re.fullmatch(rb"\.?[!-\-/-~]+(\.[!-\-/-~]+)*", raw))


def _constraint_net(raw: bytes) -> bool:
    half = len(raw) // 2
    mask = int.from_bytes(raw[half:], "big")
    inverse = mask ^ ((1 << half * 8) - 1)
    return len(raw) in (8, 32) and not inverse & (inverse + 1) and not raw.startswith(bytes(10) + b"\xff\xff")


def _authority_key_id(value: Cursor) -> dict[str, Any]:
    content = _pull(value, SEQUENCE, "authorityKeyIdentifier")
    return {"authority_key_id": _rest(_pull(content, 0x80, "keyIdentifier"))} if _next_is(content, 0x80) else {}


def _subject_key_id(value: Cursor) -> dict[str, Any]:
    return {"subject_key_id": _rest(_pull(value, OCTET_STRING, "subjectKeyIdentifier"))}


def _extended_key_usage(value: Cursor) -> dict[str, Any]:
    content = _pull(value, SEQUENCE, "extKeyUsage")
    usages = []
    while content.left:
        usages.append(_object_id(content, "extKeyUsage"))
    return {"usages": tuple(usages)}


def _authority_information(value: Cursor) -> dict[str, Any]:
    content = _pull(value, SEQUENCE, "authorityInfoAccess")
    urls = []
    while content.left:
        access = _pull(content, SEQUENCE, "accessDescription")
        method = _object_id(access, "accessMethod")
        if _next_is(access, 0x86):
            url = _rest(_pull(access, 0x86, "accessLocation")).decode("latin-1")
            if method == "1.3.6.1.5.5.7.48.2":
                urls.append(_bounded(url))
    return {"issuer_urls": tuple(urls)}


def _crl_points(value: Cursor) -> dict[str, Any]:
    """Read for go's faults only."""
    content = _pull(value, SEQUENCE, "cRLDistributionPoints")
    while content.left:
        point = _pull(content, SEQUENCE, "distributionPoint")
        if _next_is(point, 0xA0):
            name = _pull(_pull(point, 0xA0, "distributionPoint"), 0xA0, "fullName")
            while _next_is(name, 0x86):
                _element(name)
    return {}


def _policies(value: Cursor) -> dict[str, Any]:
    """Read for go's faults only."""
    content = _pull(value, SEQUENCE, "certificatePolicies")
    seen = set()
    while content.left:
        at = content.pos
        policy, _ = _raw(_pull(content, SEQUENCE, "policy"), OBJECT_ID, "policy")
        if policy in seen:
            raise WireError(at, "certificatePolicies: one given twice")
        seen.add(policy)
    return {}


EXTENSIONS: dict[str, Callable[[Cursor], dict[str, Any]]] = {
    "2.5.29.14": _subject_key_id,
    "2.5.29.15": _key_usage,
    "2.5.29.17": _subject_alt_name,
    "2.5.29.19": _basic_constraints,
    "2.5.29.30": _name_constraints,
    "2.5.29.31": _crl_points,
    "2.5.29.32": _policies,
    "2.5.29.35": _authority_key_id,
    "2.5.29.37": _extended_key_usage,
    "1.3.6.1.5.5.7.1.1": _authority_information,
}
READ_BUT_NOT_USED = {"2.5.29.33", "2.5.29.36", "2.5.29.54"}  # go processes policy rules, so they may be critical
NEVER_CRITICAL = {"2.5.29.14", "2.5.29.35", "1.3.6.1.5.5.7.1.1"}
