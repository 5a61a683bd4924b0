"""The extensions of a certificate that go reads (RFC 5280 §4.2), each as strict as crypto/x509/parser.go of go1.27.

A reader returns fields of X509; beside them `handled: False` for what go does not process, and `problem` for what it
refuses after having read on. SCTs (RFC 6962 §3.3) are read too, which go does not.
"""

import re
from collections.abc import Callable
from typing import Any

from msgspec import Struct

from trace_go.model.errors import WireError
from trace_go.wire.cursor import Cursor
from trace_go.wire.der import (
    BOOLEAN,
    INTEGER,
    MAX_INT64,
    OBJECT_ID,
    OCTET_STRING,
    SEQUENCE,
    bounded,
    next_is,
    pull_bits,
    pull_boolean,
    pull_content,
    pull_element,
    pull_integer,
    pull_object_id,
    pull_raw,
    rest,
)

MAX_SCTS = 64  # public CAs embed two to five


class Sct(Struct, frozen=True, kw_only=True):
    """A signed certificate timestamp: a log's promise to publish the certificate. Its signature is not verified."""

    log_id: bytes
    """SHA-256 of the log's key"""
    time_ns: int


def read_extensions(tbs: Cursor, found: dict[str, Any]) -> None:
    if found["version"] > 1:
        for tag in (0x81, 0x82):  # issuerUniqueID, subjectUniqueID
            if next_is(tbs, tag):
                pull_content(tbs, tag, "unique identifier")
    if found["version"] != 3 or not next_is(tbs, 0xA3):
        return
    seen: set[str] = set()
    unhandled: list[str] = []
    block = pull_content(pull_content(tbs, 0xA3, "extensions"), SEQUENCE, "extensions")
    try:
        while block.left:
            at = block.pos
            extension = pull_content(block, SEQUENCE, "extension")
            oid = pull_object_id(extension, "extension")
            critical = next_is(extension, BOOLEAN) and pull_boolean(extension, "critical")
            value = pull_content(extension, OCTET_STRING, "extension")
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
    _, bits = pull_bits(value, "keyUsage")
    return {"key_usage": sum(1 << i for i in range(9) if i < 8 * len(bits) and bits[i // 8] >> (7 - i % 8) & 1)}


def _basic_constraints(value: Cursor) -> dict[str, Any]:
    content = pull_content(value, SEQUENCE, "basicConstraints")
    ca = next_is(content, BOOLEAN) and pull_boolean(content, "cA")
    if not next_is(content, INTEGER):
        return {"ca": ca}
    length = pull_integer(content, "pathLenConstraint")
    if not 0 <= length <= MAX_INT64:
        raise WireError(content.pos, "pathLenConstraint: out of range")
    return {"ca": ca, "max_path": length}


def _subject_alt_name(value: Cursor) -> dict[str, Any]:
    raw = rest(value)
    names: dict[int, list[bytes]] = {0x81: [], 0x82: [], 0x86: [], 0x87: []}  # email, DNS, URI, IP address
    fault = None
    content = pull_content(value, SEQUENCE, "subjectAltName")
    while content.left:
        at = content.pos
        tag, name = pull_element(content)
        text = rest(name)
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
    content = pull_content(value, SEQUENCE, "nameConstraints")
    value.expect_end()
    found: dict[str, Any] = {"handled": True}
    for tag, which in ((0xA0, "permitted"), (0xA1, "excluded")):
        trees: list[tuple[int, bytes]] = []
        block = pull_content(content, tag, "nameConstraints") if next_is(content, tag) else Cursor(b"")
        while block.left:
            at = block.pos
            kind, base = pull_element(pull_content(block, SEQUENCE, "subtree"))
            raw = rest(base)
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
    content = pull_content(value, SEQUENCE, "authorityKeyIdentifier")
    return {"authority_key_id": rest(pull_content(content, 0x80, "keyIdentifier"))} if next_is(content, 0x80) else {}


def _subject_key_id(value: Cursor) -> dict[str, Any]:
    return {"subject_key_id": rest(pull_content(value, OCTET_STRING, "subjectKeyIdentifier"))}


def _extended_key_usage(value: Cursor) -> dict[str, Any]:
    content = pull_content(value, SEQUENCE, "extKeyUsage")
    usages = []
    while content.left:
        usages.append(pull_object_id(content, "extKeyUsage"))
    return {"usages": tuple(usages)}


def _authority_information(value: Cursor) -> dict[str, Any]:
    content = pull_content(value, SEQUENCE, "authorityInfoAccess")
    urls = []
    while content.left:
        access = pull_content(content, SEQUENCE, "accessDescription")
        method = pull_object_id(access, "accessMethod")
        if next_is(access, 0x86):
            url = rest(pull_content(access, 0x86, "accessLocation")).decode("latin-1")
            if method == "1.3.6.1.5.5.7.48.2":
                urls.append(bounded(url))
    return {"issuer_urls": tuple(urls)}


def _crl_points(value: Cursor) -> dict[str, Any]:
    """Read for go's faults only."""
    content = pull_content(value, SEQUENCE, "cRLDistributionPoints")
    while content.left:
        point = pull_content(content, SEQUENCE, "distributionPoint")
        if next_is(point, 0xA0):
            name = pull_content(pull_content(point, 0xA0, "distributionPoint"), 0xA0, "fullName")
            while next_is(name, 0x86):
                pull_element(name)
    return {}


def _policies(value: Cursor) -> dict[str, Any]:
    """Read for go's faults only."""
    content = pull_content(value, SEQUENCE, "certificatePolicies")
    seen = set()
    while content.left:
        at = content.pos
        policy, _ = pull_raw(pull_content(content, SEQUENCE, "policy"), OBJECT_ID, "policy")
        if policy in seen:
            raise WireError(at, "certificatePolicies: one given twice")
        seen.add(policy)
    return {}


def _sct_list(value: Cursor) -> dict[str, Any]:
    """RFC 6962 §3.3. go does not read it, so that nothing in it is a fault."""
    scts: list[Sct] = []
    try:
        content = pull_content(value, OCTET_STRING, "SCT list").pull_block(2)
        while content.left and len(scts) < MAX_SCTS:
            sct = content.pull_block(2)
            version, log_id, time_ms = sct.pull_uint8(), sct.pull_bytes(32), sct.pull_uint(8)
            if version == 0:
                scts.append(Sct(log_id=log_id, time_ns=time_ms * 1_000_000))
    except WireError:
        scts = []
    return {"handled": False, "scts": tuple(scts)}


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
    "1.3.6.1.4.1.11129.2.4.2": _sct_list,
}
READ_BUT_NOT_USED = {"2.5.29.33", "2.5.29.36", "2.5.29.54"}  # go processes policy rules, so they may be critical
NEVER_CRITICAL = {"2.5.29.14", "2.5.29.35", "1.3.6.1.5.5.7.1.1"}
