"""The terminal reporter: verdict and fix, the paths hop by hop, findings, ledger, and what could not be seen."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import TextIO

from msgspec import Struct
from rich.console import Console
from rich.text import Text

from trace_go.model.crossing import Crossing, Relation
from trace_go.model.evidence import Evidence, EvidenceKind, Visibility, packet
from trace_go.model.finding import Remedy, Severity, VerdictStatus
from trace_go.model.report import Case, Report
from trace_go.report.escape import clean, fitting, prose
from trace_go.report.ledger_section import draw_ledger
from trace_go.report.page import Page, seconds
from trace_go.report.path_section import draw_paths

MAX_FINDINGS = 30
"""findings told, the worst first; more than a page or two nobody reads"""
MAX_LINES = 20
"""files, hosts beyond a gateway and suppressed findings listed"""

_STYLE = {
    VerdictStatus.OK: "bold green",
    VerdictStatus.DEGRADED: "bold yellow",
    VerdictStatus.SUSPICIOUS: "bold magenta",
    VerdictStatus.FAILED: "bold red",
}
_SEVERITY = {Severity.ERROR: "bold red", Severity.WARNING: "bold yellow", Severity.NOTE: "cyan"}


class TerminalReporter(Struct, frozen=True, kw_only=True):
    """color: None = on a terminal; width: None = the terminal's, 80 when piped."""

    color: bool | None = None
    width: int | None = None
    verbose: bool = False

    def render(self, report: Report, out: TextIO) -> None:
        color = out.isatty() if self.color is None else self.color
        console = Console(
            file=out,
            width=self.width,
            color_system="standard" if color else None,
            force_terminal=color,
            no_color=not color,
            highlight=False,
            emoji=False,
            markup=False,
        )
        page, case = Page(console), report.case
        _verdict(page, report)
        draw_paths(page, case.requests)
        _beyond(page, case)
        _findings(page, report, verbose=self.verbose)
        _excused(page, report)
        draw_ledger(page, case, verbose=self.verbose)
        _unseen(page, case)
        _input(page, report)
        with console.capture() as drawn:
            console.print(Text("\n").join(page.lines), soft_wrap=True)
        out.write(fitting(drawn.get(), out.encoding or "utf-8"))


def _verdict(page: Page, report: Report) -> None:
    verdict, case = report.verdict, report.case
    if verdict.status is VerdictStatus.OK and not case.requests and case.account.exit_code is None:
        page.add(text=prose(verdict.summary, 600), style="bold")  # what shows nothing is not well
    else:
        page.add((f"{verdict.status.upper()} ", _STYLE[verdict.status]), text=prose(verdict.summary, 600), style="bold")
    for remedy in verdict.fix:
        page.add(("Fix: ", "bold"), text=prose(remedy.text))
        if remedy.command:
            page.command("     $ ", remedy.command)


# -- findings ----------------------------------------------------------------------------------------------------------


def _beyond(page: Page, case: Case) -> None:
    """What a second vantage tells, a line for each host and relation."""
    groups: dict[tuple[str, Relation], list[Crossing]] = defaultdict(list)
    for item in case.crossings:
        groups[item.name, item.relation].append(item)
    if groups:
        page.head("Beyond the gateway")
    for (name, relation), items in sorted(groups.items())[:MAX_LINES]:
        first = next((item for item in items if item.beyond_packet), items[0])
        proof = _RELATIONS[relation]
        if first.beyond_packet:
            both = packet(first.packet, "", first.file), packet(first.beyond_packet, "", first.beyond_file)
            proof += f" ({', '.join(_source(piece, case).rstrip(':') for piece in both)})"
        number = f"{len(items)} connection{'s' * (len(items) > 1)}"
        page.add((f"  {relation.value} ", _RELATION_STYLE[relation]), text=f"{clean(name, 120)}, {number}: {proof}")
    page.more(len(groups) - MAX_LINES, "host")
    clock = next((item.clock_s for item in case.crossings if item.clock_s is not None), None)
    if clock is not None:
        ahead = "ahead" if clock >= 0 else "behind"
        page.add(("  ", ""), text=f"the second clock, way included, is {seconds(abs(clock))} {ahead}", style="dim")


_RELATIONS = {
    Relation.RELAYED: "the same ClientHello arrives, so nobody between broke TLS open",
    Relation.TERMINATED: "it is answered before, and another ClientHello for the name arrives",
    Relation.ABSENT: "what became of it is not observable there",
}
_RELATION_STYLE = {Relation.RELAYED: "green", Relation.TERMINATED: "bold red", Relation.ABSENT: "dim"}


def _findings(page: Page, report: Report, *, verbose: bool) -> None:
    shown: list[Remedy] = []
    if report.findings:
        page.head("Findings")
    for number, item in enumerate(report.findings[:MAX_FINDINGS]):
        if number:
            page.lines.append(Text())
        page.add((f"  {item.severity.value} ", _SEVERITY[item.severity]), text=prose(item.title), style="bold")
        page.add(("    ", ""), text=prose(item.detail, 900))
        for lead, text in _proof(item.evidence, report.case):
            page.add((f"    {lead} ", "dim"), text=text, style="dim")
        told = {remedy.command or remedy.text for remedy in (*report.verdict.fix, *shown)}
        if (item.remedy.command or item.remedy.text) not in told:
            page.add(("    Fix: ", "bold"), text=prose(item.remedy.text))
            if item.remedy.command:
                page.command("         $ ", item.remedy.command)
        shown.append(item.remedy)
        last = f"confidence {item.confidence.value}; trace-go explain {clean(item.id, 80)}"
        page.add(("    ", ""), text=f"{last}; key {clean(item.key, 200)}" if verbose else last, style="dim")
    page.more(len(report.findings) - MAX_FINDINGS, "finding")


def _proof(pieces: Sequence[Evidence], case: Case) -> list[tuple[str, str]]:
    """(where it is found, what it shows); packets and log lines that show the same on one line."""
    alike: dict[tuple[object, ...], list[Evidence]] = defaultdict(list)
    for piece in pieces:
        alike[piece.kind, piece.file, piece.text].append(piece)
    return [(_sources(same, case), prose(same[0].text, 240)) for same in alike.values()]


def _sources(pieces: Sequence[Evidence], case: Case) -> str:
    """`packets 24, 36, 47:` of pieces that agree but for their place."""
    first = _source(pieces[0], case)
    numbers = [number for piece in pieces if (number := piece.packet or piece.line)]
    if len(numbers) < 2:
        return first
    kind, _, rest = first.partition(f" {numbers[0]}")
    return f"{kind}s {', '.join(map(str, sorted(numbers)))}{rest}"


def _source(piece: Evidence, case: Case) -> str:
    """Where a piece of evidence is found: `packet 42`, `packet 42 of b.pcap`, `log line 7`."""
    if piece.kind is EvidenceKind.PACKET and piece.packet is not None:
        name = f" of {clean(case.files[piece.file].name, 80)}" if len(case.files) > 1 else ""
        return f"packet {piece.packet}{name}:"
    if piece.kind is EvidenceKind.LOG and piece.line is not None:
        return f"log line {piece.line}:"
    return f"{piece.kind.value}:"


def _excused(page: Page, report: Report) -> None:
    if report.excused:
        page.head(f"Suppressed by trace-go.toml: {len(report.excused)}")
    for item in report.excused[:MAX_LINES]:
        page.add(
            (f"  {item.finding.severity.value} ", _SEVERITY[item.finding.severity]), text=prose(item.finding.title)
        )
        page.add(("    ", ""), text=f"{clean(item.finding.key, 120)}: {prose(item.reason)}", style="dim")
    page.more(len(report.excused) - MAX_LINES, "suppressed finding")


# -- rest --------------------------------------------------------------------------------------------------------------


def _unseen(page: Page, case: Case) -> None:
    items = [item for item in case.seeing if item.visibility is not Visibility.SEEN]
    if items:
        page.head("Not seen directly")
    for item in items:
        page.add((f"  {clean(item.fact, 40)}: ", "bold"), text=f"{item.visibility.value}; {clean(item.why)}")


_NOT_GO = {"quic": "of QUIC, which go does not speak", "dot": "of DNS over TLS", "doh": "of DNS over HTTPS"}
"""protocols that the go command never speaks: its resolver asks over UDP and TCP only"""


def _input(page: Page, report: Report) -> None:
    if report.case.files or report.case.flows or report.suppressed or report.case.account.notes:
        page.head("Input")
    for item in report.case.files[:MAX_LINES]:
        text = f"{clean(item.name, 120)}: {clean(item.format, 40)}, {item.packets:,} packets, {item.bytes:,} bytes"
        if item.drops:
            text += f", {item.drops:,} dropped by the capturing system"
        if item.truncated_packets:
            text += f", {item.truncated_packets:,} cut short"
        page.add(("  ", ""), text=text)
        if item.problem:
            page.add(("    ", ""), text=clean(item.problem))
    page.more(len(report.case.files) - MAX_LINES, "file")
    if report.case.flows:
        page.add(("  ", ""), text=f"{len(report.case.flows):,} flows, {len(report.case.lookups):,} DNS lookups")
        others = Counter(flow.protocol for flow in report.case.flows)
        if told := [f"{others[name]:,} {text}" for name, text in _NOT_GO.items() if others[name]]:
            page.add(("  ", ""), text=f"of the flows {', '.join(told)}: not go's")
    if unselected := report.suppressed - len(report.excused):
        noun = "finding" if unselected == 1 else "findings"
        page.add(("  ", ""), text=f"{unselected} {noun} not shown (--select, --ignore)")
    for note in report.case.account.notes:
        page.add(("  ", ""), text=clean(note))
