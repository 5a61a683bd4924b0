"""A module came directly from its origin although a mirror stands first.

What it means
    The mirror did not deliver the module, and go went on to `direct`: the module's own server (usually through git)
    was asked.

Why it matters
    Direct downloads depend on every module's own host, are slower, and bypass what the mirror is there for (caching,
    policy, review). A bar in GOPROXY makes that happen on any outage of the mirror.

How we know
    The attempts of one module in order of GOPROXY, from go's log, with the status or error that made go move on.

False positives
    A private or new module that the mirror does not carry answers 404 and is meant to fall through: that is a note.
    Modules that GOPRIVATE or GONOPROXY names go direct by configuration and are not reported.

What to do
    If the module is private, name it in GOPRIVATE: then the mirror is not asked at all. If it should come from the
    mirror, ask the mirror's operator.

References
    https://go.dev/ref/mod#private-modules, cmd/go/internal/modfetch/proxy.go.
"""

from collections import defaultdict
from collections.abc import Iterator

from trace_go.checks.framework import Meta, count, finding, target
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.ledger import Artifact, Request, Role
from trace_go.model.report import Case

META = Meta(group="go", severity=Severity.WARNING, audience=Audience.DEVELOPER, cause_rank=85)

_NOT_FOUND = (404, 410)


def find(case: Case) -> Iterator[Finding]:
    origins = {
        item.module for item in case.requests if item.module and item.artifact is Artifact.GIT and not item.failure
    }
    groups: dict[tuple[str, str], list[Request]] = defaultdict(list)
    for request in case.requests:
        asked_mirror = request.hops and request.hops[-1].role is Role.MIRROR and request.module
        turned_away = request.failure or request.status in _NOT_FOUND
        if asked_mirror and turned_away and _went_direct(request.module or "", origins):
            reason = request.failure.kind if request.failure else "not-found"
            groups[target(request), reason].append(request)
    for (host, reason), requests in groups.items():
        modules = sorted(
            {request.module for request in requests if request.module and _went_direct(request.module, origins)}
        )
        first = requests[0]
        expected = reason == "not-found"
        yield finding(
            "unexpected-direct",
            META,
            title=f"{count(len(modules), 'module')} came directly from the origin, not from {host}",
            detail=f"{', '.join(modules[:5])}: {host} answered {first.status or reason} ({first.next_entry}).",
            remedy=Remedy(
                text="If these modules are private, name them in GOPRIVATE so that the mirror is not asked.",
                command=f"go env -w GOPRIVATE={','.join(modules[:5])}",
            ),
            subject=f"{host}:{reason}",
            requests=requests,
            severity=Severity.NOTE if expected else None,
        )


def _went_direct(module: str, origins: set[str]) -> bool:
    """The repository of a module may be a prefix of its path."""
    return any(module == origin or module.startswith(f"{origin}/") for origin in origins)
