"""Signatures of certificates, verified with cryptography (imported where one is asked for, and no more than needed).

What go takes: signatureAlgorithmDetails and checkSignature of crypto/x509/x509.go, go1.27.
"""

from itertools import product
from typing import Any

from trace_go.model.errors import WireError
from trace_go.wire.cursor import Cursor
from trace_go.wire.der import INTEGER, SEQUENCE, pull_content, pull_integer
from trace_go.wire.x509 import EC, ED25519, ML_DSA, PSS, RSA, SIGNATURES, X509

MAX_RSA_BITS = 8192  # defaultMaxRSAKeySize of crypto/tls/handshake_client.go
_CURVES = {f"ECDSA P-{bits}": f"SECP{bits}R1" for bits in (224, 256, 384, 521)}
"""cryptography's names of what go reads"""


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
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    try:
        if x.key_oid == RSA:
            numbers = pull_content(Cursor(x.key_bits), SEQUENCE, "RSA key")
            modulus, exponent = pull_integer(numbers, "RSA modulus"), pull_integer(numbers, "RSA exponent")
            return rsa.RSAPublicNumbers(exponent, modulus).public_key()
        if x.key_oid == EC:
            curve = getattr(ec, _CURVES[x.key])()
            return ec.EllipticCurvePublicKey.from_encoded_point(curve, x.key_bits)
        from cryptography.hazmat.primitives.serialization import load_der_public_key  # takes 5 ms to import

        return load_der_public_key(x.spki)
    except (ValueError, KeyError, OverflowError, UnsupportedAlgorithm, WireError):
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
