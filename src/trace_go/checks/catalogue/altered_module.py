"""A module was altered on its way.

What it means
    The bytes of a go.mod or zip that somebody delivered have another hash than go.sum, the checksum database, or what
    another party delivered for the same version.

Why it matters
    What would be built is not what the author published. go refuses it when it can compare; with the checksum database
    switched off and no line in go.sum it takes the altered bytes without a word.

How we know
    The body itself, decrypted with the connection's keys or in plain http, hashed as go does (`h1:`). The finding names
    the nearest party that could have changed it: who terminated TLS delivered the bytes, whoever stands behind it.

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

META = Meta(group="go", severity=Severity.ERROR, audience=Audience.SECURITY, cause_rank=33)

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
        for deliverer, altered in _by_deliverer(requests).items():
            wrong = [item for item in altered if any(item.h1 != right.h1 for right in known[key])]
            others = [item for item in requests if not known[key] and item.h1 != altered[0].h1]
            if wrong or (others and altered[0] is requests[0]):
                yield _finding(case, key, deliverer, wrong or [*altered, *others], known[key])


def _finding(case: Case, key: _Key, deliverer: str, requests: list[Request], known: list[_Known]) -> Finding:
    module, version = key[0], key[1].removesuffix("/go.mod")
    what = "go.mod" if requests[0].artifact is Artifact.MOD else "zip"
    first = requests[0]
    if known:
        right = next((item for item in known if item.h1 != first.h1), known[0])
        title = f"{deliverer} delivered altered bytes for {module}@{version}"
        detail = f"The {what} that came from {deliverer} has the hash {first.h1}; {right.source} says {right.h1}."
    else:
        right = None
        title = f"{module}@{version} has two contents"
        parties = dict.fromkeys(f"{_deliverer(item)}: {item.h1}" for item in requests)
        detail = f"The {what} differs by who delivered it ({'; '.join(parties)}); nothing here tells which is right."
    if first.handled_by is HandledBy.MITM:
        detail += f" {deliverer} breaks TLS open: it, or somebody behind it, changed them."
    elif (first.url or "").startswith("http://"):
        detail += " They came over plain http: anyone on the way could change them."
    return finding(
        case,
        "altered-module",
        META,
        title=title,
        detail=detail,
        remedy=Remedy(
            text="Fetch the module by another way and compare the hashes; do not build with these bytes.",
            command=shell(
                "(cd $(mktemp -d) && GOMODCACHE=$PWD GOPROXY=direct go mod download -json {})", f"{module}@{version}"
            ),
        ),
        subject=f"{module}@{key[1]}",
        requests=requests,
        evidence=[right.evidence] if right else [],
        severity=Severity.ERROR,
        confidence=Confidence.CERTAIN,
    )


def _known(case: Case) -> defaultdict[_Key, list[_Known]]:
    """What go.sum and the checksum database say, the database first."""
    found = defaultdict[_Key, list[_Known]](list)
    for flow in case.flows:
        for exchange in flow.exchanges:
            for module, version, h1 in exchange.sums:
                proof = evidence.packet(
                    exchange.response_packet, f"checksum database: {module} {version} {h1}", flow.file
                )
                found[module, version].append(_Known(h1=h1, source="the checksum database", evidence=proof))
    for module, version, h1 in case.account.go_sum:
        proof = evidence.env(f"go.sum: {module} {version} {h1}")
        found[module, version].append(_Known(h1=h1, source="go.sum", evidence=proof))
    return found


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
