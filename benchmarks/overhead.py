"""What tracing costs the traced command: pairs of the same `go` command with and without trace-go, inside the lab.

A stand-in named `go` comes first in PATH and measures the real one from its start to its end, in both runs of a pair
alike; the time of trace-go before and after the command is reported apart. Every run has an empty module cache. Each
turn has two untraced runs: a traced one is held against their mean, and the two against each other show how far equal
runs lie apart on this machine.
`bench.py` starts this as `python -m lab run SCENARIO --out DIR -- python overhead.py TRACE_GO PAIRS RESULT GO`.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

STAND_IN = """#!{python}
import os, subprocess, sys, time
if sys.argv[1:2] != {verb!r}:
    os.execv({go!r}, ["go", *sys.argv[1:]])
began = time.perf_counter()
status = subprocess.call([{go!r}, *sys.argv[1:]])
with open(os.environ["BENCH_WALL"], "w") as out:
    out.write(str(time.perf_counter() - began))
sys.exit(status)
"""

TELLING = {"GOFLAGS": f"{os.environ.get('GOFLAGS', '')} -x".strip(), "GODEBUG": "http2debug=2"}


def run_once(command: list[str], stand_in: Path, environment: dict[str, str]) -> tuple[float, float]:
    """Wall seconds of the go command and of everything, in a new copy of the module. Raises CalledProcessError."""
    with tempfile.TemporaryDirectory() as scratch:
        work, wall = Path(scratch) / "work", Path(scratch) / "wall"
        work.mkdir()
        shutil.copy("go.mod", work)
        changes = {"GOPATH": f"{scratch}/gopath", "GOMODCACHE": f"{scratch}/modcache", "BENCH_WALL": str(wall)}
        path = f"{stand_in.parent}{os.pathsep}{os.environ['PATH']}"
        began = time.perf_counter()
        changes |= environment | {"PATH": path}
        none = subprocess.DEVNULL
        subprocess.run(command, cwd=work, env=os.environ | changes, check=True, stdout=none, stderr=none)
        return float(wall.read_text()), time.perf_counter() - began


def main(trace_go: str, pairs: str, result: str, *command: str) -> None:
    """Run the pairs in changing order, after a turn that does not count; write RESULT as JSON."""
    go = shutil.which(command[0]) or command[0]
    with tempfile.TemporaryDirectory() as scratch:
        stand_in = Path(scratch) / "go"
        stand_in.write_text(STAND_IN.format(python=sys.executable, go=go, verb=list(command[1:2])))
        stand_in.chmod(0o755)
        ways = {
            "traced": [trace_go, "-o", os.devnull, "--", *command],
            "untraced": list(command),
            "again": list(command),
            "telling": list(command),
        }
        rows = []
        for turn in range(int(pairs) + 1):
            order = (list(ways) * 2)[turn % len(ways) :][: len(ways)]
            rows.append({way: run_once(ways[way], stand_in, TELLING if way == "telling" else {}) for way in order})
    rows = rows[1:]
    walls = [{way: one[0] for way, one in row.items()} for row in rows]
    changes, telling = (
        [(2 * row[way] / (row["untraced"] + row["again"]) - 1) * 100 for row in walls] for way in ("traced", "telling")
    )
    account = {
        "overhead_pct": round(statistics.median(changes), 2),
        "telling_pct": round(statistics.median(telling), 2),
        "control_pct": round(statistics.median((row["again"] / row["untraced"] - 1) * 100 for row in walls), 2),
        "quartiles_pct": [round(edge, 1) for edge in statistics.quantiles(changes, n=4)[::2]],
        "untraced_s": round(statistics.median(row["untraced"][0] for row in rows), 3),
        "around_s": round(statistics.median(row["traced"][1] - row["traced"][0] for row in rows), 3),
    }
    Path(result).write_text(json.dumps(account))


if __name__ == "__main__":
    main(*sys.argv[1:])
