"""Real runs of the lab: each scenario's command ends as its truth says, and what the servers saw is written down."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lab import board

TESTS = Path(__file__).parents[1]


def lab(*words: str) -> subprocess.CompletedProcess[str]:
    command, env = [sys.executable, "-m", "lab", *words], os.environ | {"PYTHONPATH": str(TESTS)}
    return subprocess.run(command, env=env, cwd=TESTS.parent, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module", autouse=True)
def _needs_the_lab() -> None:
    if (checked := lab("check")).returncode:
        pytest.skip(checked.stderr.strip())


def served(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "served.jsonl").read_text().splitlines()]


pytestmark = pytest.mark.lab


def test_scenarios_run_beside_each_other_and_end_as_told(tmp_path: Path) -> None:
    result = lab("run", "mirror-404-direct", "connect-proxy-407", "healthy-ipv6", "--jobs", "3", "--out", str(tmp_path))
    assert result.returncode == 0, result.stdout
    assert result.stdout.endswith("3 of 3 as told, 0 skipped\n")
    assert {row["client"] for row in served(tmp_path / "healthy-ipv6")} == {"2001:db8:1::2"}
    assert {row["host"] for row in served(tmp_path / "mirror-404-direct")} > {"git.corp.example", "proxy.golang.org"}


def test_score_fails_when_the_truth_is_another(tmp_path: Path) -> None:
    before = board.RESULTS.read_bytes()
    result = lab("score", "mirror-refused", "--change", "truth.cause = 'connect-timeout'", "--out", str(tmp_path))
    assert result.returncode == 1, result.stderr
    assert "WORSE mirror-refused" in result.stdout
    assert "worse: live: cause" in result.stdout
    assert board.RESULTS.read_bytes() == before


def test_repeated_runs_are_alike(tmp_path: Path) -> None:
    result = lab("score", "mirror-refused", "--repeat", "3", "--out", str(tmp_path))
    assert result.returncode == 0, result.stdout
    assert result.stdout == "3 runs of 1 scenarios, 0 unlike the first of their scenario\n"


def test_hundred_modules_are_verified_and_served_by_the_mirror(tmp_path: Path) -> None:
    result = lab("run", "healthy-100", "--out", str(tmp_path), "--capture")
    assert result.returncode == 0, result.stderr
    rows = served(tmp_path)
    assert {row["host"] for row in rows} == {"proxy.golang.org"}
    assert {row["client"] for row in rows} == {"192.0.2.2"}
    assert sum(row["uri"].endswith(".zip") for row in rows) == 100
    assert sum("/lookup/" in row["uri"] for row in rows) == 100
    client, internet = ((tmp_path / name).read_bytes() for name in ("client.pcap", "internet.pcap"))
    assert len(client) > 100 * 20_000
    assert len(internet) == len(client)


def test_command_stands_for_the_scenarios_own(tmp_path: Path) -> None:
    script = 'echo "$PWD $HTTPS_PROXY $#: $*"; exit 9'
    result = lab("run", "connect-proxy", "--out", str(tmp_path), "--", "sh", "-c", script, "sh", "GO")
    assert result.returncode == 9
    assert result.stdout == f"{tmp_path}/work http://proxy.corp.example:3128 3: go mod download\n"
    assert (tmp_path / "stdout").read_text() == result.stdout
    assert (tmp_path / "exit").read_text() == "9\n"
