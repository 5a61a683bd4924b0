"""The noun of a certificate for reports, each read once however often it is seen."""

import hashlib
from functools import lru_cache
from ipaddress import ip_address

from trace_go.model.tls import Certificate
from trace_go.wire.der import bounded
from trace_go.wire.signatures import signed_by
from trace_go.wire.x509 import read

MAX_NAMES = 1000  # names kept for reports; public CAs issue at most a few hundred
MEMO = 4096  # certificates remembered: a busy day of one site; at most MEMO × MEMO_DER = 64 MB
MEMO_DER = 16_384  # longer certificates are read again each time; genuine ones have 1 to 8 kB


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
        names=(*map(bounded, x.dns[:MAX_NAMES]), *addresses)[:MAX_NAMES],
        not_before=x.not_before,
        not_after=x.not_after,
        serial=bounded(format(x.serial, "x")) if x.version else "",
        key=x.key,
        signature=x.signature_name,
        spki_sha256=hashlib.sha256(x.spki).hexdigest() if x.spki else "",
        is_ca=bool(x.ca),
        self_issued=x.self_issued and bool(x.raw_subject),
        signed_by_own_key=not x.self_issued and signed_by(x, x),
        has_sct=bool(x.scts),
        problem=x.problem,
    )
