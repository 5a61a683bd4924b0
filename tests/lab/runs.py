"""Runs of scenarios, from outside: each is a process with namespaces of its own, so they may run beside each other."""

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

from lab import scenario, servers, world
from lab.network import LabError
from trace_go.capture import twin

ROOT = Path(__file__).parents[2]
JOBS = os.cpu_count() or 1
LIMIT_S = 150
TWINS = ROOT / ".lab" / "twins"
_BUILDING = Lock()
TRACE_GO = ("trace-go", "--format", "json", "-o", "../report.json", "-w", "../run.zip", "--", "GO")


@dataclass(frozen=True, slots=True, kw_only=True)
class Traced:
    """What one traced run left."""

    exit: int
    stderr: str
    served: Sequence[Mapping[str, Any]]
    reports: Mapping[str, Mapping[str, Any]]  # by input: keys of score.KINDS


def missing(name: str) -> str:
    """What this scenario needs and this machine lacks; empty when it can run."""
    return "; ".join(servers.missing(servers.programs(scenario.load(name))))


def run(
    name: str,
    out: Path,
    command: Sequence[str] = (),
    *,
    change: str = "",
    go: Path | None = None,
    capture: bool = False,
    keys: bool = False,
) -> subprocess.CompletedProcess[str]:
    """`python -m lab run`, with its output. Raises LabError when it takes longer than LIMIT_S."""
    words = [sys.executable, "-m", "lab", "run", name, "--out", str(out.resolve()), "--change", change]
    words += [*(["--go", str(go.resolve())] if go else []), *["--capture"] * capture, *["--keys"] * keys]
    words += ["--", *command] if command else []
    env = os.environ | {"PYTHONPATH": str(ROOT / "tests")}
    try:
        return subprocess.run(
            words, cwd=ROOT, env=env, capture_output=True, text=True, errors="replace", timeout=LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise LabError(f"{name} was not done after {LIMIT_S} s") from None


def traced(name: str, out: Path, *, change: str = "", go: Path | None = None) -> Traced:
    """Run a scenario once under trace-go, captured on both sides of the gateway, and read what it kept in every way.

    Its go is a key-logging twin, of which trace-go knows nothing. Raises LabError when there is no report.
    """
    keyed = logging_keys(go or world.find_go(scenario.load(name, change).go))
    done = run(name, out, TRACE_GO, change=change, go=keyed, capture=True, keys=True)
    report = out / "report.json"
    if not report.exists() or not (out / "served.jsonl").exists():
        raise LabError(done.stderr.strip().rpartition("\n")[2] or f"{name}: no report")
    with zipfile.ZipFile(out / "run.zip") as bundle:
        bundle.extract("capture.pcapng", out)
    (out / "keys.log").touch()  # where nobody came so far as to log one
    site = ["--config", str(out / "work" / "trace-go.toml"), "--trust", str(out / "tmp" / "trust.pem")]
    return Traced(
        exit=done.returncode,
        stderr=(out / "stderr").read_text(errors="replace"),
        served=[json.loads(line) for line in (out / "served.jsonl").read_text().splitlines()],
        reports={
            "live": json.loads(report.read_text()),
            "bundle": read(out / "run.zip"),
            "packets": read(out / "capture.pcapng", *site),
            "keys": read(out / "capture.pcapng", *site, "--keylog", out / "keys.log"),
            "beyond": read(out / "internet.pcap", *site),
        },
    )


def logging_keys(go: Path) -> Path:
    """The key-logging twin of a go program, built when it is not there yet. Raises LabError."""
    environment = os.environ | {"GOCACHE": str(TWINS / "build"), "GOTOOLCHAIN": "local"}
    with _BUILDING:
        try:
            toolchain = twin.selected(str(go), environment, None, ROOT)[0][0]
            return twin.twin(toolchain, environment, TWINS, None, progress=lambda text: print(text, file=sys.stderr))
        except twin.TwinError as error:
            raise LabError(f"no key-logging twin of {go}: {error}") from None


def read(*arguments: str | Path) -> Mapping[str, Any]:
    """The JSON report of `trace-go read`. Raises LabError when there is none."""
    command = [sys.executable, "-m", "trace_go", "read", "--format", "json", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if not done.stdout:
        raise LabError(f"trace-go read: {done.stderr.strip()}")
    report: Mapping[str, Any] = json.loads(done.stdout)
    return report
