"""`trace-go -- CMD`: the command keeps its output and exit status, whatever becomes of the report."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cli.conftest import Run

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="running commands needs POSIX")

QUIET = ["--no-capture", "--no-probe"]
UNPRIVILEGED = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]


@pytest.mark.parametrize(
    ("script", "code"),
    [("exit 0", 0), ("exit 1", 1), ("exit 77", 77), ("kill -TERM $$", 143), ("kill -KILL $$", 137)],
)
def test_the_exit_status_is_the_commands(script: str, code: int, here: Run) -> None:
    assert here(*QUIET, "--", "sh", "-c", script).code == code


def test_the_commands_output_stays_clean(traced: Run) -> None:
    done = traced(*QUIET, "--", "sh", "-c", "cat; echo told >&2", data=b"given\n")
    assert done.out == "given\n"
    assert done.err.startswith("told\n")
    assert "Ledger" not in done.out
    assert "No Go module request" in done.err or "no module request" in done.err


@pytest.mark.parametrize(
    ("command", "code", "says"),
    [
        ("no-such-program", 127, "No such file"),
        ("./plain-file", 126, "Permission denied"),
        ("./folder", 126, "Permission denied"),
    ],
)
def test_a_command_that_cannot_be_run(command: str, code: int, says: str, tmp_path: Path, here: Run) -> None:
    (tmp_path / "plain-file").write_text("#!/bin/sh\n")
    (tmp_path / "folder").mkdir()
    done = here(*QUIET, "--", command)
    assert done.code == code
    assert says in done.line
    assert command in done.line


def test_everything_behind_the_dashes_is_the_commands(traced: Run) -> None:
    done = traced(*QUIET, "--", "echo", "--version", "--", "-o", "x")
    assert done.out == "--version -- -o x\n"


@pytest.mark.parametrize("name", ["no/such/folder/r.json", "."])
def test_an_unwritable_report_stops_before_the_command(name: str, tmp_path: Path, here: Run) -> None:
    done = here(*QUIET, "-o", name, "--", "touch", "ran")
    assert done.code == 2
    assert f"cannot write the report to {name}" in done.line
    assert not (tmp_path / "ran").exists()


def test_an_unwritable_capture_stops_before_the_command(tmp_path: Path, here: Run) -> None:
    done = here("--no-probe", "-w", "no/such/folder/x.pcapng", "--", "touch", "ran")
    if "no packets" in done.err:
        pytest.skip("capturing is not allowed here")
    assert done.code == 2
    assert "no/such/folder" in done.line
    assert not (tmp_path / "ran").exists()


def test_a_report_that_fails_at_the_end_leaves_the_status_alone(tmp_path: Path, here: Run) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    done = here(*QUIET, "-o", folder / "r", "--", "sh", "-c", f"rmdir {folder}; exit 5")
    assert done.code == 5
    assert done.err.startswith("FAILED ")
    assert f"cannot write the report to {folder}/r: No such file or directory" in done.err


def test_the_reader_of_the_report_goes_away() -> None:
    command = f"{sys.executable} -m trace_go {' '.join(QUIET)} -- sh -c 'exit 5'"
    script = f"{{ {command}; }} 2>&1 >/dev/null | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 5
    assert done.stdout == ""


def test_a_bug_of_ours_does_not_fail_the_build(monkeypatch: pytest.MonkeyPatch, here: Run) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("trace_go.cli.run.judge", broken)
    done = here(*QUIET, "--", "true")
    assert done.code == 0
    assert "RuntimeError: a bug" in done.err


@pytest.mark.parametrize(
    ("script", "options", "code"),
    [("exit 0", [], 0), ("exit 0", ["--fail-on", "note"], 0), ("exit 3", ["--fail-on", "note"], 3)],
)
def test_fail_on(script: str, options: list[str], code: int, here: Run) -> None:
    assert here(*QUIET, *options, "--", "sh", "-c", script).code == code


def test_json_tells_of_the_command(tmp_path: Path, here: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://user:SECRET@proxy.example:3128")
    monkeypatch.setenv("GOPROXY", "https://user:SECRET@mirror.example,direct")
    done = here(*QUIET, "--format", "json", "-o", "r.json", "--", "sh", "-c", "exit 4", "--token=SECRET")
    assert done.code == 4
    text = (tmp_path / "r.json").read_text()
    command = json.loads(text)["command"]
    assert command["exit_code"] == 4
    assert command["argv"][:3] == ["sh", "-c", "exit 4"]
    assert command["environment"]["HTTPS_PROXY"] == "http://user:xxxxx@proxy.example:3128"
    assert command["duration_s"] > 0
    assert "SECRET" not in text


def test_interrupting_the_command_still_reports(tmp_path: Path) -> None:
    """ctrl-C goes to the whole foreground group; the command ends by it and the report is written."""
    process = subprocess.Popen(
        [sys.executable, "-m", "trace_go", *QUIET, "-o", "r.txt", "--", "sh", "-c", "echo up; exec sleep 30"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        cwd=tmp_path,
    )
    assert process.stdout
    assert process.stdout.readline() == "up\n"
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130
    assert (tmp_path / "r.txt").read_text()


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs root, to be without its privileges")
def test_without_privilege_the_report_rests_on_gos_account(tmp_path: Path) -> None:
    log = "# get https://proxy.golang.org/example.com/a/@v/v1.0.0.mod"
    go = tmp_path / "go"  # says what go would say
    go.write_text(
        "#!/bin/sh\n"
        'test "$1" = env && { echo \'{"GOPROXY": "https://proxy.golang.org,direct", "GOVERSION": "go1.27"}\'; exit; }\n'
        f"echo '{log}' >&2; echo '{log}: 403 Forbidden (0.010s)' >&2; exit 1\n"
    )
    go.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONUTF8": "1"}
    words = [
        *UNPRIVILEGED,
        sys.executable,
        "-m",
        "trace_go",
        "--no-probe",
        "--format",
        "json",
        "-o",
        "r.json",
        "--",
        "go",
    ]
    done = subprocess.run(
        [*words, "mod", "download"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("trace-go: no packets: ")
    assert "sudo" in line
    told = json.loads((tmp_path / "r.json").read_text())
    (request,) = told["requests"]
    assert (request["handled_by"], request["status"]) == ("mirror", 403)
    assert [hop["visibility"] for hop in request["hops"]] == ["inferred"]
    assert told["verdict"]["status"] == "failed"
    assert told["verdict"]["causes"] == ["mirror-status-stops-list:proxy.golang.org:403"]
    assert told["capture"]["visibility"][0]["visibility"] == "not observable"
