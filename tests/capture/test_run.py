"""Running commands: streams, terminal, signals, exit status, the log, and what go says of its settings."""

import os
import pty
import re
import select
import shlex
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace_go.capture.go_env import go_env
from trace_go.capture.run import MAX_LINE_BYTES, LineGate, run

DRIVER = """
import sys, os
from pathlib import Path
from trace_go.capture.run import run
seen = []
def keep(line):
    seen.append(line)
    return not line.startswith("#")
result = run(sys.argv[2:], environment=os.environ, extra={"EXTRA": "yes"}, line_filter=keep, log_path=Path(sys.argv[1]),
             on_spawn=lambda pid: Path(sys.argv[1] + ".pid").write_text(str(pid)))
print(result.exit_code, result.problem, file=open(sys.argv[1] + ".result", "w"))
"""


def driver(log: Path, *argv: str) -> list[str]:
    return [sys.executable, "-c", DRIVER, str(log), *argv]


def traced(log: Path, *argv: str, **options: object) -> tuple[subprocess.CompletedProcess[bytes], str]:
    """The finished tracer process and the text of its RunResult."""
    done = subprocess.run(driver(log, *argv), capture_output=True, timeout=20, check=False, **options)  # type: ignore[call-overload]
    return done, Path(f"{log}.result").read_text().strip()


@pytest.mark.parametrize(
    ("argv", "result"),
    [
        (["true"], "0 None"),
        (["sh", "-c", "exit 7"], "7 None"),
        (["sh", "-c", "kill -9 $$"], "137 None"),
        (["no-such-command-here"], "127 no-such-command-here: No such file or directory"),
        (["/etc"], "126 /etc: Permission denied"),
    ],
)
def test_exit_status_is_the_shells(tmp_path: Path, argv: list[str], result: str) -> None:
    assert traced(tmp_path / "log", *argv)[1] == result


def test_streams_environment_and_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    script = r'cat; echo "$EXTRA"; echo $$; printf "# get x\nshown\n\377raw\n# last" >&2'
    done, result = traced(log, "sh", "-c", script, input=b"typed")
    pid = Path(f"{log}.pid").read_bytes()
    assert (done.stdout, done.stderr, result) == (b"typedyes\n" + pid + b"\n", b"shown\n\xffraw\n", "0 None")
    assert log.read_bytes() == b"# get x\nshown\n\xffraw\n# last"
    assert log.stat().st_mode & 0o777 == 0o600


def test_a_prompt_appears_before_its_line_ends(tmp_path: Path) -> None:
    script = 'printf "Password: " >&2; read answer; echo " ok" >&2; echo "# hidden" >&2'
    process = subprocess.Popen(
        driver(tmp_path / "log", "sh", "-c", script), stdin=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
    )
    assert process.stdin
    assert process.stderr
    assert process.stderr.read(10) == b"Password: "  # would hang if it waited for the newline
    process.stdin.write(b"secret\n")
    assert process.stderr.read() == b" ok\n"
    assert process.wait(10) == 0


@pytest.mark.parametrize("held", [False, True], ids=["", "and a daemon keeps stderr"])
def test_last_words_are_kept_however_many(tmp_path: Path, held: bool) -> None:
    """A pipe holds a megabyte of them when the command is over."""
    script = "import os, sys\nos.write(2, b'# x\\n')\nsys.stdin.read(1)\nos.write(2, (b'#' * 99 + b'\\n') * 9000)\n"
    script += f"if {held} and not os.fork(): sys.stdout.close(); os.close(1); os.execlp('sleep', 'sleep', '3')"
    done, _ = traced(tmp_path / "log", sys.executable, "-c", script, input=b"y")
    assert done.returncode == 0
    assert (tmp_path / "log").stat().st_size == 4 + 900_000


def test_a_daemon_that_keeps_stderr_does_not_keep_us(tmp_path: Path) -> None:
    started = time.monotonic()
    done, result = traced(
        tmp_path / "log", "sh", "-c", "echo hello >&2; sleep 15 >/dev/null & echo $! > " + str(tmp_path / "daemon")
    )
    assert (done.stderr, result) == (b"hello\n", "0 None")
    assert time.monotonic() - started < 8
    os.kill(int((tmp_path / "daemon").read_text()), signal.SIGKILL)


def test_a_reader_that_leaves_is_noticed_by_the_command(tmp_path: Path) -> None:
    endless = "import sys\nwhile True: sys.stderr.write('x' * 99 + chr(10))"
    process = subprocess.Popen(driver(tmp_path / "log", sys.executable, "-c", endless), stderr=subprocess.PIPE)
    assert process.stderr
    process.stderr.read(1000)
    process.stderr.close()
    assert process.wait(10) == 0
    assert (tmp_path / "log.result").read_text().split()[0] in {"1", "120", "141"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_signals_to_the_tracer_reach_the_command(tmp_path: Path, number: signal.Signals) -> None:
    """Without a terminal, also the interrupt: nobody else would send it to the command."""
    script = "import signal, sys\nprint('ready', flush=True)\nsignal.pause()"
    process = subprocess.Popen(
        driver(tmp_path / "log", sys.executable, "-c", script),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert process.stdout
    process.stdout.readline()
    process.send_signal(number)
    assert process.wait(10) == 0
    assert (tmp_path / "log.result").read_text().split()[0] in {str(128 + number), "1"}


def test_ignored_signals_stay_ignored(tmp_path: Path) -> None:
    names = ("SIGHUP", "SIGPIPE")  # Python itself ignores SIGPIPE
    check = f"import signal; print(*(signal.getsignal(getattr(signal, name)) == signal.SIG_IGN for name in {names}))"
    done = subprocess.run(
        ["nohup", *driver(tmp_path / "log", sys.executable, "-S", "-c", check)],
        capture_output=True,
        check=True,
        timeout=20,
    )
    assert done.stdout.split() == [b"True", b"True"]


class Terminal:
    """A process that leads a session of its own on a pseudo-terminal, as under a shell."""

    def __init__(self, argv: list[str]) -> None:
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            os.execvp(argv[0], argv)
        self.text = b""

    def until(self, wanted: bytes) -> bytes:
        while wanted not in self.text:
            assert select.select([self.master], [], [], 10)[0], self.text
            try:
                self.text += os.read(self.master, 4096)
            except OSError:
                raise AssertionError(self.text) from None
        return self.text

    def wait(self) -> int:
        """Everything to the end of the session; the exit status of its leader."""
        while True:
            assert select.select([self.master], [], [], 10)[0], self.text
            try:
                self.text += os.read(self.master, 4096)
            except OSError:  # EIO: all are gone
                return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


@pytest.fixture
def terminal() -> Iterator[Callable[[list[str]], Terminal]]:
    opened: list[Terminal] = []

    def start(argv: list[str]) -> Terminal:
        opened.append(Terminal(argv))
        return opened[-1]

    yield start
    for one in opened:
        os.close(one.master)
        try:
            os.kill(one.pid, signal.SIGKILL)
            os.waitpid(one.pid, 0)
        except (ProcessLookupError, ChildProcessError):
            pass


def test_the_command_sees_a_terminal_of_our_size(tmp_path: Path, terminal: Callable[[list[str]], Terminal]) -> None:
    script = (
        "import os, sys, signal\n"
        "size = lambda: os.get_terminal_size(2)\n"
        "print('tty', [os.isatty(n) for n in (0, 1, 2)], size().columns, flush=True)\n"
        "input()\n"
        "while size().columns == 123: signal.sigtimedwait([], 0.01)\n"
        "print('now', size().columns, flush=True)\n"
        "print('# hidden', file=sys.stderr)\n"
        "print('line', file=sys.stderr)"
    )
    shell = terminal(
        ["sh", "-c", 'stty cols 123; exec "$@"', "sh", *driver(tmp_path / "log", sys.executable, "-c", script)]
    )
    shell.until(b"tty [True, True, True] 123")
    termios.tcsetwinsize(shell.master, (40, 77))  # the kernel sends SIGWINCH to the foreground group
    os.write(shell.master, b"\n")
    shell.until(b"now 77")
    assert shell.wait() == 0
    assert b"hidden" not in shell.text
    assert b"line\r\n" in shell.text
    assert b"\r\r\n" not in shell.text
    assert (tmp_path / "log").read_bytes() == b"# hidden\nline\n"


def test_ctrl_c_ends_the_command_and_not_the_tracer(tmp_path: Path, terminal: Callable[[list[str]], Terminal]) -> None:
    script = (
        "import signal, sys, time\ncount = []\n"
        "signal.signal(signal.SIGINT, lambda *_: count.append(1))\n"
        "print('ready', flush=True)\nwhile not count: signal.sigtimedwait([], 0.01)\n"
        "signal.sigtimedwait([signal.SIGUSR2], 0.3)\n"  # time for a second one, which must not come
        "print('interrupts', len(count), flush=True); sys.exit(9)"
    )
    shell = terminal(driver(tmp_path / "log", sys.executable, "-c", script))
    shell.until(b"ready")
    os.write(shell.master, b"\x03")
    assert shell.wait() == 0
    assert b"interrupts 1" in shell.text
    assert (tmp_path / "log.result").read_text() == "9 None\n"


def test_ctrl_z_stops_and_continues_both(tmp_path: Path, terminal: Callable[[list[str]], Terminal]) -> None:
    go_on = tmp_path / "go-on"
    script = (
        "import os, signal\nprint('pid', os.getpid(), 'ready', flush=True)\n"
        f"while not os.path.exists('{go_on}'): signal.sigtimedwait([], 0.01)\n"
        "print('done')"
    )
    command = driver(tmp_path / "log", sys.executable, "-c", script)
    (tmp_path / "go.sh").write_text("exec " + shlex.join(command))
    shell = terminal(["bash", "--norc", "--noediting", "-i"])
    os.write(shell.master, f"stty -echo; sh {tmp_path / 'go.sh'}\n".encode())
    pid = shell.until(b"ready").split(b"pid ")[1].split()[0].decode()
    os.write(shell.master, b"\x1a")
    shell.until(b"Stopped")
    state = Path("/proc", pid, "stat")
    deadline = time.monotonic() + 10
    while state.read_text().rpartition(")")[2].split()[0] != "T":
        assert time.monotonic() < deadline
    os.write(shell.master, b"fg\n")
    go_on.touch()
    shell.until(b"done")
    os.write(shell.master, b"exit\n")
    shell.wait()
    assert (tmp_path / "log.result").read_text() == "0 None\n"


def test_the_end_of_a_long_log_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trace_go.capture.run.MAX_LOG_BYTES", 10)
    lines: list[str] = []

    def swallow(line: str) -> bool:
        lines.append(line)
        return False

    argv = ["sh", "-c", "printf 'one\ntwo\nthree\nfour\n' >&2"]
    result = run(argv, environment=os.environ, extra={}, line_filter=swallow, log_path=tmp_path / "log")
    assert (tmp_path / "log").read_bytes() == b"one\ntwo\nth"
    assert lines == ["one", "two", "three", "four"]
    assert result.problem == "the log of the command is cut after 0 MB"
    assert 0 < result.started_ns < result.ended_ns


def no_comment(line: str) -> bool:
    return not line.startswith("#")


@given(st.lists(st.sampled_from([b"#a", b"b\xff", b"", b"#", b"c\rd"])), st.lists(st.integers(0, 30)), st.booleans())
def test_gate_shows_the_same_however_the_bytes_arrive(lines: list[bytes], cuts: list[int], ended: bool) -> None:
    data = b"\n".join(lines) + (b"\n" if ended else b"")
    gate = LineGate(no_comment)
    bounds = [0, *sorted(cuts), len(data)]
    shown = b"".join(gate.feed(data[a:b]) for a, b in pairwise(bounds)) + gate.end()
    kept = [line for line in re.findall(rb"[^\n]*\n|[^\n]+$", data) if not line.startswith(b"#")]
    assert shown == b"".join(kept)


def test_a_line_once_shown_in_part_is_shown_to_its_end() -> None:
    seen: list[str] = []

    def swallow(line: str) -> bool:
        seen.append(line)
        return False

    gate = LineGate(swallow)
    assert (gate.feed(b"par"), gate.holding) == (b"", True)
    assert (gate.release(), gate.holding) == (b"par", False)
    assert gate.feed(b"tial\nnext\n") == b"tial\n"
    assert seen == ["partial", "next"]


def test_an_endless_line_is_passed_through_and_not_stored() -> None:
    sizes: list[int] = []

    def measure(line: str) -> bool:
        sizes.append(len(line))
        return False

    gate = LineGate(measure)
    shown = sum(len(gate.feed(b"x" * 100_000)) for _ in range(30)) + len(gate.feed(b"\n"))
    assert shown == 3_000_001
    assert sizes == [MAX_LINE_BYTES]


def fake_go(folder: Path, script: str) -> dict[str, str]:
    go = folder / "go"
    go.write_text("#!/bin/sh\n" + script)
    go.chmod(0o755)
    return {"PATH": f"{folder}:/usr/bin:/bin"}


def test_go_env_of_the_real_go_does_not_switch_toolchains(tmp_path: Path) -> None:
    go = pytest.importorskip("go")
    path = Path(go.__path__[0]) / "bin"
    (tmp_path / "go.mod").write_text("module x\n\ngo 1.99.0\n")
    environment = {
        "PATH": str(path),
        "HOME": str(tmp_path),
        "GOPROXY": "http://127.0.0.1:9/a,direct",
        "GOTOOLCHAIN": "auto",
    }
    told = go_env(environment, None, tmp_path)
    assert told.note is None
    assert told.values["GOPROXY"] == "http://127.0.0.1:9/a,direct"
    assert (told.values["GOTOOLCHAIN"], told.changed) == ("auto", ("GOPROXY",))
    assert told.values["GOMOD"] == str(tmp_path / "go.mod")


@pytest.mark.parametrize(
    ("script", "note"),
    [
        ("echo '[1]'", "`go env -json` gave no answer: go's settings are not known"),
        ("exit 2", "`go env -json` gave no answer: go's settings are not known"),
    ],
)
def test_go_env_says_why_it_knows_nothing(tmp_path: Path, script: str, note: str) -> None:
    told = go_env(fake_go(tmp_path, script), None, tmp_path)
    assert (told.values, told.changed, told.note) == ({}, (), note)


def test_go_env_of_an_old_go_has_no_changes(tmp_path: Path) -> None:
    script = (
        """case $2 in -changed) exit 2;; GOTOOLCHAIN) echo go1.22.1;; *) echo '{"GOPROXY": "direct", "N": 1}';; esac"""
    )
    told = go_env(fake_go(tmp_path, script), None, tmp_path)
    assert told.values == {"GOPROXY": "direct", "GOTOOLCHAIN": "go1.22.1"}
    assert told.changed == ("GOTOOLCHAIN",)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_swallowed_lines_are_whole_lines_however_they_arrive(size: int) -> None:
    text = b"one\nnoise 1\ntwo\nnoise 2\nnoise 3\nnot noise\nnoise with no end"
    gate = LineGate(lambda line: not line.startswith("noise"), re.compile(rb"^noise.*\n", re.MULTILINE))
    shown = b"".join(gate.feed(text[at : at + size]) for at in range(0, len(text), size)) + gate.end()
    assert shown == b"one\ntwo\nnot noise\n"
