"""The captures of the checks, analysed: `fires`, `silent`, `regression` of the check that a test file is named after.

captures/checks/ID/case.toml tells what they are; scripts/check_captures.py makes them.
"""

import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest
from scapy.layers.inet import TCP, UDP
from scapy.utils import rdpcap

from trace_go.cli.main import main
from trace_go.report.v1.finding import Finding
from trace_go.report.v1.report import Report

CAPTURES = Path(__file__).parents[2] / "captures" / "checks"
RUNS = ("fires", "silent", "regression")


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """A packet that a finding names, as scapy reads it."""

    text: str
    """what the finding says of it"""
    flags: str
    """of TCP, as `SA`; empty for UDP"""
    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One bundle of a check, as `trace-go read` reports it: whole, its packets alone, and go's own account alone."""

    check: str
    path: Path
    whole: Report
    packets: Report
    account: Report

    @property
    def found(self) -> list[Finding]:
        """What the check says in any of the three reports."""
        return [item for report in (self.whole, self.packets, self.account) for item in of(self.check, report)]

    @property
    def only(self) -> Finding:
        """The one finding of the check, which must be sound."""
        return _only(self.check, self.whole)

    @property
    def in_packets(self) -> Finding:
        """The one finding of the check that the packets alone give."""
        return _only(self.check, self.packets)

    @property
    def in_account(self) -> Finding:
        """The one finding of the check that go's account and the probe give without packets."""
        return _only(self.check, self.account)

    @property
    def hidden(self) -> dict[str, str]:
        """What the packets alone do not show, and why."""
        lines = self.packets.capture.visibility
        return {line.fact: line.why for line in lines if line.visibility == "not observable"}

    def frames(self, finding: Finding) -> list[Frame]:
        """The packets that prove a finding, read by scapy from the capture."""
        pieces = [piece for piece in finding.evidence if piece.packet]
        return [_frame(_packets(self.path)[(piece.packet or 0) - 1], piece.text) for piece in pieces]


def _frame(packet: Any, text: str) -> Frame:
    layer = packet[TCP] if TCP in packet else packet[UDP]
    flags = str(layer.flags) if TCP in packet else ""
    return Frame(text=text, flags=flags, payload=bytes(layer.payload))


@cache
def _packets(path: Path) -> list[Any]:
    with zipfile.ZipFile(path) as bundle:
        return list(rdpcap(io.BytesIO(bundle.read("capture.pcapng"))))


def of(check: str, report: Report) -> list[Finding]:
    return [finding for finding in report.findings if finding.id == check]


def checks_of(report: Report) -> set[str]:
    return {finding.id for finding in report.findings}


def kinds(finding: Finding) -> set[str]:
    """`packet`, `log`, … of its evidence."""
    return {piece.kind for piece in finding.evidence}


def _only(check: str, report: Report) -> Finding:
    [finding] = of(check, report)
    sound(finding, report)
    return finding


def sound(finding: Finding, report: Report) -> None:
    """What holds for each finding: evidence that exists, a remedy, and the requests that it explains."""
    assert finding.evidence
    for piece in finding.evidence:
        assert piece.text
        assert piece.kind != "packet" or 0 < (piece.packet or 0) <= report.capture.packets
        assert piece.kind != "log" or piece.line
    assert finding.remedy.text.endswith(".")
    assert finding.requests or "packet" not in kinds(finding)  # what is wrong with a setting may stop every request
    assert set(finding.requests) <= {request.id for request in report.requests}
    assert finding.key in report.verdict.causes or finding.severity == "note"


@cache
def read(path: Path) -> tuple[Report, Report, Report]:
    """The reports of a bundle, of its packets alone and go's account alone, with the run's roots if it had any."""
    with TemporaryDirectory() as scratch, zipfile.ZipFile(path) as bundle:
        folder = Path(scratch)
        bundle.extractall(folder)
        site = folder / "site.toml"
        site.write_text('public-roots = "public-roots.pem"\n')
        silent = folder / "account.zip"
        with zipfile.ZipFile(silent, "w") as account:
            for name in set(bundle.namelist()) - {"capture.pcapng"}:
                account.write(folder / name, name)
        has_roots = b"BEGIN CERTIFICATE" in (folder / "trust.pem").read_bytes()
        trust = folder / ("trust.pem" if has_roots else "public-roots.pem")
        alone = ("--trust", str(trust), "--config", str(site), str(folder / "capture.pcapng"))
        return tuple(_report(folder, *words) for words in ((str(path),), alone, (str(silent),)))  # type: ignore[return-value]  # three words, three reports


def _report(folder: Path, *words: str) -> Report:
    out = folder / "report.json"
    status = main(["read", "--format", "json", "-o", str(out), *words])
    report = msgspec.json.decode(out.read_bytes(), type=Report)
    assert status == any(finding.severity == "error" for finding in report.findings)
    return report


def _fixture(name: str) -> Callable[..., Any]:
    @pytest.fixture(name=name)
    def run(request: pytest.FixtureRequest) -> Run:
        check = request.path.stem.removeprefix("test_").replace("_", "-")
        path = CAPTURES / check / f"{name}.zip"
        whole, packets, account = read(path)
        return Run(check=check, path=path, whole=whole, packets=packets, account=account)

    return run


fires, silent, regression = map(_fixture, RUNS)
