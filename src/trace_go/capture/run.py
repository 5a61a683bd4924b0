"""Running the command under observation: its own streams, terminal, signals and exit status; stderr is looked through.

Standard input and output are inherited. Standard error goes through a pipe, or through a pseudo-terminal when ours is a
terminal, so that the command sees what it would have seen. Exit statuses are the shell's (POSIX XCU 2.8.2).
"""

import os
import re
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from msgspec import Struct

from trace_go.capture.priority import give_way
from trace_go.capture.user import invoking_user, private_file
from trace_go.model.errors import PrivilegeError

if sys.platform != "win32":
    import fcntl
    import pty
    import termios

# go writes each line with one write(2): a line that is still unfinished after this long is a prompt or a progress bar.
PARTIAL_LINE_S = 0.05
# Not noticed by a reader. A pipe of ours holds a megabyte that long and a terminal 64 KiB: more than go says.
GATHER_S, TERMINAL_GATHER_S = 0.1, 0.02
# What a daemon left behind may still say. The command's own last words are in the pipe when it exits.
AFTER_EXIT_S = 0.2
# http2debug writes about 11 kB per request: enough for 10,000 requests.
MAX_LOG_BYTES = 128 << 20
# go's longest lines are URLs and quoted server answers; anything longer is a program's own data, shown as it comes.
MAX_LINE_BYTES = 1 << 20
# The most that Linux allows without privilege (/proc/sys/fs/pipe-max-size): the command should never wait for us.
PIPE_BYTES = 1 << 20
CHUNK_BYTES = 1 << 18


class RunResult(Struct, frozen=True, kw_only=True):
    exit_code: int
    """the command's; 128+n when signal n ended it, 127 not found, 126 not executable"""
    started_ns: int
    ended_ns: int
    pid: int | None
    """None when it could not be started"""
    problem: str | None
    """one line: why it could not be started, or what of its log is missing"""


def run(
    argv: Sequence[str],
    *,
    environment: Mapping[str, str],
    extra: Mapping[str, str],
    line_filter: Callable[[str], bool],
    swallow: re.Pattern[bytes] | None = None,
    log_path: Path,
    on_spawn: Callable[[int], None] | None = None,
) -> RunResult:
    """Run argv to its end as the invoking user with `environment` overlaid by `extra`.

    swallow matches whole lines, newline included, that are never shown: cheaper than asking for each.
    line_filter gets each other line of its stderr (without newline; bytes that are not UTF-8 as backslash escapes) and
    says whether to show it. log_path receives the raw stderr. on_spawn is called with the pid. Signals are looked after
    when called from the main thread. Raises OSError when the log cannot be made, PrivilegeError on Windows.
    """
    if sys.platform == "win32":
        raise PrivilegeError(
            "running a command under observation needs Linux or macOS; capture with dumpcap and use `read`"
        )
    with private_file(log_path) as log:
        relay = _Relay(LineGate(line_filter, swallow), log.fileno())
        process: subprocess.Popen[bytes] | None = None

        def forward(number: int, _frame: FrameType | None) -> None:
            if process is not None and not (number in (signal.SIGINT, signal.SIGQUIT) and _in_foreground()):
                with suppress(OSError):
                    process.send_signal(number)

        with _stderr_channel() as channel, _signals(forward, channel):
            started_ns = time.time_ns()
            try:
                process = _spawn(argv, {**environment, **extra}, channel.write_end)
            except OSError as error:
                code = 127 if isinstance(error, FileNotFoundError) else 126
                problem = f"{argv[0]}: {error.strerror or error}"
                return RunResult(exit_code=code, started_ns=started_ns, ended_ns=started_ns, pid=None, problem=problem)
            channel.close_write_end()
            if on_spawn is not None:
                on_spawn(process.pid)
            give_way()  # now that the command has begun with the priority we were given
            ended_ns = relay.pump(channel, process)
        code = process.returncode
        return RunResult(
            exit_code=code if code >= 0 else 128 - code,
            started_ns=started_ns,
            ended_ns=ended_ns,
            pid=process.pid,
            problem=relay.problem,
        )


class LineGate:
    """Sans-IO: takes stderr as it comes, returns what to show: lines when their end is known, or on `release`."""

    def __init__(self, show: Callable[[str], bool], swallow: re.Pattern[bytes] | None = None) -> None:
        self._show, self._swallow = show, swallow
        self._line = b""  # what there is of the unfinished line, up to MAX_LINE_BYTES
        self._held = b""  # the part of it not shown yet
        self._released = False  # a part of it has been shown, so the rest must be too

    @property
    def holding(self) -> bool:
        return bool(self._held)

    def feed(self, data: bytes) -> bytes:
        if self._swallow and b"\n" in data:
            first = data.index(b"\n") + 1 if self._line else 0  # the end of a line that began in an earlier read
            last = data.rindex(b"\n") + 1
            if first < last:
                data = data[:first] + self._swallow.sub(b"", data[first:last]) + data[last:]
        *ends, tail = data.split(b"\n")
        out = [self._finish(end) for end in ends]
        self._line += tail[: MAX_LINE_BYTES - len(self._line)]
        self._held += tail
        if self._released or len(self._held) > MAX_LINE_BYTES:
            out.append(self.release())
        return b"".join(out)

    def release(self) -> bytes:
        """Give up waiting for the end of the line."""
        out, self._held = self._held, b""
        self._released = self._released or bool(out)
        return out

    def end(self) -> bytes:
        """No more will come: a last line without newline is judged as a line."""
        return self._finish(b"")[:-1] if self._line else b""

    def _finish(self, end: bytes) -> bytes:
        line = self._line + end[: MAX_LINE_BYTES - len(self._line)]
        shown = self._show(line.decode("utf-8", "backslashreplace")) or self._released
        out = self._held + end + b"\n" if shown else b""
        self._line, self._held, self._released = b"", b"", False
        return out


class _Channel:
    """The command's stderr: `write_end` is the child's, `read_end` ours. `terminal` when it is a pseudo-terminal."""

    def __init__(self, read_end: int, write_end: int, terminal: bool) -> None:
        self.read_end, self.write_end, self.terminal = read_end, write_end, terminal

    def close_write_end(self) -> None:
        if self.write_end >= 0:
            os.close(self.write_end)
            self.write_end = -1

    def close_read_end(self) -> None:
        if self.read_end >= 0:
            os.close(self.read_end)
            self.read_end = -1

    def copy_window_size(self) -> None:
        if self.terminal:
            with suppress(OSError):
                fcntl.ioctl(self.read_end, termios.TIOCSWINSZ, fcntl.ioctl(2, termios.TIOCGWINSZ, bytes(8)))


@contextmanager
def _stderr_channel() -> Iterator[_Channel]:
    terminal = os.isatty(2)
    if terminal:
        read_end, write_end = pty.openpty()
        with suppress(termios.error):
            attributes = termios.tcgetattr(2)
            attributes[1] &= ~termios.OPOST  # the real terminal does it
            termios.tcsetattr(write_end, termios.TCSANOW, attributes)
    else:
        read_end, write_end = os.pipe()
        if sys.platform == "linux":
            with suppress(OSError):
                fcntl.fcntl(read_end, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    channel = _Channel(read_end, write_end, terminal)
    channel.copy_window_size()
    try:
        yield channel
    finally:
        channel.close_write_end()
        channel.close_read_end()


@contextmanager
def _signals(forward: Callable[[int, FrameType | None], None], channel: _Channel) -> Iterator[None]:
    """Handlers for the time of the run: Python functions, since a child would inherit SIG_IGN.

    What we inherited as ignored (nohup, `&` of a shell without job control) stays ignored, for the command as well.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = dict.fromkeys(
        (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2), forward
    )
    handlers[signal.SIGWINCH] = lambda _number, _frame: channel.copy_window_size()
    before = {number: signal.getsignal(number) for number in handlers}
    try:
        for number, handler in handlers.items():
            if before[number] is not signal.SIG_IGN:
                signal.signal(number, handler)
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def _in_foreground() -> bool:
    """True when the keyboard's ctrl-C goes to our whole process group, hence to the command as well."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)


def _spawn(argv: Sequence[str], environment: Mapping[str, str], stderr: int) -> subprocess.Popen[bytes]:
    user = invoking_user()
    return subprocess.Popen(
        argv,
        stderr=stderr,
        env=environment,
        user=user.uid if user else None,
        group=user.gid if user else None,
        extra_groups=user.groups if user else None,
    )


class _Relay:
    """Moves the command's stderr to ours and to the log until the command is over."""

    def __init__(self, gate: LineGate, log: int) -> None:
        self._gate, self._log, self._room = gate, log, MAX_LOG_BYTES
        self.problem: str | None = None

    def pump(self, channel: _Channel, process: subprocess.Popen[bytes]) -> int:
        """Returns when the process ended, in ns since 1970."""
        exited, tell = os.pipe()
        ended: list[int] = []

        def wait() -> None:
            process.wait()
            ended.append(time.time_ns())
            os.close(tell)

        waiter = threading.Thread(target=wait, name="waiter")
        waiter.start()
        watched = [channel.read_end, exited]
        gather_s = TERMINAL_GATHER_S if channel.terminal else GATHER_S
        stop_at = release_at = float("inf")
        last_words = 0  # bytes in the pipe when the command ended, still to be read
        while watched and (last_words > 0 or time.monotonic() < stop_at):
            pause = min(stop_at, release_at) - time.monotonic()
            ready = select.select(watched, [], [], max(pause, 0) if pause < float("inf") else None)[0]
            if exited in ready:
                watched.remove(exited)
                stop_at = time.monotonic() + AFTER_EXIT_S
                last_words = _waiting(channel.read_end) if channel.read_end in watched else 0
            if channel.read_end in ready:
                chunk = _read(channel.read_end)
                self._keep(chunk)
                last_words -= len(chunk)
                shown = _write_all(self._gate.feed(chunk) if chunk else self._gate.end())
                if not chunk or not shown:
                    watched.remove(channel.read_end)
                elif exited in watched:  # let more come together: being woken for each line would slow the command
                    select.select([exited], [], [], gather_s)
                if not shown:
                    channel.close_read_end()  # nobody reads our stderr any more: the command shall learn it too
            elif time.monotonic() >= release_at:
                _write_all(self._gate.release())
            if not self._gate.holding:
                release_at = float("inf")
            elif release_at == float("inf"):
                release_at = time.monotonic() + PARTIAL_LINE_S
        _write_all(self._gate.end())
        waiter.join()
        os.close(exited)
        return ended[0]

    def _keep(self, chunk: bytes) -> None:
        try:
            self._room -= os.write(self._log, chunk[: self._room])
            if not self._room and not self.problem:
                self.problem = f"the log of the command is cut after {MAX_LOG_BYTES >> 20} MB"
        except OSError as error:
            self._room = 0
            self.problem = f"the log of the command is cut: {error.strerror}"


def _waiting(descriptor: int) -> int:
    """Bytes that can be read at once; 0 also where that is not told."""
    with suppress(OSError):
        return int.from_bytes(fcntl.ioctl(descriptor, termios.FIONREAD, bytes(4)), sys.byteorder)
    return 0


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, CHUNK_BYTES)
    except OSError:  # EIO: the last process closed the pseudo-terminal
        return b""


def _write_all(data: bytes) -> bool:
    """Write to our stderr; False when it is closed."""
    while data:
        try:
            data = data[os.write(2, data) :]
        except BlockingIOError:
            select.select([], [2], [])
        except OSError:
            return False
    return True
