"""Makes the captures of the checks again, from runs of the lab: `python scripts/check_captures.py`, or some by ID.

captures/checks/ID/case.toml names the runs: `fires`, its sibling `silent` where all is alike but the fault, and
`regression`, a case that a hasty check gets wrong. Each becomes a bundle.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

from captures import FOLDER, ROOT, contents, private_words, small_go

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
    out = scratch / "run"
    lab = [sys.executable, "-m", "lab", "run", run["scenario"], "--change", run.get("change", "")]
    traced = ["trace-go", "-o", "../report.txt", "-w", "../run.zip", "--", *run["command"].split()]
    words = [*lab, "--out", str(out), "--go", str(small_go(scratch)), "--", *traced]
    done = subprocess.run(
        words, cwd=ROOT, env=os.environ | {"PYTHONPATH": "tests"}, capture_output=True, text=True, check=False
    )
    bundle = out / "run.zip"
    if not bundle.exists():
        return f"ended with {done.returncode}: {done.stderr.strip().splitlines()[-1:]}"
    if bundle.stat().st_size > MAX_BYTES:
        return f"{bundle.stat().st_size} bytes, more than {MAX_BYTES}"
    if private := {word for data in contents(bundle) for word in private_words() if word.encode() in data}:
        return f"holds {sorted(private)}"
    shutil.copyfile(bundle, target)
    return ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
