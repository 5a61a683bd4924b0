"""The terminal reporter: verdict and fix first, then the paths hop by hop, findings, ledger, and what could not be seen."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TextIO

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

_VERDICT = {
    VerdictStatus.OK: ("✓", "+", "bold green", "OK"),
    VerdictStatus.DEGRADED: ("!", "!", "bold yellow", "DEGRADED"),
    VerdictStatus.SUSPICIOUS: ("!", "!", "bold magenta", "SUSPICIOUS"),
    VerdictStatus.FAILED: ("✗", "x", "bold red", "FAILED"),
}
_SEVERITY = {Severity.ERROR: "bold red", Severity.WARNING: "bold yellow", Severity.NOTE: "cyan"}
_HANDLER = {HandledBy.MITM: "bold magenta", HandledBy.NONE: "red", HandledBy.UNKNOWN: "yellow"}
_ROLE = {
    Role.RESOLVER: "resolver",
    Role.FORWARD_PROXY: "forward proxy",
    Role.INTERCEPTOR: "interceptor",
    Role.MIRROR: "mirror",
    Role.CHECKSUM_DB: "checksum database",
    Role.CDN: "CDN",
    Role.ORIGIN: "origin",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TerminalReporter:
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
        parts: list[RenderableType] = [_verdict(report, plain=plain)]
        parts += _section("Path", _paths(report.case.requests, plain=plain))
        parts += _section("Findings", [_finding(item, report.case) for item in report.findings])
        parts += _section(_ledger_title(report.case), _ledger(report.case, verbose=self.verbose))
        parts += _section("What this input does not show", _unseen(report.case))
        parts += _section("Input", [Text(line) for line in _input(report)])
        for part in parts:
            console.print(part)


def _section(title: str, body: Sequence[RenderableType]) -> list[RenderableType]:
    if not body:
        return []
    return [Text(), Text(title, style="bold"), Padding(Group(*body), (0, 0, 0, 2))]


def _verdict(report: Report, *, plain: bool) -> RenderableType:
    verdict = report.verdict
    mark, ascii_mark, style, word = _VERDICT[verdict.status]
    lines = [Text.assemble((f"{ascii_mark if plain else mark} {word}  ", style), (clean(verdict.summary, 600), "bold"))]
    for remedy in verdict.fix:
        lines.append(Text.assemble(("  Fix: ", "bold"), clean(remedy.text)))
        if remedy.command:
            lines.append(Text(f"       $ {clean(remedy.command)}", style="cyan"))
    return Group(*lines)


# -- paths -------------------------------------------------------------------------------------------------------------


def _paths(requests: Sequence[Request], *, plain: bool) -> list[RenderableType]:
    groups: dict[tuple[object, ...], list[Request]] = defaultdict(list)
    for request in requests:
        if request.hops:
            groups[tuple((hop.role, hop.host, hop.ip, hop.broken) for hop in request.hops)].append(request)
    ranked = sorted(groups.values(), key=lambda group: (not group[0].failed, -len(group)))
    drawn: list[RenderableType] = [_path(group, plain=plain) for group in ranked[:MAX_PATHS]]
    if len(ranked) > MAX_PATHS:
        drawn.append(Text(f"… and {len(ranked) - MAX_PATHS} more paths", style="dim"))
    return drawn


def _path(requests: Sequence[Request], *, plain: bool) -> RenderableType:
    """One path, a hop a line, with the times of the stage that leads to it and the broken place marked."""
    first, bar, dot, cross = requests[0], "|" if plain else "│", "o" if plain else "●", "x" if plain else "✗"
    noun = "request" if len(requests) == 1 else "requests"
    lines = [Text.assemble((f"{dot} ", "green"), "this client", (f"   {len(requests)} {noun}", "dim"))]
    for hop in first.hops:
        stage = _stage(hop, first)
        lines.append(Text(f"{bar} {stage}" if stage else bar, style="dim"))
        mark, style = (cross, "bold red") if hop.broken else (dot, "green")
        line = Text.assemble((f"{mark} ", style), (_party(hop), "bold" if hop.broken else ""))
        if hop.broken and first.failure:
            line.append(f"  {clean(first.failure.text, 160)}", style="red")
        elif hop.visibility is not Visibility.SEEN:
            line.append(f"  ({hop.visibility.value})", style="dim")
        lines.append(line)
        if hop.broken:
            break
    return Padding(Group(*lines), (0, 0, 1, 0))


def _party(hop: Hop) -> str:
    name = clean(hop.label if hop.role is Role.INTERCEPTOR else hop.host or hop.ip or "?", 120)
    address = f" [{hop.ip}]" if hop.ip and hop.ip != name else ""
    label = f", {clean(hop.label, 60)}" if hop.label and hop.role is not Role.INTERCEPTOR else ""
    return f"{_ROLE.get(hop.role, hop.role.value)} {name}{address}{label}"


def _stage(hop: Hop, request: Request) -> str:
    times, through = request.timings, any(item.role is Role.FORWARD_PROXY for item in request.hops)
    if hop.role is Role.RESOLVER:
        shown = [("DNS", times.dns_s)]
    elif hop.role is Role.FORWARD_PROXY:
        shown = [("connect", times.connect_s)]
    elif hop is request.hops[-1] or hop.role is Role.INTERCEPTOR:
        before = [("tunnel", times.tunnel_s)] if through else [("connect", times.connect_s)]
        shown = [*before, ("TLS", times.tls_s)]
        if any(item.role is Role.INTERCEPTOR for item in request.hops) and hop.role is not Role.INTERCEPTOR:
            shown = []
    else:
        shown = []
    return ", ".join(f"{name} {_seconds(value)}" for name, value in shown if value is not None)


def _seconds(value: float) -> str:
    """`0.3 ms`, `12 ms`, `1.25 s`."""
    if value >= 1:
        return f"{value:.2f} s"
    return f"{value * 1000:.0f} ms" if value >= 0.01 else f"{value * 1000:.1f} ms"


# -- findings ----------------------------------------------------------------------------------------------------------


def _finding(item: Finding, case: Case) -> RenderableType:
    lines: list[RenderableType] = [
        Text.assemble((f"{item.severity.value} ", _SEVERITY[item.severity]), (clean(item.title, 300), "bold")),
        Padding(Text(clean(item.detail, 900)), (0, 0, 0, 2)),
    ]
    for piece in item.evidence:
        lines.append(Padding(Text(f"{source(piece, case)}: {clean(piece.text, 240)}", style="dim"), (0, 0, 0, 2)))
    if item.remedy.command:
        lines.append(Padding(Text(f"$ {clean(item.remedy.command)}", style="cyan"), (0, 0, 0, 2)))
    lines.append(
        Padding(Text(f"{item.id}, confidence {item.confidence.value}; trace-go explain {item.id}", style="dim"), (0, 0, 1, 2))
    )
    return Group(*lines)


def source(piece: Evidence, case: Case) -> str:
    """Where a piece of evidence is found: `packet 42`, `packet 42 of b.pcap`, `log line 7`."""
    if piece.kind is EvidenceKind.PACKET and piece.packet is not None:
        name = f" of {clean(case.files[piece.file].name, 80)}" if len(case.files) > 1 else ""
        return f"packet {piece.packet}{name}"
    if piece.kind is EvidenceKind.LOG and piece.line is not None:
        return f"log line {piece.line}"
    return piece.kind.value


# -- ledger ------------------------------------------------------------------------------------------------------------


def _ledger_title(case: Case) -> str:
    failures = sum(request.failed for request in case.requests)
    noun = "row" if len(case.requests) == 1 else "rows"
    return f"Ledger: {len(case.requests)} {noun}" + (f", {failures} failed" if failures else "")


def _ledger(case: Case, *, verbose: bool) -> list[RenderableType]:
    failures = [request for request in case.requests if request.failed]
    fine = [request for request in case.requests if not request.failed]
    if not case.requests:
        return []
    table = Table(box=None, pad_edge=False, header_style="dim", show_edge=False)
    table.add_column("result", no_wrap=True, max_width=18)
    table.add_column("handled by", no_wrap=True)
    table.add_column("host", overflow="fold")
    table.add_column("request", overflow="fold", ratio=1)
    table.add_column("time", justify="right", no_wrap=True)
    shown = failures if verbose else failures[:MAX_FAILURES]
    for request in shown:
        _row(table, request)
    if len(failures) > len(shown):
        table.add_row(Text(f"… {len(failures) - len(shown)} more"), "", "", Text("failed requests (-v lists them)", style="dim"), "")
    if verbose:
        for request in fine:
            _row(table, request)
    else:
        for (handler, host, artifact), group in _grouped(fine):
            times = [item.timings.response_s for item in group if item.timings.response_s is not None]
            slowest = f"≤ {_seconds(max(times))}" if times else ""
            table.add_row(
                Text(_statuses(group)),
                Text(handler.value, style=_HANDLER.get(handler, "")),
                Text(clean(host, 120)),
                Text(f"{len(group)} × {artifact.value}" if len(group) > 1 else _what(group[0])),
                Text(slowest),
            )
    return [table]


def _grouped(requests: Iterable[Request]) -> list[tuple[tuple[HandledBy, str, Artifact], list[Request]]]:
    groups: dict[tuple[HandledBy, str, Artifact], list[Request]] = defaultdict(list)
    for request in requests:
        groups[request.handled_by, _host(request), request.artifact].append(request)
    return list(groups.items())


def _statuses(requests: Sequence[Request]) -> str:
    counts = Counter(str(request.status) if request.status else "ok" for request in requests)
    return " ".join(status if len(counts) == 1 else f"{number}×{status}" for status, number in counts.most_common(3))


def _row(table: Table, request: Request) -> None:
    result = Text(str(request.status) if request.status else "ok")
    if request.failure:
        result = Text(clean(request.failure.kind, 40), style="red")
    table.add_row(
        result,
        Text(request.handled_by.value, style=_HANDLER.get(request.handled_by, "")),
        Text(clean(_host(request), 120)),
        Text(_what(request)),
        Text(_seconds(request.timings.response_s) if request.timings.response_s is not None else ""),
    )


def _host(request: Request) -> str:
    return (request.hops[-1].host or request.hops[-1].ip or "?") if request.hops else "?"


def _what(request: Request) -> str:
    if request.artifact is Artifact.CONNECTION:
        return "connection (its requests are not observable)"
    module = f"{request.module}@{request.version}" if request.version else request.module
    repeats = f" (sent {request.repeats + 1} times)" if request.repeats else ""
    return clean(f"{request.artifact.value} {module or request.url or ''}{repeats}", 240)


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
    other = len(report.case.flows)
    if other:
        lines.append(f"{other:,} flows, {len(report.case.lookups):,} DNS lookups")
    if report.suppressed:
        lines.append(f"{report.suppressed} findings not shown (--select, --ignore)")
    return lines + [clean(note) for note in report.case.account.notes]
