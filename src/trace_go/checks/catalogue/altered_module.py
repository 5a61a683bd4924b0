"""A module was altered on its way.

What it means
    The bytes of a go.mod or zip that somebody delivered have another hash than go.sum, the checksum database, or what
    another party delivered for the same version.

Why it matters
    What would be built is not what the author published. go refuses it when it can compare; with the checksum database
    switched off and no line in go.sum it takes the altered bytes without a word.

How we know
    The body itself, decrypted with the connection's keys or in plain http, hashed as go does (`h1:`). The finding names
    the nearest party that could have changed it: who terminated TLS delivered the bytes, whoever stands behind it. The
    database's answer counts before go.sum; its signature is go's to verify.

False positives
    A version whose tag was moved after it was recorded has two honest contents: the origin then delivers the other one
    as well. A go.sum that was edited by hand is wrong by itself.

What to do
    Fetch the module by another way into an empty cache and compare the hashes. Do not build with the altered bytes, and
    keep the checksum database on.

References
    https://go.dev/ref/mod#authenticating; golang.org/x/mod/sumdb/dirhash.
"""

from collections import defaultdict
from collections.abc import Iterator

from msgspec import Struct

from trace_go.checks.command import shell
from trace_go.checks.framework import Meta, finding
from trace_go.model import evidence
from trace_go.model.evidence import Confidence, Evidence
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.ledger import Artifact, HandledBy, Request, Role
from trace_go.model.report import Case

META = Meta(group="go", severity=Severity.ERROR, audience=Audience.SECURITY, cause_rank=59)

_FETCH = "(cd $(mktemp -d) && GOMODCACHE=$PWD GOPROXY=direct go mod download -json {})"
_DATABASE = "the checksum database"
_Key = tuple[str, str]
"""module, version as go.sum has it"""


class _Known(Struct, frozen=True, kw_only=True):
    """What a hash should be."""

    h1: str
    source: str
    evidence: Evidence


def find(case: Case) -> Iterator[Finding]:
    known, seen = _known(case), defaultdict[_Key, list[Request]](list)
    for request in case.requests:
        if request.h1 and request.module and request.version:
            seen[_key(request)].append(request)
    for key, requests in seen.items():
        rights = known.get(key, [])
        if rights:
            right = {item.h1 for item in rights}
            for deliverer, items in _by_deliverer(requests).items():
                if wrong := [item for item in items if item.h1 not in right]:
                    yield _altered(case, key, deliverer, wrong, rights[0])
        elif len({item.h1 for item in requests}) > 1:
            yield _two_contents(case, key, requests)


def _altered(case: Case, key: _Key, deliverer: str, requests: list[Request], right: _Known) -> Finding:
    first, name = requests[0], f"{key[0]}@{_version(key)}"
    return _finding(
        case,
        key,
        requests,
        title=f"{deliverer} delivered altered bytes for {name}",
        detail=f"The {_what(first)} that came from {deliverer} has the hash {first.h1}; {right.source} says {right.h1}."
        + _how(first, deliverer),
        subject=f"{deliverer}:{key[0]}@{key[1]}",
        evidence=[right.evidence],
        confidence=Confidence.CERTAIN if right.source == _DATABASE else Confidence.HIGH,
    )


def _two_contents(case: Case, key: _Key, requests: list[Request]) -> Finding:
    parties = sorted({f"{_deliverer(item)}: {item.h1}" for item in requests})
    return _finding(
        case,
        key,
        requests,
        title=f"{key[0]}@{_version(key)} has two contents",
        detail=f"The {_what(requests[0])} differs by who delivered it ({'; '.join(parties)}); nothing here tells which "
        "is right.",
        subject=f"{key[0]}@{key[1]}",
        evidence=[],
        confidence=Confidence.HIGH,
    )


def _finding(
    case: Case,
    key: _Key,
    requests: list[Request],
    *,
    title: str,
    detail: str,
    subject: str,
    evidence: list[Evidence],
    confidence: Confidence,
) -> Finding:
    return finding(
        case,
        "altered-module",
        META,
        title=title,
        detail=detail,
        remedy=Remedy(
            text="Fetch the module by another way and compare the hashes; do not build with these bytes.",
            command=shell(_FETCH, f"{key[0]}@{_version(key)}"),
        ),
        subject=subject,
        requests=requests,
        evidence=evidence,
        severity=Severity.ERROR,
        confidence=confidence,
    )


def _how(request: Request, deliverer: str) -> str:
    if request.handled_by is HandledBy.MITM:
        return f" {deliverer} breaks TLS open: it, or somebody behind it, changed them."
    if (request.url or "").startswith("http://"):
        return " They came over plain http: anyone on the way could change them."
    return ""


def _what(request: Request) -> str:
    return "go.mod" if request.artifact is Artifact.MOD else "zip"


def _known(case: Case) -> dict[_Key, list[_Known]]:
    """What the checksum database says; of modules that it was not asked for, what go.sum says."""
    found: dict[_Key, list[_Known]] = defaultdict(list)
    for flow in case.flows:
        for exchange in flow.exchanges:
            for module, version, h1 in exchange.sums:
                text = f"checksum database: {module} {version} {h1}"
                proof = evidence.packet(exchange.response_packet, text, flow.file)
                found[module, version].append(_Known(h1=h1, source=_DATABASE, evidence=proof))
    for module, version, h1 in case.account.go_sum:
        if all(item.source != _DATABASE for item in found[module, version]):
            proof = evidence.env(f"go.sum: {module} {version} {h1}")
            found[module, version].append(_Known(h1=h1, source="go.sum", evidence=proof))
    return found


def _version(key: _Key) -> str:
    return key[1].removesuffix("/go.mod")


def _key(request: Request) -> _Key:
    suffix = "/go.mod" if request.artifact is Artifact.MOD else ""
    return request.module or "", f"{request.version}{suffix}"


def _by_deliverer(requests: list[Request]) -> dict[str, list[Request]]:
    groups: dict[str, list[Request]] = defaultdict(list)
    for request in requests:
        groups[_deliverer(request)].append(request)
    return groups


def _deliverer(request: Request) -> str:
    """The nearest party that could have changed the bytes: who ended TLS, else who answered last."""
    interceptor = next((hop for hop in request.hops if hop.role is Role.INTERCEPTOR), None)
    if interceptor:
        return interceptor.label or interceptor.ip or "an interceptor"
    last = request.hops[-1] if request.hops else None
    return (last.host or last.ip or "somebody") if last else "somebody"
