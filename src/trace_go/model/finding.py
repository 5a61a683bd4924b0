"""Findings and the verdict."""

from enum import StrEnum

from msgspec import Struct

from trace_go.model.evidence import Confidence, Evidence


class Severity(StrEnum):
    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"

    @property
    def rank(self) -> int:
        """0 is worst."""
        return list(Severity).index(self)


class Audience(StrEnum):
    DEVELOPER = "developer"
    OPERATOR = "operator"
    """who runs the mirror, proxy or network"""
    SECURITY = "security"


class Remedy(Struct, frozen=True, kw_only=True, gc=False):
    text: str
    """one sentence"""
    command: str | None = None
    """a shell command that does it, where one exists"""


class Finding(Struct, frozen=True, kw_only=True, gc=False):
    id: str
    """the check's ID"""
    severity: Severity
    confidence: Confidence
    audience: Audience
    title: str
    detail: str
    evidence: tuple[Evidence, ...]
    remedy: Remedy
    subject: str
    """what it is about (host, flow, module): with the id it makes the key"""
    requests: tuple[int, ...] = ()
    """ids of ledger rows it explains"""
    cause_rank: int = 100
    """order among causes of a failure: lower stops the command earlier"""

    @property
    def key(self) -> str:
        """Stable across runs: same check, same subject."""
        return f"{self.id}:{self.subject}"


class Excused(Struct, frozen=True, kw_only=True, gc=False):
    """A finding that the site suppresses, and why."""

    finding: Finding
    reason: str


class VerdictStatus(StrEnum):
    OK = "ok"
    DEGRADED = "degraded"
    FAILED = "failed"
    SUSPICIOUS = "suspicious"


class Verdict(Struct, frozen=True, kw_only=True, gc=False):
    status: VerdictStatus
    summary: str
    causes: tuple[str, ...]
    """finding keys, ranked"""
    fix: tuple[Remedy, ...]
