"""The captures of the checks, analysed: `fires`, `silent` and `regression` of the check that a test file is named after.

captures/checks/ID/case.toml tells what they are; scripts/check_captures.py makes them.
"""

import zipfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from trace_go.capture.bundle import CAPTURE, maybe_open_bundle
from trace_go.cli.bundles import source_of
from trace_go.gocmd.config import Config
from trace_go.model.evidence import EvidenceKind, Visibility
from trace_go.model.finding import Finding
from trace_go.model.report import Report
from trace_go.pipeline import Options, Source, analyse
from trace_go.trust.store import file_store

CAPTURES = Path(__file__).parents[2] / "captures" / "checks"
RUNS = ("fires", "silent", "regression")
ROOTS = ("trust.pem", "public.pem")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One capture of a check, as it is read with go's account and as its packets alone are."""

    check: str
    report: Report
    packets: Report

    @property
    def found(self) -> list[Finding]:
        return of(self.check, self.report)

    @property
    def only(self) -> Finding:
        """The one finding of the check, which must be sound."""
        [finding] = self.found
        sound(finding, self.report)
        return finding

    @property
    def only_in_packets(self) -> Finding:
        """The one finding of the check that the packets alone give, which must be sound."""
        [finding] = of(self.check, self.packets)
        sound(finding, self.packets)
        return finding

    @property
    def in_packets(self) -> list[str]:
        """The checks that the packets alone make speak."""
        return [finding.id for finding in self.packets.findings]

    def hidden(self, fact: str) -> str:
        """Why the packets alone do not show a kind of fact; fails when they do."""
        [line] = [item for item in self.packets.case.seeing if item.fact == fact]
        assert line.visibility is Visibility.NOT_OBSERVABLE, line
        return line.why


def of(check: str, report: Report) -> list[Finding]:
    return [finding for finding in report.findings if finding.id == check]


def sound(finding: Finding, report: Report) -> None:
    """What holds for each finding: evidence that exists, a remedy, and the requests that it explains."""
    packets = report.case.files[0].packets
    assert finding.evidence
    for piece in finding.evidence:
        assert piece.text
        assert piece.kind is not EvidenceKind.PACKET or 0 < (piece.packet or 0) <= packets
        assert piece.kind is not EvidenceKind.LOG or 0 < (piece.line or 0) <= report.case.account.log.lines
    assert finding.remedy.text.endswith(".")
    assert finding.requests
    assert set(finding.requests) <= {request.id for request in report.case.requests}
    assert finding.key == f"{finding.id}:{finding.subject}"


def kinds(finding: Finding) -> set[str]:
    return {piece.kind.value for piece in finding.evidence}


@cache
def read(path: Path) -> tuple[Report, Report]:
    """The reports of a bundle and of its packets alone, judged with the roots that its run had."""
    bundle = maybe_open_bundle(str(path))
    assert bundle
    with closing(bundle), zipfile.ZipFile(path) as archive:
        assert bundle.capture
        assert bundle.capture.name == CAPTURE
        folder = bundle.capture.parent
        trust, public = (file_store(Path(archive.extract(name, folder))) for name in ROOTS)
        options = Options(store=trust, public_store=public, config=Config())
        source = source_of(path.name, bundle)
        return analyse(source, options), analyse(Source(captures=source.captures, names=source.names), options)


def _fixture(name: str) -> Callable[..., Any]:
    @pytest.fixture(name=name)
    def run(request: pytest.FixtureRequest) -> Run:
        check = request.path.stem.removeprefix("test_").replace("_", "-")
        report, packets = read(CAPTURES / check / f"{name}.zip")
        return Run(check=check, report=report, packets=packets)

    return run


fires, silent, regression = map(_fixture, RUNS)
