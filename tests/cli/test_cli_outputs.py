"""What happens when output cannot be written: full devices, closed streams, readers that went away."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cli.conftest import CAPTURES, TIMEOUT_S, Run

DEAD = CAPTURES / "mirror-dead.pcap"
FULL = Path("/dev/full")
NO_ROOM = "No space left on device"

pytestmark = pytest.mark.skipif(not FULL.exists(), reason="no /dev/full")


def started(*arguments: str | Path, **streams: Any) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "trace_go", *map(str, arguments)]
    return subprocess.run(command, timeout=TIMEOUT_S, check=False, **streams)


def closed(descriptor: int) -> dict[str, Any]:
    return {"preexec_fn": lambda: os.close(descriptor)}


@pytest.mark.parametrize(
    "arguments",
    [
        ["read", DEAD],
        ["read", "--format", "json", DEAD],
        ["explain"],
        ["explain", "connect-timeout"],
        ["checks", "--format", "json"],
        ["doctor"],
        ["--help"],
        ["--version"],
    ],
)
def test_a_full_device_is_one_line_and_two(arguments: list[str | Path]) -> None:
    with FULL.open("wb") as full:
        done = started(*arguments, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 2
    assert done.stderr.decode() == f"trace-go: standard output cannot be written: {NO_ROOM}\n"


@pytest.mark.parametrize("form", ["terminal", "json"])
def test_a_report_that_its_file_does_not_take_comes_out_all_the_same(form: str, here: Run) -> None:
    done = here("read", "--format", form, "-o", FULL, DEAD)
    assert done.code == 2
    assert done.line == f"trace-go: cannot write the report to {FULL}: {NO_ROOM}"
    assert done.out == here("read", "--format", form, DEAD).out
    assert form == "terminal" or json.loads(done.out)["findings"]


def test_a_reader_that_goes_away_is_no_error() -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    done = started("read", DEAD, stdout=theirs, stderr=subprocess.PIPE)
    os.close(theirs)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize(("path", "code"), [(DEAD, 1), ("missing", 2)])
def test_streams_that_are_closed_or_full_do_not_change_the_status(path: str | Path, code: int) -> None:
    assert started("read", path, stderr=subprocess.PIPE, **closed(1)).returncode == code
    assert started("read", path, stdout=subprocess.PIPE, **closed(2)).returncode == code
    with FULL.open("wb") as full:
        assert started("read", path, stdout=subprocess.PIPE, stderr=full).returncode == code


def test_the_commands_status_stays_when_nobody_takes_the_report() -> None:
    options = ["--no-capture", "--no-probe", "--", "sh", "-c", "echo out; exit 7"]
    with FULL.open("wb") as full:
        done = started(*options, stdout=subprocess.PIPE, stderr=full)
    assert (done.returncode, done.stdout) == (7, b"out\n")
    done = started(*options, stdout=subprocess.PIPE, **closed(2))
    assert (done.returncode, done.stdout) == (7, b"out\n")
    done = started("-o", FULL, *options, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert done.returncode == 7
    assert b"FAILED" in done.stderr
    assert done.stderr.decode().endswith(f"cannot write the report to {FULL}: {NO_ROOM}\n")
