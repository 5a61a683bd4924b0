"""Which finding comes first: what stopped the command, as go's own last errors name it, then what endangers it.

go prints its errors when its work is done, so those behind its last request are of the command that failed last: a
script goes on after some failures. Of a request that was tried at several places go tells one failure
(cmd/go/internal/modfetch/proxy.go, TryProxies).
"""

from collections.abc import Iterable, Sequence

from trace_go.model.finding import Finding, Severity
from trace_go.model.go import Fetch, GoError, Http2Exchange, VcsCommand
from trace_go.model.ledger import Request
from trace_go.model.report import Case
from trace_go.wire.secrets import mask_url


def ranked(case: Case, findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Worst first. Among errors those that explain what go told last, then by how early they stop a request."""
    told = stopped_by(case)

    def place(item: Finding) -> tuple[int, bool, int, int, str]:
        explains = item.severity is Severity.ERROR and not told.isdisjoint(item.requests)
        return item.severity.rank, not explains, item.cause_rank, -len(item.requests), item.key

    return tuple(sorted(findings, key=place))


def stopped_by(case: Case) -> set[int]:
    """Ids of the requests that go's last errors name; none when the command succeeded or they name none."""
    if not case.account.exit_code:
        return set()
    return {item.id for error in _last(case) for item in _named(error, case.requests)}


def _last(case: Case) -> tuple[GoError, ...]:
    """The errors behind the last request that go tells of; where it told none there, the very last."""
    log = case.account.log
    told_of: tuple[Fetch | VcsCommand | Http2Exchange, ...] = (*log.fetches, *log.vcs, *log.http2)
    asked = max((item.line for item in told_of), default=0)
    return tuple(item for item in log.errors if item.line > asked) or log.errors[-1:]


def _named(error: GoError, requests: Sequence[Request]) -> list[Request]:
    """The requests that an error is about: by its URL, else by its module: what failed so, what failed, or any."""
    url = mask_url(error.url) if error.url else None
    mine = [item for item in requests if error.module and item.module == error.module]
    mine = [item for item in mine if item.version == error.version] or mine
    kind = f"status-{error.status}" if error.kind == "status" else error.kind
    return (
        [item for item in requests if url and item.url == url and item.failure]
        or [item for item in mine if item.failure and item.failure.kind == kind]
        or [item for item in mine if item.failure]
        or mine
    )
