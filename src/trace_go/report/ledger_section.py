"""The section of the ledger: failed requests one by one, the others in groups."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct
from rich.table import Table
from rich.text import Text

from trace_go.model.ledger import HandledBy, Request
from trace_go.model.report import Case
from trace_go.report.escape import clean
from trace_go.report.page import REST, Page, slowest

MAX_FAILURES = 12
"""failed requests listed one by one without -v"""
MAX_GROUPS = 40
"""groups of other requests listed without -v"""
MAX_ROWS = 2000
"""rows of the ledger listed with -v: 400 modules"""

_HANDLER = {HandledBy.MITM: "bold magenta", HandledBy.NONE: "red", HandledBy.UNKNOWN: "yellow"}


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
        return slowest(item.timings.response_s for item in self.group)


def draw_ledger(page: Page, case: Case, *, verbose: bool) -> None:
    if not case.requests:
        return
    failures = [request for request in case.requests if request.failed]
    fine = [request for request in case.requests if not request.failed]
    alike = [[request] for request in failures] if verbose else _grouped(failures, _what)
    groups = [[request] for request in fine] if verbose else _grouped(fine, lambda request: request.artifact.value)
    most, rest, more = (MAX_ROWS, MAX_ROWS, REST) if verbose else (MAX_FAILURES, MAX_GROUPS, "-v")
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
    sizes = "; ".join(item.text for item in request.inferred)
    inferred = f"(inferred from sizes: {sizes})" if sizes else ""
    return clean(f"{request.artifact.value} {module or path}{repeats}{inferred}".rstrip(), 240)
