"""A page of text: lines wrapped to the width of the console, and how times are written on it."""

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table
from rich.text import Text

from trace_go.report.escape import clean

MAX_COMMAND = 2000
REST = "see --format json"
"""where all is, of which a page shows a part"""


class Page:
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
        hang = prefix.cell_len
        if prefix.cell_len > self.console.width // 2:  # too much to hang the rest from
            indent = len(prefix.plain) - len(prefix.plain.lstrip())
            prefix, body = prefix[:indent], prefix[indent:] + body
            hang = indent + 2
        room = max(self.console.width - hang, 20)
        for number, part in enumerate(body.wrap(self.console, room) or [Text()]):
            line = (prefix if not number else Text(" " * hang)) + part
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

    def more(self, number: int, noun: str) -> None:
        """What a bound leaves out."""
        if number > 0:
            self.lines.append(Text())
            self.add(("  ", ""), text=f"and {number:,} more {noun}{'s' * (number > 1)}, {REST}", style="dim")


def slowest(times: Iterable[float | None]) -> str:
    """`12 ms`, or `≤ 12 ms` for times that are not all the same; empty when none is known."""
    known = [seconds(time) for time in sorted(time for time in times if time is not None)]
    bound = "≤ " if known and known[0] != known[-1] else ""
    return f"{bound}{known[-1]}" if known else ""


def seconds(value: float) -> str:
    """`<1 ms` (go's log has whole milliseconds), `<0.1 ms`, `0.3 ms`, `12 ms`, `1.25 s`."""
    if value <= 0:
        return "<1 ms"
    if value < 0.0001:
        return "<0.1 ms"
    if value >= 1:
        return f"{value:.2f} s"
    return f"{value * 1000:.0f} ms" if value >= 0.01 else f"{value * 1000:.1f} ms"
