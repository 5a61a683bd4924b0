"""Findings with their evidence, those that the site suppresses, and the verdict."""

import msgspec

from trace_go.model import evidence, finding


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    kind: str
    text: str
    packet: int | None
    file: int | None
    line: int | None


class Remedy(msgspec.Struct, frozen=True, kw_only=True):
    text: str
    command: str | None


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    severity: str
    confidence: str
    audience: str
    title: str
    detail: str
    evidence: list[Evidence]
    remedy: Remedy
    requests: list[int]
    key: str


class Suppression(msgspec.Struct, frozen=True, kw_only=True):
    """A finding that the site's configuration hides."""

    key: str
    id: str
    severity: str
    title: str
    reason: str


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    status: str
    summary: str
    causes: list[str]
    fix: list[Remedy]


def of_finding(x: finding.Finding) -> Finding:
    return Finding(
        id=x.id,
        severity=x.severity,
        confidence=x.confidence,
        audience=x.audience,
        title=x.title,
        detail=x.detail,
        evidence=[of_evidence(item) for item in x.evidence],
        remedy=of_remedy(x.remedy),
        requests=list(x.requests),
        key=x.key,
    )


def of_evidence(x: evidence.Evidence) -> Evidence:
    seen = x.packet is not None
    return Evidence(kind=x.kind, text=x.text, packet=x.packet, file=x.file if seen else None, line=x.line)


def of_remedy(x: finding.Remedy) -> Remedy:
    return Remedy(text=x.text, command=x.command)


def of_excused(x: finding.Excused) -> Suppression:
    return Suppression(
        key=x.finding.key,
        id=x.finding.id,
        severity=x.finding.severity,
        title=x.finding.title,
        reason=x.reason,
    )


def of_verdict(x: finding.Verdict) -> Verdict:
    return Verdict(
        status=x.status,
        summary=x.summary,
        causes=list(x.causes),
        fix=[of_remedy(item) for item in x.fix],
    )
