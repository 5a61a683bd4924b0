"""`trace-go explain [ID]`: the page of a check, or the list by group."""

import argparse
import difflib
import shutil
from textwrap import fill

from trace_go.checks.discovery import Check, discover
from trace_go.model.errors import ConfigError

MAX_WIDTH = 120
"""longer lines are hard to read"""


def main(arguments: argparse.Namespace) -> int:
    checks = {check.id: check for check in discover()}
    if arguments.id is None:
        print(listing(tuple(checks.values())))
        return 0
    check = checks.get(arguments.id)
    if check is None:
        close = difflib.get_close_matches(arguments.id, checks, n=1)
        hint = f"did you mean {close[0]}?" if close else "`trace-go explain` lists the checks"
        raise ConfigError(f"no check is called {arguments.id!r}; {hint}")
    meta = check.meta
    print(f"{check.id}\n{'=' * len(check.id)}")
    print(f"severity {meta.severity}, for {meta.audience}, group {meta.group}\n")
    print(f"{check.title}.")
    width = min(shutil.get_terminal_size((MAX_WIDTH, 0)).columns, MAX_WIDTH)
    for head, text in check.sections.items():
        print(f"\n{head}")
        print(fill(text, width, initial_indent="    ", subsequent_indent="    ", break_on_hyphens=False))
    print(f"\nAn example, in trace-go's sources: `trace-go read captures/checks/{check.id}/fires.zip`")
    return 0


def listing(checks: tuple[Check, ...]) -> str:
    """The checks by group, an aligned line each."""
    width = max(len(check.id) for check in checks)
    lines = []
    for group in sorted({check.meta.group for check in checks}):
        lines.append(f"{group}:")
        lines += [f"  {item.id:<{width}}  {item.title}" for item in checks if item.meta.group == group]
    return "\n".join(lines)
