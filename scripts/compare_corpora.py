"""Writes docs/corpora.md: where trace-go and tshark differ on captures by other projects, and why."""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from corpora.differences import FOLDER, KINDS, differences, reason, refused, rows  # noqa: E402 -- tests is no package

MOST = 3
"""differing values shown of each kind"""


def main() -> None:
    told = [(row, differences(row)) for row in rows()]
    if not told:
        sys.exit(f"no corpora at {FOLDER}")
    both = [found for row, found in told if not refused(row)]
    lines = [
        "# Captures by other projects: where trace-go and tshark differ",
        "",
        f"Made by `scripts/compare_corpora.py` from {len(told):,} files, of which tshark 4.0.17 reads {len(both):,}.",
        f"Of these {sum(not found for found in both):,} are equal in everything that is compared.",
        "",
        "| compared | equal files |",
        "|---|---|",
    ]
    for kind in KINDS:
        equal = sum(kind not in found for found in both)
        lines.append(f"| {kind} | {equal:,} ({equal / len(both):.2%}) |")
    lines += ["", "| file | only trace-go | only tshark | reason |", "|---|---|---|---|"]
    for row, found in told:
        if found:
            ours, theirs = (_cell(found, side) for side in (0, 1))
            lines.append(f"| `{row['file']}` | {ours} | {theirs} | {reason(row) or '**none**'} |")
    (ROOT / "docs" / "corpora.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _cell(found: dict[str, tuple[list[str], list[str]]], side: int) -> str:
    told = []
    for kind, values in found.items():
        if shown := [ascii(value)[1:-1].replace("|", "\\|")[:60] for value in values[side][:MOST]]:
            more = f", {len(values[side]) - MOST} more" if len(values[side]) > MOST else ""
            told.append(f"{kind}: {', '.join(f'`{value}`' for value in shown)}{more}")
    return "; ".join(told)


main()
