"""The terminal reporter: verdict and fix, the paths hop by hop, findings, ledger, and what could not be seen."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import TextIO

from msgspec import Struct
from rich.console import Console
from rich.table import Table
from rich.text import Text

from trace_go.model.evidence import Evidence, EvidenceKind, Visibility
from trace_go.model.finding import Severity, VerdictStatus
from trace_go.model.ledger import Artifact, HandledBy, Hop, Request, Role
from trace_go.model.report import Case, Report
from trace_go.report.escape import clean

MAX_PATHS = 4
MAX_FAILURES = 12
"""failed requests listed one by one without -v"""

_STYLE = {
    VerdictStatus.OK: "bold green",
    VerdictStatus.DEGRADED: "bold yellow",
    VerdictStatus.SUSPICIOUS: "bold magenta",
    VerdictStatus.FAILED: "bold red",
}
_SEVERITY = {Severity.ERROR: "bold red", Severity.WARNING: "bold yellow", Severity.NOTE: "cyan"}
_HANDLER = {HandledBy.MITM: "bold magenta", HandledBy.NONE: "red", HandledBy.UNKNOWN: "yellow"}
_ROLE = {Role.FORWARD_PROXY: "forward proxy", Role.CHECKSUM_DB: "checksum database", Role.CDN: "CDN"}


class _Marks(Struct, frozen=True, kw_only=True):
    good: str
    bad: str
    bar: str


_UNICODE = _Marks(good="●", bad="✗", bar="│")
_ASCII = _Marks(good="o", bad="x", bar="|")


class TerminalReporter(Struct, frozen=True, kw_only=True):
    """color: None = as the output allows (NO_COLOR is honoured); width: None = the terminal's, 80 when piped."""

    color: bool | None = None
    width: int | None = None
    verbose: bool = False

    def render(self, report: Report, out: TextIO) -> None:
        console = Console(
            file=out,
            width=self.width,
            force_terminal=self.color or None,
            no_color=self.color is False or None,
            highlight=False,
            emoji=False,
            markup=False,
        )
        plain = not (getattr(out, "encoding", None) or "utf-8").lower().startswith("utf")
        page = _Page(console, _ASCII if plain else _UNICODE)
        case = report.case
        _verdict(page, report)
        _paths(page, case.requests)
        _findings(page, report)
        _ledger(page, case, verbose=self.verbose)
        _unseen(page, case)
        _input(page, report)
        console.print(Text("\n").join(page.lines), soft_wrap=True)


class _Page:
    """Lines of a report, wrapped to the console's width."""

    def __init__(self, console: Console, marks: _Marks) -> None:
        self.lines: list[Text] = []
        self.console = console
        self.marks = marks

    def head(self, title: str) -> None:
        self.lines += [Text(), Text(title, style="bold")]

    def add(self, *lead: tuple[str, str], text: str, style: str = "") -> None:
        """A line of `text` behind `lead` (text, style); what does not fit goes on below the text's beginning."""
        prefix = Text.assemble(*lead)
        room = max(self.console.width - prefix.cell_len, 20)
        for number, line in enumerate(Text(text, style=style).wrap(self.console, room) or [Text()]):
            line.rstrip()
            self.lines.append((prefix if not number else Text(" " * prefix.cell_len)) + line)

    def table(self, table: Table, indent: int) -> None:
        options = self.console.options.update(width=self.console.width - indent)
        for segments in self.console.render_lines(table, options, pad=False):
            line = Text(" " * indent).append_tokens((item.text, item.style) for item in segments)
            line.rstrip()
            self.lines.append(line)


def _verdict(page: _Page, report: Report) -> None:
    verdict = report.verdict
    page.add((f"{verdict.status.upper()} ", _STYLE[verdict.status]), text=clean(verdict.summary, 600), style="bold")
    for remedy in verdict.fix:
        page.add(("Fix: ", "bold"), text=clean(remedy.text))
        if remedy.command:
            page.add(("     $ ", "cyan"), text=clean(remedy.command), style="cyan")


# -- paths -------------------------------------------------------------------------------------------------------------


def _paths(page: _Page, requests: Sequence[Request]) -> None:
    groups: dict[tuple[object, ...], list[Request]] = defaultdict(list)
    for request in requests:
        if request.hops:
            groups[tuple((hop.role, hop.host, hop.ip, hop.broken) for hop in request.hops)].append(request)
    ranked = sorted(groups.values(), key=lambda group: (not group[0].failed, -len(group)))
    if ranked:
        page.head("Path")
    for number, group in enumerate(ranked[:MAX_PATHS]):
        if number:
            page.lines.append(Text())
        _path(page, group)
    if len(ranked) > MAX_PATHS:
        page.add(("  ", ""), text=f"and {len(ranked) - MAX_PATHS} more paths", style="dim")


def _path(page: _Page, requests: Sequence[Request]) -> None:
    """One path, a hop a line, with the times of the stage that leads to it and the broken place marked."""
    first, marks = requests[0], page.marks
    page.add((f"  {marks.good} ", "green"), ("this client  ", ""), text=_requests(requests), style="dim")
    for hop in first.hops:
        page.add((f"  {marks.bar} ", "dim"), text=_stage(hop, first), style="dim")
        if hop.broken:
            page.add((f"  {marks.bad} ", "bold red"), text=_party(hop), style="bold")
            page.add(("    ", ""), text=clean(first.failure.text if first.failure else "", 240), style="red")
            break
        unsure = "" if hop.visibility is Visibility.SEEN else f"  ({hop.visibility.value})"
        page.add((f"  {marks.good} ", "green"), text=_party(hop) + unsure)


def _requests(requests: Sequence[Request]) -> str:
    number = len(requests)
    noun = "connection" if requests[0].artifact is Artifact.CONNECTION else "request"
    return f"{number} {noun}" + ("" if number == 1 else "s")


def _party(hop: Hop) -> str:
    name = clean(hop.label if hop.role is Role.INTERCEPTOR else hop.host or hop.ip or "?", 120)
    address = f" [{hop.ip}]" if hop.ip and hop.ip != name else ""
    label = f", {clean(hop.label, 60)}" if hop.label and hop.role is not Role.INTERCEPTOR else ""
    return f"{_ROLE.get(hop.role, hop.role.value)} {name}{address}{label}"


def _stage(hop: Hop, request: Request) -> str:
    """Times of the stages that end at this hop."""
    times, roles = request.timings, [item.role for item in request.hops]
    first_tls = hop.role is Role.INTERCEPTOR or (hop is request.hops[-1] and Role.INTERCEPTOR not in roles)
    stages: list[tuple[str, float | None]] = []
    if hop.role is Role.RESOLVER:
        stages.append(("DNS", times.dns_s))
    elif hop.role is Role.FORWARD_PROXY:
        stages.append(("connect", times.connect_s))
    elif first_tls:
        through = Role.FORWARD_PROXY in roles
        stages.append(("tunnel", times.tunnel_s) if through else ("connect", times.connect_s))
        stages.append(("TLS", times.tls_s))
    return ", ".join(f"{name} {_seconds(value)}" for name, value in stages if value is not None)


def _seconds(value: float) -> str:
    """`0.3 ms`, `12 ms`, `1.25 s`."""
    if value >= 1:
        return f"{value:.2f} s"
    return f"{value * 1000:.0f} ms" if value >= 0.01 else f"{value * 1000:.1f} ms"


# -- findings ----------------------------------------------------------------------------------------------------------


def _findings(page: _Page, report: Report) -> None:
    if report.findings:
        page.head("Findings")
    for number, item in enumerate(report.findings):
        if number:
            page.lines.append(Text())
        page.add((f"  {item.severity.value} ", _SEVERITY[item.severity]), text=clean(item.title), style="bold")
        page.add(("    ", ""), text=clean(item.detail, 900))
        for piece in item.evidence:
            page.add((f"    {source(piece, report.case)} ", "dim"), text=clean(piece.text, 240), style="dim")
        if item.remedy.command:
            page.add(("    $ ", "cyan"), text=clean(item.remedy.command), style="cyan")
        told = f"confidence {item.confidence.value}; trace-go explain {item.id}"
        page.add(("    ", ""), text=told, style="dim")


def source(piece: Evidence, case: Case) -> str:
    """Where a piece of evidence is found: `packet 42`, `packet 42 of b.pcap`, `log line 7`."""
    if piece.kind is EvidenceKind.PACKET and piece.packet is not None:
        name = f" of {clean(case.files[piece.file].name, 80)}" if len(case.files) > 1 else ""
        return f"packet {piece.packet}{name}:"
    if piece.kind is EvidenceKind.LOG and piece.line is not None:
        return f"log line {piece.line}:"
    return f"{piece.kind.value}:"


# -- ledger ------------------------------------------------------------------------------------------------------------


def _ledger(page: _Page, case: Case, *, verbose: bool) -> None:
    if not case.requests:
        return
    failures = [request for request in case.requests if request.failed]
    fine = [request for request in case.requests if not request.failed]
    noun = "row" if len(case.requests) == 1 else "rows"
    page.head(f"Ledger: {len(case.requests)} {noun}" + (f", {len(failures)} failed" if failures else ""))
    table = Table(box=None, pad_edge=False, header_style="dim", show_edge=False)
    table.add_column("result", overflow="fold", max_width=18)
    table.add_column("handled by", no_wrap=True)
    table.add_column("request", overflow="fold", ratio=1)
    table.add_column("host", overflow="fold", max_width=24)
    table.add_column("time", justify="right", no_wrap=True)
    shown = failures if verbose else failures[:MAX_FAILURES]
    for request in shown:
        _add_row(table, [request], _what(request))
    if len(failures) > len(shown):
        table.add_row("", "", Text(f"and {len(failures) - len(shown)} more failed requests: -v", style="dim"), "", "")
    for group in [[request] for request in fine] if verbose else _grouped(fine):
        _add_row(table, group, _what(group[0]) if len(group) == 1 else f"{len(group)} × {group[0].artifact.value}")
    page.table(table, indent=2)


def _add_row(table: Table, group: Sequence[Request], what: str) -> None:
    """group: requests that agree in what the row shows."""
    first = group[0]
    times = [item.timings.response_s for item in group if item.timings.response_s is not None]
    slowest = f"{'≤ ' if len(times) > 1 else ''}{_seconds(max(times))}" if times else ""
    result = Text(clean(first.failure.kind, 40), style="red") if first.failure else Text(_statuses(group))
    handler = Text(first.handled_by.value, style=_HANDLER.get(first.handled_by, ""))
    table.add_row(result, handler, Text(what), Text(clean(_host(first), 120)), Text(slowest))


def _grouped(requests: Iterable[Request]) -> list[list[Request]]:
    groups: dict[tuple[HandledBy, str, Artifact], list[Request]] = defaultdict(list)
    for request in requests:
        groups[request.handled_by, _host(request), request.artifact].append(request)
    return list(groups.values())


def _statuses(requests: Sequence[Request]) -> str:
    counts = Counter(str(request.status) if request.status else "ok" for request in requests)
    return " ".join(status if len(counts) == 1 else f"{number}×{status}" for status, number in counts.most_common(3))


def _host(request: Request) -> str:
    return (request.hops[-1].host or request.hops[-1].ip or "?") if request.hops else "?"


def _what(request: Request) -> str:
    module = f"{request.module}@{request.version}" if request.version else request.module
    repeats = f" (sent {request.repeats + 1} times)" if request.repeats else ""
    return clean(f"{request.artifact.value} {module or request.url or ''}{repeats}".rstrip(), 240)


# -- rest --------------------------------------------------------------------------------------------------------------


def _unseen(page: _Page, case: Case) -> None:
    items = [item for item in case.seeing if item.visibility is not Visibility.SEEN]
    if items:
        page.head("What this input does not show")
    for item in items:
        page.add((f"  {item.fact}: ", "bold"), text=f"{item.visibility.value}; {clean(item.why)}")


def _input(page: _Page, report: Report) -> None:
    page.head("Input")
    for item in report.case.files:
        text = f"{clean(item.name, 120)}: {item.format}, {item.packets:,} packets, {item.bytes:,} bytes"
        if item.drops:
            text += f", {item.drops:,} dropped by the capturing system"
        if item.truncated_packets:
            text += f", {item.truncated_packets:,} cut short"
        page.add(("  ", ""), text=text)
        if item.problem:
            page.add(("    ", ""), text=clean(item.problem))
    if report.case.flows:
        page.add(("  ", ""), text=f"{len(report.case.flows):,} flows, {len(report.case.lookups):,} DNS lookups")
    if report.suppressed:
        page.add(("  ", ""), text=f"{report.suppressed} findings not shown (--select, --ignore)")
    for note in report.case.account.notes:
        page.add(("  ", ""), text=clean(note))
