"""The terminal reporter: verdict and fix, the paths hop by hop, findings, ledger, and what could not be seen."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import TextIO

from msgspec import Struct
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from trace_go.model.evidence import Evidence, EvidenceKind, Visibility
from trace_go.model.finding import Finding, Severity, VerdictStatus
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
        case = report.case
        plain = not (getattr(out, "encoding", None) or "utf-8").lower().startswith("utf")
        parts = [_verdict(report)]
        parts += _section("Path", _paths(case.requests, _ASCII if plain else _UNICODE))
        parts += _section("Findings", [_finding(item, case) for item in report.findings])
        parts += _section(_ledger_title(case), _ledger(case, verbose=self.verbose))
        parts += _section("What this input does not show", _unseen(case))
        parts += _section("Input", [Text(line) for line in _input(report)])
        for part in parts:
            console.print(part)


def _section(title: str, body: Sequence[RenderableType]) -> list[RenderableType]:
    return [Text(), Text(title, style="bold"), _indented(Group(*body))] if body else []


def _indented(body: RenderableType, below: int = 0) -> RenderableType:
    return Padding(body, (0, 0, below, 2), expand=False)


def _beside(*cells: Text) -> RenderableType:
    """Cells in a row; each wraps in its own column."""
    grid = Table.grid(padding=(0, 1))
    grid.add_row(*cells)
    return grid


def _verdict(report: Report) -> RenderableType:
    verdict = report.verdict
    lines: list[RenderableType] = [
        _beside(
            Text(verdict.status.upper(), style=_STYLE[verdict.status]), Text(clean(verdict.summary, 600), style="bold")
        )
    ]
    for remedy in verdict.fix:
        lines.append(_beside(Text("Fix:", style="bold"), Text(clean(remedy.text))))
        if remedy.command:
            lines.append(_command(remedy.command))
    return Group(*lines)


def _command(text: str) -> RenderableType:
    return _beside(Text("    $", style="cyan"), Text(clean(text), style="cyan"))


# -- paths -------------------------------------------------------------------------------------------------------------


def _paths(requests: Sequence[Request], marks: _Marks) -> list[RenderableType]:
    groups: dict[tuple[object, ...], list[Request]] = defaultdict(list)
    for request in requests:
        if request.hops:
            groups[tuple((hop.role, hop.host, hop.ip, hop.broken) for hop in request.hops)].append(request)
    ranked = sorted(groups.values(), key=lambda group: (not group[0].failed, -len(group)))
    drawn: list[RenderableType] = []
    for group in ranked[:MAX_PATHS]:
        drawn += [_path(group, marks), Text()]
    if len(ranked) > MAX_PATHS:
        return [*drawn, Text(f"and {len(ranked) - MAX_PATHS} more paths", style="dim")]
    return drawn[:-1]


def _path(requests: Sequence[Request], marks: _Marks) -> RenderableType:
    """One path, a hop a line, with the times of the stage that leads to it and the broken place marked."""
    first = requests[0]
    grid = Table.grid(padding=(0, 1))
    grid.add_row(Text(marks.good, style="green"), Text.assemble("this client  ", (_requests(requests), "dim")))
    for hop in first.hops:
        grid.add_row(Text(marks.bar, style="dim"), Text(_stage(hop, first), style="dim"))
        if hop.broken:
            grid.add_row(Text(marks.bad, style="bold red"), Text(_party(hop), style="bold"))
            grid.add_row("", Text(clean(first.failure.text if first.failure else "", 240), style="red"))
            break
        unsure = "" if hop.visibility is Visibility.SEEN else f"  ({hop.visibility.value})"
        grid.add_row(Text(marks.good, style="green"), Text.assemble(_party(hop), (unsure, "dim")))
    return grid


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


def _finding(item: Finding, case: Case) -> RenderableType:
    lines: list[RenderableType] = [
        _beside(Text(item.severity.value, style=_SEVERITY[item.severity]), Text(clean(item.title), style="bold")),
        _indented(Text(clean(item.detail, 900))),
    ]
    lines += [
        _indented(_beside(Text(source(piece, case), style="dim"), Text(clean(piece.text, 240), style="dim")))
        for piece in item.evidence
    ]
    if item.remedy.command:
        lines.append(_command(item.remedy.command))
    told = f"confidence {item.confidence.value}; trace-go explain {item.id}"
    return Group(*lines, _indented(Text(told, style="dim"), below=1))


def source(piece: Evidence, case: Case) -> str:
    """Where a piece of evidence is found: `packet 42`, `packet 42 of b.pcap`, `log line 7`."""
    if piece.kind is EvidenceKind.PACKET and piece.packet is not None:
        name = f" of {clean(case.files[piece.file].name, 80)}" if len(case.files) > 1 else ""
        return f"packet {piece.packet}{name}:"
    if piece.kind is EvidenceKind.LOG and piece.line is not None:
        return f"log line {piece.line}:"
    return f"{piece.kind.value}:"


# -- ledger ------------------------------------------------------------------------------------------------------------


def _ledger_title(case: Case) -> str:
    failures = sum(request.failed for request in case.requests)
    noun = "row" if len(case.requests) == 1 else "rows"
    return f"Ledger: {len(case.requests)} {noun}" + (f", {failures} failed" if failures else "")


def _ledger(case: Case, *, verbose: bool) -> list[RenderableType]:
    if not case.requests:
        return []
    failures = [request for request in case.requests if request.failed]
    fine = [request for request in case.requests if not request.failed]
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
    return [table]


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


def _unseen(case: Case) -> list[RenderableType]:
    return [
        Text.assemble((f"{item.fact}: ", "bold"), f"{item.visibility.value}; {clean(item.why)}")
        for item in case.seeing
        if item.visibility is not Visibility.SEEN
    ]


def _input(report: Report) -> list[str]:
    lines = []
    for item in report.case.files:
        text = f"{clean(item.name, 120)}: {item.format}, {item.packets:,} packets, {item.bytes:,} bytes"
        if item.drops:
            text += f", {item.drops:,} dropped by the capturing system"
        if item.truncated_packets:
            text += f", {item.truncated_packets:,} cut short"
        lines.append(text)
        if item.problem:
            lines.append(f"  {clean(item.problem)}")
    if report.case.flows:
        lines.append(f"{len(report.case.flows):,} flows, {len(report.case.lookups):,} DNS lookups")
    if report.suppressed:
        lines.append(f"{report.suppressed} findings not shown (--select, --ignore)")
    return lines + [clean(note) for note in report.case.account.notes]
