"""Makes the captures of the checks again, from runs of the lab: `python scripts/check_captures.py`, or some by ID.

captures/checks/ID/case.toml names the runs: `fires`, its sibling `silent` where all is alike but the fault, and
`regression`, a case that a hasty check gets wrong. Each becomes a bundle.
"""

import shlex
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

from captures import FOLDER, TRACED, keep, small_go
from lab import runs

RUNS = ("fires", "silent", "regression")
CHECKS = FOLDER / "checks"
MAX_BYTES = 60_000  # everybody clones them


def main(names: list[str]) -> int:
    """Remake the captures of the checks called `names`, by default all. Returns 1 when one is not as it must be."""
    failed = False
    for case in sorted(CHECKS / name / "case.toml" for name in names) or sorted(CHECKS.glob("*/case.toml")):
        table = tomllib.loads(case.read_text())
        for run in RUNS:
            with tempfile.TemporaryDirectory(prefix="lab-") as scratch:
                problem = make(case.parent / f"{run}.zip", {"command": table["command"]} | table[run], Path(scratch))
            print(f"{case.parent.name} {run}: {problem or 'made'}", flush=True)
            failed = failed or bool(problem)
    return int(failed)


def make(target: Path, run: dict[str, Any], scratch: Path) -> str:
    """Run a scenario traced and keep its bundle; returns what is wrong with it, or nothing."""
    bundle, change, words = scratch / "run" / "run.zip", run.get("change", ""), [*TRACED, *shlex.split(run["command"])]
    done = runs.run(run["scenario"], bundle.parent, words, change=change, go=small_go(scratch))
    if not bundle.exists():
        return f"ended with {done.returncode}: {done.stderr.strip().splitlines()[-1:]}"
    return keep(bundle, target, MAX_BYTES)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
