"""Error-level findings on captures by other projects, and why each is right: reasons in error_findings.toml.

None of them holds a go command's traffic, so that as they are there is nothing to find. To have the checks judge real
traffic of others, every host that TLS names is taken for a mirror, as trace-go.toml may say it.
"""

import tomllib
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from msgspec import Struct

from corpora.differences import FOLDER
from trace_go.gocmd.config import Config
from trace_go.model.evidence import EvidenceKind
from trace_go.model.finding import Finding, Severity
from trace_go.pipeline import Options, Source, analyse
from trace_go.trust.store import certifi_store

DATA = Path(__file__).with_name("error_findings.toml")
STORE = certifi_store()


class Reason(Struct, frozen=True, forbid_unknown_fields=True):
    """files: a pattern (fnmatch); check: an ID; why: what the packets show."""

    files: str
    check: str
    why: str


def named(row: Mapping[str, Any]) -> tuple[str, ...]:
    """The hosts that TLS names in a capture; row: its expected answers."""
    names = {name.lower().rstrip(".") for name in row.get("sni", ()) if name}
    return tuple(sorted(name for name in names if not set(name) & set(" <>")))


def errors(row: Mapping[str, Any], mirrors: tuple[str, ...] = ()) -> Iterator[Finding]:
    """Judged with Mozilla's roots."""
    capture = str(FOLDER / "captures" / row["file"])
    report = analyse(Source(captures=(capture,)), Options(store=STORE, config=Config(mirrors=mirrors)))
    return (finding for finding in report.findings if finding.severity is Severity.ERROR)


def proof(finding: Finding) -> str:
    """The first packets, and what they show."""
    pieces = [piece for piece in finding.evidence if piece.kind is EvidenceKind.PACKET]
    return "; ".join(f"packet {piece.packet}: {piece.text}" for piece in pieces[:2])


def reasons() -> tuple[Reason, ...]:
    return tuple(Reason(**entry) for entry in tomllib.loads(DATA.read_text())["reason"])


def reason(file: str, check: str) -> Reason | None:
    return next((item for item in reasons() if item.check == check and fnmatchcase(file, item.files)), None)
