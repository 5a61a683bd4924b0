"""The terminal reporter: verdict and fix, the paths hop by hop, findings, ledger, and what could not be seen."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import TextIO

from msgspec import Struct
from rich.console import Console
from rich.table import Table
from rich.text import Text

from trace_go.model.crossing import Crossing, Relation
from trace_go.model.evidence import Evidence, EvidenceKind, Visibility, packet
from trace_go.model.finding import Remedy, Severity, VerdictStatus
from trace_go.model.ledger import Artifact, HandledBy, Hop, Request, Role
from trace_go.model.report import Case, Report
from trace_go.report.escape import clean, fitting, prose

MAX_COMMAND = 2000
MAX_PATHS = 4
MAX_FAILURES = 12
"""failed requests listed one by one without -v"""
MAX_GROUPS = 40
"""groups of other requests listed without -v"""
MAX_ROWS = 2000
"""rows of the ledger listed with -v: 400 modules"""
MAX_FINDINGS = 30
"""findings told, the worst first; more than a page or two nobody reads"""
MAX_LINES = 20
"""files, hosts beyond a gateway and suppressed findings listed"""
_REST = "see --format json"

_STYLE = {
    VerdictStatus.OK: "bold green",
    VerdictStatus.DEGRADED: "bold yellow",
    VerdictStatus.SUSPICIOUS: "bold magenta",
    VerdictStatus.FAILED: "bold red",
}
_SEVERITY = {Severity.ERROR: "bold red", Severity.WARNING: "bold yellow", Severity.NOTE: "cyan"}
_HANDLER = {HandledBy.MITM: "bold magenta", HandledBy.NONE: "red", HandledBy.UNKNOWN: "yellow"}
_STAGES = {"dns_s": "DNS", "connect_s": "connect", "tunnel_s": "tunnel", "tls_s": "TLS"}
_ROLE = {Role.FORWARD_PROXY: "forward proxy", Role.CHECKSUM_DB: "checksum database", Role.CDN: "CDN"}


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
        page, case = _Page(console), report.case
        _verdict(page, report)
        _paths(page, case.requests)
        _beyond(page, case)
        _findings(page, report, verbose=self.verbose)
        _excused(page, report)
        _ledger(page, case, verbose=self.verbose)
        _unseen(page, case)
        _input(page, report)
        with console.capture() as drawn:
            console.print(Text("\n").join(page.lines), soft_wrap=True)
        out.write(fitting(drawn.get(), out.encoding or "utf-8"))


class _Page:
    """Lines of a report, wrapped to the console's width."""

    def __init__(self, console: Console) -> None:
        self.lines: list[Text] = []
        self.console = console

    def head(self, title: str) -> None:
        self.lines.append(Text())
        self.add(text=title, style="bold")

    def add(self, *lead: tuple[str, str], text: str, style: str = "") -> None:
        """A line of `text` behind `lead` (text, style); what does not fit goes on below the text's beginning."""
        prefix, body = Text.assemble(*lead), Text(text, style=style)
        if prefix.cell_len > self.console.width // 2:  # too much to hang the rest from
            indent = len(prefix.plain) - len(prefix.plain.lstrip())
            prefix, body = prefix[:indent], prefix[indent:] + body
        room = max(self.console.width - prefix.cell_len, 20)
        for number, part in enumerate(body.wrap(self.console, room) or [Text()]):
            line = (prefix if not number else Text(" " * prefix.cell_len)) + part
            line.rstrip()
            self.lines.append(line)

    def command(self, lead: str, text: str) -> None:
        """A shell command, on one line however long, so that it can be copied."""
        self.lines.append(Text((lead + clean(text, MAX_COMMAND)).rstrip(), style="cyan"))

    def table(self, table: Table, indent: int) -> None:
        options = self.console.options.update(width=self.console.width - indent)
        for segments in self.console.render_lines(table, options, pad=False):
            line = Text(" " * indent).append_tokens((item.text, item.style) for item in segments)
            line.rstrip()
            self.lines.append(line)


def _verdict(page: _Page, report: Report) -> None:
    verdict = report.verdict
    page.add((f"{verdict.status.upper()} ", _STYLE[verdict.status]), text=prose(verdict.summary, 600), style="bold")
    for remedy in verdict.fix:
        page.add(("Fix: ", "bold"), text=prose(remedy.text))
        if remedy.command:
            page.command("     $ ", remedy.command)


# -- paths -------------------------------------------------------------------------------------------------------------


def _paths(page: _Page, requests: Sequence[Request]) -> None:
    groups: dict[tuple[object, ...], list[Request]] = defaultdict(list)
    for request in requests:
        if request.hops:
            way = tuple((hop.role, hop.host, hop.ip, hop.broken) for hop in request.hops)
            groups[way, request.failure and request.failure.kind].append(request)
    ranked = sorted(groups.values(), key=_rank)
    if ranked:
        page.head("Path")
    for number, group in enumerate(ranked[:MAX_PATHS]):
        if number:
            page.lines.append(Text())
        _path(page, group)
    if len(ranked) > MAX_PATHS:
        page.lines.append(Text())
        left = len(ranked) - MAX_PATHS
        page.add(("  ", ""), text=f"and {left} more {'path' if left == 1 else 'paths'}", style="dim")


def _rank(requests: Sequence[Request]) -> tuple[bool, bool, int]:
    """Paths that failed first, then those that were intercepted, then the busiest."""
    first = requests[0]
    return not first.failed, first.handled_by is not HandledBy.MITM, -len(requests)


def _path(page: _Page, requests: Sequence[Request]) -> None:
    """One path, a hop a line, with the times of the stage that leads to it and the broken place marked."""
    first = requests[0]
    page.add(("  ● ", "green"), ("this client  ", ""), text=_requests(requests), style="dim")
    for hop in first.hops:
        page.add(("  │ ", "dim"), text=_stage(hop, requests), style="dim")
        if hop.broken:
            page.add(("  ✗ ", "bold red"), text=_party(hop), style="bold")
            page.add(("    ", ""), text=prose(first.failure.text if first.failure else "", 240), style="red")
            break
        unsure = "" if hop.visibility is Visibility.SEEN else f"  ({hop.visibility.value})"
        page.add(("  ● ", "green"), text=_party(hop) + unsure)


def _requests(requests: Sequence[Request]) -> str:
    number = len(requests)
    noun = "connection" if requests[0].artifact is Artifact.CONNECTION else "request"
    return f"{number} {noun}" + ("" if number == 1 else "s")


def _party(hop: Hop) -> str:
    name = clean(hop.label if hop.role is Role.INTERCEPTOR else hop.host or hop.ip or "?", 120)
    address = f" [{clean(hop.ip, 60)}]" if hop.ip and hop.ip != name else ""
    known = hop.label and hop.role is not Role.INTERCEPTOR and name not in hop.label
    label = f", {clean(hop.label, 60)}" if known else ""
    role = "host" if hop.role is Role.CDN and not hop.label else _ROLE.get(hop.role, hop.role.value)
    return f"{role} {name}{address}{label}"


def _stage(hop: Hop, requests: Sequence[Request]) -> str:
    """Times of the stages that end at this hop of the first request; of several requests the slowest."""
    first = requests[0]
    roles = [item.role for item in first.hops]
    if hop.redirected:
        return "redirected"
    stages: tuple[str, ...] = ()
    if hop.role is Role.RESOLVER:
        stages = ("dns_s",)
    elif hop.role is Role.FORWARD_PROXY:
        stages = ("connect_s",)
    elif hop.role is Role.INTERCEPTOR or (hop is first.target and Role.INTERCEPTOR not in roles):
        stages = ("tunnel_s" if Role.FORWARD_PROXY in roles else "connect_s", "tls_s")
    told = [(_STAGES[name], _slowest([getattr(item.timings, name) for item in requests])) for name in stages]
    return ", ".join(f"{name} {time}" for name, time in told if time)


def _slowest(times: Iterable[float | None]) -> str:
    """`12 ms`, or `≤ 12 ms` for times that are not all the same; empty when none is known."""
    known = [_seconds(time) for time in sorted(time for time in times if time is not None)]
    bound = "≤ " if known and known[0] != known[-1] else ""
    return f"{bound}{known[-1]}" if known else ""


def _seconds(value: float) -> str:
    """`<1 ms` (go's log has whole milliseconds), `<0.1 ms`, `0.3 ms`, `12 ms`, `1.25 s`."""
    if value <= 0:
        return "<1 ms"
    if value < 0.0001:
        return "<0.1 ms"
    if value >= 1:
        return f"{value:.2f} s"
    return f"{value * 1000:.0f} ms" if value >= 0.01 else f"{value * 1000:.1f} ms"


# -- findings ----------------------------------------------------------------------------------------------------------


def _beyond(page: _Page, case: Case) -> None:
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
            proof += f" ({', '.join(source(piece, case).rstrip(':') for piece in both)})"
        number = f"{len(items)} connection{'s' * (len(items) > 1)}"
        page.add((f"  {relation.value} ", _RELATION_STYLE[relation]), text=f"{clean(name, 120)}, {number}: {proof}")
    _more(page, len(groups) - MAX_LINES, "host")
    clock = next((item.clock_s for item in case.crossings if item.clock_s is not None), None)
    if clock is not None:
        ahead = "ahead" if clock >= 0 else "behind"
        page.add(("  ", ""), text=f"the second clock, way included, is {_seconds(abs(clock))} {ahead}", style="dim")


_RELATIONS = {
    Relation.RELAYED: "the same ClientHello arrives, so nobody between broke TLS open",
    Relation.TERMINATED: "it is answered before, and another ClientHello for the name arrives",
    Relation.ABSENT: "what became of it is not observable there",
}
_RELATION_STYLE = {Relation.RELAYED: "green", Relation.TERMINATED: "bold red", Relation.ABSENT: "dim"}


def _findings(page: _Page, report: Report, *, verbose: bool) -> None:
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
    _more(page, len(report.findings) - MAX_FINDINGS, "finding")


def _more(page: _Page, number: int, noun: str) -> None:
    """What a bound leaves out."""
    if number > 0:
        page.lines.append(Text())
        page.add(("  ", ""), text=f"and {number:,} more {noun}{'s' * (number > 1)}, {_REST}", style="dim")


def _proof(pieces: Sequence[Evidence], case: Case) -> list[tuple[str, str]]:
    """(where it is found, what it shows); packets and log lines that show the same on one line."""
    alike: dict[tuple[object, ...], list[Evidence]] = defaultdict(list)
    for piece in pieces:
        alike[piece.kind, piece.file, piece.text].append(piece)
    return [(_sources(same, case), prose(same[0].text, 240)) for same in alike.values()]


def _sources(pieces: Sequence[Evidence], case: Case) -> str:
    """`packets 24, 36, 47:` of pieces that agree but for their place."""
    first = source(pieces[0], case)
    numbers = [str(number) for piece in pieces if (number := piece.packet or piece.line)]
    if len(numbers) < 2:
        return first
    kind, _, rest = first.partition(f" {numbers[0]}")
    return f"{kind}s {', '.join(numbers)}{rest}"


_NOT_GO = {"quic": "of QUIC, which go does not speak", "dot": "of DNS over TLS", "doh": "of DNS over HTTPS"}
"""protocols that the go command never speaks: its resolver asks over UDP and TCP only"""


def source(piece: Evidence, case: Case) -> str:
    """Where a piece of evidence is found: `packet 42`, `packet 42 of b.pcap`, `log line 7`."""
    if piece.kind is EvidenceKind.PACKET and piece.packet is not None:
        name = f" of {clean(case.files[piece.file].name, 80)}" if len(case.files) > 1 else ""
        return f"packet {piece.packet}{name}:"
    if piece.kind is EvidenceKind.LOG and piece.line is not None:
        return f"log line {piece.line}:"
    return f"{piece.kind.value}:"


def _excused(page: _Page, report: Report) -> None:
    if report.excused:
        page.head(f"Suppressed by trace-go.toml: {len(report.excused)}")
    for item in report.excused[:MAX_LINES]:
        page.add(
            (f"  {item.finding.severity.value} ", _SEVERITY[item.finding.severity]), text=prose(item.finding.title)
        )
        page.add(("    ", ""), text=f"{clean(item.finding.key, 120)}: {prose(item.reason)}", style="dim")
    _more(page, len(report.excused) - MAX_LINES, "suppressed finding")


# -- ledger ------------------------------------------------------------------------------------------------------------


class _Row(Struct, frozen=True, kw_only=True):
    """One line of the ledger: a request, or several that agree in what the line shows."""

    group: Sequence[Request]
    what: str

    @property
    def result(self) -> Text:
        broken = self.group[0].failure
        return Text(clean(broken.kind, 40), style="red") if broken else Text(_statuses(self.group))

    @property
    def handler(self) -> Text:
        handled_by = self.group[0].handled_by
        return Text(handled_by.value, style=_HANDLER.get(handled_by, ""))

    @property
    def host(self) -> str:
        return clean(_host(self.group[0]), 120)

    @property
    def time(self) -> str:
        """Of the slowest."""
        return _slowest(item.timings.response_s for item in self.group)


def _ledger(page: _Page, case: Case, *, verbose: bool) -> None:
    if not case.requests:
        return
    failures = [request for request in case.requests if request.failed]
    fine = [request for request in case.requests if not request.failed]
    alike = [[request] for request in failures] if verbose else _grouped(failures, _what)
    groups = [[request] for request in fine] if verbose else _grouped(fine, lambda request: request.artifact.value)
    most, rest, more = (MAX_ROWS, MAX_ROWS, _REST) if verbose else (MAX_FAILURES, MAX_GROUPS, "-v")
    bad = [_row(group, _what(group[0])) for group in alike[:most]]
    good = [_row(group, group[0].artifact.value) for group in groups[:rest]]
    rows, hosts = bad + good, {_host(request) for request in case.requests}
    noun = "row" if len(case.requests) == 1 else "rows"
    head = f"Ledger: {len(case.requests)} {noun}" + (f", {len(failures)} failed" if failures else "")
    page.head(head + (f", all for {clean(min(hosts), 120)}" if len(hosts) == 1 else ""))
    table = Table(box=None, pad_edge=False, header_style="dim", show_edge=False)
    table.add_column("result", overflow="fold", max_width=20)  # the longest kind of failure
    table.add_column("handled by", no_wrap=True)
    table.add_column("request", overflow="fold")
    if len(hosts) > 1:
        table.add_column("host", overflow="fold", max_width=max(24, page.console.width // 4))
    timed = any(row.time for row in rows)
    if timed:
        table.add_column("time", justify="right", no_wrap=True)
    for row in rows:
        cells = [row.result, row.handler, Text(row.what)]
        cells += [Text(row.host)] * (len(hosts) > 1) + [Text(row.time)] * timed
        table.add_row(*cells)
    page.table(table, indent=2)
    hidden = len(failures) - sum(len(row.group) for row in bad)
    for number, noun in ((hidden, "failed requests"), (len(groups) - len(good), "requests" if verbose else "groups")):
        if number:
            page.add(("  ", ""), text=f"and {number:,} more {noun}: {more}", style="dim")


def _grouped(requests: Iterable[Request], what: Callable[[Request], str]) -> list[list[Request]]:
    """Requests that ended alike, are for one host and have the same `what`."""
    groups: dict[tuple[object, ...], list[Request]] = defaultdict(list)
    for request in requests:
        kind = request.failure and request.failure.kind
        groups[kind, request.handled_by, _host(request), what(request)].append(request)
    return list(groups.values())


def _row(group: Sequence[Request], what: str) -> _Row:
    return _Row(group=group, what=_what(group[0]) if len(group) == 1 else f"{len(group)} × {what}")


def _statuses(requests: Sequence[Request]) -> str:
    counts = Counter(_status(request) for request in requests)
    return " ".join(status if len(counts) == 1 else f"{number}×{status}" for status, number in counts.most_common(3))


def _status(request: Request) -> str:
    return str(request.status) if request.status else "open" if request.handled_by is HandledBy.NONE else "ok"


def _host(request: Request) -> str:
    return (request.target.host or request.target.ip or "?") if request.target else "?"


def _what(request: Request) -> str:
    module = f"{request.module}@{request.version}" if request.version else request.module
    path = (request.url or "").partition("://")[2].partition("/")[2]
    path = path.removeprefix("sumdb/").removesuffix("/supported") if "sumdb/" in path else path and f"/{path}"
    times = "twice" if request.repeats == 1 else f"{request.repeats + 1} times"
    repeats = f" (sent {times})" if request.repeats else ""
    return clean(f"{request.artifact.value} {module or path}{repeats}".rstrip(), 240)


# -- rest --------------------------------------------------------------------------------------------------------------


def _unseen(page: _Page, case: Case) -> None:
    items = [item for item in case.seeing if item.visibility is not Visibility.SEEN]
    if items:
        page.head("Not seen directly")
    for item in items:
        page.add((f"  {clean(item.fact, 40)}: ", "bold"), text=f"{item.visibility.value}; {clean(item.why)}")


def _input(page: _Page, report: Report) -> None:
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
    _more(page, len(report.case.files) - MAX_LINES, "file")
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
