"""What the checks of certificates share: which chains go refused and for which fault, and how to call their parts."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase

from msgspec import Struct

from trace_go.checks.command import handshake, target
from trace_go.checks.framework import Meta, count, failed, finding, reason, sentence
from trace_go.checks.proof import of_chain
from trace_go.model.chain import ChainFault, Judgement
from trace_go.model.finding import Finding, Remedy
from trace_go.model.ledger import Artifact, Request, Role
from trace_go.model.report import Case
from trace_go.model.tls import Certificate
from trace_go.paths.failures import CERTIFICATE_KINDS, KIND_OF_FAULT
from trace_go.trust.interceptors import listed

MAX_NAME_CHARS = 60
"""of a certificate's name in a title"""
_NOT_TOLD = frozenset({"certificate-rejected", "other-certificate"})
_UNKNOWN = frozenset(
    {ChainFault.UNKNOWN_AUTHORITY, ChainFault.SELF_SIGNED, ChainFault.INCOMPLETE, ChainFault.NO_ROOTS}
    | {ChainFault.DISTRUSTED}
)
"""what go calls an unknown authority"""


class Refused(Struct, frozen=True, kw_only=True):
    """Requests to one host whose certificate go refused."""

    host: str
    requests: tuple[Request, ...]
    fault: ChainFault | None
    """None: not observable"""
    judgement: Judgement | None
    """of the chain that go refused, where it was seen or probed and we find the fault that go told"""
    why: str
    """a sentence"""


def refused(case: Case) -> Iterator[Refused]:
    """Every host whose certificate go refused, less interceptors: interceptor-in-path tells more of them."""
    judged: dict[str, list[Judgement]] = defaultdict(list)
    for judgement in sorted(case.judgements, key=lambda it: (it.at_ns, it.fault or "", it.detail)):
        judged[judgement.name].append(judgement)
    for host, requests in failed(case, *CERTIFICATE_KINDS).items():
        rest = tuple(item for item in requests if not any(hop.role is Role.INTERCEPTOR for hop in item.hops))
        if not rest:
            continue
        first = min(rest, key=_telling)
        known = judged[target(first)]
        found = next((item for item in known if _explains(item, first)), None)
        kind = first.failure.kind if first.failure else ""
        yield Refused(
            host=host,
            requests=rest,
            fault=found.fault if found else _FAULT_OF_KIND.get(kind),
            judgement=found or next((item for item in known if item.trusted and kind in _NOT_TOLD), None),
            why=sentence(found.detail) if found else reason(first),
        )


def refusal(case: Case, check_id: str, meta: Meta, found: Refused, *, title: str, remedy: Remedy) -> Finding:
    """The finding about a host whose certificate go refused."""
    return finding(
        case,
        check_id,
        meta,
        title=title,
        detail=f"{found.why} {count(len(found.requests), 'request')} failed.",
        remedy=remedy,
        subject=found.host,
        requests=found.requests,
        evidence=[of_chain(found.judgement)] if found.judgement else [],
    )


def refusals(case: Case, check_id: str, meta: Meta, titles: Mapping[ChainFault, str], advice: str) -> Iterator[Finding]:
    """One for each host whose certificate go refused for a fault that has a title, in which `{}` is the host."""
    for found in refused(case):
        title = titles.get(found.fault) if found.fault else None
        if title:
            remedy = Remedy(text=advice, command=handshake(case, found.requests[0]))
            yield refusal(case, check_id, meta, found, title=title.replace("{}", found.host), remedy=remedy)


def _telling(request: Request) -> tuple[bool, str, str]:
    """Sorts what tells its reason first, whatever the order of the requests."""
    kind = request.failure.kind if request.failure else ""
    return kind in _NOT_TOLD, kind, request.artifact


def _explains(judgement: Judgement, request: Request) -> bool:
    """Whether the fault of a judged chain is the one for which go refused it."""
    kind = request.failure.kind if request.failure else ""
    if judgement.fault is None or kind in _NOT_TOLD or request.artifact is Artifact.GIT:  # git's words are libcurl's
        return judgement.fault is not None
    return judgement.fault in _UNKNOWN if kind == "unknown-authority" else KIND_OF_FAULT[judgement.fault] == kind


_FAULT_OF_KIND = {kind: fault for fault, kind in KIND_OF_FAULT.items() if fault.value == kind} | {
    "wrong-name": ChainFault.NAME_MISMATCH,
    "other-certificate": ChainFault.OTHER,
}


def lacks_root(found: Refused) -> bool:
    """Whether it is the trust store that is wanting: empty, or without a root that the public ones have."""
    judgement = found.judgement
    if judgement is None or judgement.fault is None:
        return found.fault is ChainFault.NO_ROOTS
    return judgement.fault is ChainFault.NO_ROOTS or bool(judgement.public_trusted)


def approved(case: Case, judgement: Judgement) -> bool:
    """Whether the policy allows this interceptor: by its name, its issuer's, or the SHA-256 of its authority."""
    allowed = case.policy.interception_cas or ()
    name = (judgement.interceptor or "").casefold()
    named = any(fnmatchcase(name, ca.strip().casefold()) for ca in allowed)
    return named or listed(judgement.chain, allowed) is not None


def authority(chain: Sequence[Certificate]) -> str:
    """Who issued the topmost certificate on the way up from the server's; empty without a chain."""
    if not chain:
        return ""
    way = [chain[0]]
    while above := next((c for c in chain if c.subject == way[-1].issuer and c not in way), None):
        way.append(above)
    return shown(way[-1].issuer_cn or way[-1].issuer)


def names(items: Iterable[str], most: int = 2) -> str:
    """`a, b and 3 more`, short enough for a title."""
    found = [shown(item) for item in items]
    return ", ".join(found[:most]) + (f" and {len(found) - most} more" if len(found) > most else "")


def shown(name: str) -> str:
    return name if len(name) <= MAX_NAME_CHARS else name[: MAX_NAME_CHARS - 1] + "…"
