"""Runs scenarios of the lab once per test session, traced by the real command."""

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT / "tests")}
LIMIT_S = 150


@dataclass(frozen=True, slots=True, kw_only=True)
class Traced:
    """What one traced run left."""

    exit: int
    stderr: str
    report: dict[str, Any]
    served: list[dict[str, Any]]
    folder: Path

    def read(self, *arguments: str) -> tuple[dict[str, Any], int]:
        """The JSON report of `trace-go read` and its exit status."""
        command = [sys.executable, "-m", "trace_go", "read", "--format", "json", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
        assert done.stdout, done.stderr
        return json.loads(done.stdout), done.returncode

    def bundle(self) -> tuple[dict[str, Any], int]:
        return self.read(str(self.folder / "run.zip"))

    def packets_alone(self) -> tuple[dict[str, Any], int]:
        with zipfile.ZipFile(self.folder / "run.zip") as bundle:
            bundle.extract("capture.pcapng", self.folder)
        site = ("--config", str(self.folder / "work" / "trace-go.toml"))
        return self.read(*site, "--trust", str(self.folder / "tmp" / "trust.pem"), str(self.folder / "capture.pcapng"))


@cache
def lab_problem() -> str:
    """Why the lab cannot run here; empty when it can."""
    command = [sys.executable, "-m", "lab", "check"]
    done = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False)
    return "" if done.returncode == 0 else (done.stderr or done.stdout).strip()


@pytest.fixture(scope="session")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Traced]:
    if lab_problem():
        pytest.skip(f"the lab cannot run here: {lab_problem()}")

    @cache
    def run(name: str, *options: str) -> Traced:
        folder = tmp_path_factory.mktemp("lab") / name
        command = [sys.executable, "-m", "lab", "run", name, "--out", str(folder), "--"]
        command += ["trace-go", "--format", "json", "-o", "../report.json", "-w", "../run.zip", *options, "--", "GO"]
        done = subprocess.run(
            command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=LIMIT_S, check=False
        )
        report = folder / "report.json"
        assert report.exists(), done.stderr
        lines = (folder / "served.jsonl").read_text().splitlines()
        return Traced(
            exit=done.returncode,
            stderr=(folder / "stderr").read_text(),
            report=json.loads(report.read_text()),
            served=[json.loads(line) for line in lines],
            folder=folder,
        )

    return run
