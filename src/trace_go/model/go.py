"""What the go command says of itself: its environment, its log, and the plan that GOPROXY means."""

from msgspec import Struct, field


class Fetch(Struct, frozen=True, kw_only=True, gc=False):
    """One `# get URL` pair of the -x log (cmd/go/internal/web). Redirect hops and repeats are not printed by go."""

    url: str
    status: int | None
    reason: str
    elapsed_s: float | None
    """until the response headers, redirects included"""
    error: str | None
    line: int
    """line of the end (or of the start, when it never ended)"""
    start_line: int
    finished: bool


class VcsCommand(Struct, frozen=True, kw_only=True, gc=False):
    """One git (hg, svn …) command of the -x log."""

    command: str
    directory: str
    elapsed_s: float | None
    line: int
    remote: str | None
    """repository URL where the log shows it"""


class Http2Exchange(Struct, frozen=True, kw_only=True, gc=False):
    """One HTTP/2 stream of the http2debug log."""

    connection: str
    """framer address: tells connections of one process apart"""
    remote: str | None
    """`ip:port`; the forward proxy's when CONNECT is used"""
    stream: int
    method: str
    url: str
    user_agent: str | None
    referer: str | None
    status: int | None
    location: str | None
    line: int
    web_page: bool | None = None
    """the content of the answer is HTML; None where the log does not show how it begins"""
    unfinished: bool = False
    """the answer began, and its end is not in the log"""


class GoError(Struct, frozen=True, kw_only=True, gc=False):
    """One error line of the go command."""

    text: str
    line: int
    module: str | None
    version: str | None
    url: str | None
    kind: str
    """see gocmd.messages: `unknown-authority`, `connection-refused`, `status`, …, `other`"""
    status: int | None = None


class GoLog(Struct, frozen=True, kw_only=True, gc=False):
    fetches: tuple[Fetch, ...] = ()
    vcs: tuple[VcsCommand, ...] = ()
    http2: tuple[Http2Exchange, ...] = ()
    errors: tuple[GoError, ...] = ()
    lines: int = 0


class SettingsFile(Struct, frozen=True, kw_only=True, gc=False):
    """One of the files whose lines `NAME=value` go takes where the environment has nothing (cmd/go/internal/cfg)."""

    role: str
    """`user`: that of `go env -w`; `unused`: its usual place, while GOENV names another; `toolchain`: GOROOT/go.env"""
    path: str
    values: dict[str, str]
    """secrets masked"""


class GoAccount(Struct, frozen=True, kw_only=True, gc=False):
    """Everything the command and its environment told us; empty fields when they did not."""

    argv: tuple[str, ...] = ()
    exit_code: int | None = None
    started_ns: int = 0
    ended_ns: int = 0
    go_env: dict[str, str] = field(default_factory=dict)
    """`go env -json`"""
    go_env_changed: tuple[str, ...] = ()
    process_env: dict[str, str] = field(default_factory=dict)
    """the proxy, trust and GO* variables of the command's environment, secrets masked"""
    settings_files: tuple[SettingsFile, ...] = ()
    """those that exist"""
    log: GoLog = GoLog()
    go_sum: tuple[tuple[str, str, str], ...] = ()
    """lines of the main module's go.sum: module, version or `version/go.mod`, h1"""
    notes: tuple[str, ...] = ()

    @property
    def present(self) -> bool:
        return bool(self.go_env or self.log.lines or self.argv)


class ProxyEntry(Struct, frozen=True, kw_only=True, gc=False):
    """One entry of GOPROXY with the separator that follows it (cmd/go/internal/modfetch/proxy.go)."""

    url: str
    """`https://…`, `direct` or `off`"""
    falls_through_on: str
    """`not-found` after a comma, `any` after a bar, `end` for the last"""


class KnownHost(Struct, frozen=True, kw_only=True, gc=False):
    name: str
    """host name, or a suffix pattern `*.example.com`"""
    role: str
    """`mirror`, `checksum-db`, `cdn`, `origin`, `forward-proxy`"""
    label: str
    source: str
    """`built in`, `trace-go.toml` or `GOPROXY`"""

    @property
    def public(self) -> bool:
        """Everybody's, not only this site's."""
        return self.source == "built in"
