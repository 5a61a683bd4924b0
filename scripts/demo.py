"""`make demo`: a traced `go mod download` through a proxy that breaks TLS open, in the lab.

Where the lab cannot run, the report of a capture that was made there. That go fails is what the scenario is about: exit
status 0 means that trace-go named the cause.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SCENARIO, CAUSE = "mitm-explicit", "interceptor-in-path"
SHIPPED = "captures/mitm-explicit.zip"
KEPT = Path(".lab/demo")
LAB = [sys.executable, "-m", "lab"]
TRACE_GO = [sys.executable, "-m", "trace_go"]


def main() -> int:
    os.chdir(ROOT)
    os.environ["PYTHONPATH"] = "tests"
    checked = subprocess.run([*LAB, "check"], capture_output=True, text=True, check=False)
    if checked.returncode:
        print(f"demo: {last_line(checked.stderr)}; showing a capture that the lab made", file=sys.stderr)
        print(f"$ trace-go read {SHIPPED}", flush=True)
        return 0 if subprocess.run([*TRACE_GO, "read", SHIPPED], check=False).returncode in (0, 1) else 1
    shutil.rmtree(KEPT, ignore_errors=True)
    print("$ trace-go -w ../run.zip -- go mod download", flush=True)
    traced = ["trace-go", "-w", "../run.zip", "--", "GO"]
    subprocess.run([*LAB, "run", SCENARIO, "--out", str(KEPT), "--", *traced], check=False)
    again = [*TRACE_GO, "read", "--format", "json", str(KEPT / "run.zip")]
    read = subprocess.run(again, capture_output=True, text=True, check=False)
    causes = json.loads(read.stdout)["verdict"]["causes"] if read.stdout else []
    if not causes or causes[0].partition(":")[0] != CAUSE:
        print(f"demo: the cause should be {CAUSE}, found {causes or last_line(read.stderr)}", file=sys.stderr)
        return 1
    print(f"\nThe run is kept: trace-go read {KEPT}/run.zip; the servers' own account is in {KEPT}/served.jsonl.")
    return 0


def last_line(text: str) -> str:
    return text.strip().rpartition("\n")[2]


if __name__ == "__main__":
    sys.exit(main())
