"""Writes docs/corpora.md: where trace-go and tshark differ on captures by other projects, and why."""

import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from corpora.differences import (  # noqa: E402 -- tests is no package
    FOLDER,
    FREE_MB,
    KINDS,
    MOST_S_PER_MB,
    differences,
    reason,
    refused,
    rows,
)

MOST = 3
"""differing values shown of each kind"""
VERDICTS = {
    "equal": "equal in everything that is compared",
    "wrong": "tshark is wrong, or did not look",
    "scope": "out of scope: what tshark shows is not for us to tell",
    "unexplained": "unexplained",
}


def main() -> None:
    told, slowest = [], 0.0
    for row in rows():
        began = time.process_time()
        told.append((row, differences(row)))
        slowest = max(slowest, (time.process_time() - began) / max(row["bytes"] / 1e6, FREE_MB))
    if not told:
        sys.exit(f"no corpora at {FOLDER}")
    if slowest > MOST_S_PER_MB:
        sys.exit(f"a file takes {slowest * 10:.1f} s per 10 MB")
    print(f"{len(told):,} files read, none made it crash; the slowest takes {slowest * 10:.1f} s per 10 MB")
    both = [(row, found) for row, found in told if not refused(row)]
    kept = [_verdict(row, found) for row, found in both]
    counts = {verdict: kept.count(verdict) for verdict in VERDICTS}
    lines = [
        "# Captures by other projects: where trace-go and tshark differ",
        "",
        f"Made by `scripts/compare_corpora.py` from {len(told):,} files, of which tshark 4.0.17 reads {len(both):,}.",
        f"No file made trace-go crash, and none took it more than {MOST_S_PER_MB * 10:.0f} s per 10 MB.",
        "",
        "| of the files that both read | |",
        "|---|---|",
        *(f"| {text} | {_share(counts[verdict], len(both))} |" for verdict, text in VERDICTS.items()),
        f"| right: the first two | {_share(counts['equal'] + counts['wrong'], len(both))} |",
        "",
        "| compared | equal files |",
        "|---|---|",
        *(f"| {kind} | {_share(sum(kind not in found for _, found in both), len(both))} |" for kind in KINDS),
        "",
        "| file | only trace-go | only tshark | | reason |",
        "|---|---|---|---|---|",
    ]
    for row, found in told:
        if found:
            ours, theirs = (_cell(found, side) for side in (0, 1))
            why = reason(row)
            lines.append(
                f"| `{row['file']}` | {ours} | {theirs} | {_verdict(row, found)} | {why.text if why else ''} |"
            )
    (ROOT / "docs" / "corpora.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _verdict(row: dict[str, Any], found: dict[str, Any]) -> str:
    why = reason(row)
    return "equal" if not found else "unexplained" if why is None else "scope" if why.scope else "wrong"


def _share(count: int, of: int) -> str:
    return f"{count:,} ({count / of:.2%})"


def _cell(found: dict[str, tuple[list[str], list[str]]], side: int) -> str:
    told = []
    for kind, values in found.items():
        if shown := [ascii(value)[1:-1].replace("|", "\\|")[:60] for value in values[side][:MOST]]:
            more = f", {len(values[side]) - MOST} more" if len(values[side]) > MOST else ""
            told.append(f"{kind}: {', '.join(f'`{value}`' for value in shown)}{more}")
    return "; ".join(told)


main()
