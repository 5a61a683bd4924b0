"""Name constraints along a certificate path as Go applies them: constraints.go of crypto/x509, RFC 5280 §4.2.1.10."""

import re
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

from trace_go.wire.x509 import X509

MAX_LABELS = 128  # labels of a name that constraints are looked up for; RFC 1035 §2.3.4 allows 127
EMAIL, DNS, URI, IP = 0x81, 0x82, 0x86, 0x87  # tags of a GeneralName
KINDS = {EMAIL: "e-mail address", DNS: "DNS name", URI: "URI", IP: "IP address"}


class SubjectName(NamedTuple):
    """One name of a certificate."""

    kind: int
    shown: str
    value: bytes | None
    """as compared: lower case, of a URI only the host; None when Go refuses to compare it"""


def excluded_name(path: Sequence[X509]) -> str | None:
    """Which name of `path` (leaf first) a certificate above it forbids, in words; None when all are allowed."""
    limits = [(x.subject.text, _Trees(x.permitted), _Trees(x.excluded)) for x in path]
    for index, holder in enumerate(path):
        if not any(permitted.kinds or excluded.kinds for _, permitted, excluded in limits[index + 1 :]):
            continue
        for kind, shown, value in _names(holder):
            what = f"the {KINDS[kind]} {shown}"
            for issuer, permitted, excluded in limits[index + 1 :]:
                if value is None:
                    return f"{what} cannot be held against the constraints of {issuer}"
                if kind in permitted.kinds and not permitted.cover(kind, value):
                    return f"{issuer} may not issue for {what}"
                if excluded.cover(kind, value) or excluded.reach_wildcard(kind, value):
                    return f"{issuer} is forbidden to issue for {what}"
    return None


class _Trees:
    """Subtrees by lookup instead of one by one: certificates can carry thousands of names and of constraints."""

    def __init__(self, subtrees: Sequence[tuple[int, bytes]]) -> None:
        self.kinds = {kind for kind, _ in subtrees}
        self.texts: set[tuple[int, bytes]] = set()
        """(kind, domain, or `.domain` for what is below it only, or mailbox)"""
        self.parents: set[tuple[int, bytes]] = set()
        """(kind, domain less its first label)"""
        self.nets: dict[tuple[int, int], set[int]] = {}
        """(bytes of an address, mask) → networks"""
        for kind, raw in subtrees:
            if kind == IP:
                half = len(raw) // 2
                net, mask = int.from_bytes(raw[:half], "big"), int.from_bytes(raw[half:], "big")
                self.nets.setdefault((half, mask), set()).add(net & mask)
            else:
                local, at, domain = raw.rpartition(b"@")
                self.texts.add((kind, local + at + domain.lower()))
                self.parents.add((kind, domain.lower().partition(b".")[2]))

    def cover(self, kind: int, value: bytes) -> bool:
        if kind == IP:
            address = int.from_bytes(value, "big")
            return any(size == len(value) and address & mask in nets for (size, mask), nets in self.nets.items())
        domain = value.rpartition(b"@")[2]
        if {(kind, value), (kind, domain), (kind, b"")} & self.texts:
            return True
        labels = domain.split(b".")[-MAX_LABELS:]
        above = [b".".join(labels[i:]) for i in range(1, len(labels))]
        return any((kind, name) in self.texts or (kind, b"." + name) in self.texts for name in above)

    def reach_wildcard(self, kind: int, value: bytes) -> bool:
        """Whether `*.x` stands for a name in a subtree below x."""
        return value.startswith(b"*.") and (kind, value[2:]) in self.parents


def _names(holder: X509) -> list[SubjectName]:
    return [
        *(SubjectName(IP, ip.hex(), ip) for ip in holder.ips),
        *(SubjectName(DNS, name, _domain(name)) for name in holder.dns),
        *(SubjectName(URI, uri, _uri_host(uri)) for uri in holder.uris),
        *(SubjectName(EMAIL, mail, _mailbox(mail)) for mail in holder.emails),
    ]


def _domain(name: str) -> bytes | None:
    return name.encode().lower() if re.fullmatch(r"([!-\-/-~]+(\.[!-\-/-~]+)*)?", name) else None


def _uri_host(uri: str) -> bytes | None:
    try:
        host = urlsplit(uri).hostname
    except ValueError:
        return None
    return None if not host or ":" in host or re.fullmatch(r"[\d.]+", host) else _domain(host)


def _mailbox(mail: str) -> bytes | None:
    local, _, host = mail.rpartition("@")
    domain = _domain(host)
    return local.encode() + b"@" + domain if local and domain else None
