"""Name constraints along a certificate path as Go applies them: constraints.go of crypto/x509, RFC 5280 §4.2.1.10."""

import re
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from trace_go.wire.x509 import X509

MAX_COMPARISONS = 250_000  # names × subtrees; genuine CAs need some hundreds. Go sorts instead and has no such cap
EMAIL, DNS, URI, IP = 0x81, 0x82, 0x86, 0x87  # tags of a GeneralName
KINDS = {EMAIL: "e-mail address", DNS: "DNS name", URI: "URI", IP: "IP address"}


def excluded_name(path: Sequence[X509]) -> str | None:
    """Which name of `path` (leaf first) a certificate above it forbids, in words; None when all are allowed."""
    comparisons = 0
    for index, holder in enumerate(path):
        if holder.san is None:
            continue
        above = [issuer for issuer in path[index + 1 :] if issuer.permitted or issuer.excluded]
        names = [(kind, *name) for kind, name in _names(holder)] if above else []
        for issuer in above:
            comparisons += len(names) * (len(issuer.permitted) + len(issuer.excluded))
            if comparisons > MAX_COMPARISONS:
                return "too many name constraints to compare"
            for kind, shown, value in names:
                if value is None:
                    return f"the {KINDS[kind]} {shown} cannot be held against the constraints of {issuer.subject.text}"
                matches = MATCHERS[kind]
                permitted = [raw for tag, raw in issuer.permitted if tag == kind]
                if permitted and not any(matches(raw, value, False) for raw in permitted):
                    return f"{issuer.subject.text} may not issue for the {KINDS[kind]} {shown}"
                if any(matches(raw, value, True) for tag, raw in issuer.excluded if tag == kind):
                    return f"{issuer.subject.text} is forbidden to issue for the {KINDS[kind]} {shown}"
    return None


def _names(holder: X509) -> list[tuple[int, tuple[str, bytes | None]]]:
    """(kind, (as shown, as compared: None when go cannot)). A URI is compared by its host."""
    found: list[tuple[int, tuple[str, bytes | None]]] = [(IP, (ip.hex(), ip)) for ip in holder.ips]
    found += [(DNS, (name, _domain(name))) for name in holder.dns]
    found += [(URI, (uri, _uri_host(uri))) for uri in holder.uris]
    return found + [(EMAIL, (mail, _mailbox(mail))) for mail in holder.emails]


def _domain(name: str) -> bytes | None:
    return name.encode("latin-1").lower() if re.fullmatch(r"([!-\-/-~]+(\.[!-\-/-~]+)*)?", name) else None


def _uri_host(uri: str) -> bytes | None:
    try:
        host = urlsplit(uri).hostname
    except ValueError:
        return None
    return None if not host or ":" in host or re.fullmatch(r"[\d.]+", host) else _domain(host)


def _mailbox(mail: str) -> bytes | None:
    local, _, host = mail.rpartition("@")
    domain = _domain(host)
    return local.encode("latin-1") + b"@" + domain if local and domain else None


def _dns_matches(constraint: bytes, name: bytes, excluding: bool) -> bool:
    """A constraint matches itself and, label-wise, all below it; `.x` only the latter. Exclusion reaches wildcards."""
    constraint = constraint.lower()
    if not constraint:
        return True
    if name.endswith(constraint):
        head = name[: len(name) - len(constraint)]
        return not head or constraint.startswith(b".") or head.endswith(b".")
    return excluding and name.startswith(b"*.") and constraint.partition(b".")[2] == name[2:]


def _mail_matches(constraint: bytes, mailbox: bytes, excluding: bool) -> bool:
    local, _, domain = mailbox.rpartition(b"@")
    wanted, at, host = constraint.rpartition(b"@")
    return (wanted, host.lower()) == (local, domain) if at else _dns_matches(host, domain, excluding)


def _ip_matches(constraint: bytes, ip: bytes, _excluding: bool) -> bool:
    half = len(constraint) // 2
    net, mask, address = (int.from_bytes(part, "big") for part in (constraint[:half], constraint[half:], ip))
    return len(ip) == half and net & mask == address & mask


MATCHERS: dict[int, Callable[[bytes, bytes, bool], bool]] = {
    EMAIL: _mail_matches,
    DNS: _dns_matches,
    URI: _dns_matches,
    IP: _ip_matches,
}
