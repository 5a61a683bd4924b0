"""What a check is, how checks are found, and the few helpers that they share.

A check is one module of `checks.catalogue`: its name with hyphens is its ID, its docstring its page, `META` its
metadata and `find(case)` its logic. Nothing else registers it.
"""

import importlib
import pkgutil
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from trace_go.checks import catalogue
from trace_go.model.evidence import Confidence, Evidence
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.ledger import HandledBy, Request
from trace_go.model.report import Case

MAX_EVIDENCE = 5
"""pieces of evidence shown per finding; the rest are more of the same"""
SECTIONS = ("What it means", "Why it matters", "How we know", "False positives", "What to do", "References")
"""headings of every page, in this order"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Meta:
    group: str
    """heading in the list of checks: `names`, `transport`, `tls`, `proxy`, `go`"""
    severity: Severity
    audience: Audience
    cause_rank: int
    """order among causes: what stops a request earliest comes first"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    id: str
    title: str
    """first line of the page"""
    page: str
    meta: Meta
    find: Callable[[Case], Iterator[Finding]]


def discover() -> tuple[Check, ...]:
    """Every check, by ID."""
    found = []
    for module_info in pkgutil.iter_modules(catalogue.__path__):
        module = importlib.import_module(f"{catalogue.__name__}.{module_info.name}")
        page = (module.__doc__ or "").strip()
        found.append(
            Check(
                id=module_info.name.replace("_", "-"),
                title=page.split("\n", 1)[0].rstrip("."),
                page=page,
                meta=module.META,
                find=module.find,
            )
        )
    return tuple(sorted(found, key=lambda check: check.id))


def run(case: Case) -> tuple[Finding, ...]:
    """All findings of all checks, worst first; a check speaks once per subject."""
    findings = [finding for check in discover() for finding in check.find(case)]
    return tuple(
        sorted(findings, key=lambda item: (item.severity.rank, item.cause_rank, -len(item.requests), item.key))
    )


# -- helpers of checks -------------------------------------------------------------------------------------------------


def failed(case: Case, *kinds: str) -> dict[str, list[Request]]:
    """Requests that failed in one of these ways, by the party where they broke."""
    groups: dict[str, list[Request]] = defaultdict(list)
    for request in case.requests:
        if request.failure and request.failure.kind in kinds:
            groups[where(request)].append(request)
    return groups


def where(request: Request) -> str:
    """Host or address of the hop where a request broke, else of its last hop."""
    hop = next((item for item in request.hops if item.broken), request.hops[-1] if request.hops else None)
    return (hop.host or hop.ip or hop.role.value) if hop else "?"


def target(request: Request) -> str:
    """Host that a request was for."""
    return (request.hops[-1].host or request.hops[-1].ip or "?") if request.hops else "?"


def evidence_of(requests: Iterable[Request]) -> tuple[Evidence, ...]:
    """The evidence of several requests, each piece once, packets first."""
    pieces = dict.fromkeys(piece for request in requests for piece in request.evidence)
    return tuple(sorted(pieces, key=lambda piece: piece.packet is None)[:MAX_EVIDENCE])


def ids(requests: Iterable[Request]) -> tuple[int, ...]:
    return tuple(request.id for request in requests)


def intercepted(request: Request) -> bool:
    return request.handled_by is HandledBy.MITM


def count(number: int, noun: str) -> str:
    """`1 request`, `3 requests`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def sentence(text: str) -> str:
    """`text` as a sentence: first letter upper case, full stop at the end."""
    return text[:1].upper() + text[1:].rstrip(". ") + "." if text else ""


def finding(
    check_id: str,
    meta: Meta,
    *,
    title: str,
    detail: str,
    remedy: Remedy,
    subject: str,
    requests: Iterable[Request] = (),
    evidence: tuple[Evidence, ...] = (),
    severity: Severity | None = None,
    confidence: Confidence = Confidence.HIGH,
) -> Finding:
    """A finding with its check's metadata; evidence defaults to that of the requests."""
    requests = tuple(requests)
    return Finding(
        id=check_id,
        severity=severity or meta.severity,
        confidence=confidence,
        audience=meta.audience,
        title=title,
        detail=detail,
        evidence=evidence[:MAX_EVIDENCE] or evidence_of(requests),
        remedy=remedy,
        subject=subject,
        requests=ids(requests),
        cause_rank=meta.cause_rank,
    )
