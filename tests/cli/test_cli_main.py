"""The rest of the command line: what starts fast, pages, lists and the doctor."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from cli.conftest import Run
from trace_go import __version__
from trace_go.checks.discovery import SECTIONS, discover

HEAVY = ("scapy", "pyshark", "networkx", "numpy", "cryptography", "rich", "msgspec", "hpack", "certifi")
IDS = [check.id for check in discover()]


@pytest.mark.parametrize(
    "arguments", [["--version"], ["--help"], ["read", "--help"], ["live", "--help"], ["bogus"], []]
)
def test_nothing_heavy_is_imported_to_say_little(arguments: list[str]) -> None:
    program = (
        "import sys\n"
        "from trace_go.cli.main import main\n"
        f"try: main({arguments!r})\n"
        "except SystemExit: pass\n"
        f"sys.exit(','.join(name for name in {HEAVY!r} if name in sys.modules) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("arguments", [["explain"], ["checks"], ["read", "captures/mirror-dead.pcap"]])
def test_tools_of_the_edge_are_not_imported_to_read(arguments: list[str], captures: object) -> None:
    words = [
        str(captures) + word.removeprefix("captures") if word.startswith("captures") else word for word in arguments
    ]
    program = (
        f"import sys\nfrom trace_go.cli.main import main\nmain({words!r})\n"
        "sys.exit(','.join(name for name in ('scapy', 'pyshark', 'networkx') if name in sys.modules) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_version(here: Run) -> None:
    done = here("--version")
    assert (done.code, done.out, done.err) == (0, f"trace-go {__version__}\n", "")


def test_help_names_commands_and_exit_statuses(here: Run) -> None:
    done = here("--help")
    assert done.code == 0
    for word in ("read FILE", "live -i", "explain", "checks", "doctor", "exit status"):
        assert word in done.out
    assert all(len(line) <= 80 for line in done.out.splitlines())


@pytest.mark.parametrize("name", ["read", "live", "explain", "checks", "doctor"])
def test_each_command_has_help(name: str, here: Run) -> None:
    done = here(name, "--help")
    assert done.code == 0
    assert done.out.startswith(f"usage: trace-go {name}")


def test_list_of_checks(here: Run) -> None:
    listing, table, data = here("explain").out, here("checks").out, here("checks", "--format", "json").out
    rows = json.loads(data)
    assert [row["id"] for row in rows] == IDS
    assert {"id", "group", "severity", "audience", "title", "page"} == set(rows[0])
    assert all(tuple(row["page"]) == SECTIONS and all(row["page"].values()) for row in rows)
    for name in IDS:
        assert f"  {name} " in listing
        assert f"\n{name} " in f"\n{table}"


@pytest.mark.parametrize("name", IDS)
def test_every_page(name: str, here: Run) -> None:
    done = here("explain", name)
    example = done.out.splitlines()[-1].rpartition("trace-go read ")[2].rstrip("`")
    assert (Path(__file__).parents[2] / example).is_file()
    assert done.code == 0
    assert done.out.startswith(f"{name}\n{'=' * len(name)}\nseverity ")
    assert all(len(line) <= 120 for line in done.out.splitlines())


def test_doctor(here: Run) -> None:
    done = here("doctor")
    assert done.code == 0
    lines = done.out.splitlines()
    assert [line.split()[1] for line in lines] == ["trace-go", "capture", "go", "tshark", "namespaces", "trust"]
    assert all(line.split()[0] in ("ok", "missing") for line in lines)


def test_doctor_for_tools(here: Run) -> None:
    rows = json.loads(here("doctor", "--format", "json").out)
    assert {"what", "ok", "text"} == set(rows[0])


def test_doctor_says_what_to_do(monkeypatch: pytest.MonkeyPatch, here: Run) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    done = here("doctor")
    assert done.code == 0
    missing = [line for line in done.out.splitlines() if line.startswith("missing")]
    assert {line.split()[1] for line in missing} >= {"go", "tshark", "namespaces"}
    assert all(len(line.split()) > 4 for line in missing)


@pytest.mark.parametrize("columns", [60, 200])
def test_pages_fit_the_terminal(columns: int, monkeypatch: pytest.MonkeyPatch, here: Run) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = here("explain", "slow-stage").out.splitlines()
    assert all(len(line) <= min(columns, 120) or len(line.split()) == 1 for line in lines[:-1])
    assert max(map(len, lines[:-1])) > min(columns, 120) - 20
