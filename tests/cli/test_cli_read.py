"""`trace-go read`: exit statuses, and one clear line for whatever cannot be read."""

import array
import ctypes
import gzip
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from cli.conftest import CAPTURES, Run
from trace_go.cli import common

if sys.platform != "win32":
    import fcntl
    import termios

HEALTHY, DEAD, BUNDLE = (CAPTURES / name for name in ("healthy-mirror.pcap", "mirror-dead.pcap", "mitm-explicit.zip"))

BAD = {
    "missing": (None, "No such file"),
    "empty": (b"", "is empty"),
    "random": (random.Random(7).randbytes(5000), "not a pcap"),
    "text": (b"GET / HTTP/1.1\r\n\r\n" * 100, "not a pcap"),
    "folder": ("", "Is a directory"),
    "header cut off": (HEALTHY.read_bytes()[:10], "ends in its file header"),
    "gzip cut off": (gzip.compress(HEALTHY.read_bytes())[:20], ""),
    "gzip of rubbish": (gzip.compress(b"rubbish" * 100), "not a pcap"),
    "zip that is no bundle": (b"PK\3\4" + bytes(100), "not a pcap"),
}


def make(folder: Path, content: bytes | str | None) -> Path:
    path = folder / "x.pcap"
    if content == "":
        path.mkdir()
    elif isinstance(content, bytes):
        path.write_bytes(content)
    return path


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_read_is_one_line_and_two(name: str, tmp_path: Path, here: Run) -> None:
    content, says = BAD[name]
    path = make(tmp_path, content)
    done = here("read", path)
    assert done.code == 2
    assert done.line.startswith("trace-go: ")
    assert str(path) in done.line
    assert says in done.line
    assert done.out == ""  # a page about nothing hides the line
    assert done.line.count(str(path)) == 1


@pytest.mark.parametrize("name", BAD)
def test_json_is_written_all_the_same(name: str, tmp_path: Path, here: Run) -> None:
    done = here("read", "--format", "json", make(tmp_path, BAD[name][0]))
    assert done.code == 2
    (file,) = json.loads(done.out)["capture"]["files"]
    assert file["problem"]
    assert file["packets"] == 0


def test_a_cut_off_capture_is_read_as_far_as_it_goes(tmp_path: Path, here: Run) -> None:
    path = tmp_path / "cut.pcap"
    data = DEAD.read_bytes()
    path.write_bytes(data[: len(data) - 7])
    done = here("read", path)
    assert done.code == 2
    assert "cut off" in done.line
    assert done.out.startswith("FAILED ")
    assert "proxy.golang.org" in done.out


def test_one_bad_file_of_several_does_not_hide_the_others(tmp_path: Path, here: Run) -> None:
    bad = tmp_path / "bad.pcap"
    bad.write_bytes(b"no capture at all")
    done = here("read", HEALTHY, bad, tmp_path / "missing.pcap", DEAD)
    assert done.code == 2
    assert done.err.count("\n") == 2
    assert "bad.pcap" in done.err
    assert "missing.pcap" in done.err
    assert "connection" in done.out
    assert "does not answer" in done.out
    assert "packet 5 of" in done.out or "of " in done.out  # several files: evidence names its own


def give_up_override() -> None:
    """Root reads everything but without CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH (prctl: PR_CAPBSET_DROP)."""
    if os.geteuid() == 0:
        for capability in (1, 2):
            ctypes.CDLL(None).prctl(24, capability)


@pytest.mark.skipif(sys.platform != "linux" and os.geteuid() == 0, reason="root reads everything")
@pytest.mark.parametrize("name", ["secret.pcap", "secret", "."])
def test_what_may_not_be_read(name: str, tmp_path: Path) -> None:
    """A file, a folder, and a folder with both beside a capture, which is reported."""
    shutil.copy(DEAD, tmp_path / "secret.pcap")
    shutil.copy(DEAD, tmp_path / "open.pcap")
    (tmp_path / "secret").mkdir()
    for path in (tmp_path / "secret.pcap", tmp_path / "secret"):
        path.chmod(0)
    done = subprocess.run(
        [sys.executable, "-m", "trace_go", "read", tmp_path / name],
        preexec_fn=give_up_override,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout.startswith("FAILED ") == (name == ".")
    lines = done.stderr.splitlines()
    assert len(lines) == (2 if name == "." else 1)
    for line in lines:
        assert "secret" in line
        assert "cannot be opened: Permission denied; make it readable" in line


def test_links_that_lead_nowhere(tmp_path: Path, here: Run) -> None:
    """Loops of links, to folders and to themselves, are told or left alone; a folder is not entered twice."""
    shutil.copy(DEAD, tmp_path / "x.pcap")
    (tmp_path / "self").symlink_to(".")
    assert here("read", tmp_path).err == ""
    (tmp_path / "one").symlink_to("other")
    (tmp_path / "other").symlink_to("one")
    done = here("read", tmp_path / "one")
    assert done.code == 2
    assert "Too many levels of symbolic links" in done.line
    done = here("read", tmp_path)
    assert done.code == 2
    assert done.out.startswith("FAILED ")
    assert done.err.count("Too many levels of symbolic links") == 2


def test_standard_input(traced: Run) -> None:
    done = traced("read", "-", data=DEAD.read_bytes())
    assert done.code == 1
    assert done.out.startswith("FAILED ")
    assert done.err == ""


def test_empty_standard_input(traced: Run) -> None:
    done = traced("read", "-")
    assert done.code == 2
    assert "standard input" in done.line


def test_a_file_name_that_is_no_utf8(tmp_path: Path, traced: Run) -> None:
    name = os.fsdecode(b"caf\xe9\x1b[31m.pcap")
    shutil.copy(DEAD, tmp_path / name)
    for form in ("terminal", "json"):
        done = traced("read", "--format", form, name)
        assert done.code == 1
        assert "\x1b" not in done.out


@pytest.mark.parametrize("name", ["--help.pcap", "-x.pcap"])
def test_a_file_name_that_looks_like_an_option(name: str, tmp_path: Path, here: Run) -> None:
    shutil.copy(DEAD, tmp_path / name)
    assert here("read", "--", name).code == 1


# -- exit statuses and selection ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("capture", "options", "code"),
    [
        (HEALTHY, [], 0),
        (HEALTHY, ["--fail-on", "note"], 0),
        (DEAD, [], 1),
        (DEAD, ["--fail-on", "note"], 1),
        (DEAD, ["--ignore", "connect-timeout"], 0),
        (DEAD, ["--select", "connect-timeout"], 1),
        (DEAD, ["--select", "plain-http-mirror"], 0),
        (BUNDLE, [], 1),
    ],
)
def test_exit_status(capture: Path, options: list[str], code: int, here: Run) -> None:
    done = here("read", *options, capture)
    assert done.code == code
    assert done.err == ""


def test_suppressed_findings_are_counted(here: Run) -> None:
    done = here("read", "--format", "json", "--ignore", "connect-timeout", DEAD)
    told = json.loads(done.out)
    assert (told["findings"], told["suppressed"]) == ([], 1)


def test_a_bundle_has_its_log_and_says_so(here: Run) -> None:
    told = json.loads(here("read", "--format", "json", BUNDLE).out)
    assert told["command"]["argv"] == ["go", "mod", "download"]
    assert {request["handled_by"] for request in told["requests"]} == {"mitm"}
    assert all(request["url"] for request in told["requests"])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["read", BUNDLE, HEALTHY], "read it alone"),
        (["read", "--select", "nonsense", HEALTHY], "no check is called 'nonsense'"),
        (["read", "--ignore", "nonsense", HEALTHY], "no check is called 'nonsense'"),
        (["read", "--fail-on", "bogus", HEALTHY], "--fail-on"),
        (["read", "--format", "yaml", HEALTHY], "--format"),
        (["read", "--trust", "no.pem", HEALTHY], "no.pem"),
        (["read", "--config", "no.toml", HEALTHY], "no.toml: No such file or directory"),
        (["read", "--config", ".", HEALTHY], "Is a directory"),
        (["read", "-o", "no/such/folder", HEALTHY], "no/such/folder"),
        (["read", "-o", ".", HEALTHY], "cannot write the report to ."),
        (["read"], "FILE"),
        (["live"], "-i/--interface"),
        (["live", "-i", "lo", "-c", "0"], "--count"),
        (["live", "-i", "lo", "-a", "-1"], "--duration"),
        (["explain", "nonsense"], "no check is called 'nonsense'"),
        (["explain", "interceptor-in-pth"], "did you mean interceptor-in-path?"),
        ([], "nothing to do"),
        (["--"], "nothing to do"),
        (["live", "-i", "lo", "-a", "soon"], "'soon' is no number of seconds"),
        (["bogus"], "'bogus' is no command"),
        (["red", HEALTHY], "did you mean `trace-go read`?"),
        ([HEALTHY], "write `trace-go read "),
        (["go", "mod", "download"], "trace-go -- go"),
        (["--bogus", "--", "true"], "--bogus"),
    ],
)
def test_usage_errors_are_one_line(arguments: list[str], says: str, here: Run) -> None:
    done = here(*arguments)
    assert done.code == 2
    assert says in done.line
    assert done.out == ""


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("mirrors = [\n", "bad.toml: no valid TOML"),
        ("# a comment\n\nmirrors = 'a.example'\n", "bad.toml: line 3: mirrors must be a list"),
        ("mirors = []\n", "bad.toml: line 1: mirors is unknown"),
        ("mirrors = ['https://a.example/']\n", "line 1: mirrors: 'https://a.example/' is no host"),
        ("public-roots = 'none.pem'\n", "none.pem"),
    ],
)
@pytest.mark.parametrize("given", [True, False])
def test_a_bad_configuration_names_file_and_line(text: str, says: str, given: bool, tmp_path: Path, here: Run) -> None:
    name = "bad.toml" if given else "trace-go.toml"
    (tmp_path / name).write_text(text)
    done = here("read", *(["--config", name] if given else []), HEALTHY)
    assert done.code == 2
    assert says.replace("bad.toml", name) in done.line


def test_a_configuration_that_is_no_text(tmp_path: Path, here: Run) -> None:
    (tmp_path / "bad.toml").write_bytes(b"# caf\xe9\n")
    assert "bad.toml: no UTF-8" in here("read", "--config", "bad.toml", HEALTHY).line


def test_the_configuration_of_the_folder_counts(tmp_path: Path, here: Run) -> None:
    (tmp_path / "trace-go.toml").write_text("mirrors = ['mirror.corp.example']\n")
    assert here("read", HEALTHY).code == 0


# -- output ------------------------------------------------------------------------------------------------------------


def test_output_file(tmp_path: Path, here: Run) -> None:
    done = here("read", "--format", "json", "-o", tmp_path / "r.json", DEAD)
    assert (done.code, done.out, done.err) == (1, "", "")
    assert json.loads((tmp_path / "r.json").read_text())["schema"] == "trace-go/1"


@pytest.mark.parametrize(
    ("options", "env", "coloured"),
    [
        ([], {}, False),
        (["--color", "always"], {}, True),
        (["--color", "always"], {"NO_COLOR": "1"}, True),
        (["--color", "never"], {"FORCE_COLOR": "1"}, False),
        ([], {"FORCE_COLOR": "1"}, False),
    ],
)
def test_colour_when_piped(options: list[str], env: dict[str, str], coloured: bool, traced: Run) -> None:
    done = traced("read", *options, DEAD, env=env)
    assert ("\x1b[" in done.out) == coloured


@pytest.mark.parametrize(
    ("options", "env", "coloured"),
    [
        ("", {}, True),
        ("", {"NO_COLOR": "1"}, False),
        ("", {"NO_COLOR": ""}, True),
        ("", {"TERM": "dumb"}, False),
        ("--color never", {}, False),
        ("--color always", {"TERM": "dumb"}, True),
    ],
)
def test_colour_on_a_terminal(options: str, env: dict[str, str], coloured: bool) -> None:
    command = f"{sys.executable} -m trace_go read {options} {DEAD}"
    done = subprocess.run(
        ["script", "-qec", command, "/dev/null"],
        capture_output=True,
        env={**os.environ, "TERM": "xterm-256color", **env},
        stdin=subprocess.DEVNULL,
        timeout=60,
        check=False,
    )
    assert b"FAILED" in done.stdout
    assert (b"\x1b[" in done.stdout) == coloured


@pytest.mark.parametrize("arguments", [["--help"], ["explain", "interceptor-in-path"], ["read", str(DEAD)]])
@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_poor_encodings(arguments: list[str], encoding: str, traced: Run) -> None:
    done = traced(*arguments, env={"PYTHONIOENCODING": f"{encoding}:strict", "PYTHONUTF8": "0"})
    assert "Traceback" not in done.err
    assert done.out


@pytest.mark.parametrize(
    "command", ["--help", "checks", "explain", "read {dead}", "read --format json {dead}", "doctor"]
)
def test_the_reader_of_our_output_goes_away(command: str) -> None:
    words = command.format(dead=DEAD)
    script = f"set -o pipefail; {sys.executable} -m trace_go {words} | true"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""
    assert done.returncode in (0, 1)


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_interrupting_is_no_traceback() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "trace_go", "read", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin
    process.stdin.write(DEAD.read_bytes())
    process.stdin.flush()
    waiting = array.array("i", [1])
    while waiting[0]:  # until it has taken what there is, and waits for more
        fcntl.ioctl(process.stdin, termios.FIONREAD, waiting)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err == b""


# -- progress ----------------------------------------------------------------------------------------------------------


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("after_s", "terminal", "shown"), [(0.0, True, True), (60.0, True, False), (0.0, False, False)]
)
def test_progress_shows_when_it_takes_long(
    after_s: float, terminal: bool, shown: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    err = _Terminal() if terminal else io.StringIO()
    monkeypatch.setattr(sys, "stderr", err)
    monkeypatch.setattr(common, "PROGRESS_AFTER_S", after_s)
    monkeypatch.setenv("TERM", "xterm")
    with common.progress_bar() as progress:
        progress("a\x1b[2J[red].pcap", 10, 100)
        progress("a\x1b[2J[red].pcap", 50, None)
    assert ("reading a\\x1b[2J[red].pcap" in err.getvalue()) == shown
    assert "\x1b[2J" not in err.getvalue()


@pytest.mark.parametrize(
    ("config", "code", "says"),
    [
        ('public-roots = "/dev/zero"\n', 1, ""),
        ("a." * 20_000 + "b = 1", 2, "over 32,768 bytes"),
    ],
    ids=["a file of this machine", "takes tomllib square time"],
)
def test_a_hostile_bundles_configuration(here: Run, tmp_path: Path, config: str, code: int, says: str) -> None:
    with zipfile.ZipFile(BUNDLE) as archive:
        archive.extractall(tmp_path / "b")
    (tmp_path / "b" / "public-roots.pem").unlink(missing_ok=True)
    (tmp_path / "b" / "trace-go.toml").write_text(config, "utf-8")
    done = here("read", tmp_path / "b")
    assert done.code == code
    assert says in done.err
    assert code == 1 or done.line.startswith(f"trace-go: {tmp_path}/b: trace-go.toml: ")


def test_the_rest_of_an_endless_line_is_no_line(here: Run, tmp_path: Path) -> None:
    with zipfile.ZipFile(BUNDLE) as archive:
        archive.extractall(tmp_path / "b")
    log = tmp_path / "b" / "go.log"
    log.write_bytes(b"\xff" * (3 << 20) + b"# get https://endless.example/\n" + log.read_bytes())
    done = here("read", "--format", "json", tmp_path / "b")
    assert json.loads(done.out)["requests"]
    assert "endless.example" not in done.out


def test_a_finding_is_suppressed_with_a_reason(tmp_path: Path, here: Run) -> None:
    site = tmp_path / "site.toml"
    site.write_text('[[suppress]]\nfinding = "connect-timeout:*"\nreason = "known outage"\n')
    done = here("read", "--format", "json", "--config", site, DEAD)
    told = json.loads(done.out)
    assert (done.code, told["findings"], told["suppressed"]) == (0, [], 1)
    assert [(item["id"], item["reason"]) for item in told["suppressions"]] == [("connect-timeout", "known outage")]
    assert "known outage" in here("read", "--config", site, DEAD).out


def test_a_suppressed_check_must_exist(tmp_path: Path, here: Run) -> None:
    site = tmp_path / "site.toml"
    site.write_text('[[suppress]]\nfinding = "nonsense:x"\nreason = "y"\n')
    done = here("read", "--config", site, HEALTHY)
    assert done.code == 2
    assert "suppress: no check is called 'nonsense'" in done.err


def test_two_vantages(tmp_path: Path, here: Run) -> None:
    """The same capture as both: everything is relayed, at once."""
    far = tmp_path / "gateway.pcap"
    shutil.copyfile(HEALTHY, far)
    done = here("read", HEALTHY, "--beyond", far)
    assert done.code == 0
    assert "Beyond the gateway" in done.out
    assert "relayed proxy.golang.org" in done.out
    assert "terminated" not in done.out
    found = json.loads(here("read", "--format", "json", HEALTHY, "--beyond", far).out)
    assert {item["relation"] for item in found["crossings"]} == {"relayed"}
    assert all(item["packet"] == item["beyond_packet"] and item["beyond_file"] == 1 for item in found["crossings"])
    assert len(found["capture"]["files"]) == 2


def test_a_second_vantage_that_cannot_be_read_is_told(tmp_path: Path, here: Run) -> None:
    (tmp_path / "x").write_bytes(b"nothing")
    done = here("read", HEALTHY, "--beyond", tmp_path / "x")
    assert "Beyond the gateway" not in done.out  # nothing is known of what was seen there
    assert "not a pcap" in done.out
