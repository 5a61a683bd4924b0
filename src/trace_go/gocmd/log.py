"""What the go command prints on stderr with `-x` and GODEBUG=http2debug=2, line by line.

Sources below cmd/go/internal: web/http.go (`# get`), modfetch/codehost/codehost.go and vcs/vcs.go (version control),
auth/auth.go, modload/search.go and search/search.go (`# ignoring directory`). http2log.py has the lines of http2debug.
"""

import re
from collections import defaultdict, deque

from msgspec.structs import replace

from trace_go.gocmd.http2log import Http2Reader
from trace_go.gocmd.messages import parse_error, starts_error
from trace_go.model.go import Fetch, GoError, GoLog, VcsCommand

MAX_LINE_CHARS = 8_192
"""ours: of a longer line only this much is read; http2debug quotes 256 bytes of a body, and signed URLs have 2,000"""
MAX_RECORDS = 100_000
"""ours, of each kind: five requests for each of 20,000 modules"""
MAX_ERRORS = 10_000
"""ours"""
MAX_ERROR_LINES = 16
"""web.HTTPError shows eight lines of the server's answer at most"""
MAX_ERROR_CHARS = 4_096
"""ours: a URL, a module, and 648 characters of the server's answer"""

_TOOLS = "git|hg|svn|fossil|bzr"
_GET = re.compile(r"# get (?P<url>[a-z][a-z0-9+.-]*:/\S*?)(?:: (?P<end>.+))?")
_ANSWER = re.compile(r"(?P<status>\d{3})(?: (?P<reason>.*?))? \((?P<elapsed>\d+\.\d{3})s\)")
_WORK_DIR = re.compile(r"(?:mkdir -p|#) (?P<directory>\S.*?) (?:#|for) (?:git\d*|vcs\d+\.\w+) (?P<remote>\S+)")
_LOCK = re.compile(r"# lock \S.*[/\\][0-9a-f]{64}\.lock")
_RUN = re.compile(rf"(?:(?P<elapsed>\d+\.\d{{3}})s # )?cd (?P<directory>\S.*?); (?P<command>(?:{_TOOLS}) .*)")
_CHANGE = re.compile(r"cd (?P<directory>(?:/|[A-Za-z]:[/\\]).*)")
_BARE_RUN = re.compile(rf"(?:{_TOOLS}) .*")
_IGNORED = re.compile(r"# ignoring directory (?:/|[A-Za-z]:[/\\]).*")
_WORK = re.compile(r"WORK=(?:/|[A-Za-z]:[/\\]).*go-build\d+")
"""of `go list -json`, which looks whether packages are stale (work/action.go)"""
_AUTH = re.compile(r"GOAUTH encountered errors for [a-z]+://\S+:|malformed URL from 'git credential fill' \(.*")
_AUTH_DETAIL = re.compile(r"  GOAUTH=\S.*")
_MUTE = (_LOCK, _IGNORED, _WORK)
_REMOTE = re.compile(r"(?:https?|ssh|git|svn(?:\+ssh)?|file)://[^\s'\"]+|(?<![\w.-])\w[\w.-]*@[\w.-]+:[^\s'\"]+")
_NETWORK = re.compile(
    r"git (?:-c \S+ )*(?:ls-remote|fetch|clone) |hg .*\b(?:pull|goreposum|golookup|identify)\b"
    r"|svn |fossil (?:clone|pull) |bzr "
)
_SECURITY = re.compile(r"|SECURITY ERROR|This download does NOT match .*")


class LogReader:
    """expect_x, expect_http2: whether trace-go asked for these lines by environment; else they are the user's own."""

    def __init__(self, *, expect_x: bool, expect_http2: bool) -> None:
        self._expect_x = expect_x
        self._expect_http2 = expect_http2
        self._line = 0
        self._x = _CommandReader()
        self._http2 = Http2Reader()
        self._errors: list[GoError] = []
        self._error: list[str] = []
        """lines of the error being printed"""
        self._error_line = 0

    def feed(self, line: str) -> bool:
        """One line without its newline. Whether it is the user's own output: False when only trace-go asked for it."""
        self._line += 1
        text = line[:MAX_LINE_CHARS].rstrip("\r")
        if not text and not self._error:  # nobody's business, and a log can be full of them
            return True
        started = self._x.feed(text, self._line)
        if started is not None:
            self._watch(*started)
            return not self._expect_x
        if self._http2.feed(text, self._line):
            return not self._expect_http2
        self._own(text)
        return True

    def finish(self) -> GoLog:
        self._end_error()
        fetches, commands = self._x.finish()
        return GoLog(
            fetches=fetches,
            vcs=commands,
            http2=self._http2.finish(),
            errors=tuple(self._errors),
            lines=self._line,
        )

    def _watch(self, started: str | None, ended: str | None) -> None:
        if started:
            self._http2.expect(started)
        if ended:
            self._http2.forget(ended)

    def _own(self, text: str) -> None:
        if self._continues(text):
            self._error.append(text)
            return
        self._end_error()
        if starts_error(text):
            self._error, self._error_line = [text], self._line

    def _continues(self, text: str) -> bool:
        if not self._error or len(self._error) >= MAX_ERROR_LINES:
            return False
        return text.startswith("\t") or ("checksum mismatch" in self._error[0] and bool(_SECURITY.fullmatch(text)))

    def _end_error(self) -> None:
        if self._error and len(self._errors) < MAX_ERRORS:
            error = parse_error("\n".join(self._error).rstrip("\n")[:MAX_ERROR_CHARS], self._error_line)
            if error:
                self._errors.append(error)
        self._error = []


def uses_network(command: VcsCommand) -> bool:
    """Whether a version control command talks to its remote; most of go's only read the local copy."""
    return _NETWORK.match(command.command) is not None


class _CommandReader:
    """The lines of -x."""

    def __init__(self) -> None:
        self._fetches: list[Fetch] = []
        self._commands: list[VcsCommand] = []
        self._asked: defaultdict[str, deque[int]] = defaultdict(deque)
        """URL → indices of unfinished fetches, oldest first"""
        self._running: defaultdict[tuple[str, str], deque[int]] = defaultdict(deque)
        self._remotes: dict[str, str] = {}
        self._changed: deque[str] = deque(maxlen=MAX_ERROR_LINES)
        """directories of `cd` lines whose command line is still to come"""
        self._quotes = 0
        """hg templates printed so far that end with a newline and a quote on a line of its own"""
        self._auth = False

    def feed(self, text: str, line: int) -> tuple[str | None, str | None] | None:
        """(URL now asked, URL now answered) of a line of -x; None for any other line."""
        if text.startswith("# get ") and (get := _GET.fullmatch(text)):
            return self._get(get["url"], get["end"], line)
        if self._vcs(text, line) or self._auth_line(text) or any(pattern.fullmatch(text) for pattern in _MUTE):
            return None, None
        return None

    def finish(self) -> tuple[tuple[Fetch, ...], tuple[VcsCommand, ...]]:
        return tuple(self._fetches), tuple(self._commands)

    def _get(self, url: str, end: str | None, line: int) -> tuple[str | None, str | None]:
        if end is None:
            if (index := self._add_fetch(url, line)) < MAX_RECORDS:
                self._asked[url].append(index)
            return url, None
        open_ones = self._asked.get(url)
        index = open_ones.popleft() if open_ones else self._add_fetch(url, line)
        if not open_ones:
            self._asked.pop(url, None)
        answer = _ANSWER.fullmatch(end)
        if index < len(self._fetches):
            self._fetches[index] = replace(
                self._fetches[index],
                status=int(answer["status"]) if answer else None,
                reason=answer["reason"] or "" if answer else "",
                elapsed_s=float(answer["elapsed"]) if answer else None,
                error=None if answer else end,
                line=line,
                finished=True,
            )
        return None, url

    def _add_fetch(self, url: str, line: int) -> int:
        if len(self._fetches) >= MAX_RECORDS:
            return MAX_RECORDS
        fetch = Fetch(
            url=url, status=None, reason="", elapsed_s=None, error=None, line=line, start_line=line, finished=False
        )
        self._fetches.append(fetch)
        return len(self._fetches) - 1

    def _vcs(self, text: str, line: int) -> bool:
        if run := _RUN.fullmatch(text):
            self._quotes += text.count("'") % 2
            self._run(run["directory"], run["command"], run["elapsed"], line)
        elif named := _WORK_DIR.fullmatch(text):
            if len(self._remotes) < MAX_RECORDS:
                self._remotes[named["directory"]] = named["remote"]
        elif changed := _CHANGE.fullmatch(text):
            self._changed.append(changed["directory"])
        elif self._changed and _BARE_RUN.fullmatch(text):
            self._add_command(text, self._changed.popleft(), None, line)
        elif self._quotes and text == "'":
            self._quotes -= 1
        else:
            return False
        return True

    def _run(self, directory: str, command: str, elapsed: str | None, line: int) -> None:
        if elapsed is None:
            if (index := self._add_command(command, directory, None, line)) < MAX_RECORDS:
                self._running[directory, command].append(index)
            return
        running = self._running.get((directory, command))
        index = running.popleft() if running else self._add_command(command, directory, None, line)
        if not running:
            self._running.pop((directory, command), None)
        if index < len(self._commands):
            self._commands[index] = replace(self._commands[index], elapsed_s=float(elapsed))

    def _add_command(self, command: str, directory: str, elapsed_s: float | None, line: int) -> int:
        if len(self._commands) >= MAX_RECORDS:
            return MAX_RECORDS
        remote = _REMOTE.search(command)
        self._commands.append(
            VcsCommand(
                command=command,
                directory=directory,
                elapsed_s=elapsed_s,
                line=line,
                remote=remote[0] if remote else self._remotes.get(directory),
            )
        )
        return len(self._commands) - 1

    def _auth_line(self, text: str) -> bool:
        if _AUTH.fullmatch(text):
            self._auth = True
            return True
        return self._auth and _AUTH_DETAIL.fullmatch(text) is not None
